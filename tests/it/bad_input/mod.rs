//! What strangers, broken clients and broken disks do to the server: it says what is wrong, closes with the documented
//! code, keeps its memory, and nobody else notices.

mod fields;
mod frames;
mod holes;
mod limits;
mod routes;
mod stalled;
pub mod store;
mod tokens;

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of a WebSocket frame as a client writes it, masked with zeros so that the payload stays readable.
pub fn ws_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = ws_header(opcode, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

/// Its header alone, whatever length it declares.
pub fn ws_header(opcode: u8, declared: u64) -> Vec<u8> {
    let mut header = vec![0x80 | opcode];
    match declared {
        0..=125 => header.push(0x80 | declared as u8),
        126..=65_535 => {
            header.push(0x80 | 126);
            header.extend_from_slice(&(declared as u16).to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend_from_slice(&declared.to_be_bytes());
        }
    }
    header.extend_from_slice(&[0; 4]);
    header
}

/// Asks for an upgrade on an open connection and reads the answer's head; its first line.
pub async fn upgrade(stream: &mut TcpStream) -> String {
    let request = "GET /v1/ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer").unwrap());
    }
    String::from_utf8(head).unwrap().lines().next().unwrap_or_default().to_owned()
}
