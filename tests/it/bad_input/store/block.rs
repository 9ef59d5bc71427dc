//! A block of a table file that went bad on the disk.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tidings_schema::error_code::ErrorCode;

use super::{Rows, noise};
use crate::{
    operations::talk::{Form, Talk, error, hello, is, words},
    server::Server,
};

/// Texts of one user, in all more than the blocks at their ends.
const TEXTS: u64 = 40;

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Flips a bit of the one table file that holds these bytes.
fn damage(data: &Path, bytes: &[u8]) {
    let tables = files(&data.join("data")).into_iter().filter(|path| path.extension().is_none_or(|ext| ext != "jnl"));
    let mut damaged = 0;
    for path in tables {
        let mut table = fs::read(&path).unwrap();
        if let Some(at) = table.windows(bytes.len()).position(|window| window == bytes) {
            table[at] ^= 1;
            fs::write(&path, table).unwrap();
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1, "the text lies in one table file");
}

#[tokio::test]
async fn a_bad_block_of_a_table_file_stops_its_inbox_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    let (mut carol, _) = Talk::hello(&server, Form::Json, "carol", "d").await;
    let mut texts = Vec::new();
    for seq in 1..=TEXTS {
        texts.push(noise(1_024));
        assert_eq!(alice.send("alice", &texts[texts.len() - 1]).await.seq, seq);
        assert_eq!(carol.send("carol", &seq.to_string()).await.seq, seq);
    }
    server.kill().await;
    let rows = Rows::open(&server.data(), "log");
    rows.keyspace.rotate_memtable_and_wait().unwrap();
    drop(rows);
    damage(&server.data(), &texts[texts.len() / 2].as_bytes()[500..516]);
    server.restart().await;

    let (mut carol, _) = Talk::hello(&server, Form::Json, "carol", "d").await;
    assert_eq!(carol.send("carol", "more").await.seq, TEXTS + 1);
    let page = carol.sync(0, 0).await;
    let found: Vec<String> = page.entries.iter().filter_map(words).take(3).collect();
    assert_eq!(found, ["1", "2", "3"]);
    for _ in 0..2 {
        let mut alice = Talk::silent(&server, Form::Json).await;
        let token = server.token("alice").await;
        is(&error(alice.ask(hello(&token, "d", None)).await), ErrorCode::Corrupt);
    }
    assert_eq!(carol.send("alice", "are you there").await.seq, TEXTS + 2, "durable at its sender");
    assert_eq!(server.get("/readyz").await, "ready\n");
    assert!(server.metric("tidings_store_corrupt_total").await >= 1.0);
    assert!(server.log().contains("stored block is damaged"), "{}", server.log());
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
