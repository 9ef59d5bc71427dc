//! Every promise of tidings, held by the real process: one module per promise, one test binary.

mod bad_input;
mod chat_cli;
mod checker;
mod crash;
mod operations;
mod server;
