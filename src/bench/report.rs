//! What a run found, as a table for people and as JSON for programs.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    DmArgs,
    measure::{Used, Written},
    user::Shared,
};

/// What happened while it counted.
pub(super) struct Window {
    pub(super) seconds: f64,
    pub(super) acked: u64,
    pub(super) delivered: u64,
    pub(super) used: Option<Used>,
    pub(super) own_cpu_s: Option<f64>,
    pub(super) written: Option<Written>,
}

/// Figures of one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    load: Load,
    counts: Counts,
    seconds: f64,
    /// Delivered to the recipient in the seconds that count.
    messages: u64,
    /// Acknowledged to the sender in the same seconds.
    acks: u64,
    messages_per_second: f64,
    ack_ms: Latency,
    delivery_ms: Latency,
    /// Of the disk, measured before the run.
    disk_sync_ms: Option<Latency>,
    /// Of the process that makes the load.
    load_cpu_seconds: Option<f64>,
    server: Option<Server>,
    store: Option<Store>,
    wrong: Vec<String>,
    wrongs: u64,
}

#[derive(Debug, Serialize)]
struct Load {
    users: usize,
    bytes: u32,
    unacked: Option<u32>,
    rate: Option<u64>,
    warm_up_seconds: u64,
}

/// Over the whole run, warm-up and end included.
#[derive(Debug, Serialize)]
struct Counts {
    sent: u64,
    acked: u64,
    received: u64,
    confirmed_users: usize,
    connections_lost: u64,
}

/// Milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    pub(super) samples: u64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

impl Latency {
    /// Of microseconds.
    pub(super) fn of(micros: &Histogram<u64>) -> Self {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1000.0;
        Self { samples: micros.len(), p50: at(0.5), p99: at(0.99), p999: at(0.999), max: micros.max() as f64 / 1000.0 }
    }
}

#[derive(Debug, Serialize)]
struct Server {
    cpu_seconds: f64,
    user_seconds: f64,
    system_seconds: f64,
    messages_per_cpu_second: f64,
    cpu_share_by_thread: Vec<(String, f64)>,
    rss_mib: f64,
    rss_max_mib: f64,
}

#[derive(Debug, Serialize)]
struct Store {
    kinds: Vec<Kind>,
    syncs: u64,
    messages_per_sync: f64,
}

/// Per message.
#[derive(Debug, Serialize)]
struct Kind {
    kind: String,
    rows: f64,
    bytes: f64,
}

fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

impl Report {
    pub(super) fn new(args: &DmArgs, shared: &Shared, window: Window, syncs: Option<&Histogram<u64>>) -> Self {
        let users: Vec<_> = shared.users.iter().map(|user| user.get()).collect();
        let latencies = shared.latencies.borrow();
        let messages = window.delivered;
        Self {
            load: Load {
                users: users.len(),
                bytes: args.bytes,
                unacked: args.rate.is_none().then_some(args.unacked),
                rate: args.rate,
                warm_up_seconds: args.warm_up,
            },
            counts: Counts {
                sent: users.iter().map(|user| user.sent).sum(),
                acked: users.iter().map(|user| user.acked).sum(),
                received: users.iter().map(|user| user.received).sum(),
                confirmed_users: users.iter().filter(|user| user.is_confirmed()).count(),
                connections_lost: shared.lost.get(),
            },
            seconds: window.seconds,
            messages,
            acks: window.acked,
            messages_per_second: ratio(messages as f64, window.seconds),
            ack_ms: Latency::of(&latencies.ack),
            delivery_ms: Latency::of(&latencies.delivery),
            disk_sync_ms: syncs.map(Latency::of),
            load_cpu_seconds: window.own_cpu_s,
            server: window.used.map(|used| Server::new(&used, messages)),
            store: window.written.map(|written| Store::new(written, messages)),
            wrong: shared.wrong.borrow().clone(),
            wrongs: shared.wrongs.get(),
        }
    }

    /// There were messages, and every one was acknowledged once and received once, in order.
    pub(super) fn is_exact(&self) -> bool {
        let some = self.messages > 0 && self.counts.sent > 0;
        some && self.wrongs == 0 && self.counts.sent == self.counts.acked && self.counts.sent == self.counts.received
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
        let Self { load, counts, ack_ms, delivery_ms, .. } = self;
        let how = match (load.rate, load.unacked) {
            (Some(rate), _) => format!("{rate} messages/s paced"),
            (None, unacked) => format!("{} unacked each", unacked.unwrap_or(1)),
        };
        writeln!(out, "{} users in pairs, {how}, {} bytes, durable\n", load.users, load.bytes)?;
        let mut line = |name: &str, value: String| writeln!(out, "  {name:<28} {value:>14}");
        line("messages delivered", self.messages.to_string())?;
        line("messages acked", self.acks.to_string())?;
        line("seconds", format!("{:.2}", self.seconds))?;
        line("messages/s", format!("{:.0}", self.messages_per_second))?;
        if let Some(server) = &self.server {
            line("server CPU seconds", format!("{:.2}", server.cpu_seconds))?;
            line("  of it system", format!("{:.2}", server.system_seconds))?;
            line("messages/server CPU second", format!("{:.0}", server.messages_per_cpu_second))?;
            line("server memory, MiB", format!("{:.0}", server.rss_mib))?;
            line("  at most", format!("{:.0}", server.rss_max_mib))?;
        }
        if let Some(seconds) = self.load_cpu_seconds {
            line("CPU seconds of the load", format!("{seconds:.2}"))?;
        }
        if let Some(store) = &self.store {
            line("messages/sync", format!("{:.1}", store.messages_per_sync))?;
        }
        writeln!(out, "\n  {:<12} {:>9} {:>9} {:>9} {:>9}", "ms", "p50", "p99", "p99.9", "max")?;
        let disk = self.disk_sync_ms.iter().map(|at| ("disk sync", at));
        for (name, at) in [("ack", ack_ms), ("delivery", delivery_ms)].into_iter().chain(disk) {
            writeln!(out, "  {name:<12} {:>9.2} {:>9.2} {:>9.2} {:>9.2}", at.p50, at.p99, at.p999, at.max)?;
        }
        self.write_server(out)?;
        self.write_verdict(out, counts)
    }

    fn write_server(&self, out: &mut String) -> std::fmt::Result {
        if let Some(store) = &self.store {
            writeln!(out, "\n  {:<12} {:>9} {:>9}", "per message", "rows", "bytes")?;
            for kind in &store.kinds {
                writeln!(out, "  {:<12} {:>9.3} {:>9.1}", kind.kind, kind.rows, kind.bytes)?;
            }
        }
        if let Some(server) = &self.server {
            writeln!(out, "\n  server CPU by thread")?;
            for (name, share) in &server.cpu_share_by_thread {
                writeln!(out, "  {name:<28} {:>13.1}%", share * 100.0)?;
            }
        }
        Ok(())
    }

    fn write_verdict(&self, out: &mut String, counts: &Counts) -> std::fmt::Result {
        let Counts { sent, acked, received, confirmed_users, connections_lost } = counts;
        writeln!(
            out,
            "\n  whole run: sent {sent}, acked {acked}, received {received}, acknowledged by the devices of \
             {confirmed_users} users, {connections_lost} connections lost"
        )?;
        if self.is_exact() {
            return writeln!(out, "  exact: each acked once, each received once and in order");
        }
        if self.messages == 0 {
            writeln!(out, "  WRONG: no message was delivered in the seconds that count")?;
        }
        writeln!(out, "  WRONG: {} differences", self.wrongs)?;
        self.wrong.iter().try_for_each(|wrong| writeln!(out, "    {wrong}"))
    }
}

impl Server {
    fn new(used: &Used, messages: u64) -> Self {
        const MIB: f64 = 1024.0 * 1024.0;
        let cpu = used.cpu_s();
        let mut by_thread: Vec<_> =
            used.threads.iter().map(|(name, seconds)| (name.clone(), ratio(*seconds, cpu))).collect();
        by_thread.retain(|(_, share)| *share >= 0.001);
        by_thread.sort_by(|a, b| b.1.total_cmp(&a.1));
        Self {
            cpu_seconds: cpu,
            user_seconds: used.user_s,
            system_seconds: used.system_s,
            messages_per_cpu_second: ratio(messages as f64, cpu),
            cpu_share_by_thread: by_thread,
            rss_mib: used.rss as f64 / MIB,
            rss_max_mib: used.rss_max as f64 / MIB,
        }
    }
}

impl Store {
    fn new(written: Written, messages: u64) -> Self {
        let per = |count: u64| ratio(count as f64, messages as f64);
        let kinds = written.kinds.into_iter();
        Self {
            kinds: kinds
                .map(|(kind, stored)| Kind { kind, rows: per(stored.rows), bytes: per(stored.bytes) })
                .collect(),
            syncs: written.commits,
            messages_per_sync: ratio(messages as f64, written.commits as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report of this many messages sent, acked and received.
    fn report(sent: u64, acked: u64, received: u64) -> Report {
        let latency = || Latency { samples: 0, p50: 0.0, p99: 0.0, p999: 0.0, max: 0.0 };
        Report {
            load: Load { users: 2, bytes: 1, unacked: Some(1), rate: None, warm_up_seconds: 0 },
            counts: Counts { sent, acked, received, confirmed_users: 2, connections_lost: 0 },
            seconds: 1.0,
            messages: received,
            acks: acked,
            messages_per_second: 0.0,
            ack_ms: latency(),
            delivery_ms: latency(),
            disk_sync_ms: None,
            load_cpu_seconds: None,
            server: None,
            store: None,
            wrong: Vec::new(),
            wrongs: 0,
        }
    }

    #[test]
    fn a_run_is_exact_when_each_of_its_messages_was_acked_and_received() {
        assert!(report(10, 10, 10).is_exact());
        for (sent, acked, received) in [(10, 9, 10), (10, 10, 9), (10, 11, 10), (10, 10, 11)] {
            assert!(!report(sent, acked, received).is_exact(), "{sent} {acked} {received}");
        }
        assert!(!Report { wrongs: 1, ..report(10, 10, 10) }.is_exact());
    }

    #[test]
    fn a_run_without_messages_is_not_exact() {
        let idle = report(0, 0, 0);
        assert!(!idle.is_exact());
        assert!(idle.table().contains("WRONG: no message"));
        // All came before the seconds that count: nothing was measured.
        assert!(!Report { messages: 0, ..report(10, 10, 10) }.is_exact());
    }
}
