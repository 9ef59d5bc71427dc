//! The `tidings` command: reads its arguments, runs one command, and turns what went wrong into a text and an exit code.

use std::process::ExitCode;

use tidings::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tidings: {error:#}");
            cli::exit_code(&error)
        }
    }
}
