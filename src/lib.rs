//! How tidings meets the world: stores, ownership, and what `main.rs` puts together.

pub mod ownership;
pub mod store;
