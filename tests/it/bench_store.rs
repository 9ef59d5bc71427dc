//! `tidings bench store` runs to its end, finds every row after its kill, and counts one sync per commit.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::{chat_cli::path, server::tidings_command};

/// A run of seconds, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_quick_run_finds_all_rows_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = tidings_command();
    command.args(["bench", "store", "--quick", "--json", "--data-in", path(dir.path())]);
    let output = timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["filled"]["rows"].as_u64().unwrap() >= 40_000);
    let batches = report["batches"].as_array().unwrap();
    assert_eq!(batches.len(), 4);
    for batch in batches {
        let of = |name: &str| batch["alone"][name].as_u64().unwrap();
        assert!(of("rows") <= of("commits") * of("batch"), "no commit is larger than it was told");
    }
    // Where strace is missing, or may not trace, the report says so.
    let syncs = &report["syncs"];
    let counted = syncs["Ok"]["commits"].as_u64().map(|commits| (commits, syncs["Ok"]["data_syncs"].as_u64()));
    assert!(syncs["Err"].is_string() || counted.is_some_and(|(commits, syncs)| Some(commits) == syncs), "{syncs}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
