//! The Appender against stores that hold, fail, lose replies and panic: what is committed, in which order, and what is
//! taken meanwhile.

use std::{future::poll_fn, rc::Rc, sync::Arc, task::Poll};

use tidings_schema::id::{Epoch, Seq, ShardId, Uid};
use tokio::task::LocalSet;

use super::{Append, Appender, LaneState, Progress, PutNumber, UNCOMMITTED_ROWS_MAX};
use crate::{
    port::{
        ownership::{Barrier, Ownership, Stamp},
        store::{BUCKET_ROWS, Change, GroupScan, Key, PageLimit, Row, Store, StoreError, TimelineId, Unavailable},
    },
    testkit::{
        faults::{Fault, Faults, Method},
        held::HeldSync,
        memory::MemoryStore,
        suite::{gid, group, read_all, rows, uid},
    },
};

struct Owner;

impl Ownership for Owner {
    fn epoch(&self, _: ShardId) -> Option<Epoch> {
        Some(Epoch::new(1))
    }
    fn stamp(&self, _: ShardId) -> Stamp {
        Stamp(1)
    }
    fn barrier(&self) -> Barrier {
        Barrier::Passed
    }
}

fn appender(store: Arc<dyn Store>) -> Appender {
    Appender::new(ShardId::new(0), store, Arc::new(Owner))
}

fn inbox(name: &str) -> TimelineId {
    TimelineId::Inbox(uid(name))
}

/// Waits until the cell says what is wanted; the Appender wakes it.
async fn until(progress: &Rc<Progress>, wanted: impl Fn(&Progress) -> bool) {
    poll_fn(|cx| {
        progress.register(cx.waker());
        if wanted(progress) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn change(owner: &Uid, value: &'static str) -> Change {
    Change { key: Key::Checkpoint(owner.clone()), value: Some(value.into()) }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_committed_before_the_sync_and_rows_gather_meanwhile() {
    let memory = MemoryStore::new();
    let held = Arc::new(HeldSync::new(Arc::new(memory.clone())));
    held.hold();
    let appender = appender(held.clone());
    LocalSet::new()
        .run_until(async {
            let progress = appender.progress(&inbox("a"));
            for row in rows(1..=3) {
                assert_eq!(appender.append(&inbox("a"), vec![row], Vec::new()), Append::Taken);
            }
            held.held(1).await;
            assert_eq!(progress.committed(), Seq::ZERO);
            assert!(appender.in_flight(&inbox("a")));
            held.stop_holding();
            held.release_all();
            until(&progress, |progress| progress.committed() == Seq::new(3)).await;
            assert!(!appender.in_flight(&inbox("a")));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_store_gets_the_same_rows_again_and_takes_no_new_ones() {
    let faults = Arc::new(Faults::new(Arc::new(MemoryStore::new())));
    faults.lasting(Method::Append, Fault::Fail(Unavailable::DiskFull));
    let appender = appender(faults.clone());
    LocalSet::new()
        .run_until(async {
            let progress = appender.progress(&inbox("a"));
            assert_eq!(appender.append(&inbox("a"), rows(1..=1), Vec::new()), Append::Taken);
            until(&progress, |progress| progress.state() == LaneState::Unavailable).await;
            assert_eq!(appender.append(&inbox("a"), rows(2..=2), Vec::new()), Append::Unavailable);
            assert_eq!(appender.room(&inbox("b"), 1), Append::Taken, "other timelines go on");
            faults.heal();
            until(&progress, |progress| progress.committed() == Seq::new(1)).await;
            assert_eq!(appender.append(&inbox("a"), rows(2..=2), Vec::new()), Append::Taken);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_and_a_panic_cost_one_attempt_each() {
    let memory = MemoryStore::new();
    for fault in [Fault::LoseReply, Fault::Panic] {
        let faults = Arc::new(Faults::new(Arc::new(memory.clone())));
        faults.once(Method::Append, fault);
        faults.once(Method::Put, fault);
        let appender = appender(faults.clone());
        LocalSet::new()
            .run_until(async {
                let progress = appender.progress(&inbox("a"));
                assert_eq!(appender.append(&inbox("a"), rows(1..=2), Vec::new()), Append::Taken);
                let put = appender.put(&inbox("a"), vec![change(&uid("a"), "x")]);
                until(&progress, |p| p.committed() == Seq::new(2) && p.flushed() == put).await;
            })
            .await;
    }
    let store: Arc<dyn Store> = Arc::new(memory);
    assert_eq!(read_all(&store, "a").await, rows(1..=2));
}

#[tokio::test(start_paused = true)]
async fn more_rows_than_the_window_are_refused() {
    let held = Arc::new(HeldSync::new(Arc::new(MemoryStore::new())));
    held.hold();
    let appender = appender(held);
    LocalSet::new()
        .run_until(async {
            let all = u64::try_from(UNCOMMITTED_ROWS_MAX).unwrap();
            assert_eq!(appender.append(&inbox("a"), rows(1..=all), Vec::new()), Append::Taken);
            assert_eq!(appender.append(&inbox("a"), rows(all + 1..=all + 1), Vec::new()), Append::Full);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn batches_end_at_the_borders_of_buckets() {
    let faults = Arc::new(Faults::new(Arc::new(MemoryStore::new())));
    let appender = appender(faults);
    LocalSet::new()
        .run_until(async {
            let progress = appender.progress(&inbox("a"));
            // The store refuses an append that crosses the border, which would stop the timeline.
            let around = rows(BUCKET_ROWS - 1..=BUCKET_ROWS + 2);
            assert_eq!(appender.append(&inbox("a"), around, Vec::new()), Append::Taken);
            until(&progress, |progress| progress.committed() == Seq::new(BUCKET_ROWS + 2)).await;
            assert_eq!(progress.state(), LaneState::Open);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_append_stops_only_its_timeline() {
    let appender = appender(Arc::new(MemoryStore::new()));
    LocalSet::new()
        .run_until(async {
            let progress = appender.progress(&inbox("a"));
            let twice = vec![Row { seq: Seq::new(1), value: "x".into() }, Row { seq: Seq::new(3), value: "y".into() }];
            assert_eq!(appender.append(&inbox("a"), twice, Vec::new()), Append::Taken);
            until(&progress, |progress| progress.state() == LaneState::Stopped).await;
            assert_eq!(appender.append(&inbox("a"), rows(1..=1), Vec::new()), Append::Stopped);
            assert_eq!(appender.append(&inbox("b"), rows(1..=1), Vec::new()), Append::Taken);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn records_keep_their_order_and_the_newest_value_wins() {
    let memory = MemoryStore::new();
    let held = Arc::new(HeldSync::new(Arc::new(memory.clone())));
    held.hold();
    let appender = appender(held.clone());
    LocalSet::new()
        .run_until(async {
            let (owner, progress) = (uid("a"), appender.progress(&inbox("a")));
            let first = appender.put(&inbox("a"), vec![change(&owner, "1")]);
            held.held(1).await;
            appender.put(&inbox("a"), vec![change(&owner, "2")]);
            let last = appender.put(&inbox("a"), vec![change(&owner, "3")]);
            assert_eq!(progress.flushed(), PutNumber::default());
            held.release_next();
            until(&progress, |progress| progress.flushed() == first).await;
            held.stop_holding();
            held.release_all();
            until(&progress, |progress| progress.flushed() == last).await;
            let stored: Result<_, StoreError> = memory.get(vec![Key::Checkpoint(owner.clone())]).await;
            assert_eq!(stored.unwrap(), vec![Some("3".into())]);
            appender.forget(&inbox("a"));
            assert_eq!(appender.committed(&inbox("a")), Seq::ZERO);
        })
        .await;
}

/// Whether a message was written anew is read in the log, so the log is the last to say so.
#[tokio::test(start_paused = true)]
async fn a_row_is_written_anew_after_the_records_that_go_with_it() {
    let memory = MemoryStore::new();
    let held = Arc::new(HeldSync::new(Arc::new(memory.clone())));
    let appender = appender(held.clone());
    let store: Arc<dyn Store> = Arc::new(memory);
    LocalSet::new()
        .run_until(async {
            let (owner, progress) = (uid("a"), appender.progress(&inbox("a")));
            assert_eq!(appender.append(&inbox("a"), rows(1..=1), Vec::new()), Append::Taken);
            until(&progress, |progress| progress.committed() == Seq::new(1)).await;
            held.hold();
            let anew = vec![Row { seq: Seq::new(1), value: "anew".into() }];
            let put = appender.redact(&inbox("a"), anew.clone(), vec![change(&owner, "x")]);
            held.held(1).await;
            held.release_next();
            held.held(1).await;
            assert_eq!(store.get(vec![Key::Checkpoint(owner)]).await.unwrap(), vec![Some("x".into())]);
            assert_eq!((read_all(&store, "a").await, progress.flushed()), (rows(1..=1), PutNumber::default()));
            held.release_next();
            until(&progress, |progress| progress.flushed() == put).await;
            assert_eq!(read_all(&store, "a").await, anew);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_and_an_inbox_of_the_same_id_go_their_own_ways() {
    let memory = MemoryStore::new();
    let faults = Arc::new(Faults::new(Arc::new(memory.clone())));
    let appender = appender(faults.clone());
    let store: Arc<dyn Store> = Arc::new(memory);
    LocalSet::new()
        .run_until(async {
            let (mailbox, of_group) = (appender.progress(&inbox("a")), appender.progress(&group("a")));
            let mark = Change { key: Key::Mark(ShardId::new(0), group("a")), value: Some("".into()) };
            assert_eq!(appender.append(&group("a"), rows(1..=3), vec![mark]), Append::Taken);
            until(&of_group, |progress| progress.committed() == Seq::new(3)).await;
            assert_eq!((mailbox.committed(), appender.committed(&inbox("a"))), (Seq::ZERO, Seq::ZERO));
            assert!(read_all(&store, "a").await.is_empty());
            assert_eq!(store.scan_groups(GroupScan::Marks(ShardId::new(0)), None, 9).await.unwrap().gids, [gid("a")]);

            let anew = Row { seq: Seq::new(2), value: "anew".into() };
            let checkpoint = Change { key: Key::GroupCheckpoint(gid("a")), value: Some("x".into()) };
            let put = appender.redact(&group("a"), vec![anew.clone()], vec![checkpoint]);
            until(&of_group, |progress| progress.flushed() == put).await;
            assert_eq!(mailbox.flushed(), PutNumber::default());
            let limit = PageLimit { rows: 9, bytes: 999 };
            assert_eq!(store.read(group("a"), Seq::new(1), Seq::new(2), limit).await.unwrap().rows, [anew]);

            faults.lasting(Method::Append, Fault::Fail(Unavailable::DiskFull));
            assert_eq!(appender.append(&group("a"), rows(4..=4), Vec::new()), Append::Taken);
            until(&of_group, |progress| progress.state() == LaneState::Unavailable).await;
            assert!(appender.in_flight(&group("a")) && !appender.in_flight(&inbox("a")));
            assert_eq!((mailbox.state(), appender.room(&inbox("a"), 1)), (LaneState::Open, Append::Taken));
        })
        .await;
}
