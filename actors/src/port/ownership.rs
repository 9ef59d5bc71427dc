//! Who owns a shard, and since when: the epoch every row carries, and the barrier every ack waits for.

use std::{future::Future, pin::Pin};

use tidings_schema::id::{Epoch, ShardId};

/// Orders the writes of one owner of a record; only grows within one epoch, and from epoch to epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

/// This process does not own the shard any more; it must forget what it has not acked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shard moved on to another owner")]
pub struct Fenced;

/// Answer to "do I still own what I made durable so far?".
pub enum Barrier {
    /// Yes, and it took no time (one process owns everything).
    Passed,
    /// Ask again when this resolves.
    Pending(Pin<Box<dyn Future<Output = Result<(), Fenced>>>>),
}

/// Ownership of shards by this process.
pub trait Ownership: Send + Sync + 'static {
    /// The epoch at which this process owns `shard`; `None` when it does not.
    fn epoch(&self, shard: ShardId) -> Option<Epoch>;

    /// A stamp above every stamp given for this shard before.
    fn stamp(&self, shard: ShardId) -> Stamp;

    /// A barrier that starts now. What was durable before the call is committed once it passes.
    fn barrier(&self) -> Barrier;
}
