//! Users without a mailbox in memory are greeted from what the shard knows of them, and it never knows anything old.

use std::sync::Arc;

use tidings_schema::{
    error_code::ErrorCode,
    id::{Millis, Seq},
};

use tokio::time::timeout;

use super::{A_WHILE, Bench, LONG, Told};
use crate::{
    port::{
        link::{Attach, Op, ResumePoint},
        store::Unavailable,
    },
    testkit::{
        faults::{Fault, Faults, Method},
        held::HeldSync,
        memory::MemoryStore,
    },
};

impl Bench {
    /// Goes on until nobody has been told anything for a while.
    async fn all_told(&mut self) {
        while timeout(A_WHILE, self.told.recv()).await.is_ok() {}
    }

    /// Time in which every mailbox leaves memory.
    async fn all_leave(&mut self) {
        for _ in 0..3 {
            tokio::time::advance(LONG).await;
            self.all_told().await;
        }
    }

    /// Comes back with everything up to `inbox`.
    async fn comes_back(&mut self, connection: u64, inbox: u64) -> Told {
        self.knocks(connection, inbox);
        self.told(connection).await
    }

    fn knocks(&self, connection: u64, inbox: u64) {
        let resume = Some(ResumePoint { inbox: Seq::new(inbox), log_id: None });
        let device = "d1".parse().unwrap();
        let attach = Attach { device, platform: String::new(), issued: Millis::default(), resume };
        self.ask("alice", connection, 1, Op::Attach(attach));
    }
}

fn behind_faults() -> (Arc<Faults>, Bench) {
    let faults = Arc::new(Faults::new(Arc::new(MemoryStore::new())));
    let bench = Bench::new(faults.clone());
    (faults, bench)
}

fn unreadable(faults: &Faults) {
    for method in [Method::Get, Method::Scan, Method::Read, Method::ReadBack] {
        faults.lasting(method, Fault::Fail(Unavailable::Down));
    }
}

#[actix::test]
async fn whoever_comes_back_is_greeted_without_a_read() {
    let (faults, mut bench) = behind_faults();
    bench.online("alice", 1).await;
    bench.all_leave().await;
    unreadable(&faults);
    bench.ask("alice", 1, 0, Op::Detach);
    assert_eq!(bench.comes_back(2, 0).await, Told::Welcome { head: 0, resume_after: 0 });
    bench.ask("alice", 2, 0, Op::Detach);
    assert_eq!(bench.comes_back(3, 0).await, Told::Welcome { head: 0, resume_after: 0 });
}

#[actix::test]
async fn what_a_shard_read_once_it_knows_after_a_restart_too() {
    let store = Arc::new(MemoryStore::new());
    let mut bench = Bench::new(store.clone());
    bench.online("alice", 1).await;
    bench.all_leave().await;
    let faults = Arc::new(Faults::new(store));
    let mut bench = bench.after_crash(faults.clone());
    assert_eq!(bench.comes_back(2, 0).await, Told::Welcome { head: 0, resume_after: 0 });
    unreadable(&faults);
    assert_eq!(bench.comes_back(3, 0).await, Told::Welcome { head: 0, resume_after: 0 });
}

#[actix::test]
async fn what_came_meanwhile_is_pushed() {
    let (_faults, mut bench) = behind_faults();
    bench.online("alice", 1).await;
    bench.all_leave().await;
    bench.ask("alice", 1, 0, Op::Detach);
    bench.online("bob", 9).await;
    bench.send("bob", 9, 2, "alice");
    bench.all_leave().await;
    for _ in 0..2 {
        assert_eq!(bench.comes_back(2, 0).await, Told::Welcome { head: 1, resume_after: 0 });
        assert_eq!(bench.told(2).await, Told::Pushed(vec![1]));
        bench.ask("alice", 2, 0, Op::Detach);
        bench.all_leave().await;
    }
    assert_eq!(bench.comes_back(3, 1).await, Told::Welcome { head: 1, resume_after: 1 });
}

#[actix::test]
async fn a_mailbox_that_dies_takes_with_it_what_was_known_before() {
    let (faults, mut bench) = behind_faults();
    bench.online("alice", 1).await;
    bench.send("alice", 1, 2, "carl");
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 2, seq: 1, duplicate: false });
    bench.ask("alice", 1, 0, Op::Detach);
    bench.all_leave().await;
    assert_eq!(bench.comes_back(2, 1).await, Told::Welcome { head: 1, resume_after: 1 });
    bench.ask("alice", 2, 0, Op::Detach);
    // She is signed out, durably; what her mailbox reads next panics before it could leave.
    bench.ask("alice", 99, 7, Op::Revoke(None));
    assert_eq!(bench.told(99).await, Told::Done(7));
    faults.once(Method::Get, Fault::Panic);
    bench.send("alice", 99, 8, "carl");
    bench.all_told().await;
    let refused = Told::Refused { op_id: 1, code: ErrorCode::TokenRevoked.number() };
    assert_eq!(bench.comes_back(3, 1).await, refused);
}

#[actix::test]
async fn what_is_on_its_way_into_the_store_is_not_greeted_past() {
    let store = Arc::new(MemoryStore::new());
    let mut bench = Bench::new(store.clone());
    bench.online("alice", 1).await;
    bench.send("alice", 1, 2, "carl");
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 2, seq: 1, duplicate: false });
    bench.ask("alice", 1, 0, Op::Detach);
    bench.all_leave().await;
    let held = Arc::new(HeldSync::new(store));
    let faults = Arc::new(Faults::new(held.clone()));
    let mut bench = bench.after_crash(faults.clone());
    assert_eq!(bench.comes_back(1, 1).await, Told::Welcome { head: 1, resume_after: 1 });
    bench.ask("alice", 1, 0, Op::Detach);
    // The sign-out is not durable yet when her mailbox dies.
    held.hold();
    bench.ask("alice", 99, 7, Op::Revoke(None));
    bench.all_told().await;
    faults.once(Method::Get, Fault::Panic);
    bench.send("alice", 99, 8, "carl");
    bench.all_told().await;
    bench.knocks(2, 1);
    bench.all_told().await;
    held.stop_holding();
    held.release_all();
    let refused = Told::Refused { op_id: 1, code: ErrorCode::TokenRevoked.number() };
    assert_eq!(bench.told(2).await, refused);
    assert_eq!(bench.comes_back(3, 1).await, refused);
}
