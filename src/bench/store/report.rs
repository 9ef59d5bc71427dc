//! What a run found, beside what is wanted, as a table and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    CPU_BATCH,
    children::{Filled, Syncs},
};
use crate::bench::report::Latency;

/// Share of the raw log's rows that the committer alone is to reach, by rows of a batch.
const ALONE_WANTED: [(usize, f64); 4] = [(1, 0.60), (16, 0.40), (128, 0.20), (1024, 0.075)];
/// The same through the Appender and bare actors, on an empty store.
const THROUGH_WANTED: [(usize, f64); 4] = [(1, 0.90), (16, 0.65), (128, 0.35), (1024, 0.17)];
/// Milliseconds of a paced ack: p50, p99, p99.9.
const PACED_MS_WANTED: [f64; 3] = [0.5, 25.0, 250.0];
const CPU_SECONDS_WANTED: f64 = 8.0;
const WRITTEN_PER_ROW_BYTE_WANTED: f64 = 5.0;
const REOPEN_SECONDS_WANTED: f64 = 2.0;
const NEWEST_MICROS_WANTED: f64 = 130.0;

/// Figures of one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Too short to mean anything.
    pub(super) quick: bool,
    /// While the store was filled.
    pub(super) filled: Filled,
    /// Opening it after the kill.
    pub(super) reopen_seconds: f64,
    /// Milliseconds for the newest 100 rows of a timeline, thread hops included.
    pub(super) newest: Latency,
    pub(super) batches: Vec<Batch>,
    /// Appends per second of the paced part.
    pub(super) rate: u64,
    pub(super) paced: Latency,
    /// Or why they were not counted.
    pub(super) syncs: Result<Syncs, String>,
    /// Milliseconds of one sync of 16 KiB.
    pub(super) disk_sync: Latency,
}

/// What a batch size makes.
#[derive(Debug, Serialize)]
pub(super) struct Batch {
    pub(super) alone: Alone,
    pub(super) through: Through,
}

/// Rows per second of the raw log and of a store, round by round.
#[derive(Debug, Default, Serialize)]
pub(super) struct Rounds {
    raw: Vec<f64>,
    store: Vec<f64>,
}

impl Rounds {
    pub(super) fn add(&mut self, raw: f64, store: f64) {
        self.raw.push(raw);
        self.store.push(store);
    }

    /// Median of the ratios: the two of a round were measured one after the other.
    fn ratio(&self) -> f64 {
        median(self.raw.iter().zip(&self.store).map(|(raw, store)| store / raw).collect())
    }
}

/// The committer without actors.
#[derive(Debug, Default, Serialize)]
pub(super) struct Alone {
    pub(super) batch: usize,
    pub(super) rounds: Rounds,
    pub(super) rows: u64,
    pub(super) commits: u64,
    /// Of the whole process, the load included.
    pub(super) cpu_seconds: f64,
}

impl Alone {
    fn cpu_seconds_per_million(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.rows as f64
    }
}

/// The store through the Appender and actors.
#[derive(Debug, Default, Serialize)]
pub(super) struct Through {
    pub(super) rounds: Rounds,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn wanted(table: &[(usize, f64)], batch: usize) -> f64 {
    table.iter().find(|(of, _)| *of == batch).map_or(f64::NAN, |(_, wanted)| *wanted)
}

fn mark(reached: bool) -> &'static str {
    if reached { "yes" } else { "NO" }
}

impl Report {
    /// Each commit cost one sync, or nobody counted.
    pub(super) fn is_exact(&self) -> bool {
        self.syncs.as_ref().map_or(true, |syncs| syncs.commits > 0 && syncs.data_syncs == syncs.commits)
    }

    pub(super) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    pub(super) fn table(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _written = self.write(&mut out).is_ok();
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "{} rows of 200 bytes in the store, durable, against a raw log on the same disk",
            self.filled.rows
        )?;
        if self.quick {
            writeln!(out, "a quick run: the figures mean nothing")?;
        }
        self.write_batches(out)?;
        writeln!(out, "\n  {:<44} {:>10} {:>10} {:>8}", "", "measured", "wanted", "reached")?;
        for (name, measured, wanted) in self.figures() {
            writeln!(out, "  {name:<44} {measured:>10.2} {wanted:>10.1} {:>8}", mark(measured <= wanted))?;
        }
        let disk = &self.disk_sync;
        writeln!(out, "  {:<44} {:>10.2}", "disk sync p50, ms", disk.p50)?;
        writeln!(out, "  {:<44} {:>10.2}", "disk sync p99, ms", disk.p99)?;
        writeln!(out, "  {:<44} {:>10.0}", "rows/s of the fill", self.filled.rows as f64 / self.filled.seconds)?;
        self.write_syncs(out)
    }

    fn write_batches(&self, out: &mut String) -> std::fmt::Result {
        let header = |out: &mut String, title: &str| {
            writeln!(out, "\n  {title}")?;
            let names = ["batch", "raw rows/s", "store rows/s", "ratio", "wanted", "reached", "rows/commit"];
            let [batch, raw, store, ratio, wanted, reached, commit] = names;
            writeln!(out, "  {batch:>6} {raw:>12} {store:>13} {ratio:>7} {wanted:>7} {reached:>8} {commit:>12}")
        };
        let line = |out: &mut String, batch: usize, rounds: &Rounds, wanted: f64, per_commit: Option<f64>| {
            let (raw, store, ratio) = (median(rounds.raw.clone()), median(rounds.store.clone()), rounds.ratio());
            let per_commit = per_commit.map_or(String::new(), |rows| format!("{rows:.1}"));
            let reached = mark(ratio >= wanted);
            writeln!(
                out,
                "  {batch:>6} {raw:>12.0} {store:>13.0} {ratio:>7.3} {wanted:>7.3} {reached:>8} {per_commit:>12}"
            )
        };
        header(out, "committer alone")?;
        for Batch { alone, .. } in &self.batches {
            let per_commit = alone.rows as f64 / alone.commits.max(1) as f64;
            line(out, alone.batch, &alone.rounds, wanted(&ALONE_WANTED, alone.batch), Some(per_commit))?;
        }
        header(out, "through the Appender and bare actors, empty store; batch = actors")?;
        for Batch { alone, through } in &self.batches {
            line(out, alone.batch, &through.rounds, wanted(&THROUGH_WANTED, alone.batch), None)?;
        }
        Ok(())
    }

    /// Name, figure, and what it may be at most.
    fn figures(&self) -> Vec<(String, f64, f64)> {
        let [p50, p99, p999] = PACED_MS_WANTED;
        let paced = |at: &str| format!("ack {at} at {} appends/s, ms", self.rate);
        let cpu = self.batches.iter().find(|batch| batch.alone.batch == CPU_BATCH);
        let cpu = cpu.map_or(f64::NAN, |batch| batch.alone.cpu_seconds_per_million());
        let written = self.filled.written_bytes as f64 / self.filled.row_bytes as f64;
        vec![
            (paced("p50"), self.paced.p50, p50),
            (paced("p99"), self.paced.p99, p99),
            (paced("p99.9"), self.paced.p999, p999),
            (format!("CPU s per million appends, batch {CPU_BATCH}"), cpu, CPU_SECONDS_WANTED),
            ("bytes written per byte of the rows, fill".into(), written, WRITTEN_PER_ROW_BYTE_WANTED),
            ("reopen after kill -9, s".into(), self.reopen_seconds, REOPEN_SECONDS_WANTED),
            ("newest 100 rows, warm, p50, us".into(), self.newest.p50 * 1_000.0, NEWEST_MICROS_WANTED),
        ]
    }

    fn write_syncs(&self, out: &mut String) -> std::fmt::Result {
        match &self.syncs {
            Ok(Syncs { commits, data_syncs, other_syncs }) => writeln!(
                out,
                "\n  {commits} commits cost {data_syncs} data syncs ({other_syncs} other syncs for opening): {}",
                if self.is_exact() { "one each" } else { "WRONG" }
            ),
            Err(why) => writeln!(out, "\n  syncs per commit were not counted: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(p50: f64) -> Latency {
        Latency { samples: 1, p50, p99: p50, p999: p50, max: p50 }
    }

    fn report(syncs: Result<Syncs, String>) -> Report {
        let filled = Filled { rows: 100, seconds: 1.0, cpu_seconds: 1.0, written_bytes: 60_000, row_bytes: 20_000 };
        let mut alone = Alone { batch: 128, rows: 1_000_000, commits: 7_813, cpu_seconds: 9.0, ..Alone::default() };
        let mut through = Through::default();
        for (raw, store) in [(100.0, 21.0), (1_000.0, 190.0), (100.0, 30.0)] {
            alone.rounds.add(raw, store);
            through.rounds.add(raw, store);
        }
        let (batches, newest) = (vec![Batch { alone, through }], latency(0.1));
        let (paced, disk_sync) = (latency(0.4), latency(0.2));
        Report { quick: false, filled, reopen_seconds: 1.0, newest, batches, rate: 10, paced, syncs, disk_sync }
    }

    #[test]
    fn a_figure_that_is_missed_is_marked() {
        let table = report(Err("no strace".into())).table();
        let line = |name: &str| table.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(line("CPU s per million").ends_with("NO"), "{table}");
        assert!(line("bytes written").ends_with("yes"), "{table}");
        assert!(line("newest 100 rows").contains("100.00"), "{table}");
        let ratios: Vec<_> = table.lines().filter(|line| line.trim_start().starts_with("128")).collect();
        assert!(ratios[0].contains("0.210") && ratios[0].contains("yes"), "{table}");
        assert!(ratios[1].contains("0.210") && ratios[1].contains("NO"), "{table}");
    }

    #[test]
    fn more_syncs_than_commits_are_no_exact_run() {
        let syncs = |data_syncs| report(Ok(Syncs { commits: 10, data_syncs, other_syncs: 3 }));
        assert!(syncs(10).is_exact());
        assert!(!syncs(11).is_exact() && syncs(11).table().contains("WRONG"));
        assert!(report(Err("no strace".into())).is_exact());
    }
}
