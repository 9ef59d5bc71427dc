//! Drafts, entries and frames: equal to what the generated types write, and every wrong field named.

mod group;

use bytes::Bytes;
use prost::Message as _;

use super::*;
use crate::{
    change::MessageName,
    id::{Gid, IdError, LogId, Millis, Seq, Uid},
    wire,
};

fn entry(seq: u64) -> wire::Entry {
    let body = wire::entry::Body::Blocked(wire::Blocked { uid: "bob".into() });
    wire::Entry { seq, time: 7, body: Some(body) }
}

#[test]
fn frames_around_encoded_entries_equal_the_generated_encoding() {
    let inbox = wire::Timeline { timeline: Some(wire::timeline::Timeline::Inbox(wire::Inbox {})) };
    for (redelivery, log_id) in [(None, None), (Some(Redelivery), None), (Some(Redelivery), Some(LogId::new([9; 16])))]
    {
        let entries = wire::Entries {
            timeline: Some(inbox.clone()),
            entries: vec![entry(1), entry(2)],
            redelivery: redelivery.is_some(),
            log_id: log_id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
        };
        let frame = wire::ServerFrame { re: 0, body: Some(wire::server_frame::Body::Entries(entries)) };
        let encoded: Vec<Bytes> = [entry(1), entry(2)].iter().map(|e| e.encode_to_vec().into()).collect();
        assert_eq!(encode_inbox_entries(&encoded, redelivery, log_id.as_ref()), frame.encode_to_vec());
    }
}

#[test]
fn notices_and_silent_messages_do_not_count() {
    let text = wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: "hi".into() })) };
    let notice = wire::Content { kind: Some(wire::content::Kind::Notice(wire::Notice::default())) };
    let silent = wire::PushHint { silent: true, ..Default::default() };
    assert!(counts_as_unread(&text, None));
    assert!(!counts_as_unread(&text, Some(&silent)));
    assert!(!counts_as_unread(&notice, None));
}

#[test]
fn frames_of_a_group_equal_the_generated_encoding() {
    let gid: Gid = "g1".parse().unwrap();
    let group = wire::Timeline { timeline: Some(wire::timeline::Timeline::Group(wire::GroupLog { gid: "g1".into() })) };
    for log_id in [None, Some(LogId::new([9; 16]))] {
        let entries = wire::Entries {
            timeline: Some(group.clone()),
            entries: vec![entry(1), entry(2)],
            redelivery: false,
            log_id: log_id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
        };
        let frame = wire::ServerFrame { re: 0, body: Some(wire::server_frame::Body::Entries(entries)) };
        let encoded: Vec<Bytes> = [entry(1), entry(2)].iter().map(|e| e.encode_to_vec().into()).collect();
        assert_eq!(encode_group_entries(&gid, &encoded, log_id.as_ref()), frame.encode_to_vec());
    }
}

fn text(text: &str) -> wire::Content {
    wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: text.into() })) }
}

fn send(to: &str, content: wire::Content, push: Option<wire::PushHint>) -> wire::Send {
    wire::Send {
        message_id: "0198e0c2-0000-7000-8000-000000000001".into(),
        to: Some(wire::Target { target: Some(wire::target::Target::Uid(to.into())) }),
        content: Some(content),
        push,
        ..Default::default()
    }
}

#[test]
fn a_hash_depends_on_recipient_content_and_push_and_on_nothing_else() {
    let hash = |to, content, push| Draft::new(&send(to, content, push), 1000).unwrap().hash;
    let first = hash("bob", text("a"), None);
    assert_eq!(first, Draft::new(&wire::Send { retry: true, ..send("bob", text("a"), None) }, 1000).unwrap().hash);
    assert_ne!(first, hash("bob", text("b"), None));
    assert_ne!(first, hash("eve", text("a"), None));
    assert_ne!(first, hash("bob", text("a"), Some(wire::PushHint { silent: true, ..Default::default() })));
    let reply = |seq: u64, author: &str| {
        let message_id = "0198e0c2-0000-7000-8000-000000000002".into();
        let reply_to = Some(wire::MessageRef { seq, author: author.into(), message_id });
        Draft::new(&wire::Send { reply_to, ..send("bob", text("a"), None) }, 1000).unwrap().hash
    };
    assert_ne!(first, reply(1, "bob"));
    assert_ne!(reply(1, "eve"), reply(1, "bob"));
    assert_eq!(reply(2, "bob"), reply(1, "bob"), "another place is not another message");
}

#[test]
fn a_draft_names_the_field_that_is_wrong() {
    let code = |send: &wire::Send| Draft::new(send, 10).unwrap_err();
    let good = send("bob", text("a"), None);
    assert_eq!(
        code(&wire::Send { message_id: "x".into(), ..good.clone() }),
        DraftError::Id("messageId", IdError::NotUuid)
    );
    assert_eq!(code(&send("b b", text("a"), None)), DraftError::Id("to.uid", IdError::Alphabet));
    assert_eq!(code(&wire::Send { to: None, ..good.clone() }), DraftError::Missing("to"));
    assert_eq!(
        code(&wire::Send { content: Some(wire::Content { kind: None }), ..good }),
        DraftError::Missing("content")
    );
    assert_eq!(code(&send("bob", text("a long text"), None)), DraftError::TooLarge(10));
}

#[test]
fn a_raw_entry_is_byte_for_byte_the_entry_clients_get() {
    let (alice, bob): (Uid, Uid) = ("alice".parse().unwrap(), "bob".parse().unwrap());
    let push = wire::PushHint { title: "t".into(), ..Default::default() };
    let draft = Draft::new(&send("bob", text("hi"), Some(push.clone())), 1000).unwrap();
    let name = MessageName { author: bob.clone(), message_id: draft.message_id };
    let raw = encode_message_entry(
        Seq::new(7),
        Millis::new(9),
        MessageParts {
            message_id: &draft.message_id,
            conversation: &bob,
            from: &alice,
            content: &draft.content,
            reply_to: Some(reference(Seq::new(5), &name)),
            push: &draft.push,
            edited: Millis::new(8),
        },
    );
    let message = wire::Message {
        message_id: draft.message_id.to_string(),
        conversation: Some(conversation_with(&bob)),
        from: "alice".into(),
        content: Some(text("hi")),
        reply_to: Some(reference(Seq::new(5), &name)),
        push: Some(push),
        edited_time: 8,
        ..Default::default()
    };
    let entry = wire::Entry { seq: 7, time: 9, body: Some(wire::entry::Body::Message(message)) };
    assert_eq!(raw, entry.encode_to_vec());
    assert_eq!(RawEntry::decode(raw).unwrap().message.unwrap().content, draft.content);
}
