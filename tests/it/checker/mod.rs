//! Judges what happened: given what was sent and asked, what is kept and what every device saw, says which promises were
//! broken. Pure; its own tests hand it histories that must be refused.

mod changes;
mod cursors;
mod history;
mod logs;
mod messages;
mod readings;
mod shown;
mod stories;
#[cfg(test)]
mod tests;
mod wire;

pub use history::{
    Asked, Change, Connection, Entry, Fate, Given, History, Kept, Message, Path, Reading, Sending, Setting, Sighting,
    Step, Target, User, View, What,
};

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Seqs of an inbox are 1, 2, 3 and so on.
    Contiguous,
    /// What was acked is in the inbox of whoever asked at the seq of the ack, and in the peer's.
    Lost,
    /// No message and no change is twice in one inbox, and no entry changes nothing.
    Twice,
    /// What one user says to another, messages and changes, stays in order on both sides, and no answer comes before what
    /// it answers.
    Order,
    /// Nothing is kept that no one sent or asked for, or that was refused.
    Invented,
    /// What was sent while its sender was blocked never shows.
    Blocked,
    /// Unread counts equal a recount.
    Unread,
    /// What a device saw is the inbox, each entry once and in order, up to its end.
    Stream,
    /// A device goes on where it acknowledged, no later, and not earlier than it may; and is not sent again what it
    /// acknowledged on the same connection.
    Cursor,
    /// A change names a message that stands before it in the same inbox.
    Named,
    /// Nobody who knows of a recall or an edit reads what the message said before.
    Redacted,
    /// A message is as its changes left it, and so are the entries of its edits.
    Changed,
    /// The history and the list show what is in the inbox, without what its owner deleted.
    Shown,
    /// A conversation is pinned and muted as was set last.
    Setting,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    pub rule: Rule,
    pub what: String,
}

/// Every broken promise, sorted.
pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    let stories = stories::Stories::of(history);
    logs::contiguous(history, &mut found);
    logs::unread(history, &mut found);
    logs::streams(history, &mut found);
    messages::lost(history, &mut found);
    messages::twice(history, &mut found);
    messages::order(history, &mut found);
    messages::invented(history, &stories, &mut found);
    messages::blocked(history, &mut found);
    changes::kept(history, &mut found);
    changes::asked_for(history, &mut found);
    changes::named(history, &mut found);
    changes::news(history, &stories, &mut found);
    changes::delivered(history, &mut found);
    readings::redacted(history, &stories, &mut found);
    readings::deleted(history, &mut found);
    shown::changed(history, &mut found);
    shown::shown(history, &mut found);
    shown::settings(history, &mut found);
    cursors::cursors(history, &mut found);
    found.sort();
    found
}

fn report(found: &mut Vec<Violation>, rule: Rule, what: String) {
    found.push(Violation { rule, what });
}
