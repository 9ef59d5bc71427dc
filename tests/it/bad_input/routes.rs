//! What is reachable without a token: the start page and health, in dev mode tokens; nothing else.

use std::{net::SocketAddr, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Child,
    time::timeout,
};

use super::PATIENCE;
use crate::server::{Server, tidings_command};

/// Status and body of the answer to one request line.
async fn ask(address: SocketAddr, line: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end").unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
}

const NOTHING: [&str; 16] = [
    "GET /metrics",
    "GET /v1",
    "GET /v1/history",
    "GET /v1/openapi.json",
    "GET /admin",
    "GET /debug/pprof",
    "GET /dev",
    "GET /dev/token",
    "GET /dev.key",
    "GET /data/dev.key",
    "GET /../data/dev.key",
    "GET //etc/passwd",
    "GET /%2e%2e/dev.key",
    "POST /",
    "PUT /healthz",
    "DELETE /v1/ws",
];

#[tokio::test]
async fn nothing_is_reachable_but_the_start_page_health_and_the_tokens_of_dev_mode() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let address = server.address();
    for (line, expected) in [("GET /", "DEV MODE"), ("GET /healthz", "ok"), ("GET /readyz", "ready")] {
        let (status, body) = ask(address, line, "").await;
        assert!(status == 200 && body.contains(expected), "{line}: {status} {body}");
    }
    for line in NOTHING {
        let (status, body) = ask(address, line, "").await;
        assert!(matches!(status, 400 | 404 | 405 | 426), "{line}: {status} {body}");
        assert!(body.len() < 200, "{line}: {body}");
    }
    assert_eq!(ask(address, "GET /dev/token/alice", "").await.0, 200);
    for bad in ["GET /dev/token/@system", "GET /dev/token/a%20b", "GET /dev/token/%ff"] {
        assert_eq!(ask(address, bad, "").await.0, 400, "{bad}");
    }
    // An upgrade to anything but clients' own path, or to something else than a WebSocket.
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (line, headers) in [
        ("GET /metrics", upgrade.to_owned()),
        ("GET /", upgrade.to_owned()),
        ("POST /v1/ws", upgrade.to_owned()),
        ("GET /v1/ws", upgrade.replace("13", "8")),
        ("GET /v1/ws", upgrade.replace("dGhlIHNhbXBsZSBub25jZQ==", "")),
        ("GET /v1/ws", upgrade.replace("websocket\r\n", "h2c\r\n")),
        ("CONNECT a:80", String::new()),
    ] {
        let (status, _) = ask(address, line, &headers).await;
        assert!((400..500).contains(&status), "{line} {headers}: {status}");
    }
}

/// A server that is not in dev mode, and where it listens.
async fn keyed(data: &std::path::Path) -> (Child, SocketAddr) {
    let mut child = tidings_command()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .env("TIDINGS_AUTH_SECRET", "a secret of at least thirty-two bytes")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut screen = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = async {
        while let Some(line) = screen.next_line().await.unwrap() {
            if let Some((_, rest)) = line.split_once("ws://") {
                return rest.split('/').next().unwrap().parse().unwrap();
            }
        }
        panic!("it did not start");
    };
    let address = timeout(PATIENCE, address).await.expect("a screen");
    (child, address)
}

#[tokio::test]
async fn without_dev_mode_nobody_gets_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let (_child, address) = keyed(&dir.path().join("data")).await;
    assert_eq!(ask(address, "GET /dev/token/alice", "").await.0, 404);
    let (status, page) = ask(address, "GET /", "").await;
    assert!(status == 200 && !page.contains("DEV MODE") && !page.contains("secret"), "{page}");
    assert!(!dir.path().join("data/dev.key").exists());
}
