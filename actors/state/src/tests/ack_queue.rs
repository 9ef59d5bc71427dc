//! Tests of the ack queue: catching up and live, the limits, acks, and what time does.

use proptest::prelude::*;

use super::*;
use crate::ack_queue::{
    ACK_TIMEOUT_MS, ACK_WINDOW_BYTES, ACK_WINDOW_ENTRIES, AckOutcome, AckQueue, Due, Live, Room, UNDRAINED_BYTES_MAX,
    Want,
};

fn entries(after: u64, upto: u64, bytes: usize) -> Vec<(Seq, usize)> {
    (after + 1..=upto).map(|at_seq| (seq(at_seq), bytes)).collect()
}

/// A live device that was sent entries 1..=upto of `bytes` each.
fn sent(upto: u64, bytes: usize) -> AckQueue {
    let mut queue = AckQueue::attach(seq(0));
    assert_eq!(queue.wants(seq(0)), Want::Nothing);
    let fresh = entries(0, upto, bytes);
    assert_eq!(queue.live(&fresh), Live::Push);
    queue.pushed(&fresh);
    queue
}

#[test]
fn a_device_catches_up_from_where_it_is_and_then_is_live() {
    let mut queue = AckQueue::attach(seq(5));
    assert_eq!(queue.live(&entries(7, 8, 1)), Live::Later);
    let room = Room { entries: ACK_WINDOW_ENTRIES, bytes: UNDRAINED_BYTES_MAX };
    assert_eq!(queue.wants(seq(8)), Want::Page { after: seq(5), room });
    let page = entries(5, 8, 10);
    assert_eq!(queue.fit(&page), 3);
    queue.pushed(&page);
    assert!(!queue.is_live());
    assert_eq!(queue.wants(seq(8)), Want::Nothing);
    assert!(queue.is_live());
    assert_eq!(queue.live(&entries(8, 9, 10)), Live::Push);
}

#[test]
fn a_commit_that_does_not_follow_makes_a_live_device_catch_up() {
    let mut queue = sent(2, 10);
    assert_eq!(queue.live(&entries(3, 4, 10)), Live::Later);
    assert!(matches!(queue.wants(seq(4)), Want::Page { after, .. } if after == seq(2)));
}

#[test]
fn a_full_out_queue_makes_a_live_device_catch_up_once_it_drains() {
    let mut queue = sent(1, UNDRAINED_BYTES_MAX);
    assert_eq!(queue.live(&entries(1, 2, 1)), Live::Later);
    assert_eq!(queue.wants(seq(2)), Want::Nothing);
    queue.drained(seq(1), at(0));
    assert!(matches!(queue.wants(seq(2)), Want::Page { .. }));
}

#[test]
fn a_full_window_waits_for_an_ack() {
    let mut queue = sent(ACK_WINDOW_ENTRIES as u64, 1);
    queue.drained(seq(256), at(0));
    assert_eq!(queue.live(&entries(256, 257, 1)), Live::Later);
    assert_eq!(queue.wants(seq(257)), Want::Nothing);
    assert_eq!(queue.ack(seq(1), seq(257)), AckOutcome::Moved);
    assert!(matches!(queue.wants(seq(257)), Want::Page { room: Room { entries: 1, .. }, .. }));
}

#[test]
fn one_entry_of_any_size_goes_into_an_empty_queue() {
    let mut queue = sent(1, 5 * ACK_WINDOW_BYTES);
    queue.drained(seq(1), at(0));
    assert_eq!(queue.fit(&entries(1, 2, 1)), 0);
    let _ = queue.ack(seq(1), seq(2));
    assert_eq!(queue.fit(&entries(1, 3, UNDRAINED_BYTES_MAX + 1)), 1);
}

#[test]
fn a_page_without_room_is_not_asked_for_again_before_room_grows() {
    let mut queue = AckQueue::attach(seq(0));
    queue.pushed(&entries(0, 1, 10));
    assert!(matches!(queue.wants(seq(2)), Want::Page { .. }));
    assert_eq!(queue.fit(&entries(1, 2, UNDRAINED_BYTES_MAX)), 0);
    assert_eq!(queue.wants(seq(2)), Want::Nothing);
    queue.drained(seq(1), at(0));
    assert!(matches!(queue.wants(seq(2)), Want::Page { .. }));
}

#[test]
fn a_page_that_does_not_follow_is_asked_for_again() {
    let mut queue = AckQueue::attach(seq(0));
    assert_eq!(queue.fit(&entries(3, 5, 10)), 0);
    assert!(matches!(queue.wants(seq(5)), Want::Page { after, .. } if after == seq(0)));
}

#[test]
fn acks_move_the_cursor_forward_and_never_above_the_head() {
    let mut queue = sent(3, 10);
    assert_eq!(queue.ack(seq(4), seq(3)), AckOutcome::AboveHead);
    assert_eq!(queue.ack(seq(2), seq(3)), AckOutcome::Moved);
    assert_eq!(queue.ack(seq(2), seq(3)), AckOutcome::Stale);
    assert_eq!(queue.ack(seq(1), seq(3)), AckOutcome::Stale);
    assert_eq!((queue.acked(), queue.unacked()), (seq(2), 1));
    // An ack implies drained: only the third entry's bytes are still in the out queue.
    assert_eq!(queue.room(), Room { entries: ACK_WINDOW_ENTRIES - 1, bytes: UNDRAINED_BYTES_MAX - 10 });
}

#[test]
fn a_device_that_has_more_than_it_was_sent_is_not_sent_it() {
    let mut queue = AckQueue::attach(seq(0));
    assert_eq!(queue.ack(seq(4), seq(6)), AckOutcome::Moved);
    assert!(matches!(queue.wants(seq(6)), Want::Page { after, .. } if after == seq(4)));
}

#[test]
fn what_the_connection_dropped_is_sent_again() {
    let mut queue = sent(5, 10);
    let _ = queue.ack(seq(1), seq(5));
    queue.dropped(seq(3));
    assert_eq!((queue.unacked(), queue.is_live(), queue.sent()), (2, false, seq(3)));
    assert!(matches!(queue.wants(seq(5)), Want::Page { after, .. } if after == seq(3)));
    queue.dropped(seq(0));
    assert_eq!((queue.unacked(), queue.sent()), (0, seq(1)));
}

#[test]
fn entries_that_have_not_left_the_out_queue_have_no_time_out() {
    let queue = sent(2, 10);
    assert_eq!((queue.deadline(), queue.due(at(u64::MAX))), (None, Due::Nothing));
}

#[test]
fn unacknowledged_entries_are_sent_once_more_and_then_the_device_is_dead() {
    let mut queue = sent(3, 10);
    queue.drained(seq(2), at(5));
    assert_eq!(queue.deadline(), Some(at(5 + ACK_TIMEOUT_MS)));
    assert_eq!(queue.due(at(4 + ACK_TIMEOUT_MS)), Due::Nothing);
    assert_eq!(queue.due(at(5 + ACK_TIMEOUT_MS)), Due::Redeliver { after: seq(0), upto: seq(2) });
    queue.redelivered(seq(0), seq(2));
    assert_eq!(queue.due(at(900_000)), Due::Nothing);
    queue.drained(seq(2), at(20_000));
    assert_eq!(queue.due(at(19_999 + ACK_TIMEOUT_MS)), Due::Nothing);
    assert_eq!((queue.deadline(), queue.due(at(30_000))), (Some(at(30_000)), Due::Dead));
}

#[test]
fn an_ack_after_the_second_attempt_saves_the_device() {
    let mut queue = sent(2, 10);
    queue.drained(seq(2), at(0));
    queue.redelivered(seq(0), seq(2));
    queue.drained(seq(2), at(20_000));
    let _ = queue.ack(seq(2), seq(2));
    assert_eq!((queue.deadline(), queue.due(at(900_000))), (None, Due::Nothing));
}

#[test]
fn a_redelivery_leaves_room_in_the_out_queue() {
    let half = UNDRAINED_BYTES_MAX / 2;
    let mut queue = sent(2, half);
    queue.drained(seq(2), at(0));
    queue.pushed(&entries(2, 3, half));
    assert_eq!(queue.due(at(10_000)), Due::Redeliver { after: seq(0), upto: seq(1) });
    queue.redelivered(seq(0), seq(1));
    assert_eq!((queue.due(at(10_000)), queue.deadline()), (Due::Nothing, None));
    queue.drained(seq(3), at(11_000));
    assert_eq!(queue.due(at(11_000)), Due::Redeliver { after: seq(1), upto: seq(2) });
}

#[test]
fn a_connection_that_had_forwarded_more_is_taken_at_its_word_and_owes_nothing_of_before() {
    // A queue made again after its mailbox died starts further back than the connection is.
    let mut queue = sent(UNDRAINED_BYTES_MAX as u64 / 1024, 1024);
    assert_eq!(queue.room().bytes, 0);
    queue.dropped(seq(5_000));
    assert_eq!((queue.sent(), queue.unacked()), (seq(5_000), 0));
    let room = Room { entries: ACK_WINDOW_ENTRIES, bytes: UNDRAINED_BYTES_MAX };
    assert_eq!(queue.room(), room);
    assert_eq!(queue.wants(seq(5_001)), Want::Page { after: seq(5_000), room });
    let next = entries(5_000, 5_001, 10);
    assert_eq!(queue.fit(&next), 1);
    queue.pushed(&next);
    assert_eq!(queue.ack(seq(5_001), seq(5_001)), AckOutcome::Moved);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A device that reads, acks, drops and stalls at random, against the plain list of what reached it: contiguous, all
    /// of it in the end, and never more on the way than the limits allow.
    #[test]
    fn a_device_gets_every_entry_in_order_within_the_limits(
        steps in prop::collection::vec((0_u8..6, 1_u64..40, 1_usize..30_000), 1..150),
    ) {
        let mut queue = AckQueue::attach(seq(0));
        let (mut sizes, mut pushed) = (Vec::<usize>::new(), 0_u64);
        let (mut drained, mut now) = (0_u64, 0);
        let page = |sizes: &[usize], after: u64, room: Room| -> Vec<(Seq, usize)> {
            let mut total = 0;
            let rows = sizes.iter().enumerate().skip(after as usize).take(room.entries.max(1));
            rows.take_while(|(at_row, size)| { total += **size; total <= room.bytes || *at_row as u64 == after })
                .map(|(at_row, size)| (seq(at_row as u64 + 1), *size)).collect()
        };
        for (step, count, size) in steps.into_iter().chain((0..2_000_u32).map(|step| (4 - (step % 3) as u8, u64::MAX, 1))) {
            now += 1;
            match step {
                0 | 1 => {
                    let from = sizes.len() as u64;
                    sizes.extend((0..count).map(|_| size));
                    let fresh = page(&sizes, from, Room { entries: usize::MAX, bytes: usize::MAX });
                    if queue.live(&fresh) == Live::Push {
                        prop_assert_eq!(from, pushed);
                        queue.pushed(&fresh);
                        pushed = sizes.len() as u64;
                    }
                }
                2 => {
                    if let Want::Page { after, room } = queue.wants(seq(sizes.len() as u64)) {
                        prop_assert_eq!(after, seq(pushed));
                        let read = page(&sizes, pushed, room);
                        let fits = queue.fit(&read);
                        queue.pushed(&read[..fits]);
                        pushed += fits as u64;
                    }
                }
                3 => {
                    drained = drained.max(pushed.min(drained.saturating_add(count)));
                    queue.drained(seq(drained), at(now));
                }
                4 => {
                    let acked = drained.min(queue.acked().get().saturating_add(count));
                    let moved = if acked > queue.acked().get() { AckOutcome::Moved } else { AckOutcome::Stale };
                    prop_assert_eq!(queue.ack(seq(acked), seq(sizes.len() as u64)), moved);
                }
                _ => {
                    pushed = pushed.saturating_sub(count).max(drained);
                    queue.dropped(seq(pushed));
                }
            }
            let acked = queue.acked().get() as usize;
            let unacked: usize = sizes[acked..pushed as usize].iter().sum();
            let undrained: usize = sizes[acked.max(drained as usize)..pushed as usize].iter().sum();
            prop_assert!(queue.unacked() == pushed as usize - acked && queue.unacked() <= ACK_WINDOW_ENTRIES);
            prop_assert!(unacked <= ACK_WINDOW_BYTES || queue.unacked() == 1);
            prop_assert!(undrained <= UNDRAINED_BYTES_MAX || pushed - drained == 1);
        }
        prop_assert_eq!(queue.acked(), seq(sizes.len() as u64));
    }
}
