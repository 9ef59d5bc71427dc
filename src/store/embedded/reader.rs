//! Threads that read: the engine blocks for milliseconds when a block is not in memory, which no actor thread may.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
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

/// The reading threads; they end when this is dropped.
pub(super) struct Readers {
    queue: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts the threads.
    pub(super) fn start(engine: &Arc<Engine>) -> io::Result<Self> {
        let (queue, jobs) = mpsc::sync_channel(READS_WAITING_MAX);
        let jobs = Arc::new(Mutex::new(jobs));
        let start_one = |number| {
            let (engine, jobs) = (engine.clone(), jobs.clone());
            thread::Builder::new().name(format!("store-read-{number}")).spawn(move || serve(&engine, &jobs))
        };
        let threads = (0..READERS).map(start_one).collect::<io::Result<_>>()?;
        Ok(Self { queue: Some(queue), threads })
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
        let refused = match self.queue.as_ref().map(|queue| queue.try_send(job)) {
            Some(Ok(())) => None,
            Some(Err(TrySendError::Full(_))) => {
                metrics::counter!("tidings_store_reads_refused_total").increment(1);
                Some(Unavailable::Overloaded)
            }
            Some(Err(TrySendError::Disconnected(_))) | None => Some(Unavailable::Down),
        };
        Box::pin(async move {
            match refused {
                Some(why) => Err(StoreError::Unavailable(why)),
                None => answer.await.unwrap_or(Err(StoreError::Unavailable(Unavailable::Down))),
            }
        })
    }
}

fn serve(engine: &Engine, jobs: &Mutex<Receiver<Job>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A damaged file may make the engine panic: that read fails, the others go on.
        if catch_unwind(AssertUnwindSafe(|| job(engine))).is_err() {
            metrics::counter!("tidings_store_read_panics_total").increment(1);
            tracing::error!("read panicked");
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // Jobs that panic are caught, so a thread ends well.
            let _panicked = thread.join().is_err();
        }
    }
}
