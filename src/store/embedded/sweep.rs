//! Removing rows that are too old: one removal per place, in the same batches as everything else.
//!
//! Nothing is looked for: the caller says which places. A removal is a mark that lies in the engine until a compaction
//! meets the row, and whoever read across many of them would pay for each; reads begin at a timeline's floor, so none does.

use tidings_actors::port::store::TimelineId;
use tidings_schema::id::Seq;

use super::engine::Batch;

/// Rows that go. Checked already.
pub(super) struct Range {
    pub(super) timeline: TimelineId,
    /// First row.
    pub(super) from: Seq,
    /// The row after the last.
    pub(super) below: Seq,
}

impl Range {
    /// Places in it.
    pub(super) fn places(&self) -> usize {
        usize::try_from(self.below.since(self.from)).unwrap_or(usize::MAX)
    }

    /// Puts the removals into a batch.
    pub(super) fn encode(&self, batch: &mut Batch<'_>) {
        for seq in self.from.get()..self.below.get() {
            batch.remove_row(&self.timeline, Seq::new(seq));
        }
        metrics::counter!("tidings_store_rows_removed_total").increment(self.places() as u64);
    }
}
