//! A mailbox leaves memory and comes back as it was; after a crash its mark brings it back to what it owes.

use std::{sync::Arc, time::Duration};

use tidings_schema::id::{Seq, ShardId, Uid};

use super::{Bench, Told};
use crate::{
    limits::MailboxLimits,
    offer::offer,
    port::{
        link::Op,
        store::{Scan, Store},
    },
    shard::Retire,
    testkit::{held::HeldSync, memory::MemoryStore},
};

async fn marked(store: &MemoryStore) -> Vec<Uid> {
    store.scan(Scan::Marks(ShardId::new(0)), None, 10).await.unwrap().uids
}

#[actix::test]
async fn a_mailbox_that_left_memory_comes_back_as_it_was() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.online("alice", 1).await;
    bench.send("alice", 1, 11, "alice");
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 11, seq: 1, duplicate: false });
    assert_eq!(bench.told(1).await, Told::Pushed(vec![1]));
    bench.ask("alice", 1, 0, Op::Ack(Seq::new(1)));
    assert_eq!(marked(&store).await.len(), 1, "what is in memory is marked");

    let idle = Duration::from_millis(MailboxLimits::default().mailbox_idle_ms);
    for _ in 0..4 {
        tokio::time::advance(idle).await;
        bench.silence().await;
    }
    assert_eq!(marked(&store).await, Vec::<Uid>::new(), "what has left is clean");

    bench.send("alice", 1, 11, "alice");
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 11, seq: 1, duplicate: true });
    bench.send("alice", 1, 12, "alice");
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 12, seq: 2, duplicate: false });
    assert_eq!(bench.told(1).await, Told::Pushed(vec![2]));
}

#[actix::test]
async fn what_was_owed_at_a_crash_arrives_although_its_sender_never_returns() {
    let store = MemoryStore::new();
    let held = Arc::new(HeldSync::new(Arc::new(store.clone())));
    let mut bench = Bench::new(held.clone());
    bench.online("alice", 1).await;
    held.hold();
    bench.send("alice", 1, 11, "bob");
    held.held(1).await;
    held.release_next();
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 11, seq: 1, duplicate: false });
    // Bob's row waits for the disk and is lost with the process.
    held.held(1).await;
    let mut bench = Bench::again(Arc::new(store.durable_copy()));
    bench.attach("bob", 2);
    let mut told = Vec::new();
    while !told.contains(&Told::Pushed(vec![1])) {
        told.push(bench.told(2).await);
    }
    assert!(matches!(told[0], Told::Welcome { .. }), "{told:?}");
}

#[actix::test]
async fn before_the_process_ends_a_mailbox_leaves_without_having_been_idle() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.online("alice", 1).await;
    bench.send("alice", 1, 11, "alice");
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 11, seq: 1, duplicate: false });
    assert_eq!(bench.told(1).await, Told::Pushed(vec![1]));
    bench.ask("alice", 1, 0, Op::Detach);
    assert!(offer(bench.link.shard.get().unwrap(), Retire).is_taken());
    bench.silence().await;
    assert_eq!(marked(&store).await, Vec::<Uid>::new(), "the next start finds it clean");
}
