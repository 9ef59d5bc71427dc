//! Tests of the outbox: one delivery in flight, re-driven, always from the first row that is not accepted.

use super::*;
use crate::outbox::{ANSWER_MS_MIN, Back, DELIVER_ROWS_MAX, Flight, Outbox, REDRIVE_MS_MAX};

fn chain(seqs: &[u64]) -> Outbox {
    Outbox::restore(Seq::ZERO, seqs.iter().copied().map(seq))
}

fn flight(prev: u64, seqs: &[u64]) -> Option<Flight> {
    Some(Flight { prev: seq(prev), seqs: seqs.iter().copied().map(seq).collect(), read: None, adopt: false })
}

#[test]
fn only_committed_rows_are_sent() {
    let mut outbox = chain(&[2, 4]);
    assert_eq!(outbox.next(seq(1), at(0)), None);
    assert_eq!(outbox.deadline(), None);
    assert_eq!(outbox.next(seq(3), at(0)), flight(0, &[2]));
}

#[test]
fn one_delivery_is_in_flight_until_its_time_is_over() {
    let mut outbox = chain(&[2]);
    assert_eq!(outbox.next(seq(9), at(0)), flight(0, &[2]));
    outbox.push(seq(4));
    assert_eq!(outbox.next(seq(9), at(ANSWER_MS_MIN - 1)), None);
    assert_eq!(outbox.deadline(), Some(at(ANSWER_MS_MIN)));
    assert_eq!(outbox.next(seq(9), at(ANSWER_MS_MIN)), flight(0, &[2, 4]));
    assert_eq!(outbox.deadline(), Some(at(2 * ANSWER_MS_MIN)));
}

#[test]
fn a_delivery_that_was_not_taken_goes_again_soon() {
    let mut outbox = chain(&[2]);
    assert_eq!(outbox.next(seq(9), at(0)), flight(0, &[2]));
    outbox.offer_failed(at(0));
    assert!(outbox.deadline().is_some_and(|due| due < at(ANSWER_MS_MIN)));
}

#[test]
fn waiting_grows_to_its_bound_and_never_ends() {
    let mut outbox = chain(&[2]);
    let mut now = at(0);
    for _ in 0..20 {
        assert_eq!(outbox.next(seq(9), now), flight(0, &[2]));
        now = outbox.deadline().unwrap();
    }
    let _ = outbox.next(seq(9), now);
    assert_eq!(outbox.deadline(), Some(now.plus(REDRIVE_MS_MAX)));
}

#[test]
fn what_is_accepted_is_not_sent_again_and_the_next_follows_it() {
    let mut outbox = chain(&[2, 4]);
    let _ = outbox.next(seq(4), at(0));
    outbox.push(seq(7));
    outbox.accepted(seq(4), None, at(1));
    assert_eq!((outbox.deadline(), outbox.unaccepted(), outbox.accepted_upto()), (None, 1, seq(4)));
    assert_eq!(outbox.next(seq(9), at(1)), flight(4, &[7]));
    outbox.accepted(seq(7), None, at(2));
    assert!(outbox.is_idle());
    assert_eq!(outbox.next(seq(9), at(2)), None);
}

#[test]
fn a_part_that_is_accepted_gives_the_rest_more_time() {
    let mut outbox = chain(&[2, 4]);
    let _ = outbox.next(seq(9), at(0));
    outbox.accepted(seq(2), None, at(90));
    assert_eq!(outbox.next(seq(9), at(100)), None);
    assert_eq!(outbox.deadline(), Some(at(1_090)));
    assert_eq!(outbox.next(seq(9), at(1_090)), flight(2, &[4]));
}

#[test]
fn lower_and_repeated_acceptance_changes_nothing() {
    let mut outbox = chain(&[2, 4, 6]);
    let _ = outbox.next(seq(4), at(0));
    outbox.accepted(seq(4), None, at(1));
    let _ = outbox.next(seq(6), at(1));
    for upto in [0, 2, 4] {
        outbox.accepted(seq(upto), None, at(50));
    }
    assert_eq!((outbox.accepted_upto(), outbox.unaccepted(), outbox.deadline()), (seq(4), 1, Some(at(1_001))));
}

#[test]
fn a_delivery_has_a_limited_number_of_rows() {
    let mut outbox = Outbox::restore(Seq::ZERO, (1..=100).map(seq));
    let first = outbox.next(seq(100), at(0)).unwrap();
    assert_eq!(first.seqs.len(), DELIVER_ROWS_MAX);
    outbox.accepted(seq(64), None, at(0));
    assert_eq!(outbox.next(seq(100), at(0)).unwrap().seqs.len(), 36);
}

#[test]
fn a_delivery_that_was_trimmed_lands_with_what_was_kept() {
    let mut outbox = chain(&[2, 4, 6]);
    let mut first = outbox.next(seq(6), at(0)).unwrap();
    outbox.trim(&mut first, 0);
    assert_eq!(first.seqs, [seq(2)]);
    outbox.accepted(seq(2), None, at(1));
    assert_eq!(outbox.next(seq(6), at(1)), flight(2, &[4, 6]));
}

#[test]
fn a_delivery_that_was_not_taken_is_tried_again_later() {
    let mut outbox = chain(&[2]);
    let _ = outbox.next(seq(2), at(0));
    outbox.offer_failed(at(5));
    assert_eq!(outbox.deadline(), Some(at(205)));
    assert_eq!(outbox.next(seq(2), at(204)), None);
    assert_eq!(outbox.next(seq(2), at(205)), flight(0, &[2]));
}

#[test]
fn a_peer_that_lost_accepted_rows_gets_them_from_the_log() {
    let mut outbox = Outbox::restore(seq(8), [seq(9)]);
    let _ = outbox.next(seq(9), at(0));
    assert_eq!(outbox.gap(seq(5), at(1)), Back::Reload(seq(5)));
    outbox.go_back(seq(5), [seq(5), seq(7), seq(8), seq(9)]);
    assert_eq!(outbox.next(seq(9), outbox.deadline().unwrap()), flight(5, &[7, 8, 9]));
}

#[test]
fn a_peer_that_lost_rows_the_log_does_not_keep_is_asked_to_adopt_until_it_has() {
    let mut outbox = Outbox::restore(seq(8), [seq(9)]);
    let _ = outbox.next(seq(9), at(0));
    assert_eq!(outbox.gap(seq(2), at(1)), Back::Reload(seq(2)));
    outbox.go_back_to_kept(seq(2), seq(5), [seq(7), seq(8), seq(9)]);
    let asked = outbox.next(seq(9), outbox.deadline().unwrap()).unwrap();
    assert_eq!((asked.prev, asked.adopt, asked.seqs.len()), (seq(5), true, 3));
    outbox.accepted(seq(2), None, at(9_000));
    assert!(outbox.next(seq(9), at(90_000)).unwrap().adopt, "what it had before is no answer");
    outbox.accepted(seq(7), None, at(91_000));
    assert_eq!(outbox.next(seq(9), at(200_000)), flight(7, &[8, 9]));
}

#[test]
fn a_peer_that_lost_rows_the_log_keeps_adopts_nothing() {
    let mut outbox = Outbox::restore(seq(8), [seq(9)]);
    outbox.go_back_to_kept(seq(5), seq(4), [seq(7), seq(8), seq(9)]);
    assert_eq!(outbox.next(seq(9), at(0)), flight(5, &[7, 8, 9]));
    outbox.go_back_to_kept(seq(2), seq(9), []);
    assert!(outbox.is_idle(), "nothing is left to send");
    outbox.push(seq(12));
    let asked = outbox.next(seq(12), at(90_000)).unwrap();
    assert_eq!((asked.prev, asked.adopt), (seq(9), true));
}

#[test]
fn an_old_gap_makes_nothing_worse() {
    let mut outbox = Outbox::restore(seq(8), [seq(9)]);
    let _ = outbox.next(seq(9), at(0));
    assert_eq!(outbox.gap(seq(8), at(1)), Back::Covered);
    assert_eq!(outbox.next(seq(9), outbox.deadline().unwrap()), flight(8, &[9]));
}

#[test]
fn the_newest_marker_rides_alone_or_with_rows_until_it_is_accepted() {
    let mut outbox = chain(&[]);
    outbox.set_read(place(5), seq(10));
    outbox.set_read(place(4), seq(11));
    let alone = Flight { prev: seq(0), seqs: Vec::new(), read: Some(place(5)), adopt: false };
    assert_eq!(outbox.next(seq(20), at(0)), Some(alone));
    outbox.push(seq(12));
    outbox.accepted(seq(0), Some(place(4)), at(1));
    outbox.accepted(seq(0), Some(Place { log_id: OTHER_LOG, seq: seq(9) }), at(1));
    assert!(!outbox.is_idle());
    assert_eq!(outbox.next(seq(20), at(1)), None);
    outbox.accepted(seq(0), Some(place(5)), at(2));
    assert_eq!(outbox.next(seq(20), at(2)), flight(0, &[12]));
}

#[test]
fn a_marker_that_moved_while_its_older_self_was_in_flight_goes_next() {
    let mut outbox = chain(&[]);
    outbox.set_read(place(5), seq(10));
    let _ = outbox.next(seq(20), at(0));
    outbox.set_read(place(6), seq(11));
    outbox.accepted(seq(0), Some(place(5)), at(1));
    assert_eq!(outbox.next(seq(20), at(1)).unwrap().read, Some(place(6)));
    outbox.accepted(seq(0), Some(place(6)), at(2));
    assert!(outbox.is_idle() && outbox.deadline().is_none());
}

#[test]
fn a_marker_of_another_life_of_the_peer_replaces_the_old_one() {
    let mut outbox = chain(&[]);
    let other = Place { log_id: OTHER_LOG, seq: seq(1) };
    outbox.set_read(place(5), seq(10));
    outbox.set_read(other, seq(11));
    assert_eq!(outbox.next(seq(20), at(0)).unwrap().read, Some(other));
}

#[test]
fn the_oldest_effect_is_a_row_or_a_marker() {
    let mut outbox = chain(&[12]);
    assert_eq!(outbox.oldest_unaccepted(), Some(seq(12)));
    outbox.set_read(place(5), seq(10));
    assert_eq!(outbox.oldest_unaccepted(), Some(seq(10)));
    outbox.accepted(seq(0), Some(place(5)), at(0));
    assert_eq!(outbox.oldest_unaccepted(), Some(seq(12)));
    outbox.accepted(seq(12), None, at(0));
    assert_eq!(outbox.oldest_unaccepted(), None);
}
