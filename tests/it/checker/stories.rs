//! The story of each message: what it said first, and what its author made of it, in the order of the author's inbox.

use std::collections::BTreeMap;

use super::{Asked, Fate, History, Sending, What};

/// All of them, by author and id.
pub struct Stories<'a>(BTreeMap<(&'a str, &'a str), Story<'a>>);

/// One message.
pub struct Story<'a> {
    pub sending: &'a Sending,
    /// Texts that its author asked to give it, and that may have been taken.
    tried: Vec<&'a str>,
    versions: Vec<Version<'a>>,
}

/// What the message became.
struct Version<'a> {
    /// Where the author's inbox says so.
    seq: u64,
    state: State<'a>,
}

enum State<'a> {
    /// Says this now; `None`: one of what was tried.
    Edited(Option<&'a str>),
    Recalled,
}

impl<'a> Stories<'a> {
    pub fn of(history: &'a History) -> Self {
        let mut stories = BTreeMap::new();
        for sending in &history.sendings {
            let story = Story { sending, tried: Vec::new(), versions: Vec::new() };
            stories.insert((sending.from.as_str(), sending.id.as_str()), story);
        }
        let mut stories = Self(stories);
        stories.note_tried(history);
        stories.note_versions(history);
        stories
    }

    pub fn get<'s>(&'s self, name: (&'s str, &'s str)) -> Option<&'s Story<'s>> {
        self.0.get(&name)
    }

    pub fn all(&self) -> impl Iterator<Item = &Story<'a>> {
        self.0.values()
    }

    fn note_tried(&mut self, history: &'a History) {
        for change in history.changes.iter().filter(|change| change.may_be_there()) {
            let Asked::Edit { target, text } = &change.what else { continue };
            // Whoever else asks for it: nobody may ever read that.
            let own = target.author == change.by;
            if let Some(story) = self.0.get_mut(&target.name()).filter(|_| own) {
                story.tried.push(text);
            }
        }
    }

    fn note_versions(&mut self, history: &'a History) {
        let texts = texts(history);
        for (uid, user) in &history.users {
            for kept in &user.inbox {
                let (seq, what) = (kept.entry.seq, &kept.entry.what);
                let Some(target) = what.rewrites().filter(|target| target.author == *uid) else { continue };
                let Some(story) = self.0.get_mut(&target.name()) else { continue };
                let state = match what {
                    What::Recalled { .. } => State::Recalled,
                    _ => State::Edited(texts.get(&(uid.as_str(), seq)).copied()),
                };
                story.versions.push(Version { seq, state });
            }
        }
    }
}

/// What each edit said, by its author and its seq there, as far as it is known: an edit that was replaced does not say it
/// any more.
fn texts(history: &History) -> BTreeMap<(&str, u64), &str> {
    let mut texts = BTreeMap::new();
    for change in &history.changes {
        if let (Asked::Edit { text, .. }, Fate::Acked(seq @ 1..)) = (&change.what, change.fate) {
            texts.insert((change.by.as_str(), seq), text.as_str());
        }
    }
    for (uid, user) in &history.users {
        let seen = user.streams.values().flatten().flatten();
        for entry in seen.chain(user.inbox.iter().map(|kept| &kept.entry)) {
            if let What::Edited { text: Some(text), .. } = &entry.what {
                texts.entry((uid.as_str(), entry.seq)).or_insert(text.as_str());
            }
        }
    }
    texts
}

impl Story<'_> {
    /// How often it became something else.
    pub fn len(&self) -> usize {
        self.versions.len()
    }

    /// Number of the version that the entry at `seq` of the author's inbox made.
    pub fn version_at(&self, seq: u64) -> Option<usize> {
        self.versions.iter().position(|version| version.seq == seq)
    }

    /// Seq of an edit that says what the edit before it said.
    pub fn repeats(&self) -> Option<u64> {
        let mut pairs = self.versions.windows(2);
        let same = pairs.find(|pair| match (&pair[0].state, &pair[1].state) {
            (State::Edited(Some(before)), State::Edited(Some(after))) => before == after,
            _ => false,
        });
        same.map(|pair| pair[1].seq)
    }

    /// Number of the version that says nothing any more.
    pub fn recalled_at(&self) -> Option<usize> {
        self.versions.iter().position(|version| matches!(version.state, State::Recalled))
    }

    /// Whether somebody who knows of a version (`None`: of none) may read this (`None`: nothing).
    pub fn may_say(&self, text: Option<&str>, known: Option<usize>) -> bool {
        let Some(text) = text else { return self.recalled_at().is_some() };
        let ever = self.sending.text == text || self.tried.contains(&text);
        let Some(known) = known else { return ever };
        let recalled = matches!(self.versions.get(known), Some(Version { state: State::Recalled, .. }));
        let says = |version: &Version<'_>| match version.state {
            State::Edited(Some(known)) => known == text,
            State::Edited(None) => self.tried.contains(&text),
            State::Recalled => false,
        };
        !recalled && self.versions.iter().skip(known).any(says)
    }
}
