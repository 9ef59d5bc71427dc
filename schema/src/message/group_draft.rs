//! A message as a client asks to send it to a group, and the entry it becomes.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message as _;

use super::{
    draft::{Body, DraftError, PayloadHash, ReplyTo},
    entry::{RawEntry, RawMessage, conversation_of},
};
use crate::{
    field::FieldError,
    group::{MENTIONS_MAX, Mention, Role},
    id::{Gid, MessageId, Millis, Seq, Uid},
    wire,
};

/// A message to a group: checked, and with everything encoded that the server only carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDraft {
    /// The client's id for it.
    pub message_id: MessageId,
    /// The group.
    pub to: Gid,
    /// Encoded `wire::Content`.
    pub content: Bytes,
    /// Who is to notice it: each once, in their order.
    pub mentions: Vec<Mention>,
    /// The message it answers, by its place in the group's log.
    pub reply_to: Option<ReplyTo>,
    /// Encoded `wire::PushHint`; empty = none.
    pub push: Bytes,
    /// Identity of the payload.
    pub hash: PayloadHash,
    /// Whether it counts as unread for the others.
    pub counting: bool,
}

impl GroupDraft {
    /// Checks what a client sent. `body_bytes_max` bounds content and push hint together.
    ///
    /// # Errors
    /// [`DraftError`] names the field that is wrong.
    pub fn new(send: &wire::Send, body_bytes_max: usize) -> Result<Self, DraftError> {
        let message_id = send.message_id.parse().map_err(|why| DraftError::Id("messageId", why))?;
        let target = send.to.as_ref().and_then(|to| to.target.as_ref()).ok_or(DraftError::Missing("to"))?;
        let wire::target::Target::Gid(to) = target else { return Err(DraftError::Missing("to.gid")) };
        let to: Gid = to.parse().map_err(|why| DraftError::Id("to.gid", why))?;
        let Body { content, push, counting } = Body::new(send, body_bytes_max)?;
        let mentions = mentions(&send.mentions)?;
        let reply_to = send.reply_to.as_ref().map(ReplyTo::new).transpose()?;
        let encoded = encode_mentions(&mentions);
        let hash = PayloadHash::of(to.as_str(), &content, &encoded, reply_to.as_ref(), &push);
        Ok(Self { message_id, to, content, mentions, reply_to, push, hash, counting })
    }
}

fn mentions(said: &[wire::Mention]) -> Result<Vec<Mention>, DraftError> {
    if said.len() > MENTIONS_MAX {
        return Err(FieldError::TooMany("mentions", MENTIONS_MAX).into());
    }
    let all: Result<BTreeSet<Mention>, DraftError> = said.iter().map(mention).collect();
    Ok(all?.into_iter().collect())
}

fn mention(said: &wire::Mention) -> Result<Mention, DraftError> {
    use wire::mention::Who;
    match said.who.as_ref().ok_or(FieldError::Missing("mentions.uid"))? {
        Who::Uid(uid) => uid.parse().map(Mention::User).map_err(|why| DraftError::Id("mentions.uid", why)),
        Who::All(true) => Ok(Mention::All),
        Who::All(false) => Err(FieldError::Value("mentions.all", "must be true").into()),
        Who::Role(number) => {
            let role = Role::from_number(*number).ok_or(FieldError::Value("mentions.role", "is not known"))?;
            Ok(Mention::Role(role))
        }
    }
}

fn encode_mentions(mentions: &[Mention]) -> Vec<Bytes> {
    use wire::mention::Who;
    let encode = |mention: &Mention| {
        let who = match mention {
            Mention::User(uid) => Who::Uid(uid.to_string()),
            Mention::All => Who::All(true),
            Mention::Role(role) => Who::Role(role.number()),
        };
        wire::Mention { who: Some(who) }.encode_to_vec().into()
    };
    mentions.iter().map(encode).collect()
}

/// Encodes the entry of a message in a group, exactly as clients get it.
#[must_use]
pub fn encode_group_message_entry(seq: Seq, time: Millis, from: &Uid, draft: &GroupDraft) -> Bytes {
    let message = RawMessage {
        message_id: draft.message_id.to_string(),
        conversation: conversation_of(&draft.to).encode_to_vec().into(),
        from: from.as_str().to_owned(),
        content: draft.content.clone(),
        reply_to: draft.reply_to.as_ref().map(|reply_to| reply_to.at(reply_to.seq)),
        push: Some(draft.push.clone()).filter(|push| !push.is_empty()),
        recalled: false,
        edited_time: 0,
        reactions: Vec::new(),
        mentions: encode_mentions(&draft.mentions),
    };
    RawEntry { seq: seq.get(), time: time.get(), message: Some(message) }.encode_to_vec().into()
}

/// Whom a message in a group mentions, by its encoded `wire::Entry`; nobody when it is no message.
#[must_use]
pub fn mentioned_in(entry: &Bytes) -> Vec<Mention> {
    let message = RawEntry::decode(entry.clone()).ok().and_then(|entry| entry.message);
    let read = |encoded: Bytes| mention(&wire::Mention::decode(encoded).ok()?).ok();
    message.map_or_else(Vec::new, |message| message.mentions.into_iter().filter_map(read).collect())
}
