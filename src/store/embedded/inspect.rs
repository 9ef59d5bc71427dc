//! Looks through a store that no server has open, value by value, and says which are damaged. It begins no epoch and
//! writes no value; a torn tail of the journal is cut as every start does.
//!
//! The store does not know what a value means: whoever asks decodes what is whole.

use std::{
    io,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    str::FromStr,
};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use tidings_schema::{
    id::{Gid, Uid},
    record::Meta,
};

use super::{
    OpenError,
    engine::{DATA_DIR, open_error},
    format,
    journal::{self, TornTail},
    key::{self, Kind},
    lock::{self, DirLock},
    space, value,
};

const CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// What is looked through, user by user or group by group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Rows of the inbox; the key ends with the seq.
    Rows,
    /// Rows of the histories; the key ends with the seq.
    History,
    /// Message ids.
    Ids,
    /// The head.
    Head,
    /// The checkpoint.
    Checkpoint,
    /// Conversations.
    Conversations,
    /// Groups as the inbox knows them.
    GroupViews,
    /// Devices.
    Devices,
    /// Rows of a group's log; the key ends with the seq.
    GroupRows,
    /// Message ids of a group.
    GroupIds,
    /// The head of a group's log.
    GroupHead,
    /// The checkpoint of a group.
    GroupCheckpoint,
    /// Members of a group.
    Members,
}

impl List {
    fn kind(self) -> Kind {
        match self {
            Self::Rows => Kind::Inbox,
            Self::History => Kind::History,
            Self::Ids => Kind::MessageId,
            Self::Head => Kind::Head,
            Self::Checkpoint => Kind::Checkpoint,
            Self::Conversations => Kind::Conversation,
            Self::GroupViews => Kind::GroupView,
            Self::Devices => Kind::Device,
            Self::GroupRows => Kind::GroupLog,
            Self::GroupIds => Kind::GroupMessageId,
            Self::GroupHead => Kind::GroupHead,
            Self::GroupCheckpoint => Kind::GroupCheckpoint,
            Self::Members => Kind::Member,
        }
    }
}

/// An owner found in a list; `Err` names what cannot be read, with the next owner that is known all the same.
pub type Next<I> = Result<Option<I>, (String, Option<I>)>;

/// A value as it lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its checksum is right.
    Whole(Bytes),
    /// Its checksum is wrong.
    Damaged,
    /// The engine cannot read on from here; what follows in this list is not known.
    Unreadable(String),
}

/// A store that is looked through. No server gets it meanwhile.
pub struct Inspection {
    log: Keyspace,
    history: Keyspace,
    id: Keyspace,
    record: Keyspace,
    meta: Option<Meta>,
    torn: Option<TornTail>,
    _db: Database,
    _lock: DirLock,
}

/// The process that has the directory locked, where the system tells.
#[must_use]
pub fn lock_owner(dir: &Path) -> Option<u32> {
    lock::owner(dir)
}

/// Whether another process has the directory.
///
/// # Errors
/// When it cannot be asked.
pub fn is_locked(dir: &Path) -> io::Result<bool> {
    lock::is_taken(dir)
}

/// Free bytes for unprivileged writers where `dir` lies.
///
/// # Errors
/// When the system does not tell.
pub fn free_bytes(dir: &Path) -> io::Result<u64> {
    space::of(dir.to_owned())()
}

/// Whether the directory looks like one that a server has used.
#[must_use]
pub fn is_used(dir: &Path) -> bool {
    dir.join(lock::LOCK_FILE).exists()
}

impl Inspection {
    /// Opens a directory that exists.
    ///
    /// # Errors
    /// [`OpenError`]: as for a start, but any number of shards is fine.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let lock = DirLock::take(dir)?;
        let torn = journal::cut_torn_tail(&dir.join(DATA_DIR), dir)?;
        let failed = |error| open_error(dir, error);
        let open = || Database::builder(dir.join(DATA_DIR)).cache_size(CACHE_BYTES).open().map_err(failed);
        // A damaged file may make the engine panic.
        let db = catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| Err(gave_up(dir.to_owned())))?;
        let keyspace = |name| db.keyspace(name, KeyspaceCreateOptions::default).map_err(failed);
        let meta = format::stored(&keyspace("meta")?, dir)?;
        let (log, history, id, record) = (keyspace("log")?, keyspace("history")?, keyspace("id")?, keyspace("record")?);
        Ok(Self { log, history, id, record, meta, torn, _db: db, _lock: lock })
    }

    /// Format, epoch and shards; none before the first start is over.
    #[must_use]
    pub fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }

    /// What was cut off the journal.
    #[must_use]
    pub fn torn_tail(&self) -> Option<TornTail> {
        self.torn
    }

    /// The next user after one, in the order of the keys, who has an inbox or says to have one.
    ///
    /// # Errors
    /// When a file is damaged where the next user would stand.
    pub fn next_user(&self, after: Option<&Uid>) -> Next<Uid> {
        self.next([List::Rows, List::Head, List::Checkpoint], after.map(Uid::as_str))
    }

    /// The next group after one, in the order of the keys, that has a log or says to have one.
    ///
    /// # Errors
    /// When a file is damaged where the next group would stand.
    pub fn next_group(&self, after: Option<&Gid>) -> Next<Gid> {
        self.next([List::GroupRows, List::GroupHead, List::GroupCheckpoint], after.map(Gid::as_str))
    }

    fn next<I: FromStr>(&self, lists: [List; 3], after: Option<&str>) -> Next<I> {
        let (mut next, mut unreadable) = (None, None);
        for list in lists {
            match self.first_owner(list, after) {
                Ok(None) => {}
                Ok(Some(owner)) => {
                    let nearer = next.as_deref().is_none_or(|known| key::before(&owner, known));
                    next = if nearer { Some(owner) } else { next };
                }
                Err(why) => unreadable = Some(why),
            }
        }
        let next = next.and_then(|id| id.parse().ok());
        match unreadable {
            Some(why) => Err((why, next)),
            None => Ok(next),
        }
    }

    fn first_owner(&self, list: List, after: Option<&str>) -> Result<Option<String>, String> {
        let range =
            (Bound::Included(key::owners_after(list.kind(), after)), Bound::Excluded(key::owners_end(list.kind())));
        let read = || match self.keyspace(list).range(range).next() {
            None => Ok(None),
            Some(guard) => {
                guard.key().map_err(|error| error.to_string()).map(|key| key::owner_of(&key).map(str::to_owned))
            }
        };
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("the engine gave up".to_owned()))
    }

    /// Calls `each` with every key of a list of the user or group with this id, and what lies there.
    pub fn each(&self, list: List, owner: &str, mut each: impl FnMut(&[u8], Found)) {
        let (from, to) = key::owned(list.kind(), owner);
        let read = || {
            for guard in self.keyspace(list).range((Bound::Included(from), Bound::Excluded(to))) {
                match guard.into_inner() {
                    Ok((key, stored)) => each(&key, value::unpack(&stored).map_or(Found::Damaged, Found::Whole)),
                    Err(error) => return Some(error.to_string()),
                }
            }
            None
        };
        let ended = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Some("the engine gave up".to_owned()));
        if let Some(why) = ended {
            each(&[], Found::Unreadable(why));
        }
    }

    fn keyspace(&self, list: List) -> &Keyspace {
        match list {
            List::Rows | List::GroupRows => &self.log,
            List::History => &self.history,
            List::Ids | List::GroupIds => &self.id,
            List::Head
            | List::Checkpoint
            | List::Conversations
            | List::GroupViews
            | List::Devices
            | List::GroupHead
            | List::GroupCheckpoint
            | List::Members => &self.record,
        }
    }
}

/// The seq at the end of a row's key.
#[must_use]
pub fn seq_of(key: &[u8]) -> u64 {
    key::seq_of(key).map_or(0, |seq| seq.get())
}

fn gave_up(dir: PathBuf) -> OpenError {
    OpenError::Corrupt { dir, what: "the engine gave up on its files".to_owned() }
}
