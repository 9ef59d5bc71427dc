//! Changes of messages whose consequences are not durable yet: what an inbox and a group's log have in common of recall, edit
//! and reactions. From a change's commit on nobody reads the old content, because every page is looked through.

use bytes::Bytes;
use metrics::gauge;
use prost::Message as _;
use tidings_schema::{
    change::{Change, Made, Stored, without_content},
    id::Seq,
    message::RawEntry,
    wire,
};

use crate::{
    appender::PutNumber,
    mutants::{self, Mutant},
    port::link::{ConnectionRef, OpId},
};

/// Changes whose messages are not written anew yet; further ones are refused (5003); between mailboxes repeated.
pub const REDACTIONS_MAX: usize = 64;
/// Changes that are done but still looked for while pages are being read; the oldest go first.
pub const RECENT_MAX: usize = 256;

/// Where a change came from.
pub(crate) trait Origin {
    /// Whether it shows in what is read before it is durable. Only a mutant says no.
    fn is_looked_for(&self) -> bool {
        true
    }
}

/// One change whose consequences are not durable yet.
pub(crate) struct Redaction<O> {
    /// The message.
    pub(crate) target: Seq,
    /// The change.
    pub(crate) made: Made,
    pub(crate) origin: O,
    /// Who learns of it, with the seq that is answered. At most the unanswered ops of connections.
    pub(crate) answers: Vec<(ConnectionRef, OpId, Seq)>,
}

/// Where the oldest of them are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Step {
    #[default]
    Idle,
    Reading,
    /// The first so many are done when this put is durable.
    Writing(PutNumber, usize),
}

/// All changes of one timeline whose consequences are not durable yet, in the order of their rows.
pub(crate) struct Redactions<O> {
    pub(crate) pending: Vec<Redaction<O>>,
    pub(crate) step: Step,
    /// Done; but a page that is being read may still be older.
    recent: Vec<(Seq, Made)>,
    /// Pages that are being read.
    reads: usize,
}

impl<O> Default for Redactions<O> {
    fn default() -> Self {
        Self { pending: Vec::new(), step: Step::Idle, recent: Vec::new(), reads: 0 }
    }
}

impl<O: Origin> Redactions<O> {
    /// Whether nothing is pending.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// A change of the message at `target` has its row.
    pub(crate) fn add(&mut self, target: Seq, made: Made, origin: O, answer: Option<(ConnectionRef, OpId)>) {
        let answers = answer.into_iter().map(|(to, op_id)| (to, op_id, made.seq)).collect();
        self.pending.push(Redaction { target, made, origin, answers });
        gauge!("tidings_redactions_pending").increment(1);
    }

    /// Answers an op that changes nothing more once what it rests on is durable; `false` when nothing is pending.
    pub(crate) fn answer_with(&mut self, target: Seq, to: ConnectionRef, op_id: OpId) -> bool {
        let Some(pending) = self.pending.iter_mut().rev().find(|pending| pending.target == target) else {
            return false;
        };
        if op_id > 0 {
            pending.answers.push((to, op_id, Seq::ZERO));
        }
        true
    }

    /// Nobody waits for these answers any more.
    pub(crate) fn forget(&mut self, connection: ConnectionRef) {
        for pending in &mut self.pending {
            pending.answers.retain(|(to, ..)| *to != connection);
        }
    }

    /// The oldest change that no checkpoint may pass.
    pub(crate) fn oldest(&self) -> Option<Seq> {
        self.pending.first().map(|pending| pending.made.seq)
    }

    /// A message with every change that has a row, committed or not; those that were done while it was read included.
    pub(crate) fn with_all_changes(&self, entry: Bytes) -> Bytes {
        self.changes(Seq::new(u64::MAX)).fold(entry, |entry, (target, made)| shown_after(entry, target, made))
    }

    /// Changes up to a row, in order.
    fn changes(&self, upto: Seq) -> impl Iterator<Item = (Seq, &Made)> {
        let pending = self
            .pending
            .iter()
            .filter(|pending| pending.origin.is_looked_for())
            .map(|pending| (pending.target, &pending.made));
        let recent = self.recent.iter().map(|(target, made)| (*target, made));
        recent.chain(pending.filter(move |(_, made)| made.seq <= upto))
    }

    /// An entry as it may be read: without what a committed change took from it.
    pub(crate) fn shown(&self, entry: Bytes, committed: Seq) -> Bytes {
        if !self.are_looked_for() || mutants::active(Mutant::OkBeforeRedacted) {
            return entry;
        }
        self.changes(committed).fold(entry, |entry, (target, made)| shown_after(entry, target, made))
    }

    /// Whether [`Self::shown`] may change anything.
    pub(crate) fn are_looked_for(&self) -> bool {
        !self.pending.is_empty() || !self.recent.is_empty()
    }

    /// A page is being read.
    pub(crate) fn read_began(&mut self) {
        self.reads += 1;
    }

    /// A page was read.
    pub(crate) fn read_ended(&mut self) {
        self.reads = self.reads.saturating_sub(1);
        if self.reads == 0 {
            self.recent.clear();
        }
    }

    /// The first so many are durable with their consequences.
    pub(crate) fn done(&mut self, count: usize) -> Vec<Redaction<O>> {
        let done: Vec<Redaction<O>> = self.pending.drain(..count.min(self.pending.len())).collect();
        gauge!("tidings_redactions_pending").decrement(done.len() as f64);
        if self.reads > 0 {
            self.recent.extend(done.iter().map(|done| (done.target, done.made.clone())));
            let surplus = self.recent.len().saturating_sub(RECENT_MAX);
            self.recent.drain(..surplus);
        }
        self.step = Step::Idle;
        done
    }
}

impl<O> Drop for Redactions<O> {
    fn drop(&mut self) {
        gauge!("tidings_redactions_pending").decrement(self.pending.len() as f64);
    }
}

/// One entry as it may be read after one change.
fn shown_after(entry: Bytes, target: Seq, made: &Made) -> Bytes {
    let Ok(raw) = RawEntry::decode(entry.clone()) else { return entry };
    let seq = Seq::new(raw.seq);
    if raw.message.is_some() {
        if seq != target {
            return entry;
        }
        let stored = Stored { entry: entry.clone(), edited_by: Seq::ZERO };
        return stored.changed(made).map_or(entry, |(changed, _)| changed.entry);
    }
    let replaces = matches!(made.change, Change::Recall | Change::Edit { .. }) && seq < made.seq && seq > target;
    if replaces && is_edit_of(&entry, target) { without_content(&entry) } else { entry }
}

fn is_edit_of(entry: &Bytes, target: Seq) -> bool {
    let body = wire::Entry::decode(entry.clone()).ok().and_then(|entry| entry.body);
    matches!(body, Some(wire::entry::Body::Edited(edited)) if edited.seq == target.get())
}
