//! Single crashes, each the smallest that could break a promise.

use tidings_schema::{
    error_code::ErrorCode,
    wire::{self, client_frame::Op, server_frame::Body},
};

use super::{
    SETTINGS,
    raw::{RawDevice, fresh_id, text_send},
};
use crate::{
    checker::{self, Fate, History, Rule, Sending, User, What},
    server::Server,
};

/// A server and the few who use it, one raw device each.
pub struct Scene {
    pub server: Server,
    pub history: History,
    _dir: tempfile::TempDir,
}

impl Scene {
    /// `broken` names mutants and faults, separated by commas.
    pub async fn new(broken: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = SETTINGS.to_vec();
        settings.push(("TIDINGS_MUTANT", broken));
        let server = Server::start(dir.path(), &settings).await;
        let history = History { cursor_flush_ms: super::CURSOR_FLUSH_MS, ..History::default() };
        Self { server, history, _dir: dir }
    }

    /// A device that leaves its place to the server.
    pub async fn device(&self, uid: &str, device: &str) -> RawDevice {
        self.resumed(uid, device, None).await
    }

    pub async fn resumed(&self, uid: &str, device: &str, resume: Option<wire::Resume>) -> RawDevice {
        let token = self.server.token(uid).await;
        RawDevice::connect(&self.server.url(), &token, device, resume).await.unwrap()
    }

    /// `kill -9`, then a start with other mutants and faults.
    pub async fn kill(&mut self, broken: &str) {
        self.server.kill().await;
        self.server.set("TIDINGS_MUTANT", Some(broken));
        self.server.restart().await;
    }

    /// Writes down that `from` hands over a message to `to`.
    pub fn note(&mut self, id: &str, from: &str, to: &str, fate: Fate) {
        let (id, from, to) = (id.to_owned(), from.to_owned(), to.to_owned());
        let text = format!("text of {id}");
        self.history.sendings.push(Sending { id, from, device: "raw".into(), to, text, fate });
    }

    /// Sends and waits for the ack; the seq.
    pub async fn send(&mut self, by: &mut RawDevice, to: &str) -> u64 {
        let id = fresh_id();
        self.send_again(by, &id, to, Retry::No).await
    }

    /// Sends under this id, and writes down what it was acked with the first time.
    pub async fn send_again(&mut self, by: &mut RawDevice, id: &str, to: &str, retry: Retry) -> u64 {
        let from = by.welcome.uid.clone();
        let answer = by.ask(text_send(id, to, &format!("text of {id}"), retry == Retry::Yes)).await.unwrap();
        let Body::SendAck(ack) = answer else { panic!("not acked: {answer:?}") };
        if !self.history.sendings.iter().any(|known| known.id == id) {
            self.note(id, &from, to, Fate::Acked(ack.seq));
        }
        ack.seq
    }

    /// What everybody has, judged.
    pub async fn judge(mut self, users: &[&str]) -> Vec<Rule> {
        for uid in users {
            let user = self.device(uid, "auditor").await.audit().await.unwrap();
            self.history.users.insert((*uid).to_owned(), user);
        }
        let violations = checker::check(&self.history);
        let mut rules: Vec<Rule> = violations.iter().map(|violation| violation.rule).collect();
        println!("{violations:#?}");
        rules.dedup();
        rules
    }

    /// Waits until the server's clock has moved on, by asking it to keep messages of an otherwise silent user.
    pub async fn pass_time(&self, ms: u64) {
        let mut clock = self.device("clock", "raw").await;
        let begin = clock.welcome.server_time;
        let mut now = begin;
        while now < begin + ms {
            let id = fresh_id();
            let answer = clock.ask(text_send(&id, "clock", "tick", false)).await.unwrap();
            let Body::SendAck(ack) = answer else { panic!("not acked: {answer:?}") };
            now = ack.time;
        }
    }
}

/// Whether a send says that it is a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Yes,
    No,
}

/// The next message pushed to a device.
async fn next_message(device: &mut RawDevice) -> wire::Message {
    loop {
        for entry in device.push().await.unwrap().entries {
            if let Some(wire::entry::Body::Message(message)) = entry.body {
                return message;
            }
        }
    }
}

fn messages(user: &User) -> Vec<&str> {
    let ids = user.inbox.iter().filter_map(|kept| match &kept.entry.what {
        What::Message { id, .. } => Some(id.as_str()),
        _ => None,
    });
    ids.collect()
}

const FROM_THE_START: Option<wire::Resume> = Some(wire::Resume { inbox: Some(0), log_id: bytes::Bytes::new() });

#[tokio::test]
async fn what_only_the_sender_had_at_the_kill_arrives_although_the_sender_never_returns() {
    let mut scene = Scene::new("drop_deliver").await;
    let mut alice = scene.device("alice", "raw").await;
    scene.send(&mut alice, "bob").await;
    drop(alice);
    scene.kill("").await;
    let mut bob = scene.resumed("bob", "phone", FROM_THE_START).await;
    // `push` waits for 30 seconds, which is the promise.
    let message = next_message(&mut bob).await;
    assert_eq!(message.message_id, scene.history.sendings[0].id);
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

#[tokio::test]
async fn a_later_delivery_that_arrives_before_the_first_one_is_put_in_order() {
    let mut scene = Scene::new("drop_first_deliver").await;
    let mut alice = scene.device("alice", "raw").await;
    let mut bob = scene.device("bob", "phone").await;
    let first = fresh_id();
    // The first delivery is lost; the second message goes out while the first is still unaccepted.
    scene.send_again(&mut alice, &first, "bob", Retry::No).await;
    scene.send(&mut alice, "bob").await;
    assert_eq!(next_message(&mut bob).await.message_id, first);
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

#[tokio::test]
async fn a_device_replaced_while_it_catches_up_misses_nothing() {
    let mut scene = Scene::new("").await;
    let mut alice = scene.device("alice", "raw").await;
    let sent = 700;
    for _ in 0..sent {
        scene.send(&mut alice, "bob").await;
    }
    // More than one ack window: the first connection is in the middle of it when the second one takes its place.
    let mut old = scene.resumed("bob", "phone", FROM_THE_START).await;
    let got = old.push().await.unwrap().entries;
    let last = got.last().unwrap().seq;
    let log_id = old.welcome.log_id.clone();
    let mut new = scene.resumed("bob", "phone", Some(wire::Resume { inbox: Some(last), log_id })).await;
    // An ack of the old connection counts for nothing, and must not disturb the new one.
    let _gone = old.say(Op::Ack(wire::Ack { inbox: last })).await;
    let mut next = last + 1;
    while next <= sent {
        let entries = new.push().await.unwrap();
        for entry in entries.entries.iter().filter(|_| !entries.redelivery) {
            assert_eq!(entry.seq, next);
            next += 1;
        }
        new.say(Op::Ack(wire::Ack { inbox: next - 1 })).await.unwrap();
    }
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

#[tokio::test]
async fn a_place_above_the_head_or_of_another_log_is_reset() {
    let mut scene = Scene::new("").await;
    let mut alice = scene.device("alice", "raw").await;
    let seq = scene.send(&mut alice, "alice").await;
    let log_id = scene.device("alice", "other").await.welcome.log_id;
    for (inbox, log_id) in [(seq + 5, log_id.clone()), (seq, bytes::Bytes::from_static(&[7; 16]))] {
        let resume = wire::Resume { inbox: Some(inbox), log_id };
        let welcome = scene.resumed("alice", "lost", Some(resume)).await.welcome;
        assert_eq!(welcome.reset, Some(wire::Reset { floor: 1, as_of: seq }));
        assert_eq!((welcome.resume_after, welcome.inbox_head), (seq, seq));
    }
    let known = scene.resumed("alice", "known", Some(wire::Resume { inbox: Some(seq), log_id })).await.welcome;
    assert_eq!(known.reset, None);
    assert_eq!(scene.judge(&["alice"]).await, []);
}

#[tokio::test]
async fn what_was_blocked_never_shows_although_the_server_was_killed_before_the_unblock() {
    let mut scene = Scene::new("").await;
    let mut alice = scene.device("alice", "raw").await;
    let mut bob = scene.device("bob", "raw").await;
    scene.send(&mut alice, "bob").await;
    next_message(&mut bob).await;
    let blocked = bob.ask(Op::Block(wire::Block { uid: "alice".into() })).await.unwrap();
    assert!(matches!(blocked, Body::Ok(wire::Ok { seq: 2.. })), "{blocked:?}");
    for _ in 0..5 {
        scene.send(&mut alice, "bob").await;
    }
    scene.kill("").await;
    let mut bob = scene.device("bob", "raw").await;
    let unblocked = bob.ask(Op::Unblock(wire::Unblock { uid: "alice".into() })).await.unwrap();
    assert!(matches!(unblocked, Body::Ok(_)), "{unblocked:?}");
    let mut alice = scene.device("alice", "raw").await;
    let after = fresh_id();
    scene.send_again(&mut alice, &after, "bob", Retry::No).await;
    assert_eq!(next_message_named(&mut bob, &after).await.message_id, after);
    let first = scene.history.sendings[0].id.clone();
    let kept = scene.device("bob", "auditor").await.audit().await.unwrap();
    assert_eq!(messages(&kept), [first.as_str(), after.as_str()]);
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

/// Skips what was pushed before.
async fn next_message_named(device: &mut RawDevice, id: &str) -> wire::Message {
    loop {
        let message = next_message(device).await;
        if message.message_id == id {
            return message;
        }
    }
}

/// Hands a message over, kills the server before it answers, and returns who is back and the id.
async fn in_flight_at_the_kill(scene: &mut Scene) -> (RawDevice, String) {
    let mut alice = scene.device("alice", "raw").await;
    let id = fresh_id();
    alice.start(text_send(&id, "bob", &format!("text of {id}"), false)).await.unwrap();
    // A ping behind it: its pong says that the send has been taken in, while the store is still slow.
    let pong = alice.ask(Op::Ping(wire::Ping { interval_ms: 60_000 })).await.unwrap();
    assert!(matches!(pong, Body::Pong(_)), "{pong:?}");
    scene.kill("").await;
    (scene.device("alice", "raw").await, id)
}

#[tokio::test]
async fn a_send_in_flight_at_the_kill_may_be_repeated_and_is_there_once() {
    for retry in [Retry::No, Retry::Yes] {
        let mut scene = Scene::new("slow_store").await;
        let (mut alice, id) = in_flight_at_the_kill(&mut scene).await;
        let first = scene.send_again(&mut alice, &id, "bob", retry).await;
        assert_eq!(scene.send_again(&mut alice, &id, "bob", Retry::Yes).await, first);
        let mut bob = scene.resumed("bob", "phone", FROM_THE_START).await;
        assert_eq!(next_message(&mut bob).await.message_id, id);
        assert_eq!(scene.judge(&["alice", "bob"]).await, []);
    }
}

#[tokio::test]
async fn a_send_in_flight_at_the_kill_may_be_repeated_although_its_sender_is_blocked_meanwhile() {
    for retry in [Retry::No, Retry::Yes] {
        let mut scene = Scene::new("slow_store").await;
        let (mut alice, id) = in_flight_at_the_kill(&mut scene).await;
        let mut bob = scene.device("bob", "phone").await;
        bob.ask(Op::Block(wire::Block { uid: "alice".into() })).await.unwrap();
        let first = scene.send_again(&mut alice, &id, "bob", retry).await;
        assert_eq!(scene.send_again(&mut alice, &id, "bob", Retry::Yes).await, first);
        assert_eq!(scene.judge(&["alice", "bob"]).await, []);
    }
}

#[tokio::test]
async fn an_acked_send_may_be_repeated_after_its_sender_was_blocked() {
    let mut scene = Scene::new("").await;
    let mut alice = scene.device("alice", "raw").await;
    let mut bob = scene.device("bob", "raw").await;
    let id = fresh_id();
    let first = scene.send_again(&mut alice, &id, "bob", Retry::No).await;
    next_message(&mut bob).await;
    bob.ask(Op::Block(wire::Block { uid: "alice".into() })).await.unwrap();
    alice.ask(Op::Block(wire::Block { uid: "bob".into() })).await.unwrap();
    scene.kill("").await;
    let mut alice = scene.device("alice", "raw").await;
    for retry in [Retry::No, Retry::Yes] {
        assert_eq!(scene.send_again(&mut alice, &id, "bob", retry).await, first);
    }
    let answer = alice.ask(text_send(&id, "bob", "another text", true)).await.unwrap();
    let Body::Error(error) = answer else { panic!("{answer:?}") };
    assert_eq!(error.code, ErrorCode::MessageIdConflict.number());
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

#[tokio::test]
async fn a_device_without_a_place_goes_on_where_it_acknowledged_also_after_a_kill() {
    let mut scene = Scene::new("").await;
    let mut alice = scene.device("alice", "raw").await;
    let device = scene.device("alice", "phone").await;
    assert_eq!(device.welcome.resume_after, 0);
    drop(device);
    for _ in 0..10 {
        scene.send(&mut alice, "alice").await;
    }
    let mut device = scene.device("alice", "phone").await;
    let mut got = 0;
    while got < 10 {
        got += device.push().await.unwrap().entries.len();
    }
    device.say(Op::Ack(wire::Ack { inbox: 4 })).await.unwrap();
    scene.pass_time(super::CURSOR_FLUSH_MS + 2_000).await;
    scene.kill("").await;
    assert_eq!(scene.device("alice", "phone").await.welcome.resume_after, 4);
    assert_eq!(scene.judge(&["alice"]).await, []);
}
