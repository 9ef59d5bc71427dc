//! What an app does with messages that are there already: takes them back, edits them, reacts to them, deletes them, sets
//! how conversations are shown, and looks into history, list and inbox.

use std::collections::VecDeque;

use tidings_client::{Client, core::RequestError};
use tidings_schema::{
    error_code::{ErrorCode, Retry},
    id::Uid,
    wire::{self, client_frame::Op, server_frame::Body},
};

use super::{
    book::Book,
    chance::Chance,
    raw::{conversation_with, text_content},
};
use crate::checker::{Asked, Change, Entry, Fate, Kept, Path, Reading, Target, What};

/// Messages an app remembers, to do something with them.
const KNOWN_MAX: usize = 64;
/// Entries it asks for when it looks.
const LOOK_ENTRIES: u32 = 40;
/// Reactions it has at hand, so that two devices often take the same.
const REACTIONS: [&str; 3] = ["+1", "heart", "?"];

/// The messages an app remembers, the newest ones.
#[derive(Default)]
pub struct Known(VecDeque<(Uid, Target)>);

impl Known {
    /// Remembers the message of an entry.
    pub fn note(&mut self, entry: &Entry) {
        let What::Message(message) = &entry.what else { return };
        if self.0.len() == KNOWN_MAX {
            self.0.pop_front();
        }
        let target = Target { seq: entry.seq, author: message.from.clone(), id: message.id.clone() };
        self.0.push_back((message.peer.parse().unwrap(), target));
    }

    fn pick(&self, chance: &mut Chance, fits: impl Fn(&Target) -> bool) -> Option<&(Uid, Target)> {
        let fitting: Vec<&(Uid, Target)> = self.0.iter().filter(|(_, target)| fits(target)).collect();
        (!fitting.is_empty()).then(|| *chance.pick(&fitting))
    }

    /// Something to ask for, by `uid`; `text` is what an edit would say.
    pub fn change(&self, uid: &str, text: String, chance: &mut Chance) -> Option<Change> {
        // Now and then somebody tries to touch what is not theirs.
        let greedy = chance.once_in(16);
        let own = |chance: &mut Chance| self.pick(chance, |target| greedy || target.author == uid).cloned();
        let any = |chance: &mut Chance| self.pick(chance, |_| true).cloned();
        let (peer, what) = match chance.between(0, 200) {
            0..30 => own(chance).map(|(peer, target)| (peer, Asked::Recall(target)))?,
            30..90 => own(chance).map(|(peer, target)| (peer, Asked::Edit { target, text }))?,
            90..150 => {
                let (peer, target) = any(chance)?;
                let reaction = (*chance.pick(&REACTIONS)).to_owned();
                (peer, Asked::React { target, reaction, removed: chance.once_in(3) })
            }
            150..176 => {
                let (peer, first) = any(chance)?;
                let others = self.0.iter().filter(|(of, target)| *of == peer && target.seq != first.seq);
                let seqs = others.map(|(_, target)| target.seq).take(2).chain([first.seq]).collect();
                (peer, Asked::Delete { seqs, upto: 0 })
            }
            176..180 => {
                any(chance).map(|(peer, target)| (peer, Asked::Delete { seqs: Vec::new(), upto: target.seq }))?
            }
            180..184 => (any(chance)?.0, Asked::DeleteAll),
            _ => {
                let half = |chance: &mut Chance| chance.once_in(2).then(|| chance.once_in(2));
                let (pinned, muted) = (half(chance), half(chance));
                (any(chance)?.0, Asked::Set { pinned, muted: muted.or(pinned.is_none().then_some(true)) })
            }
        };
        let (by, peer) = (uid.to_owned(), peer.to_string());
        // The client repeats it by itself after a lost answer: whatever comes in the end, it may be there.
        Some(Change { by, peer, what, tries: 1, fate: Fate::Open, answered: 0 })
    }

    /// Somewhere to look.
    pub fn look(&self, chance: &mut Chance) -> Option<(Path, Op)> {
        let (peer, target) = self.pick(chance, |_| true)?;
        let limit = LOOK_ENTRIES;
        Some(match chance.between(0, 4) {
            0 => (Path::List, Op::Conversations(wire::ListConversations { after: 0, limit })),
            1 => (Path::Sync, Op::Sync(wire::Sync { after: target.seq.saturating_sub(u64::from(limit)), limit })),
            _ => {
                let before = if chance.once_in(2) { 0 } else { target.seq + 1 };
                let conversation = Some(conversation_with(peer.as_str()));
                (Path::History, Op::History(wire::History { conversation, before, limit }))
            }
        })
    }
}

/// What came of a request.
pub enum Answer {
    /// Of the change with this number in the book; `None`: nobody knows.
    Changed(usize, Option<Fate>),
    /// What was read.
    Looked(Vec<Reading>),
    /// Nothing to write down.
    Nothing,
}

/// Asks for a change and waits for what becomes of it.
pub async fn ask(client: Client, number: usize, op: Op) -> Answer {
    let fate = match client.request(op).await {
        Ok(Body::Ok(ok)) => Some(Fate::Acked(ok.seq)),
        Ok(other) => panic!("no answer to a change: {other:?}"),
        Err(RequestError::Refused { code, .. }) if !may_be_repeated(code) => Some(Fate::Refused),
        Err(_) => None,
    };
    Answer::Changed(number, fate)
}

/// Whether the answer says that the same may be asked again.
pub fn may_be_repeated(code: u32) -> bool {
    ErrorCode::from_number(code).is_some_and(|code| code.advice().retry == Retry::Same)
}

/// The change as a client asks for it.
pub fn op_of(change: &Change) -> Op {
    let conversation = Some(conversation_with(&change.peer));
    match change.what.clone() {
        Asked::Recall(Target { seq, author, id: message_id }) => {
            Op::Recall(wire::Recall { conversation, seq, author, message_id })
        }
        Asked::Edit { target: Target { seq, author, id: message_id }, text } => {
            let content = Some(text_content(&text));
            Op::Edit(wire::Edit { conversation, seq, author, message_id, content })
        }
        Asked::React { target: Target { seq, author, id: message_id }, reaction, removed } => {
            Op::React(wire::React { conversation, seq, author, message_id, reaction, removed })
        }
        Asked::Delete { seqs, upto } => Op::DeleteForMe(wire::DeleteForMe { conversation, seqs, upto }),
        Asked::DeleteAll => Op::DeleteConversation(wire::DeleteConversation { conversation }),
        Asked::Set { pinned, muted } => Op::SetConversation(wire::SetConversation { conversation, pinned, muted }),
    }
}

/// The messages of an answer, as `uid` read them after asking at this moment.
pub fn readings(uid: &str, asked: u64, path: Path, answer: Body) -> Vec<Reading> {
    let entries: Vec<wire::Entry> = match answer {
        Body::Page(page) => page.entries,
        Body::Conversations(list) => list.conversations.into_iter().filter_map(|view| view.last).collect(),
        _ => Vec::new(),
    };
    entries.iter().filter_map(|entry| reading_of(uid, asked, path, Kept::of_wire(entry).entry)).collect()
}

/// The message of an entry as somebody read it; `None`: it is none.
pub fn reading_of(uid: &str, asked: u64, path: Path, entry: Entry) -> Option<Reading> {
    let What::Message(message) = entry.what else { return None };
    Some(Reading { uid: uid.to_owned(), asked, path, seq: entry.seq, message })
}

/// Writes down that a device has seen an entry that only changes something.
pub fn note_sighting(book: &Book, uid: &str, entry: &Entry) {
    if entry.what.target().is_some() || matches!(entry.what, What::Deleted { .. }) {
        book.sighted(uid, entry.seq);
    }
}
