//! The limits of mailboxes that an operator may set, with the reason of each default, and the bounds of pages.

/// Limits of mailboxes. Everything else that is bounded has a named constant where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Time without anything to do after which a mailbox or a group leaves memory. Long enough that a chat does not reload with
    /// every pause, short enough that memory follows who is talking.
    pub mailbox_idle_ms: u64,
    /// Longest time an acknowledged cursor, of a device or of a member of a group, waits in memory before it is written. After a crash a device is sent again at
    /// most what it acknowledged in that time.
    pub cursor_flush_ms: u64,
    /// Messages one user may send per second, over all devices, sustained; twice that in a burst.
    pub user_sends_per_s: u32,
    /// First messages to people one user has no conversation with, per hour; as many at once after a quiet hour. 0: no
    /// limit. Enough for the first evening of a new user, too few for who writes to everybody.
    pub new_peers_per_hour: u32,
    /// A message may be recalled or edited for so long; 0: for ever.
    pub recall_ms_max: u64,
    /// How long rows of an inbox are kept for devices that are away; history stays. A device that was away for longer
    /// starts over from the conversations. Never less than the 14 days of message ids.
    pub inbox_ms: u64,
}

impl Default for MailboxLimits {
    fn default() -> Self {
        Self {
            mailbox_idle_ms: 30_000,
            cursor_flush_ms: 1_000,
            user_sends_per_s: 500,
            new_peers_per_hour: 60,
            recall_ms_max: RECALL_MS_MAX,
            inbox_ms: INBOX_MS,
        }
    }
}

/// A day: long enough for second thoughts, short enough that a conversation can be relied on.
pub const RECALL_MS_MAX: u64 = 24 * 3_600 * 1_000;

/// Thirty days: a holiday and the flight home.
pub const INBOX_MS: u64 = 30 * 24 * 3_600 * 1_000;

/// Ids older than this are refused: the id records that make a retry safe need not be kept for longer than a day more.
pub const MESSAGE_ID_AGE_MS_MAX: u64 = 13 * 24 * 3_600 * 1_000;

/// Messages, edits and reactions one group takes per second, sustained: more than people can read, less than would keep the
/// other groups of its thread waiting. Further ones are refused (5004).
pub const GROUP_SENDS_PER_S: u32 = 1_000;
/// The same in a burst.
pub const GROUP_SENDS_BURST: u32 = 2 * GROUP_SENDS_PER_S;

/// Members of one page, and readers of one message named in one; a request for more gets this many. They fit into
/// [`PAGE_BYTES_MAX`] with the longest ids there are.
pub const PAGE_MEMBERS_MAX: usize = 1_000;

/// Entries of one page; a request for more gets this many.
pub const PAGE_ENTRIES_MAX: usize = 200;
/// Bytes of one page, unless it is a single entry.
pub const PAGE_BYTES_MAX: usize = 128 * 1024;
