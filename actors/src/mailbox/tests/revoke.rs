//! Signing out: durable before it is confirmed, for one device or for all, for good.

use std::{sync::Arc, time::Duration};

use tidings_schema::{
    error_code::ErrorCode,
    id::{DeviceId, Millis, Seq},
};

use super::{Bench, Told};
use crate::{
    limits::MailboxLimits,
    port::link::{Attach, Op, ResumePoint},
    testkit::{held::HeldSync, memory::MemoryStore},
};

/// The operator, as the mailbox sees it.
const DESK: u64 = 99;

impl Bench {
    /// Comes with a token issued at `issued`; what it is told first.
    async fn sign_in(&mut self, connection: u64, issued: Millis) -> Told {
        let resume = Some(ResumePoint { inbox: Seq::ZERO, log_id: None });
        let attach = Attach { device: device(connection), platform: String::new(), issued, resume };
        self.ask("alice", connection, 1, Op::Attach(attach));
        self.told(connection).await
    }

    async fn revoke(&mut self, device: Option<DeviceId>) {
        self.ask("alice", DESK, 7, Op::Revoke(device));
        assert_eq!(self.told(DESK).await, Told::Done(7));
    }

    fn wall(&self) -> Millis {
        use crate::port::clock::Clock as _;
        self.clock.now()
    }
}

fn device(connection: u64) -> DeviceId {
    format!("d{connection}").parse().unwrap()
}

fn welcomed() -> Told {
    Told::Welcome { head: 0, resume_after: 0 }
}

fn turned_away() -> Told {
    Told::Refused { op_id: 1, code: ErrorCode::TokenRevoked.number() }
}

/// So long that every mailbox without work has left memory.
async fn quiet(bench: &mut Bench) {
    for _ in 0..3 {
        tokio::time::advance(Duration::from_millis(MailboxLimits::default().mailbox_idle_ms)).await;
        bench.silence().await;
    }
}

#[actix::test]
async fn who_is_signed_out_is_sent_away_and_turned_away_until_there_is_a_newer_token() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    let before = bench.wall();
    assert_eq!(bench.sign_in(1, before).await, welcomed());
    tokio::time::advance(Duration::from_secs(1)).await;
    let moment = bench.wall();
    bench.ask("alice", DESK, 7, Op::Revoke(None));
    assert_eq!(bench.told(1).await, Told::SignedOut(moment));
    for issued in [before, Millis::default(), Millis::new(moment.get() - 1)] {
        assert_eq!(bench.sign_in(2, issued).await, turned_away());
    }
    assert_eq!(bench.sign_in(2, moment).await, welcomed());
}

#[actix::test]
async fn a_sign_out_is_confirmed_when_it_is_durable_and_outlives_a_crash() {
    let store = MemoryStore::new();
    let held = Arc::new(HeldSync::new(Arc::new(store.clone())));
    let mut bench = Bench::new(held.clone());
    let before = bench.wall();
    assert_eq!(bench.sign_in(1, before).await, welcomed());
    tokio::time::advance(Duration::from_secs(1)).await;
    held.hold();
    bench.ask("alice", DESK, 7, Op::Revoke(None));
    bench.silence().await;
    held.release_next();
    assert_eq!(bench.told(DESK).await, Told::Done(7));
    let mut bench = Bench::again(Arc::new(store.durable_copy()));
    assert_eq!(bench.sign_in(1, before).await, turned_away());
}

#[actix::test]
async fn a_quiet_user_is_turned_away_also_by_the_greeting_without_a_mailbox() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    let before = bench.wall();
    assert_eq!(bench.sign_in(1, before).await, welcomed());
    bench.ask("alice", 1, 0, Op::Detach);
    tokio::time::advance(Duration::from_secs(1)).await;
    bench.revoke(None).await;
    let after = bench.wall();
    quiet(&mut bench).await;
    assert_eq!(bench.sign_in(1, before).await, turned_away());
    quiet(&mut bench).await;
    assert_eq!(bench.sign_in(1, after).await, welcomed());
}

#[actix::test]
async fn one_device_is_signed_out_alone_also_one_that_was_never_seen() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    let before = bench.wall();
    assert_eq!(bench.sign_in(1, before).await, welcomed());
    tokio::time::advance(Duration::from_secs(1)).await;
    bench.revoke(Some(device(2))).await;
    bench.revoke(Some(device(3))).await;
    quiet(&mut bench).await;
    assert_eq!(bench.sign_in(2, before).await, turned_away());
    assert_eq!(bench.sign_in(1, before).await, welcomed());
    let after = bench.wall();
    assert_eq!(bench.sign_in(2, after).await, welcomed());
    assert_eq!(bench.sign_in(3, before).await, turned_away());
    bench.revoke(Some(device(1))).await;
    assert_eq!(bench.sign_in(1, before).await, turned_away());
}

#[actix::test]
async fn a_device_that_had_to_make_room_stays_signed_out() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    let before = bench.wall();
    assert_eq!(bench.sign_in(1, before).await, welcomed());
    tokio::time::advance(Duration::from_secs(1)).await;
    bench.revoke(Some(device(1))).await;
    bench.ask("alice", 1, 0, Op::Detach);
    for connection in 2..20 {
        tokio::time::advance(Duration::from_millis(10)).await;
        assert_eq!(bench.sign_in(connection, before).await, welcomed());
    }
    quiet(&mut bench).await;
    assert_eq!(bench.sign_in(1, before).await, turned_away());
}
