//! Tests of a conversation: the fold against counting, markers, receipts, blocks and its stored form.

use proptest::prelude::*;
use tidings_schema::{id::IdError, record, row::InboxRow};

use super::*;
use crate::conversation::{BlockSpan, Conversation, Counters, HISTORY_BUCKET_ROWS, PAST_BLOCKS_MAX, ReadMove, recount};

/// Appends a row as the mailbox does: counters from the conversation, then the fold.
fn add(conversation: &mut Conversation, rows: &mut Vec<InboxRow>, body: RowBody) {
    let Counters { n, h } = conversation.next_counters(&body);
    let next = InboxRow { n, h, ..row(slot(rows.last().map_or(1, |last| last.seq.get() + 1)), body) };
    conversation.apply(&next);
    rows.push(next);
}

fn talked(bodies: impl IntoIterator<Item = RowBody>) -> (Conversation, Vec<InboxRow>) {
    let (mut conversation, mut rows) = (Conversation::default(), Vec::new());
    for body in bodies {
        add(&mut conversation, &mut rows, body);
    }
    (conversation, rows)
}

fn read(to: ReadMove) -> RowBody {
    RowBody::Read { upto: to.upto, read_n: to.read_n, place: to.place }
}

#[test]
fn only_counting_messages_of_the_peer_are_unread() {
    let (conversation, _) = talked([incoming(place(1), true), out(2), incoming(place(3), false), RowBody::Blocked]);
    assert_eq!((conversation.n, conversation.h, conversation.unread()), (1, 3, 1));
    assert_eq!((conversation.last_seq, conversation.last_out, conversation.last_in), (seq(3), seq(2), seq(3)));
    assert_eq!(conversation.last_in_place, Some(place(3)));
    assert_eq!(&conversation.last[..], b"3");
    assert_eq!(conversation.upto, seq(4));
}

#[test]
fn a_row_that_is_reflected_changes_nothing() {
    let (conversation, rows) = talked([incoming(place(1), true), out(2)]);
    let mut again = conversation.clone();
    rows.iter().for_each(|row| again.apply(row));
    assert_eq!(again, conversation);
}

#[test]
fn reading_to_the_middle_clears_what_stands_before() {
    let (mut conversation, mut rows) = talked((1..=4).map(|from| incoming(place(from), true)));
    let to = conversation.mark_read(seq(3), 3, Some(place(3))).unwrap();
    assert_eq!(to, ReadMove { upto: seq(3), read_n: 3, place: Some(place(3)), cleared: 3 });
    add(&mut conversation, &mut rows, read(to));
    assert_eq!((conversation.last_read, conversation.unread()), (seq(3), 1));
    assert_eq!(conversation.mark_read(seq(2), 2, Some(place(2))), None);
    assert_eq!(conversation.mark_read(seq(3), 3, Some(place(3))), None);
}

#[test]
fn reading_at_or_above_the_newest_message_means_the_newest() {
    let (mut conversation, mut rows) = talked([incoming(place(9), true), out(2)]);
    let head = ReadMove { upto: seq(2), read_n: 1, place: Some(place(9)), cleared: 1 };
    assert_eq!(conversation.mark_read(seq(700), 0, None), Some(head));
    assert_eq!(conversation.mark_head(), Some(head));
    add(&mut conversation, &mut rows, read(head));
    assert_eq!((conversation.mark_head(), conversation.unread()), (None, 0));
    assert_eq!(Conversation::default().mark_head(), None);
}

#[test]
fn receipts_are_cumulative_and_read_means_delivered() {
    let (mut conversation, mut rows) = talked([out(1), out(2), out(3)]);
    assert_eq!(conversation.receipt_news(seq(0), seq(0)), None);
    assert_eq!(conversation.receipt_news(seq(1), seq(2)), Some((seq(2), seq(2))));
    add(&mut conversation, &mut rows, RowBody::Receipt { delivered_upto: seq(2), read_upto: seq(2) });
    assert_eq!(conversation.receipt_news(seq(2), seq(1)), None);
    assert_eq!(conversation.receipt_news(seq(3), seq(0)), Some((seq(3), seq(2))));
}

#[test]
fn what_was_sent_during_a_block_stays_blocked_after_it() {
    let (mut conversation, mut rows) = talked([out(1), RowBody::Blocked, RowBody::Blocked]);
    assert_eq!((conversation.blocked, conversation.blocked_at), (true, at(2)));
    assert!(conversation.was_blocked_at(at(1)) && conversation.was_blocked_at(at(900)));
    add(&mut conversation, &mut rows, RowBody::Unblocked);
    add(&mut conversation, &mut rows, RowBody::Unblocked);
    assert!(!conversation.blocked);
    assert_eq!(conversation.past_blocks, [BlockSpan { from: at(2), until: at(4) }]);
    let blocked = [1, 2, 3, 4].map(|time| conversation.was_blocked_at(at(time)));
    assert_eq!(blocked, [false, true, true, false]);
    assert!(!Conversation::default().was_blocked_at(at(0)));
}

#[test]
fn every_block_is_remembered_not_the_newest_only() {
    let (conversation, _) =
        talked([RowBody::Blocked, RowBody::Unblocked, out(3), RowBody::Blocked, RowBody::Unblocked]);
    let stored = Conversation::from_record(conversation.to_record(seq(5))).unwrap();
    let blocked = [1, 2, 3, 4, 5].map(|time| stored.was_blocked_at(at(time)));
    assert_eq!(blocked, [true, false, false, true, false]);
}

#[test]
fn a_message_sent_after_a_block_ends_what_had_to_be_remembered_of_it() {
    let (mut conversation, mut rows) = talked([RowBody::Blocked, RowBody::Unblocked, RowBody::Blocked]);
    let late = InboxRow { time: at(1), ..row(slot(4), incoming(place(1), true)) };
    conversation.apply(&late);
    rows.push(late);
    assert_eq!(conversation.past_blocks.len(), 1, "what was sent in it may still come");
    add(&mut conversation, &mut rows, incoming(place(2), true));
    assert!(conversation.past_blocks.is_empty());
}

#[test]
fn of_many_blocks_the_oldest_is_forgotten() {
    let blocks = (0..=PAST_BLOCKS_MAX).flat_map(|_| [RowBody::Blocked, RowBody::Unblocked]);
    let (conversation, rows) = talked(blocks);
    assert_eq!(conversation.past_blocks.len(), PAST_BLOCKS_MAX);
    let newest = rows.len() as u64 - 1;
    assert_eq!([1, 3, newest].map(|time| conversation.was_blocked_at(at(time))), [false, true, true]);
}

#[test]
fn a_place_grows_within_one_log_and_another_log_replaces_it() {
    let mut conversation = Conversation::default();
    conversation.note_place(place(5));
    conversation.sent_read_upto = seq(4);
    conversation.note_place(place(3));
    assert_eq!((conversation.peer, conversation.sent_read_upto), (Some(place(5)), seq(4)));
    let other = Place { log_id: OTHER_LOG, seq: seq(2) };
    conversation.note_place(other);
    assert_eq!((conversation.peer, conversation.sent_read_upto), (Some(other), seq(0)));
}

#[test]
fn accepted_only_grows() {
    let mut conversation = Conversation::default();
    conversation.set_accepted(seq(5));
    conversation.set_accepted(seq(3));
    assert_eq!(conversation.accepted_upto, seq(5));
}

#[test]
fn every_ten_thousand_messages_begin_a_bucket() {
    let mut conversation = Conversation::default();
    for at_seq in 1..=2 * HISTORY_BUCKET_ROWS + 1 {
        let body = out(at_seq);
        let Counters { n, h } = conversation.next_counters(&body);
        conversation.apply(&InboxRow { n, h, ..row(slot(at_seq), body) });
    }
    assert_eq!(conversation.bucket_first_seqs, [seq(1), seq(10_001), seq(20_001)]);
    let before = |at_seq| conversation.bucket_before(seq(at_seq));
    assert_eq!([before(0), before(20_002), before(20_001), before(10_001), before(1)], [2, 2, 1, 0, 0]);
}

#[test]
fn a_record_with_a_place_of_no_log_is_refused() {
    let broken = record::Conversation { peer: Some(record::Place::default()), ..Default::default() };
    assert_eq!(Conversation::from_record(broken).unwrap_err(), IdError::NotLogId);
}

fn bodies() -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((0_u8..8, 0_u64..40), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any talk: unread equals counting the rows, and a fold from a snapshot of any moment ends where the whole one does.
    #[test]
    fn the_fold_equals_counting_and_a_snapshot_can_be_taken_anywhere(bodies in bodies(), snapshot in 0_usize..60) {
        let (mut conversation, mut rows) = (Conversation::default(), Vec::<InboxRow>::new());
        let mut stored = None;
        for (number, (kind, target)) in bodies.into_iter().enumerate() {
            if number == snapshot {
                stored = Some(conversation.to_record(seq(number as u64)));
            }
            let body = match kind {
                0 | 1 => out(number as u64),
                2 | 3 => incoming(place(number as u64 + 1), kind == 2),
                4 | 5 => {
                    let target = rows.iter().find(|row| row.seq == seq(target) && row.body.is_message());
                    let to = target.and_then(|row| conversation.mark_read(row.seq, row.n, None));
                    let Some(to) = to else { add(&mut conversation, &mut rows, out(0)); continue };
                    let before = conversation.unread();
                    add(&mut conversation, &mut rows, read(to));
                    prop_assert_eq!(before - conversation.unread(), to.cleared);
                    continue;
                }
                6 => RowBody::Receipt { delivered_upto: seq(target), read_upto: seq(target / 2) },
                _ => if target % 2 == 0 { RowBody::Blocked } else { RowBody::Unblocked },
            };
            add(&mut conversation, &mut rows, body);
            prop_assert_eq!(conversation.unread(), recount(&rows));
        }
        prop_assert_eq!(conversation.h, rows.iter().filter(|row| row.body.is_message()).count() as u64);
        let mut again = Conversation::from_record(stored.unwrap_or_default()).unwrap();
        rows.iter().for_each(|row| again.apply(row));
        prop_assert_eq!(again, conversation);
    }
}
