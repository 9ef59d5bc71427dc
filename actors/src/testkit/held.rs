//! A store whose disk does not answer until told: writes wait, unresolved and not durable, until they are released.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tidings_schema::id::{Gid, Seq, Uid};
use tokio::sync::{oneshot, watch};

use crate::port::{
    ownership::Stamp,
    store::{
        Append, Change, GroupScan, GroupScanPage, HistoryRange, Key, MembersPage, Page, PageLimit, Reply, Row, Scan,
        ScanPage, Store, StoreError, TimelineId, Unavailable,
    },
};

/// Holds writes back from another store. Reads pass, and see only what was released.
///
/// A held write happens when it is released, even if its caller is gone by then. One that is still held when the
/// decorator is dropped never happens, and resolves to `Unavailable`.
pub struct HeldSync {
    inner: Arc<dyn Store>,
    gate: Mutex<Gate>,
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Gate {
    holding: bool,
    held: VecDeque<(Write, oneshot::Sender<Reply<()>>)>,
}

enum Write {
    Append(Append),
    Put(Vec<Change>, Stamp),
    Redact(TimelineId, Row, Stamp),
    Sweep(TimelineId, Seq, Seq),
}

impl HeldSync {
    /// Passes everything on until [`HeldSync::hold`].
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, gate: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// Holds all writes from now on.
    pub fn hold(&self) {
        self.gate().holding = true;
    }

    /// Holds no further write. Those that are held stay so.
    pub fn stop_holding(&self) {
        self.gate().holding = false;
    }

    /// How many writes are held.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Resolves as soon as at least so many writes are held.
    pub fn held(&self, at_least: usize) -> impl Future<Output = ()> + use<> {
        let mut count = self.count.subscribe();
        async move {
            // An error means that the store is gone: nothing will ever be held, and the test stops elsewhere.
            let _gone = count.wait_for(|count| *count >= at_least).await.is_err();
        }
    }

    /// Releases the oldest held write; whether there was one.
    pub fn release_next(&self) -> bool {
        let mut gate = self.gate();
        let Some((write, reply)) = gate.held.pop_front() else { return false };
        let done = self.perform(write);
        self.count.send_replace(gate.held.len());
        // The caller may be gone; the write has begun all the same.
        let _caller_gone = reply.send(done).is_err();
        true
    }

    /// Releases all held writes, in order; how many there were.
    pub fn release_all(&self) -> usize {
        let held = self.count();
        (0..held).filter(|_| self.release_next()).count()
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(&self, write: Write) -> Reply<()> {
        match write {
            Write::Append(append) => self.inner.append(append),
            Write::Put(changes, stamp) => self.inner.put(changes, stamp),
            Write::Redact(timeline, row, stamp) => self.inner.redact(timeline, row, stamp),
            Write::Sweep(timeline, from, below) => self.inner.sweep(timeline, from, below),
        }
    }

    fn write(&self, write: Write) -> Reply<()> {
        let mut gate = self.gate();
        if !gate.holding {
            return self.perform(write);
        }
        let (reply, released) = oneshot::channel();
        gate.held.push_back((write, reply));
        self.count.send_replace(gate.held.len());
        Box::pin(async move {
            match released.await {
                Ok(done) => done.await,
                Err(_) => Err(StoreError::Unavailable(Unavailable::Down)),
            }
        })
    }
}

impl Store for HeldSync {
    fn append(&self, append: Append) -> Reply<()> {
        self.write(Write::Append(append))
    }

    fn put(&self, changes: Vec<Change>, stamp: Stamp) -> Reply<()> {
        self.write(Write::Put(changes, stamp))
    }

    fn redact(&self, timeline: TimelineId, row: Row, stamp: Stamp) -> Reply<()> {
        self.write(Write::Redact(timeline, row, stamp))
    }

    fn sweep(&self, timeline: TimelineId, from: Seq, below: Seq) -> Reply<()> {
        self.write(Write::Sweep(timeline, from, below))
    }

    fn get(&self, keys: Vec<Key>) -> Reply<Vec<Option<Bytes>>> {
        self.inner.get(keys)
    }

    fn scan(&self, scan: Scan, after: Option<Uid>, limit: usize) -> Reply<ScanPage> {
        self.inner.scan(scan, after, limit)
    }

    fn scan_groups(&self, scan: GroupScan, after: Option<Gid>, limit: usize) -> Reply<GroupScanPage> {
        self.inner.scan_groups(scan, after, limit)
    }

    fn members(&self, gid: Gid, after: Option<Uid>, limit: PageLimit) -> Reply<MembersPage> {
        self.inner.members(gid, after, limit)
    }

    fn read(&self, timeline: TimelineId, after: Seq, ceiling: Seq, limit: PageLimit) -> Reply<Page> {
        self.inner.read(timeline, after, ceiling, limit)
    }

    fn read_back(&self, timeline: TimelineId, before: Seq, limit: PageLimit) -> Reply<Page> {
        self.inner.read_back(timeline, before, limit)
    }

    fn read_history(&self, range: HistoryRange, limit: PageLimit) -> Reply<Page> {
        self.inner.read_history(range, limit)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::testkit::{
        memory::MemoryStore,
        suite::{append_of, read_all, rows},
    };

    fn held_memory() -> (MemoryStore, Arc<HeldSync>, Arc<dyn Store>) {
        let memory = MemoryStore::new();
        let held = Arc::new(HeldSync::new(Arc::new(memory.clone())));
        (memory, held.clone(), held)
    }

    crate::store_suite!(async {
        let held: Arc<HeldSync> = held_memory().1;
        (held as Arc<dyn Store>, ())
    });

    #[tokio::test]
    async fn a_held_write_is_neither_resolved_nor_durable() {
        let (memory, held, store) = held_memory();
        held.hold();
        let mut reply = store.append(append_of("a", 1..=1));
        assert!((&mut reply).now_or_never().is_none());
        let crashed: Arc<dyn Store> = Arc::new(memory.durable_copy());
        assert!(read_all(&crashed, "a").await.is_empty());
        assert!(held.release_next());
        reply.await.unwrap();
        assert_eq!(read_all(&store, "a").await, rows(1..=1));
        assert!(!held.release_next());
    }

    #[tokio::test]
    async fn waiting_for_held_writes_ends_when_there_are_enough() {
        let (_, held, store) = held_memory();
        held.hold();
        let two = tokio::spawn(held.held(2));
        let replies = [store.append(append_of("a", 1..=1)), store.append(append_of("b", 1..=1))];
        two.await.unwrap();
        assert_eq!((held.release_all(), held.count()), (2, 0));
        for reply in replies {
            reply.await.unwrap();
        }
    }

    #[tokio::test]
    async fn writes_pass_again_after_holding_stops() {
        let (_, held, store) = held_memory();
        held.hold();
        let first = store.append(append_of("a", 1..=1));
        held.stop_holding();
        store.append(append_of("b", 1..=1)).await.unwrap();
        assert_eq!(held.count(), 1);
        held.release_all();
        first.await.unwrap();
    }

    #[tokio::test]
    async fn a_released_write_happens_without_its_caller() {
        let (_, held, store) = held_memory();
        held.hold();
        drop(store.append(append_of("a", 1..=1)));
        held.release_all();
        assert_eq!(read_all(&store, "a").await, rows(1..=1));
    }
}
