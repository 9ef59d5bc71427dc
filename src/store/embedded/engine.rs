//! The engine and its keyspaces, and the encoding of writes into its batches.

use std::{path::Path, sync::Arc};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, LsmError, OwnedWriteBatch, PersistMode, compaction::Leveled};
use tidings_actors::port::store::{Append, Change, Key, Row, StoreError, TimelineId, Unavailable};
use tidings_schema::id::{Epoch, Seq};

use super::{
    OpenError, OpenOptions, format, key,
    lock::DirLock,
    meter::{Written, kind_of, log_of},
    value,
};

/// The engine's own directory below the data directory.
pub(super) const DATA_DIR: &str = "data";

const MIB: u64 = 1024 * 1024;

/// Bytes of all journals before the engine writes out what holds the oldest; also bounds the replay at a start.
const JOURNALS_BYTES_MAX: u64 = 192 * MIB;

/// Table files in the first level before they are merged into the next. Writes wait at twenty: so there is time for a merge.
const FIRST_LEVEL_TABLES: u8 = 8;

/// Size of a merged table file. Each is synced when it is whole, and a commit that syncs at that moment waits for all of its
/// bytes; smaller ones make a smaller second level, and more is merged again.
const TABLE_BYTES: u64 = 32 * MIB;

/// Threads that flush and compact. One of them leaves compactions to the others and asks again and again, without a
/// pause, while one waits: with two, as long as every compaction takes. Two others take what waits at once.
const WORKERS: usize = 3;

/// The open engine. The lock is given free after the engine is closed.
pub(super) struct Engine {
    log: Keyspace,
    history: Keyspace,
    id: Keyspace,
    record: Keyspace,
    db: Database,
    #[cfg(test)]
    pub(super) fail_commits: std::sync::atomic::AtomicBool,
    _lock: DirLock,
}

/// Bytes the engine holds in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// Rows that are no table file yet.
    pub(super) memtables: u64,
    /// Blocks of table files.
    pub(super) cache: u64,
}

impl Engine {
    /// What is in memory now.
    pub(super) fn memory(&self) -> Memory {
        Memory { memtables: self.db.write_buffer_size(), cache: self.db.cache_size() }
    }

    /// Opens or makes the engine's files and begins a new epoch.
    pub(super) fn open(options: &OpenOptions, lock: DirLock) -> Result<(Self, Epoch), OpenError> {
        let failed = |error| open_error(&options.dir, error);
        let db = Database::builder(options.dir.join(DATA_DIR))
            .cache_size(options.cache_mb.saturating_mul(MIB))
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .worker_threads(WORKERS)
            .open()
            .map_err(failed)?;
        let meta = db.keyspace("meta", KeyspaceCreateOptions::default).map_err(failed)?;
        let epoch = format::begin_epoch(&db, &meta, options)?;
        let memtable = options.memtable_mb.max(1).saturating_mul(MIB);
        let open = |name| {
            let merging = Leveled::default().with_l0_threshold(FIRST_LEVEL_TABLES).with_table_target_size(TABLE_BYTES);
            let merging = Arc::new(merging);
            let make =
                || KeyspaceCreateOptions::default().max_memtable_size(memtable).compaction_strategy(merging.clone());
            db.keyspace(name, make).map_err(failed)
        };
        let engine = Self {
            log: open("log")?,
            history: open("history")?,
            id: open("id")?,
            record: open("record")?,
            db,
            #[cfg(test)]
            fail_commits: std::sync::atomic::AtomicBool::new(false),
            _lock: lock,
        };
        Ok((engine, epoch))
    }

    /// Where rows lie.
    pub(super) fn log(&self) -> &Keyspace {
        &self.log
    }

    /// Where a record lies.
    pub(super) fn keyspace(&self, key: &Key) -> &Keyspace {
        match key {
            Key::History { .. } => &self.history,
            Key::MessageId(_, _, _) => &self.id,
            Key::Head(_)
            | Key::Mark(_, _)
            | Key::Checkpoint(_)
            | Key::Conversation(_, _)
            | Key::Peer(_, _)
            | Key::GroupView(_, _)
            | Key::GroupPeer(_, _)
            | Key::Device(_, _)
            | Key::GroupCheckpoint(_)
            | Key::Member(_, _) => &self.record,
        }
    }

    /// Where history lies.
    pub(super) fn history(&self) -> &Keyspace {
        &self.history
    }

    /// Where the lists that are scanned lie.
    pub(super) fn record(&self) -> &Keyspace {
        &self.record
    }
}

/// Writes on their way into one atomic batch. Encodes into the same buffers again and again.
pub(super) struct Batch<'a> {
    engine: &'a Engine,
    batch: OwnedWriteBatch,
    scratch: &'a mut Scratch,
    written: Written,
}

/// Buffers that outlive a batch.
#[derive(Default)]
pub(super) struct Scratch {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(engine: &'a Engine, scratch: &'a mut Scratch, items: usize) -> Self {
        let batch = OwnedWriteBatch::with_capacity(engine.db.clone(), items).durability(Some(PersistMode::SyncData));
        Self { engine, batch, scratch, written: Written::default() }
    }

    /// Count of items so far.
    pub(super) fn len(&self) -> usize {
        self.batch.len()
    }

    pub(super) fn append(&mut self, append: &Append) {
        for row in &append.rows {
            self.row(&append.timeline, row);
        }
        self.change(&append.with);
    }

    pub(super) fn change(&mut self, changes: &[Change]) {
        for change in changes {
            let Scratch { key, value } = &mut *self.scratch;
            key::record(key, &change.key);
            let keyspace = self.engine.keyspace(&change.key);
            match &change.value {
                Some(record) => {
                    value::pack(value, record);
                    self.batch.insert(keyspace, &key[..], &value[..]);
                }
                None => {
                    value.clear();
                    self.batch.remove(keyspace, &key[..]);
                }
            }
            self.count(kind_of(&change.key));
        }
    }

    /// Counts what stands in the buffers.
    fn count(&mut self, kind: usize) {
        self.written.add(kind, self.scratch.key.len() + self.scratch.value.len());
    }

    /// Overwrites a row that is durable already.
    pub(super) fn redact(&mut self, timeline: &TimelineId, row: &Row) -> Result<(), StoreError> {
        key::row(&mut self.scratch.key, timeline, row.seq);
        if !self.engine.log.contains_key(&self.scratch.key).map_err(|error| store_error(&error))? {
            return Err(StoreError::Rejected("no such row"));
        }
        self.row(timeline, row);
        Ok(())
    }

    /// Removes a row, whether it is there or not.
    pub(super) fn remove_row(&mut self, timeline: &TimelineId, seq: Seq) {
        let Scratch { key, value } = &mut *self.scratch;
        key::row(key, timeline, seq);
        value.clear();
        self.batch.remove(&self.engine.log, &key[..]);
        self.count(log_of(timeline));
    }

    fn row(&mut self, timeline: &TimelineId, row: &Row) {
        let Scratch { key, value } = &mut *self.scratch;
        key::row(key, timeline, row.seq);
        value::pack(value, &row.value);
        self.batch.insert(&self.engine.log, &key[..], &value[..]);
        self.count(log_of(timeline));
    }

    /// Makes all of it durable with one sync, and says what it was. An error means that the engine takes no writes any more.
    pub(super) fn commit(self) -> fjall::Result<Written> {
        #[cfg(test)]
        if self.engine.fail_commits.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(fjall::Error::Poisoned);
        }
        self.batch.commit()?;
        Ok(self.written)
    }
}

/// What a failed read means: bytes that do not fit are damage, anything else may pass.
pub(super) fn store_error(error: &fjall::Error) -> StoreError {
    match error {
        fjall::Error::Storage(LsmError::Io(_)) | fjall::Error::Io(_) | fjall::Error::Poisoned => {
            tracing::error!(%error, "read failed");
            StoreError::Unavailable(Unavailable::Down)
        }
        damaged => {
            metrics::counter!("tidings_store_corrupt_total").increment(1);
            tracing::error!(error = %damaged, "stored block is damaged");
            StoreError::Corrupt(damaged.to_string())
        }
    }
}

/// What a failed opening means.
pub(super) fn open_error(dir: &Path, error: fjall::Error) -> OpenError {
    let dir = dir.to_owned();
    match error {
        fjall::Error::Io(source) | fjall::Error::Storage(LsmError::Io(source)) => OpenError::NotUsable { dir, source },
        fjall::Error::Locked => OpenError::InUse(dir),
        damaged => OpenError::Corrupt { dir, what: damaged.to_string() },
    }
}

#[cfg(test)]
impl Engine {
    /// Stores a row as these bytes, checksum and all.
    pub(super) fn overwrite_row(&self, timeline: &TimelineId, seq: Seq, stored: &[u8]) {
        let mut key = Vec::new();
        key::row(&mut key, timeline, seq);
        self.log.insert(key, stored).unwrap();
    }

    /// Rewrites what the directory says about itself.
    pub(super) fn overwrite_meta(&self, meta: &tidings_schema::record::Meta) {
        let keyspace = self.db.keyspace("meta", KeyspaceCreateOptions::default).unwrap();
        format::overwrite(&self.db, &keyspace, meta);
    }
}
