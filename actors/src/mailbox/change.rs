//! `recall`, `edit` and `react`: rows of the chain to the peer like messages, each about an earlier message of the
//! conversation. Here: who may change what, on either side. What becomes of the message: [`super::redact`].

use bytes::Bytes;
use tidings_schema::{
    change::{Change, REACTIONS_MAX, reactions_of},
    error_code::ErrorCode,
    id::{Place, Seq, Uid},
};
use tidings_state::outbox::OUTBOX_ROWS_MAX;

use super::{
    Mailbox,
    append::{Incoming, NewRow},
    deliver::Taken,
    targets::{Found, Named, Target},
};
use crate::port::link::{ChangeOp, ConnectionRef, DeliverEntry, OpId, Reference};

/// What to do about an op.
enum Verdict {
    /// It makes a row.
    Go,
    /// It has happened already.
    Unchanged,
    Refuse(ErrorCode, &'static str),
}

impl Mailbox {
    pub(super) fn change(&mut self, from: ConnectionRef, op_id: OpId, op: &ChangeOp) {
        let found =
            self.target(&op.peer, Target::Own(op.seq)).flatten().filter(|_| op.seq <= self.timeline.committed());
        let Some((found, named)) = found.and_then(|found| Some((found.clone(), found.named(&op.name)?))) else {
            let text = "no message of this conversation has that seq, author and id";
            return self.refuse(from, op_id, ErrorCode::NoSuchSeq, text, 0);
        };
        match self.may_change(op, &named) {
            Verdict::Refuse(code, text) => self.refuse(from, op_id, code, text, 0),
            Verdict::Unchanged if self.redactions.answer_with(op.seq, from, op_id) => {}
            Verdict::Unchanged => self.answer_unchanged(from, op_id, &op.peer),
            Verdict::Go => self.make_change(from, op_id, op, &found),
        }
    }

    fn may_change(&self, op: &ChangeOp, named: &Named) -> Verdict {
        let message = &named.message;
        let own = op.name.author == self.uid;
        let blocked = self.peers.get(&op.peer).is_some_and(|peer| peer.live.blocked);
        match &op.change {
            Change::Recall | Change::Edit { .. } if !own => {
                Verdict::Refuse(ErrorCode::NotAuthor, "only the author recalls or edits a message")
            }
            Change::Recall if message.recalled => Verdict::Unchanged,
            Change::Edit { .. } | Change::React { .. } if message.recalled => {
                Verdict::Refuse(ErrorCode::MessageRecalled, "the message was recalled")
            }
            Change::Edit { content } if message.content.as_ref().is_some_and(|now| same(now, content)) => {
                Verdict::Unchanged
            }
            Change::Recall | Change::Edit { .. } if self.is_too_old(named.time) => {
                Verdict::Refuse(ErrorCode::TooLate, "the message is too old to be recalled or edited")
            }
            Change::Edit { .. } | Change::React { .. } if blocked => {
                Verdict::Refuse(ErrorCode::PeerBlocked, "unblock this user first")
            }
            Change::React { from, reaction, removed } => match reactions_of(message, from, reaction) {
                (_, stands) if stands != *removed => Verdict::Unchanged,
                (count, false) if count >= REACTIONS_MAX => {
                    Verdict::Refuse(ErrorCode::TooManyReactions, "take a reaction back first")
                }
                _ => Verdict::Go,
            },
            Change::Recall | Change::Edit { .. } => Verdict::Go,
        }
    }

    fn is_too_old(&self, time: u64) -> bool {
        let max = self.parts.limits.recall_ms_max;
        max > 0 && self.parts.clock.now().get().saturating_sub(time) > max
    }

    fn make_change(&mut self, from: ConnectionRef, op_id: OpId, op: &ChangeOp, found: &Found) {
        if let Err(retry_after_ms) = self.limiter.allows(self.parts.clock.uptime()) {
            return self.refuse(from, op_id, ErrorCode::RateLimited, "too many messages per second", retry_after_ms);
        }
        if self.changes_are_full() || self.peers.unaccepted >= OUTBOX_ROWS_MAX {
            return self.refuse(from, op_id, ErrorCode::Busy, "too many changes wait for the store or the peer", 1_000);
        }
        let refers = self.place_of(found);
        let row = NewRow::ChangeOut { target: op.seq, refers, name: &op.name, change: &op.change };
        match self.append(&op.peer, &row) {
            Err(refusal) => self.refuse_row(from, op_id, refusal),
            Ok(seq) => {
                if op.peer != self.uid {
                    self.peers.push_out(&op.peer, seq);
                }
                self.await_redaction(seq, Some((from, op_id)));
            }
        }
    }

    fn await_redaction(&mut self, seq: Seq, answer: Option<(ConnectionRef, OpId)>) {
        if let Some(row) = self.rows.get(seq) {
            self.redactions.add_row(row, answer.filter(|(_, op_id)| *op_id > 0));
        }
    }

    /// A message's place in its author's log.
    pub(super) fn place_of(&self, found: &Found) -> Option<Place> {
        let own = || self.timeline.log_id().map(|log_id| Place { log_id, seq: found.seq });
        found.place.or_else(own)
    }

    /// The message that an entry of the peer refers to: its seq here, if it is here and is the one of that name.
    pub(super) fn resolve(&self, from: &Uid, reference: &Reference) -> Option<Seq> {
        let found = self.target(from, self.target_of(reference)?).flatten()?;
        found.named(&reference.name)?;
        Some(found.seq)
    }

    /// A change by the peer. A recall takes something away, so it is taken even of somebody who is blocked; other changes
    /// are not, and none of a message that never showed here.
    pub(super) fn take_change(
        &mut self,
        from: &Uid,
        entry: &DeliverEntry,
        place: Place,
        of: &Reference,
        change: &Change,
    ) -> Taken {
        let target = self.resolve(from, of).unwrap_or(Seq::ZERO);
        let recalls = *change == Change::Recall && target > Seq::ZERO;
        if !recalls && self.peers.entry(from).live.was_blocked_at(entry.time) {
            return self.leave_no_row(from, place);
        }
        if self.changes_are_full() {
            return Taken::No;
        }
        // Of a message that never showed here only that it was edited is said: the text has no recall that would reach it.
        let nothing = Change::Edit { content: Bytes::new() };
        let unknown = target == Seq::ZERO && matches!(change, Change::Edit { .. });
        let change = if unknown { &nothing } else { change };
        match self.append(from, &NewRow::ChangeIn(Incoming { entry, place, target }, of, change)) {
            Err(_) => Taken::No,
            Ok(seq) => {
                if target > Seq::ZERO {
                    self.await_redaction(seq, None);
                }
                Taken::Yes
            }
        }
    }
}

/// Whether a content is what these bytes encode.
fn same(content: &tidings_schema::wire::Content, encoded: &[u8]) -> bool {
    prost::Message::encode_to_vec(content) == encoded
}
