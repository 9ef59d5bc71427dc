//! `recall`, `edit` and `react` in a group: who may change what. What becomes of the message: [`super::redact`].

use prost::Message as _;
use tidings_schema::{
    change::{Change, REACTIONS_MAX, reactions_of},
    error_code::ErrorCode,
    group::Event,
    id::{Seq, Uid},
    row::GroupRow,
    wire,
};
use tidings_state::group::rights::Refusal;

use super::{Group, caller, gate::Found, ok, redact::Here};
use crate::port::link::{ConnectionRef, GroupChange, OpId};

/// What to do about an op.
enum Verdict {
    /// It makes a row.
    Go,
    /// It has happened already.
    Unchanged,
    Refuse(ErrorCode, &'static str),
    /// What the group is forbids it.
    Rule(Refusal),
}

impl Group {
    pub(super) fn change(&mut self, from: ConnectionRef, op_id: OpId, uid: &Uid, op: &GroupChange) {
        let first = match self.state.first_readable(caller(uid)) {
            Ok(first) => first,
            Err(refusal) => return self.refuse_by_rule(from, op_id, refusal),
        };
        let readable = op.seq >= first && op.seq <= self.timeline.committed();
        let found = self.message_at(op.seq).flatten().filter(|found| readable && found.is(&op.name));
        let Some(found) = found else {
            let text = "no message of this group has that seq, author and id";
            return self.refuse(from, op_id, ErrorCode::NoSuchSeq, text, 0);
        };
        match self.may_change(uid, op, &found) {
            Verdict::Rule(refusal) => self.refuse_by_rule(from, op_id, refusal),
            Verdict::Refuse(code, text) => self.refuse(from, op_id, code, text, 0),
            Verdict::Unchanged if self.redactions.answer_with(op.seq, from, op_id) => {}
            Verdict::Unchanged => self.answer_when_committed(self.timeline.head(), from, op_id, ok(Seq::ZERO)),
            Verdict::Go => self.make_change(from, op_id, uid, op),
        }
    }

    fn may_change(&self, uid: &Uid, op: &GroupChange, found: &Found) -> Verdict {
        let Some(message) = found.said() else {
            return Verdict::Refuse(ErrorCode::NoSuchSeq, "no message of this group has that seq");
        };
        let own = found.author == *uid;
        match &op.change {
            Change::Recall if message.recalled => return Verdict::Unchanged,
            Change::Edit { .. } | Change::React { .. } if message.recalled => {
                return Verdict::Refuse(ErrorCode::MessageRecalled, "the message was recalled");
            }
            Change::Edit { content } if own && said_already(&message, content) => return Verdict::Unchanged,
            Change::Recall | Change::Edit { .. } | Change::React { .. } => {}
        }
        let (now, max) = (self.parts.clock.now(), self.parts.limits.recall_ms_max);
        if let Err(refusal) = self.state.may_change(caller(uid), &op.change, &found.author, found.sent, now, max) {
            return Verdict::Rule(refusal);
        }
        match &op.change {
            Change::React { from, reaction, removed } => match reactions_of(&message, from, reaction) {
                (_, stands) if stands != *removed => Verdict::Unchanged,
                (count, false) if count >= REACTIONS_MAX => {
                    Verdict::Refuse(ErrorCode::TooManyReactions, "take a reaction back first")
                }
                _ => Verdict::Go,
            },
            Change::Recall | Change::Edit { .. } => Verdict::Go,
        }
    }

    fn make_change(&mut self, from: ConnectionRef, op_id: OpId, uid: &Uid, op: &GroupChange) {
        if let Err(retry_after_ms) = self.limiter.allows(self.parts.clock.uptime()) {
            return self.refuse(from, op_id, ErrorCode::RateLimited, "too many messages per second", retry_after_ms);
        }
        if self.changes_are_full() {
            return self.refuse(from, op_id, ErrorCode::Busy, "too many changes wait for the store", 1_000);
        }
        let (name, change) = (op.name.clone(), op.change.clone());
        let event = Event::Changed { by: uid.clone(), target: op.seq, name, change };
        match self.append(vec![event], None) {
            Err(why) => self.refuse_row(from, op_id, why),
            Ok(seq) => {
                if let Some((target, made)) = self.rows.get(seq).and_then(GroupRow::made) {
                    self.redactions.add(target, made, Here, (op_id > 0).then_some((from, op_id)));
                }
            }
        }
    }
}

/// Whether the message says this already.
fn said_already(message: &wire::Message, content: &[u8]) -> bool {
    message.content.as_ref().is_some_and(|now| now.encode_to_vec() == content)
}
