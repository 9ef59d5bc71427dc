//! The newest rows of the inbox in memory: all that no checkpoint covers yet, and some more so that devices, peers and
//! pages seldom need the store.

use std::collections::VecDeque;

use tidings_schema::{id::Seq, row::InboxRow};

/// Rows kept although a checkpoint covers them.
pub const ROWS_KEPT: usize = 32;
/// Bytes of entries of those, at most (one row may be larger).
pub const ROWS_KEPT_BYTES: usize = 64 * 1024;

/// Contiguous rows, oldest first.
#[derive(Default)]
pub(super) struct Rows {
    rows: VecDeque<InboxRow>,
    bytes: usize,
}

impl Rows {
    pub(super) fn push(&mut self, row: InboxRow) {
        debug_assert!(self.rows.back().is_none_or(|last| last.seq.next() == row.seq), "rows are contiguous");
        self.bytes += row.entry.len();
        self.rows.push_back(row);
    }

    /// A row says something else from now on.
    pub(super) fn replace(&mut self, row: InboxRow) {
        let Some(first) = self.first().filter(|first| *first <= row.seq) else { return };
        let at = usize::try_from(row.seq.since(first)).ok();
        if let Some(known) = at.and_then(|at| self.rows.get_mut(at)) {
            self.bytes = (self.bytes - known.entry.len()) + row.entry.len();
            *known = row;
        }
    }

    /// The row at `seq`, if it is in memory.
    pub(super) fn get(&self, seq: Seq) -> Option<&InboxRow> {
        let first = self.rows.front()?.seq;
        if seq < first {
            return None;
        }
        self.rows.get(usize::try_from(seq.since(first)).ok()?)
    }

    /// Rows after `after`, oldest first; `None` when some of them are not in memory.
    pub(super) fn after(&self, after: Seq) -> Option<impl Iterator<Item = &InboxRow>> {
        let first = self.first().filter(|first| *first <= after.next())?;
        let skip = usize::try_from(after.next().since(first)).unwrap_or(usize::MAX);
        Some(self.rows.iter().skip(skip))
    }

    /// At most `limit` rows with `after < seq <= upto`, oldest first; `None` when some of them are not in memory.
    pub(super) fn page(&self, after: Seq, upto: Seq, limit: usize) -> Option<Vec<InboxRow>> {
        Some(self.after(after)?.take_while(|row| row.seq <= upto).take(limit).cloned().collect())
    }

    /// All rows, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &InboxRow> {
        self.rows.iter().rev()
    }

    /// First seq in memory; `None` when there is none.
    pub(super) fn first(&self) -> Option<Seq> {
        self.rows.front().map(|row| row.seq)
    }

    /// Bytes of the entries in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Rows below the floor are kept no longer: what changes of them changes in the history alone.
    pub(super) fn release_below(&mut self, floor: Seq) {
        while let Some(row) = self.rows.pop_front_if(|row| row.seq < floor) {
            self.bytes -= row.entry.len();
        }
    }

    /// Rows up to `covered` are in every projection: all but the newest may go.
    pub(super) fn release(&mut self, covered: Seq) {
        while self.rows.len() > ROWS_KEPT || self.bytes > ROWS_KEPT_BYTES {
            let Some(row) = self.rows.pop_front_if(|row| row.seq <= covered) else { return };
            self.bytes -= row.entry.len();
        }
    }
}
