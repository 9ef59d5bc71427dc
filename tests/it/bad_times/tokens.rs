//! Tokens that end, are replaced or revoked while their connection lives.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use prost::Message as _;
use serde_json::json;
use tidings_schema::{
    error_code::ErrorCode,
    json as wire_json,
    wire::{self, GoAwayReason, client_frame::Op, server_frame::Body},
};

use crate::{
    bad_input::ws_frame,
    chat_cli::{last_line, tidings},
    operations::talk::{FORMS, Form, Talk, error, hello, is, ok, send},
    server::Server,
};

/// What a token says besides its user.
fn signed(server: &Server, payload: &serde_json::Value) -> String {
    let key = std::fs::read(server.data().join("dev.key")).unwrap();
    let key = EncodingKey::from_secret(key.trim_ascii());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), payload, &key).unwrap()
}

/// Seconds since the epoch, as the server says.
async fn now(server: &Server) -> u64 {
    let (mut talk, _) = Talk::hello(server, Form::Json, "clock", "d").await;
    talk.settle().await.time / 1_000
}

fn refresh(token: &str) -> Op {
    Op::Refresh(wire::Refresh { token: token.into() })
}

async fn told_to_sign_in(talk: &mut Talk) -> u64 {
    let Body::GoAway(go_away) = talk.push().await else { panic!("no good-bye") };
    assert_eq!(go_away.reason(), GoAwayReason::SignIn);
    go_away.reconnect_after_ms
}

async fn welcomed(server: &Server, form: Form, token: &str, device: &str) -> Talk {
    let mut talk = Talk::silent(server, form).await;
    assert!(matches!(talk.ask(hello(token, device, None)).await, Body::Welcome(_)), "{device}");
    talk
}

async fn turned_away(server: &Server, token: &str, device: &str) {
    let mut talk = Talk::silent(server, Form::Json).await;
    is(&talk.refused(hello(token, device, None)).await, ErrorCode::TokenRevoked);
    assert_eq!(talk.closed().await, 4004);
}

#[tokio::test]
async fn a_token_is_replaced_before_it_ends_and_who_does_not_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let now = now(&server).await;
        let short = signed(&server, &json!({"sub": "alice", "iat": now, "exp": now + 10}));
        let mut clever = welcomed(&server, form, &short, "clever").await;
        let mut idle = welcomed(&server, form, &short, "idle").await;
        assert!(told_to_sign_in(&mut clever).await > 0);
        assert!(told_to_sign_in(&mut idle).await > 0);
        let (bob, other) = (json!({"sub": "bob"}), json!({"sub": "alice", "dev": "other"}));
        for mut wrong in [bob, other] {
            (wrong["iat"], wrong["exp"]) = (json!(now), json!(now + 60));
            is(&clever.refused(refresh(&signed(&server, &wrong))).await, ErrorCode::BadToken);
        }
        is(&clever.refused(refresh("garbage")).await, ErrorCode::BadToken);
        let long = signed(&server, &json!({"sub": "alice", "iat": now, "exp": now + 600, "dev": "clever"}));
        assert_eq!(ok(clever.ask(refresh(&long)).await), 0);
        is(&error(idle.push().await), ErrorCode::TokenExpired);
        assert_eq!(idle.closed().await, 4004);
        // The same token would have ended here too.
        clever.settle().await;
    }
    assert_eq!(server.labelled("tidings_connections_closed_total{reason=\"unauthorized\"}").await, 2.0);
    assert!(!server.log().contains("eyJ"), "no token in the log");
}

async fn revoke(server: &Server, args: &[&str]) -> String {
    let admin = server.admin().to_string();
    last_line(&tidings([&["revoke"], args, &["--admin", &admin]].concat()).await)
}

#[tokio::test]
async fn who_is_signed_out_by_the_operator_is_out_on_every_connection_and_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let old = server.token("alice").await;
    let mut phone = welcomed(&server, Form::Protobuf, &old, "phone").await;
    let mut laptop = welcomed(&server, Form::Json, &old, "laptop").await;
    let said = revoke(&server, &["alice", "--device", "phone"]).await;
    assert!(said.contains("phone of alice is signed out"), "{said}");
    assert_eq!(told_to_sign_in(&mut phone).await, 0);
    assert_eq!(phone.closed().await, 4004);
    turned_away(&server, &old, "phone").await;
    assert_eq!(laptop.send("alice", "not me").await.seq, 1);

    assert!(revoke(&server, &["alice"]).await.contains("alice is signed out"));
    assert_eq!(told_to_sign_in(&mut laptop).await, 0);
    assert_eq!(laptop.closed().await, 4004);
    assert_eq!(server.metric("tidings_revocations_total").await, 2.0);
    assert!(server.log().contains("signed out, older tokens are refused"));
    server.kill().await;
    server.restart().await;

    turned_away(&server, &old, "laptop").await;
    turned_away(&server, &old, "tablet").await;
    let unsaid = now(&server).await + 600;
    let without_iat = signed(&server, &json!({"sub": "alice", "exp": unsaid}));
    turned_away(&server, &without_iat, "laptop").await;
    assert!(server.labelled("tidings_ops_refused_total{code=\"2004\"}").await >= 3.0);
    let mut phone = welcomed(&server, Form::Protobuf, &server.token("alice").await, "phone").await;
    assert_eq!(phone.send("alice", "me again").await.seq, 2);
    welcomed(&server, Form::Json, &server.token("bob").await, "d").await;
}

#[tokio::test]
async fn only_an_operator_signs_users_out() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    // What a page in an operator's browser could send, and the same to the clients' listener.
    for (address, header) in [(server.admin(), "origin: http://evil"), (server.address(), "x-tidings-operator: 1")] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("POST /revoke/alice HTTP/1.0\r\n{header}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(" 404 "), "{answer}");
    }
    alice.settle().await;
    assert_eq!(server.metric("tidings_revocations_total").await, 0.0);
}

/// An operation as the bytes of its frame.
fn framed(form: Form, id: u64, op: Op) -> Vec<u8> {
    let frame = wire::ClientFrame { id, op: Some(op) };
    match form {
        Form::Json => ws_frame(1, wire_json::encode_client(&frame).as_bytes()),
        Form::Protobuf => ws_frame(2, &frame.encode_to_vec()),
    }
}

#[tokio::test]
async fn nothing_that_rides_behind_a_refused_hello_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let uid = format!("alice-{form:?}");
        let old = server.token(&uid).await;
        revoke(&server, &[&uid]).await;
        let mut thief = Talk::silent(&server, form).await;
        // In one write: the refusal cannot come between them.
        let ops = [hello(&old, "thief", None), send("bob", "stolen"), Op::Block(wire::Block { uid: "carol".into() })];
        let all: Vec<u8> = ops.into_iter().zip(1..).flat_map(|(op, id)| framed(form, id, op)).collect();
        thief.write_bytes(&all).await.unwrap();
        is(&error(thief.answer(1).await), ErrorCode::TokenRevoked);
        assert_eq!(thief.closed().await, 4004);
        let (mut bob, _) = Talk::hello(&server, form, "bob", "d").await;
        assert_eq!(bob.sync(0, 10).await.head, 0, "nothing reached bob");
    }
}
