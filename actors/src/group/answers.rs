//! What connections are told: in the order of the rows it rests on, and one message per connection and turn.

use tidings_schema::{
    error_code::ErrorCode,
    id::{Millis, Seq},
    wire::{self, server_frame::Body},
};
use tidings_state::group::rights::Refusal;

use super::Group;
use crate::{
    mutants::{self, Mutant},
    port::link::{ConnectionRef, GroupCommand, OpId, ToConnection},
    shard::Told,
};

/// An answer that leaves when a row is committed.
pub(super) struct Waiting {
    pub(super) seq: Seq,
    pub(super) since: Millis,
    pub(super) to: ConnectionRef,
    pub(super) op_id: OpId,
    pub(super) answer: Body,
}

impl Group {
    /// Tells a connection at the end of this turn.
    pub(super) fn tell(&mut self, to: ConnectionRef, part: ToConnection) {
        self.told.entry(to).or_default().push(part);
    }

    pub(super) fn answer(&mut self, to: ConnectionRef, op_id: OpId, answer: Body) {
        if op_id > 0 {
            self.tell(to, ToConnection::Answer(op_id, answer));
        }
    }

    /// Answers when `seq` is committed; answers leave in the order of their rows.
    pub(super) fn answer_when_committed(&mut self, seq: Seq, to: ConnectionRef, op_id: OpId, answer: Body) {
        if seq <= self.timeline.committed() || mutants::active(Mutant::AckWhenHandedOver) {
            return self.answer(to, op_id, answer);
        }
        let at = self.answers.partition_point(|waiting| waiting.seq <= seq);
        let since = self.parts.clock.uptime();
        self.answers.insert(at, Waiting { seq, since, to, op_id, answer });
    }

    pub(super) fn refuse(&mut self, to: ConnectionRef, op_id: OpId, code: ErrorCode, text: &str, retry_after_ms: u64) {
        self.answer(to, op_id, error_of(code, text, retry_after_ms));
    }

    /// A refusal by what the group is rests on rows like any other answer: it leaves when they are committed.
    pub(super) fn refuse_by_rule(&mut self, to: ConnectionRef, op_id: OpId, refusal: Refusal) {
        let wait = match refusal {
            Refusal::Muted(until) => until.since(self.parts.clock.now()),
            _ => 0,
        };
        let answer = error_of(refusal.code(), &refusal.to_string(), wait);
        self.answer_when_committed(self.timeline.head(), to, op_id, answer);
    }

    pub(super) fn refuse_work(&mut self, work: &GroupCommand, code: ErrorCode, text: &str, retry_after_ms: u64) {
        self.refuse(work.from, work.op_id, code, text, retry_after_ms);
    }

    /// What was told in this turn leaves, one message per connection.
    pub(super) fn flush(&mut self) {
        while let Some((to, parts)) = self.told.pop_first() {
            if let Told::Gone = self.parts.tell(to, parts) {
                self.chains.forget(to);
                self.redactions.forget(to);
            } else if let Some(stale) = self.chains.told(to) {
                stale.into_iter().for_each(|connection| self.parts.link.forget(connection));
            }
        }
    }
}

fn error_of(code: ErrorCode, text: &str, retry_after_ms: u64) -> Body {
    metrics::counter!("tidings_ops_refused_total", "code" => code.number().to_string()).increment(1);
    Body::Error(wire::Error { code: code.number(), text: text.to_owned(), retry_after_ms })
}

pub(super) fn ok(seq: Seq) -> Body {
    Body::Ok(wire::Ok { seq: seq.get() })
}
