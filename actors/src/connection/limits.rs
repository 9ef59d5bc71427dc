//! What one connection may do, as configuration says and `welcome` tells the client.

use tidings_schema::wire;
use tidings_state::heartbeat::{HEARTBEAT_MS_MAX, HEARTBEAT_MS_MIN};

use super::unanswered::UNANSWERED_MAX;
use crate::limits::{PAGE_ENTRIES_MAX, RECALL_MS_MAX};

/// Bounds of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Content and push hint of one message together.
    pub body_bytes_max: usize,
    /// One frame after `hello`.
    pub frame_bytes_max: usize,
    /// One frame before `hello`.
    pub hello_bytes_max: usize,
    /// Time for `hello`, and again for its `welcome`.
    pub hello_ms_max: u64,
    /// Entries of one page.
    pub page_entries_max: usize,
    /// A message may be recalled or edited for so long, as `welcome` says; 0: for ever.
    pub recall_ms_max: u64,
    /// An operation that waits longer is answered with "outcome unknown".
    pub op_deadline_ms: u64,
    /// Frames per second.
    pub frames_per_s: u32,
    /// Frames at once after a quiet time.
    pub frames_burst: u32,
    /// A client that takes not one byte for so long while something is queued is closed as slow.
    pub stalled_ms_max: u64,
    /// Time for a client to say good-bye after the server did.
    pub close_wait_ms: u64,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024,
            frame_bytes_max: 1024 * 1024,
            hello_bytes_max: 16 * 1024,
            hello_ms_max: 10_000,
            page_entries_max: PAGE_ENTRIES_MAX,
            recall_ms_max: RECALL_MS_MAX,
            op_deadline_ms: 5_000,
            frames_per_s: 500,
            frames_burst: 1_000,
            stalled_ms_max: 15_000,
            close_wait_ms: 2_000,
        }
    }
}

impl ConnectionLimits {
    /// Clients acknowledge after this many entries.
    const ACK_ENTRIES_MAX: u64 = 64;
    /// Clients acknowledge after this long.
    const ACK_DELAY_MS_MAX: u64 = 500;

    /// As said in `welcome`.
    #[must_use]
    pub fn to_wire(&self) -> wire::Limits {
        wire::Limits {
            body_bytes_max: self.body_bytes_max as u64,
            frame_bytes_max: self.frame_bytes_max as u64,
            heartbeat_ms_min: HEARTBEAT_MS_MIN,
            heartbeat_ms_max: HEARTBEAT_MS_MAX,
            ack_entries_max: Self::ACK_ENTRIES_MAX,
            ack_delay_ms_max: Self::ACK_DELAY_MS_MAX,
            unanswered_max: UNANSWERED_MAX as u64,
            page_entries_max: self.page_entries_max as u64,
            recall_ms_max: self.recall_ms_max,
        }
    }

    /// Entries of a page for which the client asked for `wanted` (0: as many as there may be).
    #[must_use]
    pub fn page_entries(&self, wanted: u32) -> usize {
        match wanted as usize {
            0 => self.page_entries_max,
            wanted => wanted.min(self.page_entries_max),
        }
    }
}
