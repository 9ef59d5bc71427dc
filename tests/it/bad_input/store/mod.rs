//! Data directories that are taken, foreign or damaged; disks that are full, read-only, or fail.

mod block;
mod disk;
mod failed;

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use tidings_schema::error_code::ErrorCode;

use crate::{
    chat_cli::{complaint, path, tidings},
    operations::talk::{Form, Talk, error, hello, is, words},
    server::Server,
};

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    let data = server.data();
    let said = complaint(&tidings(["serve", "--dev", "--listen", "127.0.0.1:0", "--data", path(&data)]).await);
    assert!(said.contains("in use by another process") && said.contains("stop that one first"), "{said}");
    assert_eq!(alice.send("alice", "still here").await.seq, 1);
}

#[tokio::test]
async fn a_directory_of_another_shard_count_or_a_newer_format_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    server.terminate().await;
    let data = server.data();
    let config = dir.path().join("config.toml");
    fs::write(&config, "[node]\nshards = 7\n").unwrap();
    let start = |more: Vec<&str>| {
        let args = ["serve", "--dev", "--listen", "127.0.0.1:0", "--data", path(&data)];
        args.into_iter().chain(more).map(str::to_owned).collect::<Vec<_>>()
    };
    let said = complaint(&tidings(start(vec!["--config", path(&config)])).await);
    assert!(said.contains("set shards to"), "{said}");

    let rows = Rows::open(&data, "meta");
    let newer = [&[8, 99][..], &[16, 1]].concat();
    rows.put(b"meta", &packed(&newer));
    drop(rows);
    let said = complaint(&tidings(start(vec![])).await);
    assert!(said.contains("use a version that knows format"), "{said}");
}

/// A stored value: checksum, then the record.
fn packed(record: &[u8]) -> Vec<u8> {
    [&xxhash_rust::xxh3::xxh3_64(record).to_le_bytes()[..], record].concat()
}

/// The rows of a stopped server, opened by the engine itself.
pub struct Rows {
    db: Database,
    keyspace: fjall::Keyspace,
}

impl Rows {
    pub fn open(data: &Path, keyspace: &str) -> Self {
        let db = Database::builder(data.join("data")).open().unwrap();
        let keyspace = db.keyspace(keyspace, KeyspaceCreateOptions::default).unwrap();
        Self { db, keyspace }
    }

    pub fn put(&self, key: &[u8], value: &[u8]) {
        self.keyspace.insert(key, value).unwrap();
        self.db.persist(PersistMode::SyncAll).unwrap();
    }

    /// Takes away a value that must be there.
    pub fn remove(&self, key: &[u8]) {
        assert!(self.has(key), "the row");
        self.keyspace.remove(key).unwrap();
        self.db.persist(PersistMode::SyncAll).unwrap();
    }

    pub fn has(&self, key: &[u8]) -> bool {
        self.keyspace.contains_key(key).unwrap()
    }

    /// Flips one bit in the middle of a value that must be there.
    pub fn damage(&self, key: &[u8]) {
        let mut value = self.keyspace.get(key).unwrap().expect("the row").to_vec();
        let middle = value.len() / 2;
        value[middle] ^= 1;
        self.put(key, &value);
    }
}

/// Key of a row of an inbox: kind, length of the user, the user, seq.
pub fn row_key(uid: &str, seq: u64) -> Vec<u8> {
    [&[1, u8::try_from(uid.len()).unwrap()], uid.as_bytes(), &seq.to_be_bytes()].concat()
}

#[tokio::test]
async fn a_damaged_row_stops_its_inbox_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    let (mut carol, _) = Talk::hello(&server, Form::Json, "carol", "d").await;
    for n in 1..=5 {
        assert_eq!(alice.send("alice", &format!("{n}")).await.seq, n);
        assert_eq!(carol.send("carol", &format!("{n}")).await.seq, n);
    }
    server.kill().await;
    Rows::open(&server.data(), "log").damage(&row_key("alice", 3));
    server.restart().await;

    let (mut carol, _) = Talk::hello(&server, Form::Json, "carol", "d").await;
    assert_eq!(carol.send("carol", "6").await.seq, 6);
    // Whatever hers is asked, it is refused; it never shows half of what it had.
    for _ in 0..2 {
        let mut alice = Talk::silent(&server, Form::Json).await;
        let token = server.token("alice").await;
        is(&error(alice.ask(hello(&token, "d", None)).await), ErrorCode::Corrupt);
    }
    let sent = carol.send("alice", "are you there").await;
    assert_eq!(sent.seq, 7, "durable at its sender");
    assert_eq!(carol.send("carol", "8").await.seq, 8);
    assert!(server.log().contains("inbox stopped, stored data is damaged"), "{}", server.log());
    assert!(server.metric("tidings_timelines_stopped_total").await >= 1.0);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// Text of about so many bytes that does not compress.
fn noise(bytes: usize) -> String {
    let random: Vec<u8> = (0..bytes / 21).flat_map(|_| uuid::Uuid::new_v4().into_bytes()).collect();
    STANDARD.encode(random)
}

fn newest_journal(data: &Path) -> PathBuf {
    let journals = fs::read_dir(data.join("data")).unwrap().map(|file| file.unwrap().path());
    let number = |path: &PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
    journals.filter(|path| path.extension().is_some_and(|ext| ext == "jnl")).max_by_key(number).unwrap()
}

/// Bytes of a journal that are not the zeros it was allocated with.
fn written(journal: &[u8]) -> usize {
    journal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_reported_and_what_is_left_has_no_hole() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let mut sent = 0;
    // Torn inside the last write, then behind it, then by garbage.
    for (round, tear) in [(0_u64, 10_usize), (1, 0), (2, 3)] {
        let (mut alice, welcome) = Talk::hello(&server, Form::Json, "alice", "d").await;
        let before = welcome.inbox_head;
        for n in 0..20 {
            sent = alice.send("alice", &format!("{round} {n}")).await.seq;
        }
        assert_eq!(sent, before + 20);
        server.kill().await;
        let journal = newest_journal(&server.data());
        let mut bytes = fs::read(&journal).unwrap();
        let end = written(&bytes);
        bytes.truncate(end - tear);
        if round > 0 {
            bytes.extend_from_slice(b"\x01\x05half a batch that never came to its end");
        }
        fs::write(&journal, &bytes).unwrap();
        server.restart().await;

        assert_eq!(server.log().matches("torn tail of the journal was cut").count() as u64, round + 1);
        let (mut alice, welcome) = Talk::hello(&server, Form::Json, "alice", "d").await;
        let lost = sent - welcome.inbox_head;
        assert!(lost <= u64::from(tear > 0), "{lost} rows for one write that was torn");
        let page = alice.sync(before, 0).await;
        let texts: Vec<String> = page.entries.iter().filter_map(words).collect();
        let expected: Vec<String> = (0..20 - lost).map(|n| format!("{round} {n}")).collect();
        assert_eq!(texts, expected);
        assert!(page.entries.iter().zip(before + 1..).all(|(entry, seq)| entry.seq == seq), "no hole");
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[tokio::test]
async fn damage_before_synced_writes_is_refused_not_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    for n in 0..20 {
        alice.send("alice", &n.to_string()).await;
    }
    server.kill().await;
    let journal = newest_journal(&server.data());
    let mut bytes = fs::read(&journal).unwrap();
    let middle = written(&bytes) / 2;
    bytes[middle] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    let data = server.data();
    let said = complaint(&tidings(["serve", "--dev", "--listen", "127.0.0.1:0", "--data", path(&data)]).await);
    assert!(said.contains("is damaged") && said.contains("restore the last backup"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
