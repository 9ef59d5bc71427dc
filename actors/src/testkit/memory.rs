//! A store in memory: what the others are compared with, and the store of actor tests.
//!
//! A write is durable when the call returns; its future resolves one turn later, as a real store never answers at once.
//! To keep writes from becoming durable, put [`super::held::HeldSync`] before it.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tidings_schema::id::{Gid, Seq, ShardId, Uid};

use crate::port::{
    ownership::Stamp,
    store::{
        Append, Change, GroupScan, GroupScanPage, HistoryRange, Key, MembersPage, Page, PageLimit, Reply, Row, Scan,
        ScanPage, Store, StoreError, TimelineId, check_put, check_sweep,
    },
};

/// A handle to one store; clones share what is stored.
#[derive(Clone, Default)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Clone, Default)]
struct Tables {
    rows: BTreeMap<(TimelineId, Seq), Bytes>,
    history: BTreeMap<(Uid, Uid, Seq), Bytes>,
    marks: BTreeMap<(ShardId, TimelineId), Bytes>,
    peers: BTreeMap<(Uid, Uid), Bytes>,
    group_peers: BTreeMap<(Uid, Gid), Bytes>,
    members: BTreeMap<(Gid, Uid), Bytes>,
    records: BTreeMap<Key, Bytes>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another store with everything that is durable now: what a process finds after a crash at this moment.
    #[must_use]
    pub fn durable_copy(&self) -> Self {
        Self { tables: Arc::new(Mutex::new(self.tables().clone())) }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn apply(&mut self, change: Change) {
        let value = change.value;
        match change.key {
            Key::Mark(shard, timeline) => set(&mut self.marks, (shard, timeline), value),
            Key::Peer(owner, peer) => set(&mut self.peers, (owner, peer), value),
            Key::GroupPeer(owner, gid) => set(&mut self.group_peers, (owner, gid), value),
            Key::Member(gid, uid) => set(&mut self.members, (gid, uid), value),
            Key::History { owner, peer, bucket: _, seq } => set(&mut self.history, (owner, peer, seq), value),
            key @ (Key::Head(_)
            | Key::Checkpoint(_)
            | Key::Conversation(_, _)
            | Key::GroupView(_, _)
            | Key::Device(_, _)
            | Key::MessageId(_, _, _)
            | Key::GroupCheckpoint(_)) => set(&mut self.records, key, value),
        }
    }

    fn get(&self, key: Key) -> Option<Bytes> {
        match key {
            Key::Mark(shard, timeline) => self.marks.get(&(shard, timeline)).cloned(),
            Key::Peer(owner, peer) => self.peers.get(&(owner, peer)).cloned(),
            Key::GroupPeer(owner, gid) => self.group_peers.get(&(owner, gid)).cloned(),
            Key::Member(gid, uid) => self.members.get(&(gid, uid)).cloned(),
            Key::History { owner, peer, bucket: _, seq } => self.history.get(&(owner, peer, seq)).cloned(),
            key @ (Key::Head(_)
            | Key::Checkpoint(_)
            | Key::Conversation(_, _)
            | Key::GroupView(_, _)
            | Key::Device(_, _)
            | Key::MessageId(_, _, _)
            | Key::GroupCheckpoint(_)) => self.records.get(&key).cloned(),
        }
    }

    fn append(&mut self, append: Append) -> Result<(), StoreError> {
        append.check()?;
        for change in append.with {
            self.apply(change);
        }
        for row in append.rows {
            self.rows.insert((append.timeline.clone(), row.seq), row.value);
        }
        Ok(())
    }

    fn put(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        check_put(&changes)?;
        for change in changes {
            self.apply(change);
        }
        Ok(())
    }

    fn redact(&mut self, timeline: TimelineId, row: Row) -> Result<(), StoreError> {
        let stored = self.rows.get_mut(&(timeline, row.seq)).ok_or(StoreError::Rejected("no such row"))?;
        *stored = row.value;
        Ok(())
    }

    fn sweep(&mut self, timeline: &TimelineId, from: Seq, below: Seq) -> Result<(), StoreError> {
        check_sweep(from, below)?;
        self.rows.retain(|(of, seq), _| of != timeline || *seq < from || *seq >= below);
        Ok(())
    }

    fn scan(&self, scan: Scan, after: Option<Uid>, limit: usize) -> ScanPage {
        let uids = match scan {
            Scan::Marks(shard) => self.marked(shard).filter_map(user).collect(),
            Scan::Inboxes => self.heads().filter_map(user).collect(),
            Scan::Peers(owner) => self.peers.keys().filter(|key| key.0 == owner).map(|key| key.1.clone()).collect(),
        };
        let (uids, more) = page_of(uids, after, limit);
        ScanPage { uids, more }
    }

    fn scan_groups(&self, scan: GroupScan, after: Option<Gid>, limit: usize) -> GroupScanPage {
        let of = |owner| self.group_peers.keys().filter(move |key| key.0 == owner).map(|key| key.1.clone());
        let gids = match scan {
            GroupScan::Marks(shard) => self.marked(shard).filter_map(group).collect(),
            GroupScan::Logs => self.heads().filter_map(group).collect(),
            GroupScan::Peers(owner) => of(owner).collect(),
        };
        let (gids, more) = page_of(gids, after, limit);
        GroupScanPage { gids, more }
    }

    fn marked(&self, shard: ShardId) -> impl Iterator<Item = &TimelineId> {
        self.marks.keys().filter(move |key| key.0 == shard).map(|key| &key.1)
    }

    fn heads(&self) -> impl Iterator<Item = &TimelineId> {
        self.records.keys().filter_map(|key| match key {
            Key::Head(timeline) => Some(timeline),
            _ => None,
        })
    }

    fn members(&self, gid: &Gid, after: Option<&Uid>, limit: PageLimit) -> MembersPage {
        let follows = |(of, uid): &(Gid, Uid)| of == gid && after.is_none_or(|after| uid > after);
        let found = self.members.iter().filter(|(key, _)| follows(key)).map(|((_, uid), value)| (uid.clone(), value));
        let (members, more) = limited(limit, found);
        MembersPage { members, more }
    }

    fn read(&self, timeline: TimelineId, after: Seq, ceiling: Seq, limit: PageLimit) -> Page {
        if after >= ceiling {
            return Page::default();
        }
        let from = Bound::Excluded((timeline.clone(), after));
        let rows = self.rows.range((from, Bound::Included((timeline, ceiling))));
        let mut due = after;
        page(
            limit,
            rows.map(|((_, seq), value)| (*seq, value)).take_while(|(seq, _)| {
                due = due.next();
                *seq == due
            }),
        )
    }

    fn read_back(&self, timeline: TimelineId, before: Seq, limit: PageLimit) -> Page {
        let rows = self.rows.range((timeline.clone(), Seq::ZERO)..(timeline, before)).rev();
        page(limit, rows.map(|((_, seq), value)| (*seq, value)))
    }

    fn read_history(&self, range: HistoryRange, limit: PageLimit) -> Page {
        let HistoryRange { owner, peer, bucket: _, before } = range;
        let rows = self.history.range((owner.clone(), peer.clone(), Seq::ZERO)..(owner, peer, before)).rev();
        page(limit, rows.map(|((_, _, seq), value)| (*seq, value)))
    }
}

fn set<K: Ord>(table: &mut BTreeMap<K, Bytes>, key: K, value: Option<Bytes>) {
    match value {
        Some(value) => table.insert(key, value),
        None => table.remove(&key),
    };
}

fn user(timeline: &TimelineId) -> Option<Uid> {
    match timeline {
        TimelineId::Inbox(uid) => Some(uid.clone()),
        TimelineId::Group(_) => None,
    }
}

fn group(timeline: &TimelineId) -> Option<Gid> {
    match timeline {
        TimelineId::Group(gid) => Some(gid.clone()),
        TimelineId::Inbox(_) => None,
    }
}

fn page_of<I: PartialOrd>(mut ids: Vec<I>, after: Option<I>, limit: usize) -> (Vec<I>, bool) {
    ids.retain(|id| after.as_ref().is_none_or(|after| id > after));
    let more = ids.len() > limit;
    ids.truncate(limit);
    (ids, more)
}

fn page<'a>(limit: PageLimit, rows: impl Iterator<Item = (Seq, &'a Bytes)>) -> Page {
    let (rows, more) = limited(limit, rows);
    Page { rows: rows.into_iter().map(|(seq, value)| Row { seq, value }).collect(), more }
}

/// What a page has room for, and whether there is more.
fn limited<'a, N>(limit: PageLimit, found: impl Iterator<Item = (N, &'a Bytes)>) -> (Vec<(N, Bytes)>, bool) {
    let (mut page, mut bytes) = (Vec::new(), 0);
    for (name, value) in found {
        bytes += value.len();
        if !page.is_empty() && (page.len() >= limit.rows || bytes > limit.bytes) {
            return (page, true);
        }
        page.push((name, value.clone()));
    }
    (page, false)
}

fn reply<T: Send + 'static>(result: Result<T, StoreError>) -> Reply<T> {
    Box::pin(async move {
        tokio::task::yield_now().await;
        result
    })
}

impl Store for MemoryStore {
    fn append(&self, append: Append) -> Reply<()> {
        reply(self.tables().append(append))
    }

    fn put(&self, changes: Vec<Change>, _: Stamp) -> Reply<()> {
        reply(self.tables().put(changes))
    }

    fn get(&self, keys: Vec<Key>) -> Reply<Vec<Option<Bytes>>> {
        let tables = self.tables();
        reply(Ok(keys.into_iter().map(|key| tables.get(key)).collect()))
    }

    fn scan(&self, scan: Scan, after: Option<Uid>, limit: usize) -> Reply<ScanPage> {
        reply(Ok(self.tables().scan(scan, after, limit)))
    }

    fn scan_groups(&self, scan: GroupScan, after: Option<Gid>, limit: usize) -> Reply<GroupScanPage> {
        reply(Ok(self.tables().scan_groups(scan, after, limit)))
    }

    fn members(&self, gid: Gid, after: Option<Uid>, limit: PageLimit) -> Reply<MembersPage> {
        reply(Ok(self.tables().members(&gid, after.as_ref(), limit)))
    }

    fn read(&self, timeline: TimelineId, after: Seq, ceiling: Seq, limit: PageLimit) -> Reply<Page> {
        reply(Ok(self.tables().read(timeline, after, ceiling, limit)))
    }

    fn read_back(&self, timeline: TimelineId, before: Seq, limit: PageLimit) -> Reply<Page> {
        reply(Ok(self.tables().read_back(timeline, before, limit)))
    }

    fn read_history(&self, range: HistoryRange, limit: PageLimit) -> Reply<Page> {
        reply(Ok(self.tables().read_history(range, limit)))
    }

    fn redact(&self, timeline: TimelineId, row: Row, _: Stamp) -> Reply<()> {
        reply(self.tables().redact(timeline, row))
    }

    fn sweep(&self, timeline: TimelineId, from: Seq, below: Seq) -> Reply<()> {
        reply(self.tables().sweep(&timeline, from, below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::suite::{append_of, everything, inbox, rows};

    crate::store_suite!(async { (Arc::new(MemoryStore::new()) as Arc<dyn Store>, ()) });

    #[tokio::test]
    async fn a_copy_has_what_was_durable_and_goes_its_own_way() {
        let store = MemoryStore::new();
        store.append(append_of("a", 1..=2)).await.unwrap();
        let copy = store.durable_copy();
        store.append(append_of("a", 3..=3)).await.unwrap();
        let page = copy.read(inbox("a"), Seq::ZERO, Seq::new(9), everything()).await.unwrap();
        assert_eq!(page.rows, rows(1..=2));
    }
}
