//! Groups in a store that nobody has open: read to their end when they are whole, named by their gid when they are not.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use prost::Message as _;
use tidings_actors::{
    port::{
        ownership::Stamp,
        store::{Append, Change, Key, Row, Store as _},
    },
    testkit::suite::{gid, group, inbox, message_id, uid},
};
use tidings_schema::{
    group::{
        Event, GroupCheckpoint, GroupView, HistoryForNew, JoinPolicy, MemberRecord, Membership, OwnRows, Role, Seat,
        Settings, Standing, encode_event_entry,
    },
    id::{Epoch, LogId, Millis, Seq, ShardCount},
    record,
    row::{GroupRow, InboxRow, RowBody, ViewChange},
    wire,
};

use super::{Check, Damage, Verdict, Whose, store};
use crate::{
    clock::SystemClock,
    store::embedded::{EmbeddedStore, OpenOptions},
};

const SHARDS: u16 = 8;
const LOG: LogId = LogId::new([3; 16]);

fn open(dir: &Path) -> Arc<EmbeddedStore> {
    let (dir, shards) = (dir.to_owned(), ShardCount::new(SHARDS).unwrap());
    let clock = Arc::new(SystemClock::new());
    let options = OpenOptions { dir, shards, disk_reserve_mb: 1, cache_mb: 8, memtable_mb: 4, clock };
    EmbeddedStore::open(options).unwrap().0
}

fn settings() -> Settings {
    Settings {
        name: "team".to_owned(),
        avatar: String::new(),
        notice: String::new(),
        join: JoinPolicy::Open,
        history_for_new: HistoryForNew::All,
        muted: false,
    }
}

/// Row 1 makes the group, each later one lets somebody join; `pe` is what the row says of the one before.
fn row(seq: u64, pe: u64) -> Row {
    let (place, time) = (Seq::new(seq), Millis::new(1_000 + seq));
    let event = match seq {
        1 => Event::Created { owner: uid("ann"), settings: settings() },
        _ => Event::MembersJoined { by: None, uids: vec![uid(&format!("user{seq}"))] },
    };
    let entry = encode_event_entry(&gid("team"), place, time, &event).unwrap();
    let row = GroupRow {
        seq: place,
        ep: Epoch::new(1),
        pe: Epoch::new(pe),
        c: Seq::ZERO,
        time,
        n: 0,
        log_id: (seq == 1).then_some(LOG),
        edited_by: Seq::ZERO,
        event,
        entry,
    };
    Row { seq: place, value: row.encode() }
}

fn rows(seqs: std::ops::RangeInclusive<u64>) -> Vec<Row> {
    seqs.map(|seq| row(seq, u64::from(seq > 1))).collect()
}

fn set(key: Key, value: impl Into<Bytes>) -> Change {
    Change { key, value: Some(value.into()) }
}

fn checkpoint(upto: u64) -> Change {
    let value = GroupCheckpoint {
        upto: Seq::new(upto),
        ep: Epoch::new(1),
        n: 0,
        time: Millis::new(1_000 + upto),
        log_id: LOG,
        effects_upto: Seq::ZERO,
        newest: Vec::new(),
        settings: settings(),
        created: Millis::new(1_001),
        creator: uid("ann"),
        owner: Some(uid("ann")),
        dismissed: None,
        ids_floor: Seq::ZERO,
    };
    set(Key::GroupCheckpoint(gid("team")), value.encode())
}

fn member(user: &str, upto: u64, last_ack: u64) -> Change {
    let seat = Seat {
        role: Role::Member,
        muted_until: Millis::default(),
        joined: Seq::new(1),
        history: HistoryForNew::All,
        last_ack: Seq::new(last_ack),
        last_read: Seq::new(1),
        last_read_n: 0,
        own: OwnRows { folded: 0, folded_upto: Seq::ZERO, seqs: Vec::new() },
    };
    let value = MemberRecord { upto: Seq::new(upto), standing: Standing::Member(seat) };
    set(Key::Member(gid("team"), uid(user)), value.encode())
}

fn head(seq: u64) -> Change {
    let head = record::Head { log_id: Bytes::copy_from_slice(LOG.as_bytes()), seq, ..Default::default() };
    set(Key::Head(group("team")), head.encode_to_vec())
}

fn id(seq: u64) -> Change {
    let stored = record::MessageId { seq, ..Default::default() };
    set(Key::MessageId(group("team"), uid("ann"), message_id(1)), stored.encode_to_vec())
}

/// What doctor says of a store with these rows and records of one group.
async fn looked(rows: Vec<Row>, with: Vec<Change>) -> Check {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for row in rows {
        let append = Append { timeline: group("team"), rows: vec![row], with: Vec::new(), stamp: Stamp(1) };
        store.append(append).await.unwrap();
    }
    store.put(with, Stamp(1)).await.unwrap();
    drop(store);
    store::look(dir.path(), SHARDS).0
}

async fn faults(rows: Vec<Row>, with: Vec<Change>) -> String {
    let check = looked(rows, with).await;
    assert_eq!(check.verdict, Verdict::Failed, "{check:?}");
    let [Damage { whose, faults }] = check.damaged.as_slice() else { unreachable!("{check:?}") };
    assert_eq!(*whose, Whose::Group("team".to_owned()));
    faults.join("; ")
}

#[tokio::test]
async fn a_whole_group_is_read_to_its_end() {
    let records = vec![head(3), checkpoint(3), member("ann", 3, 3), member("user2", 2, 1), id(2)];
    let check = looked(rows(1..=3), records).await;
    assert_eq!(check.verdict, Verdict::Ok, "{check:?}");
    assert!(check.says.starts_with("0 inboxes, 1 groups, 8 values read"), "{}", check.says);
}

#[tokio::test]
async fn rows_that_are_missing_damaged_or_not_chained_are_named() {
    let mut broken = rows(1..=4);
    broken.remove(1);
    assert_eq!(faults(broken, Vec::new()).await, "rows 2 to 2 are missing");
    assert_eq!(faults(vec![row(1, 0), row(2, 7)], Vec::new()).await, "row 2: it is not chained to the row before");
    let torn = Row { seq: Seq::new(2), value: "no row".into() };
    assert_eq!(faults(vec![row(1, 0), torn], Vec::new()).await, "row 2: row cannot be decoded");
    assert_eq!(faults(rows(2..=3), vec![checkpoint(3)]).await, "rows 1 to 1 are missing");
}

/// A cursor above the last row covers what was never committed.
#[tokio::test]
async fn records_that_say_more_than_the_log_are_named() {
    for (record, what) in [
        (head(3), "the head says row 3, the last row is 2"),
        (checkpoint(3), "the checkpoint says row 3, the last row is 2"),
        (member("ann", 3, 1), "a member says row 3, the last row is 2"),
        (member("ann", 2, 3), "a member's cursor says row 3, the last row is 2"),
        (id(3), "a message id says row 3, the last row is 2"),
        (set(Key::Member(gid("team"), uid("x")), "no member"), "a member cannot be decoded"),
    ] {
        assert_eq!(faults(rows(1..=2), vec![record]).await, what);
    }
}

/// A row of the inbox `team`: it joined the group of the same name.
fn joined() -> Row {
    let (seq, time, change) = (Seq::new(1), Millis::new(1_001), ViewChange::Joined { seq: Seq::new(1), by: None });
    let body = Some(change.entry_body(&gid("team")));
    let entry = wire::Entry { seq: seq.get(), time: time.get(), body }.encode_to_vec().into();
    let row = InboxRow {
        seq,
        ep: Epoch::new(1),
        pe: Epoch::new(0),
        c: Seq::ZERO,
        time,
        n: 0,
        h: 0,
        t: 0,
        with: None,
        log_id: Some(LogId::new([4; 16])),
        refers: None,
        edited_by: Seq::ZERO,
        body: RowBody::Group { gid: gid("team"), change },
        entry,
    };
    Row { seq, value: row.encode() }
}

/// The inbox of a user and the group of the same id are looked at apart.
#[tokio::test]
async fn a_view_of_a_group_is_held_against_the_inbox_it_lies_in() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let append = Append { timeline: group("team"), rows: rows(1..=3), with: Vec::new(), stamp: Stamp(1) };
    store.append(append).await.unwrap();
    let view = |place| {
        let membership = Some(Membership::Joined { seq: Seq::new(1) });
        GroupView { upto: Seq::new(place), place: Seq::new(place), membership, ..GroupView::default() }.encode()
    };
    let append = Append {
        timeline: inbox("team"),
        rows: vec![joined()],
        with: vec![set(Key::GroupView(uid("team"), gid("team")), view(2))],
        stamp: Stamp(1),
    };
    store.append(append).await.unwrap();
    drop(store);
    let check = store::look(dir.path(), SHARDS).0;
    let [Damage { whose, faults }] = check.damaged.as_slice() else { unreachable!("{check:?}") };
    assert_eq!(*whose, Whose::User("team".to_owned()));
    assert_eq!(faults, &["a view of a group says row 2, the last row is 1"]);
    let shown = serde_json::to_value(&check.damaged).unwrap();
    assert_eq!(shown[0]["uid"], "team", "{shown}");
}
