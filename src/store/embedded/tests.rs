//! The conformance suite on the embedded store, and what only it promises: one sync for many, disk reserve, torn tails,
//! checksums, the lock, the epoch.

use std::{
    fs,
    path::Path,
    sync::{atomic::Ordering, mpsc},
};

use tempfile::TempDir;
use tidings_actors::{
    port::store::{StoreError, Unavailable},
    testkit::suite::{append_of, everything, inbox, read_all, rows},
};
use tidings_schema::{id::Millis, record::Meta};

use super::*;

struct Still;

impl Clock for Still {
    fn now(&self) -> Millis {
        Millis::new(0)
    }

    fn uptime(&self) -> Millis {
        Millis::new(0)
    }
}

fn options(dir: &Path) -> OpenOptions {
    let shards = ShardCount::new(8).unwrap();
    OpenOptions { dir: dir.to_owned(), shards, disk_reserve_mb: 1, cache_mb: 8, memtable_mb: 4, clock: Arc::new(Still) }
}

fn reopen(dir: &Path) -> Result<(Arc<EmbeddedStore>, Epoch), OpenError> {
    EmbeddedStore::open(options(dir))
}

fn fresh() -> (Arc<EmbeddedStore>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (reopen(dir.path()).unwrap().0, dir)
}

fn open_with(free: impl FnMut() -> io::Result<u64> + Send + 'static) -> (Arc<EmbeddedStore>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (EmbeddedStore::open_with(options(dir.path()), Box::new(free)).unwrap().0, dir)
}

fn dynamic(store: &Arc<EmbeddedStore>) -> Arc<dyn Store> {
    store.clone()
}

tidings_actors::store_suite!(async {
    let (store, dir): (Arc<EmbeddedStore>, TempDir) = fresh();
    (store as Arc<dyn Store>, dir)
});

/// Copies a directory as it is while the store runs: what a killed process leaves behind.
fn image(from: &Path) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let to = tempfile::tempdir().unwrap();
    copy(from, to.path());
    to
}

fn newest_journal(dir: &Path) -> PathBuf {
    journal::journals(&dir.join(engine::DATA_DIR)).unwrap().pop().unwrap().1
}

/// Lets a test change the batches of the newest journal; zeros follow them as before.
fn change_journal(dir: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let path = newest_journal(dir);
    let mut bytes = fs::read(&path).unwrap();
    let end = journal::batches_end(&bytes).0;
    bytes.truncate(end);
    change(&mut bytes);
    bytes.resize(bytes.len() + 4096, 0);
    fs::write(&path, bytes).unwrap();
}

#[tokio::test]
async fn what_was_synced_survives_a_kill() {
    let (store, dir) = fresh();
    store.append(append_of("a", 1..=3)).await.unwrap();
    let after_kill = image(dir.path());
    let (again, _) = reopen(after_kill.path()).unwrap();
    assert_eq!(again.torn_tail(), None);
    assert_eq!(read_all(&dynamic(&again), "a").await, rows(1..=3));
}

#[tokio::test]
async fn what_was_swept_stays_gone_after_a_kill() {
    let (store, dir) = fresh();
    store.append(append_of("a", 1..=9)).await.unwrap();
    store.sweep(inbox("a"), Seq::new(1), Seq::new(4)).await.unwrap();
    let after_kill = image(dir.path());
    let (again, _) = reopen(after_kill.path()).unwrap();
    let page = again.read_back(inbox("a"), Seq::new(u64::MAX), everything()).await.unwrap();
    assert_eq!(page.rows.into_iter().rev().collect::<Vec<_>>(), rows(4..=9));
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_reported_and_the_store_goes_on() {
    let (store, dir) = fresh();
    store.append(append_of("a", 1..=3)).await.unwrap();
    store.append(append_of("a", 4..=4)).await.unwrap();
    let torn: [fn(&mut Vec<u8>); 3] = [
        |journal| journal.truncate(journal.len() - 9),
        |journal| {
            let end = journal.len();
            journal[end - 30] ^= 1;
        },
        |journal| {
            let end = journal.len();
            journal[end - 20..].fill(0);
        },
    ];
    for change in torn {
        let after_kill = image(dir.path());
        change_journal(after_kill.path(), change);
        let (again, _) = reopen(after_kill.path()).unwrap();
        assert!(again.torn_tail().is_some());
        assert_eq!(read_all(&dynamic(&again), "a").await, rows(1..=3));
        again.append(append_of("a", 4..=5)).await.unwrap();
        drop(again);
        let (again, _) = reopen(after_kill.path()).unwrap();
        assert_eq!(again.torn_tail(), None);
        assert_eq!(read_all(&dynamic(&again), "a").await, rows(1..=5));
    }
}

#[tokio::test]
async fn garbage_behind_the_last_batch_costs_nothing() {
    let (store, dir) = fresh();
    store.append(append_of("a", 1..=3)).await.unwrap();
    for garbage in [&[1_u8, 2, 3, 4][..], &[0xff; 1000], &[3; 50], &[2; 64]] {
        let after_kill = image(dir.path());
        change_journal(after_kill.path(), |journal| journal.extend_from_slice(garbage));
        let (again, _) = reopen(after_kill.path()).unwrap();
        assert_eq!(again.torn_tail(), Some(TornTail { bytes: garbage.len() as u64 }));
        assert_eq!(read_all(&dynamic(&again), "a").await, rows(1..=3));
    }
}

#[tokio::test]
async fn a_damaged_batch_with_synced_ones_behind_it_is_refused_not_dropped() {
    let (store, dir) = fresh();
    store.append(append_of("a", 1..=1)).await.unwrap();
    let after_first = journal::batches_end(&fs::read(newest_journal(dir.path())).unwrap()).0;
    store.append(append_of("a", 2..=2)).await.unwrap();
    let after_kill = image(dir.path());
    change_journal(after_kill.path(), |journal| journal[after_first - 25] ^= 1);
    assert!(matches!(reopen(after_kill.path()), Err(OpenError::Corrupt { .. })));
}

#[tokio::test]
async fn a_flipped_bit_stops_that_timeline_and_no_other() {
    let (store, _dir) = fresh();
    store.append(append_of("a", 1..=3)).await.unwrap();
    store.append(append_of("b", 1..=3)).await.unwrap();
    let mut stored = Vec::new();
    value::pack(&mut stored, b"row 2");
    stored[10] ^= 1;
    store.engine.overwrite_row(&inbox("a"), Seq::new(2), &stored);
    let refused = store.read(inbox("a"), Seq::ZERO, Seq::new(9), everything()).await;
    let Err(StoreError::Corrupt(what)) = refused else { unreachable!("{refused:?}") };
    assert!(what.contains("a") && what.contains("row 2"), "{what}");
    assert!(store.read_back(inbox("a"), Seq::new(9), everything()).await.is_err());
    assert_eq!(read_all(&dynamic(&store), "b").await, rows(1..=3));
}

#[tokio::test]
async fn a_thousand_waiting_writes_cost_one_sync() {
    let (entered, in_commit) = mpsc::sync_channel(4);
    let (go_on, gate) = mpsc::sync_channel::<()>(4);
    let (store, _dir) = open_with(move || {
        entered.send(()).unwrap();
        // The channel is closed when all may pass.
        gate.recv().ok();
        Ok(u64::MAX)
    });
    let first = store.append(append_of("first", 1..=1));
    in_commit.recv().unwrap();
    let waiting: Vec<_> = (0..1000).map(|number| store.append(append_of(&format!("u{number}"), 1..=1))).collect();
    drop(go_on);
    first.await.unwrap();
    for reply in waiting {
        reply.await.unwrap();
    }
    assert_eq!(store.committer.commits(), 2);
}

#[tokio::test]
async fn more_writes_than_the_queue_holds_are_refused() {
    let (entered, in_commit) = mpsc::sync_channel(4);
    let (go_on, gate) = mpsc::sync_channel::<()>(4);
    let (store, _dir) = open_with(move || {
        entered.send(()).unwrap();
        gate.recv().ok();
        Ok(u64::MAX)
    });
    let first = store.append(append_of("a", 1..=1));
    in_commit.recv().unwrap();
    let waiting: Vec<_> = (0..committer::WRITES_WAITING_MAX).map(|_| store.put(vec![], Stamp(1))).collect();
    let refused = store.append(append_of("b", 1..=1)).await;
    assert_eq!(refused, Err(StoreError::Unavailable(Unavailable::Overloaded)));
    drop(go_on);
    first.await.unwrap();
    for reply in waiting {
        reply.await.unwrap();
    }
    store.append(append_of("b", 1..=1)).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    let mut readings = [u64::MAX, 0, 1 << 20, 2 << 20].into_iter();
    let (store, _dir) = open_with(move || Ok(readings.next().unwrap()));
    let full = Err(StoreError::Unavailable(Unavailable::DiskFull));
    store.append(append_of("a", 1..=1)).await.unwrap();
    assert_eq!(store.append(append_of("a", 2..=2)).await, full);
    assert_eq!(*store.health().borrow(), Health::DiskFull);
    assert_eq!(read_all(&dynamic(&store), "a").await, rows(1..=1));
    assert_eq!(store.append(append_of("a", 2..=2)).await, full);
    store.append(append_of("a", 2..=2)).await.unwrap();
    assert_eq!(*store.health().borrow(), Health::Ready);
    assert_eq!(read_all(&dynamic(&store), "a").await, rows(1..=2));
}

#[tokio::test]
async fn a_failed_engine_takes_no_write_again_and_says_so() {
    let (store, _dir) = fresh();
    store.append(append_of("a", 1..=1)).await.unwrap();
    let fatal = tokio::spawn(store.fatal());
    store.engine.fail_commits.store(true, Ordering::Relaxed);
    let down = Err(StoreError::Unavailable(Unavailable::Down));
    assert_eq!(store.append(append_of("a", 2..=2)).await, down);
    fatal.await.unwrap();
    store.engine.fail_commits.store(false, Ordering::Relaxed);
    assert_eq!(store.append(append_of("a", 2..=2)).await, down);
    assert_eq!(read_all(&dynamic(&store), "a").await, rows(1..=1));
}

#[tokio::test]
async fn what_waits_is_committed_when_the_store_is_dropped() {
    let (store, dir) = fresh();
    let reply = store.append(append_of("a", 1..=3));
    drop(store);
    reply.await.unwrap();
    assert_eq!(read_all(&dynamic(&reopen(dir.path()).unwrap().0), "a").await, rows(1..=3));
}

#[test]
fn a_directory_in_use_is_refused_until_it_is_free() {
    let (store, dir) = fresh();
    let refused = reopen(dir.path()).err().unwrap();
    assert!(matches!(refused, OpenError::InUse(_)));
    assert!(refused.to_string().contains("in use by another process"));
    drop(store);
    reopen(dir.path()).unwrap();
}

#[test]
fn each_start_has_a_higher_epoch() {
    let dir = tempfile::tempdir().unwrap();
    for expected in 1..=3 {
        assert_eq!(reopen(dir.path()).unwrap().1, Epoch::new(expected));
    }
}

#[test]
fn another_shard_count_is_refused_with_the_right_one() {
    let (store, dir) = fresh();
    drop(store);
    let other = OpenOptions { shards: ShardCount::new(9).unwrap(), ..options(dir.path()) };
    let refused = EmbeddedStore::open(other).err().unwrap();
    assert!(refused.to_string().contains("set shards to 8"), "{refused}");
    assert_eq!(reopen(dir.path()).unwrap().1, Epoch::new(2));
}

#[test]
fn a_newer_format_is_refused_with_the_version_it_needs() {
    let (store, dir) = fresh();
    store.engine.overwrite_meta(&Meta { format: 2, epoch: 1, shards: 8, memtable_mb: 4 });
    drop(store);
    let refused = reopen(dir.path()).err().unwrap();
    assert!(refused.to_string().contains("use a version that knows format 2"), "{refused}");
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(reopen(&file.path().join("below")), Err(OpenError::NotUsable { .. })));
}

#[test]
fn futures_resolve_on_any_runtime() {
    let (store, _dir) = fresh();
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        store.append(append_of("a", 1..=1)).await.unwrap();
        assert_eq!(read_all(&dynamic(&store), "a").await, rows(1..=1));
    });
}
