//! The clock of the machine is set by hours, both ways: times of messages never fall, what is owed still comes, and only
//! the age of message ids follows the wall.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tidings_schema::{error_code::ErrorCode, id::Seq, wire::server_frame::Body};

use super::{Bench, Told, entries_of};
use crate::{
    port::link::{Op, ToConnection},
    testkit::memory::MemoryStore,
};

const HOUR_MS: u64 = 3_600_000;

/// (seq, time) of the next message of an own inbox that is acknowledged, and its time as pushed.
async fn acked(bench: &mut Bench, op_id: u64) -> (u64, u64) {
    bench.send("alice", 1, op_id, "alice");
    let (mut acked, mut pushed) = (None, None);
    while acked.is_none() || pushed.is_none() {
        match bench.told.recv().await.unwrap() {
            (1, ToConnection::Answer(_, Body::SendAck(ack))) => acked = Some((ack.seq, ack.time)),
            (1, ToConnection::Push(push)) => pushed = entries_of(&push.frame).last().map(|entry| entry.time),
            other => panic!("{other:?}"),
        }
    }
    let (seq, time) = acked.unwrap();
    assert_eq!(pushed, Some(time), "both say the same");
    bench.ask("alice", 1, 0, Op::Ack(Seq::new(seq)));
    (seq, time)
}

#[actix::test]
async fn times_of_messages_never_fall_however_the_clock_is_set() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.online("alice", 1).await;
    let mut last = acked(&mut bench, 11).await;
    for (op_id, set_to) in [(12, 5), (13, 1), (14, 30), (15, 29), (16, 0)] {
        bench.clock.wall_at_start.store(1_700_000_000_000 - 10 * HOUR_MS + set_to * HOUR_MS, Relaxed);
        tokio::time::advance(Duration::from_secs(1)).await;
        let next = acked(&mut bench, op_id).await;
        assert_eq!(next.0, last.0 + 1);
        assert!(next.1 >= last.1, "{next:?} after {last:?}");
        last = next;
    }
    assert!(last.1 >= 1_700_000_000_000 + 20 * HOUR_MS, "it followed the clock forward");
}

#[actix::test]
async fn receipts_and_repetitions_go_on_while_the_clock_is_set_back() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.online("alice", 1).await;
    bench.online("bob", 2).await;
    for op_id in 11..14 {
        bench.clock.wall_at_start.fetch_sub(3 * HOUR_MS, Relaxed);
        bench.send("alice", 1, op_id, "bob");
        let Told::Pushed(seqs) = bench.told(2).await else { panic!("not delivered") };
        bench.ask("bob", 2, 0, Op::Drained(Seq::new(seqs[0])));
        bench.ask("bob", 2, 0, Op::Ack(Seq::new(seqs[0])));
        // The sender hears of it within a second and a tick.
        let receipt = async {
            loop {
                match bench.told.recv().await.unwrap() {
                    (1, ToConnection::Push(push)) => {
                        let entries = entries_of(&push.frame);
                        bench_ack(&bench.link, entries.last().unwrap().seq);
                        if entries.iter().any(is_receipt) {
                            return;
                        }
                    }
                    _ => continue,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(3), receipt).await.expect("a receipt");
    }
}

fn bench_ack(link: &super::TestLink, upto: u64) {
    use crate::port::link::{Command, ConnectionRef, Link as _};
    let from = ConnectionRef { worker: 0, connection: 1 };
    for op in [Op::Drained(Seq::new(upto)), Op::Ack(Seq::new(upto))] {
        let command = Command { from, op_id: 0, uid: "alice".parse().unwrap(), op };
        assert!(link.command(tidings_schema::id::ShardId::new(0), command).is_taken());
    }
}

fn is_receipt(entry: &tidings_schema::wire::Entry) -> bool {
    matches!(entry.body, Some(tidings_schema::wire::entry::Body::Receipt(_)))
}

#[actix::test]
async fn the_age_of_a_message_id_follows_the_wall_clock() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.online("alice", 1).await;
    // Hours ahead or behind: an id made now by a right clock is taken all the same.
    bench.clock.wall_at_start.fetch_sub(12 * HOUR_MS, Relaxed);
    acked(&mut bench, 11).await;
    bench.clock.wall_at_start.fetch_add(24 * HOUR_MS, Relaxed);
    acked(&mut bench, 12).await;
    // Two weeks ahead: retries would not be recognised any more, so nothing new is taken under such an id.
    bench.clock.wall_at_start.fetch_add(14 * 24 * HOUR_MS, Relaxed);
    bench.send("alice", 1, 13, "alice");
    assert_eq!(bench.told(1).await, Told::Refused { op_id: 13, code: ErrorCode::MessageIdTooOld.number() });
    bench.clock.wall_at_start.fetch_sub(14 * 24 * HOUR_MS, Relaxed);
    acked(&mut bench, 13).await;
}
