//! A person at a terminal: `tidings chat` on a pseudo terminal, typed into and looked at.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::Stdio,
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use tokio::{process::Child, sync::mpsc, time::timeout};

use super::{PATIENCE, path, terminal::Terminal};
use crate::server::{Server, tidings_command};

/// Pieces of output that wait to be looked at; more wait in the terminal.
const OUTPUT_MAX: usize = 256;

/// The two ends of a pseudo terminal.
struct Ends {
    master: OwnedFd,
    slave: OwnedFd,
}

/// Somebody who chats.
pub struct Person {
    child: Child,
    keyboard: File,
    slave: File,
    output: mpsc::Receiver<Vec<u8>>,
    /// What is to be seen.
    pub terminal: Terminal,
    /// Every byte that was written.
    pub raw: Vec<u8>,
}

impl Person {
    /// Starts a chat in a window of that many columns. `None`, and words on standard error, where there are no pseudo
    /// terminals.
    pub fn sit_down(server: &Server, user: &str, to: &str, columns: u16, env: &[(&str, &str)]) -> Option<Self> {
        let ends = match open() {
            Ok(ends) => ends,
            Err(error) => {
                eprintln!("NOT TESTED: no pseudo terminal on this machine ({error}), so nobody looked at the screen");
                return None;
            }
        };
        tcsetwinsize(&ends.slave, window(columns)).unwrap();
        let state = server.queue_dir(user, "terminal");
        let slave = File::from(ends.slave);
        let end = || Stdio::from(slave.try_clone().unwrap());
        let child = tidings_command()
            .args(["chat", "--as", user, "--to", to, "--server", &server.url(), "--state", path(&state)])
            .env_remove("NO_COLOR")
            .env("TERM", "xterm")
            .envs(env.iter().copied())
            .stdin(end())
            .stdout(end())
            .spawn()
            .unwrap();
        let keyboard = File::from(ends.master);
        let output = look(keyboard.try_clone().unwrap());
        let (terminal, raw) = (Terminal::new(usize::from(columns)), Vec::new());
        Some(Self { child, keyboard, slave, output, terminal, raw })
    }

    /// Presses keys.
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Looks until this is to be seen.
    pub async fn sees(&mut self, wanted: &str) {
        self.sees_that(wanted, |terminal| terminal.text().contains(wanted)).await;
    }

    /// Looks until the row that is typed in is this.
    pub async fn types_in(&mut self, wanted: &str) {
        self.sees_that(wanted, |terminal| terminal.typed_row().as_deref() == Some(wanted)).await;
    }

    /// Looks until this is part of the row that is typed in.
    pub async fn sees_in_row(&mut self, wanted: &str) {
        self.sees_that(wanted, |terminal| terminal.typed_row().is_some_and(|row| row.contains(wanted))).await;
    }

    async fn sees_that(&mut self, wanted: &str, seen: impl Fn(&Terminal) -> bool) {
        let look = async {
            while !seen(&self.terminal) {
                let Some(bytes) = self.output.recv().await else { return false };
                self.terminal.take(&bytes);
                self.raw.extend(bytes);
            }
            true
        };
        let in_time = timeout(PATIENCE, look).await;
        assert!(in_time == Ok(true), "never seen: {wanted}\n{}", self.terminal.text());
    }

    /// Makes the window as wide as that.
    pub fn resizes(&mut self, columns: u16) {
        tcsetwinsize(&self.slave, window(columns)).unwrap();
        self.terminal.resize(usize::from(columns));
        // The kernel tells only the processes of a session; this terminal leads none.
        self.signals(Signal::WINCH);
    }

    /// Sends a signal.
    pub fn signals(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits until the chat has ended; true when the terminal is as it was before.
    pub async fn stands_up(mut self) -> bool {
        assert!(timeout(PATIENCE, self.child.wait()).await.expect("the chat ends").unwrap().success());
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}

fn window(columns: u16) -> Winsize {
    Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn open() -> rustix::io::Result<Ends> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(Ends { master, slave })
}

/// Reads what the chat writes, until both ends are closed.
fn look(mut screen: File) -> mpsc::Receiver<Vec<u8>> {
    let (seen, output) = mpsc::channel(OUTPUT_MAX);
    std::thread::spawn(move || {
        let mut bytes = [0; 4_096];
        while let Ok(read @ 1..) = screen.read(&mut bytes) {
            if seen.blocking_send(bytes[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    output
}
