//! What clients ask of groups: messages to one, and the operations. What is taken is within its bounds, and a refusal names
//! its field.

use prost::Message;
use tidings_schema::{
    field::FieldError,
    group::{ADD_MEMBERS_MAX, MENTIONS_MAX, SettingsPatch, request},
    message::{GroupDraft, encode_group_message_entry, mentioned_in},
    wire::{self, client_frame::Op},
};

use crate::{
    samples,
    target::{Answer, Target, bounded, refused},
};

const BODY_BYTES_MAX: usize = 1_000;

const WORDS: &[&[u8]] = &[
    b"\x12\x04\x12\x02g1",
    b"\x22\x05\x0a\x03bob",
    b"\x22\x02\x10\x01",
    b"\x22\x02\x10\x00",
    b"\x22\x02\x18\x02",
    b"\x0a\x02g1",
    b"\x12\x03bob",
    b"\x12\x07@system",
    b"\x12\x03b b",
    b"\x18\x01",
    b"\x30\x09",
];

pub fn targets() -> Vec<Target> {
    let target = |name, cases, born, check| Target { name, cases, born, words: WORDS, check };
    vec![target("group-send", 40_000, sends, send), target("group-requests", 60_000, frames, request)]
}

fn sends() -> Vec<Vec<u8>> {
    samples::variants(&samples::descriptor("tidings.v1.Send"), 6).iter().map(Message::encode_to_vec).collect()
}

/// A draft is what its entry says.
fn send(input: &[u8]) -> Answer {
    let Ok(send) = wire::Send::decode(input) else { return Answer::Refused("no send".into()) };
    let draft = match bounded(input.len(), || GroupDraft::new(&send, BODY_BYTES_MAX)) {
        Ok(draft) => draft,
        Err(why) => {
            let text = why.to_string();
            let fields = ["messageId ", "to", "content ", "replyTo.", "mentions"];
            assert!(fields.iter().any(|field| text.starts_with(field)), "{text}");
            return refused(text);
        }
    };
    assert!(draft.content.len() + draft.push.len() <= BODY_BYTES_MAX && draft.mentions.len() <= MENTIONS_MAX);
    let from = "alice".parse().unwrap();
    let entry = encode_group_message_entry(tidings_schema::id::Seq::new(1), Default::default(), &from, &draft);
    assert_eq!(mentioned_in(&entry), draft.mentions);
    let repeated = wire::Send { retry: !send.retry, ..send };
    let hash = GroupDraft::new(&repeated, BODY_BYTES_MAX).map(|draft| draft.hash);
    assert_eq!(hash, Ok(draft.hash), "a retry is the same message");
    Answer::Read(format!("mentions {} counting {}", draft.mentions.len().min(3), draft.counting))
}

fn frames() -> Vec<Vec<u8>> {
    samples::client_frames().iter().map(Message::encode_to_vec).collect()
}

/// An operation is read as what it says, or its field is named.
fn request(input: &[u8]) -> Answer {
    let Ok(wire::ClientFrame { op: Some(op), .. }) = wire::ClientFrame::decode(input) else {
        return refused("no operation");
    };
    match bounded(input.len(), || read(op)) {
        Ok(Some(name)) => Answer::Read(name.into()),
        Ok(None) => refused("of no group"),
        Err(why) => {
            let text = why.to_string();
            let fields = ["gid ", "uid", "members ", "name", "avatar ", "notice ", "join ", "historyForNew ", "role "];
            let others = ["seq ", "after ", "groups"];
            assert!(fields.iter().chain(&others).any(|field| text.starts_with(field)), "{text}");
            assert!(text.len() < 100, "{text}");
            refused(text)
        }
    }
}

fn read(op: Op) -> Result<Option<&'static str>, FieldError> {
    Ok(Some(match op {
        Op::CreateGroup(asked) => {
            let (gid, _, members) = request::create(asked)?;
            assert!(!gid.is_system() && members.len() <= ADD_MEMBERS_MAX);
            "create"
        }
        Op::AddMembers(asked) => {
            let (_, uids) = request::add_members(&asked)?;
            assert!((1..=ADD_MEMBERS_MAX).contains(&uids.len()) && !uids.iter().any(|uid| uid.is_system()));
            "add"
        }
        Op::SetRole(asked) => request::set_role(&asked).map(|_| "role")?,
        Op::MuteMember(asked) => request::mute_member(&asked).map(|_| "mute")?,
        Op::UpdateGroup(asked) => {
            let (_, patch) = request::update(asked)?;
            assert!(patch != SettingsPatch::default() && patch.check().is_ok());
            "update"
        }
        Op::Members(asked) => request::members(&asked).map(|_| "members")?,
        Op::ReadBy(asked) => request::read_by(&asked).map(|_| "readers")?,
        Op::RemoveMember(asked) => request::gid_and_uid(&asked.gid, &asked.uid).map(|_| "remove")?,
        Op::TransferGroup(asked) => request::gid_and_uid(&asked.gid, &asked.uid).map(|_| "transfer")?,
        Op::JoinGroup(asked) => request::gid(&asked.gid).map(|_| "join")?,
        Op::Ack(asked) => {
            assert!(request::acks(&asked.groups)?.len() <= request::ACK_GROUPS_MAX);
            "ack"
        }
        _ => return Ok(None),
    }))
}
