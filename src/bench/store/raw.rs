//! What a disk gives at best: a log that was written before, overwritten in place, with one sync per batch. Nothing is
//! indexed, so nothing can be found again; every ratio of the report is to this.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::mpsc::{self, Receiver, SyncSender},
    thread::{self, JoinHandle},
    time::Duration,
};

use tidings_actors::port::{
    ownership::Stamp,
    store::{
        Append, Change, GroupScan, GroupScanPage, HistoryRange, Key, MembersPage, Page, PageLimit, Reply, Row, Scan,
        ScanPage, Store, StoreError, TimelineId, Unavailable,
    },
};
use tidings_schema::id::{Gid, Seq, Uid};
use tokio::sync::oneshot;

use super::rows::{Noise, ROW_BYTES};
use crate::clock::Stopwatch;

/// Bytes of the log; behind them it begins again.
const LOG_BYTES: u64 = 64 * 1024 * 1024;
/// Appends that may wait and are written together, as in the store's committer.
const WAITING_MAX: usize = 16_384;

/// The file.
pub(super) struct RawLog {
    file: File,
    at: u64,
}

impl RawLog {
    /// Opens the file; if it is not there, writes the whole of it once, so that later syncs are of data alone.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.try_exists()? {
            return Ok(Self { file: File::options().write(true).open(path)?, at: 0 });
        }
        let mut file = File::create(path)?;
        let mut left = LOG_BYTES;
        let piece = vec![1; 1024 * 1024];
        while left > 0 {
            file.write_all(&piece)?;
            left = left.saturating_sub(piece.len() as u64);
        }
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        if self.at + batch.len() as u64 > LOG_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(batch, self.at)?;
        self.at += batch.len() as u64;
        self.file.sync_data()
    }

    /// Rows per second in batches of so many.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn measure(&mut self, batch: usize, window: Duration) -> io::Result<f64> {
        let mut noise = Noise::new();
        let bytes: Vec<u8> = (0..batch).flat_map(|_| noise.row()).collect();
        let (watch, mut rows) = (Stopwatch::start(), 0_u64);
        while u128::from(watch.micros()) < window.as_micros() {
            self.write(&bytes)?;
            rows += batch as u64;
        }
        Ok(rows as f64 * 1e6 / watch.micros() as f64)
    }
}

struct Write {
    rows: Vec<Row>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

/// The log behind the store's port: takes appends, keeps nothing that could be read.
pub(super) struct RawStore {
    queue: Option<SyncSender<Write>>,
    thread: Option<JoinHandle<()>>,
}

impl RawStore {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When the system has none.
    pub(super) fn start(mut log: RawLog) -> io::Result<Self> {
        let (queue, writes) = mpsc::sync_channel(WAITING_MAX);
        let thread = thread::Builder::new().name("raw-commit".to_owned()).spawn(move || serve(&mut log, &writes))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }
}

fn serve(log: &mut RawLog, queue: &Receiver<Write>) {
    let (mut bytes, mut replies) = (Vec::new(), Vec::new());
    while let Ok(first) = queue.recv() {
        bytes.clear();
        for write in std::iter::once(first).chain(queue.try_iter().take(WAITING_MAX)) {
            write.rows.iter().for_each(|row| bytes.extend_from_slice(&row.value));
            replies.push(write.reply);
        }
        debug_assert!(bytes.len() <= WAITING_MAX * ROW_BYTES * 2, "a batch fits the log");
        let done = log.write(&bytes).map_err(|_| down());
        for reply in replies.drain(..) {
            // A caller that left meanwhile needs no answer.
            let _left = reply.send(done.clone()).is_err();
        }
    }
}

impl Drop for RawStore {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, its waiters were told by the closed channel.
            let _panicked = thread.join().is_err();
        }
    }
}

fn down() -> StoreError {
    StoreError::Unavailable(Unavailable::Down)
}

fn nothing_to_read<T: Send + 'static>() -> Reply<T> {
    Box::pin(std::future::ready(Err(StoreError::Rejected("a raw log is only written"))))
}

impl Store for RawStore {
    fn append(&self, append: Append) -> Reply<()> {
        let (reply, answer) = oneshot::channel();
        let sent = self.queue.as_ref().map(|queue| queue.try_send(Write { rows: append.rows, reply }));
        Box::pin(async move {
            match sent {
                Some(Ok(())) => answer.await.unwrap_or(Err(down())),
                Some(Err(_)) | None => Err(down()),
            }
        })
    }

    fn put(&self, _: Vec<Change>, _: Stamp) -> Reply<()> {
        nothing_to_read()
    }

    fn get(&self, _: Vec<Key>) -> Reply<Vec<Option<bytes::Bytes>>> {
        nothing_to_read()
    }

    fn scan(&self, _: Scan, _: Option<Uid>, _: usize) -> Reply<ScanPage> {
        nothing_to_read()
    }

    fn scan_groups(&self, _: GroupScan, _: Option<Gid>, _: usize) -> Reply<GroupScanPage> {
        nothing_to_read()
    }

    fn members(&self, _: Gid, _: Option<Uid>, _: PageLimit) -> Reply<MembersPage> {
        nothing_to_read()
    }

    fn read(&self, _: TimelineId, _: Seq, _: Seq, _: PageLimit) -> Reply<Page> {
        nothing_to_read()
    }

    fn read_back(&self, _: TimelineId, _: Seq, _: PageLimit) -> Reply<Page> {
        nothing_to_read()
    }

    fn read_history(&self, _: HistoryRange, _: PageLimit) -> Reply<Page> {
        nothing_to_read()
    }

    fn redact(&self, _: TimelineId, _: Row, _: Stamp) -> Reply<()> {
        nothing_to_read()
    }

    fn sweep(&self, _: TimelineId, _: Seq, _: Seq) -> Reply<()> {
        nothing_to_read()
    }
}
