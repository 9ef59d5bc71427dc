//! The duties of a client as a state machine: no clock, no I/O, no threads.
//!
//! Inputs are method calls with the time as an argument; outputs are values to [`poll`](Core::poll) and to carry out in
//! order; [`deadline`](Core::deadline) says when to call [`tick`](Core::tick). The core promises: an entry reaches the
//! app once and in order; a message leaves the queue only when it is in the log or refused for good; what must survive
//! a crash is persisted before anything that depends on it is written.

mod ask;
mod backoff;
mod changes;
mod draft;
mod entries;
mod event;
mod heartbeat;
mod in_memory;
mod inbox;
mod link;
mod outgoing;
mod output;
mod sending;
mod server;
mod token;
mod typing;

use std::collections::{BTreeMap, VecDeque};

use tidings_schema::{
    id::{Millis, Seq},
    wire::{self, client_frame::Op},
};

use self::{
    ask::{Asked, Marker},
    backoff::Backoff,
    changes::Changes,
    heartbeat::{Beat, Heartbeat},
    inbox::Inbox,
    outgoing::Outgoing,
    typing::Typing,
};
pub use self::{
    ask::{REQUEST_WITHIN_MS, REQUESTS_MAX},
    changes::CHANGES_MAX,
    draft::{Draft, Identity, SendError, Stored, plain_text},
    event::{Deleted, Edited, Event, Message, MessageRef, Reacted, ReactionState, Recalled},
    in_memory::{InMemory, Link},
    inbox::Place,
    link::Lost,
    outgoing::{BURST_MAX, PENDING_MAX},
    output::{BlockState, Change, ConnectionState, Output, Refused, RequestError, Sent, StopReason},
    typing::TYPING_SHOWN_MS,
};

/// A server that does not welcome us in this time is given up.
const WELCOME_WITHIN_MS: u64 = 15_000;
/// Wait before a pull that failed or brought nothing is repeated.
const PULL_AGAIN_MS: u64 = 1_000;

#[derive(Debug)]
enum Phase {
    Waiting { until: Millis },
    Connecting,
    Greeting { since: Millis },
    Resetting { found: Vec<wire::ConversationView>, as_of: Option<u64> },
    Live,
    Stopped,
}

/// One client.
#[derive(Debug)]
pub struct Core {
    identity: Identity,
    phase: Phase,
    uid: String,
    inbox: Inbox,
    outgoing: Outgoing,
    changes: Changes,
    typing: Typing,
    heartbeat: Heartbeat,
    backoff: Backoff,
    limits: wire::Limits,
    asked: BTreeMap<u64, Asked>,
    markers: BTreeMap<String, Marker>,
    pull_at: Option<Millis>,
    fruitless_pulls: u32,
    /// A token was refused or ended, and no other has been accepted since.
    token_refused: bool,
    asked_to_wait_ms: u64,
    /// Server time minus local time, in milliseconds.
    clock_ahead_ms: i64,
    next_frame: u64,
    next_request: u64,
    random: u64,
    outputs: VecDeque<Output>,
}

impl Core {
    /// A client that wants a connection at once; `seed` feeds the jitter only.
    #[must_use]
    pub fn new(identity: Identity, stored: Stored, seed: u64, now: Millis) -> Self {
        let mut core = Self {
            identity,
            phase: Phase::Waiting { until: now },
            uid: String::new(),
            inbox: Inbox::restore(stored.place),
            outgoing: Outgoing::default(),
            changes: Changes::default(),
            typing: Typing::default(),
            heartbeat: Heartbeat::default(),
            backoff: Backoff::default(),
            limits: wire::Limits::default(),
            asked: BTreeMap::new(),
            markers: BTreeMap::new(),
            pull_at: None,
            fruitless_pulls: 0,
            token_refused: false,
            asked_to_wait_ms: 0,
            clock_ahead_ms: 0,
            next_frame: 0,
            next_request: 0,
            random: seed | 1,
            outputs: VecDeque::new(),
        };
        for mut send in stored.sends {
            send.retry = true;
            core.enqueue(send);
        }
        core
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`tick`](Self::tick) must be called at the latest.
    #[must_use]
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        match &self.phase {
            Phase::Waiting { until } => Some(*until),
            Phase::Connecting | Phase::Stopped => None,
            Phase::Greeting { since } => Some(since.plus(WELCOME_WITHIN_MS)),
            Phase::Resetting { .. } => self.pull_at.into_iter().chain(self.heartbeat.deadline()).min(),
            Phase::Live => [
                self.heartbeat.deadline(),
                self.outgoing.deadline(now),
                self.changes.deadline(now),
                self.inbox.ack_deadline(self.ack_delay_ms()),
                self.pull_at,
                self.asked.values().filter_map(Asked::due).min(),
            ]
            .into_iter()
            .flatten()
            .min(),
        }
    }

    /// The app has applied (and kept, if it keeps anything) every event up to `seq` of the inbox.
    pub fn applied(&mut self, seq: Seq, now: Millis) {
        if self.inbox.apply(seq, now) {
            self.outputs.push_back(Output::Persist(Change::Place(self.inbox.place())));
            self.write_ack(now);
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        match &self.phase {
            Phase::Waiting { until } if *until <= now => {
                self.phase = Phase::Connecting;
                self.outputs.push_back(Output::Connect);
            }
            Phase::Greeting { since } if now.since(*since) >= WELCOME_WITHIN_MS => self.give_up(now),
            Phase::Resetting { .. } | Phase::Live => self.tick_connected(now),
            Phase::Waiting { .. } | Phase::Connecting | Phase::Greeting { .. } | Phase::Stopped => {}
        }
    }

    /// Messages that wait for their ack.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.outgoing.len()
    }

    fn tick_connected(&mut self, now: Millis) {
        match self.heartbeat.tick(now) {
            Beat::Quiet => {}
            Beat::Ping(interval_ms) => {
                let id = self.fresh_frame();
                self.write(id, Op::Ping(wire::Ping { interval_ms }));
            }
            Beat::Silent => return self.give_up(now),
        }
        if self.pull_at.is_some_and(|at| at <= now) {
            self.pull_at = None;
            match self.phase {
                Phase::Resetting { .. } => self.ask_listing(),
                _ => self.pull(now),
            }
        }
        self.expire_asked(now);
        self.outgoing.expire(now);
        self.changes.expire(now);
        self.write_sends(now);
        self.write_changes(now);
        self.write_ack(now);
    }

    fn write_ack(&mut self, now: Millis) {
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        let entries = named_or(self.limits.ack_entries_max, 64);
        if let Some(seq) = self.inbox.ack_due(entries, self.ack_delay_ms(), now) {
            self.write(0, Op::Ack(wire::Ack { inbox: seq.get(), ..Default::default() }));
        }
    }

    fn write(&mut self, id: u64, op: Op) {
        self.outputs.push_back(Output::Write(wire::ClientFrame { id, op: Some(op) }));
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn fresh_frame(&mut self) -> u64 {
        self.next_frame += 1;
        self.next_frame
    }

    fn ack_delay_ms(&self) -> u64 {
        named_or(self.limits.ack_delay_ms_max, 500)
    }
}

/// A limit of `welcome`; 0 means that the server did not say.
fn named_or(named: u64, default: u64) -> u64 {
    if named == 0 { default } else { named }
}

pub(crate) fn conversation_with(peer: &str) -> wire::Conversation {
    wire::Conversation { conversation: Some(wire::conversation::Conversation::Uid(peer.to_owned())) }
}
