//! Threads that read: the engine blocks for milliseconds when a block is not in memory, which no actor thread may.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use tidings_actors::port::store::{Reply, StoreError, Unavailable};
use tokio::sync::oneshot;

use super::engine::Engine;

/// Reads that run at the same time.
const READERS: usize = 8;
/// Reads that may wait; more are refused as overloaded.
const READS_WAITING_MAX: usize = 16_384;

type Job = Box<dyn FnOnce(&Engine) + Send>;

/// What waits to be read. A read wakes one thread: behind a channel that the threads share by turns it would wake two, the
/// one that takes it and the one that waits in its place.
#[derive(Default)]
struct Queue {
    reads: Mutex<Reads>,
    came: Condvar,
}

#[derive(Default)]
struct Reads {
    waiting: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    fn reads(&self) -> MutexGuard<'_, Reads> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refused when too much waits.
    fn push(&self, job: Job) -> Result<(), Unavailable> {
        let mut reads = self.reads();
        if reads.waiting.len() >= READS_WAITING_MAX {
            metrics::counter!("tidings_store_reads_refused_total").increment(1);
            return Err(Unavailable::Overloaded);
        }
        reads.waiting.push_back(job);
        drop(reads);
        self.came.notify_one();
        Ok(())
    }

    /// Waits for the next; `None` when the queue is closed and empty.
    fn next(&self) -> Option<Job> {
        let idle = |reads: &mut Reads| reads.waiting.is_empty() && !reads.closed;
        let mut reads = self.came.wait_while(self.reads(), idle).unwrap_or_else(PoisonError::into_inner);
        reads.waiting.pop_front()
    }

    fn close(&self) {
        self.reads().closed = true;
        self.came.notify_all();
    }
}

/// The reading threads; they end when this is dropped.
pub(super) struct Readers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts the threads.
    pub(super) fn start(engine: &Arc<Engine>) -> io::Result<Self> {
        let mut readers = Self { queue: Arc::default(), threads: Vec::with_capacity(READERS) };
        for number in 0..READERS {
            let (engine, queue) = (engine.clone(), readers.queue.clone());
            let thread = thread::Builder::new().name(format!("store-read-{number}"));
            readers.threads.push(thread.spawn(move || serve(&engine, &queue))?);
        }
        Ok(readers)
    }

    /// Runs a read on one of the threads. Skipped if nobody waits for it any more.
    pub(super) fn run<T, F>(&self, read: F) -> Reply<T>
    where
        T: Send + 'static,
        F: FnOnce(&Engine) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |engine| {
            if !reply.is_closed() {
                // A caller that left meanwhile needs no answer.
                let _left = reply.send(read(engine)).is_err();
            }
        });
        let queued = self.queue.push(job);
        Box::pin(async move {
            queued.map_err(StoreError::Unavailable)?;
            answer.await.unwrap_or(Err(StoreError::Unavailable(Unavailable::Down)))
        })
    }
}

fn serve(engine: &Engine, queue: &Queue) {
    while let Some(job) = queue.next() {
        // A damaged file may make the engine panic: that read fails, the others go on.
        if catch_unwind(AssertUnwindSafe(|| job(engine))).is_err() {
            metrics::counter!("tidings_store_read_panics_total").increment(1);
            tracing::error!("read panicked");
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            // Jobs that panic are caught, so a thread ends well.
            let _panicked = thread.join().is_err();
        }
    }
}
