//! One connection over the in-memory transport, with a clock that stands still unless moved and a mailbox that only
//! notes what it is asked.

mod clock;
mod groups;
mod leave;
mod tokens;

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64},
};

use tidings_schema::{
    id::{MessageId, Seq},
    wire::{client_frame, server_frame::Body},
};
use tidings_state::ack_queue::{ACK_TIMEOUT_MS, AckQueue, Due, Want};
use tokio::sync::mpsc;

use super::*;
use crate::{
    hub::{
        Drain, Hub, SWEEP_INTERVAL,
        census::{Census, CensusLimits},
    },
    port::{
        link::{EntryFrame, FanOut, GroupCommand, PeerMessage, Push, ToConnection, Visit},
        token::{Claims, TokenError},
    },
    testkit::edge::{Client as _, MemoryClient, Seen, memory},
};

/// Wall time when a test begins.
const WALL_AHEAD_MS: u64 = 1_700_000_000_000;

/// More than a test asks; a test that overflows it fails by the offer being refused.
const ASKED_MAX: usize = 1_000;

/// Uptime, and how far the wall clock is ahead of it.
struct TestClock(AtomicU64, AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Millis {
        self.uptime().plus(self.1.load(Relaxed))
    }
    fn uptime(&self) -> Millis {
        Millis::new(self.0.load(Relaxed))
    }
}

struct TestLink {
    asked: mpsc::Sender<Command>,
    groups_asked: mpsc::Sender<GroupCommand>,
    full: AtomicBool,
}

impl Link for TestLink {
    fn command(&self, _: ShardId, command: Command) -> Offer<Command> {
        if self.full.load(Relaxed) {
            return Offer::Full(command);
        }
        match self.asked.try_send(command) {
            Ok(()) => Offer::Taken,
            Err(mpsc::error::TrySendError::Full(command) | mpsc::error::TrySendError::Closed(command)) => {
                Offer::Full(command)
            }
        }
    }
    fn forget(&self, _: ConnectionRef) {}
    fn peer(&self, _: ShardId, message: PeerMessage) -> Offer<PeerMessage> {
        Offer::Closed(message)
    }
    fn group(&self, _: ShardId, command: GroupCommand) -> Offer<GroupCommand> {
        self.groups_asked.try_send(command).unwrap();
        Offer::Taken
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

/// The token is the uid, or uid, time of issue and life in ms; `expired` and `forged` are what they say.
struct TestTokens;

impl Tokens for TestTokens {
    fn verify(&self, token: &str, now: Millis) -> Result<Claims, TokenError> {
        match token {
            "expired" => Err(TokenError::Expired),
            "forged" => Err(TokenError::Invalid),
            token => {
                let mut words = token.split(' ');
                let uid = words.next().unwrap_or_default().parse().map_err(|_| TokenError::Invalid)?;
                let mut number = |default| words.next().map_or(default, |word| word.parse().unwrap());
                let (issued, life) = (number(0), number(3_600_000));
                Ok(Claims { uid, device: None, issued: Millis::new(issued), expires: now.plus(life) })
            }
        }
    }
}

#[derive(Default)]
struct TestRegistry(Mutex<Vec<ConnectionRef>>);

impl Registry for TestRegistry {
    fn register(&self, at: ConnectionRef, _: Addr<Connection>) {
        self.0.lock().unwrap().push(at);
    }
    fn unregister(&self, at: ConnectionRef) {
        self.0.lock().unwrap().retain(|&other| other != at);
    }
}

struct Bench {
    client: MemoryClient,
    parts: Rc<Parts>,
    connection: Addr<Connection>,
    asked: mpsc::Receiver<Command>,
    groups_asked: mpsc::Receiver<GroupCommand>,
    link: Arc<TestLink>,
    clock: Arc<TestClock>,
    registry: Arc<TestRegistry>,
    census: Arc<Census>,
    roster: Rc<Roster>,
}

impl Bench {
    fn new() -> Self {
        let (asked, asked_rx) = mpsc::channel(ASKED_MAX);
        let (ask_group, groups_asked) = mpsc::channel(ASKED_MAX);
        let link = Arc::new(TestLink { asked, groups_asked: ask_group, full: AtomicBool::new(false) });
        let clock = Arc::new(TestClock(AtomicU64::new(1_000), AtomicU64::new(WALL_AHEAD_MS)));
        let registry = Arc::<TestRegistry>::default();
        let census = Census::new(CensusLimits::default());
        let relay = Arc::<Relay>::default();
        let roster = Rc::new(Roster::new(relay.lane()));
        let parts = Parts {
            link: Arc::clone(&link) as Arc<dyn Link>,
            tokens: Arc::new(TestTokens),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            relay: Arc::clone(&relay),
            registry: Arc::clone(&registry) as Arc<dyn Registry>,
            shards: ShardCount::new(4).unwrap(),
            limits: ConnectionLimits::default(),
        };
        let (outlet, source, client) = memory();
        let place = census.admit(clock.uptime()).unwrap();
        let accepted = Accepted { worker: 0, outlet, source, place };
        let parts = Rc::new(parts);
        let connection = Connection::open(accepted, Rc::clone(&parts), &roster);
        Self { client, parts, connection, asked: asked_rx, groups_asked, link, clock, registry, census, roster }
    }

    /// A connection that was welcomed with head 9, resuming after 5.
    async fn live() -> Self {
        Self::live_with("alice").await
    }

    async fn live_with(token: &str) -> Self {
        let mut bench = Self::new();
        bench.put(1, hello(token));
        let command = bench.asked().await;
        assert!(matches!(command.op, Op::Attach(_)));
        let welcome = wire::Welcome { inbox_head: 9, resume_after: 5, ..wire::Welcome::default() };
        bench.tell(vec![ToConnection::Welcome(1, Box::new(welcome))]).await;
        let Body::Welcome(welcome) = bench.body().await else { panic!("no welcome") };
        assert_eq!((welcome.uid.as_str(), welcome.device_id.as_str()), ("alice", "web-1"));
        assert_eq!(welcome.connection_id, command.from.to_string());
        bench
    }

    fn put(&self, id: u64, op: client_frame::Op) {
        self.client.put(wire::ClientFrame { id, op: Some(op) });
    }

    async fn asked(&mut self) -> Command {
        self.asked.recv().await.unwrap()
    }

    async fn tell(&self, parts: Vec<ToConnection>) {
        self.connection.send(Tell { parts }).await.unwrap();
    }

    async fn seen(&mut self) -> Seen {
        self.client.receive().await
    }

    async fn frame(&mut self) -> wire::ServerFrame {
        match self.seen().await {
            Seen::Frame(frame) => *frame,
            other => panic!("{other:?} instead of a frame"),
        }
    }

    async fn body(&mut self) -> Body {
        self.frame().await.body.unwrap()
    }

    /// The next frame is this error; says which op it answers.
    async fn error(&mut self, code: ErrorCode) -> u64 {
        let frame = self.frame().await;
        let Some(Body::Error(error)) = frame.body else { panic!("{frame:?} instead of {code:?}") };
        assert_eq!(error.code, code.number(), "{}", error.text);
        frame.re
    }

    async fn closed(&mut self, reason: CloseReason) {
        assert_eq!(self.seen().await, Seen::Closed(reason.code()));
    }

    /// Lets time pass; then the hub looks.
    async fn pass(&self, ms: u64) {
        let now = Millis::new(self.clock.0.fetch_add(ms, Relaxed) + ms);
        self.connection.send(Sweep { now }).await.unwrap();
    }

    fn now(&self) -> Millis {
        self.clock.uptime()
    }

    /// The client receives what is on its way, and the mailbox hears that it has drained.
    async fn drain(&mut self, queue: &mut AckQueue) {
        self.body().await;
        self.settle().await;
        self.pass(1_000).await;
        let Op::Drained(upto) = self.told_now() else { panic!("no report of what drained") };
        queue.drained(upto, self.now());
    }

    /// What the mailbox has been told by now.
    fn told_now(&mut self) -> Op {
        self.asked.try_recv().expect("the mailbox is told").op
    }

    /// Everything sent before was handled when the pong is here.
    async fn settle(&mut self) {
        self.put(999, client_frame::Op::Ping(wire::Ping { interval_ms: 0 }));
        let frame = self.frame().await;
        assert!(matches!((frame.re, &frame.body), (999, Some(Body::Pong(_)))), "{frame:?}");
    }
}

fn hello(token: &str) -> client_frame::Op {
    let hello = wire::Hello { token: token.into(), device_id: "web-1".into(), ..wire::Hello::default() };
    client_frame::Op::Hello(hello)
}

fn message_id(n: u64) -> MessageId {
    MessageId::v7(Millis::new(n), [1; 10])
}

fn send_text(to: &str, n: u64, text: &str) -> client_frame::Op {
    client_frame::Op::Send(wire::Send {
        message_id: message_id(n).to_string(),
        to: Some(wire::Target { target: Some(wire::target::Target::Uid(to.into())) }),
        content: Some(wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: text.into() })) }),
        ..Default::default()
    })
}

fn send(to: &str, n: u64) -> client_frame::Op {
    send_text(to, n, "hi")
}

fn error_answer(op_id: u64, code: ErrorCode) -> ToConnection {
    ToConnection::Answer(op_id, Body::Error(wire::Error { code: code.number(), ..wire::Error::default() }))
}

fn ok_answer(op_id: u64) -> ToConnection {
    ToConnection::Answer(op_id, Body::Ok(wire::Ok { seq: op_id }))
}

fn push(after: u64, last: u64, bytes: usize) -> ToConnection {
    let error = wire::Error { text: "x".repeat(bytes), ..wire::Error::default() };
    let frame = wire::ServerFrame { re: 0, body: Some(Body::Error(error)) };
    let frame = Arc::new(EntryFrame::new(frame.encode_to_vec().into()));
    ToConnection::Push(Push { after: Seq::new(after), last: Seq::new(last), frame })
}

fn again(bytes: usize) -> ToConnection {
    let ToConnection::Push(push) = push(0, 0, bytes) else { unreachable!() };
    ToConnection::Again(push.frame)
}

fn after_of(command: &Command) -> u64 {
    let Op::Send(send) = &command.op else { panic!("{command:?}") };
    send.after
}

#[actix::test]
async fn without_a_hello_in_time_the_connection_is_closed() {
    let mut bench = Bench::new();
    bench.pass(9_999).await;
    bench.pass(1).await;
    bench.error(ErrorCode::HelloTimeout).await;
    bench.closed(CloseReason::HelloTimeout).await;
}

#[actix::test]
async fn the_first_frame_is_hello_and_hello_comes_once() {
    let mut bench = Bench::new();
    bench.put(3, send("bob", 1));
    assert_eq!(bench.error(ErrorCode::WrongOrder).await, 3);
    bench.closed(CloseReason::BadFrame).await;

    let mut bench = Bench::live().await;
    bench.put(4, hello("alice"));
    assert_eq!(bench.error(ErrorCode::WrongOrder).await, 4);
    bench.closed(CloseReason::BadFrame).await;
}

#[actix::test]
async fn a_bad_token_is_turned_away_and_a_bad_id_may_be_corrected() {
    for (token, code) in [("forged", ErrorCode::BadToken), ("expired", ErrorCode::TokenExpired)] {
        let mut bench = Bench::new();
        bench.put(1, hello(token));
        assert_eq!(bench.error(code).await, 1);
        bench.closed(CloseReason::Unauthorized).await;
    }
    let mut bench = Bench::new();
    let no_id = wire::Hello { token: "alice".into(), device_id: "web 1".into(), ..wire::Hello::default() };
    bench.put(1, client_frame::Op::Hello(no_id));
    assert_eq!(bench.error(ErrorCode::BadId).await, 1);
    bench.put(2, hello("alice"));
    assert_eq!(bench.asked().await.op_id, 2);
}

#[actix::test]
async fn garbage_and_oversized_frames_close_with_a_typed_error() {
    let mut bench = Bench::live().await;
    bench.client.put_garbage();
    bench.error(ErrorCode::BadFrame).await;
    bench.closed(CloseReason::BadFrame).await;

    let mut bench = Bench::new();
    bench.client.put_announced(16 * 1024 + 1);
    bench.error(ErrorCode::FrameTooLarge).await;
    bench.closed(CloseReason::TooLarge).await;

    let mut bench = Bench::live().await;
    bench.client.put_announced(400 << 20);
    bench.error(ErrorCode::FrameTooLarge).await;
    bench.closed(CloseReason::TooLarge).await;
}

#[actix::test]
async fn bad_input_is_answered_and_the_connection_stays() {
    let mut bench = Bench::live().await;
    for (id, op, code) in [
        (2, Some(send("b b", 1)), ErrorCode::BadId),
        (3, Some(send_text("bob", 1, &"x".repeat(70_000))), ErrorCode::BodyTooLarge),
        (4, Some(client_frame::Op::Block(wire::Block { uid: String::new() })), ErrorCode::BadId),
        (5, Some(client_frame::Op::Read(wire::Read { conversation: None, seq: 1 })), ErrorCode::BadField),
        (6, None, ErrorCode::UnknownOp),
        (0, Some(send("bob", 1)), ErrorCode::BadField),
    ] {
        bench.client.put(wire::ClientFrame { id, op });
        assert_eq!(bench.error(code).await, id);
    }
    bench.settle().await;
}

#[actix::test]
async fn with_64_unanswered_operations_the_socket_is_not_read() {
    let mut bench = Bench::live().await;
    for id in 2..=70 {
        bench.put(id, send("bob", id));
    }
    for id in 2..=65 {
        assert_eq!(bench.asked().await.op_id, id);
    }
    // A turn of the actor, in which it could have read.
    bench.tell(vec![]).await;
    assert_eq!((bench.client.unread(), bench.asked.is_empty()), (5, true));
    bench.tell(vec![ok_answer(2)]).await;
    assert_eq!(bench.asked().await.op_id, 66);
    bench.tell(vec![]).await;
    assert_eq!(bench.client.unread(), 4);
}

#[actix::test]
async fn an_answer_that_does_not_come_in_time_is_outcome_unknown_and_a_late_one_is_dropped() {
    let mut bench = Bench::live().await;
    bench.put(2, send("bob", 1));
    bench.asked().await;
    bench.pass(4_999).await;
    bench.settle().await;
    bench.pass(1).await;
    assert_eq!(bench.error(ErrorCode::OutcomeUnknown).await, 2);
    bench.tell(vec![ok_answer(2)]).await;
    bench.settle().await;
}

#[actix::test]
async fn a_push_that_would_leave_a_hole_is_dropped_and_the_mailbox_told() {
    let mut bench = Bench::live().await;
    bench.tell(vec![push(5, 7, 1), push(8, 9, 2), ToConnection::HeadMoved(Seq::new(12))]).await;
    let Body::Error(first) = bench.body().await else { panic!() };
    assert_eq!(first.text.len(), 1);
    assert!(matches!(bench.asked().await.op, Op::Dropped(seq) if seq == Seq::new(7)));
    bench.put(3, client_frame::Op::Ping(wire::Ping { interval_ms: 0 }));
    let Body::Pong(pong) = bench.body().await else { panic!("the second push came") };
    assert_eq!(pong.inbox_head, 12);
}

#[actix::test]
async fn what_the_mailbox_does_not_take_is_kept_and_offered_again() {
    let mut bench = Bench::live().await;
    bench.link.full.store(true, Relaxed);
    bench.put(0, client_frame::Op::Ack(wire::Ack { inbox: 4, ..Default::default() }));
    bench.put(0, client_frame::Op::Ack(wire::Ack { inbox: 5, ..Default::default() }));
    bench.tell(vec![push(6, 7, 1)]).await;
    bench.settle().await;
    assert!(bench.asked.is_empty());
    bench.link.full.store(false, Relaxed);
    bench.pass(1_000).await;
    assert!(matches!(bench.asked().await.op, Op::Dropped(seq) if seq == Seq::new(5)));
    assert!(matches!(bench.asked().await.op, Op::Ack(seq) if seq == Seq::new(5)));
    assert!(bench.asked.is_empty());
}

#[actix::test]
async fn drained_pushes_are_reported_at_once_when_large_and_else_by_the_sweep() {
    let mut bench = Bench::live().await;
    bench.tell(vec![push(5, 6, 10)]).await;
    bench.body().await;
    bench.settle().await;
    assert!(bench.asked.is_empty());
    bench.pass(1_000).await;
    assert!(matches!(bench.asked().await.op, Op::Drained(seq) if seq == Seq::new(6)));
    bench.tell(vec![push(6, 7, 20_000)]).await;
    bench.body().await;
    assert!(matches!(bench.asked().await.op, Op::Drained(seq) if seq == Seq::new(7)));
}

#[actix::test]
async fn a_device_that_never_acks_is_sent_its_entries_again_and_then_counts_as_dead() {
    let mut bench = Bench::live().await;
    let mut queue = AckQueue::attach(Seq::new(5));
    assert_eq!(queue.wants(Seq::new(5)), Want::Nothing);
    queue.pushed(&[(Seq::new(6), 100)]);
    bench.tell(vec![push(5, 6, 100)]).await;
    bench.drain(&mut queue).await;
    assert_eq!(queue.due(bench.now().plus(ACK_TIMEOUT_MS)), Due::Redeliver { after: Seq::new(5), upto: Seq::new(6) });
    bench.pass(ACK_TIMEOUT_MS).await;

    queue.redelivered(Seq::new(5), Seq::new(6));
    bench.tell(vec![again(100)]).await;
    bench.drain(&mut queue).await;
    assert_eq!(queue.due(bench.now()), Due::Nothing);
    assert_eq!(queue.due(bench.now().plus(ACK_TIMEOUT_MS)), Due::Dead);
}

#[actix::test]
async fn a_repetition_that_finds_the_queue_full_counts_as_drained() {
    let mut bench = Bench::live().await;
    bench.client.stop_reading();
    bench.tell(vec![push(5, 6, 200_000), again(200_000)]).await;
    bench.pass(1_000).await;
    assert!(matches!(bench.told_now(), Op::Drained(seq) if seq == Seq::new(5)));
}

#[actix::test]
async fn an_ack_above_the_head_opens_no_hole_on_the_wire() {
    let mut bench = Bench::live().await;
    bench.put(0, client_frame::Op::Ack(wire::Ack { inbox: 1_000_000_000, ..Default::default() }));
    assert!(matches!(bench.asked().await.op, Op::Ack(_)));
    bench.tell(vec![error_answer(0, ErrorCode::AckAboveHead)]).await;
    assert_eq!(bench.error(ErrorCode::AckAboveHead).await, 0);
    bench.tell(vec![push(7, 8, 1)]).await;
    assert!(matches!(bench.told_now(), Op::Dropped(seq) if seq == Seq::new(5)));
    bench.settle().await;
}

#[actix::test]
async fn sends_name_their_predecessor_and_wait_behind_a_refused_one() {
    let mut bench = Bench::live().await;
    bench.put(2, send("bob", 1));
    bench.put(3, send("bob", 2));
    bench.put(4, send("eve", 3));
    let after: Vec<u64> =
        [bench.asked().await, bench.asked().await, bench.asked().await].iter().map(after_of).collect();
    assert_eq!(after, [0, 2, 0]);
    bench.tell(vec![error_answer(2, ErrorCode::Busy), error_answer(3, ErrorCode::Busy), ok_answer(4)]).await;
    assert_eq!(bench.error(ErrorCode::Busy).await, 2);
    assert_eq!(bench.error(ErrorCode::Busy).await, 3);
    bench.body().await;
    bench.put(5, send("bob", 2));
    assert_eq!(bench.error(ErrorCode::Busy).await, 5);
    bench.put(6, send("bob", 1));
    assert_eq!(bench.asked().await.op_id, 6);
    bench.put(7, send("bob", 2));
    assert_eq!(after_of(&bench.asked().await), 6);
}

#[actix::test]
async fn one_page_at_a_time_is_asked_for() {
    let mut bench = Bench::live().await;
    for id in 2..=3 {
        bench.put(id, client_frame::Op::Sync(wire::Sync { after: 0, limit: 0 }));
    }
    assert!(matches!(bench.asked().await.op, Op::Sync(_, limit) if limit == 200));
    bench.settle().await;
    assert!(bench.asked.is_empty());
    bench.tell(vec![ToConnection::Answer(2, Body::Page(wire::Page::default()))]).await;
    assert_eq!(bench.asked().await.op_id, 3);
}

#[actix::test]
async fn a_replaced_connection_says_so_and_detaches() {
    let mut bench = Bench::live().await;
    assert_eq!(bench.registry.0.lock().unwrap().len(), 1);
    bench.tell(vec![ToConnection::Close(wire::GoAwayReason::Replaced)]).await;
    let Body::GoAway(go_away) = bench.body().await else { panic!() };
    assert_eq!((go_away.reason(), go_away.reconnect_after_ms), (wire::GoAwayReason::Replaced, 0));
    bench.closed(CloseReason::Replaced).await;
    bench.client.hang_up().await;
    assert!(matches!(bench.asked().await.op, Op::Detach));
    bench.census.empty().await;
    assert!(bench.registry.0.lock().unwrap().is_empty());
}

#[actix::test]
async fn a_detach_that_is_not_taken_is_offered_again() {
    tokio::time::pause();
    let mut bench = Bench::live().await;
    bench.link.full.store(true, Relaxed);
    bench.client.hang_up().await;
    bench.census.empty().await;
    bench.link.full.store(false, Relaxed);
    assert!(matches!(bench.asked().await.op, Op::Detach));
}

#[actix::test]
async fn a_silent_client_is_dead_after_twice_its_interval() {
    let mut bench = Bench::live().await;
    bench.put(0, client_frame::Op::Ping(wire::Ping { interval_ms: 20_000 }));
    bench.body().await;
    bench.pass(0).await;
    bench.pass(44_999).await;
    bench.settle().await;
    bench.pass(0).await;
    bench.pass(45_000).await;
    let Body::GoAway(go_away) = bench.body().await else { panic!() };
    assert_eq!(go_away.reason(), wire::GoAwayReason::Dead);
    bench.closed(CloseReason::Dead).await;
}

#[actix::test]
async fn a_client_that_never_reads_is_cut_as_slow() {
    let mut bench = Bench::live().await;
    bench.client.stop_reading();
    bench.tell(vec![push(5, 6, 1_000)]).await;
    bench.pass(1_000).await;
    bench.pass(14_999).await;
    bench.put(2, send("bob", 1));
    while !matches!(bench.asked().await.op, Op::Send(_)) {}
    bench.pass(1).await;
    assert_eq!(bench.seen().await, Seen::Cut);
    bench.census.empty().await;
}

#[actix::test]
async fn an_answer_that_finds_the_queue_full_cuts_the_connection() {
    let mut bench = Bench::live().await;
    bench.client.stop_reading();
    let parts = (0..5).map(|n| push(5 + n, 6 + n, 60_000)).collect();
    bench.tell(parts).await;
    assert!(matches!(bench.asked().await.op, Op::Dropped(seq) if seq == Seq::new(9)));
    for id in 1..=2_000 {
        bench.put(id, client_frame::Op::Ping(wire::Ping { interval_ms: 0 }));
    }
    assert_eq!(bench.seen().await, Seen::Cut);
}

#[actix::test]
async fn more_frames_than_allowed_are_refused_and_the_connection_stays() {
    let mut bench = Bench::live().await;
    for _ in 0..1_000 {
        bench.settle().await;
    }
    bench.put(2, client_frame::Op::Ping(wire::Ping { interval_ms: 0 }));
    assert_eq!(bench.error(ErrorCode::RateLimited).await, 2);
    bench.pass(1_000).await;
    bench.settle().await;
}

#[actix::test]
async fn a_mailbox_that_cannot_attach_lets_the_client_say_hello_again() {
    let mut bench = Bench::new();
    bench.put(1, hello("alice"));
    bench.asked().await;
    bench.tell(vec![error_answer(1, ErrorCode::Busy)]).await;
    assert_eq!(bench.error(ErrorCode::Busy).await, 1);
    bench.put(2, hello("alice"));
    assert!(matches!(bench.asked().await.op, Op::Attach(_)));
    bench.pass(10_000).await;
    assert_eq!(bench.error(ErrorCode::Unavailable).await, 2);
    bench.closed(CloseReason::Full).await;
}

#[actix::test]
async fn the_hub_sweeps_what_is_due_and_drains_all() {
    tokio::time::pause();
    let mut late = Bench::new();
    let hub = Hub::new(Rc::clone(&late.roster), Rc::clone(&late.parts)).start();
    late.clock.0.fetch_add(10_000, Relaxed);
    // The clock of the runtime moves by itself to the next sweep while the test waits.
    let waited = tokio::time::timeout(SWEEP_INTERVAL * 2, late.error(ErrorCode::HelloTimeout)).await;
    assert_eq!(waited, Ok(0));

    let mut other = Bench::live().await;
    let hub_of_other = Hub::new(Rc::clone(&other.roster), Rc::clone(&other.parts)).start();
    hub_of_other.send(Drain { reconnect_after_ms: 1_000, answers_ms: 5_000 }).await.unwrap();
    let Body::GoAway(go_away) = other.body().await else { panic!() };
    assert_eq!(go_away.reason(), wire::GoAwayReason::Drain);
    assert!((1_000..2_000).contains(&go_away.reconnect_after_ms));
    other.closed(CloseReason::Drain).await;
    drop(hub);
}
