//! The store of a single node: an LSM engine in a directory of this machine, locked for the life of the process.
//!
//! One committer thread owns all writes (`committer.rs`), a few threads read (`reader.rs`). Layout of the directory:
//! `lock`, and the engine's files under `data`. Keys and values: `key.rs`, `value.rs`.

mod committer;
mod engine;
mod format;
pub mod inspect;
mod journal;
mod key;
mod lock;
mod meter;
mod page;
mod reader;
mod space;
mod sweep;
#[cfg(test)]
mod tests;
pub mod value;

use std::{future::Future, io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use tidings_actors::port::{
    clock::Clock,
    ownership::Stamp,
    store::{
        Append, Change, GroupScan, GroupScanPage, HistoryRange, Key, MembersPage, Page, PageLimit, Reply, Row, Scan,
        ScanPage, Store, TimelineId, check_put, check_sweep,
    },
};
use tidings_schema::id::{Epoch, Gid, Seq, ShardCount, Uid};
use tokio::sync::watch;

pub use self::{committer::Health, journal::TornTail};
use self::{
    committer::{Committer, What},
    engine::Engine,
    lock::DirLock,
    reader::Readers,
    space::{FreeSpace, Reserve},
    sweep::Range,
};

/// What to open, and with how much memory.
#[derive(Clone)]
pub struct OpenOptions {
    /// The data directory; made if it does not exist.
    pub dir: PathBuf,
    /// Shards of the deployment; must be what the directory was made with.
    pub shards: ShardCount,
    /// Free space in MiB below which writes are refused. They are taken again above twice as much.
    pub disk_reserve_mb: u64,
    /// Block cache in MiB.
    pub cache_mb: u64,
    /// Rows kept in memory before they become a table file, in MiB.
    pub memtable_mb: u64,
    /// Measures how long commits take.
    pub clock: Arc<dyn Clock>,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{0} is in use by another process: stop that one first, or give this one a directory of its own")]
    InUse(PathBuf),
    /// It cannot be made, written or read.
    #[error("{dir} cannot be used; it must exist or be creatable, and be writable for this user")]
    NotUsable {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A newer version wrote it.
    #[error("{dir} has format {found}, this version knows up to {known}: use a version that knows format {found}")]
    NewerFormat {
        /// The data directory.
        dir: PathBuf,
        /// What it has.
        found: u32,
        /// The newest format of this version.
        known: u32,
    },
    /// The number of shards is fixed for the life of a deployment.
    #[error("{dir} was made with {stored} shards, the config says {asked}: set shards to {stored}")]
    OtherShards {
        /// The data directory.
        dir: PathBuf,
        /// What it was made with.
        stored: u32,
        /// What the config says.
        asked: u16,
    },
    /// Synced data is damaged.
    #[error("{dir} is damaged ({what}): keep a copy of it and restore the last backup")]
    Corrupt {
        /// The data directory.
        dir: PathBuf,
        /// What was found.
        what: String,
    },
}

/// A durable store in a directory.
///
/// Dropping it commits what waits, stops its threads and gives the directory free.
pub struct EmbeddedStore {
    // Their threads hold the engine too; it closes when they have ended.
    committer: Committer,
    readers: Readers,
    engine: Arc<Engine>,
    torn: Option<TornTail>,
}

impl EmbeddedStore {
    /// Opens a directory and begins a new epoch in it, durable before anything else is written. Blocks on the disk.
    ///
    /// # Errors
    /// [`OpenError`]; its text says what to do.
    pub fn open(options: OpenOptions) -> Result<(Arc<Self>, Epoch), OpenError> {
        let free = space::of(options.dir.clone());
        Self::open_with(options, free)
    }

    fn open_with(options: OpenOptions, free: FreeSpace) -> Result<(Arc<Self>, Epoch), OpenError> {
        let lock = DirLock::take(&options.dir)?;
        let data = options.dir.join(engine::DATA_DIR);
        let torn = journal::cut_torn_tail(&data, &options.dir)?;
        let (engine, epoch) = Engine::open(&options, lock)?;
        let engine = Arc::new(engine);
        let not_usable = |source| OpenError::NotUsable { dir: options.dir.clone(), source };
        let readers = Readers::start(&engine).map_err(not_usable)?;
        let reserve = Reserve::new(options.disk_reserve_mb, free);
        let committer = Committer::start(&engine, reserve, options.clock).map_err(not_usable)?;
        tracing::info!(epoch = epoch.get(), "store opened");
        Ok((Arc::new(Self { committer, readers, engine, torn }), epoch))
    }

    /// What was cut off the journal at the start: the last batch had not been written in full when the power went.
    #[must_use]
    pub fn torn_tail(&self) -> Option<TornTail> {
        self.torn
    }

    /// Sets the gauges of what the engine holds in memory.
    pub fn measure(&self) {
        let memory = self.engine.memory();
        // Exact in an f64 up to 8 PiB.
        metrics::gauge!("tidings_store_memtable_bytes").set(memory.memtables as f64);
        metrics::gauge!("tidings_store_cache_bytes").set(memory.cache as f64);
    }

    /// Whether writes are taken; changes are seen by the receiver.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.committer.health()
    }

    /// Puts at most so many writes into a batch from now on; more wait for the next. For measuring what a batch of a known
    /// size costs: a server has no reason to.
    pub fn limit_batches(&self, writes: usize) {
        self.committer.limit_batches(writes);
    }

    /// Resolves when the engine failed: no write is taken any more, and the process should end and be started again.
    pub fn fatal(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut health = self.health();
        async move {
            // An error means that the committer is gone, which is as fatal.
            let _gone = health.wait_for(|health| *health == Health::Failed).await.is_err();
        }
    }
}

impl Store for EmbeddedStore {
    fn append(&self, append: Append) -> Reply<()> {
        if let Err(refused) = append.check() {
            return Box::pin(std::future::ready(Err(refused)));
        }
        self.committer.write(What::Append(append))
    }

    fn put(&self, changes: Vec<Change>, _: Stamp) -> Reply<()> {
        if let Err(refused) = check_put(&changes) {
            return Box::pin(std::future::ready(Err(refused)));
        }
        self.committer.write(What::Put(changes))
    }

    fn get(&self, keys: Vec<Key>) -> Reply<Vec<Option<Bytes>>> {
        self.readers.run(move |engine| page::get(engine, &keys))
    }

    fn scan(&self, scan: Scan, after: Option<Uid>, limit: usize) -> Reply<ScanPage> {
        self.readers.run(move |engine| page::scan(engine, &scan, after.as_ref(), limit))
    }

    fn scan_groups(&self, scan: GroupScan, after: Option<Gid>, limit: usize) -> Reply<GroupScanPage> {
        self.readers.run(move |engine| page::scan_groups(engine, &scan, after.as_ref(), limit))
    }

    fn members(&self, gid: Gid, after: Option<Uid>, limit: PageLimit) -> Reply<MembersPage> {
        self.readers.run(move |engine| page::members(engine, &gid, after.as_ref(), limit))
    }

    fn read(&self, timeline: TimelineId, after: Seq, ceiling: Seq, limit: PageLimit) -> Reply<Page> {
        self.readers.run(move |engine| page::read(engine, &timeline, after, ceiling, limit))
    }

    fn read_back(&self, timeline: TimelineId, before: Seq, limit: PageLimit) -> Reply<Page> {
        self.readers.run(move |engine| page::read_back(engine, &timeline, before, limit))
    }

    fn read_history(&self, range: HistoryRange, limit: PageLimit) -> Reply<Page> {
        self.readers.run(move |engine| page::read_history(engine, &range, limit))
    }

    fn redact(&self, timeline: TimelineId, row: Row, _: Stamp) -> Reply<()> {
        self.committer.write(What::Redact(timeline, row))
    }

    fn sweep(&self, timeline: TimelineId, from: Seq, below: Seq) -> Reply<()> {
        if let Err(refused) = check_sweep(from, below) {
            return Box::pin(std::future::ready(Err(refused)));
        }
        self.committer.write(What::Sweep(Range { timeline, from, below }))
    }
}
