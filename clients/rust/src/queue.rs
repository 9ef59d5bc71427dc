//! What a client keeps between its runs: messages without an ack, and its place in the inbox.
//!
//! [`FileQueue`] is an append-only log with checksums. A message is on the disk before it leaves; a torn tail (the
//! process or the machine died while writing) is cut off at the next start; a damaged middle ends the log there too.
//! What a message said is gone from the file when the message is recalled or edited, and at the latest at the next start.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use prost::Message as _;
use tidings_schema::{
    id::{LogId, MessageId, Seq},
    wire,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::core::{Change, Place, Stored};

/// A log smaller than this is never rewritten.
const COMPACT_ABOVE_BYTES: u64 = 1024 * 1024;
/// The log is rewritten when it is this many times what it must hold.
const COMPACT_FACTOR: u64 = 4;
/// Length (4 bytes) and checksum (8 bytes) before each record.
const HEAD_BYTES: usize = 12;

/// Why something was not kept.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another process has this directory open.
    #[error("{0} is in use by another client")]
    InUse(PathBuf),
    /// The disk said no.
    #[error("cannot keep messages in {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Where a client keeps what must survive. All calls come from one task, in order.
pub trait DurableQueue: Send + 'static {
    /// What was kept, at the start.
    ///
    /// # Errors
    /// [`QueueError`]: the client must not start.
    fn load(&mut self) -> Result<Stored, QueueError>;

    /// Notes a change. It must survive the death of the process from here on.
    ///
    /// # Errors
    /// [`QueueError`]: the client stops.
    fn note(&mut self, change: &Change) -> Result<(), QueueError>;

    /// Everything noted must survive the death of the machine when this returns.
    ///
    /// # Errors
    /// [`QueueError`]: the client stops.
    fn sync(&mut self) -> Result<(), QueueError>;
}

/// Keeps nothing beyond the process: for load generators and tests.
#[derive(Debug, Default)]
pub struct MemoryQueue;

impl DurableQueue for MemoryQueue {
    fn load(&mut self) -> Result<Stored, QueueError> {
        Ok(Stored::default())
    }

    fn note(&mut self, _change: &Change) -> Result<(), QueueError> {
        Ok(())
    }

    fn sync(&mut self) -> Result<(), QueueError> {
        Ok(())
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(message, optional, tag = "1")]
    add: Option<wire::Send>,
    #[prost(bytes = "bytes", tag = "2")]
    remove: Bytes,
    #[prost(message, optional, tag = "3")]
    place: Option<PlaceRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PlaceRecord {
    #[prost(bytes = "bytes", tag = "1")]
    log_id: Bytes,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(btree_map = "string, uint64", tag = "3")]
    listed_upto: BTreeMap<String, u64>,
}

/// A queue in a directory of its own, locked for the life of this value.
#[derive(Debug)]
pub struct FileQueue {
    path: PathBuf,
    file: File,
    bytes: u64,
    unsynced: Unsynced,
    /// What is not kept any more must not stand in the file either.
    scrub: bool,
    kept: Stored,
    _lock: File,
}

#[derive(Debug, PartialEq, Eq)]
enum Unsynced {
    Nothing,
    /// Only the place or removals: losing them costs a repetition, never a message.
    Harmless,
    Messages,
}

impl FileQueue {
    /// Opens or creates the queue in `directory`.
    ///
    /// # Errors
    /// [`QueueError::InUse`] when another process has it, [`QueueError::Io`].
    pub fn open(directory: &Path) -> Result<Self, QueueError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| QueueError::Io { path, source }
        };
        std::fs::create_dir_all(directory).map_err(io(directory))?;
        let lock = lock(directory)?;
        let path = directory.join("queue.log");
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(&path).map_err(io(&path))?;
        let mut log = Vec::new();
        file.read_to_end(&mut log).map_err(io(&path))?;
        let (kept, whole) = replay(&log);
        if whole < log.len() {
            tracing::warn!(cut_bytes = log.len() - whole, "torn tail of the queue cut off");
            file.set_len(whole as u64).map_err(io(&path))?;
        }
        file.sync_all().map_err(io(&path))?;
        sync_directory(directory).map_err(io(directory))?;
        let (bytes, unsynced) = (whole as u64, Unsynced::Nothing);
        let mut queue = Self { path, file, bytes, unsynced, scrub: false, kept, _lock: lock };
        queue.rewrite(&queue.needed())?;
        Ok(queue)
    }

    fn error(&self, source: std::io::Error) -> QueueError {
        QueueError::Io { path: self.path.clone(), source }
    }

    /// Rewrites the log when most of it is history.
    fn compact(&mut self) -> Result<(), QueueError> {
        if self.bytes < COMPACT_ABOVE_BYTES {
            return Ok(());
        }
        let log = self.needed();
        if self.bytes < COMPACT_FACTOR * log.len() as u64 { Ok(()) } else { self.rewrite(&log) }
    }

    /// The shortest log that says what is kept.
    fn needed(&self) -> Vec<u8> {
        let mut log = Vec::new();
        for send in &self.kept.sends {
            put(&record_of_send(send), &mut log);
        }
        if let Some(place) = &self.kept.place {
            put(&record_of_place(place), &mut log);
        }
        log
    }

    /// Puts `log` in place of the file, unless that is what it is.
    fn rewrite(&mut self, log: &[u8]) -> Result<(), QueueError> {
        if self.bytes == log.len() as u64 {
            return Ok(());
        }
        self.replace(log).map_err(|source| self.error(source))
    }

    fn replace(&mut self, log: &[u8]) -> std::io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(log)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)?;
        if let Some(directory) = self.path.parent() {
            sync_directory(directory)?;
        }
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.bytes = log.len() as u64;
        self.unsynced = Unsynced::Nothing;
        Ok(())
    }
}

impl DurableQueue for FileQueue {
    fn load(&mut self) -> Result<Stored, QueueError> {
        Ok(self.kept.clone())
    }

    fn note(&mut self, change: &Change) -> Result<(), QueueError> {
        let record = match change {
            Change::Add(send) => record_of_send(send),
            Change::Remove(id) => Record { remove: Bytes::copy_from_slice(id.as_bytes()), ..Record::default() },
            Change::Place(place) => record_of_place(place),
            Change::Scrub => {
                self.scrub = true;
                return Ok(());
            }
        };
        let mut log = Vec::with_capacity(record.encoded_len() + HEAD_BYTES);
        put(&record, &mut log);
        self.file.write_all(&log).map_err(|source| self.error(source))?;
        self.bytes += log.len() as u64;
        match change {
            Change::Add(_) => self.unsynced = Unsynced::Messages,
            Change::Remove(_) | Change::Place(_) if self.unsynced == Unsynced::Nothing => {
                self.unsynced = Unsynced::Harmless;
            }
            Change::Remove(_) | Change::Place(_) | Change::Scrub => {}
        }
        apply(&mut self.kept, record);
        self.compact()
    }

    fn sync(&mut self) -> Result<(), QueueError> {
        if std::mem::take(&mut self.scrub) {
            self.rewrite(&self.needed())?;
        }
        match self.unsynced {
            Unsynced::Nothing | Unsynced::Harmless => Ok(()),
            Unsynced::Messages => {
                self.file.sync_data().map_err(|source| self.error(source))?;
                self.unsynced = Unsynced::Nothing;
                Ok(())
            }
        }
    }
}

fn lock(directory: &Path) -> Result<File, QueueError> {
    let path = directory.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|source| QueueError::Io { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(QueueError::InUse(directory.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(QueueError::Io { path, source }),
    }
}

fn sync_directory(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

fn put(record: &Record, log: &mut Vec<u8>) {
    let payload = record.encode_to_vec();
    log.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    log.extend_from_slice(&xxh3_64(&payload).to_le_bytes());
    log.extend_from_slice(&payload);
}

/// What a log says, and how many of its bytes are whole records.
fn replay(log: &[u8]) -> (Stored, usize) {
    let mut kept = Stored::default();
    let mut at = 0;
    while let Some((record, next)) = record_at(log, at) {
        apply(&mut kept, record);
        at = next;
    }
    (kept, at)
}

fn record_at(log: &[u8], at: usize) -> Option<(Record, usize)> {
    let (head, rest) = log.get(at..)?.split_at_checked(HEAD_BYTES)?;
    let (len, sum) = head.split_at_checked(4)?;
    let len = usize::try_from(u32::from_le_bytes(len.try_into().ok()?)).ok()?;
    let payload = rest.get(..len)?;
    if len == 0 || xxh3_64(payload).to_le_bytes() != sum {
        return None;
    }
    Some((Record::decode(payload).ok()?, at + HEAD_BYTES + len))
}

fn apply(kept: &mut Stored, record: Record) {
    if let Some(send) = record.add {
        kept.sends.push(send);
    }
    if let Ok(id) = MessageId::from_slice(&record.remove) {
        let id = id.to_string();
        if let Some(at) = kept.sends.iter().position(|send| send.message_id == id) {
            kept.sends.remove(at);
        }
    }
    if let Some(place) = record.place {
        let listed = place.listed_upto.into_iter().map(|(peer, upto)| (peer, Seq::new(upto)));
        kept.place = Some(Place {
            log_id: LogId::from_wire(&place.log_id).ok().flatten(),
            seq: Seq::new(place.seq),
            listed_upto: listed.collect(),
        });
    }
}

fn record_of_send(send: &wire::Send) -> Record {
    Record { add: Some(send.clone()), ..Record::default() }
}

fn record_of_place(place: &Place) -> Record {
    let log_id = place.log_id.map(|id| Bytes::copy_from_slice(id.as_bytes())).unwrap_or_default();
    let listed_upto = place.listed_upto.iter().map(|(peer, upto)| (peer.clone(), upto.get())).collect();
    Record { place: Some(PlaceRecord { log_id, seq: place.seq.get(), listed_upto }), ..Record::default() }
}

#[cfg(test)]
mod tests;
