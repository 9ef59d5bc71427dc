//! The driver over a real WebSocket on loopback, against a server that a test plays frame by frame.

#![allow(clippy::unwrap_used, reason = "a test; a failure is the message")]

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use tidings_client::{
    Client, Config, Events, Outcome, TokenSource,
    core::{ConnectionState, Draft, Event, StopReason},
    queue::FileQueue,
};
use tidings_schema::{
    id::Uid,
    wire::{self, client_frame::Op, server_frame::Body},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_async,
    tungstenite::{Message, protocol::CloseFrame},
};

struct Server {
    listener: TcpListener,
}

struct Peer(WebSocketStream<TcpStream>);

impl Server {
    async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn config(&self) -> Config {
        let url = format!("ws://{}/v1/ws", self.listener.local_addr().unwrap());
        Config::new(url, TokenSource::fixed("token"), "d1")
    }

    /// Accepts the next connection and welcomes it.
    async fn welcome(&self) -> Peer {
        self.greet("token").await
    }

    /// Accepts the next connection, which brings this token, and welcomes it.
    async fn greet(&self, token: &str) -> Peer {
        let mut peer = Peer(accept_async(self.listener.accept().await.unwrap().0).await.unwrap());
        let (re, op) = peer.read().await;
        assert!(matches!(op, Op::Hello(hello) if hello.token == token));
        peer.write(re, Body::Welcome(wire::Welcome { uid: "me".into(), ..wire::Welcome::default() })).await;
        peer
    }
}

impl Peer {
    /// The next frame that is no ping.
    async fn read(&mut self) -> (u64, Op) {
        loop {
            let Message::Binary(bytes) = self.0.next().await.unwrap().unwrap() else { continue };
            let frame = wire::ClientFrame::decode(bytes).unwrap();
            match frame.op.unwrap() {
                Op::Ping(_) => {}
                op => return (frame.id, op),
            }
        }
    }

    async fn read_send(&mut self) -> (u64, wire::Send) {
        loop {
            if let (id, Op::Send(send)) = self.read().await {
                return (id, send);
            }
        }
    }

    async fn write(&mut self, re: u64, body: Body) {
        let frame = wire::ServerFrame { re, body: Some(body) };
        self.0.send(Message::Binary(frame.encode_to_vec().into())).await.unwrap();
    }
}

fn bob() -> Uid {
    "bob".parse().unwrap()
}

fn ack(send: &wire::Send) -> Body {
    Body::SendAck(wire::SendAck { message_id: send.message_id.clone(), seq: 1, time: 9, duplicate: false })
}

async fn stopped(events: &mut Events) -> StopReason {
    loop {
        if let Event::Connection(ConnectionState::Stopped(reason)) = events.next().await.unwrap() {
            return reason;
        }
    }
}

#[tokio::test]
async fn a_message_without_an_ack_is_sent_again_on_the_next_connection_under_the_same_id() {
    let server = Server::new().await;
    let (client, _events) = Client::connect(server.config()).unwrap();
    let mut peer = server.welcome().await;
    let sending = client.send(Draft::text(bob(), "hi")).await.unwrap();
    let (_, first) = peer.read_send().await;
    assert!(!first.retry);
    drop(peer);
    let mut peer = server.welcome().await;
    let (re, second) = peer.read_send().await;
    assert!(second.retry);
    assert_eq!(second.message_id, first.message_id);
    peer.write(re, ack(&second)).await;
    assert!(matches!(sending.outcome().await, Outcome::Sent(sent) if sent.seq.get() == 1 && sent.time == 9));
}

#[tokio::test]
async fn a_message_survives_the_death_of_the_client_in_the_file_queue() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::new().await;
    let mut config = server.config();
    config.queue = Box::new(FileQueue::open(home.path()).unwrap());
    let (client, _events) = Client::connect(config).unwrap();
    let _peer = server.welcome().await;
    let sending = client.send(Draft::text(bob(), "hi")).await.unwrap();
    let id = sending.message_id().to_string();
    client.close().await;
    assert_eq!(sending.outcome().await, Outcome::Ended);
    let mut config = server.config();
    config.queue = Box::new(FileQueue::open(home.path()).unwrap());
    let (_client, _events) = Client::connect(config).unwrap();
    let mut peer = server.welcome().await;
    let (_, send) = peer.read_send().await;
    assert_eq!((send.message_id, send.retry), (id, true));
}

#[tokio::test]
async fn entries_arrive_in_order_and_are_acknowledged_when_taken() {
    let server = Server::new().await;
    let (_client, mut events) = Client::connect(server.config()).unwrap();
    let mut peer = server.welcome().await;
    let entry = |seq| wire::Entry { seq, time: seq, body: None };
    let entries = wire::Entries { entries: vec![entry(1), entry(2), entry(2)], ..wire::Entries::default() };
    peer.write(0, Body::Entries(entries)).await;
    let mut seqs = Vec::new();
    while seqs.len() < 2 {
        seqs.extend(events.next().await.unwrap().seq().map(|seq| seq.get()));
    }
    assert_eq!(seqs, [1, 2]);
    let acked = async {
        loop {
            if let (_, Op::Ack(ack)) = peer.read().await
                && ack.inbox == 2
            {
                return;
            }
        }
    };
    // Asking for more says that both are applied.
    tokio::select! {
        more = events.next() => panic!("nothing twice: {more:?}"),
        () = acked => {}
    }
}

#[tokio::test]
async fn a_replaced_device_and_a_refused_token_do_not_come_back_by_themselves() {
    let server = Server::new().await;
    let (_client, mut events) = Client::connect(server.config()).unwrap();
    let mut peer = server.welcome().await;
    let close = CloseFrame { code: 4001.into(), reason: "replaced".into() };
    peer.0.send(Message::Close(Some(close))).await.unwrap();
    assert_eq!(stopped(&mut events).await, StopReason::Replaced);

    let (_client, mut events) = Client::connect(server.config()).unwrap();
    let mut peer = Peer(accept_async(server.listener.accept().await.unwrap().0).await.unwrap());
    let (re, _) = peer.read().await;
    let error = wire::Error { code: 2001, text: "bad token".into(), retry_after_ms: 0 };
    peer.write(re, Body::Error(error)).await;
    assert_eq!(stopped(&mut events).await, StopReason::Unauthorized("bad token".into()));
}

#[tokio::test]
async fn a_definite_refusal_is_told_and_what_follows_still_goes_out() {
    let server = Server::new().await;
    let (client, _events) = Client::connect(server.config()).unwrap();
    let mut peer = server.welcome().await;
    let first = client.send(Draft::text(bob(), "one")).await.unwrap();
    let second = client.send(Draft::text(bob(), "two")).await.unwrap();
    let (re, _) = peer.read_send().await;
    peer.write(re, Body::Error(wire::Error { code: 3002, text: "blocked".into(), retry_after_ms: 0 })).await;
    let (re, send) = peer.read_send().await;
    peer.write(re, ack(&send)).await;
    assert!(matches!(first.outcome().await, Outcome::Refused(refused) if refused.code == 3002));
    assert!(matches!(second.outcome().await, Outcome::Sent(_)));
}

/// A source that numbers its tokens.
fn numbered() -> TokenSource {
    let next = AtomicU32::new(1);
    TokenSource::new(move || std::future::ready(Ok(format!("token {}", next.fetch_add(1, Ordering::Relaxed)))))
}

fn sign_in(reconnect_after_ms: u64) -> Body {
    Body::GoAway(wire::GoAway { reason: wire::GoAwayReason::SignIn.into(), reconnect_after_ms })
}

#[tokio::test]
async fn a_token_that_ends_is_replaced_on_the_live_connection() {
    let server = Server::new().await;
    let (client, _events) = Client::connect(Config { token: numbered(), ..server.config() }).unwrap();
    let mut peer = server.greet("token 1").await;
    peer.write(0, sign_in(100)).await;
    let (re, op) = peer.read().await;
    assert!(matches!(op, Op::Refresh(refresh) if refresh.token == "token 2"));
    peer.write(re, Body::Ok(wire::Ok::default())).await;
    let sending = client.send(Draft::text(bob(), "still here")).await.unwrap();
    let (re, send) = peer.read_send().await;
    peer.write(re, ack(&send)).await;
    assert!(matches!(sending.outcome().await, Outcome::Sent(_)));
}

#[tokio::test]
async fn who_is_signed_out_comes_back_with_another_token_once_and_then_stops() {
    let server = Server::new().await;
    let (_client, mut events) = Client::connect(Config { token: numbered(), ..server.config() }).unwrap();
    let mut peer = server.greet("token 1").await;
    peer.write(0, sign_in(0)).await;
    let mut peer = server.greet("token 2").await;
    peer.write(0, sign_in(0)).await;
    let mut peer = Peer(accept_async(server.listener.accept().await.unwrap().0).await.unwrap());
    let (re, op) = peer.read().await;
    assert!(matches!(op, Op::Hello(hello) if hello.token == "token 3"));
    let error = wire::Error { code: 2004, text: "sign in again".into(), retry_after_ms: 0 };
    peer.write(re, Body::Error(error)).await;
    assert_eq!(stopped(&mut events).await, StopReason::Unauthorized("sign in again".into()));
}
