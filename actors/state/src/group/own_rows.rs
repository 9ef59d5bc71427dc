//! The counting rows of one member after its read marker: exact whatever their number, in bounded memory.

use tidings_schema::{
    group::{OWN_ROWS_MAX, OwnRows},
    id::Seq,
};

/// A new counting row of the member. Of many the older half keeps only its number.
pub(super) fn push(own: &mut OwnRows, seq: Seq) {
    debug_assert!(own.seqs.last().is_none_or(|last| *last < seq), "rows come in the order of the log");
    if own.seqs.len() >= OWN_ROWS_MAX {
        let newer = own.seqs.split_off(OWN_ROWS_MAX / 2);
        own.folded += own.seqs.len() as u64;
        own.folded_upto = own.seqs.last().copied().unwrap_or(own.folded_upto);
        own.seqs = newer;
    }
    if own.seqs.len() == own.seqs.capacity() {
        own.seqs.reserve_exact(own.seqs.len().clamp(1, 16));
    }
    own.seqs.push(seq);
}

/// Up to where own rows must be counted in the log when the marker moves to `upto`; `None`: they are all known.
pub(super) fn to_count(own: &OwnRows, upto: Seq) -> Option<Seq> {
    (upto < own.folded_upto).then_some(own.folded_upto)
}

/// The marker moves to `upto`. `counted`: own counting rows between it and [`to_count`], if that is asked.
pub(super) fn read(own: &mut OwnRows, upto: Seq, counted: u64) {
    if to_count(own, upto).is_some() {
        own.folded = counted;
        return;
    }
    own.folded = 0;
    own.folded_upto = Seq::ZERO;
    let read = own.seqs.partition_point(|seq| *seq <= upto);
    own.seqs.drain(..read);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_counts_what_a_list_would(
            steps in prop::collection::vec((0_u64..40, 0_u64..200), 1..40), gap in 1_u64..4,
        ) {
            let (mut own, mut all, mut read_upto, mut head) = (OwnRows::default(), Vec::new(), Seq::ZERO, 0);
            for (rows, back) in steps {
                for _ in 0..rows {
                    head += gap;
                    push(&mut own, Seq::new(head));
                    all.push(Seq::new(head));
                }
                let upto = Seq::new(head.saturating_sub(back));
                if upto > read_upto {
                    read_upto = upto;
                    let within = |end: Seq| all.iter().filter(|seq| **seq > upto && **seq <= end).count() as u64;
                    let counted = to_count(&own, upto).map_or(0, within);
                    read(&mut own, upto, counted);
                }
                prop_assert_eq!(own.count(), all.iter().filter(|seq| **seq > read_upto).count() as u64);
                prop_assert!(own.seqs.len() <= OWN_ROWS_MAX);
                prop_assert!(to_count(&own, own.folded_upto).is_none(), "no more is asked than has to be");
            }
        }
    }
}
