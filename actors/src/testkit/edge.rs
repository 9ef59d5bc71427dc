//! An in-memory transport, and the suite every transport must pass.
//!
//! The suite drives the two ends of one connection against a [`Client`]; each transport's tests bring their own.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use prost::Message as _;
use tidings_schema::{json, wire};

use crate::port::edge::{CloseReason, Encoding, FrameError, OUT_BYTES_MAX, Outlet, Progress, Source, Written};

/// What a client sees.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A frame.
    Frame(Box<wire::ServerFrame>),
    /// The server closed, with this code.
    Closed(u16),
    /// The connection was cut.
    Cut,
}

/// A step of a client.
pub type Step<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The far end of a connection under test.
pub trait Client {
    /// Sends one frame.
    fn send<'a>(&'a mut self, frame: &'a wire::ClientFrame) -> Step<'a, ()>;
    /// Sends a message that is no frame of the protocol.
    fn send_garbage(&mut self) -> Step<'_, ()>;
    /// Announces a frame of so many bytes, and sends nothing of it.
    fn announce(&mut self, bytes: usize) -> Step<'_, ()>;
    /// Goes without a word.
    fn hang_up(&mut self) -> Step<'_, ()>;
    /// Waits for what comes next.
    fn receive(&mut self) -> Step<'_, Seen>;
}

/// One connection: the server's two ends, and the client.
pub struct Line {
    /// Writes.
    pub outlet: Rc<dyn Outlet>,
    /// Reads; takes frames of up to 4 KiB.
    pub source: Box<dyn Source>,
    /// The other side, which does not read before it is asked to.
    pub client: Box<dyn Client>,
}

impl Line {
    async fn frame(&mut self) -> Option<Result<wire::ClientFrame, FrameError>> {
        poll_fn(|cx| self.source.poll_frame(cx)).await
    }

    /// Lets the client receive while the server's ends are polled as their actor would.
    async fn receive(&mut self) -> Seen {
        let Self { outlet, source, client } = self;
        let mut receive = client.receive();
        poll_fn(|cx| {
            let _ = outlet.poll_flush(cx);
            let _ = source.poll_frame(cx);
            receive.as_mut().poll(cx)
        })
        .await
    }

    fn offer(&self, frame: &wire::ServerFrame) -> Written {
        self.outlet.offer(frame.encode_to_vec().into())
    }
}

/// The limit of [`Line::source`] in the suite.
pub const SUITE_FRAME_BYTES_MAX: usize = 4096;

fn ping(id: u64) -> wire::ClientFrame {
    wire::ClientFrame { id, op: Some(wire::client_frame::Op::Ping(wire::Ping { interval_ms: id })) }
}

fn ok(re: u64) -> wire::ServerFrame {
    wire::ServerFrame { re, body: Some(wire::server_frame::Body::Ok(wire::Ok { seq: re })) }
}

/// A frame of about `bytes` bytes.
fn large(bytes: usize) -> wire::ServerFrame {
    let error = wire::Error { code: 1, text: "x".repeat(bytes), retry_after_ms: 0 };
    wire::ServerFrame { re: 1, body: Some(wire::server_frame::Body::Error(error)) }
}

/// Name and body of one case.
pub type Case = (&'static str, fn(Line) -> Pin<Box<dyn Future<Output = ()>>>);

/// What holds for every transport.
pub const CASES: &[Case] = &[
    ("frames come and go in order", |line| Box::pin(in_order(line))),
    ("what was queued leaves before the close", |line| Box::pin(closes_after_the_queue(line))),
    ("an announced frame over the limit is refused at once", |line| Box::pin(refuses_large_frames(line))),
    ("garbage is malformed", |line| Box::pin(refuses_garbage(line))),
    ("a client that goes ends the source", |line| Box::pin(notices_the_end(line))),
    ("an empty queue takes one frame of any size, whole", |line| Box::pin(takes_a_large_frame(line))),
    ("what the hub flushes leaves without its owner, who goes on with what is left", |line| {
        Box::pin(flushed_now(line))
    }),
    ("a client that does not read fills its queue and no more", |line| Box::pin(bounds_the_queue(line))),
];

async fn in_order(mut line: Line) {
    for id in 1..=3 {
        line.client.send(&ping(id)).await;
    }
    for id in 1..=3 {
        assert_eq!(line.frame().await, Some(Ok(ping(id))));
    }
    assert!(line.source.activity() > 0);
    assert_eq!(line.source.encoding(), Some(Encoding::Protobuf));
    for re in 1..=100 {
        assert_eq!(line.offer(&ok(re)), Written::Taken);
    }
    for re in 1..=100 {
        assert_eq!(line.receive().await, Seen::Frame(Box::new(ok(re))));
    }
    let progress = line.outlet.progress();
    assert_eq!((progress.taken, progress.drained, line.outlet.queued_bytes()), (100, 100, 0));
}

async fn closes_after_the_queue(mut line: Line) {
    assert_eq!(line.offer(&ok(1)), Written::Taken);
    line.outlet.close(CloseReason::Replaced);
    line.outlet.close(CloseReason::Dead);
    assert_eq!(line.offer(&ok(2)), Written::Closed);
    assert_eq!(line.receive().await, Seen::Frame(Box::new(ok(1))));
    assert_eq!(line.receive().await, Seen::Closed(CloseReason::Replaced.code()));
    poll_fn(|cx| line.outlet.poll_flush(cx)).await;
}

async fn refuses_large_frames(mut line: Line) {
    line.client.announce(400 << 20).await;
    assert_eq!(line.frame().await, Some(Err(FrameError::TooLarge)));
    line.outlet.close(CloseReason::TooLarge);
    assert_eq!(line.receive().await, Seen::Closed(CloseReason::TooLarge.code()));
}

async fn refuses_garbage(mut line: Line) {
    line.client.send_garbage().await;
    line.client.send(&ping(1)).await;
    assert!(matches!(line.frame().await, Some(Err(FrameError::Malformed(_)))));
    line.client.hang_up().await;
    assert_eq!(line.frame().await, None, "after an error nothing follows");
}

async fn notices_the_end(mut line: Line) {
    line.client.send(&ping(1)).await;
    line.client.hang_up().await;
    assert_eq!(line.frame().await, Some(Ok(ping(1))));
    assert_eq!(line.frame().await, None);
    assert_eq!(line.frame().await, None);
}

async fn takes_a_large_frame(mut line: Line) {
    let frame = large(2 * OUT_BYTES_MAX);
    assert_eq!(line.offer(&frame), Written::Taken);
    assert_eq!(line.offer(&ok(2)), Written::Full);
    assert_eq!(line.receive().await, Seen::Frame(Box::new(frame)));
    assert_eq!(line.offer(&ok(3)), Written::Taken);
    assert_eq!(line.receive().await, Seen::Frame(Box::new(ok(3))));
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

async fn flushed_now(mut line: Line) {
    let wakes = Arc::<Wakes>::default();
    let owner = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&owner);
    assert!(line.outlet.poll_flush(&mut cx).is_pending());
    assert_eq!((line.offer(&ok(1)), line.offer(&ok(2))), (Written::Taken, Written::Taken));
    line.outlet.flush_now();
    assert_eq!(line.outlet.queued_bytes(), 0, "nobody else had to flush");
    assert_eq!(line.client.receive().await, Seen::Frame(Box::new(ok(1))));
    assert_eq!(line.client.receive().await, Seen::Frame(Box::new(ok(2))));
    assert_eq!(wakes.0.load(Relaxed), 0, "all of it left: its owner has nothing to do");

    let frame = large(64_000);
    let mut taken = 0;
    while line.offer(&frame) == Written::Taken {
        line.outlet.flush_now();
        taken += 1;
    }
    assert!(wakes.0.load(Relaxed) > 0, "the owner is woken for what is left");
    for _ in 0..taken {
        assert_eq!(line.receive().await, Seen::Frame(Box::new(frame.clone())));
    }
    line.outlet.close(CloseReason::Gone);
    line.outlet.flush_now();
    assert_eq!(line.receive().await, Seen::Closed(CloseReason::Gone.code()));
}

async fn bounds_the_queue(mut line: Line) {
    // More than the kernel's buffers and the queue hold together.
    let filled = (0..10_000).any(|_| {
        let written = line.offer(&large(8_000));
        let mut cx = Context::from_waker(Waker::noop());
        let _ = line.outlet.poll_flush(&mut cx);
        written == Written::Full
    });
    assert!(filled, "a queue that never fills is not bounded");
    assert!(line.outlet.queued_bytes() <= OUT_BYTES_MAX);
    line.outlet.close(CloseReason::Slow);
    poll_fn(|cx| line.outlet.poll_flush(cx)).await;
    assert_eq!((line.outlet.queued_bytes(), line.frame().await), (0, None));
}

/// What a memory client did, not yet read by the server.
enum Sent {
    Frame(Box<wire::ClientFrame>),
    Garbage,
    Announced(usize),
}

#[derive(Default)]
struct Wire {
    encoding: Option<Encoding>,
    sent: VecDeque<Sent>,
    hung_up: bool,
    failed: bool,
    frame_bytes_max: usize,
    activity: u64,
    reader: Option<Waker>,
    /// Offered, not yet in the pipe.
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    /// Bytes the pipe takes before its client reads.
    room: usize,
    pipe: VecDeque<Bytes>,
    progress: Progress,
    /// Flushes that had something to write.
    writes: u64,
    closing: Option<CloseReason>,
    closed: bool,
    cut: bool,
    writer: Option<Waker>,
    receiver: Option<Waker>,
}

/// Bytes a memory pipe holds.
const PIPE_BYTES: usize = 64 * 1024;

impl Wire {
    fn wake(waker: &mut Option<Waker>) {
        if let Some(waker) = waker.take() {
            waker.wake();
        }
    }

    fn next_frame(&mut self) -> Option<Result<wire::ClientFrame, FrameError>> {
        let outcome = match self.sent.pop_front()? {
            Sent::Frame(frame) if frame.encoded_len() <= self.frame_bytes_max => Ok(*frame),
            Sent::Announced(bytes) if bytes <= self.frame_bytes_max => Err(FrameError::Malformed("garbage".into())),
            Sent::Frame(_) | Sent::Announced(_) => Err(FrameError::TooLarge),
            Sent::Garbage => Err(FrameError::Malformed("garbage".into())),
        };
        self.failed |= outcome.is_err();
        Some(outcome)
    }

    /// The client has read a frame.
    fn took(&mut self, frame: &Bytes) {
        self.room += frame.len();
        if !self.queue.is_empty() {
            Self::wake(&mut self.writer);
        }
    }

    fn decode(&self, frame: Bytes) -> Option<wire::ServerFrame> {
        match self.encoding {
            Some(Encoding::Json) => json::decode_server(std::str::from_utf8(&frame).ok()?).ok(),
            Some(Encoding::Protobuf) | None => wire::ServerFrame::decode(frame).ok(),
        }
    }

    fn flush(&mut self) {
        self.writes += u64::from(self.room > 0 && !self.queue.is_empty());
        while self.room > 0 {
            let Some(frame) = self.queue.pop_front() else { break };
            self.room = self.room.saturating_sub(frame.len());
            self.queued_bytes -= frame.len();
            self.progress.drained += 1;
            self.progress.drained_bytes += frame.len() as u64;
            self.pipe.push_back(frame);
            Self::wake(&mut self.receiver);
        }
    }
}

/// The server's writing end in memory.
pub struct MemoryOutlet(Rc<RefCell<Wire>>);
/// The server's reading end in memory.
pub struct MemorySource(Rc<RefCell<Wire>>);
/// The client's end in memory.
#[derive(Clone)]
pub struct MemoryClient(Rc<RefCell<Wire>>);

/// A connection without a socket, of Protobuf frames.
#[must_use]
pub fn memory() -> (Rc<MemoryOutlet>, Box<MemorySource>, MemoryClient) {
    memory_as(Encoding::Protobuf)
}

/// A connection without a socket.
#[must_use]
pub fn memory_as(encoding: Encoding) -> (Rc<MemoryOutlet>, Box<MemorySource>, MemoryClient) {
    let encoding = Some(encoding);
    let wire = Wire { encoding, room: PIPE_BYTES, frame_bytes_max: usize::MAX, ..Wire::default() };
    let wire = Rc::new(RefCell::new(wire));
    (Rc::new(MemoryOutlet(Rc::clone(&wire))), Box::new(MemorySource(Rc::clone(&wire))), MemoryClient(wire))
}

impl MemoryClient {
    /// Sends one frame.
    pub fn put(&self, frame: wire::ClientFrame) {
        self.put_sent(Sent::Frame(Box::new(frame)));
    }

    /// Sends a message that is no frame.
    pub fn put_garbage(&self) {
        self.put_sent(Sent::Garbage);
    }

    /// Announces a frame.
    pub fn put_announced(&self, bytes: usize) {
        self.put_sent(Sent::Announced(bytes));
    }

    /// From now on the pipe takes nothing, as if the client's buffers were full.
    pub fn stop_reading(&self) {
        self.0.borrow_mut().room = 0;
    }

    /// From now on the pipe takes again.
    pub fn read_again(&self) {
        let mut wire = self.0.borrow_mut();
        wire.room = PIPE_BYTES;
        Wire::wake(&mut wire.writer);
    }

    /// How often the server wrote.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.0.borrow().writes
    }

    /// The next frame as it came, if one is there.
    #[must_use]
    pub fn take_payload(&self) -> Option<Bytes> {
        let mut wire = self.0.borrow_mut();
        let frame = wire.pipe.pop_front()?;
        wire.took(&frame);
        Some(frame)
    }

    /// Frames that the server has not read yet.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.0.borrow().sent.len()
    }

    fn put_sent(&self, sent: Sent) {
        let mut wire = self.0.borrow_mut();
        wire.activity += 1;
        wire.sent.push_back(sent);
        Wire::wake(&mut wire.reader);
    }

    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Seen> {
        let mut wire = self.0.borrow_mut();
        if let Some(frame) = wire.pipe.pop_front() {
            wire.took(&frame);
            return Poll::Ready(wire.decode(frame).map_or(Seen::Cut, |frame| Seen::Frame(Box::new(frame))));
        }
        match wire.closing.filter(|_| wire.closed) {
            _ if wire.cut => Poll::Ready(Seen::Cut),
            Some(reason) => Poll::Ready(Seen::Closed(reason.code())),
            None => {
                wire.receiver = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Client for MemoryClient {
    fn send<'a>(&'a mut self, frame: &'a wire::ClientFrame) -> Step<'a, ()> {
        Box::pin(async { self.put(frame.clone()) })
    }

    fn send_garbage(&mut self) -> Step<'_, ()> {
        Box::pin(async { self.put_garbage() })
    }

    fn announce(&mut self, bytes: usize) -> Step<'_, ()> {
        Box::pin(async move { self.put_announced(bytes) })
    }

    fn hang_up(&mut self) -> Step<'_, ()> {
        Box::pin(async {
            let mut wire = self.0.borrow_mut();
            wire.hung_up = true;
            Wire::wake(&mut wire.reader);
        })
    }

    fn receive(&mut self) -> Step<'_, Seen> {
        Box::pin(poll_fn(|cx| self.poll_receive(cx)))
    }
}

impl Outlet for MemoryOutlet {
    fn offer(&self, payload: Bytes) -> Written {
        let mut wire = self.0.borrow_mut();
        if wire.closing.is_some() || wire.cut {
            return Written::Closed;
        }
        if wire.queued_bytes > 0 && wire.queued_bytes + payload.len() > OUT_BYTES_MAX {
            return Written::Full;
        }
        wire.queued_bytes += payload.len();
        wire.progress.taken += 1;
        wire.queue.push_back(payload);
        Written::Taken
    }

    fn queued_bytes(&self) -> usize {
        self.0.borrow().queued_bytes
    }

    fn progress(&self) -> Progress {
        self.0.borrow().progress
    }

    fn close(&self, reason: CloseReason) {
        let mut wire = self.0.borrow_mut();
        if wire.closing.is_some() {
            return;
        }
        wire.closing = Some(reason);
        if reason == CloseReason::Slow && wire.queued_bytes > 0 {
            wire.queue.clear();
            wire.queued_bytes = 0;
            wire.cut = true;
            Wire::wake(&mut wire.receiver);
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut wire = self.0.borrow_mut();
        wire.flush();
        let empty = wire.queue.is_empty();
        if wire.cut || (empty && wire.closing.is_some()) {
            wire.closed = true;
            Wire::wake(&mut wire.receiver);
            return Poll::Ready(());
        }
        wire.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn flush_now(&self) {
        let mut wire = self.0.borrow_mut();
        if wire.closing.is_some() || wire.cut {
            return;
        }
        wire.flush();
        if !wire.queue.is_empty() {
            Wire::wake(&mut wire.writer);
        }
    }
}

impl Source for MemorySource {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<wire::ClientFrame, FrameError>>> {
        let mut wire = self.0.borrow_mut();
        if wire.failed {
            wire.sent.clear();
        }
        if let Some(frame) = wire.next_frame() {
            return Poll::Ready(Some(frame));
        }
        if wire.hung_up || wire.cut {
            return Poll::Ready(None);
        }
        wire.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn set_frame_bytes_max(&mut self, bytes: usize) {
        self.0.borrow_mut().frame_bytes_max = bytes;
    }

    fn encoding(&self) -> Option<Encoding> {
        self.0.borrow().encoding
    }

    fn activity(&self) -> u64 {
        self.0.borrow().activity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_transport_passes_the_suite() {
        for (name, case) in CASES {
            let (outlet, mut source, client) = memory();
            source.set_frame_bytes_max(SUITE_FRAME_BYTES_MAX);
            let done = case(Line { outlet, source, client: Box::new(client) });
            let waited = tokio::time::timeout(std::time::Duration::from_secs(10), done).await;
            assert!(waited.is_ok(), "{name}: nothing happened");
        }
    }
}
