//! Looks at everything a server needs and says what is wrong and what to do: settings, data directory, stored timelines,
//! the running server, open files, clock, disk. Changes nothing, but for a small file that it writes to time the disk.

mod directory;
mod group;
mod inbox;
mod log;
mod machine;
mod running;
mod store;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};

use serde::Serialize;

pub use self::running::State;

use crate::config::{ConfigError, Loaded};

/// Damaged inboxes and groups that are named; the rest is counted.
const NAMED_MAX: usize = 1_000;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing to do.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work, or something is lost.
    Failed,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen.
    pub says: String,
    /// What to do; nothing when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// What is wrong where, in detail; never what a message says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<Damage>,
}

/// Whose timeline it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Whose {
    /// The inbox of this user.
    #[serde(rename = "uid")]
    User(String),
    /// The log of this group.
    #[serde(rename = "gid")]
    Group(String),
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => f.write_str(uid),
            Self::Group(gid) => write!(f, "group {gid}"),
        }
    }
}

/// A damaged timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Whose.
    #[serde(flatten)]
    pub whose: Whose,
    /// What is wrong with it.
    pub faults: Vec<String>,
}

impl Check {
    fn ok(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, says: says.into(), advice: None, damaged: Vec::new() }
    }

    fn warning(name: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, advice: Some(advice.into()), ..Self::ok(name, says) }
    }

    fn failed(name: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, ..Self::warning(name, says, advice) }
    }
}

/// All checks.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The worst of them.
    pub verdict: Verdict,
    /// One after the other.
    pub checks: Vec<Check>,
}

impl Report {
    /// Makes all checks. `quick` leaves out those that take long: reading the store, timing the disk.
    #[must_use]
    pub fn make(loaded: Loaded, dev: bool, quick: bool) -> Self {
        let loaded = loaded.require_key(dev);
        // Where settings are wrong, what was meant is unknown; the others are looked at all the same.
        let config = loaded.config.clone();
        let mut checks = vec![settings(loaded)];
        let dir = &config.store.dir;
        let access = directory::look(dir);
        let owner = access.owner;
        checks.push(access.check);
        let mut newest = None;
        match owner {
            directory::Owner::Nobody if !quick => {
                let (check, seen) = store::look(dir, config.node.shards);
                newest = seen;
                checks.push(check);
            }
            directory::Owner::Server(_) => checks.push(running::look(&config)),
            directory::Owner::Nobody | directory::Owner::NoDirectory => {}
        }
        checks.push(machine::open_files(&config, owner.pid()));
        checks.push(machine::clock(newest));
        if owner != directory::Owner::NoDirectory {
            let (space, room) = machine::disk_space(&config);
            checks.push(space);
            if room && !quick {
                checks.push(machine::disk_speed(dir));
            }
        }
        let verdict = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
        Self { verdict, checks }
    }

    /// For people: one line each, and below it what to do.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Check { name, verdict, says, advice, damaged } in &self.checks {
            let verdict = match verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Failed => "FAILED",
            };
            // Writing into a String does not fail.
            let _ = writeln!(text, "{verdict:8} {name:16} {says}");
            for Damage { whose, faults } in damaged {
                let _ = writeln!(text, "{:26}{whose}: {}", "", faults.join("; "));
            }
            if let Some(advice) = advice {
                let _ = writeln!(text, "{:25} -> {advice}", "");
            }
        }
        text
    }
}

fn settings(loaded: Loaded) -> Check {
    let from = loaded.file.as_ref().map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
    match loaded.accept() {
        Ok(_) => Check::ok("settings", format!("fit each other and this machine ({from})")),
        Err(ConfigError(mistakes)) => {
            let said: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            Check::failed("settings", said.join("; "), "mend them; `tidings config` shows what holds")
        }
    }
}
