//! Disks that are full or read-only, as small ones of their own. Only who may mount can run these; where that is refused
//! they say so and hold nothing.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tidings_schema::error_code::ErrorCode;

use crate::{
    chat_cli::{complaint, path, tidings},
    operations::talk::{Form, Talk, ack, error, hello, is, new_id, send, send_as, words},
    server::Server,
};

const MIB: u64 = 1024 * 1024;
const DISK_BYTES: u64 = 256 * MIB;
/// In MiB.
const RESERVE: &str = "64";

/// A disk in memory; goes with this value.
struct Disk(PathBuf);

impl Disk {
    /// `None` where nobody may mount.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = run("mount", &["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "tmpfs", path(at)]);
        if !mounted {
            println!("NOT RUN: no disk of its own can be mounted here (only root may)");
        }
        mounted.then(|| Self(at.to_owned()))
    }

    fn remount(&self, how: &str) {
        assert!(run("mount", &["-o", &format!("remount,{how}"), path(&self.0)]), "remount");
    }

    /// A file that takes all but so many bytes of the disk.
    fn leave_free(&self, bytes: u64) {
        let ballast = self.ballast();
        File::create(&ballast).unwrap();
        let free = rustix::fs::statvfs(&self.0).unwrap();
        let taken = (free.f_bavail * free.f_frsize).saturating_sub(bytes);
        let mut file = File::create(ballast).unwrap();
        let piece = vec![1; 64 * 1024];
        for _ in 0..taken / piece.len() as u64 {
            file.write_all(&piece).unwrap();
        }
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazy: a server that a failed test left may still be there.
        run("umount", &["-l", path(&self.0)]);
    }
}

fn run(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn serve(data: &Path) -> Vec<String> {
    ["serve", "--dev", "--listen", "127.0.0.1:0", "--data", path(data)].map(str::to_owned).to_vec()
}

#[tokio::test]
async fn below_the_reserve_nothing_is_taken_and_above_twice_as_much_it_goes_on_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&dir.path().join("data")) else { return };
    let settings = [("TIDINGS_STORE_DISK_RESERVE_MB", RESERVE), ("TIDINGS_LIMITS_OP_DEADLINE_MS", "500")];
    let server = Server::start(dir.path(), &settings).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "phone").await;
    assert_eq!(alice.send("alice", "before").await.seq, 1);
    assert_eq!(alice.entry().await.seq, 1);
    alice.ack(1).await;

    disk.leave_free(32 * MIB);
    // It has its place, and is written when there is space.
    let held = new_id();
    is(&alice.refused(send_as(&held, "alice", "held")).await, ErrorCode::OutcomeUnknown);
    is(&alice.refused(send("bob", "refused")).await, ErrorCode::Unavailable);
    assert_eq!(server.get("/readyz").await, "not ready: disk is nearly full\n");
    let page = alice.sync(0, 0).await;
    assert_eq!(page.entries.iter().filter_map(words).collect::<Vec<_>>(), ["before"], "reads go on");
    // A device is remembered before it is let in for the first time.
    let mut bob = Talk::silent(&server, Form::Json).await;
    let token = server.token("bob").await;
    is(&error(bob.ask(hello(&token, "phone", None)).await), ErrorCode::Unavailable);

    // More than the reserve, less than twice as much.
    disk.leave_free(96 * MIB);
    is(&alice.refused(send("carol", "refused too")).await, ErrorCode::Unavailable);
    fs::remove_file(disk.ballast()).unwrap();
    let entry = alice.entry().await;
    assert_eq!((entry.seq, words(&entry).as_deref()), (2, Some("held")));
    assert_eq!(ack(alice.ask(send_as(&held, "alice", "held")).await).seq, 2, "said again, it is there once");
    assert_eq!(alice.send("alice", "after").await.seq, 3);
    assert_eq!(server.get("/readyz").await, "ready\n");
}

#[tokio::test]
async fn a_new_directory_on_a_full_disk_is_refused_and_one_with_data_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&dir.path().join("data")) else { return };
    disk.leave_free(0);
    let said = complaint(&tidings(serve(&disk.0.join("new"))).await);
    assert!(said.contains("cannot be used") && said.contains("No space left on device"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    fs::remove_file(disk.ballast()).unwrap();
    fs::remove_dir_all(disk.0.join("new")).unwrap();

    let mut server = Server::start(dir.path(), &[("TIDINGS_STORE_DISK_RESERVE_MB", RESERVE)]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "phone").await;
    for seq in 1..=3 {
        assert_eq!(alice.send("alice", &seq.to_string()).await.seq, seq);
    }
    server.kill().await;
    disk.leave_free(0);
    // What a start writes has space in the journal that is there.
    server.set("TIDINGS_LIMITS_OP_DEADLINE_MS", Some("500"));
    server.restart().await;
    let (mut alice, welcome) = Talk::hello(&server, Form::Json, "alice", "phone").await;
    assert_eq!((welcome.inbox_head, alice.sync(0, 0).await.entries.len()), (3, 3));
    let held = new_id();
    is(&alice.refused(send_as(&held, "alice", "4")).await, ErrorCode::OutcomeUnknown);
    assert_eq!(server.get("/readyz").await, "not ready: disk is nearly full\n");
    fs::remove_file(disk.ballast()).unwrap();
    assert_eq!(alice.entry_with(|entry| (entry.seq == 4).then(|| words(entry))).await.as_deref(), Some("4"));
    assert_eq!(ack(alice.ask(send_as(&held, "alice", "4")).await).seq, 4, "said again, it is there once");
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&dir.path().join("data")) else { return };
    let mut server = Server::start(dir.path(), &[("TIDINGS_STORE_DISK_RESERVE_MB", RESERVE)]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "phone").await;
    assert_eq!(alice.send("alice", "before").await.seq, 1);
    server.kill().await;
    disk.remount("ro");
    let said = complaint(&tidings(serve(&disk.0)).await);
    assert!(said.contains("cannot be used") && said.contains("be writable for this user"), "{said}");
    assert!(said.contains("Read-only file system") && !said.contains("panicked"), "{said}");
    disk.remount("rw");
    server.restart().await;
    let (mut alice, welcome) = Talk::hello(&server, Form::Json, "alice", "phone").await;
    assert_eq!((welcome.inbox_head, alice.send("alice", "after").await.seq), (1, 2));
}
