//! A message as a client asks to send it: checked once, with everything encoded that the server only carries.

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use xxhash_rust::xxh3::xxh3_128;

use super::encoded::put_field;
use crate::{
    change::MessageName,
    error_code::ErrorCode,
    field::FieldError,
    id::{IdError, MessageId, Seq, Uid},
    wire,
};

/// Identity of what a send says: equal for a retry, different for another message under the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadHash([u8; 16]);

impl PayloadHash {
    /// xxh3-128 over the canonical Protobuf of (to, content, mentions, reply_to without its seq, push), each with its field
    /// number in `wire::Send`.
    pub(super) fn of(to: &str, content: &[u8], mentions: &[Bytes], reply_to: Option<&ReplyTo>, push: &[u8]) -> Self {
        let len = to.len() + content.len() + push.len() + 24;
        let mut canonical = BytesMut::with_capacity(len);
        put_field(2, to.as_bytes(), &mut canonical);
        put_field(3, content, &mut canonical);
        mentions.iter().for_each(|mention| put_field(4, mention, &mut canonical));
        if let Some(reply_to) = reply_to {
            put_field(5, &reply_to.at(Seq::ZERO).encode_to_vec(), &mut canonical);
        }
        put_field(6, push, &mut canonical);
        Self(xxh3_128(&canonical).to_be_bytes())
    }

    /// The 16 bytes as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the stored form; `None` unless it is 16 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// A message as a client asks to send it: checked, and with everything encoded that the server only carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The client's id for it.
    pub message_id: MessageId,
    /// The recipient.
    pub to: Uid,
    /// Encoded `wire::Content`.
    pub content: Bytes,
    /// The message it answers.
    pub reply_to: Option<ReplyTo>,
    /// Encoded `wire::PushHint`; empty = none.
    pub push: Bytes,
    /// Identity of the payload.
    pub hash: PayloadHash,
    /// Whether it counts as unread for the recipient.
    pub counting: bool,
}

/// The message that another one answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// Its seq in the sender's own inbox, or in the group's log.
    pub seq: Seq,
    /// Whose, and which.
    pub name: MessageName,
}

impl ReplyTo {
    /// Checks what a client sent.
    ///
    /// # Errors
    /// [`DraftError`] names the field that is wrong.
    pub(super) fn new(from: &wire::MessageRef) -> Result<Self, DraftError> {
        if from.seq == 0 {
            return Err(DraftError::Missing("replyTo.seq"));
        }
        let author = from.author.parse().map_err(|why| DraftError::Id("replyTo.author", why))?;
        let message_id = from.message_id.parse().map_err(|why| DraftError::Id("replyTo.messageId", why))?;
        Ok(Self { seq: Seq::new(from.seq), name: MessageName { author, message_id } })
    }

    /// As said to somebody in whose inbox the message is at `seq` (zero: unknown).
    #[must_use]
    pub fn at(&self, seq: Seq) -> wire::MessageRef {
        reference(seq, &self.name)
    }
}

/// A reference to a message, as said to somebody in whose inbox it is at `seq` (zero: unknown).
#[must_use]
pub fn reference(seq: Seq, name: &MessageName) -> wire::MessageRef {
    wire::MessageRef { seq: seq.get(), author: name.author.to_string(), message_id: name.message_id.to_string() }
}

/// Why a send is no draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// An id is malformed; names the field.
    #[error("{0} {1}")]
    Id(&'static str, IdError),
    /// A field that must be set is not; names it.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Content and push hint together are larger than the limit.
    #[error("content is larger than {0} bytes")]
    TooLarge(usize),
    /// Another field is wrong.
    #[error(transparent)]
    Field(#[from] FieldError),
}

impl DraftError {
    /// The code a client gets.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Id(..) => ErrorCode::BadId,
            Self::Missing(_) => ErrorCode::BadField,
            Self::TooLarge(_) => ErrorCode::BodyTooLarge,
            Self::Field(why) => why.code(),
        }
    }
}

impl Draft {
    /// Checks what a client sent. `body_bytes_max` bounds content and push hint together.
    ///
    /// # Errors
    /// [`DraftError`] names the field that is wrong.
    pub fn new(send: &wire::Send, body_bytes_max: usize) -> Result<Self, DraftError> {
        let message_id = send.message_id.parse().map_err(|why| DraftError::Id("messageId", why))?;
        let target = send.to.as_ref().and_then(|to| to.target.as_ref()).ok_or(DraftError::Missing("to"))?;
        let wire::target::Target::Uid(to) = target else { return Err(DraftError::Missing("to.uid")) };
        let to: Uid = to.parse().map_err(|why| DraftError::Id("to.uid", why))?;
        let Body { content, push, counting } = Body::new(send, body_bytes_max)?;
        if !send.mentions.is_empty() {
            return Err(FieldError::Value("mentions", "are for groups").into());
        }
        let reply_to = send.reply_to.as_ref().map(ReplyTo::new).transpose()?;
        let hash = PayloadHash::of(to.as_str(), &content, &[], reply_to.as_ref(), &push);
        Ok(Self { message_id, to, content, reply_to, push, hash, counting })
    }
}

/// What a message says, whoever it is for.
pub(super) struct Body {
    pub(super) content: Bytes,
    pub(super) push: Bytes,
    pub(super) counting: bool,
}

impl Body {
    pub(super) fn new(send: &wire::Send, body_bytes_max: usize) -> Result<Self, DraftError> {
        let content = send.content.as_ref().filter(|content| content.kind.is_some());
        let content = content.ok_or(DraftError::Missing("content"))?;
        let push_bytes = send.push.as_ref().map_or(0, prost::Message::encoded_len);
        if content.encoded_len() + push_bytes > body_bytes_max {
            return Err(DraftError::TooLarge(body_bytes_max));
        }
        Ok(Self {
            content: content.encode_to_vec().into(),
            push: send.push.as_ref().map_or_else(Bytes::new, |push| push.encode_to_vec().into()),
            counting: counts_as_unread(content, send.push.as_ref()),
        })
    }
}

/// Whether a message counts as unread for its recipient: everything but notices and silent ones.
#[must_use]
pub fn counts_as_unread(content: &wire::Content, push: Option<&wire::PushHint>) -> bool {
    let notice = matches!(content.kind, Some(wire::content::Kind::Notice(_)));
    !notice && !push.is_some_and(|push| push.silent)
}
