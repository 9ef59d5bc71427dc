//! A server that is asked to stop: nobody new is taken, clients get their answers and a time to come back, nothing acked
//! is lost, and the next start finds everything clean.

use std::collections::BTreeMap;

use tidings_client::{
    Client, Outcome,
    core::{Draft, Event},
};
use tidings_schema::{
    id::{MessageId, Uid},
    wire::{Entry, GoAwayReason, Resume, entry, server_frame::Body},
};
use tokio::{net::TcpStream, sync::mpsc, task::JoinSet};

use crate::{
    bad_input::upgrade,
    operations::talk::{FORMS, Form, Talk, words},
    server::Server,
};

const USERS: usize = 4;
const STOPS: usize = 3;
/// Acks between a start and the stop after it.
const ACKS_PER_LIFE: usize = 150;
const FAST: [(&str, &str); 2] =
    [("TIDINGS_LIMITS_USER_SENDS_PER_S", "100000"), ("TIDINGS_LIMITS_CONNECTION_FRAMES_PER_S", "100000")];

/// A message, its place, and what it says.
type Acked = (MessageId, u64, String);

fn uid(number: usize) -> String {
    format!("u{}", number % USERS)
}

/// Sends to the next user until nobody counts any more; what was acked, in order.
async fn send_on(client: Client, to: Uid, acked: mpsc::Sender<()>) -> Vec<Acked> {
    let mut sent = Vec::new();
    for number in 0.. {
        let text = format!("message {number}");
        let sending = client.send(Draft::text(to.clone(), text.clone())).await.unwrap();
        let id = sending.message_id();
        let Outcome::Sent(at) = sending.outcome().await else { panic!("{id} was not sent") };
        sent.push((id, at.seq.get(), text));
        if acked.send(()).await.is_err() {
            break;
        }
    }
    sent
}

#[tokio::test]
async fn a_stop_under_load_loses_nothing_and_clients_come_back_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &FAST).await;
    let (count, mut counted) = mpsc::channel(1);
    let (mut senders, mut listeners) = (JoinSet::new(), JoinSet::new());
    for number in 0..USERS {
        let (client, mut events) = Client::connect(server.client_config(&uid(number), "app").await).unwrap();
        // Events are taken, else the client stops reading.
        listeners.spawn(async move {
            let mut heard = 0_u64;
            while let Some(event) = events.next().await {
                heard += u64::from(matches!(event, Event::Message(_)));
            }
            heard
        });
        let (to, count) = (uid(number + 1).parse().unwrap(), count.clone());
        senders.spawn(async move { (number, send_on(client, to, count).await) });
    }
    drop(count);
    for stop in 1..=STOPS {
        for _ in 0..ACKS_PER_LIFE {
            counted.recv().await.expect("clients come back by themselves");
        }
        assert!(server.terminate().await.success());
        let log = server.log();
        assert_eq!(log.matches("clients have gone and mailboxes are written").count(), stop, "{log}");
        server.restart().await;
    }
    counted.recv().await.expect("clients come back by themselves");
    drop(counted);
    while let Some(sender) = senders.join_next().await {
        let (number, sent) = sender.unwrap();
        let (me, last) = (uid(number), &sent.last().expect("something was acked").2);
        assert_eq!(sent, of_user(&inbox(&server, number, &me, last).await, &me), "own inbox");
        let arrived = of_user(&inbox(&server, number + 1, &me, last).await, &me);
        let texts = |sent: &[Acked]| sent.iter().map(|(id, _, text)| (*id, text.clone())).collect::<Vec<_>>();
        assert_eq!(texts(&arrived), texts(&sent), "the recipient's inbox");
    }
    assert!(!server.log().contains("may owe something"), "a start after a stop finds everything clean");
    while let Some(heard) = listeners.join_next().await {
        assert!(heard.unwrap() > 0);
    }
}

/// Every entry of a user's inbox by seq, up to the last of what `from` sent.
async fn inbox(server: &Server, number: usize, from: &str, last: &str) -> BTreeMap<u64, entry::Body> {
    let everything = Some(Resume { inbox: Some(0), ..Resume::default() });
    let (mut talk, _) = Talk::resume(server, Form::Protobuf, &uid(number), "auditor", everything).await;
    let mut all = BTreeMap::new();
    loop {
        let entry = talk.entry().await;
        assert_eq!(entry.seq, all.len() as u64 + 1, "no hole");
        talk.ack(entry.seq).await;
        let is_last = words(&entry).as_deref() == Some(last) && is_from(entry.body.as_ref(), from);
        all.extend(entry.body.map(|body| (entry.seq, body)));
        if is_last {
            return all;
        }
    }
}

fn is_from(body: Option<&entry::Body>, from: &str) -> bool {
    matches!(body, Some(entry::Body::Message(message)) if message.from == from)
}

/// Messages from one user, in order of the inbox they stand in.
fn of_user(inbox: &BTreeMap<u64, entry::Body>, from: &str) -> Vec<Acked> {
    let messages = inbox.iter().filter_map(|(&seq, body)| {
        let entry = Entry { seq, time: 0, body: Some(body.clone()) };
        let entry::Body::Message(message) = body else { return None };
        (message.from == from).then(|| (message.message_id.parse().unwrap(), seq, words(&entry).unwrap()))
    });
    messages.collect()
}

async fn sent_away(talk: &mut Talk) -> u64 {
    let Body::GoAway(go_away) = talk.push().await else { panic!("no good-bye") };
    assert_eq!(go_away.reason(), GoAwayReason::Drain);
    go_away.reconnect_after_ms
}

#[tokio::test]
async fn a_stopping_server_says_so_to_clients_to_balancers_and_to_whoever_comes() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let mut talks = Vec::new();
    for form in FORMS {
        talks.push(Talk::hello(&server, form, "alice", &format!("{form:?}")).await.0);
    }
    // Holds the stop up: it neither reads nor says good-bye.
    let (_holder, _) = Talk::hello(&server, Form::Json, "bob", "d").await;
    let mut late = TcpStream::connect(server.address()).await.unwrap();
    server.ask_to_stop();
    for talk in &mut talks {
        let reconnect_after_ms = sent_away(talk).await;
        assert!((1_000..2_000).contains(&reconnect_after_ms), "{reconnect_after_ms}");
    }
    assert!(upgrade(&mut late).await.contains("503"));
    assert_eq!(server.get("/readyz").await.trim(), "not ready: stopping");
    assert!(server.labelled("tidings_connections_refused_total{why=\"the node stops\"}").await > 0.0);
    for talk in &mut talks {
        assert_eq!(talk.closed().await, 1001);
    }
    assert!(server.ended().await.success());
    assert!(server.log().contains("clients are sent away"));
}

#[tokio::test]
async fn asked_twice_it_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    assert_eq!(alice.send("alice", "kept").await.seq, 1);
    // Holds the stop up.
    let (_holder, _) = Talk::hello(&server, Form::Json, "bob", "d").await;
    server.ask_to_stop();
    sent_away(&mut alice).await;
    server.ask_to_stop();
    assert!(server.ended().await.success());
    assert!(server.log().contains("asked twice"), "{}", server.log());
    server.restart().await;
    let (mut alice, welcome) = Talk::hello(&server, Form::Json, "alice", "d").await;
    assert_eq!(welcome.inbox_head, 1);
    assert_eq!(words(&alice.sync(0, 1).await.entries[0]).as_deref(), Some("kept"));
}
