//! Groups of one connection: when frames begin and end, what it is told of those it was not sent, and its acknowledgements.

use tidings_schema::id::Gid;
use tidings_state::group::{audience::Revoked, missed::REVOKED_KEPT_MAX, subscriptions::Registered};

use super::*;
use crate::{
    hub::GROUP_ROOM_BYTES,
    port::link::{FanOut, GroupOp},
    relay::LANE_FRAMES_MAX,
};

/// Does something in a turn of the connection.
#[derive(Message)]
#[rtype(result = "()")]
struct Do(Box<dyn FnOnce(&mut Connection) + Send>);

impl Handler<Do> for Connection {
    type Result = ();

    fn handle(&mut self, Do(what): Do, _: &mut Self::Context) {
        what(self);
    }
}

fn gid() -> Gid {
    "g".parse().unwrap()
}

fn row(seq: u64, bytes: usize) -> FanOut {
    let log = wire::GroupLog { gid: "g".to_owned() };
    let timeline = Some(wire::Timeline { timeline: Some(wire::timeline::Timeline::Group(log)) });
    let entries = vec![wire::Entry { seq, ..wire::Entry::default() }];
    let entries = wire::Entries { timeline, entries, log_id: vec![0; bytes].into(), ..wire::Entries::default() };
    let frame = wire::ServerFrame { re: 0, body: Some(Body::Entries(entries)) };
    FanOut {
        gid: gid(),
        prev: Seq::new(seq - 1),
        upto: Seq::new(seq),
        frame: Arc::new(EntryFrame::new(frame.encode_to_vec().into())),
        revoked: Revoked::Nobody,
    }
}

/// A welcomed connection with its hub, which asked where the group stands.
struct Member {
    bench: Bench,
    _hub: Addr<Hub>,
}

impl Member {
    async fn waiting() -> Self {
        let bench = Bench::live().await;
        let hub = Hub::new(Rc::clone(&bench.roster), Rc::clone(&bench.parts)).start();
        let member = Self { bench, _hub: hub };
        member.act(|connection| connection.want_group(&gid())).await;
        member
    }

    async fn live(head: u64) -> Self {
        let member = Self::waiting().await;
        member.registered(head, Registered::Live).await;
        member
    }

    async fn act(&self, what: impl FnOnce(&mut Connection) + Send + 'static) {
        self.bench.connection.send(Do(Box::new(what))).await.unwrap();
    }

    async fn registered(&self, head: u64, expected: Registered) {
        self.act(move |connection| {
            assert_eq!(connection.register_group(&gid(), Seq::new(head)), expected);
            connection.say(0, Body::Ok(wire::Ok { seq: head }));
        })
        .await;
    }

    fn fan_out(&self, frame: FanOut) {
        // Not taken, when it is not wanted any more.
        let _ = self.bench.parts.relay.fan_out(frame);
    }

    fn is_wanted(&self) -> bool {
        self.bench.parts.relay.wants(&gid())
    }

    async fn row(&mut self) -> u64 {
        let Body::Entries(entries) = self.bench.body().await else { panic!("no entries") };
        entries.entries[0].seq
    }

    async fn behind(&mut self) -> u64 {
        let body = self.bench.body().await;
        let Body::Behind(behind) = body else { panic!("{body:?} instead of behind") };
        behind.head
    }

    /// Stops reading until something was not sent. Says how many rows were.
    async fn fall_behind(&mut self) -> u64 {
        self.bench.client.stop_reading();
        let sent = (GROUP_ROOM_BYTES / 8_000) as u64;
        (1..=sent + 5).for_each(|seq| self.fan_out(row(seq, 8_000)));
        // The hub has its turns while this waits for its own.
        self.act(|_| {}).await;
        self.act(|_| {}).await;
        sent
    }
}

#[actix::test]
async fn frames_begin_in_the_turn_that_says_where_the_group_stands() {
    let mut member = Member::waiting().await;
    member.fan_out(row(8, 1));
    member.bench.settle().await;
    member.registered(8, Registered::Live).await;
    member.fan_out(row(9, 1));
    assert!(matches!(member.bench.body().await, Body::Ok(wire::Ok { seq: 8 })), "nothing came before it");
    assert_eq!(member.row().await, 9);
}

#[actix::test]
async fn what_was_committed_since_the_owner_answered_is_told_at_once() {
    let mut member = Member::waiting().await;
    member.fan_out(row(8, 1));
    member.bench.settle().await;
    member.registered(7, Registered::Behind).await;
    assert!(matches!(member.bench.body().await, Body::Ok(wire::Ok { seq: 7 })));
    assert_eq!(member.behind().await, 8);
}

#[actix::test]
async fn whoever_is_no_member_gets_nothing() {
    let mut member = Member::waiting().await;
    member.act(|connection| connection.not_in_group(&gid())).await;
    assert!(!member.is_wanted());
    member.fan_out(row(1, 1));
    member.bench.settle().await;
}

#[actix::test]
async fn a_client_that_reads_again_is_told_what_it_was_not_sent() {
    let mut member = Member::live(0).await;
    member.bench.body().await;
    let sent = member.fall_behind().await;
    member.bench.client.read_again();
    for seq in 1..=sent {
        assert_eq!(member.row().await, seq);
    }
    let head = member.behind().await;
    assert_eq!(head, sent + 5);
    member.fan_out(row(head + 1, 1));
    assert_eq!(member.row().await, head + 1);
}

#[actix::test]
async fn a_pong_tells_what_was_not_sent_and_then_it_is_told() {
    let mut member = Member::live(0).await;
    member.bench.body().await;
    let sent = member.fall_behind().await;
    member.bench.put(5, client_frame::Op::Ping(wire::Ping { interval_ms: 0 }));
    member.act(|_| {}).await;
    member.bench.client.read_again();
    for seq in 1..=sent {
        assert_eq!(member.row().await, seq);
    }
    let Body::Pong(pong) = member.bench.body().await else { panic!("no pong") };
    assert_eq!(pong.behind, [wire::GroupBehind { gid: "g".to_owned(), head: sent + 5 }]);
    member.bench.settle().await;
}

#[actix::test]
async fn a_connection_that_ends_wants_nothing_any_more() {
    let mut member = Member::live(0).await;
    assert!(member.is_wanted());
    member.bench.client.hang_up().await;
    member.bench.body().await;
    member.bench.closed(CloseReason::Gone).await;
    assert!(!member.is_wanted());

    let member = Member::live(0).await;
    member.bench.tell(vec![ToConnection::Close(wire::GoAwayReason::Replaced)]).await;
    assert!(!member.is_wanted(), "it has not said good-bye yet");

    let mut member = Member::live(0).await;
    member.bench.body().await;
    member.bench.put(2, send("bob", 1));
    member.bench.asked().await;
    member.bench.connection.send(Leave { reconnect_after_ms: 1_000, answers_ms: 1_000 }).await.unwrap();
    assert!(!member.is_wanted());
    member.fan_out(row(1, 1));
    let Body::GoAway(_) = member.bench.body().await else { panic!("no good-bye") };
    member.bench.settle().await;
}

#[actix::test]
async fn when_nobody_knows_what_it_may_have_the_client_comes_back() {
    tokio::time::pause();
    let mut member = Member::live(0).await;
    member.bench.body().await;
    // By its own reckoning it is not due for minutes.
    member.bench.pass(0).await;
    let full = LANE_FRAMES_MAX as u64;
    (1..=full).for_each(|seq| member.fan_out(row(seq, 1)));
    for seq in full + 1..full + 2 + REVOKED_KEPT_MAX as u64 {
        member.fan_out(FanOut { revoked: Revoked::User("bob".parse().unwrap()), ..row(seq, 1) });
    }
    for seq in 1..=full {
        assert_eq!(member.row().await, seq);
    }
    let Body::GoAway(go_away) = member.bench.body().await else { panic!("no good-bye") };
    assert_eq!(go_away.reason(), wire::GoAwayReason::Drain);
}

#[actix::test]
async fn acknowledgements_reach_the_owner_in_the_name_of_the_user() {
    tokio::time::pause();
    let mut member = Member::live(9).await;
    member.act(|connection| connection.ack_group(&gid(), Seq::new(9))).await;
    let command = member.bench.groups_asked.recv().await.unwrap();
    assert_eq!((command.uid.as_str(), command.gid, command.op_id), ("alice", gid(), 0));
    assert!(matches!(command.op, GroupOp::Ack(upto) if upto == Seq::new(9)));
}
