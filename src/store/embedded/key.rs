//! Keys as stored: kind u8 | length u8 | id | [length u8 | second id] | seq u64 big endian, so that rows of one timeline
//! lie together in order, and no id is mistaken for the beginning of another.
//!
//! Keys that are scanned end with the id they list, without its length: byte order is then the order of the ids. Heads
//! have a length before it, so inboxes are listed with the shortest ids first.

use std::ops::Bound;

use tidings_actors::port::store::{Key, Scan, TimelineId};
use tidings_schema::id::{Seq, ShardId, Uid};

/// First byte of every key; a number is never used for something else again.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Kind {
    Inbox = 1,
    History = 2,
    MessageId = 3,
    Head = 16,
    Mark = 17,
    Checkpoint = 18,
    Conversation = 19,
    Peer = 20,
    Device = 21,
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

fn begin(out: &mut Vec<u8>, kind: Kind, owner: &Uid) {
    out.clear();
    out.push(kind as u8);
    id(out, owner.as_str().as_bytes());
}

fn begin_mark(out: &mut Vec<u8>, shard: ShardId) {
    out.clear();
    out.push(Kind::Mark as u8);
    id(out, &shard.get().to_be_bytes());
}

/// Key of a row; overwrites `out`.
pub(super) fn row(out: &mut Vec<u8>, timeline: &TimelineId, seq: Seq) {
    let TimelineId::Inbox(uid) = timeline;
    begin(out, Kind::Inbox, uid);
    out.extend_from_slice(&seq.get().to_be_bytes());
}

/// Key of a history row; overwrites `out`.
pub(super) fn history(out: &mut Vec<u8>, owner: &Uid, peer: &Uid, seq: Seq) {
    begin(out, Kind::History, owner);
    id(out, peer.as_str().as_bytes());
    out.extend_from_slice(&seq.get().to_be_bytes());
}

/// Key of a record; overwrites `out`.
pub(super) fn record(out: &mut Vec<u8>, key: &Key) {
    match key {
        Key::Head(TimelineId::Inbox(uid)) => begin(out, Kind::Head, uid),
        Key::Mark(shard, uid) => {
            begin_mark(out, *shard);
            out.extend_from_slice(uid.as_str().as_bytes());
        }
        Key::Checkpoint(owner) => begin(out, Kind::Checkpoint, owner),
        Key::Conversation(owner, peer) => {
            begin(out, Kind::Conversation, owner);
            id(out, peer.as_str().as_bytes());
        }
        Key::Peer(owner, peer) => {
            begin(out, Kind::Peer, owner);
            out.extend_from_slice(peer.as_str().as_bytes());
        }
        Key::Device(owner, device) => {
            begin(out, Kind::Device, owner);
            id(out, device.as_str().as_bytes());
        }
        Key::MessageId(owner, from, message) => {
            begin(out, Kind::MessageId, owner);
            id(out, from.as_str().as_bytes());
            out.extend_from_slice(message.as_bytes());
        }
        Key::History { owner, peer, bucket: _, seq } => history(out, owner, peer, *seq),
    }
}

/// The seq at the end of a row's key.
pub(super) fn seq_of(key: &[u8]) -> Option<Seq> {
    let (_, seq) = key.split_last_chunk::<SEQ_BYTES>()?;
    Some(Seq::new(u64::from_be_bytes(*seq)))
}

/// From where to where the keys of one kind and owner lie.
pub(super) fn owned(kind: Kind, owner: &Uid) -> (Vec<u8>, Vec<u8>) {
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
pub(super) fn owners_after(kind: Kind, owner: Option<&Uid>) -> Vec<u8> {
    owner.map_or_else(|| vec![kind as u8], |owner| owned(kind, owner).1)
}

/// Behind all keys of one kind.
pub(super) fn owners_end(kind: Kind) -> Vec<u8> {
    vec![kind as u8 + 1]
}

/// The owner whom a key names.
pub(super) fn owner_of(key: &[u8]) -> Option<Uid> {
    let (length, rest) = key.get(1..)?.split_first()?;
    std::str::from_utf8(rest.get(..usize::from(*length))?).ok()?.parse().ok()
}

/// Whether the keys of one owner lie before those of another.
pub(super) fn before(one: &Uid, other: &Uid) -> bool {
    let place = |uid: &Uid| (uid.as_str().len(), uid.as_str().to_owned());
    place(one) < place(other)
}

/// The keys of a list.
pub(super) struct ListKeys {
    /// Where they lie.
    pub(super) range: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    /// Bytes before the listed id in each.
    pub(super) prefix_bytes: usize,
}

/// The keys of a list after an id.
pub(super) fn list(scan: &Scan, after: Option<&Uid>) -> ListKeys {
    let mut prefix = Vec::with_capacity(80);
    match scan {
        Scan::Marks(shard) => begin_mark(&mut prefix, *shard),
        Scan::Peers(owner) => begin(&mut prefix, Kind::Peer, owner),
        Scan::Inboxes => return inboxes(after),
    }
    let mut end = prefix.clone();
    end.push(AFTER_IDS);
    let prefix_bytes = prefix.len();
    prefix.extend_from_slice(after.map_or(&[], |uid| uid.as_str().as_bytes()));
    ListKeys { range: (Bound::Excluded(prefix), Bound::Excluded(end)), prefix_bytes }
}

/// The heads after that of a user.
fn inboxes(after: Option<&Uid>) -> ListKeys {
    let mut from = vec![Kind::Head as u8];
    let end = vec![Kind::Head as u8, AFTER_IDS];
    // The kind and the length of the id.
    let prefix_bytes = 2;
    if let Some(uid) = after {
        begin(&mut from, Kind::Head, uid);
    }
    ListKeys { range: (Bound::Excluded(from), Bound::Excluded(end)), prefix_bytes }
}

#[cfg(test)]
mod tests {
    use tidings_actors::testkit::suite::{inbox, uid};

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
        let (from, to) = owned(Kind::Inbox, &uid("ab"));
        for (user, inside) in [("a", false), ("aa", false), ("ab", true), ("ac", false), ("abc", false)] {
            for seq in [1, u64::MAX] {
                let key = row_key(user, seq);
                assert_eq!(from <= key && key < to, inside, "{user} {seq}");
                assert_eq!(owner_of(&key), Some(uid(user)));
                assert!(key < owners_end(Kind::Inbox) && key >= owners_after(Kind::Inbox, None));
            }
        }
        assert!(before(&uid("b"), &uid("ab")) && !before(&uid("ab"), &uid("ab")));
    }

    #[test]
    fn a_conversation_key_keeps_both_ids_apart() {
        let key = |owner, peer| {
            let mut out = Vec::new();
            record(&mut out, &Key::Conversation(uid(owner), uid(peer)));
            out
        };
        assert_ne!(key("a", "bc"), key("ab", "c"));
    }
}
