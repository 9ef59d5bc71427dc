//! The parts of the run that need a process of their own: one that fills a store and is killed in the middle of more,
//! and one whose system calls are counted. Both are this program again, told so by a hidden argument.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{
    open,
    rows::{ROW_BYTES, Rows},
    waves::{Load, WAVES},
};
use crate::{bench::measure, clock::Stopwatch, telemetry};

/// Rows of a batch while a store is filled.
pub(super) const FILL_BATCH: usize = 1_024;
/// Rows of a batch until the kill.
const LAST_BATCH: usize = 16;
/// Waves whose syncs are counted.
const COUNTED_WAVES: u64 = 200;

/// What a child does.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Fills a store, says so, and goes on until it is killed.
    Fill,
    /// Commits a few hundred times and says how often.
    Syncs,
}

/// What the filling process found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Filled {
    pub(super) rows: u64,
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    /// Bytes the process had the system write, of tables, of journals and again.
    pub(super) written_bytes: u64,
    /// Bytes of the rows alone.
    pub(super) row_bytes: u64,
}

/// Syncs of the committer, counted by itself and by the system.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Syncs {
    pub(super) commits: u64,
    /// `fdatasync` calls of the whole process.
    pub(super) data_syncs: u64,
    /// Other syncs of the whole process: opening the directory and new files.
    pub(super) other_syncs: u64,
}

#[derive(Serialize, Deserialize)]
struct Committed {
    commits: u64,
}

/// The part of a child.
///
/// # Errors
/// When the store refuses.
pub(super) fn be(task: Task, dir: &Path, rows: u64) -> anyhow::Result<()> {
    match task {
        Task::Fill => fill(dir, rows),
        Task::Syncs => commit_some(dir),
    }
}

fn load(dir: &Path) -> anyhow::Result<Load> {
    Load::new(open(dir)?, Rows::new()?)
}

fn fill(dir: &Path, rows: u64) -> anyhow::Result<()> {
    let mut load = load(dir)?;
    let watch = Stopwatch::start();
    let rows = load.waves(FILL_BATCH, |durable| durable + ((WAVES - 1) * FILL_BATCH) as u64 >= rows)?;
    let used = measure::used(std::process::id())?;
    say(&Filled {
        rows,
        seconds: watch.micros() as f64 / 1e6,
        cpu_seconds: used.cpu_s(),
        written_bytes: measure::written_bytes()?,
        row_bytes: rows * ROW_BYTES as u64,
    })?;
    std::thread::spawn(|| {
        // Comes to its end when the parent has.
        let _ended = std::io::stdin().read_to_end(&mut Vec::new()).is_err();
        std::process::exit(0)
    });
    load.waves(LAST_BATCH, |_| false)?;
    Ok(())
}

fn commit_some(dir: &Path) -> anyhow::Result<()> {
    let metrics = telemetry::start_metrics()?;
    let mut load = load(dir)?;
    for batch in [1, LAST_BATCH] {
        let mut waves = 0;
        load.waves(batch, |_| {
            waves += 1;
            waves >= COUNTED_WAVES
        })?;
    }
    say(&Committed { commits: measure::parse(&metrics.render()).commits })
}

fn say(what: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::to_string(what)?)?;
    Ok(out.flush()?)
}

/// Ends with this value.
struct Own(Child);

impl Drop for Own {
    fn drop(&mut self) {
        // Gone already is as good.
        let _gone = self.0.kill().and_then(|()| self.0.wait()).is_err();
    }
}

fn arguments(task: &str, dir: &Path, rows: u64) -> Vec<std::ffi::OsString> {
    let rows = rows.to_string();
    let mut arguments: Vec<_> =
        ["bench", "store", "--child", task, "--rows", &rows, "--data-in"].map(Into::into).to_vec();
    arguments.push(dir.into());
    arguments
}

fn program() -> anyhow::Result<std::path::PathBuf> {
    std::env::current_exe().context("this program cannot be found")
}

/// Fills a store in a process of its own and kills that (`kill -9`) while it writes more.
///
/// # Errors
/// When it ends before.
pub(super) fn filled_and_killed(dir: &Path, rows: u64) -> anyhow::Result<Filled> {
    let mut command = Command::new(program()?);
    command.args(arguments("fill", dir, rows)).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Own(command.spawn().context("the filling process cannot start")?);
    let said = child.0.stdout.take().context("no output of the filling process")?;
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line)?;
    let filled = serde_json::from_str(&line).context("the filling process ended before")?;
    child.0.kill()?;
    child.0.wait()?;
    Ok(filled)
}

/// Counts the syncs of a process that commits, with `strace`; the reason when there is none here.
///
/// # Errors
/// When the process itself fails.
pub(super) fn counted_syncs(dir: &Path) -> anyhow::Result<Result<Syncs, String>> {
    let table = dir.with_extension("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-e", "trace=fsync,fdatasync,sync,syncfs,sync_file_range,msync", "-o"]).arg(&table);
    command.arg(program()?).args(arguments("syncs", dir, 0)).stdin(Stdio::null());
    let output = match command.output() {
        Ok(output) if output.status.success() => output,
        Ok(output) => return Ok(Err(format!("strace failed: {}", String::from_utf8_lossy(&output.stderr).trim()))),
        Err(error) => return Ok(Err(format!("strace cannot be started ({error})"))),
    };
    let Committed { commits } = serde_json::from_slice(&output.stdout).context("the committing process failed")?;
    let calls = calls(&std::fs::read_to_string(&table)?);
    std::fs::remove_file(table)?;
    let of = |data| calls.iter().filter(|(name, _)| (name == "fdatasync") == data).map(|(_, calls)| calls).sum();
    ensure!(!calls.is_empty(), "strace counted nothing");
    Ok(Ok(Syncs { commits, data_syncs: of(true), other_syncs: of(false) }))
}

/// (name, calls) of the table that `strace -c` prints.
fn calls(table: &str) -> Vec<(String, u64)> {
    let rows = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, calls) = (words.last()?, words.get(3)?.parse().ok()?);
        (*name != "total").then(|| ((*name).to_owned(), calls))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_are_read_from_the_table() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n \
            95.00    0.1       100       402         2 fdatasync\n  5.00    0.01        10         9           fsync\n\
            ------ ----------- ----------- --------- --------- ----------------\n100.00    0.11        100       411           total\n";
        assert_eq!(calls(table), [("fdatasync".to_owned(), 402), ("fsync".to_owned(), 9)]);
    }
}
