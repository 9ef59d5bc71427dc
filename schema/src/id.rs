//! Ids and counters, one type each, valid from construction on.
//!
//! Text ids (uid, device id) are 1-64 bytes of `[A-Za-z0-9._:@-]`; those that begin with `@` are the system's.

use std::{fmt, num::NonZeroU64, str::FromStr, sync::Arc};

use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

/// Longest text id in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// Why a text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// No text at all.
    #[error("is empty")]
    Empty,
    /// More than [`ID_BYTES_MAX`] bytes.
    #[error("is longer than 64 bytes")]
    TooLong,
    /// A character outside `[A-Za-z0-9._:@-]`.
    #[error("has a character outside [A-Za-z0-9._:@-]")]
    Alphabet,
    /// A message id that is no UUID, or the nil UUID.
    #[error("is not a uuid")]
    NotUuid,
    /// A log id that is not 16 bytes.
    #[error("is not 16 bytes")]
    NotLogId,
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong);
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'@' | b'-');
    if text.bytes().all(allowed) { Ok(()) } else { Err(IdError::Alphabet) }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether the id is the system's (begins with `@`).
            #[must_use]
            pub fn is_system(&self) -> bool {
                self.0.starts_with('@')
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A user.
    Uid
}
text_id! {
    /// A device of a user; unique per user.
    DeviceId
}
text_id! {
    /// A group; chosen by whoever creates it, and never used for another group.
    Gid
}

impl Uid {
    /// The shard that owns this user: `xxh3_64(id) % shards`.
    #[must_use]
    pub fn shard(&self, shards: ShardCount) -> ShardId {
        shard_of(&self.0, shards)
    }
}

impl Gid {
    /// The shard that owns this group: `xxh3_64(id) % shards`.
    #[must_use]
    pub fn shard(&self, shards: ShardCount) -> ShardId {
        shard_of(&self.0, shards)
    }
}

fn shard_of(id: &str, shards: ShardCount) -> ShardId {
    let at = xxh3_64(id.as_bytes()) % shards.0.get();
    // The remainder is below a count that came from a u16.
    ShardId(u16::try_from(at).unwrap_or(u16::MAX))
}

/// A message, named by the sender's client once and for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Uuid);

impl MessageId {
    /// Takes a UUID that is not nil.
    ///
    /// # Errors
    /// [`IdError::NotUuid`] for the nil UUID.
    pub fn new(id: Uuid) -> Result<Self, IdError> {
        if id.is_nil() { Err(IdError::NotUuid) } else { Ok(Self(id)) }
    }

    /// A v7 id whose time part is `now`; `random` fills the rest.
    #[must_use]
    pub fn v7(now: Millis, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(now.0, &random).into_uuid())
    }

    /// The 16 bytes as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`IdError::NotUuid`] unless it is 16 bytes and not nil.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
        Self::new(Uuid::from_slice(bytes).map_err(|_| IdError::NotUuid)?)
    }

    /// When the id was made, for v7 ids (ms since the Unix epoch).
    #[must_use]
    pub fn v7_time(&self) -> Option<Millis> {
        if self.0.get_version_num() != 7 {
            return None;
        }
        let (secs, nanos) = self.0.get_timestamp()?.to_unix();
        Some(Millis(secs * 1_000 + u64::from(nanos) / 1_000_000))
    }
}

impl FromStr for MessageId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(Uuid::parse_str(text).map_err(|_| IdError::NotUuid)?)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Identity of one life of a timeline, born with row 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId([u8; 16]);

impl LogId {
    /// Takes 16 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the stored or wire form; empty means "no log yet".
    ///
    /// # Errors
    /// [`IdError::NotLogId`] for any other length than 0 and 16.
    pub fn from_wire(bytes: &[u8]) -> Result<Option<Self>, IdError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        bytes.try_into().map(|id| Some(Self(id))).map_err(|_| IdError::NotLogId)
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).simple().fmt(f)
    }
}

/// Place in a timeline; starts at 1, no gaps. [`Seq::ZERO`] means "before the first".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

impl Seq {
    /// Before the first row.
    pub const ZERO: Self = Self(0);

    /// A seq as stored or said on the wire.
    #[must_use]
    pub const fn new(seq: u64) -> Self {
        Self(seq)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place after this one. Saturates: at a million rows per second the last seq is 584,000 years away.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The place before this one; [`Seq::ZERO`] stays.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// How many rows stand after `earlier` up to this one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A seq together with the life of the log it counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which life of the log.
    pub log_id: LogId,
    /// The place in it.
    pub seq: Seq,
}

/// Grows with each owner of a shard; on one node, with each start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// An epoch as stored.
    #[must_use]
    pub const fn new(epoch: u64) -> Self {
        Self(epoch)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The epoch of the next owner; `None` at the end of the counter.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(u64);

impl Millis {
    /// A time as stored or said on the wire.
    #[must_use]
    pub const fn new(ms: u64) -> Self {
        Self(ms)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// This time and `ms` more.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// How long after `earlier` this is; 0 when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Number of virtual shards of a deployment; fixed for its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardCount(NonZeroU64);

impl ShardCount {
    /// The default of a new deployment.
    pub const DEFAULT: u16 = 1024;

    /// A count of at least one.
    #[must_use]
    pub fn new(shards: u16) -> Option<Self> {
        NonZeroU64::new(u64::from(shards)).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        u16::try_from(self.0.get()).unwrap_or(u16::MAX)
    }

    /// All shards, in order.
    pub fn iter(self) -> impl Iterator<Item = ShardId> {
        (0..self.get()).map(ShardId)
    }
}

/// Unit of ownership; every user and every group maps to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(u16);

impl ShardId {
    /// A shard by number.
    #[must_use]
    pub const fn new(shard: u16) -> Self {
        Self(shard)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
