//! The rows of a load: which timeline gets the next one, at which seq, and with which bytes.

use anyhow::Context as _;
use bytes::Bytes;
use tidings_actors::port::{
    ownership::Stamp,
    store::{Append, Row, TimelineId},
};
use tidings_schema::id::Seq;

/// Bytes of a row as it is handed over.
pub(super) const ROW_BYTES: usize = 200;
/// Timelines that get rows in turn. More than any wave, so that no timeline has two rows under way.
pub(super) const TIMELINES: usize = 10_000;
/// Steps from one timeline to the next: prime, so that all get their turn, and far, so that keys come in no order.
const STRIDE: usize = 3_919;

/// Bytes that do not compress, the same ones in every run.
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// The next number (xorshift).
    pub(super) fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn row(&mut self) -> Bytes {
        let mut row = Vec::with_capacity(ROW_BYTES);
        while row.len() < ROW_BYTES {
            row.extend_from_slice(&self.number().to_le_bytes());
        }
        row.into()
    }
}

/// Timelines and how far each has come.
pub(super) struct Rows {
    pub(super) timelines: Vec<TimelineId>,
    pub(super) heads: Vec<Seq>,
    turn: usize,
    pub(super) noise: Noise,
}

impl Rows {
    /// Empty timelines.
    ///
    /// # Errors
    /// Never for names that are ids.
    pub(super) fn new() -> anyhow::Result<Self> {
        let timelines = (0..TIMELINES).map(timeline).collect::<anyhow::Result<Vec<_>>>()?;
        let heads = vec![Seq::ZERO; timelines.len()];
        Ok(Self { timelines, heads, turn: 0, noise: Noise::new() })
    }

    /// The timeline whose turn it is, moved on by one row.
    pub(super) fn step(&mut self) -> (usize, Seq) {
        self.turn = (self.turn + STRIDE) % self.timelines.len();
        self.heads[self.turn] = self.heads[self.turn].next();
        (self.turn, self.heads[self.turn])
    }

    /// The next row as an append of its own.
    pub(super) fn append(&mut self) -> Append {
        let (at, seq) = self.step();
        let rows = vec![Row { seq, value: self.noise.row() }];
        Append { timeline: self.timelines[at].clone(), rows, with: Vec::new(), stamp: Stamp(1) }
    }
}

/// A timeline by its number.
///
/// # Errors
/// Never for names that are ids.
pub(super) fn timeline(number: usize) -> anyhow::Result<TimelineId> {
    Ok(TimelineId::Inbox(format!("bench-user-{number:08}").parse().context("a name that is no id")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timeline_gets_its_turn_before_one_gets_a_second() {
        let mut rows = Rows::new().unwrap();
        for round in 1..=2 {
            for _ in 0..TIMELINES {
                assert_eq!(rows.step().1, Seq::new(round));
            }
        }
    }

    #[test]
    fn rows_are_of_one_size_and_differ() {
        let mut noise = Noise::new();
        let (one, other) = (noise.row(), noise.row());
        assert_eq!((one.len(), other.len()), (ROW_BYTES, ROW_BYTES));
        assert_ne!(one, other);
    }
}
