//! The frame every connection begins with, the same whether a mailbox or its shard greets.

use bytes::Bytes;
use tidings_schema::{
    id::{DeviceId, LogId, Seq, Uid},
    wire,
};

use crate::{port::link::ConnectionRef, shard::ShardParts};

/// What a welcome says of the inbox.
pub(crate) struct Facts {
    pub(crate) log_id: Option<LogId>,
    pub(crate) head: Seq,
    pub(crate) unread_total: u64,
    pub(crate) resume_after: Seq,
    pub(crate) reset: Option<wire::Reset>,
}

/// The welcome of one connection.
pub(crate) fn frame(
    uid: &Uid,
    device: &DeviceId,
    connection: ConnectionRef,
    facts: &Facts,
    parts: &ShardParts,
) -> wire::Welcome {
    wire::Welcome {
        uid: uid.to_string(),
        device_id: device.to_string(),
        connection_id: connection.to_string(),
        log_id: facts.log_id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
        inbox_head: facts.head.get(),
        unread_total: facts.unread_total,
        server_time: parts.clock.now().get(),
        // The connection knows its own bounds.
        limits: None,
        reset: facts.reset,
        resume_after: facts.resume_after.get(),
        groups: Vec::new(),
    }
}
