//! Tokens that let nobody in, and those that stop to.

use base64::prelude::*;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tidings_schema::{error_code::ErrorCode, wire::server_frame::Body};

use crate::{
    operations::talk::{FORMS, Talk, error, hello, is},
    server::Server,
};

fn signed(algorithm: Algorithm, payload: &Value, secret: &[u8]) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), payload, &EncodingKey::from_secret(secret)).unwrap()
}

/// The secret of a server in dev mode, and its clock in seconds.
async fn secret_and_now(server: &Server) -> (Vec<u8>, u64) {
    let secret = std::fs::read(server.data().join("dev.key")).unwrap();
    let token = server.token("clock").await;
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    // Dev tokens are good for a day.
    (secret.trim_ascii().to_vec(), payload["exp"].as_u64().unwrap() - 24 * 3_600)
}

#[tokio::test]
async fn a_token_that_is_forged_expired_unsigned_or_of_nobody_lets_nobody_in() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (secret, now) = secret_and_now(&server).await;
    let good = json!({"sub": "alice", "exp": now + 600});
    let unsigned = |header: Value| {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&header), part(&good))
    };
    let genuine = signed(Algorithm::HS256, &good, &secret);
    let (head, rest) = genuine.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let other_payload = BASE64_URL_SAFE_NO_PAD.encode(json!({"sub": "root", "exp": now + 600}).to_string());
    let invalid = [
        signed(Algorithm::HS256, &good, b"another secret of enough bytes!!"),
        signed(Algorithm::HS384, &good, &secret),
        signed(Algorithm::HS512, &good, &secret),
        unsigned(json!({"alg": "none", "typ": "JWT"})),
        unsigned(json!({"alg": "None", "typ": "JWT"})),
        unsigned(json!({"alg": "HS256", "typ": "JWT"})),
        format!("{head}.{other_payload}.{signature}"),
        format!("{head}.{payload}."),
        signed(Algorithm::HS256, &json!({"sub": "alice"}), &secret),
        signed(Algorithm::HS256, &json!({"exp": now + 600}), &secret),
        signed(Algorithm::HS256, &json!({"sub": "@system", "exp": now + 600}), &secret),
        signed(Algorithm::HS256, &json!({"sub": "al ice", "exp": now + 600}), &secret),
        signed(Algorithm::HS256, &json!({"sub": "alice", "exp": "soon"}), &secret),
        String::new(),
        "a.b.c".to_owned(),
        "x".repeat(10_000),
    ];
    for form in FORMS {
        for token in &invalid {
            let mut talk = Talk::silent(&server, form).await;
            is(&talk.refused(hello(token, "d", None)).await, ErrorCode::BadToken);
            assert_eq!(talk.closed().await, 4004, "{token:.60}");
        }
        let mut talk = Talk::silent(&server, form).await;
        let expired = signed(Algorithm::HS256, &json!({"sub": "alice", "exp": now - 1}), &secret);
        is(&talk.refused(hello(&expired, "d", None)).await, ErrorCode::TokenExpired);
        assert_eq!(talk.closed().await, 4004);
        // None of that was wrong with the rest of the frame.
        let mut talk = Talk::silent(&server, form).await;
        assert!(matches!(talk.ask(hello(&genuine, "d", None)).await, Body::Welcome(_)));
    }
    assert!(!server.log().contains("eyJ"), "no token in the log");
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (secret, now) = secret_and_now(&server).await;
    for form in FORMS {
        let mut talk = Talk::silent(&server, form).await;
        let (_, now) = if form == FORMS[0] { (secret.clone(), now) } else { secret_and_now(&server).await };
        let short = signed(Algorithm::HS256, &json!({"sub": "alice", "exp": now + 5}), &secret);
        assert!(matches!(talk.ask(hello(&short, "d", None)).await, Body::Welcome(_)));
        assert!(matches!(talk.push().await, Body::GoAway(_)), "announced ahead");
        is(&error(talk.push().await), ErrorCode::TokenExpired);
        assert_eq!(talk.closed().await, 4004);
    }
}
