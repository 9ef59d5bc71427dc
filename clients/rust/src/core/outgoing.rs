//! Sends that are not acknowledged yet: what may go out, in which order, and what an answer means.
//!
//! Per conversation at most [`BURST_MAX`] are unanswered. After a refusal or a time-out nothing more goes out to that
//! conversation until the burst is answered; then everything is sent again in order, marked as a repetition.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tidings_schema::{
    id::{MessageId, Millis},
    wire,
};

/// Unanswered sends of one conversation.
pub const BURST_MAX: usize = 16;
/// Unacknowledged sends a client keeps; more are refused with [`super::SendError::QueueFull`].
pub const PENDING_MAX: usize = 10_000;
/// An answer that takes longer is not waited for; the server gives up after five seconds.
const ANSWER_WITHIN_MS: u64 = 10_000;
/// Wait after a refusal that names no time, doubled per refusal in a row.
const FIRST_HOLD_MS: u64 = 100;
const LONGEST_HOLD_MS: u64 = 5_000;

#[derive(Debug)]
struct Pending {
    id: MessageId,
    send: wire::Send,
    /// Frame id of the attempt that waits for an answer.
    attempt: Option<u64>,
    sent_at: Millis,
}

/// The sends of one conversation, oldest first; those with an attempt stand in front.
#[derive(Debug, Default)]
struct Lane {
    pending: VecDeque<Pending>,
    in_flight: usize,
    /// Something of the burst was refused: nothing more goes out before all of it is answered.
    broken: bool,
    hold_until: Option<Millis>,
    refusals: u32,
}

/// All sends that wait for an ack.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    lanes: BTreeMap<String, Lane>,
    lane_of: HashMap<MessageId, String>,
    attempts: HashMap<u64, MessageId>,
}

impl Outgoing {
    pub(super) fn len(&self) -> usize {
        self.lane_of.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.attempts.len()
    }

    pub(super) fn contains(&self, id: MessageId) -> bool {
        self.lane_of.contains_key(&id)
    }

    /// Adds one at the end of its conversation.
    pub(super) fn add(&mut self, id: MessageId, peer: &str, send: wire::Send) {
        if self.lane_of.insert(id, peer.to_owned()).is_none() {
            let lane = self.lanes.entry(peer.to_owned()).or_default();
            lane.pending.push_back(Pending { id, send, attempt: None, sent_at: Millis::new(0) });
        }
    }

    /// The next send that may leave, as attempt `frame`; `None` when nothing may.
    pub(super) fn next_send(&mut self, frame: u64, now: Millis) -> Option<wire::Send> {
        let lane = self.lanes.values_mut().find(|lane| lane.may_send(now))?;
        let pending = lane.pending.get_mut(lane.in_flight)?;
        let send = pending.send.clone();
        pending.send.retry = true;
        pending.attempt = Some(frame);
        pending.sent_at = now;
        lane.in_flight += 1;
        lane.hold_until = None;
        self.attempts.insert(frame, pending.id);
        Some(send)
    }

    /// It is in the log (or refused for good): forgets it. Returns its conversation; `None` when it was known before.
    pub(super) fn done(&mut self, id: MessageId) -> Option<String> {
        let peer = self.lane_of.remove(&id)?;
        let lane = self.lanes.get_mut(&peer)?;
        let at = lane.pending.iter().position(|pending| pending.id == id)?;
        if let Some(pending) = lane.pending.remove(at)
            && let Some(frame) = pending.attempt
        {
            self.attempts.remove(&frame);
            lane.in_flight -= 1;
        }
        if !lane.broken {
            lane.refusals = 0;
        }
        lane.settle();
        if lane.pending.is_empty() {
            self.lanes.remove(&peer);
        }
        Some(peer)
    }

    /// The message that attempt `frame` carried.
    pub(super) fn message_of(&self, frame: u64) -> Option<MessageId> {
        self.attempts.get(&frame).copied()
    }

    /// The attempt was refused but may succeed later: holds the conversation back for a while.
    pub(super) fn refused(&mut self, frame: u64, retry_after_ms: u64, now: Millis) {
        let Some(id) = self.attempts.remove(&frame) else { return };
        let Some(lane) = self.lane_of.get(&id).and_then(|peer| self.lanes.get_mut(peer)) else { return };
        let Some(pending) = lane.pending.iter_mut().find(|pending| pending.id == id) else { return };
        pending.attempt = None;
        lane.in_flight -= 1;
        if !lane.broken {
            lane.broken = true;
            lane.refusals = lane.refusals.saturating_add(1);
        }
        let own = FIRST_HOLD_MS.saturating_mul(1 << lane.refusals.clamp(1, 10).saturating_sub(1)).min(LONGEST_HOLD_MS);
        let until = now.plus(if retry_after_ms == 0 { own } else { retry_after_ms });
        lane.hold_until = Some(lane.hold_until.map_or(until, |at| at.max(until)));
        lane.settle();
    }

    /// Attempts that waited too long count as unanswered for good: their conversations start over.
    pub(super) fn expire(&mut self, now: Millis) {
        for lane in self.lanes.values_mut().filter(|lane| lane.answer_due().is_some_and(|at| at <= now)) {
            lane.forget_attempts(&mut self.attempts);
        }
    }

    /// The connection is gone, and with it every attempt.
    pub(super) fn disconnected(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.forget_attempts(&mut self.attempts);
        }
    }

    /// When [`expire`](Self::expire) or [`next_send`](Self::next_send) has something to do.
    pub(super) fn deadline(&self, now: Millis) -> Option<Millis> {
        let held = |lane: &Lane| lane.held_until().filter(|&at| at > now);
        let waits = |lane: &Lane| [lane.answer_due(), held(lane)].into_iter().flatten().min();
        self.lanes.values().filter_map(waits).min()
    }
}

impl Lane {
    fn may_send(&self, now: Millis) -> bool {
        !self.broken
            && self.in_flight < BURST_MAX.min(self.pending.len())
            && self.hold_until.is_none_or(|until| until <= now)
    }

    /// All of a broken burst is answered: a new one may begin with the oldest.
    fn settle(&mut self) {
        if self.in_flight == 0 {
            self.broken = false;
        }
    }

    fn answer_due(&self) -> Option<Millis> {
        let oldest = self.pending.iter().filter(|pending| pending.attempt.is_some()).map(|pending| pending.sent_at);
        oldest.min().map(|at| at.plus(ANSWER_WITHIN_MS))
    }

    fn held_until(&self) -> Option<Millis> {
        self.hold_until.filter(|_| !self.broken && self.in_flight < self.pending.len())
    }

    fn forget_attempts(&mut self, attempts: &mut HashMap<u64, MessageId>) {
        for pending in &mut self.pending {
            if let Some(frame) = pending.attempt.take() {
                attempts.remove(&frame);
            }
        }
        self.in_flight = 0;
        self.broken = false;
        self.hold_until = None;
    }
}
