//! Keys as stored: kind u8 | length u8 | id | [length u8 | second id] | seq u64 big endian, so that rows of one timeline
//! lie together in order, and no id is mistaken for the beginning of another.
//!
//! Keys that are scanned end with the id they list, without its length: byte order is then the order of the ids. Heads
//! have a length before it, so inboxes are listed with the shortest ids first.

use std::ops::Bound;

use tidings_actors::port::store::{GroupScan, Key, Scan, TimelineId};
use tidings_schema::id::{Gid, Seq, ShardId, Uid};

/// First byte of every key; a number is never used for something else again. A user and a group of the same id differ
/// in it.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Kind {
    Inbox = 1,
    History = 2,
    MessageId = 3,
    GroupLog = 4,
    GroupMessageId = 5,
    Head = 16,
    Mark = 17,
    Checkpoint = 18,
    Conversation = 19,
    Peer = 20,
    Device = 21,
    GroupHead = 22,
    GroupMark = 23,
    GroupCheckpoint = 24,
    Member = 25,
    GroupView = 26,
    GroupPeer = 27,
}

/// Above every byte of an id.
const AFTER_IDS: u8 = 0xff;

/// Bytes at the end that hold the seq.
const SEQ_BYTES: usize = size_of::<u64>();

fn id(out: &mut Vec<u8>, id: &[u8]) {
    // Ids are at most 64 bytes.
    out.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(id);
}

fn begin(out: &mut Vec<u8>, kind: Kind, owner: &str) {
    out.clear();
    out.push(kind as u8);
    id(out, owner.as_bytes());
}

fn begin_mark(out: &mut Vec<u8>, kind: Kind, shard: ShardId) {
    out.clear();
    out.push(kind as u8);
    id(out, &shard.get().to_be_bytes());
}

/// Begins a key of a timeline's owner, of one kind for users and another for groups.
fn begin_of(out: &mut Vec<u8>, timeline: &TimelineId, of_user: Kind, of_group: Kind) {
    match timeline {
        TimelineId::Inbox(uid) => begin(out, of_user, uid.as_str()),
        TimelineId::Group(gid) => begin(out, of_group, gid.as_str()),
    }
}

/// Key of a row; overwrites `out`.
pub(super) fn row(out: &mut Vec<u8>, timeline: &TimelineId, seq: Seq) {
    begin_of(out, timeline, Kind::Inbox, Kind::GroupLog);
    out.extend_from_slice(&seq.get().to_be_bytes());
}

/// Key of a history row; overwrites `out`.
pub(super) fn history(out: &mut Vec<u8>, owner: &Uid, peer: &Uid, seq: Seq) {
    begin(out, Kind::History, owner.as_str());
    id(out, peer.as_str().as_bytes());
    out.extend_from_slice(&seq.get().to_be_bytes());
}

/// Key of a record; overwrites `out`.
pub(super) fn record(out: &mut Vec<u8>, key: &Key) {
    match key {
        Key::Head(timeline) => begin_of(out, timeline, Kind::Head, Kind::GroupHead),
        Key::Mark(shard, timeline) => mark(out, *shard, timeline),
        Key::Checkpoint(owner) => begin(out, Kind::Checkpoint, owner.as_str()),
        Key::Conversation(owner, peer) => pair(out, Kind::Conversation, owner, peer.as_str()),
        Key::Peer(owner, peer) => listed(out, Kind::Peer, owner.as_str(), peer.as_str()),
        Key::GroupView(owner, gid) => pair(out, Kind::GroupView, owner, gid.as_str()),
        Key::GroupPeer(owner, gid) => listed(out, Kind::GroupPeer, owner.as_str(), gid.as_str()),
        Key::Device(owner, device) => pair(out, Kind::Device, owner, device.as_str()),
        Key::MessageId(timeline, from, message) => {
            begin_of(out, timeline, Kind::MessageId, Kind::GroupMessageId);
            id(out, from.as_str().as_bytes());
            out.extend_from_slice(message.as_bytes());
        }
        Key::GroupCheckpoint(gid) => begin(out, Kind::GroupCheckpoint, gid.as_str()),
        Key::Member(gid, uid) => listed(out, Kind::Member, gid.as_str(), uid.as_str()),
        Key::History { owner, peer, bucket: _, seq } => history(out, owner, peer, *seq),
    }
}

fn mark(out: &mut Vec<u8>, shard: ShardId, timeline: &TimelineId) {
    let (kind, marked) = match timeline {
        TimelineId::Inbox(uid) => (Kind::Mark, uid.as_str()),
        TimelineId::Group(gid) => (Kind::GroupMark, gid.as_str()),
    };
    begin_mark(out, kind, shard);
    out.extend_from_slice(marked.as_bytes());
}

fn pair(out: &mut Vec<u8>, kind: Kind, owner: &Uid, second: &str) {
    begin(out, kind, owner.as_str());
    id(out, second.as_bytes());
}

/// A key that is found by a scan.
fn listed(out: &mut Vec<u8>, kind: Kind, owner: &str, last: &str) {
    begin(out, kind, owner);
    out.extend_from_slice(last.as_bytes());
}

/// The seq at the end of a row's key.
pub(super) fn seq_of(key: &[u8]) -> Option<Seq> {
    let (_, seq) = key.split_last_chunk::<SEQ_BYTES>()?;
    Some(Seq::new(u64::from_be_bytes(*seq)))
}

/// From where to where the keys of one kind and owner lie.
pub(super) fn owned(kind: Kind, owner: &str) -> (Vec<u8>, Vec<u8>) {
    let mut from = Vec::with_capacity(80);
    begin(&mut from, kind, owner);
    let mut to = from.clone();
    // Bytes of ids are below 0x80, so the last one has a successor.
    if let Some(last) = to.last_mut() {
        *last += 1;
    }
    (from, to)
}

/// Where the keys of one kind of owners behind this one begin.
pub(super) fn owners_after(kind: Kind, owner: Option<&str>) -> Vec<u8> {
    owner.map_or_else(|| vec![kind as u8], |owner| owned(kind, owner).1)
}

/// Behind all keys of one kind.
pub(super) fn owners_end(kind: Kind) -> Vec<u8> {
    vec![kind as u8 + 1]
}

/// The id of the owner whom a key names.
pub(super) fn owner_of(key: &[u8]) -> Option<&str> {
    let (length, rest) = key.get(1..)?.split_first()?;
    std::str::from_utf8(rest.get(..usize::from(*length))?).ok()
}

/// Whether the keys of one owner lie before those of another.
pub(super) fn before(one: &str, other: &str) -> bool {
    (one.len(), one) < (other.len(), other)
}

/// The keys of a list.
pub(super) struct ListKeys {
    /// Where they lie.
    pub(super) range: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    /// Bytes before the listed id in each.
    pub(super) prefix_bytes: usize,
}

/// The keys of a list of users after one.
pub(super) fn list(scan: &Scan, after: Option<&Uid>) -> ListKeys {
    let (mut prefix, after) = (Vec::with_capacity(80), after.map(Uid::as_str));
    match scan {
        Scan::Marks(shard) => begin_mark(&mut prefix, Kind::Mark, *shard),
        Scan::Peers(owner) => begin(&mut prefix, Kind::Peer, owner.as_str()),
        Scan::Inboxes => return heads(Kind::Head, after),
    }
    behind(prefix, after)
}

/// The keys of a list of groups after one.
pub(super) fn list_groups(scan: &GroupScan, after: Option<&Gid>) -> ListKeys {
    let (mut prefix, after) = (Vec::with_capacity(80), after.map(Gid::as_str));
    match scan {
        GroupScan::Marks(shard) => begin_mark(&mut prefix, Kind::GroupMark, *shard),
        GroupScan::Peers(owner) => begin(&mut prefix, Kind::GroupPeer, owner.as_str()),
        GroupScan::Logs => return heads(Kind::GroupHead, after),
    }
    behind(prefix, after)
}

/// The keys of a group's members after one.
pub(super) fn members(gid: &Gid, after: Option<&Uid>) -> ListKeys {
    let mut prefix = Vec::with_capacity(144);
    begin(&mut prefix, Kind::Member, gid.as_str());
    behind(prefix, after.map(Uid::as_str))
}

fn behind(mut prefix: Vec<u8>, after: Option<&str>) -> ListKeys {
    let mut end = prefix.clone();
    end.push(AFTER_IDS);
    let prefix_bytes = prefix.len();
    prefix.extend_from_slice(after.unwrap_or_default().as_bytes());
    ListKeys { range: (Bound::Excluded(prefix), Bound::Excluded(end)), prefix_bytes }
}

/// The heads after that of an owner.
fn heads(kind: Kind, after: Option<&str>) -> ListKeys {
    let mut from = vec![kind as u8];
    let end = vec![kind as u8, AFTER_IDS];
    // The kind and the length of the id.
    let prefix_bytes = 2;
    if let Some(owner) = after {
        begin(&mut from, kind, owner);
    }
    ListKeys { range: (Bound::Excluded(from), Bound::Excluded(end)), prefix_bytes }
}

#[cfg(test)]
mod tests {
    use tidings_actors::testkit::suite::{device, gid, group, inbox, message_id, uid};

    use super::*;

    fn row_key(user: &str, seq: u64) -> Vec<u8> {
        let mut out = Vec::new();
        row(&mut out, &inbox(user), Seq::new(seq));
        out
    }

    #[test]
    fn a_row_key_is_kind_length_id_and_seq() {
        assert_eq!(row_key("ab", 258), b"\x01\x02ab\0\0\0\0\0\0\x01\x02");
        assert_eq!(seq_of(&row_key("ab", 258)), Some(Seq::new(258)));
    }

    #[test]
    fn rows_of_a_user_lie_together_in_order() {
        let mut keys = vec![row_key("b", 1), row_key("ab", 1), row_key("a", 256), row_key("a", 2), row_key("a", 255)];
        keys.sort();
        let expected = [row_key("a", 2), row_key("a", 255), row_key("a", 256), row_key("b", 1), row_key("ab", 1)];
        assert_eq!(keys, expected);
    }

    #[test]
    fn the_keys_of_an_owner_lie_in_a_range_of_their_own() {
        let (from, to) = owned(Kind::Inbox, "ab");
        for (user, inside) in [("a", false), ("aa", false), ("ab", true), ("ac", false), ("abc", false)] {
            for seq in [1, u64::MAX] {
                let key = row_key(user, seq);
                assert_eq!(from <= key && key < to, inside, "{user} {seq}");
                assert_eq!(owner_of(&key), Some(user));
                assert!(key < owners_end(Kind::Inbox) && key >= owners_after(Kind::Inbox, None));
            }
        }
        assert!(before("b", "ab") && !before("ab", "ab"));
    }

    fn stored(key: &Key) -> Vec<u8> {
        let mut out = Vec::new();
        record(&mut out, key);
        out
    }

    #[test]
    fn a_conversation_key_keeps_both_ids_apart() {
        let key = |owner, peer| stored(&Key::Conversation(uid(owner), uid(peer)));
        assert_ne!(key("a", "bc"), key("ab", "c"));
    }

    /// What is on disks already. Whoever changes one of these makes a new format.
    #[test]
    fn keys_lie_on_the_disk_as_they_always_did() {
        let shard = ShardId::new(258);
        let (mut group_row, mut history_row) = (Vec::new(), Vec::new());
        row(&mut group_row, &group("ab"), Seq::new(258));
        history(&mut history_row, &uid("ab"), &uid("cde"), Seq::new(258));
        let at = Key::History { owner: uid("ab"), peer: uid("cde"), bucket: 7, seq: Seq::new(258) };
        let kept: [(Vec<u8>, &[u8]); 17] = [
            (row_key("ab", 258), b"\x01\x02ab\0\0\0\0\0\0\x01\x02"),
            (history_row, b"\x02\x02ab\x03cde\0\0\0\0\0\0\x01\x02"),
            (stored(&at), b"\x02\x02ab\x03cde\0\0\0\0\0\0\x01\x02"),
            (
                stored(&Key::MessageId(inbox("ab"), uid("c"), message_id(9))),
                b"\x03\x02ab\x01c\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t",
            ),
            (group_row, b"\x04\x02ab\0\0\0\0\0\0\x01\x02"),
            (
                stored(&Key::MessageId(group("ab"), uid("c"), message_id(9))),
                b"\x05\x02ab\x01c\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t",
            ),
            (stored(&Key::Head(inbox("ab"))), b"\x10\x02ab"),
            (stored(&Key::Mark(shard, inbox("ab"))), b"\x11\x02\x01\x02ab"),
            (stored(&Key::Checkpoint(uid("ab"))), b"\x12\x02ab"),
            (stored(&Key::Conversation(uid("ab"), uid("cde"))), b"\x13\x02ab\x03cde"),
            (stored(&Key::Peer(uid("ab"), uid("cde"))), b"\x14\x02abcde"),
            (stored(&Key::Device(uid("ab"), device("cde"))), b"\x15\x02ab\x03cde"),
            (stored(&Key::Head(group("ab"))), b"\x16\x02ab"),
            (stored(&Key::Mark(shard, group("ab"))), b"\x17\x02\x01\x02ab"),
            (stored(&Key::GroupCheckpoint(gid("ab"))), b"\x18\x02ab"),
            (stored(&Key::Member(gid("ab"), uid("cde"))), b"\x19\x02abcde"),
            (stored(&Key::GroupView(uid("ab"), gid("cde"))), b"\x1a\x02ab\x03cde"),
        ];
        for (key, bytes) in kept {
            assert_eq!(key, bytes);
        }
        assert_eq!(stored(&Key::GroupPeer(uid("ab"), gid("cde"))), b"\x1b\x02abcde");
    }
}
