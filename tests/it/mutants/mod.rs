//! The checker is proved: every deliberate bug of the feature `mutants` is caught by it in a run of the real process, and
//! the same run without the bug passes.

use tidings_schema::wire::{self, client_frame::Op};

use crate::{
    checker::{Asked, Connection, Fate, Rule, Step, Target, What},
    crash::{
        raw::{fresh_id, text_send},
        scene::{FROM_THE_START, Retry, Scene, next_message},
    },
};

/// Runs `scene` without the bug and with it.
macro_rules! caught {
    ($name:ident, $scene:ident, $mutant:literal, $($rule:path),+) => {
        #[tokio::test]
        async fn $name() {
            assert_eq!($scene("").await, []);
            let found = $scene(concat!($mutant, ",")).await;
            assert!([$($rule),+].iter().any(|rule| found.contains(rule)), "not caught, but {found:?}");
        }
    };
}

caught!(an_ack_before_the_sync_is_caught, killed_right_after_acks, "ack_when_handed_over", Rule::Lost);
caught!(no_dedupe_is_caught, everything_sent_twice, "no_dedupe", Rule::Twice);
caught!(deliveries_out_of_chain_are_caught, answers_get_lost, "deliver_out_of_chain", Rule::Twice);
caught!(accepted_before_the_sync_is_caught, recipient_never_syncs, "accepted_before_durable", Rule::Lost);
caught!(a_mark_removed_too_early_is_caught, sender_never_returns, "mark_removed_too_early", Rule::Lost);
caught!(a_cursor_before_its_ack_is_caught, device_reads_half, "cursor_before_push", Rule::Cursor);
caught!(an_ok_before_the_redaction_is_caught, recalled_and_not_written, "ok_before_redacted", Rule::Redacted);
caught!(a_peer_that_accepts_too_early_is_caught, seen_and_not_written, "accepted_before_redacted", Rule::Redacted);
caught!(a_history_that_is_not_redacted_is_caught, recalled_when_projected, "history_forgets_redaction", Rule::Redacted);
caught!(a_deletion_that_no_replay_applies_is_caught, killed_after_a_deletion, "deletion_lost_in_replay", Rule::Shown);

/// A slow disk; the server dies as soon as some sends are acked.
async fn killed_right_after_acks(mutant: &str) -> Vec<Rule> {
    let mut scene = Scene::new(&format!("{mutant}slow_store")).await;
    let mut alice = scene.device("alice", "raw").await;
    for _ in 0..3 {
        scene.send(&mut alice, "alice").await;
    }
    scene.kill(mutant).await;
    scene.judge(&["alice"]).await
}

/// A client that does not believe the first ack.
async fn everything_sent_twice(mutant: &str) -> Vec<Rule> {
    let mut scene = Scene::new(mutant).await;
    let mut alice = scene.device("alice", "raw").await;
    for retry in [Retry::No, Retry::Yes] {
        let id = fresh_id();
        scene.send_again(&mut alice, &id, "bob", Retry::No).await;
        scene.send_again(&mut alice, &id, "bob", retry).await;
    }
    scene.pass_time(500).await;
    scene.judge(&["alice", "bob"]).await
}

/// Every other `accepted` is lost, so that what was delivered is delivered again.
async fn answers_get_lost(mutant: &str) -> Vec<Rule> {
    let mut scene = Scene::new(&format!("{mutant}lose_accepted")).await;
    let mut alice = scene.device("alice", "raw").await;
    for _ in 0..10 {
        scene.send(&mut alice, "bob").await;
    }
    scene.pass_time(2_000).await;
    scene.judge(&["alice", "bob"]).await
}

/// The recipient's rows never reach the disk, while the sender writes all it has to write and leaves memory.
async fn recipient_never_syncs(mutant: &str) -> Vec<Rule> {
    let mut scene = Scene::new(&format!("{mutant}held_inboxes")).await;
    let mut alice = scene.device("alice", "raw").await;
    scene.send(&mut alice, "held-bob").await;
    drop(alice);
    scene.pass_time(4_000).await;
    scene.kill("").await;
    scene.pass_time(3_000).await;
    scene.judge(&["alice", "held-bob"]).await
}

/// No delivery arrives before the kill, and the sender does not come back after it.
async fn sender_never_returns(mutant: &str) -> Vec<Rule> {
    let mut scene = Scene::new(&format!("{mutant}drop_deliver")).await;
    let mut alice = scene.device("alice", "raw").await;
    scene.send(&mut alice, "bob").await;
    drop(alice);
    scene.kill(mutant).await;
    scene.pass_time(3_000).await;
    // Bob first: asking for alice's inbox would bring her mailbox back.
    scene.judge(&["bob", "alice"]).await
}

/// A device takes ten entries, acknowledges four, and comes back without a place of its own.
async fn device_reads_half(mutant: &str) -> Vec<Rule> {
    let mut scene = Scene::new(mutant).await;
    let mut alice = scene.device("alice", "raw").await;
    drop(scene.device("alice", "phone").await);
    for _ in 0..10 {
        scene.send(&mut alice, "alice").await;
    }
    for _ in 0..2 {
        let mut phone = scene.device("alice", "phone").await;
        let mut connection = Connection {
            uid: "alice".into(),
            device: "phone".into(),
            resume_after: phone.welcome.resume_after,
            ..Connection::default()
        };
        let mut last = phone.welcome.resume_after;
        while last < 10 {
            let entries = phone.push().await.unwrap();
            for entry in &entries.entries {
                connection.steps.push(Step::Pushed { seq: entry.seq, redelivery: entries.redelivery });
                last = entry.seq;
            }
        }
        connection.steps.push(Step::Acked { seq: 4, at_ms: 0 });
        phone.say(Op::Ack(wire::Ack { inbox: 4, ..Default::default() })).await.unwrap();
        // An answer behind the ack: the ack has been taken in.
        let _refused = phone.ask(text_send(&fresh_id(), "@nobody", "no", false)).await.unwrap();
        scene.history.connections.push(connection);
    }
    scene.judge(&["alice"]).await
}

/// One sends the other a message; both have it, and no memory has it any more. Its name in both inboxes.
async fn told_and_forgotten(scene: &mut Scene, from: &str, to: &str) -> Target {
    let mut sender = scene.device(from, "raw").await;
    let seq = scene.send(&mut sender, to).await;
    next_message(&mut scene.resumed(to, "phone", FROM_THE_START).await).await;
    drop(sender);
    scene.pass_time(2_500).await;
    let id = scene.history.sendings.last().unwrap().id.clone();
    Target { seq, author: from.to_owned(), id }
}

/// The author's messages are never written anew, until the server is killed; whatever it was answered, the author looks.
async fn recalled_and_not_written(mutant: &str) -> Vec<Rule> {
    let mut scene = Scene::new("").await;
    let target = told_and_forgotten(&mut scene, "held-alice", "bob").await;
    scene.kill(&format!("{mutant}held_redactions")).await;
    let mut alice = scene.device("held-alice", "raw").await;
    let number = scene.note_change(&alice, "bob", Asked::Recall(target));
    scene.try_change(&mut alice, number).await;
    scene.look(&mut alice, "bob").await;
    scene.kill("").await;
    if scene.history.changes[number].fate == Fate::Open {
        let mut alice = scene.device("held-alice", "raw").await;
        scene.try_change(&mut alice, number).await;
    }
    recall_arrives(scene, "bob", &["held-alice", "bob"]).await
}

/// The peer's messages are never written anew, until the server is killed; it looks when it has seen the recall.
async fn seen_and_not_written(mutant: &str) -> Vec<Rule> {
    let mut scene = Scene::new("").await;
    let target = told_and_forgotten(&mut scene, "alice", "held-bob").await;
    scene.kill(&format!("{mutant}held_redactions")).await;
    let mut alice = scene.device("alice", "raw").await;
    let mut bob = scene.device("held-bob", "phone").await;
    scene.change(&mut alice, "held-bob", Asked::Recall(target)).await;
    scene.see(&mut bob, |what| matches!(what, What::Recalled { .. })).await;
    scene.look(&mut bob, "alice").await;
    scene.kill("").await;
    recall_arrives(scene, "held-bob", &["alice", "held-bob"]).await
}

/// A message that is in the history already is taken back.
async fn recalled_when_projected(mutant: &str) -> Vec<Rule> {
    let mut scene = Scene::new(mutant).await;
    let target = told_and_forgotten(&mut scene, "alice", "bob").await;
    let mut alice = scene.device("alice", "raw").await;
    scene.change(&mut alice, "bob", Asked::Recall(target)).await;
    drop(alice);
    scene.pass_time(2_500).await;
    let mut alice = scene.device("alice", "raw").await;
    scene.look(&mut alice, "bob").await;
    recall_arrives(scene, "bob", &["alice", "bob"]).await
}

/// Waits until the peer has the recall too.
async fn recall_arrives(mut scene: Scene, peer: &str, users: &[&str]) -> Vec<Rule> {
    let mut peer = scene.resumed(peer, "phone", FROM_THE_START).await;
    scene.see(&mut peer, |what| matches!(what, What::Recalled { .. })).await;
    scene.judge(users).await
}

/// Who deletes a message looks again after a kill.
async fn killed_after_a_deletion(mutant: &str) -> Vec<Rule> {
    let mut scene = Scene::new(mutant).await;
    let mut alice = scene.device("alice", "raw").await;
    for _ in 0..3 {
        scene.send(&mut alice, "alice").await;
    }
    scene.change(&mut alice, "alice", Asked::Delete { seqs: vec![2], upto: 0 }).await;
    scene.kill(mutant).await;
    let mut alice = scene.device("alice", "raw").await;
    scene.look(&mut alice, "alice").await;
    scene.judge(&["alice"]).await
}

#[test]
fn a_release_build_has_no_mutants() {
    let read = |path: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(path).unwrap().parse::<toml::Table>().unwrap()
    };
    let (root, actors) = (read("Cargo.toml"), read("actors/Cargo.toml"));
    let default = actors["features"].get("default").map(ToString::to_string).unwrap_or_default();
    assert!(!default.contains("mutants"), "the default features of the actors have mutants");
    assert!(actors["features"].get("mutants").is_some(), "the feature has another name now");
    for section in ["dependencies", "build-dependencies"] {
        let there = root.get(section).map(ToString::to_string).unwrap_or_default();
        assert!(!there.contains("mutants"), "{section} of the server ask for mutants");
    }
    assert!(!root["workspace"]["dependencies"]["tidings-actors"].to_string().contains("mutants"));
}
