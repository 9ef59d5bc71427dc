//! The machine: open files, the clock, space on the disk, and how long a sync takes.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use tidings_actors::port::clock::Clock as _;
use tidings_schema::id::Millis;

use super::Check;
use crate::{
    clock::{Stopwatch, SystemClock},
    config::{Config, Machine},
    store::embedded::inspect,
};

/// Files that are no connections: tables and journals of the store, logs, listeners.
const FILES_OF_THE_STORE: u64 = 1_024;
/// No server ran before 2025: an earlier clock is wrong.
const NOT_BEFORE: Millis = Millis::new(1_735_689_600_000);
/// A clock that is so far behind the newest message was stepped, not corrected.
const BEHIND_MS_MAX: u64 = 1_000;
const MIB: u64 = 1024 * 1024;

/// Syncs of the test, unless they take too long.
const SYNCS: usize = 64;
const SYNCS_MICROS_MAX: u64 = 5_000_000;
/// Bytes of one write of the test: about what a few messages take.
const SYNC_BYTES: usize = 4_096;
const PROBE: &str = "doctor.probe";
/// Above this every message is slow.
const MEDIAN_MICROS_MAX: u64 = 20_000;
/// Above this some are.
const P99_MICROS_MAX: u64 = 200_000;

/// Open files: those of the running server, else those that this process may have.
pub(super) fn open_files(config: &Config, server: Option<u32>) -> Check {
    const NAME: &str = "open files";
    let of_server = server.and_then(|pid| limit_in(&fs::read_to_string(format!("/proc/{pid}/limits")).ok()?));
    let Some(limit) = of_server.or(Machine::read().open_files_max) else {
        return Check::ok(NAME, "no limit");
    };
    let wanted = (config.listen.connections_max as u64).saturating_add(FILES_OF_THE_STORE);
    if limit >= wanted {
        return Check::ok(NAME, format!("{limit}, enough for listen.connections_max"));
    }
    let room = limit.saturating_sub(FILES_OF_THE_STORE);
    let says = format!("{limit} are enough for about {room} connections, not for listen.connections_max");
    let advice =
        format!("raise the limit to {wanted} (ulimit -n; LimitNOFILE= in systemd), or lower listen.connections_max");
    Check::warning(NAME, says, advice)
}

/// The soft limit in `/proc/PID/limits`.
fn limit_in(limits: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

/// The clock against the past: nothing stored is newer than now.
pub(super) fn clock(newest: Option<Millis>) -> Check {
    const NAME: &str = "clock";
    let now = SystemClock::new().now();
    if now < NOT_BEFORE {
        return Check::failed(NAME, "it stands before 2025", "set it, and let NTP keep it: tokens would never expire");
    }
    match newest.map(|newest| newest.get().saturating_sub(now.get())) {
        Some(behind) if behind > BEHIND_MS_MAX => {
            let says = format!("it is {} s behind the newest stored message", behind.div_ceil(1_000));
            Check::warning(
                NAME,
                says,
                "it was set back, or was ahead before: let NTP keep it; expired tokens are good again",
            )
        }
        Some(_) => Check::ok(NAME, "not behind the newest stored message"),
        None => Check::ok(NAME, "after 2025; nothing stored to compare it with"),
    }
}

/// Free space against the reserve; also whether there is room for a test.
pub(super) fn disk_space(config: &Config) -> (Check, bool) {
    const NAME: &str = "disk space";
    let reserve_mb = config.store.disk_reserve_mb;
    let free_mb = match inspect::free_bytes(&config.store.dir) {
        Ok(bytes) => bytes / MIB,
        Err(why) => return (Check::warning(NAME, format!("not known: {why}"), "is the directory readable?"), false),
    };
    let says = format!("{free_mb} MiB free, the reserve is {reserve_mb} MiB");
    let check = if free_mb < reserve_mb {
        Check::failed(
            NAME,
            format!("{says}: writes are refused"),
            "make space; writes are taken again above twice the reserve",
        )
    } else if free_mb < reserve_mb.saturating_mul(2) {
        Check::warning(NAME, says, "below the reserve writes are refused: make space")
    } else {
        Check::ok(NAME, says)
    };
    (check, free_mb >= reserve_mb)
}

/// Writes and syncs a small file a few times.
pub(super) fn disk_speed(dir: &Path) -> Check {
    const NAME: &str = "disk speed";
    let path = dir.join(PROBE);
    let taken = syncs(&path);
    // It may not have come to be.
    let _left = fs::remove_file(&path).is_err();
    match taken {
        Ok(mut taken) => {
            taken.sort_unstable();
            judged(NAME, &taken)
        }
        Err(why) => {
            Check::failed(NAME, format!("a file cannot be written and synced: {why}"), "look at the disk (dmesg)")
        }
    }
}

fn syncs(path: &Path) -> io::Result<Vec<u64>> {
    let watch = Stopwatch::start();
    let mut file = File::create(path)?;
    let mut taken = Vec::with_capacity(SYNCS);
    while taken.len() < SYNCS && watch.micros() < SYNCS_MICROS_MAX {
        let before = watch.micros();
        file.write_all(&[1; SYNC_BYTES])?;
        file.sync_data()?;
        taken.push(watch.micros() - before);
    }
    Ok(taken)
}

fn judged(name: &'static str, sorted: &[u64]) -> Check {
    let at = |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
    let (median, p99) = (at(50).copied().unwrap_or_default(), at(99).copied().unwrap_or_default());
    let ms = |micros: u64| format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10);
    let says = format!(
        "a sync takes {} (p99 {}) over {}: an ack of a lone message takes at least that",
        ms(median),
        ms(p99),
        sorted.len()
    );
    if median > MEDIAN_MICROS_MAX || p99 > P99_MICROS_MAX {
        return Check::warning(
            name,
            says,
            "acks are slow on this disk: a local SSD syncs in about 1 ms; is another process busy on it?",
        );
    }
    Check::ok(name, says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn the_limit_of_a_process_is_its_soft_one() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(limit_in(limits), Some(1024));
        assert_eq!(limit_in("Max open files   unlimited unlimited files"), None);
    }

    #[test]
    fn a_clock_behind_what_is_stored_is_a_warning() {
        let now = SystemClock::new().now();
        assert_eq!(clock(None).verdict, Verdict::Ok);
        assert_eq!(clock(Some(now)).verdict, Verdict::Ok);
        assert_eq!(clock(Some(now.plus(3_600_000))).verdict, Verdict::Warning);
    }

    #[test]
    fn a_slow_disk_is_a_warning() {
        let quick = judged("disk speed", &[500; 64]);
        assert!(quick.verdict == Verdict::Ok && quick.says.contains("a sync takes 0.50 ms (p99 0.50 ms) over 64"));
        assert_eq!(judged("disk speed", &[30_000; 64]).verdict, Verdict::Warning);
        let mut spiky = vec![500; 63];
        spiky.push(900_000);
        assert_eq!(judged("disk speed", &spiky).verdict, Verdict::Warning);
    }
}
