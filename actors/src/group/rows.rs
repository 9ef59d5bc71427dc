//! The newest rows of the log in memory: those on their way into the store, and a ring of committed ones.

use std::collections::VecDeque;

use tidings_schema::{id::Seq, row::GroupRow};
use tidings_state::group::ring::Ring;

/// Contiguous rows up to the head.
pub(super) struct Rows {
    ring: Ring<GroupRow>,
    /// Bounded by the rows of one timeline that may be uncommitted.
    uncommitted: VecDeque<GroupRow>,
}

impl Rows {
    /// Those of a log that is committed up to `head`.
    pub(super) fn after(head: Seq) -> Self {
        Self { ring: Ring::after(head), uncommitted: VecDeque::new() }
    }

    /// A committed row that was read from the store.
    pub(super) fn replay(&mut self, row: GroupRow) {
        let bytes = row.entry.len();
        self.ring.push(row, bytes);
    }

    /// A row is on its way.
    pub(super) fn push(&mut self, row: GroupRow) {
        self.uncommitted.push_back(row);
    }

    /// Rows up to `upto` are committed; gives them, oldest first.
    pub(super) fn commit(&mut self, upto: Seq) -> Vec<GroupRow> {
        let mut committed = Vec::new();
        while let Some(row) = self.uncommitted.pop_front_if(|row| row.seq <= upto) {
            self.ring.push(row.clone(), row.entry.len());
            committed.push(row);
        }
        committed
    }

    /// A committed row says something else from now on.
    pub(super) fn replace(&mut self, row: GroupRow) {
        let (seq, bytes) = (row.seq, row.entry.len());
        self.ring.replace(seq, row, bytes);
    }

    /// The row at `seq`, if it is in memory.
    pub(super) fn get(&self, seq: Seq) -> Option<&GroupRow> {
        self.ring.get(seq).or_else(|| self.uncommitted.iter().find(|row| row.seq == seq))
    }

    /// The committed rows in memory.
    pub(super) fn ring(&self) -> &Ring<GroupRow> {
        &self.ring
    }
}
