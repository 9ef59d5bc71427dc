//! The commands a person types, run as processes: what they print and how they end.

use std::{ffi::OsStr, path::Path, process::Output, time::Duration};

use tokio::time::timeout;

use crate::server::{Server, tidings_command};

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `tidings` to its end.
pub async fn tidings<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Output {
    let mut command = tidings_command();
    command.args(args);
    timeout(PATIENCE, command.output()).await.expect("it ends").unwrap()
}

/// What it said to people.
pub fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "it should have failed");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A token that is good for one device, made with the server's own key.
pub async fn token_of_device(server: &Server, uid: &str, device: &str) -> String {
    last_line(&tidings(["token", uid, "--device", device, "--data", path(&server.data())]).await)
}

/// The last line of what a command printed.
pub fn last_line(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().lines().last().unwrap_or_default().to_owned()
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

mod changes;
mod chat;
mod commands;
mod person;
mod pipe;
mod screen;
mod terminal;
