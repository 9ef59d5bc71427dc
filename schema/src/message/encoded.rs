//! Frames around entries that are encoded already, byte for byte as the generated types would write them.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{self, WireType};

use crate::id::{Gid, LogId};

const ENTRIES_FIELD: u32 = 40;
const ENTRIES_TIMELINE_FIELD: u32 = 1;
const ENTRIES_ENTRIES_FIELD: u32 = 2;
const ENTRIES_REDELIVERY_FIELD: u32 = 3;
const ENTRIES_LOG_ID_FIELD: u32 = 4;
const TIMELINE_GROUP_FIELD: u32 = 2;

/// `ServerFrame { entries }` of the inbox around entries that are already encoded (`wire::Entry`). Equal, byte for
/// byte, to what the generated types would encode.
#[must_use]
pub fn encode_inbox_entries(entries: &[Bytes], redelivery: Option<Redelivery>, log_id: Option<&LogId>) -> Bytes {
    // Timeline { inbox: {} } is the field `inbox` (1, length-delimited) of length 0.
    encode_entries(&[0x0a, 0x00], entries, redelivery, log_id)
}

/// The same of a group's log. Everybody gets these bytes.
#[must_use]
pub fn encode_group_entries(gid: &Gid, entries: &[Bytes], log_id: Option<&LogId>) -> Bytes {
    // Timeline { group: { gid } }.
    let inner = field_len(1, gid.as_str().len());
    let mut timeline = BytesMut::with_capacity(field_len(TIMELINE_GROUP_FIELD, inner));
    put_header(TIMELINE_GROUP_FIELD, inner, &mut timeline);
    put_field(1, gid.as_str().as_bytes(), &mut timeline);
    encode_entries(&timeline, entries, None, log_id)
}

fn encode_entries(timeline: &[u8], entries: &[Bytes], redelivery: Option<Redelivery>, log_id: Option<&LogId>) -> Bytes {
    let entries_len: usize = entries.iter().map(|entry| field_len(ENTRIES_ENTRIES_FIELD, entry.len())).sum();
    let len = field_len(ENTRIES_TIMELINE_FIELD, timeline.len())
        + entries_len
        + redelivery.map_or(0, |_| 2)
        + log_id.map_or(0, |id| field_len(ENTRIES_LOG_ID_FIELD, id.as_bytes().len()));
    let mut out = BytesMut::with_capacity(field_len(ENTRIES_FIELD, len));
    put_header(ENTRIES_FIELD, len, &mut out);
    put_field(ENTRIES_TIMELINE_FIELD, timeline, &mut out);
    for entry in entries {
        put_field(ENTRIES_ENTRIES_FIELD, entry, &mut out);
    }
    if redelivery.is_some() {
        encoding::bool::encode(ENTRIES_REDELIVERY_FIELD, &true, &mut out);
    }
    if let Some(id) = log_id {
        put_field(ENTRIES_LOG_ID_FIELD, id.as_bytes(), &mut out);
    }
    out.freeze()
}

/// Marks a push as a repetition of unacknowledged entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redelivery;

fn field_len(field: u32, len: usize) -> usize {
    encoding::key_len(field) + encoding::encoded_len_varint(len as u64) + len
}

fn put_header(field: u32, len: usize, out: &mut BytesMut) {
    encoding::encode_key(field, WireType::LengthDelimited, out);
    encoding::encode_varint(len as u64, out);
}

pub(super) fn put_field(field: u32, bytes: &[u8], out: &mut BytesMut) {
    put_header(field, bytes.len(), out);
    out.put_slice(bytes);
}
