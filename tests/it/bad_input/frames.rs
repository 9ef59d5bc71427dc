//! Frames that are none, too large, or come when they may not.

use tidings_client::raw::Came;
use tidings_schema::{
    error_code::ErrorCode,
    wire::{self, client_frame::Op, server_frame::Body},
};

use super::{ws_frame, ws_header};
use crate::{
    operations::talk::{FORMS, Form, Talk, error, hello, is, send},
    server::Server,
};

/// Memory that comes and goes with anything; a frame that was buffered would be a hundred times that.
const RSS_TOLERANCE: u64 = 4 * 1024 * 1024;

const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// Waits for an error with this number and the close behind it; its close code.
async fn told_and_closed(talk: &mut Talk, code: ErrorCode) -> u16 {
    let closed = talk.closed().await;
    is(&error(talk.push().await), code);
    closed
}

#[tokio::test]
async fn garbage_is_named_and_ends_its_connection_before_and_after_hello() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let texts = [
        "",
        "garbage",
        "{",
        "[]",
        "null",
        "{\"id\":-1}",
        "{\"id\":1,\"ping\":{},\"sync\":{}}",
        "{\"id\":1,\"id\":2}",
        "{\"id\":1,\"send\":\"text\"}",
        "{\"id\":18446744073709551616}",
        &"[".repeat(10_000),
        &"{\"hello\":".repeat(1_000),
    ];
    for text in texts {
        let mut talk = Talk::silent(&server, Form::Json).await;
        talk.write_text(text).await;
        assert_eq!(told_and_closed(&mut talk, ErrorCode::BadFrame).await, 1007, "{text:.40}");
        let (mut talk, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
        talk.write_text(text).await;
        assert_eq!(told_and_closed(&mut talk, ErrorCode::BadFrame).await, 1007, "{text:.40}");
    }
    let binaries: [&[u8]; 4] = [b"garbage", &[0xff; 100], &[0x12, 0xff, 0xff, 0xff, 0x7f], &[0x0b; 50]];
    for bytes in binaries {
        let mut talk = Talk::silent(&server, Form::Protobuf).await;
        talk.write_binary(bytes).await;
        assert_eq!(told_and_closed(&mut talk, ErrorCode::BadFrame).await, 1007, "{bytes:?}");
        let (mut talk, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
        talk.write_binary(bytes).await;
        assert_eq!(told_and_closed(&mut talk, ErrorCode::BadFrame).await, 1007, "{bytes:?}");
    }
}

#[tokio::test]
async fn one_connection_speaks_one_encoding() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut json, _) = Talk::hello(&server, Form::Json, "alice", "j").await;
    json.write_binary(&[8, 1, 0x22, 0]).await;
    assert_eq!(told_and_closed(&mut json, ErrorCode::BadFrame).await, 1007);
    let (mut protobuf, _) = Talk::hello(&server, Form::Protobuf, "alice", "p").await;
    protobuf.write_text("{\"id\":1,\"ping\":{}}").await;
    assert_eq!(told_and_closed(&mut protobuf, ErrorCode::BadFrame).await, 1007);
}

#[tokio::test]
async fn broken_websocket_rules_close_with_their_codes() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let unmasked = [0x82, 0x01, 0x00];
    let reserved_bit = [0xc2, 0x80, 0, 0, 0, 0];
    let unknown_opcode = [0x83, 0x80, 0, 0, 0, 0];
    let long_ping = [0x89, 0x80 | 126, 0, 200, 0, 0, 0, 0];
    let cut_ping = [0x09, 0x80, 0, 0, 0, 0];
    let nothing_to_continue = [0x80, 0x80, 0, 0, 0, 0];
    let frames: [&[u8]; 6] = [&unmasked, &reserved_bit, &unknown_opcode, &long_ping, &cut_ping, &nothing_to_continue];
    for form in FORMS {
        for frame in frames {
            let (mut talk, _) = Talk::hello(&server, form, "alice", "d").await;
            talk.write_bytes(frame).await.unwrap();
            assert_eq!(told_and_closed(&mut talk, ErrorCode::BadFrame).await, 1002, "{frame:x?}");
        }
        let (mut talk, _) = Talk::hello(&server, form, "alice", "d").await;
        talk.write_bytes(&ws_frame(TEXT, b"{\"id\":1,\"p\xff\"}")).await.unwrap();
        assert_eq!(told_and_closed(&mut talk, ErrorCode::BadFrame).await, 1007, "no utf-8");
    }
}

#[tokio::test]
async fn the_first_frame_is_hello_and_it_comes_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        for early in [
            send("bob", "hi"),
            Op::Ping(wire::Ping { interval_ms: 0 }),
            Op::Ack(wire::Ack { inbox: 1, ..Default::default() }),
        ] {
            let mut talk = Talk::silent(&server, form).await;
            is(&talk.refused(early).await, ErrorCode::WrongOrder);
            assert_eq!(talk.closed().await, 1002);
        }
        let (mut talk, _) = Talk::hello(&server, form, "alice", "d").await;
        let token = server.token("alice").await;
        is(&talk.refused(hello(&token, "d", None)).await, ErrorCode::WrongOrder);
        assert_eq!(talk.closed().await, 1002);
    }
}

#[tokio::test]
async fn an_operation_that_is_not_known_is_refused_and_the_connection_stays() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut json, _) = Talk::hello(&server, Form::Json, "alice", "j").await;
    json.write_text("{\"id\":77,\"teleport\":{\"to\":\"bob\"}}").await;
    is(&error(json.answer(77).await), ErrorCode::UnknownOp);
    json.write_text("{\"id\":\"78\",\"ping\":{\"intervalMs\":\"15000\",\"later\":[1,{}]},\"new\":null}").await;
    assert!(matches!(json.answer(78).await, Body::Pong(_)), "what is unknown is ignored");
    let (mut protobuf, _) = Talk::hello(&server, Form::Protobuf, "alice", "p").await;
    // id = 77, field 100 (groups) of three bytes.
    protobuf.write_binary(&[8, 77, 0xa2, 0x06, 3, 1, 2, 3]).await;
    is(&error(protobuf.answer(77).await), ErrorCode::UnknownOp);
}

#[tokio::test]
async fn a_frame_over_the_limit_is_refused_by_its_header() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for opcode in [TEXT, BINARY] {
        let mut early = Talk::silent(&server, Form::Protobuf).await;
        early.write_bytes(&ws_header(opcode, 16 * 1024 + 1)).await.unwrap();
        assert_eq!(told_and_closed(&mut early, ErrorCode::FrameTooLarge).await, 1009);
        let (mut late, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
        late.write_bytes(&ws_header(opcode, 1024 * 1024 + 1)).await.unwrap();
        assert_eq!(told_and_closed(&mut late, ErrorCode::FrameTooLarge).await, 1009);
        // Fragments count together.
        let (mut parts, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
        let mut first = ws_frame(opcode, &vec![b' '; 700_000]);
        first[0] &= 0x7f;
        parts.write_bytes(&first).await.unwrap();
        parts.write_bytes(&ws_header(0, 700_000)).await.unwrap();
        assert_eq!(told_and_closed(&mut parts, ErrorCode::FrameTooLarge).await, 1009);
    }
    // Legal ones of the largest size are read.
    let (mut largest, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    let mut padded = b"{\"id\":9,\"ping\":{}}".to_vec();
    padded.resize(1024 * 1024, b' ');
    largest.write_bytes(&ws_frame(TEXT, &padded)).await.unwrap();
    assert!(matches!(largest.answer(9).await, Body::Pong(_)));
}

#[tokio::test]
async fn headers_that_declare_400_mb_cost_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    // Whatever is allocated once is there before it is measured.
    for uid in ["alice", "bob"] {
        let (mut talk, _) = Talk::hello(&server, Form::Protobuf, uid, "d").await;
        talk.write_bytes(&ws_header(BINARY, 2_000_000)).await.unwrap();
        assert_eq!(talk.closed().await, 1009);
    }
    let before = server.rss_bytes();
    let mut open = Vec::new();
    for n in 0..40 {
        let mut talk = if n % 2 == 0 {
            Talk::silent(&server, Form::Protobuf).await
        } else {
            Talk::hello(&server, Form::Protobuf, "alice", &format!("d{}", n % 10)).await.0
        };
        // The server may have closed before all of it is written.
        let _ = talk.write_bytes(&ws_header(BINARY, 400_000_000)).await;
        let _ = talk.write_bytes(&[0; 60_000]).await;
        assert_eq!(told_and_closed(&mut talk, ErrorCode::FrameTooLarge).await, 1009);
        open.push(talk);
    }
    let grown = server.rss_bytes().saturating_sub(before);
    assert!(grown < RSS_TOLERANCE, "{grown} bytes more");
}

#[tokio::test]
async fn a_client_that_pings_and_closes_by_the_rules_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut talk, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    talk.write_bytes(&ws_frame(9, b"are you there")).await.unwrap();
    talk.settle().await;
    talk.write_bytes(&ws_frame(8, &4_000_u16.to_be_bytes())).await.unwrap();
    match talk.next().await {
        Came::Closed(code, _) => assert_eq!(code, 4_000, "echoed"),
        other => panic!("{other:?} instead of a close frame"),
    }
}
