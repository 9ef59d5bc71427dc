//! A chat with piped input and output, as a script has it.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout},
};

use super::path;
use crate::server::{Server, tidings_command};

/// A chat with piped input.
pub struct Chat {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Every line so far.
    pub seen: Vec<String>,
}

impl Chat {
    /// Starts one that talks to `to`.
    pub fn start(server: &Server, user: &str, to: &str) -> Self {
        let state = server.queue_dir(user, "chat");
        let mut child = tidings_command()
            .args(["chat", "--as", user, "--to", to, "--server", &server.url(), "--state", path(&state)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, seen: Vec::new() }
    }

    /// Types a line.
    pub async fn type_in(&mut self, line: &str) {
        self.child.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next line that contains this.
    pub async fn shows(&mut self, wanted: &str) -> String {
        let seen = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(line.clone());
                if line.contains(wanted) {
                    return line;
                }
            }
            panic!("the chat ended before it showed {wanted}");
        };
        tokio::time::timeout(super::PATIENCE, seen).await.unwrap_or_else(|_| panic!("never shown: {wanted}"))
    }

    /// Leaves, and returns every line it ever showed.
    pub async fn leave(mut self) -> Vec<String> {
        self.type_in("/quit").await;
        let rest = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(line);
            }
            assert!(self.child.wait().await.unwrap().success());
        };
        tokio::time::timeout(super::PATIENCE, rest).await.expect("the chat ends");
        self.seen
    }
}

/// How many lines contain this.
pub fn times(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| line.contains(text)).count()
}
