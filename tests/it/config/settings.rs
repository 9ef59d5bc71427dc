//! Where settings come from, and that what is wrong with them is said with its place, all at once, with code 78.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{Ran, run};
use crate::{chat_cli::path, server::tidings_command};

#[tokio::test]
async fn nonsense_is_refused_at_once_with_every_place_and_nothing_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("t.toml"), dir.path().join("data"));
    fs::write(&file, "[listen]\nadress = \"127.0.0.1:0\"\n\n[limits]\nframe_bytes_max = 65536\n").unwrap();
    let mut command = tidings_command();
    command.args(["serve", "--config", path(&file), "--data", path(&data), "--set", "node.drain_s=soon"]);
    command.env("TIDINGS_LISTEN_ADMIN", "0.0.0.0:7401");
    let Ran { code, out, err } = command.output().await.unwrap().into();
    assert_eq!((code, out.as_str()), (78, ""), "{err}");
    let said: Vec<&str> = err.lines().collect();
    assert_eq!(said.len(), 6, "{err}");
    assert_eq!(said[0], "tidings: 5 mistakes in the settings");
    let place = |line: &str| format!("  {}:{line}", file.display());
    assert_eq!(said[1], place("2: listen.adress is no setting; did you mean listen.address?"));
    assert!(said[2].starts_with(&place("5: limits.frame_bytes_max = 65_536: ")), "{err}");
    assert!(said[3].starts_with("  TIDINGS_LISTEN_ADMIN: listen.admin = \"0.0.0.0:7401\": "), "{err}");
    assert_eq!(said[4], "  --set node.drain_s: node.drain_s = \"soon\": allowed is 5 to 300 s");
    assert!(said[5].contains("no key for tokens"), "{err}");
    assert!(!data.exists(), "a server that may not start touches no data");
}

#[tokio::test]
async fn the_effective_settings_name_their_source_and_show_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    // The file of the working directory counts without being named.
    fs::write(dir.path().join("tidings.toml"), "[store]\ncache_mb = 64\nmemtable_mb = 8\n").unwrap();
    let in_dir = |args: &[&str]| {
        let mut command = tidings_command();
        command.args(args).current_dir(dir.path());
        command.env("TIDINGS_AUTH_SECRET", "hunter2hunter2hunter2hunter2hunter2");
        command.env("TIDINGS_STORE_MEMTABLE_MB", "4");
        command
    };
    let ran: Ran = in_dir(&["config", "--set", "limits.recall_s=60"]).output().await.unwrap().into();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let line = |field: &str| ran.out.lines().find(|line| line.starts_with(&format!("{field} = "))).unwrap();
    for (field, source) in [
        ("cache_mb", "tidings.toml:2"),
        ("memtable_mb", "TIDINGS_STORE_MEMTABLE_MB"),
        ("recall_s", "--set limits.recall_s"),
        ("drain_s", "default"),
    ] {
        let (_, comment) = line(field).split_once("  # ").unwrap();
        assert!(comment.starts_with(&format!("{source} ")), "{comment}");
    }
    assert!(ran.out.contains("# secret = (set, never shown)") && !ran.out.contains("hunter2"), "{}", ran.out);
    // What is printed is a file itself.
    let again = dir.path().join("again.toml");
    fs::write(&again, &ran.out).unwrap();
    let checked: Ran = in_dir(&["config", "--check", "--config", path(&again)]).output().await.unwrap().into();
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(checked.out.starts_with("ok: ") && checked.out.contains("again.toml"), "{}", checked.out);
}

#[tokio::test]
async fn the_default_file_is_taken_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("default.toml");
    let printed = run(&["config", "--default"]).await;
    assert_eq!(printed.code, 0, "{}", printed.err);
    fs::write(&file, &printed.out).unwrap();
    let check = run(&["config", "--check", "--dev", "--config", path(&file)]).await;
    assert_eq!((check.code, check.err.as_str()), (0, ""));
    // Without --dev nothing says who may connect, which `serve` would refuse.
    let check = run(&["config", "--check", "--config", path(&file)]).await;
    assert_eq!(check.code, 78, "{}", check.out);
    assert!(check.err.contains("no key for tokens"), "{}", check.err);
}

#[tokio::test]
async fn a_key_file_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let assignment = format!("auth.key_file={}", key.display());
    for (mode, code) in [(0o644, 78), (0o600, 0), (0o440, 0)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let ran = run(&["config", "--check", "--set", &assignment]).await;
        assert_eq!(ran.code, code, "{mode:o} {}", ran.err);
        assert_eq!(ran.err.contains("chmod 0400"), code == 78, "{}", ran.err);
    }
}
