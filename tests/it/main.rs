//! Every promise of tidings, held by the real process: one module per promise, one test binary.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails there")]

mod bad_input;
mod bad_times;
mod bench_store;
mod chat_cli;
mod checker;
mod config;
mod crash;
mod mutants;
mod operations;
mod rfc6455;
mod samples;
mod server;
