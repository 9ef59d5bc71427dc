//! The receiver's rule: what a mailbox does with rows another mailbox delivers, so that nothing is skipped, doubled or
//! reordered however often and in whatever order deliveries arrive.

use tidings_schema::id::{LogId, Place, Seq};

/// What to do with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Take all rows but the first `skip`, which are here already. At least one is new.
    Take {
        /// Rows that are repetitions.
        skip: usize,
    },
    /// The sender's log goes on after rows that will never be sent again (a life of it that is not known here, or rows
    /// that it has not kept): note `place`, then take all rows (there may be none).
    Adopt {
        /// Where the sender's log goes on from.
        place: Place,
    },
    /// Rows are missing between what is here and the first one: take nothing, and answer the gap.
    Gap {
        /// Last row that is here.
        have: Seq,
    },
    /// Nothing is new. Answer what is durable all the same: the last answer may be lost.
    Nothing,
}

/// Judges a delivery of rows `seqs` (rising) of the log `log_id`, chained to the sender's row `prev` (zero: to none).
/// `have` is what was taken of the sender, rows that are not committed yet and blocked ones included.
pub fn judge(have: Option<Place>, log_id: LogId, prev: Seq, seqs: &[Seq]) -> Verdict {
    debug_assert!(seqs.is_sorted() && seqs.first().is_none_or(|first| prev < *first), "rows are chained after prev");
    match have {
        Some(place) if place.log_id == log_id => judge_known(place.seq, prev, seqs),
        _ if prev > Seq::ZERO => Verdict::Adopt { place: Place { log_id, seq: prev } },
        _ if seqs.is_empty() => Verdict::Nothing,
        _ => Verdict::Take { skip: 0 },
    }
}

/// The same for a delivery whose sender does not keep the rows before it: what would be a gap is adopted.
pub fn judge_adopting(have: Option<Place>, log_id: LogId, prev: Seq, seqs: &[Seq]) -> Verdict {
    match judge(have, log_id, prev, seqs) {
        Verdict::Gap { .. } => Verdict::Adopt { place: Place { log_id, seq: prev } },
        other @ (Verdict::Take { .. } | Verdict::Adopt { .. } | Verdict::Nothing) => other,
    }
}

fn judge_known(have: Seq, prev: Seq, seqs: &[Seq]) -> Verdict {
    if prev > have {
        return Verdict::Gap { have };
    }
    let skip = seqs.partition_point(|seq| *seq <= have);
    if skip == seqs.len() { Verdict::Nothing } else { Verdict::Take { skip } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId::new([1; 16]);
    const OTHER: LogId = LogId::new([2; 16]);

    fn seqs(seqs: &[u64]) -> Vec<Seq> {
        seqs.iter().copied().map(Seq::new).collect()
    }

    fn have(log_id: LogId, seq: u64) -> Option<Place> {
        Some(Place { log_id, seq: Seq::new(seq) })
    }

    fn judged(have: Option<Place>, prev: u64, rows: &[u64]) -> Verdict {
        judge(have, LOG, Seq::new(prev), &seqs(rows))
    }

    #[test]
    fn the_first_rows_of_a_new_peer_are_taken() {
        assert_eq!(judged(None, 0, &[3, 4]), Verdict::Take { skip: 0 });
    }

    #[test]
    fn rows_that_follow_are_taken() {
        assert_eq!(judged(have(LOG, 4), 4, &[7, 9]), Verdict::Take { skip: 0 });
    }

    #[test]
    fn rows_that_overlap_are_taken_without_their_beginning() {
        assert_eq!(judged(have(LOG, 7), 4, &[7, 9]), Verdict::Take { skip: 1 });
        assert_eq!(judged(have(LOG, 7), 0, &[3, 4, 7, 9, 12]), Verdict::Take { skip: 3 });
    }

    #[test]
    fn a_repetition_is_nothing() {
        assert_eq!(judged(have(LOG, 9), 4, &[7, 9]), Verdict::Nothing);
        assert_eq!(judged(have(LOG, 20), 4, &[7, 9]), Verdict::Nothing);
        assert_eq!(judged(have(LOG, 9), 9, &[]), Verdict::Nothing);
        assert_eq!(judged(have(LOG, 9), 4, &[]), Verdict::Nothing);
    }

    #[test]
    fn rows_after_missing_ones_are_a_gap() {
        assert_eq!(judged(have(LOG, 4), 7, &[9]), Verdict::Gap { have: Seq::new(4) });
        assert_eq!(judged(have(LOG, 4), 7, &[]), Verdict::Gap { have: Seq::new(4) });
    }

    #[test]
    fn another_life_of_the_sender_starts_at_its_beginning() {
        assert_eq!(judged(have(OTHER, 90), 0, &[3, 4]), Verdict::Take { skip: 0 });
        assert_eq!(judged(have(OTHER, 90), 0, &[]), Verdict::Nothing);
        assert_eq!(judged(None, 0, &[]), Verdict::Nothing);
    }

    #[test]
    fn a_receiver_that_knows_nothing_of_a_log_adopts_its_place() {
        let adopt = Verdict::Adopt { place: Place { log_id: LOG, seq: Seq::new(7) } };
        assert_eq!(judged(None, 7, &[9]), adopt);
        assert_eq!(judged(None, 7, &[]), adopt);
        assert_eq!(judged(have(OTHER, 90), 7, &[9]), adopt);
    }

    #[test]
    fn what_the_sender_does_not_keep_is_adopted_and_nothing_else_changes() {
        let adopting = |have, prev, rows: &[u64]| judge_adopting(have, LOG, Seq::new(prev), &seqs(rows));
        let adopt = Verdict::Adopt { place: Place { log_id: LOG, seq: Seq::new(7) } };
        assert_eq!(adopting(have(LOG, 4), 7, &[9]), adopt);
        assert_eq!(adopting(have(LOG, 4), 7, &[]), adopt);
        assert_eq!(adopting(have(LOG, 7), 7, &[9]), Verdict::Take { skip: 0 });
        assert_eq!(adopting(have(LOG, 9), 7, &[9, 12]), Verdict::Take { skip: 1 });
        assert_eq!(adopting(have(LOG, 12), 7, &[9, 12]), Verdict::Nothing);
        assert_eq!(adopting(have(OTHER, 90), 0, &[3]), Verdict::Take { skip: 0 });
    }

    #[test]
    fn whatever_is_taken_is_exactly_what_is_missing() {
        // All chains 2, 4, 6, 8 cut anywhere, against a receiver at every place: no row is lost or doubled.
        let chain = [0, 2, 4, 6, 8];
        for at in 0..chain.len() {
            for from in 0..chain.len() {
                for to in from..chain.len() {
                    let rows = &chain[from + 1..=to];
                    let expected = match (from > at, to > at) {
                        (true, _) => Verdict::Gap { have: Seq::new(chain[at]) },
                        (false, true) => Verdict::Take { skip: at - from },
                        (false, false) => Verdict::Nothing,
                    };
                    assert_eq!(judged(have(LOG, chain[at]), chain[from], rows), expected, "{at} {from} {to}");
                }
            }
        }
    }
}
