//! How tidings meets the world: transports, stores, HTTP and the command line, put together in `wiring.rs`.

pub mod allocator;
pub mod api;
pub mod auth;
pub mod bench;
pub mod cli;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod drain;
pub mod link;
pub mod open_files;
pub mod ownership;
pub mod store;
pub mod telemetry;
pub mod transport;
pub mod wiring;
