//! Tests of the timeline: the window, the clock, and recovery by the chain of epochs.

use proptest::prelude::*;
use tidings_schema::{id::Epoch, row::InboxRow};

use super::*;
use crate::timeline::{Anchor, Replay, Timeline, UNCOMMITTED_ROWS_MAX, WindowFull};

fn epoch(epoch: u64) -> Epoch {
    Epoch::new(epoch)
}

fn replayed(change: impl FnOnce(&mut InboxRow)) -> Replay {
    let anchor = Anchor { log_id: LOG, seq: seq(7), ep: epoch(3), time: at(50) };
    let mut next = row(slot(8), out(8));
    (next.pe, next.ep) = (epoch(3), epoch(4));
    change(&mut next);
    Timeline::restore(anchor, epoch(5)).replay(&next)
}

#[test]
fn row_one_gives_the_log_its_id_and_no_other_row_carries_it() {
    let mut timeline = Timeline::empty(epoch(2));
    assert_eq!(timeline.log_id(), None);
    let first = timeline.append(at(9), LOG).unwrap();
    assert_eq!((first.seq, first.ep, first.pe, first.log_id), (seq(1), epoch(2), epoch(0), Some(LOG)));
    let second = timeline.append(at(9), OTHER_LOG).unwrap();
    assert_eq!((second.seq, second.pe, second.log_id), (seq(2), epoch(2), None));
    assert_eq!(timeline.log_id(), Some(LOG));
}

#[test]
fn a_clock_that_goes_back_does_not_take_the_rows_with_it() {
    let mut timeline = Timeline::empty(epoch(1));
    let times = [50, 40, 60].map(|now| timeline.append(at(now), LOG).unwrap().time);
    assert_eq!(times, [at(50), at(50), at(60)]);
}

#[test]
fn a_full_window_takes_nothing_until_a_commit() {
    let mut timeline = Timeline::empty(epoch(1));
    for _ in 0..UNCOMMITTED_ROWS_MAX {
        timeline.append(at(1), LOG).unwrap();
    }
    assert_eq!((timeline.append(at(1), LOG), timeline.room()), (Err(WindowFull), 0));
    timeline.commit(seq(1));
    let slot = timeline.append(at(1), LOG).unwrap();
    assert_eq!((slot.seq, slot.c), (seq(UNCOMMITTED_ROWS_MAX + 1), seq(1)));
}

#[test]
fn committed_never_goes_back_and_never_passes_the_head() {
    let mut timeline = Timeline::empty(epoch(1));
    for _ in 0..5 {
        timeline.append(at(1), LOG).unwrap();
    }
    timeline.commit(seq(4));
    timeline.commit(seq(2));
    assert_eq!(timeline.committed(), seq(4));
    timeline.commit(seq(9));
    assert_eq!(timeline.committed(), seq(5));
}

#[test]
fn a_row_that_continues_the_chain_is_accepted() {
    assert_eq!(replayed(|_| {}), Replay::Accepted);
    assert_eq!(replayed(|row| row.ep = epoch(5)), Replay::Accepted);
    assert_eq!(Timeline::empty(epoch(1)).replay(&row(slot(1), out(1))), Replay::Accepted);
}

#[test]
fn a_row_that_breaks_the_chain_ends_the_log_before_it() {
    assert_eq!(replayed(|row| row.seq = seq(9)), Replay::Cut);
    assert_eq!(replayed(|row| row.seq = seq(7)), Replay::Cut);
    assert_eq!(replayed(|row| row.pe = epoch(2)), Replay::Cut);
    assert_eq!(replayed(|row| (row.pe, row.ep) = (epoch(3), epoch(2))), Replay::Cut);
    assert_eq!(replayed(|row| row.ep = epoch(6)), Replay::Cut);
    assert_eq!(replayed(|row| row.log_id = Some(LOG)), Replay::Cut);
    let mut nameless = row(slot(1), out(1));
    nameless.log_id = None;
    assert_eq!(Timeline::empty(epoch(1)).replay(&nameless), Replay::Cut);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Owners append, lose what is not durable, and recover; the naive model is the list of rows that survived.
    #[test]
    fn a_recovered_log_is_what_was_durable(
        lives in prop::collection::vec((1_u64..3, 0_usize..20, 0_usize..25, 0_u64..100), 1..12),
    ) {
        let mut stored: Vec<InboxRow> = Vec::new();
        let mut owner = 0;
        for (grows, appends, survive, clock) in lives {
            owner += grows;
            let mut timeline = Timeline::empty(epoch(owner));
            for row in &stored {
                prop_assert_eq!(timeline.replay(row), Replay::Accepted);
            }
            prop_assert_eq!(timeline.head(), seq(stored.len() as u64));
            prop_assert_eq!(timeline.committed(), timeline.head());
            prop_assert_eq!(timeline.log_id(), stored.first().and_then(|row| row.log_id));
            let anchored = stored.last().map(|last| {
                let anchor = Anchor { log_id: stored[0].log_id.unwrap(), seq: last.seq, ep: last.ep, time: last.time };
                Timeline::restore(anchor, epoch(owner))
            });
            prop_assert_eq!(anchored.unwrap_or(Timeline::empty(epoch(owner))), timeline.clone());
            for _ in 0..appends.min(survive) {
                let last = stored.last().map_or(at(0), |row| row.time);
                let appended = timeline.append(at(clock), LogId::new([owner as u8; 16])).unwrap();
                prop_assert_eq!(appended.time, last.max(at(clock)));
                stored.push(row(appended, out(1)));
            }
        }
    }
}
