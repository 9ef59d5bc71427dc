//! The limits of the actors that an operator may set, with the reason of each default.

/// Limits of mailboxes, shards and connections. Everything else that is bounded has a named constant where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time without anything to do after which a mailbox leaves memory. Long enough that a chat does not reload with
    /// every pause, short enough that memory follows who is talking.
    pub mailbox_idle_ms: u64,
    /// Longest time an acknowledged cursor waits in memory before it is written. After a crash a device is sent again at
    /// most what it acknowledged in that time.
    pub cursor_flush_ms: u64,
    /// Messages one user may send per second, over all devices, sustained; twice that in a burst.
    pub user_sends_per_s: u32,
    /// Frames one connection may send per second, sustained; twice that in a burst.
    pub connection_frames_per_s: u32,
    /// Time after which an unanswered op is answered 5001 (outcome unknown).
    pub op_deadline_ms: u64,
    /// Largest content of one message, push hint included.
    pub body_bytes_max: usize,
    /// Largest frame after `hello`. At least `6 * body_bytes_max + 4096`, so that JSON escapes of a legal body fit.
    pub frame_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mailbox_idle_ms: 30_000,
            cursor_flush_ms: 1_000,
            user_sends_per_s: 500,
            connection_frames_per_s: 1_000,
            op_deadline_ms: 5_000,
            body_bytes_max: 64 * 1024,
            frame_bytes_max: 1024 * 1024,
        }
    }
}

/// Shortest and longest interval a client may announce between two of its frames.
pub const HEARTBEAT_MS: (u64, u64) = (15_000, 300_000);
/// Clients acknowledge after this many entries.
pub const ACK_ENTRIES_MAX: u64 = 64;
/// Clients acknowledge after this time.
pub const ACK_DELAY_MS_MAX: u64 = 500;
/// Answers one connection may wait for; beyond it its socket is not read.
pub const UNANSWERED_MAX: usize = 64;
/// Entries of one page; a request for more gets this many.
pub const PAGE_ENTRIES_MAX: usize = 200;
/// Bytes of one page, unless it is a single entry.
pub const PAGE_BYTES_MAX: usize = 128 * 1024;
