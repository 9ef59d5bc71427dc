//! What the server itself must know of a message: the checked draft, its payload hash, and how entries and frames are
//! built around contents that stay encoded.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;
use prost::encoding::{self, WireType};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    change::MessageName,
    error_code::ErrorCode,
    id::{IdError, LogId, MessageId, Millis, Seq, Uid},
    wire,
};

/// Identity of what a send says: equal for a retry, different for another message under the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadHash([u8; 16]);

impl PayloadHash {
    /// xxh3-128 over the canonical Protobuf of (to, content, reply_to without its seq, push), each with its field number in
    /// `wire::Send`.
    fn of(to: &Uid, content: &[u8], reply_to: Option<&ReplyTo>, push: &[u8]) -> Self {
        let len = to.as_str().len() + content.len() + push.len() + 24;
        let mut canonical = BytesMut::with_capacity(len);
        put_field(2, to.as_str().as_bytes(), &mut canonical);
        put_field(3, content, &mut canonical);
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
    /// Its seq in the sender's own inbox.
    pub seq: Seq,
    /// Whose, and which.
    pub name: MessageName,
}

impl ReplyTo {
    /// Checks what a client sent.
    ///
    /// # Errors
    /// [`DraftError`] names the field that is wrong.
    fn new(from: &wire::MessageRef) -> Result<Self, DraftError> {
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
}

impl DraftError {
    /// The code a client gets.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Id(..) => ErrorCode::BadId,
            Self::Missing(_) => ErrorCode::BadField,
            Self::TooLarge(_) => ErrorCode::BodyTooLarge,
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
        let wire::target::Target::Uid(to) = target;
        let to: Uid = to.parse().map_err(|why| DraftError::Id("to.uid", why))?;
        let content = send.content.as_ref().filter(|content| content.kind.is_some());
        let content = content.ok_or(DraftError::Missing("content"))?;
        let push_bytes = send.push.as_ref().map_or(0, prost::Message::encoded_len);
        if content.encoded_len() + push_bytes > body_bytes_max {
            return Err(DraftError::TooLarge(body_bytes_max));
        }
        let counting = counts_as_unread(content, send.push.as_ref());
        let reply_to = send.reply_to.as_ref().map(ReplyTo::new).transpose()?;
        let content = Bytes::from(content.encode_to_vec());
        let push = send.push.as_ref().map_or_else(Bytes::new, |push| push.encode_to_vec().into());
        let hash = PayloadHash::of(&to, &content, reply_to.as_ref(), &push);
        Ok(Self { message_id, to, content, reply_to, push, hash, counting })
    }
}

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
    };
    RawEntry { seq: seq.get(), time: time.get(), message: Some(message) }.encode_to_vec().into()
}

/// Whether a message counts as unread for its recipient: everything but notices and silent ones.
#[must_use]
pub fn counts_as_unread(content: &wire::Content, push: Option<&wire::PushHint>) -> bool {
    let notice = matches!(content.kind, Some(wire::content::Kind::Notice(_)));
    !notice && !push.is_some_and(|push| push.silent)
}

/// The conversation with `peer`, as said on the wire.
#[must_use]
pub fn conversation_with(peer: &Uid) -> wire::Conversation {
    wire::Conversation { conversation: Some(wire::conversation::Conversation::Uid(peer.as_str().to_owned())) }
}

const ENTRIES_FIELD: u32 = 40;
const ENTRIES_TIMELINE_FIELD: u32 = 1;
const ENTRIES_ENTRIES_FIELD: u32 = 2;
const ENTRIES_REDELIVERY_FIELD: u32 = 3;
const ENTRIES_LOG_ID_FIELD: u32 = 4;

/// `ServerFrame { entries }` of the inbox around entries that are already encoded (`wire::Entry`). Equal, byte for
/// byte, to what the generated types would encode.
#[must_use]
pub fn encode_inbox_entries(entries: &[Bytes], redelivery: Option<Redelivery>, log_id: Option<&LogId>) -> Bytes {
    // Timeline { inbox: {} } is the field `inbox` (1, length-delimited) of length 0.
    const TIMELINE: [u8; 2] = [0x0a, 0x00];
    let entries_len: usize = entries.iter().map(|entry| field_len(ENTRIES_ENTRIES_FIELD, entry.len())).sum();
    let len = field_len(ENTRIES_TIMELINE_FIELD, TIMELINE.len())
        + entries_len
        + redelivery.map_or(0, |_| 2)
        + log_id.map_or(0, |id| field_len(ENTRIES_LOG_ID_FIELD, id.as_bytes().len()));
    let mut out = BytesMut::with_capacity(field_len(ENTRIES_FIELD, len));
    put_header(ENTRIES_FIELD, len, &mut out);
    put_field(ENTRIES_TIMELINE_FIELD, &TIMELINE, &mut out);
    for entry in entries {
        put_field(ENTRIES_ENTRIES_FIELD, entry, &mut out);
    }
    if redelivery.is_some() {
        encoding::bool::encode(ENTRIES_REDELIVERY_FIELD, &true, &mut out);
    }
    if let Some(id) = log_id {
        put_field(ENTRIES_LOG_ID_FIELD, id.as_bytes(), &mut out);
    }
    out.freeze()
}

/// Marks a push as a repetition of unacknowledged entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redelivery;

fn field_len(field: u32, len: usize) -> usize {
    encoding::key_len(field) + encoding::encoded_len_varint(len as u64) + len
}

fn put_header(field: u32, len: usize, out: &mut BytesMut) {
    encoding::encode_key(field, WireType::LengthDelimited, out);
    encoding::encode_varint(len as u64, out);
}

fn put_field(field: u32, bytes: &[u8], out: &mut BytesMut) {
    put_header(field, bytes.len(), out);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64) -> wire::Entry {
        let body = wire::entry::Body::Blocked(wire::Blocked { uid: "bob".into() });
        wire::Entry { seq, time: 7, body: Some(body) }
    }

    #[test]
    fn frames_around_encoded_entries_equal_the_generated_encoding() {
        let inbox = wire::Timeline { timeline: Some(wire::timeline::Timeline::Inbox(wire::Inbox {})) };
        for (redelivery, log_id) in
            [(None, None), (Some(Redelivery), None), (Some(Redelivery), Some(LogId::new([9; 16])))]
        {
            let entries = wire::Entries {
                timeline: Some(inbox),
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
}
