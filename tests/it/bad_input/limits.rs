//! Strangers that only take room: connections that say nothing, and more of them than there may be.

use tidings_client::raw::RawClient;
use tidings_schema::{error_code::ErrorCode, wire};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite;

use super::upgrade;
use crate::{
    operations::talk::{Form, Talk, error, is},
    server::Server,
};

/// First line of the answer to one more handshake.
async fn one_more(server: &Server) -> String {
    upgrade(&mut TcpStream::connect(server.address()).await.unwrap()).await
}

#[tokio::test]
async fn who_says_nothing_is_closed_after_ten_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let mut talk = Talk::silent(&server, Form::Protobuf).await;
    assert_eq!(talk.closed().await, 4005);
    is(&error(talk.push().await), ErrorCode::HelloTimeout);
}

#[tokio::test]
async fn strangers_cannot_take_the_room_of_users() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[("TIDINGS_LISTEN_UNAUTHENTICATED_MAX", "2")]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    let first = Talk::silent(&server, Form::Json).await;
    let _second = Talk::silent(&server, Form::Json).await;
    assert!(one_more(&server).await.contains("503"));
    assert_eq!(alice.send("alice", "still here").await.seq, 1);
    assert_eq!(server.get("/healthz").await.trim(), "ok");
    // A stranger that is let in by a token makes room for the next.
    let mut first = first;
    let token = server.token("bob").await;
    first.ask(crate::operations::talk::hello(&token, "d", None)).await;
    assert!(one_more(&server).await.contains("101"));
}

#[tokio::test]
async fn above_the_limit_of_connections_the_handshake_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[("TIDINGS_LISTEN_CONNECTIONS_MAX", "2")]).await;
    let (_alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    let (mut bob, _) = Talk::hello(&server, Form::Json, "bob", "d").await;
    let refused = RawClient::connect(&server.url(), None).await.unwrap_err();
    let tungstenite::Error::Http(response) = *refused else { panic!("{refused:?}") };
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(bob.send("alice", "hi").await.seq, 1);
}

#[tokio::test]
async fn a_subprotocol_decides_the_encoding() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let unknown = RawClient::connect(&server.url(), Some("chat.v9")).await.unwrap_err();
    assert!(matches!(&*unknown, tungstenite::Error::Http(response) if response.status() == 400), "{unknown:?}");
    for (name, form, other) in
        [("tidings.v1.json", Form::Json, Form::Protobuf), ("tidings.v1.proto", Form::Protobuf, Form::Json)]
    {
        let mut talk = Talk::with_subprotocol(&server, name, form).await;
        let token = server.token("alice").await;
        let welcome = talk.ask(crate::operations::talk::hello(&token, "d", None)).await;
        assert!(matches!(welcome, wire::server_frame::Body::Welcome(_)), "{name}");
        let mut talk = Talk::with_subprotocol(&server, name, other).await;
        talk.put(crate::operations::talk::send("bob", "hi")).await;
        assert_eq!(talk.closed().await, 1007);
        is(&error(talk.push().await), ErrorCode::BadFrame);
    }
}
