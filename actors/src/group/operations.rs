//! Everything about members and settings: decided by the state machine, done when its rows are committed. A retry whose
//! result stands makes no row and is answered like the first time.

use tidings_schema::{
    error_code::ErrorCode,
    group::Event,
    id::{Seq, Uid},
};
use tidings_state::group::Op;

use super::{Group, caller, ok};
use crate::port::link::{ConnectionRef, OpId};

impl Group {
    pub(super) fn operate(&mut self, from: ConnectionRef, op_id: OpId, uid: &Uid, op: &Op) {
        match self.state.decide(caller(uid), op) {
            Err(refusal) => self.refuse_by_rule(from, op_id, refusal),
            // It rests on rows that may still be on their way.
            Ok(events) if events.is_empty() => {
                self.answer_when_committed(self.timeline.head(), from, op_id, ok(Seq::ZERO));
            }
            Ok(events) if self.untold.is_full() && events.iter().any(ends_membership) => {
                let text = "too many ended memberships wait for a node";
                self.refuse(from, op_id, ErrorCode::Busy, text, 1_000);
            }
            Ok(events) => match self.append(events, None) {
                Err(why) => self.refuse_row(from, op_id, why),
                Ok(seq) => self.answer_when_committed(seq, from, op_id, ok(seq)),
            },
        }
    }
}

fn ends_membership(event: &Event) -> bool {
    matches!(event, Event::MemberLeft { .. } | Event::Dismissed { .. })
}
