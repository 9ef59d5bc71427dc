//! Changes of messages and conversations that the server has not answered: recalls, edits, reactions, deletions, settings
//! and blocks.
//!
//! Each is safe to repeat as long as the order within its conversation stays, so one per conversation is under way at a
//! time, and it is repeated, over connections, until the server says what came of it. They live as long as the process.

use std::collections::{BTreeMap, VecDeque};

use tidings_schema::{
    id::Millis,
    wire::{self, client_frame::Op},
};

use super::{Core, Phase, RequestError};

/// Changes that may wait for their answer; more are refused with [`RequestError::TooMany`].
pub const CHANGES_MAX: usize = 256;
/// Of those under way at a time, each in a conversation of its own.
const UNDER_WAY_MAX: usize = 4;
/// An answer that takes longer is not waited for; the server gives up after five seconds.
const ANSWER_WITHIN_MS: u64 = 10_000;
/// Wait after a refusal that names no time, doubled per refusal in a row.
const FIRST_HOLD_MS: u64 = 100;
const LONGEST_HOLD_MS: u64 = 5_000;

#[derive(Debug)]
struct Change {
    request: u64,
    op: Op,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    frame: u64,
    due: Millis,
}

/// The changes of one conversation, oldest first; the attempt is about the first.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Change>,
    attempt: Option<Attempt>,
    hold_until: Option<Millis>,
    refusals: u32,
}

/// All changes that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct Changes {
    lanes: BTreeMap<String, Lane>,
}

impl Changes {
    fn len(&self) -> usize {
        self.lanes.values().map(|lane| lane.waiting.len()).sum()
    }

    fn add(&mut self, peer: String, request: u64, op: Op) {
        self.lanes.entry(peer).or_default().waiting.push_back(Change { request, op });
    }

    /// The next change that may leave, as attempt `frame`; `None` when nothing may.
    fn next_op(&mut self, frame: u64, now: Millis) -> Option<Op> {
        if self.lanes.values().filter(|lane| lane.attempt.is_some()).count() >= UNDER_WAY_MAX {
            return None;
        }
        let lane = self.lanes.values_mut().find(|lane| lane.may_leave(now))?;
        let op = lane.waiting.front()?.op.clone();
        lane.attempt = Some(Attempt { frame, due: now.plus(ANSWER_WITHIN_MS) });
        Some(op)
    }

    /// Whether `frame` is an attempt that waits for its answer.
    pub(super) fn is_attempt(&self, frame: u64) -> bool {
        self.lanes.values().any(|lane| lane.is_attempt(frame))
    }

    /// Attempt `frame` has its answer, for better or worse: the app's request that it belongs to.
    pub(super) fn answered(&mut self, frame: u64) -> Option<u64> {
        let (peer, lane) = self.lanes.iter_mut().find(|(_, lane)| lane.is_attempt(frame))?;
        lane.attempt = None;
        lane.refusals = 0;
        let done = lane.waiting.pop_front();
        if lane.waiting.is_empty() {
            let peer = peer.clone();
            self.lanes.remove(&peer);
        }
        done.map(|change| change.request)
    }

    /// Attempt `frame` was refused but may succeed later: its conversation waits for a while.
    pub(super) fn put_off(&mut self, frame: u64, retry_after_ms: u64, now: Millis) {
        let Some(lane) = self.lanes.values_mut().find(|lane| lane.is_attempt(frame)) else { return };
        lane.attempt = None;
        let own_ms = FIRST_HOLD_MS.saturating_mul(1 << lane.refusals.min(10)).min(LONGEST_HOLD_MS);
        lane.refusals = lane.refusals.saturating_add(1);
        lane.hold_until = Some(now.plus(if retry_after_ms == 0 { own_ms } else { retry_after_ms }));
    }

    /// Attempts that waited too long are made again.
    pub(super) fn expire(&mut self, now: Millis) {
        for lane in self.lanes.values_mut() {
            lane.attempt = lane.attempt.filter(|attempt| attempt.due > now);
        }
    }

    /// The connection is gone, and with it every attempt.
    pub(super) fn disconnected(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.attempt = None;
            lane.hold_until = None;
        }
    }

    /// There will be no answers any more: the requests that wait for one.
    pub(super) fn give_up(&mut self) -> Vec<u64> {
        let lanes = std::mem::take(&mut self.lanes);
        lanes.into_values().flat_map(|lane| lane.waiting).map(|change| change.request).collect()
    }

    /// When [`expire`](Self::expire) or [`next_op`](Self::next_op) has something to do.
    pub(super) fn deadline(&self, now: Millis) -> Option<Millis> {
        let held = |lane: &Lane| lane.hold_until.filter(|&at| at > now && lane.attempt.is_none());
        let waits = |lane: &Lane| lane.attempt.map(|attempt| attempt.due).or(held(lane));
        self.lanes.values().filter_map(waits).min()
    }
}

impl Lane {
    fn may_leave(&self, now: Millis) -> bool {
        self.attempt.is_none() && self.hold_until.is_none_or(|until| until <= now)
    }

    fn is_attempt(&self, frame: u64) -> bool {
        self.attempt.is_some_and(|attempt| attempt.frame == frame)
    }
}

impl Core {
    /// Takes a change of the conversation with `peer`; its answer comes as that of any request.
    pub(super) fn change(&mut self, peer: String, op: Op, now: Millis) -> Result<u64, RequestError> {
        if matches!(self.phase, Phase::Stopped) {
            return Err(RequestError::Disconnected);
        }
        if self.changes.len() >= CHANGES_MAX {
            return Err(RequestError::TooMany);
        }
        self.next_request += 1;
        let request = self.next_request;
        self.changes.add(peer, request, op);
        self.write_changes(now);
        Ok(request)
    }

    pub(super) fn write_changes(&mut self, now: Millis) {
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        while let Some(op) = self.changes.next_op(self.next_frame + 1, now) {
            let id = self.fresh_frame();
            self.write(id, op);
        }
    }
}

/// Whose conversation an operation changes; `None` when it changes none, or does not say.
pub(super) fn changed_by(op: &Op) -> Option<String> {
    let conversation = match op {
        Op::Recall(recall) => recall.conversation.as_ref(),
        Op::Edit(edit) => edit.conversation.as_ref(),
        Op::React(react) => react.conversation.as_ref(),
        Op::DeleteForMe(delete) => delete.conversation.as_ref(),
        Op::SetConversation(set) => set.conversation.as_ref(),
        Op::DeleteConversation(delete) => delete.conversation.as_ref(),
        Op::Block(block) => return Some(block.uid.clone()),
        Op::Unblock(unblock) => return Some(unblock.uid.clone()),
        Op::Hello(_) | Op::Refresh(_) | Op::Ping(_) | Op::Send(_) | Op::Ack(_) | Op::Read(_) => return None,
        Op::Sync(_) | Op::History(_) | Op::Conversations(_) | Op::Typing(_) => return None,
        Op::CreateGroup(_) | Op::JoinGroup(_) | Op::LeaveGroup(_) | Op::AddMembers(_) | Op::RemoveMember(_) => {
            return None;
        }
        Op::SetRole(_) | Op::TransferGroup(_) | Op::MuteMember(_) | Op::MuteGroup(_) | Op::UpdateGroup(_) => {
            return None;
        }
        Op::DismissGroup(_) | Op::GroupInfo(_) | Op::Members(_) | Op::ReadBy(_) | Op::SyncGroup(_) => return None,
    };
    match conversation?.conversation.as_ref()? {
        wire::conversation::Conversation::Uid(uid) => Some(uid.clone()),
        wire::conversation::Conversation::Gid(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(uid: &str) -> Op {
        Op::Block(wire::Block { uid: uid.into() })
    }

    const NOW: Millis = Millis::new(1_000);

    #[test]
    fn changes_of_one_conversation_leave_one_by_one_and_those_of_others_do_not_wait_for_them() {
        let mut changes = Changes::default();
        changes.add("bob".into(), 1, op("first"));
        changes.add("bob".into(), 2, op("second"));
        changes.add("carol".into(), 3, op("third"));
        assert_eq!(changes.next_op(10, NOW), Some(op("first")));
        assert_eq!(changes.next_op(11, NOW), Some(op("third")));
        assert_eq!(changes.next_op(12, NOW), None);
        assert_eq!(changes.answered(10), Some(1));
        assert_eq!(changes.next_op(12, NOW), Some(op("second")));
        assert_eq!((changes.answered(10), changes.answered(11), changes.answered(12)), (None, Some(3), Some(2)));
        assert_eq!((changes.len(), changes.deadline(NOW)), (0, None));
    }

    #[test]
    fn a_change_without_an_answer_is_made_again_before_the_next_one() {
        let mut changes = Changes::default();
        changes.add("bob".into(), 1, op("first"));
        changes.add("bob".into(), 2, op("second"));
        assert_eq!(changes.next_op(10, NOW), Some(op("first")));
        changes.disconnected();
        assert_eq!(changes.next_op(11, NOW), Some(op("first")));
        let late = changes.deadline(NOW).unwrap();
        changes.expire(late);
        assert_eq!(changes.next_op(12, late), Some(op("first")));
        assert_eq!(changes.answered(11), None, "an answer of an attempt that was given up");
        assert!(changes.is_attempt(12));
    }

    #[test]
    fn a_refused_change_waits_as_long_as_it_was_told_and_holds_back_its_conversation_only() {
        let mut changes = Changes::default();
        changes.add("bob".into(), 1, op("first"));
        assert!(changes.next_op(10, NOW).is_some());
        changes.put_off(10, 700, NOW);
        changes.add("carol".into(), 2, op("second"));
        assert_eq!(changes.next_op(11, NOW), Some(op("second")));
        assert_eq!(changes.next_op(12, NOW.plus(699)), None);
        assert_eq!(changes.deadline(NOW), Some(NOW.plus(700)));
        assert_eq!(changes.next_op(12, NOW.plus(700)), Some(op("first")));
        assert_eq!(changes.give_up(), [1, 2]);
    }
}
