//! Rules about what was read while it happened: who knows that a message was recalled, edited or deleted does not read it
//! as it was, on no path and after no crash.

use std::collections::BTreeMap;

use super::{Asked, Fate, History, Path, Rule, Violation, What, report, stories::Stories};

/// A message as one user has it.
type Place<'a> = (&'a str, (&'a str, &'a str));

/// From which moment on who knows of which version.
struct Known<'a>(BTreeMap<Place<'a>, Vec<(u64, usize)>>);

impl<'a> Known<'a> {
    fn of(history: &'a History, stories: &Stories<'a>) -> Self {
        let mut known = Self(BTreeMap::new());
        known.note_answers(history, stories);
        known.note_sightings(history, stories);
        known
    }

    fn note(&mut self, uid: &'a str, name: (&'a str, &'a str), moment: u64, version: Option<usize>) {
        if let Some(version) = version {
            self.0.entry((uid, name)).or_default().push((moment, version));
        }
    }

    /// Whoever was told `ok` knows.
    fn note_answers(&mut self, history: &'a History, stories: &Stories<'a>) {
        for change in &history.changes {
            let Fate::Acked(seq) = change.fate else { continue };
            let (Asked::Recall(target) | Asked::Edit { target, .. }) = &change.what else { continue };
            let Some(story) = stories.get(target.name()) else { continue };
            let version = match change.what {
                // Also when it was recalled before.
                Asked::Recall(_) => story.recalled_at(),
                _ => story.version_at(seq),
            };
            self.note(&change.by, target.name(), change.answered, version);
        }
    }

    /// Whoever has seen the entry knows.
    fn note_sightings(&mut self, history: &'a History, stories: &Stories<'a>) {
        let mut seen: BTreeMap<(&str, u64), u64> = BTreeMap::new();
        for sighting in &history.sightings {
            let first = seen.entry((&sighting.uid, sighting.seq)).or_insert(sighting.moment);
            *first = sighting.moment.min(*first);
        }
        for (uid, user) in &history.users {
            let mut count: BTreeMap<(&str, &str), usize> = BTreeMap::new();
            let rewrites = || user.inbox.iter().filter_map(|kept| Some((kept, kept.entry.what.rewrites()?)));
            rewrites().for_each(|(_, target)| *count.entry(target.name()).or_default() += 1);
            let mut at: BTreeMap<(&str, &str), usize> = BTreeMap::new();
            for (kept, target) in rewrites() {
                let Some(story) = stories.get(target.name()) else { continue };
                let at = at.entry(target.name()).or_default();
                // With one that a block kept away it is not known which one this is, unless it is the recall.
                let version = match kept.entry.what {
                    What::Recalled { .. } => story.recalled_at(),
                    _ => Some(*at).filter(|_| count[&target.name()] == story.len()),
                };
                *at += 1;
                if let Some(moment) = seen.get(&(uid.as_str(), kept.entry.seq)) {
                    self.note(uid, target.name(), *moment, version);
                }
            }
        }
    }

    fn newest(&self, uid: &str, name: (&str, &str), asked: u64) -> Option<usize> {
        let known = self.0.get(&(uid, name))?;
        known.iter().filter(|(moment, _)| *moment < asked).map(|(_, version)| *version).max()
    }
}

pub fn redacted(history: &History, stories: &Stories<'_>, found: &mut Vec<Violation>) {
    let known = Known::of(history, stories);
    for reading in &history.readings {
        let (uid, message) = (&reading.uid, &reading.message);
        let Some(story) = stories.get(message.name()) else {
            report(found, Rule::Invented, format!("{uid} read {message:?}, which no one sent"));
            continue;
        };
        let version = known.newest(uid, message.name(), reading.asked);
        if story.may_say(message.says(), version) {
            continue;
        }
        let rule = if story.may_say(message.says(), None) { Rule::Redacted } else { Rule::Invented };
        report(found, rule, format!("{reading:?} although {uid} knew of change {version:?}"));
    }
}

/// What a user deleted of one conversation, and the moment from which on it knows.
struct Deletion<'a> {
    moment: u64,
    seqs: &'a [u64],
    upto: u64,
}

pub fn deleted(history: &History, found: &mut Vec<Violation>) {
    let deletions = deletions(history);
    for reading in history.readings.iter().filter(|reading| matches!(reading.path, Path::History | Path::List)) {
        let of = deletions.get(&(reading.uid.as_str(), reading.message.peer.as_str()));
        let gone = |deletion: &&Deletion<'_>| {
            let names = deletion.seqs.contains(&reading.seq) || reading.seq <= deletion.upto;
            deletion.moment < reading.asked && names
        };
        if let Some(deletion) = of.into_iter().flatten().find(gone) {
            report(found, Rule::Shown, format!("{reading:?} was deleted at {}", deletion.moment));
        }
    }
}

fn deletions(history: &History) -> BTreeMap<(&str, &str), Vec<Deletion<'_>>> {
    let answers = history.changes.iter().filter_map(|change| match (&change.what, change.fate) {
        (Asked::Delete { .. } | Asked::DeleteAll, Fate::Acked(seq)) => Some((&change.by, seq, change.answered)),
        _ => None,
    });
    let seen = history.sightings.iter().map(|sighting| (&sighting.uid, sighting.seq, sighting.moment));
    let mut deletions: BTreeMap<(&str, &str), Vec<Deletion<'_>>> = BTreeMap::new();
    for (uid, seq, moment) in answers.chain(seen) {
        let kept = history.users.get(uid).and_then(|user| user.at(seq));
        if let Some(What::Deleted { peer, seqs, upto, .. }) = kept.map(|kept| &kept.entry.what) {
            deletions.entry((uid, peer)).or_default().push(Deletion { moment, seqs, upto: *upto });
        }
    }
    deletions
}
