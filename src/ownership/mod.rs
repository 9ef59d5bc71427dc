//! Who owns a shard, by deployment.

pub mod single;
