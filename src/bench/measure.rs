//! What a server process used and stored, read from outside: the process table and the metrics page.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use hdrhistogram::Histogram;

use crate::clock::Stopwatch;

/// The metrics page must come in this time.
const METRICS_WITHIN: Duration = Duration::from_secs(10);
/// Longest metrics page that is read.
const METRICS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Syncs that tell how fast a disk is.
const SYNCS: usize = 200;
/// Bytes before each of them, about what a batch of the store writes.
const SYNC_BYTES: usize = 16 * 1024;

/// Longest time that a histogram tells from a longer one.
pub(super) const MICROS_MAX: u64 = 60_000_000;

const ROWS: &str = "tidings_store_rows_written_total";
const BYTES: &str = "tidings_store_bytes_written_total";
const COMMITS: &str = "tidings_store_commit_seconds_count";

/// How long the disk of a directory takes to sync, in microseconds: no durable answer comes sooner.
///
/// # Errors
/// When it cannot be written.
pub(super) fn syncs(directory: &Path) -> anyhow::Result<Histogram<u64>> {
    let path = directory.join("sync.probe");
    let watch = Stopwatch::start();
    let mut taken = Histogram::new_with_bounds(1, MICROS_MAX, 3)?;
    let mut file = fs::File::create(&path)?;
    for _ in 0..SYNCS {
        file.write_all(&[1; SYNC_BYTES])?;
        let before = watch.micros();
        file.sync_data()?;
        taken.saturating_record(watch.micros() - before);
    }
    fs::remove_file(path)?;
    Ok(taken)
}

/// CPU and memory of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Used {
    /// Seconds of CPU, user and system.
    pub(super) user_s: f64,
    pub(super) system_s: f64,
    /// The same together, per kind of thread.
    pub(super) threads: BTreeMap<String, f64>,
    /// Memory in bytes, now and at most.
    pub(super) rss: u64,
    pub(super) rss_max: u64,
}

impl Used {
    pub(super) fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }

    /// What was used between `before` and this.
    pub(super) fn since(&self, before: &Self) -> Self {
        let earlier = |name: &String| before.threads.get(name).copied().unwrap_or_default();
        let threads = self.threads.iter().map(|(name, cpu)| (name.clone(), cpu - earlier(name)));
        Self {
            user_s: self.user_s - before.user_s,
            system_s: self.system_s - before.system_s,
            threads: threads.collect(),
            rss: self.rss,
            rss_max: self.rss_max,
        }
    }
}

/// Reads what a process used so far.
///
/// # Errors
/// When there is no such process, or no process table (only Linux has this one).
pub(super) fn used(pid: u32) -> anyhow::Result<Used> {
    let of = format!("/proc/{pid}");
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read {path}: wrong --pid?"));
    let (_, (user_s, system_s)) = name_and_cpu(&read(&format!("{of}/stat"))?).context("unknown form of /proc")?;
    let status = read(&format!("{of}/status"))?;
    let mut used =
        Used { user_s, system_s, rss: kib(&status, "VmRSS:"), rss_max: kib(&status, "VmHWM:"), ..Used::default() };
    for task in fs::read_dir(format!("{of}/task"))?.flatten() {
        // A thread may end meanwhile.
        let Ok(stat) = fs::read_to_string(task.path().join("stat")) else { continue };
        if let Some((name, (user, system))) = name_and_cpu(&stat) {
            *used.threads.entry(kind_of(name)).or_default() += user + system;
        }
    }
    Ok(used)
}

/// Bytes that this process had the system write to disks.
///
/// # Errors
/// When there is no process table (only Linux has this one).
pub(super) fn written_bytes() -> anyhow::Result<u64> {
    let table = fs::read_to_string("/proc/self/io").context("cannot read /proc/self/io")?;
    let line = table.lines().find_map(|line| line.strip_prefix("write_bytes:")).context("no write_bytes")?;
    Ok(line.trim().parse()?)
}

/// Name and CPU seconds (user, system) of a line of `/proc/PID/stat`.
fn name_and_cpu(stat: &str) -> Option<(&str, (f64, f64))> {
    // The name may contain blanks and brackets; after it come the state and 10 more fields.
    let (head, fields) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let mut fields = fields.split_whitespace().skip(11);
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / rustix::param::clock_ticks_per_second() as f64);
    Some((name, (seconds()?, seconds()?)))
}

/// Threads of one kind differ in their number only.
fn kind_of(name: &str) -> String {
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '#'));
    if kind.is_empty() { name.to_owned() } else { kind.to_owned() }
}

fn kib(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() * 1024
}

/// Rows and bytes of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// What a server stored since it was started.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    /// By kind of row.
    pub(super) kinds: BTreeMap<String, Stored>,
    /// Syncs.
    pub(super) commits: u64,
}

impl Written {
    /// What was stored between `before` and this.
    pub(super) fn since(&self, before: &Self) -> Self {
        let kinds = self.kinds.iter().map(|(kind, now)| {
            let then = before.kinds.get(kind).copied().unwrap_or_default();
            let more = Stored { rows: now.rows.saturating_sub(then.rows), bytes: now.bytes.saturating_sub(then.bytes) };
            (kind.clone(), more)
        });
        Self { kinds: kinds.collect(), commits: self.commits.saturating_sub(before.commits) }
    }
}

/// What the server at `url` has stored so far.
///
/// # Errors
/// When its metrics cannot be fetched; the text says from where.
pub(super) async fn written(url: String) -> anyhow::Result<Written> {
    Ok(parse(&metrics(url).await?))
}

/// Fetches the metrics page at `url`.
///
/// # Errors
/// When it cannot be fetched; the text says from where.
pub(super) async fn metrics(url: String) -> anyhow::Result<String> {
    let fetched = tokio::task::spawn_blocking(move || fetch(&url).with_context(|| format!("no metrics from {url}")));
    fetched.await?
}

/// The value of a metric without labels on a page; 0 when it stands nowhere, as nothing has been counted then.
pub(super) fn value(page: &str, name: &str) -> f64 {
    let mut values = page.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    values.next().unwrap_or_default()
}

fn fetch(url: &str) -> anyhow::Result<String> {
    let rest = url.strip_prefix("http://").context("expected http://HOST:PORT/metrics")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, "metrics"));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(METRICS_WITHIN))?;
    write!(stream, "GET /{path} HTTP/1.0\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(METRICS_BYTES_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    anyhow::ensure!(head.split_whitespace().nth(1) == Some("200"), "it answered {:?}", head.lines().next());
    Ok(body.to_owned())
}

/// What the metrics page of a process says of its store.
pub(super) fn parse(page: &str) -> Written {
    let mut written = Written::default();
    for line in page.lines() {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        // Counters are whole numbers far below what a float holds exactly.
        let value = value.parse::<f64>().unwrap_or_default() as u64;
        if name == COMMITS {
            written.commits = value;
        } else if let Some(kind) = kind_label(name, ROWS) {
            written.kinds.entry(kind).or_default().rows += value;
        } else if let Some(kind) = kind_label(name, BYTES) {
            written.kinds.entry(kind).or_default().bytes += value;
        }
    }
    written
}

/// The kind that a counter of this name counts.
fn kind_label(line: &str, name: &str) -> Option<String> {
    let labels = line.strip_prefix(name)?.strip_prefix('{')?;
    let (_, kind) = labels.split_once("kind=\"")?;
    Some(kind.split('"').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_of_a_thread_with_a_strange_name_is_read() {
        let line = "12 (a) b-3) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 5 6 7";
        let (name, (user, system)) = name_and_cpu(line).unwrap();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!((name, user, system), ("a) b-3", 250.0 / ticks, 50.0 / ticks));
        assert_eq!(
            (kind_of("actix-rt|system:0|arbiter:12"), kind_of("tokio")),
            ("actix-rt|system:0|arbiter".into(), "tokio".into())
        );
    }

    #[test]
    fn counters_are_read_by_kind_and_told_from_others() {
        let page = "# TYPE x counter\ntidings_store_rows_written_total{keyspace=\"log\",kind=\"log\"} 4\n\
            tidings_store_bytes_written_total{kind=\"log\"} 400\nother_total{kind=\"log\"} 9\n\
            tidings_store_commit_seconds_count 3\n";
        let before = parse(page);
        assert_eq!(before.kinds["log"], Stored { rows: 4, bytes: 400 });
        assert_eq!(before.commits, 3);
        let after = parse(&page.replace(" 4\n", " 10\n"));
        assert_eq!(after.since(&before).kinds["log"], Stored { rows: 6, bytes: 0 });
        assert_eq!(value(page, "tidings_store_commit_seconds_count"), 3.0);
        assert_eq!(value(page, "tidings_store_commit_seconds"), 0.0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory() {
        let used = used(std::process::id()).unwrap();
        assert!(used.rss > 0 && used.rss_max >= used.rss && !used.threads.is_empty());
    }
}
