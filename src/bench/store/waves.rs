//! Loads on the store's port, without actors: waves of appends that become one batch each, appends at a pace, and reads.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use tidings_actors::port::store::{PageLimit, Reply, Store};
use tidings_schema::id::Seq;
use tokio::{
    runtime::Runtime,
    task::{JoinSet, LocalSet},
    time::sleep,
};

use super::rows::Rows;
use crate::{
    bench::{measure::MICROS_MAX, pace},
    clock::Stopwatch,
    store::embedded::EmbeddedStore,
};

/// Waves under way: one that is being written, and behind it always another whole one, which the next batch takes.
pub(super) const WAVES: usize = 3;
/// Rows of a page that is timed, and bytes that never end it.
const PAGE: PageLimit = PageLimit { rows: 100, bytes: 1024 * 1024 };
/// Reads of the newest page that are timed.
const READS: usize = 2_000;
/// Paced appends that may be unanswered; when they are, the pace waits, and what is late counts from when it was due.
const UNANSWERED_MAX: usize = 8_192;

/// A store under a load, with what the load knows of its rows.
pub(super) struct Load {
    pub(super) store: Arc<EmbeddedStore>,
    pub(super) rows: Rows,
    pub(super) runtime: Runtime,
}

impl Load {
    /// # Errors
    /// When there is no runtime.
    pub(super) fn new(store: Arc<EmbeddedStore>, rows: Rows) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
        Ok(Self { store, rows, runtime })
    }

    fn wave(&mut self, batch: usize) -> Vec<Reply<()>> {
        (0..batch).map(|_| self.store.append(self.rows.append())).collect()
    }

    /// Appends in waves of `batch` rows until `done` of the rows that are durable. Those of the waves that are under way
    /// then become durable too, and are in the count.
    ///
    /// # Errors
    /// When the store refuses one.
    pub(super) fn waves(&mut self, batch: usize, mut done: impl FnMut(u64) -> bool) -> anyhow::Result<u64> {
        self.store.limit_batches(batch);
        let mut under_way: VecDeque<_> = (0..WAVES).map(|_| self.wave(batch)).collect();
        let mut rows = 0;
        while let Some(wave) = under_way.pop_front() {
            self.runtime.block_on(durable(wave))?;
            rows += batch as u64;
            if done(rows) {
                break;
            }
            let next = self.wave(batch);
            under_way.push_back(next);
        }
        for wave in under_way {
            self.runtime.block_on(durable(wave))?;
            rows += batch as u64;
        }
        Ok(rows)
    }

    /// Rows per second in waves of so many, and how many became durable.
    ///
    /// # Errors
    /// When the store refuses one.
    pub(super) fn measure(&mut self, batch: usize, window: Duration) -> anyhow::Result<(f64, u64)> {
        let watch = Stopwatch::start();
        let mut rate = 0.0;
        let rows = self.waves(batch, |rows| {
            let micros = watch.micros();
            rate = rows as f64 * 1e6 / micros as f64;
            u128::from(micros) >= window.as_micros()
        })?;
        Ok((rate, rows))
    }

    /// Appends one row after the other when each is due, and says how long each took from then.
    ///
    /// # Errors
    /// When the store refuses one.
    pub(super) fn paced(&mut self, rate: u64, window: Duration) -> anyhow::Result<Histogram<u64>> {
        let Self { store, rows, runtime } = self;
        store.limit_batches(usize::MAX);
        let watch = Stopwatch::start();
        let taken = Rc::new(RefCell::new(Histogram::new_with_bounds(1, MICROS_MAX, 3)?));
        let (order, mut due) = pace::orders();
        let appending = async {
            let mut unanswered = JoinSet::new();
            while let Some(due) = due.recv().await {
                if unanswered.len() >= UNANSWERED_MAX {
                    unanswered.join_next().await.context("nothing unanswered")???;
                }
                let (reply, taken) = (store.append(rows.append()), Rc::clone(&taken));
                unanswered.spawn_local(async move {
                    reply.await?;
                    taken.borrow_mut().saturating_record(watch.micros() - due);
                    anyhow::Ok(())
                });
                while let Some(answered) = unanswered.try_join_next() {
                    answered??;
                }
            }
            while let Some(answered) = unanswered.join_next().await {
                answered??;
            }
            anyhow::Ok(())
        };
        let pacing = async {
            let pace = pace::Pace::start(watch, rate, vec![order])?;
            sleep(window).await;
            pace.stop().await;
            anyhow::Ok(())
        };
        LocalSet::new().block_on(runtime, async { tokio::try_join!(appending, pacing) })?;
        let taken = taken.borrow().clone();
        Ok(taken)
    }

    /// How long the newest rows of a random timeline take that was read just before, in microseconds.
    ///
    /// # Errors
    /// When they are not all there.
    pub(super) fn newest(&mut self) -> anyhow::Result<Histogram<u64>> {
        let mut taken = Histogram::new_with_bounds(1, MICROS_MAX, 3)?;
        let watch = Stopwatch::start();
        for _ in 0..READS {
            let at = self.rows.noise.number() as usize % self.rows.timelines.len();
            let wanted = PAGE.rows.min(usize::try_from(self.rows.heads[at].get())?);
            for warm in [false, true] {
                let reading = self.store.read_back(self.rows.timelines[at].clone(), Seq::new(u64::MAX), PAGE);
                let begun = watch.micros();
                let page = self.runtime.block_on(reading)?;
                if warm {
                    taken.saturating_record(watch.micros() - begun);
                }
                let first = page.rows.first().map(|row| row.seq);
                ensure!(
                    page.rows.len() == wanted && first == Some(self.rows.heads[at]),
                    "the newest rows are not there"
                );
            }
        }
        Ok(taken)
    }
}

async fn durable(wave: Vec<Reply<()>>) -> anyhow::Result<()> {
    for reply in wave {
        reply.await?;
    }
    Ok(())
}
