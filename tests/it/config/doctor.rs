//! Doctor on a healthy store, a damaged one, a running server, wrong settings and no directory at all.

use std::fs;

use serde_json::Value;

use super::{Ran, run};
use crate::{
    bad_input::store::{Rows, row_key},
    chat_cli::path,
    operations::talk::{Form, Talk},
    server::{Server, tidings_command},
};

/// A server that has three messages of alice, to herself, and one of her to bob.
async fn with_messages(dir: &std::path::Path) -> Server {
    let server = Server::start(dir, &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    for text in ["first secret", "second secret", "third secret"] {
        alice.send("alice", text).await;
    }
    alice.send("bob", "fourth secret").await;
    let (mut bob, _) = Talk::hello(&server, Form::Json, "bob", "d").await;
    bob.send("alice", "fifth secret").await;
    server
}

/// The report of a doctor with 16 connections to serve, so that no limit of this machine is in its way.
async fn doctor(server: &Server) -> (i32, Value) {
    let data = server.data();
    let args = ["doctor", "--dev", "--json", "--data", path(&data), "--set", "listen.connections_max=16"];
    let mut command = tidings_command();
    command.args(args).env("TIDINGS_LISTEN_ADMIN", server.admin_address().to_string());
    let Ran { code, out, err } = command.output().await.unwrap().into();
    assert!(!out.contains("secret") && !err.contains("panicked"), "{out}{err}");
    (code, serde_json::from_str(&out).unwrap())
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

fn says<'a>(report: &'a Value, name: &str) -> &'a str {
    check(report, name)["says"].as_str().unwrap()
}

#[tokio::test]
async fn a_healthy_store_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = with_messages(dir.path()).await;
    server.terminate().await;
    let (_, report) = doctor(&server).await;
    for name in ["settings", "data directory", "stored timelines", "open files", "clock"] {
        assert_eq!(check(&report, name)["verdict"], "ok", "{report}");
    }
    assert!(says(&report, "stored timelines").starts_with("2 inboxes, "), "{report}");
    assert!(says(&report, "data directory").contains("no server is running"), "{report}");
    assert!(says(&report, "disk speed").contains("a sync takes "), "{report}");
    assert!(!server.data().join("doctor.probe").exists());
    // It leaves the store as it was: the server starts on it, and everything is there.
    server.restart().await;
    let (_, welcome) = Talk::hello(&server, Form::Json, "alice", "d").await;
    assert!(welcome.inbox_head >= 5, "{welcome:?}");
}

#[tokio::test]
async fn a_damaged_row_and_a_missing_one_are_named_with_their_inbox_and_nothing_of_their_text() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = with_messages(dir.path()).await;
    server.kill().await;
    let rows = Rows::open(&server.data(), "log");
    rows.damage(&row_key("alice", 2));
    rows.remove(&row_key("alice", 3));
    drop(rows);
    let (code, report) = doctor(&server).await;
    assert_eq!(code, 2, "{report}");
    let stored = check(&report, "stored timelines");
    assert_eq!(stored["verdict"], "failed", "{report}");
    assert!(stored["advice"].as_str().unwrap().contains("One inbox is damaged"), "{report}");
    let damaged = stored["damaged"].as_array().unwrap();
    assert_eq!((damaged.len(), &damaged[0]["uid"]), (1, &Value::from("alice")), "bob's is whole: {report}");
    let faults = damaged[0]["faults"].to_string();
    assert!(faults.contains("row 2: its checksum is wrong") && faults.contains("rows 3 to 3 are missing"), "{faults}");
}

#[tokio::test]
async fn a_running_server_is_asked_and_keeps_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = with_messages(dir.path()).await;
    let (_, report) = doctor(&server).await;
    assert!(says(&report, "data directory").contains("a server is running"), "{report}");
    let running = check(&report, "running server");
    assert_eq!(running["verdict"], "ok", "{report}");
    assert!(running["says"].as_str().unwrap().contains("is ready and has stopped no inbox"), "{report}");
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| check["name"] != "stored timelines"), "not without the lock: {report}");

    server.kill().await;
    let rows = Rows::open(&server.data(), "log");
    rows.damage(&row_key("bob", 1));
    drop(rows);
    server.restart().await;
    let mut bob = Talk::silent(&server, Form::Json).await;
    let token = server.token("bob").await;
    bob.ask(crate::operations::talk::hello(&token, "d", None)).await;
    let (code, report) = doctor(&server).await;
    let running = check(&report, "running server");
    assert_eq!((code, &running["verdict"]), (2, &Value::from("failed")), "{report}");
    assert_eq!(running["damaged"][0]["uid"], "bob", "{report}");
}

#[tokio::test]
async fn wrong_settings_and_a_missing_directory_are_said_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("t.toml"), dir.path().join("data"));
    fs::write(&file, "[limits]\nrecal_s = 1\n").unwrap();
    let ran = run(&["doctor", "--dev", "--config", path(&file), "--data", path(&data)]).await;
    assert_eq!(ran.code, 2, "{}", ran.out);
    let failed = ran.out.lines().find(|line| line.starts_with("FAILED")).unwrap();
    assert!(failed.contains("t.toml:2: limits.recal_s is no setting; did you mean limits.recall_s?"), "{failed}");
    assert!(ran.out.lines().any(|line| line.starts_with("warning  data directory")), "{}", ran.out);
    assert!(!data.exists());
}

#[tokio::test]
async fn a_newer_format_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = with_messages(dir.path()).await;
    server.terminate().await;
    let record: &[u8] = &[8, 99, 16, 1];
    let stored = [&xxhash_rust::xxh3::xxh3_64(record).to_le_bytes()[..], record].concat();
    Rows::open(&server.data(), "meta").put(b"meta", &stored);
    let (code, report) = doctor(&server).await;
    assert_eq!(code, 2);
    assert!(says(&report, "stored timelines").contains("use a version that knows format 99"), "{report}");
}
