//! From the inbox to a device: as much as its window takes, again when it does not acknowledge, and never a hole.

use std::{sync::Arc, time::Duration};

use tidings_schema::{id::Seq, wire};
use tidings_state::ack_queue::{ACK_TIMEOUT_MS, ACK_WINDOW_ENTRIES};

use super::{Bench, Told};
use crate::{port::link::Op, testkit::memory::MemoryStore};

/// Longer than the time-out of an ack and a tick.
const PAST_THE_TIMEOUT: Duration = Duration::from_millis(ACK_TIMEOUT_MS + 500);

async fn alice_online() -> Bench {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.online("alice", 1).await;
    bench
}

/// Sends to oneself and waits for the ack; pushes that came before it.
async fn send(bench: &mut Bench, op_id: u64, pushed: &mut Vec<u64>) {
    bench.send("alice", 1, op_id, "alice");
    loop {
        match bench.told(1).await {
            Told::Acked { .. } => return,
            Told::Pushed(seqs) => pushed.extend(seqs),
            other => panic!("{other:?}"),
        }
    }
}

#[actix::test]
async fn a_full_window_stops_the_pushes_until_the_device_acknowledges() {
    let mut bench = alice_online().await;
    let (window, sent) = (ACK_WINDOW_ENTRIES as u64, ACK_WINDOW_ENTRIES as u64 + 20);
    let mut pushed = Vec::new();
    for op_id in 11..11 + sent {
        send(&mut bench, op_id, &mut pushed).await;
        // The out queue is empty: only the window holds back.
        let last = pushed.last().copied().unwrap_or_default();
        bench.ask("alice", 1, 0, Op::Drained(Seq::new(last)));
    }
    assert_eq!(pushed, (1..=window).collect::<Vec<u64>>());
    bench.ask("alice", 1, 0, Op::Ack(Seq::new(window)));
    while pushed.len() < usize::try_from(sent).unwrap() {
        if let Told::Pushed(seqs) = bench.told(1).await {
            pushed.extend(seqs);
        }
    }
    assert_eq!(pushed, (1..=sent).collect::<Vec<u64>>());
}

#[actix::test]
async fn an_entry_without_an_ack_is_sent_again_once_and_then_the_device_is_dead() {
    let mut bench = alice_online().await;
    let mut pushed = Vec::new();
    send(&mut bench, 11, &mut pushed).await;
    assert_eq!(bench.told(1).await, Told::Pushed(vec![1]));
    bench.ask("alice", 1, 0, Op::Drained(Seq::new(1)));
    tokio::time::advance(PAST_THE_TIMEOUT).await;
    assert_eq!(bench.told(1).await, Told::PushedAgain(vec![1]));
    bench.ask("alice", 1, 0, Op::Drained(Seq::new(1)));
    tokio::time::advance(PAST_THE_TIMEOUT).await;
    assert_eq!(bench.told(1).await, Told::Closed(wire::GoAwayReason::Dead));
}

#[actix::test]
async fn an_acknowledged_entry_is_not_sent_again() {
    let mut bench = alice_online().await;
    let mut pushed = Vec::new();
    send(&mut bench, 11, &mut pushed).await;
    assert_eq!(bench.told(1).await, Told::Pushed(vec![1]));
    bench.ask("alice", 1, 0, Op::Drained(Seq::new(1)));
    bench.ask("alice", 1, 0, Op::Ack(Seq::new(1)));
    tokio::time::advance(PAST_THE_TIMEOUT).await;
    bench.silence().await;
}

#[actix::test]
async fn a_dropped_push_comes_again_from_the_last_that_was_forwarded() {
    let mut bench = alice_online().await;
    let mut pushed = Vec::new();
    for op_id in 11..14 {
        send(&mut bench, op_id, &mut pushed).await;
    }
    assert_eq!(bench.told(1).await, Told::Pushed(vec![3]));
    bench.ask("alice", 1, 0, Op::Dropped(Seq::new(1)));
    assert_eq!(bench.told(1).await, Told::Pushed(vec![2, 3]));
}
