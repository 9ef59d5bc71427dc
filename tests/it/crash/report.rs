//! What the crash test did and what its rules had to look at, counted, so that a green run says how much it means.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{ACKED_MIN, KILLS_MIN, STOPS_MIN, USERS, WATCHED};
use crate::checker::{Asked, Change, Fate, History, Path, Step};

const KILLS_IN_FLIGHT_MIN: usize = 20;
/// Entries the checker must have got: most messages are in two inboxes.
const ENTRIES_MIN: usize = ACKED_MIN * 3 / 2;
/// What the cursor rule must have got: connections of the watchers, lives of the server with one, entries pushed to them
/// and acks they said.
const CONNECTIONS_MIN: usize = WATCHED * KILLS_MIN / 2;
const WATCHED_LIVES_MIN: usize = KILLS_MIN / 2;
const PUSHED_MIN: usize = 10_000;
const WATCHER_ACKS_MIN: usize = 200;
/// Changes of each kind that must have been acked.
const CHANGES_MIN: [(&str, usize); 6] = [
    ("recalls", 50),
    ("edits", 100),
    ("reactions", 100),
    ("deletions", 50),
    ("conversations deleted", 5),
    ("settings", 20),
];
/// Messages that somebody read, on each path, before the end.
const READINGS_MIN: usize = 500;

/// How the server ended.
#[derive(Debug, Default)]
pub struct Counts {
    pub kills: usize,
    /// Kills of a server that a moment before said that rows were on their way to the disk.
    pub kills_in_flight: usize,
    pub rows_at_kills: usize,
    pub open_at_kills: usize,
    /// It was asked to end, and ended well.
    pub stops: usize,
}

impl Counts {
    pub fn are_enough(&self) -> bool {
        self.kills >= KILLS_MIN && self.kills_in_flight >= KILLS_IN_FLIGHT_MIN && self.stops >= STOPS_MIN
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, kills_in_flight, rows_at_kills, open_at_kills, stops } = self;
        write!(
            f,
            "{kills} kills, {kills_in_flight} of them with rows in flight ({rows_at_kills} rows and {open_at_kills} \
             unanswered sends in all), {stops} stops"
        )
    }
}

/// What there was for the rules to look at.
#[derive(Debug, Default)]
pub struct Material {
    entries: usize,
    connections: usize,
    lives: usize,
    pushed: usize,
    acks: usize,
    /// By kind: asked, and acked with an entry.
    changes: BTreeMap<&'static str, (usize, usize)>,
    /// Changes that an app asked for again, because it was closed before it had the answer.
    repeated: usize,
    /// Pushed, by sync, by history and by list.
    readings: [usize; 4],
}

impl Material {
    pub fn of(history: &History) -> Self {
        let lives: BTreeSet<usize> = history.connections.iter().map(|connection| connection.life).collect();
        let steps = || history.connections.iter().flat_map(|connection| &connection.steps);
        let mut material = Self {
            entries: history.users.values().map(|user| user.inbox.len()).sum(),
            connections: history.connections.len(),
            lives: lives.len(),
            pushed: steps().filter(|step| matches!(step, Step::Pushed { .. })).count(),
            acks: steps().filter(|step| matches!(step, Step::Acked { .. })).count(),
            repeated: history.changes.iter().filter(|change| change.tries > 2).count(),
            ..Self::default()
        };
        for change in &history.changes {
            let (asked, acked) = material.changes.entry(kind(change)).or_default();
            *asked += 1;
            *acked += usize::from(matches!(change.fate, Fate::Acked(1..)));
        }
        for reading in &history.readings {
            let at = match reading.path {
                Path::Pushed => 0,
                Path::Sync => 1,
                Path::History => 2,
                Path::List => 3,
            };
            material.readings[at] += 1;
        }
        material
    }

    pub fn is_enough(&self) -> bool {
        let watched = self.connections >= CONNECTIONS_MIN && self.lives >= WATCHED_LIVES_MIN;
        let acked = |kind: &str| self.changes.get(kind).map_or(0, |(_, acked)| *acked);
        let changed = CHANGES_MIN.iter().all(|(kind, least)| acked(kind) >= *least);
        let read = self.readings.iter().all(|read| *read >= READINGS_MIN);
        let stepped = self.pushed >= PUSHED_MIN && self.acks >= WATCHER_ACKS_MIN;
        watched && stepped && changed && read && self.entries >= ENTRIES_MIN
    }
}

fn kind(change: &Change) -> &'static str {
    match &change.what {
        Asked::Recall(_) => "recalls",
        Asked::Edit { .. } => "edits",
        Asked::React { .. } => "reactions",
        Asked::Delete { .. } => "deletions",
        Asked::DeleteAll => "conversations deleted",
        Asked::Set { .. } => "settings",
    }
}

impl fmt::Display for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, connections, lives, pushed, acks, repeated, readings: [push, sync, history, list], .. } =
            self;
        for (kind, (asked, acked)) in &self.changes {
            write!(f, "{acked} {kind} of {asked} asked, ")?;
        }
        write!(
            f,
            "{repeated} of these asked again; {entries} entries of {USERS} users checked, messages read before the end: {push} \
             pushed, {sync} by sync, {history} by history, {list} by list; {connections} connections of watchers over \
             {lives} lives with {pushed} pushes and {acks} acks"
        )
    }
}
