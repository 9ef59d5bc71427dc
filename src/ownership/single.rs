//! One process owns every shard, for as long as it lives. The store's epoch, written at each start, tells its lives apart.

use std::sync::atomic::{AtomicU64, Ordering};

use tidings_actors::port::ownership::{Barrier, Ownership, Stamp};
use tidings_schema::id::{Epoch, ShardId};

/// Low bits of a stamp, which count within an epoch.
const COUNTER_BITS: u32 = 40;

/// Ownership of all shards by the process that holds the lock of the data directory.
#[derive(Debug)]
pub struct SingleOwner {
    epoch: Epoch,
    stamps: AtomicU64,
}

impl SingleOwner {
    /// Owner at the epoch the store gave this start.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, stamps: AtomicU64::new(epoch.get() << COUNTER_BITS) }
    }
}

impl Ownership for SingleOwner {
    fn epoch(&self, _: ShardId) -> Option<Epoch> {
        Some(self.epoch)
    }

    fn stamp(&self, _: ShardId) -> Stamp {
        Stamp(self.stamps.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn barrier(&self) -> Barrier {
        Barrier::Passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_only_grow_within_an_epoch_and_from_epoch_to_epoch() {
        let (first, second) = (SingleOwner::new(Epoch::new(1)), SingleOwner::new(Epoch::new(2)));
        let shard = ShardId::new(0);
        let stamps = [first.stamp(shard), first.stamp(ShardId::new(1)), second.stamp(shard), second.stamp(shard)];
        assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
    }

    #[test]
    fn every_shard_is_owned_and_the_barrier_passes_at_once() {
        let owner = SingleOwner::new(Epoch::new(7));
        assert_eq!(owner.epoch(ShardId::new(1023)), Some(Epoch::new(7)));
        assert!(matches!(owner.barrier(), Barrier::Passed));
    }
}
