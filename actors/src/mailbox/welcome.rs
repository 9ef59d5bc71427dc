//! The frame every connection begins with, the same whether a mailbox or its shard greets.

use bytes::Bytes;
use tidings_schema::{
    id::{DeviceId, LogId, Seq, Uid},
    wire,
};

use crate::{
    limits::{ACK_DELAY_MS_MAX, ACK_ENTRIES_MAX, HEARTBEAT_MS, PAGE_ENTRIES_MAX, UNANSWERED_MAX},
    port::link::ConnectionRef,
    shard::ShardParts,
};

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
        limits: Some(wire::Limits {
            body_bytes_max: parts.limits.body_bytes_max as u64,
            frame_bytes_max: parts.limits.frame_bytes_max as u64,
            heartbeat_ms_min: HEARTBEAT_MS.0,
            heartbeat_ms_max: HEARTBEAT_MS.1,
            ack_entries_max: ACK_ENTRIES_MAX,
            ack_delay_ms_max: ACK_DELAY_MS_MAX,
            unanswered_max: UNANSWERED_MAX as u64,
            page_entries_max: PAGE_ENTRIES_MAX as u64,
        }),
        reset: facts.reset,
        resume_after: facts.resume_after.get(),
    }
}
