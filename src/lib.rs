//! The parts of the `tidings` program: how the runtime meets the world.

pub mod cli;
