//! Tests of what an inbox may forget: a whole visit against a log with times, with crashes between any two steps.

use proptest::prelude::*;

use super::*;
use crate::retention::{Covered, Horizon, Kept, MESSAGE_ID_KEPT_MS, Step, Sweep, is_due};

const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn kept(swept: u64, floor: u64, ids: u64) -> Kept {
    Kept::restore(swept, floor, ids)
}

fn covered(upto: u64, effects_upto: u64, acked_upto: u64) -> Covered {
    Covered { upto: seq(upto), effects_upto: seq(effects_upto), acked_upto: seq(acked_upto) }
}

fn horizon(rows: u64, ids: u64) -> Horizon {
    Horizon { rows: at(rows), ids: at(ids) }
}

/// Does every step until nothing is left; pages have at most `page` rows, row n has `times[n - 1]`.
fn sweep(mut kept: Kept, covered: &Covered, horizon: Horizon, times: &[u64], page: usize) -> Kept {
    let mut sweep = Sweep::new(horizon);
    let rows = |from: Seq, end: Seq| -> Vec<(Seq, Millis)> {
        (from.get()..end.get()).map(|row| (seq(row), at(times[row as usize - 1]))).take(page).collect()
    };
    for _ in 0..10 * times.len() + 10 {
        match sweep.next(&kept, covered) {
            Step::Remove { from, below } => {
                assert!(from == kept.swept && below == kept.floor);
                kept.swept = below;
            }
            Step::Ids { from, end } => kept.ids = sweep.ids_looked_at(from, &rows(from, end)),
            Step::Rows { from, end } => kept.floor = sweep.rows_looked_at(from, &rows(from, end), covered),
            Step::Done => return kept,
        }
    }
    panic!("a sweep ends: {kept:?}");
}

#[test]
fn what_was_never_stored_means_the_beginning() {
    assert_eq!(kept(0, 0, 0), Kept { swept: seq(1), floor: seq(1), ids: seq(1) });
    assert_eq!(kept(0, 7, 0), Kept { swept: seq(1), floor: seq(7), ids: seq(7) });
}

#[test]
fn old_rows_go_and_young_ones_stay() {
    let done = sweep(kept(0, 0, 0), &covered(6, 6, 6), horizon(30, 50), &[10, 20, 30, 40, 50, 60], 2);
    assert_eq!(done, kept(3, 3, 5));
}

#[test]
fn the_newest_row_always_stays() {
    let done = sweep(kept(0, 0, 0), &covered(3, 3, 3), horizon(90, 90), &[10, 20, 30], 2);
    assert_eq!(done, kept(3, 3, 4));
}

#[test]
fn nothing_goes_that_is_still_needed() {
    let times = [10; 9];
    for (bound, floor) in [(covered(5, 9, 9), 5), (covered(9, 4, 9), 5), (covered(9, 9, 2), 3), (covered(0, 0, 0), 1)] {
        let done = sweep(kept(0, 0, 0), &bound, horizon(90, 90), &times, 4);
        assert_eq!((done.floor, done.ids), (seq(floor), bound.upto.next()), "{bound:?}");
    }
}

#[test]
fn an_old_row_behind_a_young_one_is_kept_with_it() {
    // It came late: the log keeps the order in which rows came.
    let done = sweep(kept(0, 0, 0), &covered(4, 4, 4), horizon(30, 30), &[10, 40, 10, 40], 9);
    assert_eq!(done.floor, seq(2));
}

#[test]
fn a_visit_after_a_crash_removes_what_the_last_one_had_decided() {
    let done = sweep(kept(2, 5, 7), &covered(9, 9, 9), horizon(0, 0), &[10; 9], 4);
    assert_eq!(done, kept(5, 5, 7));
    assert!(is_due(&kept(2, 5, 7), &covered(9, 9, 9), &horizon(0, 0), None, None));
}

#[test]
fn rows_are_never_kept_for_less_time_than_their_ids() {
    let now = at(100 * DAY_MS);
    assert_eq!(Horizon::at(now, 30 * DAY_MS), horizon(70 * DAY_MS, 86 * DAY_MS));
    assert_eq!(Horizon::at(now, DAY_MS), horizon(86 * DAY_MS, 86 * DAY_MS));
    assert_eq!(Horizon::at(at(5), 30 * DAY_MS), horizon(0, 0));
    assert_eq!(MESSAGE_ID_KEPT_MS, 14 * DAY_MS);
}

#[test]
fn an_inbox_with_nothing_to_forget_is_not_due() {
    let (bounds, horizon) = (covered(9, 9, 9), horizon(30, 50));
    assert!(!is_due(&kept(1, 1, 1), &bounds, &horizon, Some(at(30)), Some(at(50))));
    assert!(is_due(&kept(1, 1, 1), &bounds, &horizon, Some(at(29)), Some(at(50))));
    assert!(is_due(&kept(1, 1, 1), &bounds, &horizon, Some(at(30)), Some(at(49))));
    assert!(!is_due(&kept(9, 9, 10), &bounds, &horizon, Some(at(1)), None), "only the newest row is left");
    assert!(!is_due(&kept(5, 5, 10), &covered(9, 4, 9), &horizon, Some(at(1)), None), "its outbox needs them");
}

proptest! {
    #[test]
    fn a_visit_takes_all_that_is_old_and_not_needed_and_then_the_inbox_is_not_due(
        times in prop::collection::vec(0_u64..100, 1..40),
        bounds in (0_u64..40, 0_u64..40, 0_u64..40),
        horizons in (0_u64..100, 0_u64..100),
        page in 1_usize..6,
    ) {
        let head = times.len() as u64;
        let bounds = covered(bounds.0.min(head), bounds.1.min(head), bounds.2.min(head));
        // Ids never outlive their rows.
        let horizon = horizon(horizons.0.min(horizons.1), horizons.1);
        let done = sweep(kept(0, 0, 0), &bounds, horizon, &times, page);
        prop_assert!(done.swept == done.floor && done.floor <= done.ids);
        let time = |place: Seq| times.get(place.get() as usize - 1).copied();
        prop_assert!((1..done.ids.get()).all(|row| time(seq(row)) < Some(horizon.ids.get())));
        prop_assert!((1..done.floor.get()).all(|row| time(seq(row)) < Some(horizon.rows.get())));
        prop_assert!(done.floor.get() <= bounds.end().get().max(1));
        let row = |place: Seq| time(place).map(at);
        prop_assert!(!is_due(&done, &bounds, &horizon, row(done.floor), row(done.ids)));
    }
}
