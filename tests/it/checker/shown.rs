//! Rules about the end: every message is as its changes left it, and history, list and settings agree with the inbox.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Given, History, Kept, Message, Rule, Setting, User, View, Violation, What,
    logs::{hidden, peers, setting},
    messages::blocks,
    report,
};

/// What the changes in an inbox make of one message.
#[derive(Default)]
struct Sum<'a> {
    recalled: bool,
    /// Seq, time and text of each edit.
    edits: Vec<(u64, u64, Option<&'a str>)>,
    /// Those that stand, oldest first.
    reactions: Vec<&'a Given>,
}

impl<'a> Sum<'a> {
    fn add(&mut self, kept: &'a Kept) {
        match &kept.entry.what {
            What::Recalled { .. } => {
                self.recalled = true;
                self.reactions.clear();
            }
            What::Edited { text, .. } => self.edits.push((kept.entry.seq, kept.time, text.as_deref())),
            What::Reaction { given, removed, .. } if !self.recalled => {
                if *removed {
                    self.reactions.retain(|known| *known != given);
                } else if !self.reactions.contains(&given) {
                    self.reactions.push(given);
                }
            }
            _ => {}
        }
    }

    /// Whether the message is like that; `whole`: no block kept a change away.
    fn is(&self, message: &Message, first: &str, whole: bool) -> bool {
        if self.recalled || !whole && message.says().is_none() {
            let bare = message.edited_time == 0 && message.reactions.is_empty();
            return message.says().is_none() && message.recalled && bare;
        }
        let newest = self.edits.last();
        let text = newest.map_or(Some(first), |(_, _, text)| *text);
        let time = newest.map_or(0, |(_, time, _)| *time);
        let said = (message.says(), message.edited_time) == (text, time);
        message.reactions.iter().eq(self.reactions.iter().copied()) && (said || !whole)
    }

    /// Whether only the edit that counts still says what it said.
    fn old_edits_are_silent(&self) -> bool {
        let counts = if self.recalled { 0 } else { 1 };
        let old = self.edits.len().saturating_sub(counts);
        self.edits.iter().take(old).all(|(_, _, text)| text.is_none())
    }
}

fn sums(user: &User) -> BTreeMap<(&str, &str), Sum<'_>> {
    let mut sums: BTreeMap<(&str, &str), Sum<'_>> = BTreeMap::new();
    for kept in &user.inbox {
        if let Some(target) = kept.entry.what.target() {
            sums.entry(target.name()).or_default().add(kept);
        }
    }
    sums
}

pub fn changed(history: &History, found: &mut Vec<Violation>) {
    let first: BTreeMap<(&str, &str), &str> =
        history.sendings.iter().map(|it| ((it.from.as_str(), it.id.as_str()), it.text.as_str())).collect();
    let untouched = Sum::default();
    for (uid, user) in &history.users {
        let sums = sums(user);
        for (kept, message) in user.messages() {
            let sum = sums.get(&message.name()).unwrap_or(&untouched);
            let Some(first) = first.get(&message.name()) else { continue };
            let whole = message.from == *uid || blocks(user, &message.from).is_empty();
            if !sum.is(message, first, whole) {
                let seq = kept.entry.seq;
                report(found, Rule::Changed, format!("{message:?} at {seq} of {uid} is not as its changes left it"));
            }
        }
        for (name, sum) in sums.iter().filter(|(_, sum)| !sum.old_edits_are_silent()) {
            report(found, Rule::Redacted, format!("edits of {name:?} at {uid} say what was replaced: {:?}", sum.edits));
        }
    }
}

/// What the owner deleted of one conversation.
#[derive(Default)]
struct Gone {
    seqs: BTreeSet<u64>,
    upto: u64,
}

impl Gone {
    fn of(user: &User, with: &str) -> Self {
        let mut gone = Self::default();
        for kept in &user.inbox {
            if let What::Deleted { peer, seqs, upto, .. } = &kept.entry.what
                && peer == with
            {
                gone.seqs.extend(seqs);
                gone.upto = gone.upto.max(*upto);
            }
        }
        gone
    }

    fn has(&self, seq: u64) -> bool {
        seq <= self.upto || self.seqs.contains(&seq)
    }
}

pub fn shown(history: &History, found: &mut Vec<Violation>) {
    for (uid, user) in &history.users {
        for with in peers(user) {
            let deleted = Gone::of(user, with);
            let of = user.messages().filter(|(_, message)| message.peer == with).map(|(kept, _)| kept);
            let (gone, left): (Vec<&Kept>, Vec<&Kept>) = of.partition(|kept| deleted.has(kept.entry.seq));
            if let Some(history) = user.histories.get(with)
                && !history.iter().eq(left.iter().rev().copied())
            {
                report(found, Rule::Shown, first_difference(uid, with, history, &left));
            }
            if let Some(view) = user.conversations.iter().find(|view| view.peer == with) {
                let agrees = view.last.as_ref() == left.last().copied();
                let covers = |kept: &&Kept| view.covers(kept.entry.seq);
                if !agrees || hidden(user, with) || !gone.iter().all(covers) || left.iter().any(covers) {
                    report(found, Rule::Shown, format!("{uid} has {view:?}, newest is {:?}", left.last()));
                }
            }
        }
    }
}

impl View {
    /// Whether it says that the message at `seq` is deleted.
    fn covers(&self, seq: u64) -> bool {
        self.deleted.iter().any(|(from, upto)| (*from..=*upto).contains(&seq))
    }
}

fn first_difference(uid: &str, with: &str, history: &[Kept], left: &[&Kept]) -> String {
    let mut expected = left.iter().rev();
    for shown in history {
        let wanted = expected.next();
        if wanted != Some(&shown) {
            return format!("{uid}'s history with {with} has {shown:?}, the inbox {wanted:?}");
        }
    }
    format!("{uid}'s history with {with} ends where {:?} follows", expected.next())
}

pub fn settings(history: &History, found: &mut Vec<Violation>) {
    for (uid, user) in &history.users {
        for view in &user.conversations {
            let wanted: Setting = setting(user, &view.peer);
            if view.shown != wanted {
                report(found, Rule::Setting, format!("{uid} has {view:?} and set {wanted:?}"));
            }
        }
    }
}
