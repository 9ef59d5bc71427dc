//! The newest rows of a group's log in memory, so that those who are behind seldom need the store.

use std::collections::VecDeque;

use tidings_schema::id::Seq;

/// Rows kept at most.
pub const RING_ROWS_MAX: usize = 256;
/// Bytes of their entries at most, unless it is a single row. The oldest go first.
pub const RING_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, Debug)]
struct Kept<T> {
    row: T,
    bytes: usize,
}

/// Contiguous committed rows up to the head, oldest first.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    first: Seq,
    rows: VecDeque<Kept<T>>,
    bytes: usize,
}

impl<T> Ring<T> {
    /// The ring of a log whose committed head is `head`: empty, and complete after it.
    #[must_use]
    pub fn after(head: Seq) -> Self {
        Self { first: head.next(), rows: VecDeque::new(), bytes: 0 }
    }

    /// The next committed row, with the bytes of its entry.
    pub fn push(&mut self, row: T, bytes: usize) {
        self.bytes += bytes;
        self.rows.push_back(Kept { row, bytes });
        while self.rows.len() > RING_ROWS_MAX || (self.bytes > RING_BYTES_MAX && self.rows.len() > 1) {
            let Some(oldest) = self.rows.pop_front() else { return };
            self.bytes -= oldest.bytes;
            self.first = self.first.next();
        }
    }

    /// A row says something else from now on.
    pub fn replace(&mut self, seq: Seq, row: T, bytes: usize) {
        let Some(kept) = self.place(seq).and_then(|at| self.rows.get_mut(at)) else { return };
        self.bytes = self.bytes - kept.bytes + bytes;
        *kept = Kept { row, bytes };
    }

    /// The row at `seq`, if it is in memory.
    #[must_use]
    pub fn get(&self, seq: Seq) -> Option<&T> {
        self.rows.get(self.place(seq)?).map(|kept| &kept.row)
    }

    /// Rows above `after`, oldest first; `None` when some of them are in the store only.
    pub fn page(&self, after: Seq) -> Option<impl Iterator<Item = &T>> {
        let skip = usize::try_from(after.next().get().checked_sub(self.first.get())?).ok()?;
        Some(self.rows.iter().skip(skip).map(|kept| &kept.row))
    }

    /// Rows below `before`, newest first, as far as they are in memory; `None` when the row below it is not.
    pub fn before(&self, before: Seq) -> Option<impl Iterator<Item = &T>> {
        let end = self.place(before.prev())? + 1;
        Some(self.rows.range(..end).rev().map(|kept| &kept.row))
    }

    /// The first row in memory; right behind the head when there is none.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.first
    }

    fn place(&self, seq: Seq) -> Option<usize> {
        let at = usize::try_from(seq.get().checked_sub(self.first.get())?).ok()?;
        (at < self.rows.len()).then_some(at)
    }
}
