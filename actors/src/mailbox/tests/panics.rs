//! A panic inside a port while a mailbox works: others go on, it comes back, and one that cannot be loaded is stopped alone.

use std::sync::Arc;

use tidings_schema::{error_code::ErrorCode, id::Seq};
use tokio::time::timeout;

use super::{A_WHILE, Bench, LONG, Told};
use crate::{
    port::link::Op,
    testkit::{
        faults::{Fault, Faults, Method},
        memory::MemoryStore,
    },
};

fn faulty() -> (Arc<Faults>, Bench) {
    let faults = Arc::new(Faults::new(Arc::new(MemoryStore::new())));
    let bench = Bench::new(faults.clone());
    (faults, bench)
}

#[actix::test]
async fn after_a_panic_in_a_port_others_go_on_and_the_actor_comes_back() {
    let (faults, mut bench) = faulty();
    bench.online("alice", 1).await;
    bench.online("bob", 2).await;
    bench.send("alice", 1, 10, "alice");
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 10, seq: 1, duplicate: false });

    // What alice's mailbox reads for this send panics, with the send in its hands.
    faults.once(Method::Get, Fault::Panic);
    bench.send("alice", 1, 11, "carl");
    bench.send("bob", 2, 12, "bob");
    assert_eq!(bench.told(2).await, Told::Acked { op_id: 12, seq: 1, duplicate: false });

    bench.send("alice", 1, 13, "carl");
    let acked = async {
        loop {
            if let Told::Acked { op_id: 13, seq, .. } = bench.told(1).await {
                return seq;
            }
        }
    };
    assert!(timeout(LONG, acked).await.unwrap() > 1, "the log goes on after what was committed");
}

#[actix::test]
async fn a_mailbox_that_panics_three_times_in_a_row_is_stopped_and_others_are_not() {
    let (faults, mut bench) = faulty();
    bench.online("bob", 2).await;
    faults.lasting(Method::Get, Fault::Panic);
    let mut codes = Vec::new();
    for op_id in 1..=10 {
        bench.ask("alice", 1, op_id, Op::Sync(Seq::ZERO, 1));
        // A mailbox that dies answers nothing; the connection would say so by its deadline.
        if let Ok((1, part)) = timeout(A_WHILE, bench.told.recv()).await.map(Option::unwrap) {
            codes.push(Told::of(part));
        }
    }
    faults.heal();
    let corrupt = ErrorCode::Corrupt.number();
    assert!(matches!(codes.last(), Some(Told::Refused { op_id: 10, code }) if *code == corrupt), "{codes:?}");
    assert!(codes.len() >= 5, "it was not stopped early: {codes:?}");
    bench.send("bob", 2, 12, "bob");
    assert_eq!(bench.told(2).await, Told::Acked { op_id: 12, seq: 1, duplicate: false });
}
