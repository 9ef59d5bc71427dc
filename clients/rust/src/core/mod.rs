//! The duties of a client as a state machine: no clock, no I/O, no threads.
//!
//! Inputs are method calls with the time as an argument; outputs are values to [`poll`](Core::poll) and to carry out in
//! order; [`deadline`](Core::deadline) says when to call [`tick`](Core::tick). The core promises: an entry reaches the
//! app once and in order; a message leaves the queue only when it is in the log or refused for good; what must survive
//! a crash is persisted before anything that depends on it is written.

mod backoff;
mod heartbeat;
mod in_memory;
mod inbox;
mod outgoing;
mod output;
mod server;
mod token;

use std::collections::{BTreeMap, VecDeque};

use tidings_schema::{
    id::{IdError, MessageId, Millis, Seq, Uid},
    wire::{self, client_frame::Op},
};

use self::{
    backoff::Backoff,
    heartbeat::{Beat, Heartbeat},
    inbox::Inbox,
    outgoing::Outgoing,
};
pub use self::{
    in_memory::{InMemory, Link},
    inbox::Place,
    outgoing::{BURST_MAX, PENDING_MAX},
    output::{BlockState, Change, ConnectionState, Event, Message, Output, Refused, RequestError, Sent, StopReason},
};

/// An answer of the app's request that takes longer is not waited for.
pub const REQUEST_WITHIN_MS: u64 = 10_000;
/// A server that does not welcome us in this time is given up.
const WELCOME_WITHIN_MS: u64 = 15_000;
/// Wait before a pull that failed or brought nothing is repeated.
const PULL_AGAIN_MS: u64 = 1_000;
/// Entries asked for at a time, when the server names no limit.
const PAGE_ENTRIES: u64 = 256;
/// Unanswered frames when the server names no limit.
const UNANSWERED: u64 = 64;
/// Of those, kept free for requests, pulls, read markers and pings.
const UNANSWERED_FOR_OTHERS: usize = 16;
/// Requests of the app that may wait at a time; more are refused with [`RequestError::TooMany`].
pub const REQUESTS_MAX: usize = 8;
/// Protocol revision this client was written for.
const REVISION: u32 = 1;

/// Who this client is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Stable for this device; unique among the user's devices. `None`: the token names it.
    pub device_id: Option<String>,
    /// What it runs on, as shown to operators.
    pub platform: String,
}

/// What a client kept from its last run.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Messages without an ack, oldest first.
    pub sends: Vec<wire::Send>,
    /// Where it stood in the inbox; `None` on a new device.
    pub place: Option<Place>,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The recipient.
    pub to: Uid,
    /// What people see.
    pub content: wire::Content,
    /// What a notification should show.
    pub push: Option<wire::PushHint>,
}

impl Draft {
    /// A plain text.
    #[must_use]
    pub fn text(to: Uid, text: impl Into<String>) -> Self {
        let kind = wire::content::Kind::Text(wire::Text { text: text.into() });
        Self { to, content: wire::Content { kind: Some(kind) }, push: None }
    }
}

/// Why a message was not taken; nothing is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// [`PENDING_MAX`] messages wait for their ack already.
    #[error("too many messages wait to be sent")]
    QueueFull,
    /// The id is taken by another message that waits.
    #[error("this message id is waiting already")]
    Known,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It could not be opened, or broke without a word.
    Broken,
    /// A close frame with this code.
    Closed(u16),
    /// There is no token to be had for now.
    NoToken,
    /// There will be none; the app has to do something.
    TokenRefused(String),
}

#[derive(Debug)]
enum Phase {
    Waiting { until: Millis },
    Connecting,
    Greeting { since: Millis },
    Resetting { found: Vec<wire::ConversationView>, as_of: Option<u64> },
    Live,
    Stopped,
}

/// What a frame id of ours waits for.
#[derive(Debug)]
enum Asked {
    App { request: u64, due: Millis },
    Pull { due: Millis },
    Listing,
    Read { peer: String, seq: Seq },
    Refresh,
}

/// A read marker the server has not confirmed.
#[derive(Debug)]
struct Marker {
    seq: Seq,
    asked: bool,
}

/// One client.
#[derive(Debug)]
pub struct Core {
    identity: Identity,
    phase: Phase,
    uid: String,
    inbox: Inbox,
    outgoing: Outgoing,
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
                self.inbox.ack_deadline(self.ack_delay_ms()),
                self.pull_at,
                self.asked.values().filter_map(Asked::due).min(),
            ]
            .into_iter()
            .flatten()
            .min(),
        }
    }

    /// A fresh message id, stamped with the server's time.
    #[must_use]
    pub fn fresh_id(&self, random: [u8; 10], now: Millis) -> MessageId {
        MessageId::v7(Millis::new(now.get().saturating_add_signed(self.clock_ahead_ms)), random)
    }

    /// Takes a message: it is persisted first, and leaves when it may.
    ///
    /// # Errors
    /// [`SendError`]; nothing was kept.
    pub fn send(&mut self, id: MessageId, draft: Draft, now: Millis) -> Result<(), SendError> {
        if self.outgoing.len() >= PENDING_MAX {
            return Err(SendError::QueueFull);
        }
        let target = wire::target::Target::Uid(draft.to.to_string());
        let send = wire::Send {
            message_id: id.to_string(),
            to: Some(wire::Target { target: Some(target) }),
            content: Some(draft.content),
            reply_to: None,
            push: draft.push,
            retry: false,
        };
        if self.outgoing.contains(id) {
            return Err(SendError::Known);
        }
        self.outputs.push_back(Output::Persist(Change::Add(Box::new(send.clone()))));
        self.outgoing.add(id, draft.to.as_str(), send);
        self.write_sends(now);
        Ok(())
    }

    /// Moves the read marker of the conversation with `peer`; repeated until the server has it.
    pub fn read(&mut self, peer: &Uid, seq: Seq) {
        let marker = self.markers.entry(peer.to_string()).or_insert(Marker { seq: Seq::ZERO, asked: false });
        if seq > marker.seq {
            *marker = Marker { seq, asked: false };
        }
        self.write_markers();
    }

    /// Asks the server something; the answer comes as [`Output::Answer`] with the returned number.
    ///
    /// # Errors
    /// [`RequestError::Disconnected`] and [`RequestError::TooMany`]; nothing was asked.
    pub fn request(&mut self, op: Op, now: Millis) -> Result<u64, RequestError> {
        if !matches!(self.phase, Phase::Live) {
            return Err(RequestError::Disconnected);
        }
        if self.asked.values().filter(|asked| matches!(asked, Asked::App { .. })).count() >= REQUESTS_MAX {
            return Err(RequestError::TooMany);
        }
        self.next_request += 1;
        let request = self.next_request;
        self.ask(op, Asked::App { request, due: now.plus(REQUEST_WITHIN_MS) });
        Ok(request)
    }

    /// The app has applied (and kept, if it keeps anything) every event up to `seq` of the inbox.
    pub fn applied(&mut self, seq: Seq, now: Millis) {
        if self.inbox.apply(seq, now) {
            self.outputs.push_back(Output::Persist(Change::Place(self.inbox.place())));
            self.write_ack(now);
        }
    }

    /// A connection is open; `token` says who we are.
    pub fn connected(&mut self, token: String, now: Millis) {
        self.phase = Phase::Greeting { since: now };
        let hello = wire::Hello {
            token,
            device_id: self.identity.device_id.clone().unwrap_or_default(),
            platform: self.identity.platform.clone(),
            resume: self.inbox.resume(),
            revision: REVISION,
        };
        let id = self.fresh_frame();
        self.write(id, Op::Hello(hello));
    }

    /// The connection is gone, or could not be opened.
    pub fn disconnected(&mut self, lost: &Lost, now: Millis) {
        match lost {
            Lost::Closed(server::CLOSE_REPLACED) => self.stop(StopReason::Replaced),
            Lost::TokenRefused(why) => self.stop(StopReason::Unauthorized(why.clone())),
            Lost::Broken | Lost::Closed(_) | Lost::NoToken => self.reconnect_later(now),
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
        self.write_sends(now);
        self.write_ack(now);
    }

    fn expire_asked(&mut self, now: Millis) {
        let late = |asked: &Asked| asked.due().is_some_and(|due| due <= now);
        let ids: Vec<u64> = self.asked.iter().filter(|(_, asked)| late(asked)).map(|(&id, _)| id).collect();
        for id in ids {
            match self.asked.remove(&id) {
                Some(Asked::App { request, .. }) => self.answer(request, Err(RequestError::TimedOut)),
                Some(Asked::Pull { .. }) => self.pull(now),
                Some(Asked::Listing | Asked::Read { .. } | Asked::Refresh) | None => {}
            }
        }
    }

    fn enqueue(&mut self, send: wire::Send) {
        let id: Result<MessageId, IdError> = send.message_id.parse();
        let peer = send.to.as_ref().and_then(|to| to.target.as_ref());
        if let (Ok(id), Some(wire::target::Target::Uid(peer))) = (id, peer) {
            let peer = peer.clone();
            self.outgoing.add(id, &peer, send);
        }
    }

    fn write_sends(&mut self, now: Millis) {
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        let most = named_or(self.limits.unanswered_max, UNANSWERED);
        let most = usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(UNANSWERED_FOR_OTHERS).max(1);
        while self.outgoing.in_flight() < most {
            let Some(send) = self.outgoing.next_send(self.next_frame + 1, now) else { return };
            let id = self.fresh_frame();
            self.write(id, Op::Send(send));
        }
    }

    fn write_ack(&mut self, now: Millis) {
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        let entries = named_or(self.limits.ack_entries_max, 64);
        if let Some(seq) = self.inbox.ack_due(entries, self.ack_delay_ms(), now) {
            self.write(0, Op::Ack(wire::Ack { inbox: seq.get() }));
        }
    }

    fn write_markers(&mut self) {
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        let waiting = self.asked.values().filter(|asked| matches!(asked, Asked::Read { .. })).count();
        let free = REQUESTS_MAX.saturating_sub(waiting.saturating_add(4));
        let due = self.markers.iter_mut().filter(|(_, marker)| !marker.asked).take(free);
        let due: Vec<(String, Seq)> = due
            .map(|(peer, marker)| {
                marker.asked = true;
                (peer.clone(), marker.seq)
            })
            .collect();
        for (peer, seq) in due {
            let conversation = Some(conversation_with(&peer));
            let op = Op::Read(wire::Read { conversation, seq: seq.get() });
            self.ask(op, Asked::Read { peer, seq });
        }
    }

    /// Asks for what comes after the last entry, unless that question is open already.
    fn pull(&mut self, now: Millis) {
        if self.asked.values().any(|asked| matches!(asked, Asked::Pull { .. })) {
            return;
        }
        let op = Op::Sync(wire::Sync { after: self.inbox.received.get(), limit: self.page_entries() });
        self.ask(op, Asked::Pull { due: now.plus(REQUEST_WITHIN_MS) });
    }

    fn ask_listing(&mut self) {
        let Phase::Resetting { found, .. } = &self.phase else { return };
        let after = found.last().and_then(|view| view.last.as_ref()).map_or(0, |entry| entry.seq);
        let op = Op::Conversations(wire::ListConversations { after, limit: self.page_entries() });
        self.ask(op, Asked::Listing);
    }

    fn ask(&mut self, op: Op, asked: Asked) {
        let id = self.fresh_frame();
        self.asked.insert(id, asked);
        self.write(id, op);
    }

    fn write(&mut self, id: u64, op: Op) {
        self.outputs.push_back(Output::Write(wire::ClientFrame { id, op: Some(op) }));
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn answer(&mut self, request: u64, answer: Result<wire::server_frame::Body, RequestError>) {
        self.outputs.push_back(Output::Answer(request, answer));
    }

    /// This side ends the connection.
    fn give_up(&mut self, now: Millis) {
        self.outputs.push_back(Output::Disconnect);
        self.reconnect_later(now);
    }

    fn reconnect_later(&mut self, now: Millis) {
        if matches!(self.phase, Phase::Waiting { .. } | Phase::Stopped) {
            return;
        }
        self.forget_connection();
        let asked_ms = std::mem::take(&mut self.asked_to_wait_ms);
        let random = self.next_random();
        let retry_in_ms = self.backoff.failed(asked_ms, random, now);
        self.phase = Phase::Waiting { until: now.plus(retry_in_ms) };
        self.event(Event::Connection(ConnectionState::Waiting { retry_in_ms }));
    }

    fn stop(&mut self, reason: StopReason) {
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        self.forget_connection();
        self.phase = Phase::Stopped;
        self.outputs.push_back(Output::Disconnect);
        self.event(Event::Connection(ConnectionState::Stopped(reason)));
    }

    fn forget_connection(&mut self) {
        self.heartbeat.stop();
        self.outgoing.disconnected();
        self.pull_at = None;
        self.markers.values_mut().for_each(|marker| marker.asked = false);
        for (_, asked) in std::mem::take(&mut self.asked) {
            if let Asked::App { request, .. } = asked {
                self.answer(request, Err(RequestError::Disconnected));
            }
        }
    }

    fn fresh_frame(&mut self) -> u64 {
        self.next_frame += 1;
        self.next_frame
    }

    /// xorshift64: jitter needs no more.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn ack_delay_ms(&self) -> u64 {
        named_or(self.limits.ack_delay_ms_max, 500)
    }

    fn page_entries(&self) -> u32 {
        u32::try_from(named_or(self.limits.page_entries_max, PAGE_ENTRIES)).unwrap_or(u32::MAX)
    }
}

impl Asked {
    fn due(&self) -> Option<Millis> {
        match self {
            Self::App { due, .. } | Self::Pull { due } => Some(*due),
            Self::Listing | Self::Read { .. } | Self::Refresh => None,
        }
    }
}

/// A limit of `welcome`; 0 means that the server did not say.
fn named_or(named: u64, default: u64) -> u64 {
    if named == 0 { default } else { named }
}

pub(crate) fn conversation_with(peer: &str) -> wire::Conversation {
    wire::Conversation { conversation: Some(wire::conversation::Conversation::Uid(peer.to_owned())) }
}
