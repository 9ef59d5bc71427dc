//! Groups behind their shard.
