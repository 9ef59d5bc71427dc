//! Doubles of what the actors meet the world through, and the suites every implementation of a port must pass.

pub mod edge;
