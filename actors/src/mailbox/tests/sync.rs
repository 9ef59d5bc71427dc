//! Nothing leaves a mailbox before it is durable: no ack, push, page, welcome, delivery or `accepted`.

use std::sync::Arc;

use tidings_schema::id::{Seq, Uid};
use tokio::time::timeout;

use super::{Bench, LONG, Told};
use crate::{
    port::link::Op,
    testkit::{held::HeldSync, memory::MemoryStore},
};

fn held_memory() -> Arc<HeldSync> {
    Arc::new(HeldSync::new(Arc::new(MemoryStore::new())))
}

#[actix::test]
async fn no_ack_push_page_or_delivery_leaves_before_the_sync() {
    let held = held_memory();
    let mut bench = Bench::new(held.clone());
    bench.online("alice", 1).await;
    bench.online("bob", 2).await;

    held.hold();
    bench.send("alice", 1, 11, "bob");
    bench.send_after("alice", 1, 12, "bob", 11);
    bench.send_after("alice", 1, 13, "bob", 12);
    held.held(1).await;
    bench.silence().await;
    assert_eq!(bench.said(), (0, 0), "what is not durable was told to a peer");
    bench.ask("alice", 1, 20, Op::Sync(Seq::ZERO, 10));
    assert_eq!(bench.told(1).await, Told::Page { seqs: Vec::new(), head: 0 });

    // Alice's rows become durable; bob's, which come of them, do not yet.
    assert!(held.release_next());
    for (op_id, seq) in [(11, 1), (12, 2), (13, 3)] {
        assert_eq!(bench.told(1).await, Told::Acked { op_id, seq, duplicate: false });
    }
    assert_eq!(bench.told(1).await, Told::Pushed(vec![1, 2, 3]));
    held.held(1).await;
    bench.silence().await;
    assert!(bench.said().0 > 0, "what is durable is delivered");
    assert_eq!(bench.said().1, 0, "accepted was said of a row that is not durable");
    bench.ask("bob", 2, 20, Op::Sync(Seq::ZERO, 10));
    assert_eq!(bench.told(2).await, Told::Page { seqs: Vec::new(), head: 0 });

    held.stop_holding();
    assert!(held.release_all() > 0);
    assert_eq!(bench.told(2).await, Told::Pushed(vec![1, 2, 3]));
    assert!(bench.said().1 > 0, "accepted is said of what is durable");
    bench.ask("bob", 2, 21, Op::Sync(Seq::ZERO, 10));
    assert_eq!(bench.told(2).await, Told::Page { seqs: vec![1, 2, 3], head: 3 });
}

#[actix::test]
async fn a_recipient_is_pushed_and_the_sender_told_once_the_rows_are_durable() {
    let held = held_memory();
    let mut bench = Bench::new(held.clone());
    bench.online("alice", 1).await;
    bench.online("bob", 2).await;
    held.hold();
    bench.send("alice", 1, 11, "bob");
    held.held(1).await;
    assert!(held.release_next());
    // Bob's row is the next write that waits.
    held.held(1).await;
    assert_eq!(bench.said().1, 0);
    assert!(held.release_next());
    assert_eq!(bench.told(2).await, Told::Pushed(vec![1]));
    assert_eq!(bench.said().1, 1);
}

#[actix::test]
async fn a_new_device_is_welcomed_when_it_is_known_durably() {
    let held = held_memory();
    let mut bench = Bench::new(held.clone());
    held.hold();
    bench.attach("alice", 1);
    held.held(1).await;
    bench.silence().await;
    held.release_all();
    assert_eq!(bench.told(1).await, Told::Welcome { head: 0, resume_after: 0 });
}

#[actix::test]
async fn the_repetition_of_a_send_that_is_not_durable_waits_for_it() {
    let held = held_memory();
    let mut bench = Bench::new(held.clone());
    bench.online("alice", 1).await;
    held.hold();
    bench.send("alice", 1, 11, "alice");
    bench.send("alice", 1, 11, "alice");
    held.held(1).await;
    bench.silence().await;
    held.stop_holding();
    held.release_all();
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 11, seq: 1, duplicate: false });
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 11, seq: 1, duplicate: true });
}

#[actix::test]
async fn an_unblock_behind_a_note_that_is_not_durable_lets_everyone_else_go_on() {
    let held = held_memory();
    let mut bench = Bench::new(held.clone());
    bench.online("alice", 1).await;
    bench.online("bob", 2).await;
    bench.online("eve", 3).await;
    bench.ask("bob", 2, 11, Op::Block("alice".parse::<Uid>().unwrap()));
    assert_eq!(bench.told(2).await, Told::Done(11));
    bench.send("alice", 1, 12, "bob");
    held.hold();
    held.held(1).await;
    held.release_next();
    // The note of what was blocked waits for the disk, and the unblock for the note.
    held.held(1).await;
    bench.ask("bob", 2, 13, Op::Unblock("alice".parse::<Uid>().unwrap()));
    bench.ask("eve", 3, 14, Op::Sync(Seq::ZERO, 1));
    assert_eq!(bench.told(3).await, Told::Page { seqs: Vec::new(), head: 0 });
    held.stop_holding();
    held.release_all();
    bench.send("alice", 1, 15, "bob");
    let shown = async {
        loop {
            if let Told::Pushed(seqs) = bench.told(2).await
                && seqs.contains(&3)
            {
                return seqs;
            }
        }
    };
    assert_eq!(timeout(LONG, shown).await.unwrap().last(), Some(&3), "block, unblock, and the message after them");
}

#[actix::test]
async fn what_is_blocked_is_accepted_when_its_place_is_durable() {
    let held = held_memory();
    let mut bench = Bench::new(held.clone());
    bench.online("alice", 1).await;
    bench.online("bob", 2).await;
    bench.ask("bob", 2, 11, Op::Block("alice".parse::<Uid>().unwrap()));
    assert_eq!(bench.told(2).await, Told::Done(11));
    held.hold();
    bench.send("alice", 1, 12, "bob");
    held.held(1).await;
    held.release_next();
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 12, seq: 1, duplicate: false });
    assert_eq!(bench.told(1).await, Told::Pushed(vec![1]));
    held.held(1).await;
    bench.silence().await;
    assert!(bench.said().0 > 0 && bench.said().1 == 0, "{:?}", bench.said());
    held.stop_holding();
    held.release_all();
    bench.silence().await;
    assert!(bench.said().1 > 0, "what is blocked is accepted in the end, and nobody is told of it");
}
