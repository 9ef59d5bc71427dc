//! The other side: a WebSocket client that writes what it is told, right or wrong, and shows what comes.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::case::{BINARY, CLOSE, CONTINUATION, Frame, PONG, TEXT};

/// How long anything may take that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came.
#[derive(Debug)]
pub enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
    /// The end of the stream.
    End,
    /// A reset, or a frame that no server may send.
    Broken(String),
}

pub struct Peer {
    stream: TcpStream,
    queued: Vec<u8>,
    came: Vec<u8>,
    /// The next frame's mask; changes with each.
    mask: u32,
    /// Bytes of the open frame that were masked.
    masked: usize,
}

impl Peer {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, "").await.0
    }

    /// Connects with these headers more; the answer's head too.
    pub async fn connect_with(address: SocketAddr, headers: &str) -> (Self, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nhost: echo\r\nconnection: Upgrade\r\nupgrade: websocket\r\n{headers}\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer").unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        if head.starts_with("HTTP/1.1 408 ") {
            // A machine that is very busy: the request waited for longer than requests may.
            return Box::pin(Self::connect_with(address, headers)).await;
        }
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        (Self { stream, queued: Vec::new(), came: Vec::new(), mask: 0x37fa_213d, masked: 0 }, head)
    }

    /// Queues a frame.
    pub fn frame(&mut self, frame: &Frame) {
        let payload = frame.payload.to_bytes();
        let first = u8::from(frame.fin) << 7 | frame.rsv << 4 | frame.opcode;
        self.begin(first, payload.len());
        self.more(&payload);
    }

    /// Queues a message in frames of so many bytes.
    pub fn fragments(&mut self, frame: &Frame, size: usize) {
        let payload = frame.payload.to_bytes();
        let parts = payload.chunks(size).len();
        for (at, part) in payload.chunks(size).enumerate() {
            let opcode = if at == 0 { frame.opcode } else { CONTINUATION };
            self.begin(u8::from(at + 1 == parts) << 7 | opcode, part.len());
            self.more(part);
        }
    }

    /// Queues the header of a frame.
    pub fn begin(&mut self, first: u8, declared: usize) {
        self.queued.push(first);
        match declared {
            0..=125 => self.queued.push(0x80 | declared as u8),
            126..=65_535 => {
                self.queued.push(0x80 | 126);
                self.queued.extend((declared as u16).to_be_bytes());
            }
            _ => {
                self.queued.push(0x80 | 127);
                self.queued.extend((declared as u64).to_be_bytes());
            }
        }
        self.mask = self.mask.rotate_left(5) ^ 0x9e37_79b9;
        self.masked = 0;
        self.queued.extend(self.mask.to_be_bytes());
    }

    /// Queues bytes of the open frame.
    pub fn more(&mut self, payload: &[u8]) {
        let mask = self.mask.to_be_bytes();
        let from = self.masked;
        self.queued.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[(from + at) % 4]));
        self.masked += payload.len();
    }

    /// What is queued leaves. A server that has closed takes nothing; what it said is still there to be read.
    pub async fn leave(&mut self) {
        let queued = std::mem::take(&mut self.queued);
        let _ = self.stream.write_all(&queued).await;
    }

    /// The same in writes of so many bytes.
    pub async fn leave_chopped(&mut self, size: usize) {
        let queued = std::mem::take(&mut self.queued);
        for chop in queued.chunks(size) {
            if self.stream.write_all(chop).await.is_err() {
                return;
            }
        }
    }

    /// What comes next.
    pub async fn next(&mut self) -> Seen {
        loop {
            if let Some(seen) = self.take() {
                return seen;
            }
            match timeout(PATIENCE, self.stream.read_buf(&mut self.came)).await.expect("something comes") {
                Ok(0) if self.came.is_empty() => return Seen::End,
                Ok(0) => return Seen::Broken("half a frame".into()),
                Ok(_) => {}
                Err(why) => return Seen::Broken(why.kind().to_string()),
            }
        }
    }

    /// The first frame of what came, once it is complete.
    fn take(&mut self) -> Option<Seen> {
        let (header, len) = match *self.came.get(..2)? {
            [_, 126] => (4, usize::from(u16::from_be_bytes(self.came.get(2..4)?.try_into().unwrap()))),
            [_, 127] => (10, u64::from_be_bytes(self.came.get(2..10)?.try_into().unwrap()) as usize),
            [_, len] if len < 126 => (2, usize::from(len)),
            _ => return Some(Seen::Broken("a masked frame".into())),
        };
        let first = self.came[0];
        if first & 0xf0 != 0x80 {
            return Some(Seen::Broken("a fragment or a reserved bit".into()));
        }
        let payload = self.came.get(header..header + len)?.to_vec();
        self.came.drain(..header + len);
        Some(match first & 0x0f {
            TEXT => Seen::Text(payload),
            BINARY => Seen::Binary(payload),
            PONG => Seen::Pong(payload),
            CLOSE => Seen::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
            opcode => Seen::Broken(format!("opcode {opcode}")),
        })
    }
}
