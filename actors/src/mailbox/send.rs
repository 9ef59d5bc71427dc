//! `send`: the retry of a message is answered before anything else is asked; then its age, blocks and limits; then it
//! gets its place.

use tidings_schema::{
    error_code::ErrorCode,
    id::{Millis, Place, Seq},
    message::Draft,
    wire,
};
use tidings_state::{outbox::OUTBOX_ROWS_MAX, sent_window::Lookup};

use super::{Mailbox, append::NewRow, targets::Target};
use crate::{
    appender::Append,
    limits::MESSAGE_ID_AGE_MS_MAX,
    mutants::{self, Mutant},
    port::link::{ConnectionRef, OpId, SendOp},
};

impl Mailbox {
    pub(super) fn send(&mut self, from: ConnectionRef, op_id: OpId, send: SendOp) {
        match self.look_up(&send) {
            Lookup::Duplicate { seq, time } => self.took(from, &send, op_id, |mailbox| {
                mailbox.answer_send(from, op_id, &send.draft, seq, time, Attempt::Repeated);
            }),
            Lookup::Conflict => self.took(from, &send, op_id, |mailbox| {
                let text = "this message id was used before with another payload";
                mailbox.refuse(from, op_id, ErrorCode::MessageIdConflict, text, 0);
            }),
            Lookup::New | Lookup::Beyond => self.send_new(from, op_id, &send),
        }
    }

    /// The window first; beyond it what the id record said (a gate has fetched it for a retry).
    fn look_up(&self, send: &SendOp) -> Lookup {
        if mutants::active(Mutant::NoDedupe) {
            return Lookup::New;
        }
        match self.window.look_up(send.draft.message_id, send.draft.hash) {
            Lookup::Beyond => self.gate.found_id(&send.draft.message_id, &send.draft.hash).unwrap_or(Lookup::Beyond),
            known @ (Lookup::New | Lookup::Duplicate { .. } | Lookup::Conflict) => known,
        }
    }

    fn send_new(&mut self, from: ConnectionRef, op_id: OpId, send: &SendOp) {
        if !self.devices.follows(from, send) {
            return self.refuse(from, op_id, ErrorCode::Busy, "an earlier message to this user was refused", 0);
        }
        if let Err((code, text)) = self.may_send(&send.draft) {
            return self.took(from, send, op_id, |mailbox| mailbox.refuse(from, op_id, code, text, 0));
        }
        let refers = match self.answered(&send.draft) {
            Ok(refers) => refers,
            Err((code, text)) => {
                return self.took(from, send, op_id, |mailbox| mailbox.refuse(from, op_id, code, text, 0));
            }
        };
        if let Err(retry_after_ms) = self.limiter.allows(self.parts.clock.uptime()) {
            return self.refuse(from, op_id, ErrorCode::RateLimited, "too many messages per second", retry_after_ms);
        }
        if self.peers.unaccepted >= OUTBOX_ROWS_MAX {
            return self.refuse(from, op_id, ErrorCode::Busy, "too many messages wait for their recipients", 1_000);
        }
        // Last: what is not taken for another reason spends nothing of the allowance.
        if self.parts.appender.room(&self.timeline_id, 1) == Append::Taken
            && let Err(retry_after_ms) = self.may_begin(&send.draft)
        {
            let text = "too many first messages to new people";
            return self.refuse(from, op_id, ErrorCode::NewPeersLimited, text, retry_after_ms);
        }
        let draft = &send.draft;
        match self.append(&draft.to, &NewRow::Out(draft, refers)) {
            Err(refusal) => self.refuse_row(from, op_id, refusal),
            Ok(seq) => {
                let time = self.rows.get(seq).map_or(Millis::default(), |row| row.time);
                self.window.insert(draft.message_id, draft.hash, seq, time);
                if draft.to != self.uid {
                    self.peers.push_out(&draft.to, seq);
                }
                self.took(from, send, op_id, |mailbox| {
                    mailbox.answer_send(from, op_id, draft, seq, time, Attempt::First);
                });
            }
        }
    }

    /// The place of the message that this one answers in its author's log; it must be one of the conversation.
    fn answered(&self, draft: &Draft) -> Result<Option<Place>, (ErrorCode, &'static str)> {
        let Some(reply_to) = &draft.reply_to else { return Ok(None) };
        let found = self.target(&draft.to, Target::Own(reply_to.seq)).flatten();
        let found =
            found.filter(|found| found.seq <= self.timeline.committed() && found.named(&reply_to.name).is_some());
        let found = found.ok_or((ErrorCode::NoSuchSeq, "replyTo is no message of this conversation"))?;
        Ok(self.place_of(&found))
    }

    /// Whether a conversation may begin with this message; the allowance is taken.
    fn may_begin(&mut self, draft: &Draft) -> Result<(), u64> {
        let known = self.peers.get(&draft.to).is_some_and(|peer| peer.live.h > 0);
        if known || draft.to == self.uid || self.parts.limits.new_peers_per_hour == 0 {
            return Ok(());
        }
        self.new_peers.allows(self.parts.clock.now())
    }

    fn may_send(&self, draft: &Draft) -> Result<(), (ErrorCode, &'static str)> {
        let now = self.parts.clock.now();
        if draft.message_id.v7_time().is_some_and(|made| now.since(made) > MESSAGE_ID_AGE_MS_MAX) {
            return Err((ErrorCode::MessageIdTooOld, "the message id was made more than 13 days ago"));
        }
        if draft.to.is_system() {
            return Err((ErrorCode::NotAllowed, "the system takes no messages"));
        }
        if self.peers.get(&draft.to).is_some_and(|peer| peer.live.blocked) {
            return Err((ErrorCode::PeerBlocked, "unblock this user first"));
        }
        Ok(())
    }

    /// The op was taken or refused for good: the next pipelined send may follow it.
    fn took(&mut self, from: ConnectionRef, send: &SendOp, op_id: OpId, answer: impl FnOnce(&mut Self)) {
        self.devices.took(from, &send.draft.to, op_id);
        answer(self);
    }

    fn answer_send(
        &mut self,
        from: ConnectionRef,
        op_id: OpId,
        draft: &Draft,
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
        self.answer_when_committed(seq, from, op_id, wire::server_frame::Body::SendAck(ack));
    }
}

/// Whether this id comes for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    First,
    Repeated,
}
