//! The entry of a message, built and read around contents that stay encoded.

use bytes::{Bytes, BytesMut};
use prost::Message as _;

use super::encoded::put_field;
use crate::{
    id::{Gid, MessageId, Millis, Seq, Uid},
    wire,
};

/// A `wire::Entry` that carries a message, with its inner parts left encoded: the same bytes on the wire, but nothing
/// is copied or checked when it is read. The server's own rows are read and written in this form.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RawEntry {
    /// Place in the inbox.
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "2")]
    pub time: u64,
    /// Present in entries that are messages.
    #[prost(message, optional, tag = "10")]
    pub message: Option<RawMessage>,
}

/// A `wire::Message` with its inner parts left encoded.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RawMessage {
    /// UUID in text form.
    #[prost(string, tag = "1")]
    pub message_id: String,
    /// Encoded `wire::Conversation`.
    #[prost(bytes = "bytes", tag = "2")]
    pub conversation: Bytes,
    /// Uid of the author.
    #[prost(string, tag = "3")]
    pub from: String,
    /// Encoded `wire::Content`; empty once recalled.
    #[prost(bytes = "bytes", tag = "4")]
    pub content: Bytes,
    /// The message it answers.
    #[prost(message, optional, tag = "5")]
    pub reply_to: Option<wire::MessageRef>,
    /// Encoded `wire::PushHint`.
    #[prost(bytes = "bytes", optional, tag = "6")]
    pub push: Option<Bytes>,
    /// Its author took it back.
    #[prost(bool, tag = "7")]
    pub recalled: bool,
    /// When it was edited last; 0: never.
    #[prost(uint64, tag = "8")]
    pub edited_time: u64,
    /// Encoded `wire::GivenReaction`s.
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub reactions: Vec<Bytes>,
    /// Encoded `wire::Mention`s.
    #[prost(bytes = "bytes", repeated, tag = "10")]
    pub mentions: Vec<Bytes>,
}

/// The seq of an encoded entry of any kind; zero for none.
#[must_use]
pub fn entry_seq(entry: &Bytes) -> Seq {
    Seq::new(RawEntry::decode(entry.clone()).map_or(0, |entry| entry.seq))
}

/// What the entry of a message is made of.
#[derive(Clone, Debug)]
pub struct MessageParts<'a> {
    /// The sender's id for it.
    pub message_id: &'a MessageId,
    /// The other side, as the owner of the inbox sees it.
    pub conversation: &'a Uid,
    /// The author.
    pub from: &'a Uid,
    /// Encoded `wire::Content`; empty when it was recalled before it got here.
    pub content: &'a Bytes,
    /// The message it answers, as the owner of the inbox sees it.
    pub reply_to: Option<wire::MessageRef>,
    /// Encoded `wire::PushHint`; empty = none.
    pub push: &'a Bytes,
    /// When it was edited last, before it got here; zero = never.
    pub edited: Millis,
}

/// Encodes the entry of a message, exactly as clients get it.
#[must_use]
pub fn encode_message_entry(seq: Seq, time: Millis, parts: MessageParts<'_>) -> Bytes {
    let mut conversation = BytesMut::with_capacity(parts.conversation.as_str().len() + 2);
    // wire::Conversation { uid } is field 1.
    put_field(1, parts.conversation.as_str().as_bytes(), &mut conversation);
    let message = RawMessage {
        message_id: parts.message_id.to_string(),
        conversation: conversation.freeze(),
        from: parts.from.as_str().to_owned(),
        content: parts.content.clone(),
        reply_to: parts.reply_to,
        push: Some(parts.push.clone()).filter(|push| !push.is_empty()),
        // A message has content as long as it was not recalled.
        recalled: parts.content.is_empty(),
        edited_time: parts.edited.get(),
        reactions: Vec::new(),
        mentions: Vec::new(),
    };
    RawEntry { seq: seq.get(), time: time.get(), message: Some(message) }.encode_to_vec().into()
}

/// The conversation in a group, as said on the wire.
#[must_use]
pub fn conversation_of(gid: &Gid) -> wire::Conversation {
    wire::Conversation { conversation: Some(wire::conversation::Conversation::Gid(gid.as_str().to_owned())) }
}

/// The conversation with `peer`, as said on the wire.
#[must_use]
pub fn conversation_with(peer: &Uid) -> wire::Conversation {
    wire::Conversation { conversation: Some(wire::conversation::Conversation::Uid(peer.as_str().to_owned())) }
}
