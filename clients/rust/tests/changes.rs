//! Changes of messages and conversations against a server that a test plays: each is made, in order, whatever is lost.

#![allow(clippy::unwrap_used, reason = "a test; a failure is the message")]

use tidings_client::core::{Event, InMemory, Lost, MessageRef, ReactionState, RequestError};
use tidings_schema::{
    id::{Millis, Seq},
    wire::{self, client_frame::Op, entry, server_frame::Body},
};

fn conversation(peer: &str) -> Option<wire::Conversation> {
    Some(wire::Conversation { conversation: Some(wire::conversation::Conversation::Uid(peer.into())) })
}

fn text(words: &str) -> Option<wire::Content> {
    Some(tidings_client::core::plain_text(words))
}

fn edit(words: &str) -> Op {
    let (author, message_id) = ("me".into(), "m7".into());
    Op::Edit(wire::Edit { conversation: conversation("bob"), seq: 7, author, message_id, content: text(words) })
}

fn client() -> InMemory {
    InMemory::new(7, Millis::new(1_000_000))
}

fn welcome(client: &mut InMemory) {
    while client.link != tidings_client::core::Link::Wanted {
        assert!(client.wait_for_deadline(), "it comes back by itself");
    }
    client.connect();
    let hello = client.written.pop_front().unwrap();
    client.deliver(hello.id, Body::Welcome(wire::Welcome { uid: "me".into(), ..wire::Welcome::default() }));
}

/// What the client wrote since the last look, heartbeats and acks left out.
fn written(client: &mut InMemory) -> Vec<(u64, Op)> {
    let frames = client.written.drain(..).filter_map(|frame| Some((frame.id, frame.op?)));
    frames.filter(|(_, op)| !matches!(op, Op::Ping(_) | Op::Ack(_))).collect()
}

fn ok(seq: u64) -> Body {
    Body::Ok(wire::Ok { seq })
}

fn refusal(code: u32, retry_after_ms: u64) -> Body {
    Body::Error(wire::Error { code, text: "no".into(), retry_after_ms })
}

#[test]
fn changes_made_without_a_server_are_made_in_order_when_it_is_there_even_if_answers_are_lost() {
    let mut client = client();
    let (first, second) = (client.request(edit("one")).unwrap(), client.request(edit("two")).unwrap());
    welcome(&mut client);
    let [(_, op)] = &written(&mut client)[..] else { panic!("one at a time") };
    assert_eq!(*op, edit("one"));
    client.drop_connection(&Lost::Broken);
    assert!(client.answers.is_empty(), "what became of it is not known");
    welcome(&mut client);
    let [(frame, op)] = &written(&mut client)[..] else { panic!("one at a time") };
    assert_eq!(*op, edit("one"), "the same again, before the later one");
    client.deliver(*frame, ok(0));
    let [(frame, op)] = &written(&mut client)[..] else { panic!("the next") };
    assert_eq!(*op, edit("two"));
    client.deliver(*frame, ok(9));
    assert_eq!(client.answers.drain(..).collect::<Vec<_>>(), [(first, Ok(ok(0))), (second, Ok(ok(9)))]);
}

#[test]
fn a_refusal_is_told_and_the_next_change_goes_on() {
    let mut client = client();
    welcome(&mut client);
    let (first, second) = (client.request(edit("one")).unwrap(), client.request(edit("two")).unwrap());
    let (frame, _) = written(&mut client)[0];
    client.deliver(frame, refusal(4008, 0));
    let refused = RequestError::Refused { code: 4008, text: "no".into() };
    assert_eq!(client.answers.pop_front(), Some((first, Err(refused))));
    let (frame, _) = written(&mut client)[0];
    client.deliver(frame, refusal(5003, 40));
    assert_eq!((client.answers.len(), written(&mut client).len()), (0, 0), "it waits as it was told");
    client.wait(40);
    let (frame, ref op) = written(&mut client)[0];
    assert_eq!(*op, edit("two"));
    client.deliver(frame, ok(3));
    assert_eq!(client.answers.pop_front(), Some((second, Ok(ok(3)))));
}

#[test]
fn a_client_that_stops_says_that_its_changes_have_no_answer_and_takes_no_more() {
    let mut client = client();
    welcome(&mut client);
    let request = client.request(edit("one")).unwrap();
    client.drop_connection(&Lost::Closed(4001));
    assert_eq!(client.answers.pop_front(), Some((request, Err(RequestError::Disconnected))));
    assert_eq!(client.request(edit("two")), Err(RequestError::Disconnected));
}

#[test]
fn questions_are_asked_once_and_only_while_connected() {
    let mut client = client();
    let history = || Op::History(wire::History { conversation: conversation("bob"), before: 0, limit: 5 });
    assert_eq!(client.request(history()), Err(RequestError::Disconnected));
    welcome(&mut client);
    let request = client.request(history()).unwrap();
    client.drop_connection(&Lost::Broken);
    assert_eq!(client.answers.pop_front(), Some((request, Err(RequestError::Disconnected))));
    welcome(&mut client);
    assert_eq!(written(&mut client), []);
}

#[test]
fn more_changes_than_the_bound_are_refused_and_leave_the_rest_alone() {
    let mut client = client();
    for number in 0..tidings_client::core::CHANGES_MAX {
        assert!(client.request(edit(&number.to_string())).is_ok());
    }
    assert_eq!(client.request(edit("one more")), Err(RequestError::TooMany));
    welcome(&mut client);
    assert_eq!(written(&mut client)[0].1, edit("0"));
}

#[test]
fn a_peer_is_told_of_typing_seldom_and_only_while_connected() {
    let mut client = client();
    let (bob, carol) = ("bob".parse().unwrap(), "carol".parse().unwrap());
    client.typing(&bob);
    welcome(&mut client);
    client.typing(&bob);
    client.typing(&bob);
    client.wait(2_999);
    client.typing(&bob);
    assert_eq!(written(&mut client).len(), 1);
    client.wait(1);
    client.typing(&bob);
    client.typing(&carol);
    let told = written(&mut client);
    assert!(told.iter().all(|(id, op)| *id == 0 && matches!(op, Op::Typing(_))), "{told:?}");
    assert_eq!(told.len(), 2);
}

#[test]
fn every_change_of_the_inbox_is_an_event_that_names_its_message_and_moves_the_place() {
    let mut client = client();
    welcome(&mut client);
    let (author, message_id) = (|| "bob".to_owned(), || "m1".to_owned());
    let bodies = [
        entry::Body::Recalled(wire::Recalled {
            conversation: conversation("bob"),
            seq: 1,
            author: author(),
            message_id: message_id(),
            ..Default::default()
        }),
        entry::Body::Edited(wire::Edited {
            conversation: conversation("bob"),
            seq: 1,
            author: author(),
            message_id: message_id(),
            content: text("new"),
        }),
        entry::Body::Reaction(wire::Reaction {
            conversation: conversation("bob"),
            seq: 1,
            author: author(),
            message_id: message_id(),
            from: "me".into(),
            reaction: "👍".into(),
            removed: true,
        }),
        entry::Body::Deleted(wire::Deleted { conversation: conversation("bob"), seqs: vec![1], upto: 0, whole: false }),
        entry::Body::ConversationSet(wire::ConversationSet {
            conversation: conversation("bob"),
            pinned: true,
            muted: false,
        }),
    ];
    let entries = (1..).zip(bodies).map(|(seq, body)| wire::Entry { seq, time: seq, body: Some(body) }).collect();
    client.deliver(0, Body::Entries(wire::Entries { entries, ..wire::Entries::default() }));
    let events: Vec<Event> = client.events.drain(..).filter(|event| event.seq().is_some()).collect();
    let seqs: Vec<u64> = events.iter().filter_map(|event| event.seq().map(Seq::get)).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    let named = MessageRef { peer: "bob".into(), seq: Seq::new(1), author: author(), message_id: message_id() };
    match &events[..] {
        [
            Event::Recalled(recalled),
            Event::Edited(edited),
            Event::Reacted(reacted),
            Event::Deleted(deleted),
            Event::ConversationSet { pinned: true, muted: false, .. },
        ] => {
            assert_eq!([&recalled.message, &edited.message, &reacted.message], [&named; 3]);
            assert_eq!(edited.content, text("new"));
            assert_eq!((reacted.from.as_str(), reacted.now), ("me", ReactionState::TakenBack));
            assert!(deleted.contains(Seq::new(1)) && !deleted.contains(Seq::new(2)));
        }
        other => panic!("{other:?}"),
    }
}
