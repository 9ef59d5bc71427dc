//! A peer that lost rows (its records are from an older copy) goes on from where its sender's log begins.

use std::sync::Arc;

use tidings_schema::id::Seq;

use super::Bench;
use crate::{
    limits::INBOX_MS,
    port::{
        link::Op,
        ownership::Stamp,
        store::{Change, Key, Store},
    },
    testkit::{
        memory::MemoryStore,
        suite::{inbox, uid},
    },
};

/// Makes bob's records what they were in `older`, when his inbox had one row.
async fn put_back(store: &MemoryStore, older: &MemoryStore) {
    let bob = uid("bob");
    let keys = vec![Key::Head(inbox("bob")), Key::Checkpoint(bob.clone()), Key::Conversation(bob, uid("alice"))];
    let values = older.get(keys.clone()).await.unwrap();
    let changes = keys.into_iter().zip(values).map(|(key, value)| Change { key, value }).collect();
    store.put(changes, Stamp(1)).await.unwrap();
    store.sweep(inbox("bob"), Seq::new(2), Seq::new(100)).await.unwrap();
}

/// Bob's entries, by the seq they have in his inbox.
async fn received(bench: &mut Bench) -> Vec<u64> {
    let page = bench.page("bob", Op::Sync(Seq::ZERO, 0)).await;
    page.entries.iter().map(|entry| entry.seq).collect()
}

#[actix::test]
async fn rows_that_are_not_kept_any_more_are_passed_over_and_later_ones_arrive() {
    tokio::time::pause();
    let store = MemoryStore::new();
    let mut bench = Bench::without_rounds(Arc::new(store.clone()));
    bench.send_now("alice", 11, "bob").await;
    bench.rest().await;
    let older = store.durable_copy();
    for op_id in 12..16 {
        bench.send_now("alice", op_id, "bob").await;
    }
    bench.rest().await;
    bench.days_pass(2 * INBOX_MS);
    bench.sweep("alice").await;
    bench.rest().await;
    assert_eq!(received(&mut bench).await, [1, 2, 3, 4, 5]);
    bench.rest().await;

    let restored = store.durable_copy();
    put_back(&restored, &older).await;
    let mut bench = bench.after_crash(Arc::new(restored));
    assert_eq!(received(&mut bench).await, [1]);
    // Of the four that bob lost alice's log keeps the newest.
    bench.send_now("alice", 21, "bob").await;
    bench.rest().await;
    assert_eq!(received(&mut bench).await, [1, 2, 3]);
    bench.send_now("alice", 22, "bob").await;
    bench.rest().await;
    assert_eq!(received(&mut bench).await, [1, 2, 3, 4]);
}
