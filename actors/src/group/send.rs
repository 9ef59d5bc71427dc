//! `send`: the retry of a message is answered before anything else is asked; then its age, rights and limits; then it gets its
//! place.

use tidings_schema::{
    error_code::ErrorCode,
    group::Event,
    id::{Millis, Seq, Uid},
    message::GroupDraft,
    wire::{self, server_frame::Body},
};
use tidings_state::sent_window::{Lookup, SentKey};

use super::{Group, caller};
use crate::{
    limits::MESSAGE_ID_AGE_MS_MAX,
    mutants::{self, Mutant},
    port::link::{ConnectionRef, GroupSend, OpId},
};

/// The scope and name of a message in the group.
pub(super) fn key_of(from: &Uid, draft: &GroupDraft) -> SentKey {
    SentKey { from: Some(from.clone()), id: draft.message_id }
}

impl Group {
    pub(super) fn send(&mut self, from: ConnectionRef, op_id: OpId, uid: &Uid, send: &GroupSend) {
        match self.look_up(uid, send) {
            Lookup::Duplicate { seq, time } => {
                self.chains.took(from, op_id);
                self.answer_send(from, op_id, &send.draft, seq, time, Attempt::Repeated);
            }
            Lookup::Conflict => {
                self.chains.took(from, op_id);
                let text = "this message id was used before with another payload";
                self.refuse(from, op_id, ErrorCode::MessageIdConflict, text, 0);
            }
            Lookup::New | Lookup::Beyond => self.send_new(from, op_id, uid, send),
        }
    }

    /// The window first; beyond it what the id record said (a gate has fetched it for a retry).
    fn look_up(&self, uid: &Uid, send: &GroupSend) -> Lookup {
        if mutants::active(Mutant::NoDedupe) {
            return Lookup::New;
        }
        let key = key_of(uid, &send.draft);
        match self.window.look_up(key.clone(), send.draft.hash) {
            Lookup::Beyond => self.gate.found_id(&key, &send.draft.hash).unwrap_or(Lookup::Beyond),
            known @ (Lookup::New | Lookup::Duplicate { .. } | Lookup::Conflict) => known,
        }
    }

    fn send_new(&mut self, from: ConnectionRef, op_id: OpId, uid: &Uid, send: &GroupSend) {
        let (draft, now) = (&send.draft, self.parts.clock.now());
        if !self.chains.follows(from, send.after) {
            return self.refuse(from, op_id, ErrorCode::Busy, "an earlier message to this group was refused", 0);
        }
        if draft.message_id.v7_time().is_some_and(|made| now.since(made) > MESSAGE_ID_AGE_MS_MAX) {
            self.chains.took(from, op_id);
            let text = "the message id was made more than 13 days ago";
            return self.refuse(from, op_id, ErrorCode::MessageIdTooOld, text, 0);
        }
        if let Err(refusal) = self.state.may_send(caller(uid), &draft.mentions, now) {
            self.chains.took(from, op_id);
            return self.refuse_by_rule(from, op_id, refusal);
        }
        if !self.answers_a_message(uid, draft) {
            self.chains.took(from, op_id);
            let text = "replyTo is no message of this group";
            return self.refuse(from, op_id, ErrorCode::NoSuchSeq, text, 0);
        }
        if let Err(retry_after_ms) = self.limiter.allows(self.parts.clock.uptime()) {
            return self.refuse(from, op_id, ErrorCode::RateLimited, "too many messages per second", retry_after_ms);
        }
        let (message_id, hash, counting) = (draft.message_id, draft.hash, draft.counting);
        let event = Event::Message { from: uid.clone(), message_id, hash, counting };
        match self.append(vec![event], Some(draft)) {
            Err(why) => self.refuse_row(from, op_id, why),
            Ok(seq) => {
                let time = self.time_of(seq);
                self.window.insert(key_of(uid, draft), draft.hash, seq, time);
                self.chains.took(from, op_id);
                self.answer_send(from, op_id, draft, seq, time, Attempt::First);
            }
        }
    }

    /// Whether the message that this one answers, if any, is one of the group that the sender may read.
    fn answers_a_message(&self, uid: &Uid, draft: &GroupDraft) -> bool {
        let Some(reply_to) = &draft.reply_to else { return true };
        let Ok(first) = self.state.first_readable(caller(uid)) else { return false };
        let readable = reply_to.seq >= first && reply_to.seq <= self.timeline.committed();
        readable && self.message_at(reply_to.seq).flatten().is_some_and(|found| found.is(&reply_to.name))
    }

    fn answer_send(
        &mut self,
        from: ConnectionRef,
        op_id: OpId,
        draft: &GroupDraft,
        seq: Seq,
        time: Millis,
        attempt: Attempt,
    ) {
        let ack = wire::SendAck {
            message_id: draft.message_id.to_string(),
            seq: seq.get(),
            time: time.get(),
            duplicate: attempt == Attempt::Repeated,
        };
        self.answer_when_committed(seq, from, op_id, Body::SendAck(ack));
    }
}

/// Whether this id comes for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    First,
    Repeated,
}
