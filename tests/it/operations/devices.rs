//! Several devices of one user: all see one inbox, once and in one order, their own messages and markers too.

use tidings_schema::wire::{self, entry};

use super::talk::{Form, Talk, words};
use crate::server::Server;

/// What an entry says, without the receipts, which depend on timing.
fn gist(entry: &wire::Entry) -> Option<(u64, String)> {
    let said = match entry.body.as_ref()? {
        entry::Body::Message(message) => format!("{} {}", message.from, words(entry)?),
        entry::Body::Read(marker) => format!("read {}", marker.upto),
        entry::Body::Blocked(blocked) => format!("blocked {}", blocked.uid),
        entry::Body::Unblocked(unblocked) => format!("unblocked {}", unblocked.uid),
        _ => return None,
    };
    Some((entry.seq, said))
}

async fn until(talk: &mut Talk, last: &str) -> Vec<(u64, String)> {
    let (mut seen, mut seq) = (Vec::new(), 0);
    loop {
        let entry = talk.entry().await;
        assert_eq!(entry.seq, seq + 1, "contiguous");
        seq = entry.seq;
        seen.extend(gist(&entry));
        if seen.last().is_some_and(|(_, said)| said == last) {
            return seen;
        }
    }
}

#[tokio::test]
async fn every_device_sees_everything_once_and_in_the_same_order() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut phone, _) = Talk::hello(&server, Form::Protobuf, "alice", "phone").await;
    let (mut laptop, _) = Talk::hello(&server, Form::Json, "alice", "laptop").await;
    let (mut bob, _) = Talk::hello(&server, Form::Json, "bob", "d").await;
    let (mut watch, _) = Talk::hello(&server, Form::Json, "alice", "watch").await;
    let mut expected = Vec::new();
    for n in 0..20 {
        phone.send("bob", &format!("phone {n}")).await;
        expected.push(format!("alice phone {n}"));
        laptop.send("bob", &format!("laptop {n}")).await;
        expected.push(format!("alice laptop {n}"));
        bob.send("alice", &format!("bob {n}")).await;
    }
    // The last of bob's is at alice's when it is read.
    let head = watch.entry_with(|entry| (words(entry).as_deref() == Some("bob 19")).then_some(entry.seq)).await;
    assert!(laptop.read("bob", head).await > head);
    let block = wire::client_frame::Op::Block(wire::Block { uid: "mallory".into() });
    laptop.ask(block).await;
    phone.send("alice", "end").await;

    let (mut late, _) = Talk::resume(
        &server,
        Form::Json,
        "alice",
        "tablet",
        Some(wire::Resume { inbox: Some(0), ..Default::default() }),
    )
    .await;
    let all = until(&mut late, "alice end").await;
    let on_laptop = until(&mut laptop, "alice end").await;
    assert_eq!(all, on_laptop);
    let on_phone = until(&mut phone, "alice end").await;
    assert_eq!(all, on_phone);
    let own: Vec<&String> = all.iter().map(|(_, said)| said).filter(|said| said.starts_with("alice ")).collect();
    expected.push("alice end".into());
    assert_eq!(own, expected.iter().collect::<Vec<_>>());
    let theirs: Vec<&str> = all.iter().filter_map(|(_, said)| said.strip_prefix("bob ")).collect();
    assert_eq!(theirs.len(), 20);
    assert!(all.iter().any(|(_, said)| *said == format!("read {head}")));
    assert!(all.iter().any(|(_, said)| said == "blocked mallory"));
}

/// Devices one user may have.
const DEVICES_MAX: usize = 16;

#[tokio::test]
async fn a_device_too_many_takes_the_place_of_an_older_one_and_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
    let (mut first, _) = Talk::hello(&server, Form::Json, "bob", "first").await;
    let mut others = Vec::new();
    for n in 1..DEVICES_MAX {
        others.push(Talk::hello(&server, Form::Json, "bob", &format!("d{n}")).await.0);
    }
    let (mut last, _) = Talk::hello(&server, Form::Json, "bob", "last").await;
    let wire::server_frame::Body::GoAway(go_away) = first.push().await else { panic!("no good-bye") };
    assert_eq!(go_away.reason(), wire::GoAwayReason::Replaced);

    alice.send("bob", "one").await;
    assert_eq!(last.entry().await.seq, 1);
    last.ack(1).await;
    last.settle().await;
    drop(last);
    alice.send("bob", "two").await;
    for other in &mut others {
        assert_eq!((other.entry().await.seq, other.entry().await.seq), (1, 2));
    }
    let (mut last, welcome) = Talk::hello(&server, Form::Json, "bob", "last").await;
    assert_eq!((welcome.resume_after, welcome.inbox_head), (1, 2), "it has not got the second");
    assert_eq!(words(&last.entry().await).as_deref(), Some("two"));
}
