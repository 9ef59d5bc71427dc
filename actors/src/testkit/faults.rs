//! A store that fails on command: refuses, loses its answer, is slow, or panics; once, for a while, in chosen methods.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tidings_schema::id::{Gid, Seq, Uid};

use crate::port::{
    ownership::Stamp,
    store::{
        Append, Change, GroupScan, GroupScanPage, HistoryRange, Key, MembersPage, Page, PageLimit, Reply, Row, Scan,
        ScanPage, Store, StoreError, TimelineId, Unavailable,
    },
};

/// The methods of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "named like the methods")]
pub enum Method {
    Append,
    Put,
    Get,
    Scan,
    ScanGroups,
    Members,
    Read,
    ReadBack,
    ReadHistory,
    Redact,
    Sweep,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens, and the caller is told that it cannot.
    Fail(Unavailable),
    /// It happens, but the caller is told that the store did not answer.
    LoseReply,
    /// It happens after this much time.
    Delay(Duration),
    /// The method panics on the caller's thread.
    Panic,
}

/// Puts faults before another store. Without any it changes nothing.
pub struct Faults {
    inner: Arc<dyn Store>,
    plan: Mutex<HashMap<Method, Plan>>,
}

#[derive(Default)]
struct Plan {
    next: VecDeque<Option<Fault>>,
    lasting: Option<Fault>,
}

impl Faults {
    /// No faults yet.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, plan: Mutex::default() }
    }

    /// The next call of `method` that has no fault planned yet has this one. Before lasting faults.
    pub fn once(&self, method: Method, fault: Fault) {
        self.with(method, |plan| plan.next.push_back(Some(fault)));
    }

    /// The next call of `method` that has nothing planned yet goes well.
    pub fn spare(&self, method: Method) {
        self.with(method, |plan| plan.next.push_back(None));
    }

    /// All calls of `method` have this fault from now on, until [`Faults::heal`].
    pub fn lasting(&self, method: Method, fault: Fault) {
        self.with(method, |plan| plan.lasting = Some(fault));
    }

    /// Forgets all faults.
    pub fn heal(&self) {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn with<T>(&self, method: Method, change: impl FnOnce(&mut Plan) -> T) -> T {
        change(self.plan.lock().unwrap_or_else(PoisonError::into_inner).entry(method).or_default())
    }

    fn call<T: Send + 'static>(
        &self,
        method: Method,
        inner: impl FnOnce(&dyn Store) -> Reply<T> + Send + 'static,
    ) -> Reply<T> {
        let fault = self.with(method, |plan| plan.next.pop_front().unwrap_or(plan.lasting));
        let store = self.inner.clone();
        match fault {
            None => inner(&*store),
            Some(Fault::Fail(why)) => Box::pin(std::future::ready(Err(StoreError::Unavailable(why)))),
            Some(Fault::LoseReply) => {
                let reply = inner(&*store);
                Box::pin(async move {
                    drop(reply.await);
                    Err(StoreError::Unavailable(Unavailable::Down))
                })
            }
            Some(Fault::Delay(time)) => Box::pin(async move {
                tokio::time::sleep(time).await;
                inner(&*store).await
            }),
            Some(Fault::Panic) => std::panic::panic_any(format!("planned panic in {method:?}")),
        }
    }
}

impl Store for Faults {
    fn append(&self, append: Append) -> Reply<()> {
        self.call(Method::Append, move |store| store.append(append))
    }

    fn put(&self, changes: Vec<Change>, stamp: Stamp) -> Reply<()> {
        self.call(Method::Put, move |store| store.put(changes, stamp))
    }

    fn get(&self, keys: Vec<Key>) -> Reply<Vec<Option<Bytes>>> {
        self.call(Method::Get, move |store| store.get(keys))
    }

    fn scan(&self, scan: Scan, after: Option<Uid>, limit: usize) -> Reply<ScanPage> {
        self.call(Method::Scan, move |store| store.scan(scan, after, limit))
    }

    fn scan_groups(&self, scan: GroupScan, after: Option<Gid>, limit: usize) -> Reply<GroupScanPage> {
        self.call(Method::ScanGroups, move |store| store.scan_groups(scan, after, limit))
    }

    fn members(&self, gid: Gid, after: Option<Uid>, limit: PageLimit) -> Reply<MembersPage> {
        self.call(Method::Members, move |store| store.members(gid, after, limit))
    }

    fn read(&self, timeline: TimelineId, after: Seq, ceiling: Seq, limit: PageLimit) -> Reply<Page> {
        self.call(Method::Read, move |store| store.read(timeline, after, ceiling, limit))
    }

    fn read_back(&self, timeline: TimelineId, before: Seq, limit: PageLimit) -> Reply<Page> {
        self.call(Method::ReadBack, move |store| store.read_back(timeline, before, limit))
    }

    fn read_history(&self, range: HistoryRange, limit: PageLimit) -> Reply<Page> {
        self.call(Method::ReadHistory, move |store| store.read_history(range, limit))
    }

    fn redact(&self, timeline: TimelineId, row: Row, stamp: Stamp) -> Reply<()> {
        self.call(Method::Redact, move |store| store.redact(timeline, row, stamp))
    }

    fn sweep(&self, timeline: TimelineId, from: Seq, below: Seq) -> Reply<()> {
        self.call(Method::Sweep, move |store| store.sweep(timeline, from, below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{
        memory::MemoryStore,
        suite::{append_of, everything, inbox, read_all, rows},
    };

    fn faulty() -> (Arc<Faults>, Arc<dyn Store>) {
        let faults = Arc::new(Faults::new(Arc::new(MemoryStore::new())));
        (faults.clone(), faults)
    }

    const DOWN: Result<(), StoreError> = Err(StoreError::Unavailable(Unavailable::Down));

    crate::store_suite!(async {
        let faults: Arc<Faults> = faulty().0;
        (faults as Arc<dyn Store>, ())
    });

    #[tokio::test]
    async fn a_failed_call_does_nothing_and_the_next_one_works() {
        let (faults, store) = faulty();
        faults.once(Method::Append, Fault::Fail(Unavailable::DiskFull));
        let refused = store.append(append_of("a", 1..=1)).await;
        assert_eq!(refused, Err(StoreError::Unavailable(Unavailable::DiskFull)));
        assert!(read_all(&store, "a").await.is_empty());
        store.append(append_of("a", 1..=1)).await.unwrap();
    }

    #[tokio::test]
    async fn a_lost_reply_hides_a_write_that_happened() {
        let (faults, store) = faulty();
        faults.once(Method::Append, Fault::LoseReply);
        assert_eq!(store.append(append_of("a", 1..=1)).await, DOWN);
        assert_eq!(read_all(&store, "a").await, rows(1..=1));
    }

    #[tokio::test]
    async fn a_lasting_fault_lasts_until_healed() {
        let (faults, store) = faulty();
        faults.lasting(Method::Append, Fault::Fail(Unavailable::Down));
        assert_eq!(store.append(append_of("a", 1..=1)).await, DOWN);
        assert_eq!(store.append(append_of("a", 1..=1)).await, DOWN);
        store.put(vec![], Stamp(1)).await.unwrap();
        faults.heal();
        store.append(append_of("a", 1..=1)).await.unwrap();
    }

    #[tokio::test]
    async fn a_spared_call_goes_well_among_faults() {
        let (faults, store) = faulty();
        faults.spare(Method::Append);
        faults.once(Method::Append, Fault::Fail(Unavailable::Down));
        store.append(append_of("a", 1..=1)).await.unwrap();
        assert_eq!(store.append(append_of("a", 2..=2)).await, DOWN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_call_takes_its_time_and_then_happens() {
        let (faults, store) = faulty();
        faults.lasting(Method::Read, Fault::Delay(Duration::from_secs(5)));
        let begun = tokio::time::Instant::now();
        store.read(inbox("a"), Seq::ZERO, Seq::new(1), everything()).await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 5);
    }

    #[tokio::test]
    async fn a_planned_panic_happens_once() {
        let (faults, store) = faulty();
        faults.once(Method::Put, Fault::Panic);
        let panicking = store.clone();
        assert!(tokio::spawn(async move { panicking.put(vec![], Stamp(1)).await }).await.unwrap_err().is_panic());
        store.put(vec![], Stamp(1)).await.unwrap();
    }
}
