//! Users who join by themselves: those who come while a row of joins is on its way share the next one, so that thousands in
//! a few seconds cost a row and a push for each hundred.

use tidings_schema::{
    group::{Event, JOINED_UIDS_MAX},
    id::{Seq, Uid},
};
use tidings_state::group::Op;

use super::{Group, ok};
use crate::port::link::{ConnectionRef, OpId};

/// Those who wait for the next row; at most [`JOINED_UIDS_MAX`], which fill a row.
#[derive(Default)]
pub(super) struct Joins {
    waiting: Vec<(ConnectionRef, OpId, Uid)>,
    /// The last row of joins.
    last: Seq,
}

impl Joins {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Group {
    /// Somebody joins with the next row of joins.
    pub(super) fn wait_to_join(&mut self, from: ConnectionRef, op_id: OpId, uid: Uid) {
        self.joins.waiting.push((from, op_id, uid));
        if self.joins.waiting.len() >= JOINED_UIDS_MAX {
            self.join_now();
        }
    }

    /// Writes the row unless one is on its way.
    pub(super) fn join_if_free(&mut self) {
        if self.joins.last <= self.timeline.committed() {
            self.join_now();
        }
    }

    /// Writes the row for those who wait. What comes behind them rests on it.
    pub(super) fn join_now(&mut self) {
        if self.joins.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.joins.waiting);
        let uids: Vec<Uid> = waiting.iter().map(|(_, _, uid)| uid.clone()).collect();
        // When not all of them can join, each is told what holds for itself.
        let Ok(events) = self.state.join(&uids) else {
            for (from, op_id, uid) in waiting {
                self.operate(from, op_id, &uid, &Op::Join);
            }
            return;
        };
        let joined: Vec<Uid> = events.iter().flat_map(new_members).cloned().collect();
        let appended = if events.is_empty() { Ok(Seq::ZERO) } else { self.append(events, None) };
        if let Ok(seq) = appended {
            self.joins.last = seq.max(self.joins.last);
        }
        for (from, op_id, uid) in waiting {
            match appended {
                _ if !joined.contains(&uid) => {
                    self.answer_when_committed(self.timeline.head(), from, op_id, ok(Seq::ZERO));
                }
                Ok(seq) => self.answer_when_committed(seq, from, op_id, ok(seq)),
                Err(why) => self.refuse_row(from, op_id, why),
            }
        }
    }
}

fn new_members(event: &Event) -> &[Uid] {
    match event {
        Event::MembersJoined { uids, .. } => uids,
        _ => &[],
    }
}
