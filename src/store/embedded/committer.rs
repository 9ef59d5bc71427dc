//! The one thread that writes: takes everything that waits, makes it durable with one sync, answers all of it. While it
//! syncs, the next batch gathers.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread::{self, JoinHandle},
};

use tidings_actors::port::{
    clock::Clock,
    store::{Append, Change, Reply, Row, StoreError, TimelineId, Unavailable},
};
use tokio::sync::{oneshot, watch};

use super::{
    engine::{Batch, Engine, Scratch},
    meter::Meter,
    space::Reserve,
    sweep::Range,
};

/// Writes that may wait; more are refused as overloaded.
pub(super) const WRITES_WAITING_MAX: usize = 16_384;
/// Bytes of values that may wait; a write into an empty queue is always taken.
const WRITES_WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Writes of one batch at most; the rest is the next batch.
const BATCH_WRITES_MAX: usize = 8_192;
/// Bytes of values after which a batch takes no further write.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Whether a store takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ready,
    /// Not while the disk is nearly full; reads go on.
    DiskFull,
    /// Never again in this process: the engine failed.
    Failed,
}

/// What to write. Checked already.
pub(super) enum What {
    Append(Append),
    Put(Vec<Change>),
    Redact(TimelineId, Row),
    Sweep(Range),
}

impl What {
    fn bytes(&self) -> usize {
        let of = |changes: &[Change]| changes.iter().filter_map(|change| change.value.as_ref()).map(|v| v.len()).sum();
        match self {
            Self::Append(append) => append.rows.iter().map(|row| row.value.len()).sum::<usize>() + of(&append.with),
            Self::Put(changes) => of(changes),
            Self::Redact(_, row) => row.value.len(),
            Self::Sweep(_) => 0,
        }
    }

    fn items(&self) -> usize {
        match self {
            Self::Append(append) => append.rows.len() + append.with.len(),
            Self::Put(changes) => changes.len(),
            Self::Redact(_, _) => 1,
            Self::Sweep(range) => range.places(),
        }
    }
}

type Answer = Result<(), StoreError>;

struct Write {
    what: What,
    bytes: usize,
    reply: oneshot::Sender<Answer>,
}

/// The writing thread and the queue before it. Dropping it commits what waits.
pub(super) struct Committer {
    queue: Option<SyncSender<Write>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    batch_writes_max: AtomicUsize,
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    commits: AtomicU64,
    health: watch::Sender<Health>,
}

impl Committer {
    /// Starts the thread.
    pub(super) fn start(engine: &Arc<Engine>, reserve: Reserve, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let (queue, writes) = mpsc::sync_channel(WRITES_WAITING_MAX);
        let shared = Arc::new(Shared {
            batch_writes_max: AtomicUsize::new(BATCH_WRITES_MAX),
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            commits: AtomicU64::new(0),
            health: watch::Sender::new(Health::Ready),
        });
        let (engine, for_thread) = (engine.clone(), shared.clone());
        let thread = thread::Builder::new().name("store-commit".to_owned()).spawn(move || {
            let ended = Ended(for_thread.clone());
            let (shared, meter, scratch) = (&*for_thread, Meter::new(), Scratch::default());
            Loop { engine: &engine, reserve, clock, shared, meter, scratch }.run(&writes);
            drop(ended);
        })?;
        Ok(Self { queue: Some(queue), shared, thread: Some(thread) })
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Puts at most so many writes into a batch from now on.
    pub(super) fn limit_batches(&self, writes: usize) {
        self.shared.batch_writes_max.store(writes.clamp(1, BATCH_WRITES_MAX), Ordering::Relaxed);
    }

    /// Batches that were committed so far.
    #[cfg(test)]
    pub(super) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Queues a write. Cheap: encoding and checksums are the thread's work.
    pub(super) fn write(&self, what: What) -> Reply<()> {
        let (reply, answer) = oneshot::channel();
        if let Err(why) = self.enqueue(what, reply) {
            return Box::pin(std::future::ready(Err(StoreError::Unavailable(why))));
        }
        Box::pin(async move { answer.await.unwrap_or(Err(StoreError::Unavailable(Unavailable::Down))) })
    }

    fn enqueue(&self, what: What, reply: oneshot::Sender<Answer>) -> Result<(), Unavailable> {
        let bytes = what.bytes();
        let before = self.shared.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before > 0 && before + bytes > WRITES_WAITING_BYTES_MAX {
            self.shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(overloaded());
        }
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let refused = match self.queue.as_ref().map(|queue| queue.try_send(Write { what, bytes, reply })) {
            Some(Ok(())) => return Ok(()),
            Some(Err(TrySendError::Full(_))) => overloaded(),
            Some(Err(TrySendError::Disconnected(_))) | None => Unavailable::Down,
        };
        self.shared.took(1, bytes);
        Err(refused)
    }
}

fn overloaded() -> Unavailable {
    metrics::counter!("tidings_store_writes_refused_total", "why" => "overloaded").increment(1);
    Unavailable::Overloaded
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, its waiters were told by the closed channel.
            let _panicked = thread.join().is_err();
        }
    }
}

impl Shared {
    fn took(&self, writes: usize, bytes: usize) {
        self.waiting.fetch_sub(writes, Ordering::Relaxed);
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn set_health(&self, health: Health) {
        self.health.send_if_modified(|now| std::mem::replace(now, health) != health);
    }
}

/// However the thread ends, nothing is written after it.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("committer panicked, writes are refused");
            self.0.set_health(Health::Failed);
        }
    }
}

struct Loop<'a> {
    engine: &'a Engine,
    reserve: Reserve,
    clock: Arc<dyn Clock>,
    shared: &'a Shared,
    meter: Meter,
    scratch: Scratch,
}

impl Loop<'_> {
    fn run(&mut self, queue: &Receiver<Write>) {
        let mut writes = Vec::new();
        while let Ok(first) = queue.recv() {
            let bytes = gather(first, queue, self.shared.batch_writes_max.load(Ordering::Relaxed), &mut writes);
            self.shared.took(writes.len(), bytes);
            self.meter.waiting(self.shared.waiting.load(Ordering::Relaxed));
            match self.may_write() {
                Ok(()) => self.commit(&mut writes),
                Err(why) => answer(writes.drain(..).map(|write| write.reply), &Err(StoreError::Unavailable(why))),
            }
        }
    }

    fn may_write(&mut self) -> Result<(), Unavailable> {
        if *self.shared.health.borrow() == Health::Failed {
            return Err(Unavailable::Down);
        }
        if self.reserve.allows() {
            self.shared.set_health(Health::Ready);
            return Ok(());
        }
        self.shared.set_health(Health::DiskFull);
        metrics::counter!("tidings_store_writes_refused_total", "why" => "disk_full").increment(1);
        Err(Unavailable::DiskFull)
    }

    fn commit(&mut self, writes: &mut Vec<Write>) {
        let begun = self.clock.uptime();
        let items = writes.iter().map(|write| write.what.items()).sum();
        let mut batch = Batch::new(self.engine, &mut self.scratch, items);
        let mut replies = Vec::with_capacity(writes.len());
        for Write { what, bytes: _, reply } in writes.drain(..) {
            match encode(&mut batch, &what) {
                Ok(()) => replies.push(reply),
                Err(refused) => answer(std::iter::once(reply), &Err(refused)),
            }
        }
        let rows = batch.len();
        let done = batch.commit().map(|written| self.meter.wrote(&written)).map_err(|error| {
            tracing::error!(%error, "engine failed, writes are refused until the process is started again");
            self.shared.set_health(Health::Failed);
            StoreError::Unavailable(Unavailable::Down)
        });
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.meter.committed(rows, self.clock.uptime().since(begun));
        answer(replies.into_iter(), &done);
    }
}

/// Takes what waits, up to the bounds of a batch; returns its bytes.
fn gather(first: Write, queue: &Receiver<Write>, writes_max: usize, writes: &mut Vec<Write>) -> usize {
    let mut bytes = first.bytes;
    writes.push(first);
    while writes.len() < writes_max && bytes < BATCH_BYTES_MAX {
        let Ok(next) = queue.try_recv() else { break };
        bytes += next.bytes;
        writes.push(next);
    }
    bytes
}

fn encode(batch: &mut Batch<'_>, what: &What) -> Result<(), StoreError> {
    match what {
        What::Append(append) => batch.append(append),
        What::Put(changes) => batch.change(changes),
        What::Redact(timeline, row) => batch.redact(timeline, row)?,
        What::Sweep(range) => range.encode(batch),
    }
    Ok(())
}

fn answer(replies: impl Iterator<Item = oneshot::Sender<Answer>>, answer: &Answer) {
    for reply in replies {
        // A caller that left meanwhile needs no answer.
        let _left = reply.send(answer.clone()).is_err();
    }
}
