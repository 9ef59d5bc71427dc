//! The doors of the actors to the world: each trait states a contract, `src/` holds the technology behind it.

pub mod clock;
pub mod edge;
pub mod link;
pub mod ownership;
pub mod store;
pub mod token;
