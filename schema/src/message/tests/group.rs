//! Drafts to a group and their entries: equal to what the generated types write, and every wrong field named.

use bytes::Bytes;
use prost::Message as _;

use crate::{
    error_code::ErrorCode,
    field::FieldError,
    group::{MENTIONS_MAX, Mention, Role},
    id::{IdError, Millis, Seq, Uid},
    message::{ConversationId, Draft, DraftError, GroupDraft, encode_group_message_entry, mentioned_in},
    wire::{self, mention::Who},
};

fn send(mentions: Vec<Who>) -> wire::Send {
    wire::Send {
        message_id: "0198e0c2-0000-7000-8000-000000000001".into(),
        to: Some(wire::Target { target: Some(wire::target::Target::Gid("g1".into())) }),
        content: Some(wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: "hi".into() })) }),
        mentions: mentions.into_iter().map(|who| wire::Mention { who: Some(who) }).collect(),
        ..Default::default()
    }
}

fn uid(name: &str) -> Who {
    Who::Uid(name.into())
}

fn draft(send: &wire::Send) -> GroupDraft {
    GroupDraft::new(send, 1000).unwrap()
}

#[test]
fn who_is_mentioned_twice_is_mentioned_once_in_whatever_order() {
    let one = draft(&send(vec![uid("eve"), Who::All(true), uid("bob"), uid("eve")]));
    let other = draft(&send(vec![uid("bob"), uid("eve"), Who::All(true)]));
    assert_eq!(one, other);
    let (bob, eve): (Uid, Uid) = ("bob".parse().unwrap(), "eve".parse().unwrap());
    assert_eq!(one.mentions, [Mention::User(bob), Mention::User(eve), Mention::All]);
}

#[test]
fn a_hash_depends_on_who_is_mentioned_and_on_the_group() {
    let first = draft(&send(vec![uid("bob")])).hash;
    assert_eq!(first, draft(&wire::Send { retry: true, ..send(vec![uid("bob")]) }).hash);
    assert_ne!(first, draft(&send(vec![uid("eve")])).hash);
    assert_ne!(first, draft(&send(Vec::new())).hash);
    let to = Some(wire::Target { target: Some(wire::target::Target::Gid("g2".into())) });
    assert_ne!(first, draft(&wire::Send { to, ..send(vec![uid("bob")]) }).hash);
}

#[test]
fn a_draft_to_a_group_names_the_field_that_is_wrong() {
    let why = |send: &wire::Send| GroupDraft::new(send, 10).unwrap_err();
    let of = |who: Vec<Who>| why(&send(who));
    assert_eq!(of(vec![uid("b b")]), DraftError::Id("mentions.uid", IdError::Alphabet));
    assert_eq!(of(vec![Who::All(false)]), FieldError::Value("mentions.all", "must be true").into());
    assert_eq!(of(vec![Who::Role(0)]), FieldError::Value("mentions.role", "is not known").into());
    let nobody = wire::Send { mentions: vec![wire::Mention::default()], ..send(Vec::new()) };
    assert_eq!(why(&nobody), FieldError::Missing("mentions.uid").into());
    let many = of(vec![uid("bob"); MENTIONS_MAX + 1]);
    assert_eq!((many, many.code()), (FieldError::TooMany("mentions", MENTIONS_MAX).into(), ErrorCode::BadField));
    let to = |target| wire::Send { to: Some(wire::Target { target: Some(target) }), ..send(Vec::new()) };
    assert_eq!(why(&to(wire::target::Target::Gid(String::new()))), DraftError::Id("to.gid", IdError::Empty));
    let to_user = to(wire::target::Target::Uid("bob".into()));
    assert_eq!(why(&to_user), DraftError::Missing("to.gid"));
    assert_eq!(Draft::new(&send(Vec::new()), 1000).unwrap_err(), DraftError::Missing("to.uid"));
    let mentions = vec![wire::Mention { who: Some(uid("bob")) }];
    let in_private = Draft::new(&wire::Send { mentions, ..to_user }, 1000).unwrap_err();
    assert_eq!(in_private, FieldError::Value("mentions", "are for groups").into());
}

#[test]
fn an_entry_of_a_group_is_byte_for_byte_the_entry_clients_get() {
    let reply_to =
        wire::MessageRef { seq: 5, author: "bob".into(), message_id: "0198e0c2-0000-7000-8000-000000000002".into() };
    let push = wire::PushHint { title: "t".into(), ..Default::default() };
    let asked = wire::Send {
        reply_to: Some(reply_to.clone()),
        push: Some(push.clone()),
        ..send(vec![Who::Role(wire::Role::Owner.into()), uid("bob")])
    };
    let draft = draft(&asked);
    let raw = encode_group_message_entry(Seq::new(7), Millis::new(9), &"alice".parse().unwrap(), &draft);
    let message = wire::Message {
        message_id: asked.message_id,
        conversation: Some(ConversationId::Group(draft.to.clone()).to_wire()),
        from: "alice".into(),
        content: asked.content,
        reply_to: Some(reply_to),
        push: Some(push),
        mentions: vec![
            wire::Mention { who: Some(uid("bob")) },
            wire::Mention { who: Some(Who::Role(wire::Role::Owner.into())) },
        ],
        ..Default::default()
    };
    let entry = wire::Entry { seq: 7, time: 9, body: Some(wire::entry::Body::Message(message)) };
    assert_eq!(raw, entry.encode_to_vec());
    assert_eq!(mentioned_in(&raw), [Mention::User("bob".parse().unwrap()), Mention::Role(Role::Owner)]);
    assert_eq!(mentioned_in(&Bytes::new()), []);
}

#[test]
fn a_conversation_is_with_somebody_or_in_a_group() {
    for id in [ConversationId::User("bob".parse().unwrap()), ConversationId::Group("bob".parse().unwrap())] {
        assert_eq!(ConversationId::from_wire(Some(&id.to_wire())), Ok(id));
    }
    let to = |target| ConversationId::from_target(Some(&wire::Target { target }));
    use wire::target::Target;
    assert_eq!(to(Some(Target::Uid("bob".into()))), Ok(ConversationId::User("bob".parse().unwrap())));
    assert_eq!(to(Some(Target::Gid("g g".into()))), Err(FieldError::Id("to.gid", IdError::Alphabet)));
    assert_eq!(to(None), Err(FieldError::Missing("to")));
    assert_eq!(ConversationId::from_wire(None), Err(FieldError::Missing("conversation")));
}
