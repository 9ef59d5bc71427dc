//! How actors of one node reach each other; a cluster adds a link to other nodes.

mod desk;
pub mod local;
