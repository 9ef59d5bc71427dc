//! Rules about the entries of changes: recalls, edits, reactions, deletions and settings. Each was asked for, none is lost
//! or twice, and they reach the peer in the order in which they were made.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Asked, Change, Entry, Fate, History, Rule, Setting, User, Violation, What,
    messages::{blocks, may_be_dropped},
    report,
    stories::Stories,
};

/// Whether the entry at this place is what the change asks for.
fn makes(change: &Change, what: &What) -> bool {
    match (&change.what, what) {
        (Asked::Recall(asked), What::Recalled { peer, target }) => (peer, target) == (&change.peer, asked),
        (Asked::Edit { target: asked, text: wanted }, What::Edited { peer, target, text }) => {
            let says = text.as_ref().is_none_or(|text| text == wanted);
            (peer, target) == (&change.peer, asked) && says
        }
        (Asked::React { target: asked, reaction, removed: back }, What::Reaction { peer, target, given, removed }) => {
            let mine = given.from == change.by && given.reaction == *reaction;
            mine && (peer, target, removed) == (&change.peer, asked, back)
        }
        (Asked::Delete { seqs: these, upto: all }, What::Deleted { peer, seqs, upto, whole: false }) => {
            let within = seqs.iter().all(|seq| these.contains(seq));
            *peer == change.peer && within && (seqs.is_empty() == these.is_empty()) && all == upto
        }
        (Asked::DeleteAll, What::Deleted { peer, whole: true, .. }) => *peer == change.peer,
        (Asked::Set { pinned, muted }, What::Set { peer, shown }) => {
            let as_asked = pinned.is_none_or(|pinned| pinned == shown.pinned);
            *peer == change.peer && as_asked && muted.is_none_or(|muted| muted == shown.muted)
        }
        _ => false,
    }
}

/// What was acked is there, at its seq.
pub fn kept(history: &History, found: &mut Vec<Violation>) {
    for change in &history.changes {
        let Fate::Acked(seq @ 1..) = change.fate else { continue };
        let Some(user) = history.users.get(&change.by) else { continue };
        let there = user.at(seq).map(|kept| &kept.entry.what);
        if !there.is_some_and(|what| makes(change, what)) {
            report(found, Rule::Lost, format!("{change:?} is not there, but {there:?}"));
        }
    }
}

/// Whether only the owner of the inbox can have made the entry.
fn own(uid: &str, what: &What) -> bool {
    match what {
        What::Message(_) => false,
        What::Deleted { .. } | What::Set { .. } => true,
        other => other.said().is_some_and(|(by, _)| by == uid),
    }
}

/// Nothing is in an inbox that its owner, whose doing it is, did not ask for.
pub fn asked_for(history: &History, found: &mut Vec<Violation>) {
    let mut asked: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
    for change in history.changes.iter().filter(|change| change.may_be_there()) {
        asked.entry(&change.by).or_default().push(change);
    }
    for (uid, user) in &history.users {
        let asked = asked.get(uid.as_str()).map_or(&[][..], Vec::as_slice);
        for Entry { seq, what } in user.inbox.iter().map(|kept| &kept.entry).filter(|entry| own(uid, &entry.what)) {
            let by = |change: &&&Change| {
                // A lost answer leaves an entry beside that of the ack.
                let here = change.fate == Fate::Acked(*seq) || change.fate == Fate::Open || change.tries > 1;
                here && makes(change, what)
            };
            if asked.iter().find(by).is_none() {
                report(found, Rule::Invented, format!("{uid} never asked for {what:?} at {seq}"));
            }
        }
    }
}

/// A change names a message that stands before it; when there is none it says nothing.
pub fn named(history: &History, found: &mut Vec<Violation>) {
    for (uid, user) in &history.users {
        let known: BTreeMap<(&str, &str), u64> =
            user.messages().map(|(kept, message)| (message.name(), kept.entry.seq)).collect();
        for Entry { seq, what } in user.inbox.iter().map(|kept| &kept.entry) {
            let Some(target) = what.target() else { continue };
            let before = known.get(&target.name()).filter(|at| *at < seq).copied();
            if before.unwrap_or(0) != target.seq {
                report(found, Rule::Named, format!("{what:?} at {seq} of {uid}, who has that message at {before:?}"));
            }
            if before.is_none() && matches!(what, What::Edited { text: Some(_), .. }) {
                report(found, Rule::Redacted, format!("{what:?} at {seq} says to {uid} what never showed there"));
            }
        }
    }
}

/// No entry of its owner's changes nothing, and nothing is changed that was recalled.
pub fn news(history: &History, stories: &Stories<'_>, found: &mut Vec<Violation>) {
    for story in stories.all() {
        if let Some(seq) = story.repeats() {
            let (id, from) = (&story.sending.id, &story.sending.from);
            report(found, Rule::Twice, format!("the edit of {id} at {seq} of {from} says what the one before it said"));
        }
    }
    for (uid, user) in &history.users {
        let mut state = State::default();
        for Entry { seq, what } in user.inbox.iter().map(|kept| &kept.entry) {
            if let Err(rule) = state.take(uid, what) {
                report(found, rule, format!("{what:?} at {seq} of {uid} changes nothing, or what was recalled"));
            }
        }
    }
}

/// What an inbox says so far.
#[derive(Default)]
struct State<'a> {
    recalled: BTreeSet<(&'a str, &'a str)>,
    reactions: BTreeSet<((&'a str, &'a str), &'a str)>,
    settings: BTreeMap<&'a str, Setting>,
}

impl<'a> State<'a> {
    fn take(&mut self, uid: &str, what: &'a What) -> Result<(), Rule> {
        match what {
            What::Recalled { target, .. } if !self.recalled.insert(target.name()) => Err(Rule::Twice),
            What::Edited { target, .. } if self.recalled.contains(&target.name()) => Err(Rule::Changed),
            // The peer's may come after a recall that it did not know of, and a block may have kept one away.
            What::Reaction { target, given, removed, .. } if given.from == uid => {
                if self.recalled.contains(&target.name()) {
                    return Err(Rule::Changed);
                }
                let key = (target.name(), given.reaction.as_str());
                let news = if *removed { self.reactions.remove(&key) } else { self.reactions.insert(key) };
                if news { Ok(()) } else { Err(Rule::Twice) }
            }
            What::Set { peer, shown } => {
                let before = self.settings.insert(peer, *shown).unwrap_or_default();
                if before == *shown { Err(Rule::Twice) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

/// What was said in one conversation by one of the two, as both must have it.
type Word<'a> = (&'static str, (&'a str, &'a str), &'a str);

fn word(what: &What) -> Option<Word<'_>> {
    match what {
        What::Message(message) => Some(("message", message.name(), "")),
        What::Recalled { target, .. } => Some(("recall", target.name(), "")),
        What::Edited { target, .. } => Some(("edit", target.name(), "")),
        What::Reaction { target, given, removed: false, .. } => Some(("reaction", target.name(), &given.reaction)),
        What::Reaction { target, given, removed: true, .. } => Some(("no reaction", target.name(), &given.reaction)),
        _ => None,
    }
}

/// What `by` said to `peer`, in the order of `user`'s inbox: seq, time and words.
fn words<'a>(user: &'a User, by: &str, peer: &str) -> Vec<(u64, u64, Word<'a>)> {
    let said = user.inbox.iter().filter(|kept| kept.entry.what.said() == Some((by, peer)));
    said.filter_map(|kept| Some((kept.entry.seq, kept.time, word(&kept.entry.what)?))).collect()
}

/// What one said to another arrives in that order and once.
pub fn delivered(history: &History, found: &mut Vec<Violation>) {
    for (from, sender) in &history.users {
        for (to, recipient) in history.users.iter().filter(|(to, _)| *to != from) {
            let said = words(sender, from, to);
            let heard = words(recipient, from, from);
            doubled((from, to), &said, &heard, found);
            arrived(history, (from, to), &said, &heard, found);
        }
    }
}

/// Whether changes that were acked are there, and all in their order.
fn arrived(
    history: &History,
    (from, to): (&str, &str),
    said: &[(u64, u64, Word<'_>)],
    heard: &[(u64, u64, Word<'_>)],
    found: &mut Vec<Violation>,
) {
    let acked = |seq: u64| history.changes.iter().any(|known| known.by == from && known.fate == Fate::Acked(seq));
    let recipient = &history.users[to];
    let mut rest = heard.iter().filter(|(_, _, word)| often(said, word) > 0).peekable();
    let mut behind = Vec::new();
    for (seq, time, word) in said {
        if rest.next_if(|(_, _, next)| next == word).is_some() {
            continue;
        }
        // The recall of a message that is there is taken even of somebody who is blocked.
        let known = recipient.messages().any(|(_, message)| message.name() == word.1);
        let taken = word.0 == "recall" && known;
        let dropped = !taken && may_be_dropped(recipient, from, *time);
        let message = word.0 == "message";
        if !message && !dropped && often(heard, word) < often(said, word) && acked(*seq) {
            report(found, Rule::Lost, format!("{word:?} of {from} at {seq} did not arrive at {to}"));
        }
        behind.push(word);
    }
    // Messages out of order are another rule's.
    if let Some((seq, _, word)) = rest.find(|(_, _, word)| word.0 != "message" && behind.contains(&word))
        && blocks(recipient, from).is_empty()
    {
        report(found, Rule::Order, format!("{word:?} of {from} is too late at {seq} of {to}"));
    }
}

fn often(words: &[(u64, u64, Word<'_>)], word: &Word<'_>) -> usize {
    words.iter().filter(|(_, _, other)| other == word).count()
}

/// Whether something arrived more often than it was said.
fn doubled(
    (from, to): (&str, &str),
    said: &[(u64, u64, Word<'_>)],
    heard: &[(u64, u64, Word<'_>)],
    found: &mut Vec<Violation>,
) {
    for (seq, _, word) in heard.iter().filter(|(_, _, word)| word.0 != "message") {
        let made = often(said, word);
        if often(heard, word) > made {
            let rule = if made > 0 { Rule::Twice } else { Rule::Invented };
            report(
                found,
                rule,
                format!("{word:?} of {from} is at {seq} of {to}, more often than it was made ({made})"),
            );
        }
    }
}
