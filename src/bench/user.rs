//! One user of the load: sends numbered messages to its partner and checks everything that comes back.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use hdrhistogram::Histogram;
use tidings_client::{
    Client, Events,
    core::{ConnectionState, Draft, Event, Message, Sent},
};
use tidings_schema::{
    id::{MessageId, Seq, Uid},
    wire::content::Kind,
};
use tokio::sync::{Notify, mpsc};

use crate::clock::Stopwatch;

/// Things that went wrong and are shown; the rest is only counted.
const WRONG_SHOWN_MAX: usize = 20;
/// Longest latency that is told from longer ones, in microseconds.
const LATENCY_US_MAX: u64 = 600_000_000;

/// What the load does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing is sent.
    Idle,
    /// Messages flow and do not count.
    WarmUp,
    /// Messages flow and count.
    Counting,
}

/// How far one user is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Messages sent.
    pub(super) sent: u64,
    /// Of these, acknowledged by the server.
    pub(super) acked: u64,
    /// Of these, seen in the own inbox.
    pub(super) echoed: u64,
    /// Messages of the partner seen.
    pub(super) received: u64,
    /// Place of the newest own message in the own inbox.
    pub(super) last: Seq,
    /// Own messages up to here are acknowledged by a device of the partner.
    pub(super) delivered_upto: Seq,
}

impl Progress {
    /// The partner's device has acknowledged everything that the server has.
    pub(super) fn is_confirmed(&self) -> bool {
        self.delivered_upto >= self.last
    }
}

/// Latencies in microseconds, of messages that were due while it counted.
pub(super) struct Latencies {
    /// Until the server acknowledged.
    pub(super) ack: Histogram<u64>,
    /// Until the recipient had it.
    pub(super) delivery: Histogram<u64>,
}

/// What all users share. One thread.
pub(super) struct Shared {
    pub(super) watch: Stopwatch,
    pub(super) phase: Cell<Phase>,
    /// When counting began and ended.
    pub(super) window: Cell<(u64, u64)>,
    /// Messages acknowledged and delivered so far, over all users.
    pub(super) acked: Cell<u64>,
    pub(super) delivered: Cell<u64>,
    pub(super) live: Cell<usize>,
    /// Connections that broke.
    pub(super) lost: Cell<u64>,
    pub(super) users: Vec<Cell<Progress>>,
    pub(super) latencies: RefCell<Latencies>,
    pub(super) wrong: RefCell<Vec<String>>,
    pub(super) wrongs: Cell<u64>,
    /// Something happened that the end may wait for.
    pub(super) progress: Notify,
}

impl Shared {
    pub(super) fn new(users: usize) -> anyhow::Result<Self> {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_US_MAX, 3);
        Ok(Self {
            watch: Stopwatch::start(),
            phase: Cell::new(Phase::Idle),
            window: Cell::new((u64::MAX, u64::MAX)),
            acked: Cell::new(0),
            delivered: Cell::new(0),
            live: Cell::new(0),
            lost: Cell::new(0),
            users: vec![Cell::default(); users],
            latencies: RefCell::new(Latencies { ack: histogram()?, delivery: histogram()? }),
            wrong: RefCell::default(),
            wrongs: Cell::new(0),
            progress: Notify::new(),
        })
    }

    /// Notes something that must not be.
    pub(super) fn wrong(&self, what: String) {
        bump(&self.wrongs);
        let mut shown = self.wrong.borrow_mut();
        if shown.len() < WRONG_SHOWN_MAX {
            shown.push(what);
        }
    }

    /// The latency of what was due at `due`, when that counts.
    fn latency(&self, due: u64) -> Option<u64> {
        let (from, to) = self.window.get();
        (from..to).contains(&due).then(|| self.watch.micros().saturating_sub(due))
    }
}

fn bump(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

/// When a user sends.
pub(super) enum Orders {
    /// Whenever fewer than so many are unacknowledged.
    Window(usize),
    /// When it is told: the times, in microseconds, at which messages are due.
    Due(mpsc::Receiver<u64>),
}

/// One user.
pub(super) struct User {
    pub(super) shared: Rc<Shared>,
    pub(super) me: usize,
    pub(super) name: Uid,
    pub(super) partner: Uid,
    pub(super) client: Client,
    pub(super) events: Events,
    pub(super) orders: Orders,
    pub(super) bytes: usize,
    /// Ids and due times of what is not acknowledged.
    pub(super) in_flight: VecDeque<(MessageId, u64)>,
    /// Wakes users when messages begin to flow.
    pub(super) go: Rc<Notify>,
}

enum Woken {
    Event(Option<Event>),
    Due(u64),
    Go,
}

impl User {
    /// Runs until the client ends.
    pub(super) async fn run(mut self) {
        loop {
            let woken = match &mut self.orders {
                Orders::Window(_) => tokio::select! {
                    event = self.events.next() => Woken::Event(event),
                    () = self.go.notified() => Woken::Go,
                },
                Orders::Due(due) => tokio::select! {
                    event = self.events.next() => Woken::Event(event),
                    Some(due) = due.recv() => Woken::Due(due),
                },
            };
            match woken {
                Woken::Event(Some(event)) => self.event(event),
                Woken::Event(None) => return,
                Woken::Due(due) => self.send(due).await,
                Woken::Go => {}
            }
            self.fill_window().await;
        }
    }

    async fn fill_window(&mut self) {
        let Orders::Window(unacked) = self.orders else { return };
        while self.shared.phase.get() != Phase::Idle && self.in_flight.len() < unacked {
            let now = self.shared.watch.micros();
            self.send(now).await;
        }
    }

    async fn send(&mut self, due: u64) {
        let number = self.mine(|mine| {
            mine.sent += 1;
            mine.sent - 1
        });
        match self.client.send(Draft::text(self.partner.clone(), text(number, due, self.bytes))).await {
            Ok(sending) => self.in_flight.push_back((sending.message_id(), due)),
            Err(error) => self.shared.wrong(format!("{}: message {number} not taken: {error}", self.name)),
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.message(&message),
            Event::Sent(sent) => self.acked(sent),
            Event::Receipt { delivered_upto, .. } => {
                self.mine(|mine| mine.delivered_upto = mine.delivered_upto.max(delivered_upto));
            }
            Event::Refused(refused) => {
                self.in_flight.retain(|(id, _)| *id != refused.message_id);
                self.shared.wrong(format!("{}: refused with {}: {}", self.name, refused.code, refused.text));
            }
            Event::Connection(state) => self.connection(state),
            Event::ConversationsReset { .. } => self.shared.wrong(format!("{}: inbox was reset", self.name)),
            Event::ReadMoved { .. } | Event::BlockMoved { .. } | Event::Advanced { .. } => {}
            Event::Recalled(_) | Event::Edited(_) | Event::Reacted(_) | Event::Deleted(_) => {}
            Event::ConversationSet { .. } | Event::Typing { .. } => {}
        }
        if self.shared.phase.get() == Phase::Idle {
            self.shared.progress.notify_one();
        }
    }

    fn connection(&mut self, state: ConnectionState) {
        match state {
            ConnectionState::Live { .. } => self.shared.live.set(self.shared.live.get() + 1),
            ConnectionState::Waiting { .. } => bump(&self.shared.lost),
            ConnectionState::Stopped(reason) => self.shared.wrong(format!("{}: stopped: {reason:?}", self.name)),
        }
    }

    fn acked(&mut self, sent: Sent) {
        match self.in_flight.pop_front() {
            Some((id, due)) if id == sent.message_id => {
                if let Some(latency) = self.shared.latency(due) {
                    self.shared.latencies.borrow_mut().ack.saturating_record(latency);
                }
            }
            first => self.shared.wrong(format!("{}: acked {}, next is {first:?}", self.name, sent.message_id)),
        }
        bump(&self.shared.acked);
        self.mine(|mine| {
            mine.acked += 1;
            mine.last = mine.last.max(sent.seq);
        });
    }

    fn message(&mut self, message: &Message) {
        let Some((number, due)) = number_and_due(message) else {
            return self.shared.wrong(format!("{}: seq {} was sent by nobody", self.name, message.seq.get()));
        };
        let own = message.message.from == self.name.as_str();
        let expected = self.mine(|mine| {
            let count = if own { &mut mine.echoed } else { &mut mine.received };
            *count += 1;
            *count - 1
        });
        if number != expected {
            let from = &message.message.from;
            self.shared.wrong(format!("{}: message {number} of {from}, expected {expected}", self.name));
        }
        if !own {
            bump(&self.shared.delivered);
            if let Some(latency) = self.shared.latency(due) {
                self.shared.latencies.borrow_mut().delivery.saturating_record(latency);
            }
        }
    }

    fn mine<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        let mut mine = self.shared.users[self.me].get();
        let result = change(&mut mine);
        self.shared.users[self.me].set(mine);
        result
    }
}

/// `number due` and filling up to `bytes`.
fn text(number: u64, due: u64, bytes: usize) -> String {
    let mut text = format!("{number} {due} ");
    let filling = "the quick brown fox jumps over the lazy dog; ".chars().cycle();
    text.extend(filling.take(bytes.saturating_sub(text.len())));
    text
}

fn number_and_due(message: &Message) -> Option<(u64, u64)> {
    let Kind::Text(text) = message.message.content.as_ref()?.kind.as_ref()? else { return None };
    let mut words = text.text.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use tidings_client::{Config, TokenSource};
    use tidings_schema::wire;

    use super::*;

    fn message(from: &str, text: String) -> Message {
        let content = Some(wire::Content { kind: Some(Kind::Text(wire::Text { text })) });
        let message = wire::Message { from: from.into(), content, ..wire::Message::default() };
        Message { seq: Seq::new(1), time: 0, peer: "b".into(), message }
    }

    /// A user whose server nobody started; what it sees is told to it.
    fn user(shared: &Rc<Shared>) -> User {
        let (client, events) =
            Client::connect(Config::new("ws://127.0.0.1:1/v1/ws", TokenSource::fixed("x"), "d")).unwrap();
        User {
            shared: Rc::clone(shared),
            me: 0,
            name: "a".parse().unwrap(),
            partner: "b".parse().unwrap(),
            client,
            events,
            orders: Orders::Window(1),
            bytes: 40,
            in_flight: VecDeque::new(),
            go: Rc::default(),
        }
    }

    #[test]
    fn a_text_has_its_length_and_carries_its_number() {
        let text = text(17, 123_456, 128);
        assert_eq!(text.len(), 128);
        assert_eq!(number_and_due(&message("a", text)), Some((17, 123_456)));
    }

    #[tokio::test]
    async fn a_message_that_comes_twice_or_out_of_order_or_from_nobody_is_wrong() {
        let shared = Rc::new(Shared::new(2).unwrap());
        let mut user = user(&shared);
        for (number, wrongs) in [(0, 0), (1, 0), (1, 1), (3, 1), (5, 2)] {
            user.message(&message("b", text(number, 0, 40)));
            assert_eq!(shared.wrongs.get(), wrongs, "after {number}");
        }
        user.message(&message("a", text(0, 0, 40)));
        assert_eq!((shared.wrongs.get(), shared.users[0].get().echoed), (2, 1));
        user.message(&message("b", "what is this".into()));
        assert_eq!(shared.wrongs.get(), 3);
    }

    #[tokio::test]
    async fn an_ack_of_another_message_than_the_next_is_wrong() {
        let shared = Rc::new(Shared::new(2).unwrap());
        let mut user = user(&shared);
        let id = |byte| MessageId::v7(tidings_schema::id::Millis::new(1), [byte; 10]);
        user.in_flight.extend([(id(1), 0), (id(2), 0)]);
        user.acked(Sent { message_id: id(1), seq: Seq::new(1), time: 0 });
        assert_eq!(shared.wrongs.get(), 0);
        user.acked(Sent { message_id: id(3), seq: Seq::new(2), time: 0 });
        assert_eq!(shared.wrongs.get(), 1);
    }
}
