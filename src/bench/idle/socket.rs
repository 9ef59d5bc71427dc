//! A WebSocket client that keeps next to nothing: ten thousand of them fit one process. It trusts the server it measures,
//! so it checks no more than it needs to tell one frame from the next.

use std::{
    cell::RefCell,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anyhow::{Context as _, bail, ensure};
use prost::Message as _;
use tidings_schema::wire;
use tokio::net::{TcpSocket, TcpStream};

/// Connections from one source address; the system has about 28,000 ports for each.
const PER_SOURCE: usize = 20_000;
/// Bytes read at a time, by all connections of this thread.
const READ_BYTES: usize = 16 * 1024;
/// Longest answer to the handshake.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const OPCODE: u8 = 0x0f;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// One connection.
pub(super) struct Socket {
    stream: TcpStream,
    /// What came and is no whole frame yet.
    kept: Vec<u8>,
}

impl Socket {
    /// Connects as user number `user` and upgrades.
    ///
    /// # Errors
    /// When the server refuses.
    pub(super) async fn open(server: SocketAddr, user: usize) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(source) = source(user, server) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(server).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let mut opened = Self { stream, kept: Vec::new() };
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nhost: {server}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: tidings.v1.proto\r\n\r\n"
        );
        opened.write_all(request.as_bytes()).await?;
        opened.answer().await?;
        Ok(opened)
    }

    async fn answer(&mut self) -> anyhow::Result<()> {
        loop {
            if let Some(end) = self.kept.windows(4).position(|four| four == b"\r\n\r\n") {
                let upgraded = self.kept.starts_with(b"HTTP/1.1 101 ");
                ensure!(upgraded, "no upgrade: {}", String::from_utf8_lossy(&self.kept[..end]));
                self.kept = self.kept.split_off(end + 4);
                return Ok(());
            }
            ensure!(self.kept.len() < ANSWER_BYTES_MAX, "the answer to the handshake does not end");
            self.read().await?;
        }
    }

    /// Writes one frame.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(super) async fn write(&mut self, id: u64, op: wire::client_frame::Op) -> anyhow::Result<()> {
        let payload = wire::ClientFrame { id, op: Some(op) }.encode_to_vec();
        self.write_frame(BINARY, &payload).await
    }

    /// Says good-bye and waits for the server to do so too.
    ///
    /// # Errors
    /// When the connection broke instead.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        self.write_frame(CLOSE, &1000_u16.to_be_bytes()).await?;
        while self.next().await?.is_some() {}
        Ok(())
    }

    async fn write_frame(&mut self, first: u8, payload: &[u8]) -> anyhow::Result<()> {
        let mut frame = vec![first];
        match u8::try_from(payload.len()) {
            Ok(short) if short < 126 => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload.len()).context("frame too long")?.to_be_bytes());
            }
        }
        // A mask of zeros leaves the payload as it is.
        frame.extend([0; 4]);
        frame.extend(payload);
        self.write_all(&frame).await
    }

    async fn write_all(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    }

    /// The next frame; `None`: the server closes. May be dropped while it waits: what came is kept.
    ///
    /// # Errors
    /// When the connection broke, or says what cannot be read.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<wire::ServerFrame>> {
        loop {
            if let Some((first, payload, end)) = whole(&self.kept) {
                let frame = match first & OPCODE {
                    2 => Some(wire::ServerFrame::decode(&self.kept[payload..end])?),
                    8 => None,
                    other => bail!("a frame with opcode {other}"),
                };
                self.kept.drain(..end);
                if self.kept.is_empty() {
                    self.kept = Vec::new();
                }
                return Ok(frame);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        loop {
            self.stream.readable().await?;
            let read = READ_BUFFER.with_borrow_mut(|buffer| {
                let read = self.stream.try_read(buffer)?;
                self.kept.extend_from_slice(&buffer[..read]);
                io::Result::Ok(read)
            });
            match read {
                Ok(0) => bail!("the server closed the connection"),
                Ok(_) => return Ok(()),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                Err(why) => return Err(why.into()),
            }
        }
    }
}

/// First byte, start of the payload and end of the first frame, once it is whole.
fn whole(kept: &[u8]) -> Option<(u8, usize, usize)> {
    let &[first, second, ..] = kept else { return None };
    let (payload, len): (usize, usize) = match second {
        126 => (4, kept.get(2..4)?.iter().fold(0, |n, &b| n << 8 | usize::from(b))),
        127 => (10, kept.get(2..10)?.iter().fold(0, |n, &b| n << 8 | usize::from(b))),
        short => (2, usize::from(short)),
    };
    let end = len.checked_add(payload)?;
    (kept.len() >= end).then_some((first, payload, end))
}

/// Loopback has more than one address; the first users need none of the others.
fn source(user: usize, server: SocketAddr) -> Option<IpAddr> {
    let nth = u8::try_from(user / PER_SOURCE).ok().filter(|nth| *nth > 0 && server.ip().is_loopback())?;
    Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, nth.saturating_add(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_whole_when_its_last_byte_came() {
        for len in [0_usize, 1, 125, 126, 65_535, 65_536] {
            let mut frame = vec![BINARY];
            match len {
                0..126 => frame.push(len as u8),
                126..=65_535 => {
                    frame.push(126);
                    frame.extend((len as u16).to_be_bytes());
                }
                _ => {
                    frame.push(127);
                    frame.extend((len as u64).to_be_bytes());
                }
            }
            let header = frame.len();
            frame.resize(header + len, 7);
            let end = frame.len();
            assert_eq!(whole(&frame), Some((BINARY, header, end)));
            assert_eq!(whole(&frame[..end - 1]), None);
            frame.push(BINARY);
            assert_eq!(whole(&frame), Some((BINARY, header, end)));
        }
    }

    #[test]
    fn many_users_come_from_more_than_one_address() {
        let server = "127.0.0.1:1".parse().unwrap();
        assert_eq!(source(PER_SOURCE - 1, server), None);
        assert_eq!(source(PER_SOURCE, server), Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))));
        assert_eq!(source(PER_SOURCE, "192.0.2.1:1".parse().unwrap()), None);
    }
}
