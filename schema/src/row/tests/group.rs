//! Rows of a group's log: whatever happened is written and read again, damage is named, and what was recalled is gone.

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use crate::{
    change::{Change, Made, MessageName},
    group::{Departure, Event, HistoryForNew, JoinPolicy, Mention, Role, Settings, SettingsPatch, encode_event_entry},
    id::{Epoch, Gid, LogId, MessageId, Millis, Seq, Uid},
    message::{GroupDraft, encode_group_message_entry},
    record::{self, GroupRowKind},
    row::{GroupRow, RowError},
    wire,
};

const TIME: Millis = Millis::new(77);

fn gid() -> Gid {
    "g1".parse().unwrap()
}

fn uid(name: &str) -> Uid {
    name.parse().unwrap()
}

fn content(text: &str) -> wire::Content {
    wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: text.into() })) }
}

fn draft(text: &str) -> GroupDraft {
    let send = wire::Send {
        message_id: "0198e0c2-0000-7000-8000-000000000001".into(),
        to: Some(wire::Target { target: Some(wire::target::Target::Gid("g1".into())) }),
        content: Some(content(text)),
        mentions: vec![wire::Mention { who: Some(wire::mention::Who::Role(wire::Role::Admin.into())) }],
        reply_to: Some(wire::MessageRef {
            seq: 2,
            author: "eve".into(),
            message_id: "0198e0c2-0000-7000-8000-000000000002".into(),
        }),
        push: Some(wire::PushHint { body: text.into(), ..Default::default() }),
        retry: false,
    };
    GroupDraft::new(&send, 1000).unwrap()
}

fn row(seq: u64, event: Event, entry: Bytes) -> GroupRow {
    GroupRow {
        seq: Seq::new(seq),
        ep: Epoch::new(4),
        pe: Epoch::new(3),
        c: Seq::new(seq / 2),
        time: TIME,
        n: seq / 3,
        log_id: (seq == 1).then_some(LogId::new([3; 16])),
        edited_by: Seq::new(seq % 5),
        event,
        entry,
    }
}

fn message(seq: u64, text: &str) -> GroupRow {
    let draft = draft(text);
    let entry = encode_group_message_entry(Seq::new(seq), TIME, &uid("alice"), &draft);
    let (message_id, hash, counting) = (draft.message_id, draft.hash, draft.counting);
    row(seq, Event::Message { from: uid("alice"), message_id, hash, counting }, entry)
}

fn other(seq: u64, event: Event) -> GroupRow {
    let entry = encode_event_entry(&gid(), Seq::new(seq), TIME, &event).unwrap();
    row(seq, event, entry)
}

fn any_uid() -> impl Strategy<Value = Uid> {
    "[A-Za-z0-9._:@-]{1,64}".prop_map(|text| text.parse().unwrap())
}

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)]
}

fn any_join() -> impl Strategy<Value = JoinPolicy> {
    prop_oneof![Just(JoinPolicy::Invite), Just(JoinPolicy::Open)]
}

fn any_history() -> impl Strategy<Value = HistoryForNew> {
    prop_oneof![Just(HistoryForNew::None), Just(HistoryForNew::All)]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    (".{0,20}", ".{0,20}", ".{0,20}", any_join(), any_history()).prop_map(
        |(name, avatar, notice, join, history_for_new)| Settings {
            name,
            avatar,
            notice,
            join,
            history_for_new,
            // Nobody creates a muted group.
            muted: false,
        },
    )
}

fn any_patch() -> impl Strategy<Value = SettingsPatch> {
    use proptest::option::of;
    (of(".{0,20}"), of(".{0,20}"), of(".{0,20}"), of(any_join()), of(any_history())).prop_map(
        |(name, avatar, notice, join, history_for_new)| SettingsPatch { name, avatar, notice, join, history_for_new },
    )
}

fn any_departure() -> impl Strategy<Value = Departure> {
    prop_oneof![Just(Departure::Left), any_uid().prop_map(|by| Departure::Removed { by })]
}

/// Who changes a message, whose it is, and how. Only recalls may be somebody else's.
fn any_change() -> impl Strategy<Value = (Uid, Uid, Change)> {
    prop_oneof![
        (any_uid(), any_uid()).prop_map(|(by, author)| (by, author, Change::Recall)),
        (any_uid(), "[a-z]{0,9}").prop_map(|(by, text)| {
            let content = content(&text).encode_to_vec().into();
            (by.clone(), by, Change::Edit { content })
        }),
        (any_uid(), any_uid(), ".{1,9}", any::<bool>()).prop_map(|(by, author, reaction, removed)| {
            (by.clone(), author, Change::React { from: by, reaction, removed })
        }),
    ]
}

fn any_changed() -> impl Strategy<Value = Event> {
    (any_change(), any::<u64>(), 1_u128..).prop_map(|((by, author, change), target, id)| {
        let message_id = MessageId::from_slice(&id.to_be_bytes()).unwrap();
        Event::Changed { by, target: Seq::new(target), name: MessageName { author, message_id }, change }
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (any_uid(), any_settings()).prop_map(|(owner, settings)| Event::Created { owner, settings }),
        (proptest::option::of(any_uid()), proptest::collection::vec(any_uid(), 0..100))
            .prop_map(|(by, uids)| Event::MembersJoined { by, uids }),
        (any_uid(), any_departure()).prop_map(|(uid, how)| Event::MemberLeft { uid, how }),
        (any_uid(), any_uid(), any_role()).prop_map(|(by, uid, role)| Event::RoleSet { by, uid, role }),
        (any_uid(), any_uid(), any::<u64>()).prop_map(|(by, uid, until)| Event::MemberMuted {
            by,
            uid,
            until: Millis::new(until)
        }),
        (any_uid(), any::<bool>()).prop_map(|(by, muted)| Event::GroupMuted { by, muted }),
        (any_uid(), any_patch()).prop_map(|(by, patch)| Event::Updated { by, patch }),
        any_changed(),
        any_uid().prop_map(|by| Event::Dismissed { by }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_in_a_group_reads_back_as_it_was_written(event in any_event(), seq in 1_u64..) {
        let row = other(seq, event);
        prop_assert_eq!(GroupRow::decode(row.seq, row.encode()), Ok(row));
    }

    #[test]
    fn messages_read_back_as_they_were_written(text in ".{0,50}", seq in 1_u64..1 << 60) {
        let row = message(seq, &text);
        prop_assert_eq!(GroupRow::decode(row.seq, row.encode()), Ok(row));
    }
}

#[test]
fn a_row_that_is_read_shares_the_stored_bytes() {
    let stored = message(1, "hi").encode();
    let range = stored.as_ptr_range();
    let read = GroupRow::decode(Seq::new(1), stored.clone()).unwrap();
    assert!(range.contains(&read.entry.as_ptr()));
}

#[test]
fn a_message_that_is_recalled_keeps_everything_but_what_it_said() {
    let before = message(3, "secret");
    let recall = Event::Changed {
        by: uid("bob"),
        target: Seq::new(3),
        name: MessageName { author: uid("alice"), message_id: draft("").message_id },
        change: Change::Recall,
    };
    let (target, made) = other(9, recall).made().unwrap();
    assert_eq!(target, Seq::new(3));
    let (after, strip) = before.changed(&made).unwrap();
    assert_eq!(strip, before.edited_by, "the edit must not say it either");
    assert!(!after.encode().windows(6).any(|bytes| bytes == b"secret"));
    assert_eq!(GroupRow { entry: before.entry.clone(), ..after.clone() }, before, "it still counts, where it stood");
    let said = |row: &GroupRow| match wire::Entry::decode(row.entry.clone()).unwrap().body {
        Some(wire::entry::Body::Message(message)) => message,
        other => panic!("{other:?}"),
    };
    let kept = wire::Message { content: None, push: None, recalled: true, ..said(&before) };
    assert_eq!(said(&after), kept);
    assert!(!kept.mentions.is_empty() && kept.reply_to.is_some());
    assert_eq!(GroupRow::decode(after.seq, after.encode()).as_ref(), Ok(&after));
    assert_eq!(after.changed(&made), None, "once is enough");
}

#[test]
fn an_edit_that_was_replaced_says_nothing_any_more() {
    let name = MessageName { author: uid("alice"), message_id: draft("").message_id };
    let change = Change::Edit { content: content("secret").encode_to_vec().into() };
    let edit = other(5, Event::Changed { by: uid("alice"), target: Seq::new(3), name, change });
    let stripped = edit.clone().without_content();
    assert!(!stripped.encode().windows(6).any(|bytes| bytes == b"secret"));
    assert_eq!(GroupRow::decode(stripped.seq, stripped.encode()), Ok(stripped));
    let message = message(3, "hi");
    assert_eq!(message.clone().without_content(), message);
}

fn damaged(damage: impl FnOnce(&mut record::GroupRow)) -> RowError {
    let mut stored = record::GroupRow::decode(message(2, "hi").encode()).unwrap();
    damage(&mut stored);
    GroupRow::decode(Seq::new(2), stored.encode_to_vec().into()).unwrap_err()
}

#[test]
fn a_damaged_row_says_what_is_wrong_with_it() {
    assert_eq!(GroupRow::decode(Seq::new(1), Bytes::from_static(&[0xff])), Err(RowError::Malformed));
    let wrong = RowError::WrongSeq { key: Seq::new(2), entry: Seq::new(1) };
    assert_eq!(GroupRow::decode(Seq::new(2), message(1, "hi").encode()), Err(wrong));
    assert_eq!(damaged(|row| row.kind = 99), RowError::Kind);
    assert_eq!(damaged(|row| row.kind = 0), RowError::Kind);
    assert_eq!(damaged(|row| row.kind = GroupRowKind::Created.into()), RowError::Field("entry.body"));
    assert_eq!(damaged(|row| row.payload_hash = Bytes::new()), RowError::Field("payload_hash"));
    assert_eq!(damaged(|row| row.log_id = Bytes::from_static(b"x")), RowError::Field("log_id"));
    assert_eq!(damaged(|row| row.entry = Bytes::new()), RowError::Field("entry.message"));
    assert_eq!(damaged(|row| row.entry = Bytes::from_static(&[0xff])), RowError::Malformed);
    // An entry of one kind in a row of another.
    let joined = other(2, Event::MembersJoined { by: None, uids: vec![uid("bob")] });
    let mut stored = record::GroupRow::decode(joined.encode()).unwrap();
    stored.kind = GroupRowKind::Dismissed.into();
    let why = GroupRow::decode(Seq::new(2), stored.encode_to_vec().into()).unwrap_err();
    assert_eq!(why, RowError::Field("entry.body"));
}

#[test]
fn a_draft_mentions_whom_its_entry_mentions() {
    assert_eq!(draft("hi").mentions, [Mention::Role(Role::Admin)]);
}

#[test]
fn only_changes_are_made() {
    assert_eq!(message(3, "hi").made(), None);
    let mute = other(4, Event::GroupMuted { by: uid("bob"), muted: true });
    assert_eq!(mute.made(), None);
    let made = Made { seq: Seq::new(9), time: TIME, change: Change::Recall };
    assert_eq!(mute.changed(&made), None);
}
