//! Real sockets on loopback: the suite of all transports, and the listener from handshake to good-bye.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use actix::Addr;
use actix_web::web;
use bytes::{Buf, BytesMut};
use prost::Message as _;
use tidings_actors::{
    connection::{Connection, ConnectionLimits, Parts},
    hub::census::CensusLimits,
    offer::Offer,
    port::{
        edge::{CloseReason, Registry},
        link::{Command, ConnectionRef, FanOut, GroupCommand, Link, PeerMessage, ToConnection, Visit},
        token::{Claims, TokenError, Tokens},
    },
    testkit::edge::{CASES, Client, Line, SUITE_FRAME_BYTES_MAX, Seen, Step},
};
use tidings_schema::{
    error_code::ErrorCode,
    id::{Millis, ShardCount, ShardId},
    wire,
};
use tokio::net::{TcpListener, TcpStream};

use super::{
    listener::{Edge, EdgeConfig, serve},
    out_queue::OutBudget,
    websocket,
};
use crate::clock::SystemClock;

/// A client that speaks bytes. Its mask is zero, so payloads are sent as they are.
struct RawClient {
    stream: Option<TcpStream>,
    read: BytesMut,
}

impl RawClient {
    fn new(stream: TcpStream) -> Self {
        Self { stream: Some(stream), read: BytesMut::new() }
    }

    async fn connect(addr: SocketAddr) -> Self {
        Self::new(TcpStream::connect(addr).await.unwrap())
    }

    async fn write(&self, mut bytes: &[u8]) {
        let stream = self.stream.as_ref().unwrap();
        while !bytes.is_empty() {
            stream.writable().await.unwrap();
            bytes = stream.try_write(bytes).map_or(bytes, |written| &bytes[written..]);
        }
    }

    /// Reads more; false at the end.
    async fn fill(&mut self) -> bool {
        let Some(stream) = &self.stream else { return false };
        let mut buffer = vec![0; 64 * 1024];
        loop {
            stream.readable().await.unwrap();
            match stream.try_read(&mut buffer) {
                Ok(0) => return false,
                Ok(bytes) => {
                    self.read.extend_from_slice(&buffer[..bytes]);
                    return true;
                }
                Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
    }

    /// A server's frame: opcode and payload.
    fn take_frame(&mut self) -> Option<(u8, BytesMut)> {
        let (header, len) = match *self.read.get(..2)? {
            [_, 126] => (4, usize::from(u16::from_be_bytes(self.read.get(2..4)?.try_into().unwrap()))),
            [_, 127] => (10, u64::from_be_bytes(self.read.get(2..10)?.try_into().unwrap()) as usize),
            [_, len] => (2, usize::from(len)),
            _ => return None,
        };
        let opcode = self.read[0] & 0x0f;
        assert_eq!(self.read[0] & 0xf0, 0x80, "the server sends whole messages");
        if self.read.len() < header + len {
            return None;
        }
        self.read.advance(header);
        Some((opcode, self.read.split_to(len)))
    }

    async fn next(&mut self) -> Seen {
        loop {
            match self.take_frame() {
                Some((2, payload)) => return Seen::Frame(Box::new(wire::ServerFrame::decode(payload).unwrap())),
                Some((8, payload)) => return Seen::Closed(u16::from_be_bytes([payload[0], payload[1]])),
                Some((opcode, _)) => panic!("opcode {opcode}"),
                None if !self.fill().await => return Seen::Cut,
                None => {}
            }
        }
    }

    /// The head of an HTTP response, and its body if it has one.
    async fn response(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(4).position(|at| at == b"\r\n\r\n") {
                return String::from_utf8(self.read.split_to(end + 4).to_vec()).unwrap();
            }
            assert!(self.fill().await, "the connection ended before a response");
        }
    }
}

/// With the longest form of the length, which control frames may not use.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode, 0xff];
    bytes.extend((payload.len() as u64).to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

impl Client for RawClient {
    fn send<'a>(&'a mut self, frame: &'a wire::ClientFrame) -> Step<'a, ()> {
        Box::pin(async { self.write(&masked(2, &frame.encode_to_vec())).await })
    }

    fn send_garbage(&mut self) -> Step<'_, ()> {
        Box::pin(async { self.write(&masked(2, &[0xff; 20])).await })
    }

    fn announce(&mut self, bytes: usize) -> Step<'_, ()> {
        let mut header = masked(2, &[]);
        header[2..10].copy_from_slice(&(bytes as u64).to_be_bytes());
        Box::pin(async move { self.write(&header).await })
    }

    fn hang_up(&mut self) -> Step<'_, ()> {
        Box::pin(async { self.stream = None })
    }

    fn receive(&mut self) -> Step<'_, Seen> {
        Box::pin(self.next())
    }
}

async fn in_time<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(Duration::from_secs(20), wait).await else {
        panic!("{what}: nothing happened")
    };
    done
}

async fn line() -> Line {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = RawClient::connect(listener.local_addr().unwrap()).await;
    let (stream, _) = listener.accept().await.unwrap();
    let (outlet, mut source) = websocket::ends(stream, BytesMut::new(), None, OutBudget::new(usize::MAX));
    source.set_frame_bytes_max(SUITE_FRAME_BYTES_MAX);
    Line { outlet, source, client: Box::new(client) }
}

#[actix::test]
async fn a_websocket_passes_the_suite() {
    for (name, case) in CASES {
        in_time(name, case(line().await)).await;
    }
}

#[actix::test]
async fn frames_are_read_however_they_are_cut() {
    let ping = |id| wire::ClientFrame { id, op: Some(wire::client_frame::Op::Ping(wire::Ping { interval_ms: 1 })) };
    let bytes: Vec<u8> = (1..=20).flat_map(|id| masked(2, &ping(id).encode_to_vec())).collect();
    for cut in [1, 7, 100, bytes.len()] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = RawClient::connect(listener.local_addr().unwrap()).await;
        let (stream, _) = listener.accept().await.unwrap();
        // What came right behind the handshake is read first.
        let early = BytesMut::from(&bytes[..3]);
        let (_outlet, mut source) = websocket::ends(stream, early, None, OutBudget::new(usize::MAX));
        source.set_frame_bytes_max(SUITE_FRAME_BYTES_MAX);
        let mut expected = 1;
        for part in bytes[3..].chunks(cut) {
            client.write(part).await;
        }
        while expected <= 20 {
            let frame = in_time("a frame", std::future::poll_fn(|cx| source.poll_frame(cx))).await;
            assert_eq!(frame, Some(Ok(ping(expected))));
            expected += 1;
        }
    }
}

#[actix::test]
async fn pings_and_closes_of_the_transport_are_answered() {
    let close = 4321_u16.to_be_bytes();
    let raw = [&[0x89, 0x80 | 13, 0, 0, 0, 0], &b"are you there"[..], &[0x88, 0x82, 0, 0, 0, 0], &close].concat();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut client = RawClient::connect(listener.local_addr().unwrap()).await;
    let (stream, _) = listener.accept().await.unwrap();
    let (outlet, mut source) = websocket::ends(stream, BytesMut::new(), None, OutBudget::new(usize::MAX));
    client.write(&raw).await;
    let ended = in_time("the close", std::future::poll_fn(|cx| source.poll_frame(cx))).await;
    assert_eq!(ended, None);
    outlet.close(CloseReason::Gone);
    in_time("the flush", std::future::poll_fn(|cx| outlet.poll_flush(cx))).await;
    while client.fill().await {}
    assert_eq!(client.take_frame(), Some((10, BytesMut::from(&b"are you there"[..]))));
    assert_eq!(client.take_frame(), Some((8, BytesMut::from(&close[..]))));
}

struct NoLink;

impl Link for NoLink {
    fn forget(&self, _: ConnectionRef) {}
    fn command(&self, _: ShardId, _: Command) -> Offer<Command> {
        Offer::Taken
    }
    fn peer(&self, _: ShardId, message: PeerMessage) -> Offer<PeerMessage> {
        Offer::Closed(message)
    }
    fn group(&self, _: ShardId, command: GroupCommand) -> Offer<GroupCommand> {
        Offer::Closed(command)
    }
    fn fan_out(&self, frame: FanOut) -> Offer<FanOut> {
        Offer::Closed(frame)
    }
    fn sweep(&self, _: ShardId, visit: Visit) -> Offer<Visit> {
        Offer::Closed(visit)
    }
    fn connection(&self, _: ConnectionRef, parts: Vec<ToConnection>) -> Offer<Vec<ToConnection>> {
        Offer::Closed(parts)
    }
}

impl Tokens for NoLink {
    fn verify(&self, _: &str, _: Millis) -> Result<Claims, TokenError> {
        Err(TokenError::Invalid)
    }
}

impl Registry for NoLink {
    fn register(&self, _: ConnectionRef, _: Addr<Connection>) {}
    fn unregister(&self, _: ConnectionRef) {}
}

fn config(listen: SocketAddr) -> EdgeConfig {
    let census = CensusLimits { unauthenticated_max: 2, ..CensusLimits::default() };
    EdgeConfig { listen, workers: 2, behind_proxy: false, census, out_bytes_max: 1 << 30 }
}

fn edge(listen: SocketAddr) -> std::io::Result<Edge> {
    let parts = Parts {
        link: Arc::new(NoLink),
        tokens: Arc::new(NoLink),
        clock: Arc::new(SystemClock::new()),
        relay: Arc::default(),
        registry: Arc::new(NoLink),
        shards: ShardCount::new(1).unwrap(),
        limits: ConnectionLimits::default(),
    };
    serve(&config(listen), parts, |http| {
        http.route("/healthz", web::get().to(|| async { "ok\n" }));
    })
}

const UPGRADE: &str = "GET /v1/ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-protocol: tidings.v1.proto\r\n\r\n";

#[actix::test]
async fn one_listener_serves_http_and_connections_until_it_says_good_bye() {
    let edge = edge(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let (addr, farewell, handle) = (edge.addr, edge.farewell, edge.server.handle());
    let server = actix_rt::spawn(edge.server);

    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "200"),
        ("GET /v1/ws HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "426"),
        (UPGRADE.replace("/v1/ws", "/elsewhere"), "404"),
    ] {
        let mut client = RawClient::connect(addr).await;
        client.write(request.as_bytes()).await;
        let response = in_time("a response", client.response()).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{response}");
    }

    // The hello rides behind the handshake in one write.
    let hello = wire::Hello { token: "x".into(), ..wire::Hello::default() };
    let hello = wire::ClientFrame { id: 7, op: Some(wire::client_frame::Op::Hello(hello)) };
    let mut client = RawClient::connect(addr).await;
    client.write(&[UPGRADE.as_bytes(), &masked(2, &hello.encode_to_vec())].concat()).await;
    assert!(in_time("the upgrade", client.response()).await.starts_with("HTTP/1.1 101 "));
    let Seen::Frame(frame) = in_time("the error", client.next()).await else { panic!() };
    let Some(wire::server_frame::Body::Error(error)) = frame.body else { panic!("{frame:?}") };
    assert_eq!((frame.re, error.code), (7, ErrorCode::BadToken.number()));
    assert_eq!(in_time("the close", client.next()).await, Seen::Closed(CloseReason::Unauthorized.code()));
    drop(client);
    in_time("the first to go", farewell.gone()).await;

    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = RawClient::connect(addr).await;
        client.write(UPGRADE.as_bytes()).await;
        assert!(in_time("the upgrade", client.response()).await.starts_with("HTTP/1.1 101 "));
        clients.push(client);
    }
    let mut third = RawClient::connect(addr).await;
    third.write(UPGRADE.as_bytes()).await;
    assert!(in_time("the refusal", third.response()).await.starts_with("HTTP/1.1 503 "));

    let goodbyes = async {
        for client in &mut clients {
            let Seen::Frame(frame) = client.next().await else { panic!() };
            let Some(wire::server_frame::Body::GoAway(go_away)) = frame.body else { panic!("{frame:?}") };
            assert_eq!(go_away.reason(), wire::GoAwayReason::Drain);
            assert!((1_000..2_000).contains(&go_away.reconnect_after_ms));
            assert_eq!(client.next().await, Seen::Closed(CloseReason::Drain.code()));
            client.stream = None;
        }
    };
    in_time("good-bye", async { tokio::join!(farewell.drain(1_000, 0), goodbyes) }).await;
    assert_eq!(farewell.connections(), 0);
    in_time("the stop", handle.stop(true)).await;
    in_time("the end", server).await.unwrap().unwrap();
}

#[actix::test]
async fn an_open_address_is_refused_without_a_proxy() {
    let why = edge(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).err().unwrap();
    assert_eq!(why.kind(), std::io::ErrorKind::InvalidInput);
    assert!(why.to_string().contains("behind_proxy"));
}
