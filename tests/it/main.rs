//! Every promise of tidings, held by the real process: one module per promise, one test binary.

mod checker;
mod crash;
mod mutants;
mod server;
