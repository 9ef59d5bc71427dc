# Thin names for what you do every day. `make test` needs nothing but a Rust toolchain and a C compiler.
SHELL := /bin/bash
# A toolchain that was just installed is not on PATH yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: run test bench lint fmt tools

# The release server on the embedded store; dev mode hands out tokens.
run: tools
	cargo build --release --bin tidings
	./target/release/tidings serve --dev --data ./data --listen 127.0.0.1:7400

test: tools lint
	cargo test --workspace

bench: tools
	cargo build --release --bin tidings
	./target/release/tidings bench dm --data-in target
	./target/release/tidings bench dm --data-in target --rate 2000 --seconds 60
	./target/release/tidings bench store --data-in target
	./target/release/tidings bench idle --data-in target

lint: tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

fmt: tools
	cargo fmt --all

# Installs what can be installed without asking, and says what to do about the rest.
tools:
	@command -v cargo >/dev/null || { \
	  echo "cargo is missing: install Rust 1.95 or later, see https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends build-essential; \
	  else \
	    echo "a C compiler is missing: install one (on Debian: apt-get install build-essential)" >&2; exit 1; \
	  fi; }
	@for part in fmt clippy; do cargo $$part --version >/dev/null 2>&1 && continue; \
	  command -v rustup >/dev/null && rustup component add rustfmt clippy && break; \
	  echo "cargo $$part is missing: install rustfmt and clippy" >&2; exit 1; done
