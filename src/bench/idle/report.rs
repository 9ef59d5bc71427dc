//! What a run found, as a table for people and as JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::{IdleArgs, Many, Quiet, user::HEARTBEAT};
use crate::bench::measure;

const MIB: f64 = 1024.0 * 1024.0;

/// Figures of one run.
#[derive(Debug, Serialize)]
pub(in crate::bench) struct Report {
    users: u32,
    messages_each: u32,
    settle_seconds: u64,
    heartbeat_seconds: u64,
    /// Mailboxes in memory after that time.
    mailboxes_active: f64,
    connections: f64,
    /// (RSS of the server with all users - RSS of the one with a few) / the users more.
    bytes_per_connection: f64,
    /// The same without what the store says it holds.
    bytes_per_connection_without_store: f64,
    many: Memory,
    few: Memory,
    few_users: u32,
    seconds: u64,
    /// Of one core, in those seconds.
    cpu_percent: f64,
    cpu_percent_by_thread: Vec<(String, f64)>,
    heartbeats: u64,
    /// Handshake, token, hello and welcome of a user whose device is known and has nothing to fetch.
    cpu_us_per_connection: f64,
    /// The same for users who never were there: their device is stored, and synced, first.
    cpu_us_per_first_connection: f64,
}

/// Of one server.
#[derive(Debug, Serialize)]
struct Memory {
    rss_mib: f64,
    rss_max_mib: f64,
    store_memtable_mib: f64,
    store_cache_mib: f64,
    rows: u64,
}

impl Memory {
    fn of(quiet: &Quiet) -> Self {
        let Quiet { used, page } = quiet;
        Self {
            rss_mib: used.rss as f64 / MIB,
            rss_max_mib: used.rss_max as f64 / MIB,
            store_memtable_mib: measure::value(page, "tidings_store_memtable_bytes") / MIB,
            store_cache_mib: measure::value(page, "tidings_store_cache_bytes") / MIB,
            rows: rows(page),
        }
    }

    fn without_store_mib(&self) -> f64 {
        self.rss_mib - self.store_memtable_mib - self.store_cache_mib
    }
}

/// Rows written, as a metrics page counts them.
pub(super) fn rows(page: &str) -> u64 {
    measure::parse(page).kinds.values().map(|stored| stored.rows).sum()
}

impl Report {
    pub(super) fn new(args: &IdleArgs, (users, found): (u32, &Many), (few_users, base): (u32, &Quiet)) -> Self {
        let (many, few) = (Memory::of(&found.quiet), Memory::of(base));
        let per_more = |mib: f64| mib * MIB / f64::from(users - few_users);
        let percent = |seconds: f64| seconds / args.seconds as f64 * 100.0;
        let per_user_us = |seconds: f64| seconds * 1e6 / f64::from(users);
        let page = &found.quiet.page;
        let mut by_thread: Vec<_> =
            found.window.threads.iter().map(|(name, seconds)| (name.clone(), percent(*seconds))).collect();
        by_thread.retain(|(_, percent)| *percent > 0.0);
        by_thread.sort_by(|a, b| b.1.total_cmp(&a.1));
        Self {
            users,
            messages_each: args.messages,
            settle_seconds: args.settle,
            heartbeat_seconds: HEARTBEAT.as_secs(),
            mailboxes_active: measure::value(page, "tidings_mailboxes_active"),
            connections: measure::value(page, "tidings_connections_count"),
            bytes_per_connection: per_more(many.rss_mib - few.rss_mib),
            bytes_per_connection_without_store: per_more(many.without_store_mib() - few.without_store_mib()),
            many,
            few,
            few_users,
            seconds: args.seconds,
            cpu_percent: percent(found.window.cpu_s()),
            cpu_percent_by_thread: by_thread,
            heartbeats: found.heartbeats,
            cpu_us_per_connection: per_user_us(found.back_s),
            cpu_us_per_first_connection: per_user_us(found.first_s),
        }
    }

    /// Everybody was still connected, and nobody's mailbox in memory.
    pub(in crate::bench) fn is_quiet(&self) -> bool {
        self.mailboxes_active == 0.0 && self.connections == f64::from(self.users)
    }

    pub(in crate::bench) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    pub(in crate::bench) fn table(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _written = self.write(&mut out).is_ok();
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { users, few_users, many, few, .. } = self;
        writeln!(
            out,
            "{users} users sent {} messages each and went quiet; heartbeats every {} s\n",
            self.messages_each, self.heartbeat_seconds
        )?;
        let mut line = |name: String, value: String| writeln!(out, "  {name:<44} {value:>12}");
        line(format!("active mailboxes {} s later", self.settle_seconds), format!("{:.0}", self.mailboxes_active))?;
        line("memory per connection, KB".into(), format!("{:.2}", self.bytes_per_connection / 1_000.0))?;
        let without = self.bytes_per_connection_without_store / 1_000.0;
        line("  without what the store holds".into(), format!("{without:.2}"))?;
        line(format!("CPU over {} s, % of a core", self.seconds), format!("{:.2}", self.cpu_percent))?;
        for (thread, percent) in &self.cpu_percent_by_thread {
            line(format!("  {thread}"), format!("{percent:.2}"))?;
        }
        line("heartbeats in that time".into(), self.heartbeats.to_string())?;
        line("CPU per connection that comes back, us".into(), format!("{:.1}", self.cpu_us_per_connection))?;
        line("CPU per first connection, us".into(), format!("{:.1}", self.cpu_us_per_first_connection))?;
        writeln!(
            out,
            "\n  {:<20} {:>14} {:>14}",
            "server with",
            format!("{users} users"),
            format!("{few_users} users")
        )?;
        let mut row =
            |name: &str, of: fn(&Memory) -> f64| writeln!(out, "  {name:<20} {:>14.1} {:>14.1}", of(many), of(few));
        row("memory, MiB", |memory| memory.rss_mib)?;
        row("  at most", |memory| memory.rss_max_mib)?;
        row("store's rows, MiB", |memory| memory.store_memtable_mib)?;
        row("store's cache, MiB", |memory| memory.store_cache_mib)?;
        writeln!(out, "  {:<20} {:>14} {:>14}", "rows written", many.rows, few.rows)?;
        self.write_verdict(out)
    }

    fn write_verdict(&self, out: &mut String) -> std::fmt::Result {
        if self.is_quiet() {
            return writeln!(out, "\n  everybody stayed connected, and no mailbox in memory");
        }
        let Self { mailboxes_active, connections, users, .. } = self;
        writeln!(out, "\n  WRONG: {connections} of {users} connected, {mailboxes_active} mailboxes in memory")
    }
}
