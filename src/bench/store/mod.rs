//! `tidings bench store`: what the embedded store makes of a disk, against a raw log on the same disk in the same run.
//! No server and no client: the store's port, once by itself and once through the Appender and bare actors.
//!
//! This is the one bench that names the store and its port; it measures nothing else.

mod bare;
mod children;
mod raw;
mod report;
mod rows;
mod waves;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use metrics_exporter_prometheus::PrometheusHandle;
use tidings_actors::port::store::{PageLimit, Store};
use tidings_schema::id::{Seq, ShardCount};
use tokio::sync::oneshot;

use self::{
    children::{Filled, Task},
    raw::{RawLog, RawStore},
    report::{Alone, Batch, Report, Through},
    rows::Rows,
    waves::Load,
};
use super::{measure, report::Latency};
use crate::{
    clock::{Stopwatch, SystemClock},
    config::{Config, Machine},
    store::embedded::{EmbeddedStore, OpenOptions},
    telemetry,
};

/// Rows of a batch, in turn.
const BATCHES: [usize; 4] = [1, 16, 128, 1024];
/// The batch whose CPU time is in the report.
const CPU_BATCH: usize = 128;
/// Times everything is measured, and in a quick run; the median counts.
const ROUNDS: (usize, usize) = (3, 1);
/// Appends per second of the paced part.
const RATE: u64 = 10_000;
/// The paced part takes so many windows.
const PACED_WINDOWS: u32 = 5;
/// Timelines whose rows are all read after the kill.
const READ_WHOLE: usize = 100;

/// Rows and milliseconds of a run, and of a quick one.
const FULL: (u64, u64) = (5_000_000, 2_000);
const QUICK: (u64, u64) = (40_000, 200);

/// `tidings bench store`.
#[derive(Args, Clone, Debug)]
pub struct StoreArgs {
    /// Rows in the store before anything is measured [default: 5000000, with --quick 40000].
    #[arg(long, value_name = "N")]
    pub rows: Option<u64>,
    /// Directory in which the stores and the raw log are made, removed at the end. Name one on a real disk.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub data_in: PathBuf,
    /// A run of seconds that shows that all parts work; its figures mean nothing.
    #[arg(long)]
    pub quick: bool,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    pub json: bool,
    /// What this process does for another one of its kind.
    #[arg(long, hide = true)]
    pub child: Option<Task>,
}

/// A directory that goes with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn make(data_in: &Path) -> anyhow::Result<Self> {
        let dir = data_in.join(format!("tidings-bench-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot write in {}", data_in.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, data = %self.0.display(), "data of the measured stores stays behind");
        }
    }
}

/// Measures and prints.
///
/// # Errors
/// When the disk refuses, or what was durable before a kill is not there after it. A sync too many exits with 1.
pub(super) fn run(args: StoreArgs) -> anyhow::Result<ExitCode> {
    let (rows, millis) = if args.quick { QUICK } else { FULL };
    let rows = args.rows.unwrap_or(rows);
    if let Some(task) = args.child {
        children::be(task, &args.data_in, rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let scratch = Scratch::make(&args.data_in)?;
    let plan = Plan { dir: scratch.0.clone(), rows, window: Duration::from_millis(millis), quick: args.quick };
    let report = unless_interrupted(move || plan.carry_out())?;
    drop(scratch);
    if args.json {
        println!("{}", report.json()?);
    } else {
        print!("{}", report.table());
    }
    Ok(if report.is_exact() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Works on a thread of its own, so that an interrupt is seen and what was made can be removed.
fn unless_interrupted(work: impl FnOnce() -> anyhow::Result<Report> + Send + 'static) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let (done, result) = oneshot::channel();
    std::thread::Builder::new().name("bench-store".to_owned()).spawn(move || {
        // Nobody waits any more after an interrupt.
        let _interrupted = done.send(work()).is_err();
    })?;
    runtime.block_on(async {
        tokio::select! {
            report = result => report.context("the measuring thread panicked")?,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    })
}

/// Opens a store as a server does that is told nothing else.
fn open(dir: &Path) -> anyhow::Result<Arc<EmbeddedStore>> {
    let config = Config::default();
    let (store, _epoch) = EmbeddedStore::open(OpenOptions {
        dir: dir.to_owned(),
        shards: ShardCount::new(ShardCount::DEFAULT).context("no shards")?,
        disk_reserve_mb: config.store.disk_reserve_mb,
        cache_mb: config.store.cache_mb,
        memtable_mb: config.memtable_mb(&Machine::read()),
        clock: Arc::new(SystemClock::new()),
    })?;
    Ok(store)
}

struct Plan {
    dir: PathBuf,
    rows: u64,
    window: Duration,
    quick: bool,
}

impl Plan {
    fn rounds(&self) -> usize {
        if self.quick { ROUNDS.1 } else { ROUNDS.0 }
    }

    fn carry_out(&self) -> anyhow::Result<Report> {
        let disk_sync = Latency::of(&measure::syncs(&self.dir)?);
        let syncs = children::counted_syncs(&self.dir.join("counted"))?;
        let dir = self.dir.join("full");
        let filled = children::filled_and_killed(&dir, self.rows)?;
        let metrics = telemetry::start_metrics()?;
        let watch = Stopwatch::start();
        let store = open(&dir)?;
        let reopen_seconds = watch.micros() as f64 / 1e6;
        let mut load = Load::new(store, Rows::new()?)?;
        find_all(&mut load, &filled)?;
        let newest = Latency::of(&load.newest()?);
        let alone =
            BATCHES.iter().map(|batch| self.alone(&mut load, *batch, &metrics)).collect::<Result<Vec<_>, _>>()?;
        let paced = Latency::of(&load.paced(RATE, self.window * PACED_WINDOWS)?);
        drop(load);
        std::fs::remove_dir_all(&dir)?;
        let through = BATCHES.iter().map(|batch| self.through(*batch)).collect::<Result<Vec<_>, _>>()?;
        let batches = alone.into_iter().zip(through).map(|(alone, through)| Batch { alone, through }).collect();
        Ok(Report { quick: self.quick, filled, reopen_seconds, newest, batches, rate: RATE, paced, syncs, disk_sync })
    }

    /// The committer without actors, on what the store holds.
    fn alone(&self, load: &mut Load, batch: usize, metrics: &PrometheusHandle) -> anyhow::Result<Alone> {
        let mut log = RawLog::open(&self.dir.join("raw"))?;
        let cpu = || Ok::<_, anyhow::Error>(measure::used(std::process::id())?.cpu_s());
        let commits = || measure::parse(&metrics.render()).commits;
        let mut alone = Alone { batch, ..Alone::default() };
        for _ in 0..self.rounds() {
            let raw = log.measure(batch, self.window)?;
            let (cpu_before, commits_before) = (cpu()?, commits());
            let (store, rows) = load.measure(batch, self.window)?;
            alone.rounds.add(raw, store);
            alone.rows += rows;
            alone.cpu_seconds += cpu()? - cpu_before;
            alone.commits += commits() - commits_before;
        }
        Ok(alone)
    }

    /// The same through the Appender and actors, on an empty store.
    fn through(&self, batch: usize) -> anyhow::Result<Through> {
        let mut through = Through::default();
        for _ in 0..self.rounds() {
            let log = RawStore::start(RawLog::open(&self.dir.join("raw"))?)?;
            let raw = bare::measure(Arc::new(log), batch, self.window)?;
            let dir = self.dir.join("empty");
            let store = bare::measure(open(&dir)?, batch, self.window)?;
            std::fs::remove_dir_all(&dir)?;
            through.rounds.add(raw, store);
        }
        Ok(through)
    }
}

/// Everything that was durable when the process was killed must be there, and go on from where it is.
fn find_all(load: &mut Load, filled: &Filled) -> anyhow::Result<()> {
    let Load { store, rows, runtime } = load;
    for _ in 0..filled.rows {
        rows.step();
    }
    for (at, timeline) in rows.timelines.iter().enumerate() {
        let last = PageLimit { rows: 1, bytes: 1 };
        let page = runtime.block_on(store.read_back(timeline.clone(), Seq::new(u64::MAX), last))?;
        let head = page.rows.first().map_or(Seq::ZERO, |row| row.seq);
        ensure!(head >= rows.heads[at], "{timeline:?} ends at {head}, {} was durable before the kill", rows.heads[at]);
        rows.heads[at] = head;
    }
    for (timeline, head) in rows.timelines.iter().zip(&rows.heads).take(READ_WHOLE) {
        let mut after = Seq::ZERO;
        while after < *head {
            let page = PageLimit { rows: 1_000, bytes: 1024 * 1024 };
            let page = runtime.block_on(store.read(timeline.clone(), after, *head, page))?;
            after =
                page.rows.last().map(|row| row.seq).with_context(|| format!("{timeline:?} has a hole at {after}"))?;
        }
    }
    Ok(())
}
