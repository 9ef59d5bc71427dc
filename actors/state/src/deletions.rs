//! The messages of one conversation that its owner deleted for itself: disjoint ranges of seqs, few and merged.

use tidings_schema::{id::Seq, record};

/// Ranges kept for one conversation. Beyond it single deletions are refused (4007); deleting everything up to a message
/// always works.
pub const DELETED_RANGES_MAX: usize = 1_000;

/// Both ends are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First deleted seq.
    pub from: Seq,
    /// Last deleted seq.
    pub upto: Seq,
}

/// Deleted ranges: rising, disjoint, and merged where they touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletions {
    ranges: Vec<Range>,
}

impl Deletions {
    /// Deletes one seq.
    pub fn add(&mut self, seq: Seq) {
        self.insert(Range { from: seq, upto: seq });
    }

    /// Deletes everything up to a seq.
    pub fn add_upto(&mut self, upto: Seq) {
        if upto > Seq::ZERO {
            self.insert(Range { from: Seq::new(1), upto });
        }
    }

    fn insert(&mut self, mut new: Range) {
        // Those that end right before it or later, and begin right behind it or earlier, become part of it.
        let first = self.ranges.partition_point(|range| range.upto.next() < new.from);
        let behind = self.ranges.partition_point(|range| range.from <= new.upto.next());
        if let (Some(head), Some(tail)) =
            (self.ranges.get(first), behind.checked_sub(1).and_then(|at| self.ranges.get(at)))
            && first < behind
        {
            new = Range { from: new.from.min(head.from), upto: new.upto.max(tail.upto) };
        }
        self.ranges.splice(first..behind.max(first), [new]);
    }

    /// Whether a seq is deleted.
    #[must_use]
    pub fn contains(&self, seq: Seq) -> bool {
        let at = self.ranges.partition_point(|range| range.upto < seq);
        self.ranges.get(at).is_some_and(|range| range.from <= seq)
    }

    /// Everything up to here is deleted; zero: not even the first message.
    #[must_use]
    pub fn upto(&self) -> Seq {
        self.ranges.first().filter(|range| range.from <= Seq::new(1)).map_or(Seq::ZERO, |range| range.upto)
    }

    /// Where a walk towards older messages goes on: `before`, or the beginning of the range that ends right below it.
    #[must_use]
    pub fn skip(&self, before: Seq) -> Seq {
        let below = before.prev();
        let at = self.ranges.partition_point(|range| range.upto < below);
        self.ranges.get(at).filter(|range| range.from <= below).map_or(before, |range| range.from)
    }

    /// The ranges, rising.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Whether so many more single deletions may be kept.
    #[must_use]
    pub fn have_room(&self, more: usize) -> bool {
        self.ranges.len() + more <= DELETED_RANGES_MAX
    }

    /// Reads the stored form; what overlaps is merged.
    #[must_use]
    pub fn from_record(record: &[record::SeqRange]) -> Self {
        let mut deletions = Self::default();
        for range in record {
            deletions.insert(Range { from: Seq::new(range.from), upto: Seq::new(range.upto) });
        }
        deletions
    }

    /// The stored form.
    #[must_use]
    pub fn to_record(&self) -> Vec<record::SeqRange> {
        let stored = |range: &Range| record::SeqRange { from: range.from.get(), upto: range.upto.get() };
        self.ranges.iter().map(stored).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_deleted_is_deleted_and_nothing_else(steps in prop::collection::vec((1u64..40, 0u8..8), 0..60)) {
            let (mut deletions, mut model) = (Deletions::default(), BTreeSet::new());
            for (seq, kind) in steps {
                if kind == 0 {
                    deletions.add_upto(Seq::new(seq));
                    model.extend(1..=seq);
                } else {
                    deletions.add(Seq::new(seq));
                    model.insert(seq);
                }
                let ranges = deletions.ranges();
                prop_assert!(ranges.iter().all(|range| range.from <= range.upto));
                prop_assert!(ranges.windows(2).all(|pair| pair[0].upto.next() < pair[1].from), "{ranges:?}");
            }
            for seq in 1..45 {
                prop_assert_eq!(deletions.contains(Seq::new(seq)), model.contains(&seq), "{}", seq);
            }
            for before in 1..45 {
                let skipped = deletions.skip(Seq::new(before)).get();
                let down = (1..before).rev().take_while(|seq| model.contains(seq)).last().unwrap_or(before);
                prop_assert_eq!(skipped, down);
            }
            let upto = (1..45).take_while(|seq| model.contains(seq)).last().unwrap_or(0);
            prop_assert_eq!(deletions.upto(), Seq::new(upto));
            prop_assert_eq!(Deletions::from_record(&deletions.to_record()), deletions);
        }
    }

    #[test]
    fn there_is_room_for_a_thousand_ranges() {
        let mut deletions = Deletions::default();
        (0..DELETED_RANGES_MAX as u64 - 1).for_each(|at| deletions.add(Seq::new(2 + at * 2)));
        assert!(deletions.have_room(1) && !deletions.have_room(2));
        deletions.add_upto(Seq::new(10_000));
        assert_eq!(deletions.ranges().len(), 1);
    }
}
