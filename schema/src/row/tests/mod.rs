//! Inbox rows: what is written is read, and what is damaged says so.

mod group;

use bytes::Bytes;
use prost::Message as _;

use super::*;
use crate::{
    change::{self, Change, MessageName},
    group::Departure,
    id::{Epoch, Gid, LogId, Millis, Place, Seq, Uid},
    message::{Draft, MessageParts, RawEntry, conversation_with, encode_message_entry},
    record::{self, RowKind},
    wire,
};

const LOG: LogId = LogId::new([3; 16]);

fn draft() -> Draft {
    let text = wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: "hi".into() })) };
    let send = wire::Send {
        message_id: "0198e0c2-0000-7000-8000-000000000001".into(),
        to: Some(wire::Target { target: Some(wire::target::Target::Uid("bob".into())) }),
        content: Some(text),
        ..Default::default()
    };
    Draft::new(&send, 1000).unwrap()
}

fn message_entry(seq: u64) -> Bytes {
    let draft = draft();
    let (alice, bob): (Uid, Uid) = ("alice".parse().unwrap(), "bob".parse().unwrap());
    let parts = MessageParts {
        message_id: &draft.message_id,
        conversation: &bob,
        from: &alice,
        content: &draft.content,
        reply_to: None,
        push: &draft.push,
        edited: Millis::default(),
    };
    encode_message_entry(Seq::new(seq), Millis::new(77), parts)
}

fn state_entry(seq: u64, body: wire::entry::Body) -> Bytes {
    wire::Entry { seq, time: 77, body: Some(body) }.encode_to_vec().into()
}

fn row(seq: u64, body: RowBody, entry: Bytes) -> InboxRow {
    InboxRow {
        seq: Seq::new(seq),
        ep: Epoch::new(4),
        pe: Epoch::new(3),
        c: Seq::new(1),
        time: Millis::new(77),
        n: 5,
        h: 6,
        t: 7,
        with: Some("bob".parse().unwrap()),
        log_id: (seq == 1).then_some(LOG),
        refers: (seq == 2).then_some(Place { log_id: LOG, seq: Seq::new(4) }),
        edited_by: Seq::new(seq / 2),
        body,
        entry,
    }
}

fn out(seq: u64) -> InboxRow {
    let draft = draft();
    let body = RowBody::Out {
        message_id: draft.message_id,
        hash: draft.hash,
        prev_out: Seq::new(seq - 1),
        counting: draft.counting,
    };
    row(seq, body, message_entry(seq))
}

fn changed(seq: u64, way: Way, change: Change) -> InboxRow {
    let (bob, target): (Uid, Seq) = ("bob".parse().unwrap(), Seq::new(2));
    let name = MessageName { author: bob.clone(), message_id: draft().message_id };
    let entry = state_entry(seq, change::entry_body(&bob, target, &name, &change));
    row(seq, RowBody::Change { way, target, name, change }, entry)
}

fn all_kinds() -> Vec<InboxRow> {
    use wire::entry::Body;
    let draft = draft();
    let bob: Uid = "bob".parse().unwrap();
    let conversation = Some(conversation_with(&bob));
    let place = Place { log_id: LOG, seq: Seq::new(9) };
    let incoming = RowBody::In { message_id: draft.message_id, hash: draft.hash, peer: place, counting: true };
    let read = RowBody::Read { upto: Seq::new(2), read_n: 1, place: Some(place) };
    let unplaced = RowBody::Read { upto: Seq::new(2), read_n: 1, place: None };
    let marker = || Body::Read(wire::ReadMarker { conversation: conversation.clone(), upto: 2 });
    let receipt = Body::Receipt(wire::Receipt { conversation: conversation.clone(), delivered_upto: 2, read_upto: 1 });
    let receipt_body = RowBody::Receipt { delivered_upto: Seq::new(2), read_upto: Seq::new(1) };
    vec![
        out(1),
        row(2, incoming, message_entry(2)),
        row(3, read, state_entry(3, marker())),
        row(4, unplaced, state_entry(4, marker())),
        row(5, receipt_body, state_entry(5, receipt)),
        row(6, RowBody::Blocked, state_entry(6, Body::Blocked(wire::Blocked { uid: "bob".into() }))),
        row(7, RowBody::Unblocked, state_entry(7, Body::Unblocked(wire::Unblocked { uid: "bob".into() }))),
        changed(8, Way::Out { prev_out: Seq::new(1) }, Change::Recall),
        changed(9, Way::In { peer: place }, Change::Edit { content: draft.content }),
        changed(
            10,
            Way::In { peer: place },
            Change::React { from: "bob".parse().unwrap(), reaction: "+1".into(), removed: true },
        ),
        row(
            11,
            RowBody::Deleted {
                seqs: vec![Seq::new(2), Seq::new(5)],
                upto: Seq::new(1),
                whole: true,
                read_n: 3,
                place: Some(place),
                left: Some(Bytes::new()),
            },
            state_entry(
                11,
                Body::Deleted(wire::Deleted {
                    conversation: conversation.clone(),
                    seqs: vec![2, 5],
                    upto: 1,
                    whole: true,
                }),
            ),
        ),
        row(
            12,
            RowBody::ConversationSet { pinned: true, muted: false },
            state_entry(12, Body::ConversationSet(wire::ConversationSet { conversation, pinned: true, muted: false })),
        ),
    ]
}

fn view(seq: u64, change: ViewChange) -> InboxRow {
    let gid: Gid = "g1".parse().unwrap();
    let entry = state_entry(seq, change.entry_body(&gid));
    InboxRow { with: None, ..row(seq, RowBody::Group { gid, change }, entry) }
}

fn all_views() -> Vec<InboxRow> {
    let (alice, seq): (Uid, Seq) = ("alice".parse().unwrap(), Seq::new(8));
    let changes = [
        ViewChange::Joined { seq, by: None },
        ViewChange::Joined { seq, by: Some(alice.clone()) },
        ViewChange::Left { seq, how: Departure::Left },
        ViewChange::Left { seq, how: Departure::Removed { by: alice } },
        ViewChange::Left { seq, how: Departure::Dismissed },
        ViewChange::Read { upto: seq },
        ViewChange::Deleted { seqs: vec![Seq::new(2), Seq::new(5)], upto: Seq::ZERO, whole: false },
        ViewChange::Deleted { seqs: Vec::new(), upto: seq, whole: true },
        ViewChange::Set { pinned: true, muted: false },
    ];
    changes.into_iter().zip(1..).map(|(change, seq)| view(seq, change)).collect()
}

#[test]
fn every_kind_of_row_reads_back_as_it_was_written() {
    for row in all_kinds().into_iter().chain(all_views()) {
        assert_eq!(InboxRow::decode(row.seq, row.encode()), Ok(row));
    }
}

#[test]
fn a_row_of_a_group_names_one_and_says_what_its_kind_says() {
    let with_kind = |row: &InboxRow, kind: RowKind| {
        let stored = record::InboxRow { kind: kind.into(), ..record::InboxRow::decode(row.encode()).unwrap() };
        InboxRow::decode(row.seq, stored.encode_to_vec().into()).unwrap_err()
    };
    let (peers, views) = (all_kinds(), all_views());
    assert_eq!(with_kind(&peers[2], RowKind::GroupRead), RowError::Field("entry.conversation"));
    assert_eq!(with_kind(&peers[11], RowKind::GroupSet), RowError::Field("entry.conversation"));
    assert_eq!(with_kind(&views[0], RowKind::GroupLeft), RowError::Field("entry.body"));
}

#[test]
fn a_row_that_is_read_shares_the_stored_bytes() {
    let stored = out(1).encode();
    let range = stored.as_ptr_range();
    let read = InboxRow::decode(Seq::new(1), stored.clone()).unwrap();
    assert!(range.contains(&read.entry.as_ptr()));
}

#[test]
fn a_row_under_another_key_is_refused() {
    let wrong = RowError::WrongSeq { key: Seq::new(2), entry: Seq::new(1) };
    assert_eq!(InboxRow::decode(Seq::new(2), out(1).encode()), Err(wrong));
}

fn damaged(damage: impl FnOnce(&mut record::InboxRow)) -> RowError {
    let mut stored = record::InboxRow::decode(all_kinds()[1].encode()).unwrap();
    damage(&mut stored);
    InboxRow::decode(Seq::new(2), stored.encode_to_vec().into()).unwrap_err()
}

#[test]
fn a_damaged_row_says_what_is_wrong_with_it() {
    assert_eq!(InboxRow::decode(Seq::new(1), Bytes::from_static(&[0xff])), Err(RowError::Malformed));
    assert_eq!(damaged(|row| row.kind = 99), RowError::Kind);
    assert_eq!(damaged(|row| row.kind = 0), RowError::Kind);
    assert_eq!(damaged(|row| row.kind = RowKind::Read.into()), RowError::Field("entry.body"));
    assert_eq!(damaged(|row| row.payload_hash = Bytes::new()), RowError::Field("payload_hash"));
    assert_eq!(damaged(|row| row.peer = None), RowError::Field("peer"));
    assert_eq!(damaged(|row| row.peer = Some(record::Place::default())), RowError::Field("peer"));
    assert_eq!(damaged(|row| row.with = "b b".into()), RowError::Field("with"));
    assert_eq!(damaged(|row| row.log_id = Bytes::from_static(b"x")), RowError::Field("log_id"));
    assert_eq!(damaged(|row| row.entry = Bytes::new()), RowError::Field("entry.message"));
    let nameless = RawEntry { seq: 2, time: 77, message: Some(Default::default()) };
    assert_eq!(damaged(|row| row.entry = nameless.encode_to_vec().into()), RowError::Field("entry.message_id"));
}

#[test]
fn a_history_row_gives_back_the_entry() {
    let row = &all_kinds()[1];
    let stored = record::HistoryRow::decode(history_row(row)).unwrap();
    assert_eq!((stored.entry, stored.n), (row.entry.clone(), row.n));
}
