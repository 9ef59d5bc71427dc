//! What an app is told.

use tidings_schema::{
    id::Seq,
    wire::{self, entry},
};

use super::{
    inbox::peer_of,
    output::{BlockState, ConnectionState, Refused, Sent},
};

/// What the app learns.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The next message, incoming or one's own (sent by any device).
    Message(Box<Message>),
    /// A message of this client is durable at the server.
    Sent(Sent),
    /// A message will never be accepted; it is out of the queue.
    Refused(Refused),
    /// What a peer's devices have of our messages (cumulative seqs of our inbox).
    Receipt {
        /// Place of this entry in the inbox.
        seq: Seq,
        /// The peer.
        peer: String,
        /// Our messages up to here arrived.
        delivered_upto: Seq,
        /// Our messages up to here were read.
        read_upto: Seq,
    },
    /// The user's read marker moved, here or on another device.
    ReadMoved {
        /// Place of this entry in the inbox.
        seq: Seq,
        /// The conversation's peer.
        peer: String,
        /// Read up to here.
        upto: Seq,
    },
    /// The user blocked or unblocked a peer.
    BlockMoved {
        /// Place of this entry in the inbox.
        seq: Seq,
        /// The peer.
        peer: String,
        /// How it stands now.
        now: BlockState,
    },
    /// Its author took a message back: forget what it said.
    Recalled(Box<Recalled>),
    /// Its author put other words in place of a message.
    Edited(Box<Edited>),
    /// Somebody reacted to a message, or took a reaction back.
    Reacted(Box<Reacted>),
    /// The user deleted messages, here or on another device; the peer keeps them.
    Deleted(Box<Deleted>),
    /// The user set how a conversation is shown.
    ConversationSet {
        /// Place of this entry in the inbox.
        seq: Seq,
        /// The conversation's peer.
        peer: String,
        /// It stands before the others.
        pinned: bool,
        /// It does not notify, and its unread messages are not in the total.
        muted: bool,
    },
    /// A peer is writing to us: shown for [`TYPING_SHOWN_MS`](super::TYPING_SHOWN_MS), unless it says so again.
    Typing {
        /// The peer.
        peer: String,
    },
    /// An entry this version does not know, or one that a conversation list contained: only the place moves.
    Advanced {
        /// Place of this entry in the inbox.
        seq: Seq,
    },
    /// The inbox is another one, or this device was away too long: drop what is kept of it and show this instead.
    ConversationsReset {
        /// Everything there is, newest first.
        conversations: Vec<wire::ConversationView>,
        /// Entries after this seq follow.
        as_of: Seq,
    },
    /// The connection changed.
    Connection(ConnectionState),
}

impl Event {
    /// The place in the inbox that is reached when the app has applied this event.
    #[must_use]
    pub fn seq(&self) -> Option<Seq> {
        match self {
            Self::Message(message) => Some(message.seq),
            Self::Recalled(recalled) => Some(recalled.seq),
            Self::Edited(edited) => Some(edited.seq),
            Self::Reacted(reacted) => Some(reacted.seq),
            Self::Deleted(deleted) => Some(deleted.seq),
            Self::Receipt { seq, .. } | Self::ReadMoved { seq, .. } | Self::BlockMoved { seq, .. } => Some(*seq),
            Self::ConversationSet { seq, .. } | Self::Advanced { seq } => Some(*seq),
            Self::ConversationsReset { as_of, .. } => Some(*as_of),
            Self::Sent(_) | Self::Refused(_) | Self::Typing { .. } | Self::Connection(_) => None,
        }
    }

    /// What an entry of the inbox is to the app.
    pub(super) fn of_entry(entry: wire::Entry) -> Self {
        let (seq, time) = (Seq::new(entry.seq), entry.time);
        let Some(peer) = peer_of(&entry).map(str::to_owned) else { return Self::Advanced { seq } };
        match entry.body {
            Some(entry::Body::Message(message)) => Self::Message(Box::new(Message { seq, time, peer, message })),
            Some(entry::Body::Receipt(receipt)) => {
                let (delivered_upto, read_upto) = (Seq::new(receipt.delivered_upto), Seq::new(receipt.read_upto));
                Self::Receipt { seq, peer, delivered_upto, read_upto }
            }
            Some(entry::Body::Read(read)) => Self::ReadMoved { seq, peer, upto: Seq::new(read.upto) },
            Some(entry::Body::Blocked(_)) => Self::BlockMoved { seq, peer, now: BlockState::Blocked },
            Some(entry::Body::Unblocked(_)) => Self::BlockMoved { seq, peer, now: BlockState::Unblocked },
            Some(entry::Body::Recalled(recalled)) => {
                let message = MessageRef::new(peer, recalled.seq, recalled.author, recalled.message_id);
                Self::Recalled(Box::new(Recalled { seq, time, message }))
            }
            Some(entry::Body::Edited(edited)) => {
                let message = MessageRef::new(peer, edited.seq, edited.author, edited.message_id);
                Self::Edited(Box::new(Edited { seq, time, message, content: edited.content }))
            }
            Some(entry::Body::Reaction(given)) => {
                let message = MessageRef::new(peer, given.seq, given.author, given.message_id);
                let now = if given.removed { ReactionState::TakenBack } else { ReactionState::Given };
                Self::Reacted(Box::new(Reacted { seq, time, message, from: given.from, reaction: given.reaction, now }))
            }
            Some(entry::Body::Deleted(deleted)) => Self::Deleted(Box::new(Deleted::new(seq, peer, &deleted))),
            Some(entry::Body::ConversationSet(set)) => {
                Self::ConversationSet { seq, peer, pinned: set.pinned, muted: set.muted }
            }
            Some(
                entry::Body::GroupJoined(_)
                | entry::Body::GroupLeft(_)
                | entry::Body::GroupCreated(_)
                | entry::Body::MembersJoined(_)
                | entry::Body::MemberLeft(_)
                | entry::Body::RoleSet(_)
                | entry::Body::Muted(_)
                | entry::Body::GroupUpdated(_)
                | entry::Body::Dismissed(_)
                | entry::Body::Seal(_),
            )
            | None => Self::Advanced { seq },
        }
    }
}

/// A message of the inbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Place in the inbox.
    pub seq: Seq,
    /// When it was accepted, ms since the Unix epoch.
    pub time: u64,
    /// The other side of the conversation.
    pub peer: String,
    /// The message itself.
    pub message: wire::Message,
}

impl Message {
    /// The message in an entry of a page; `None` when it is another kind of entry.
    #[must_use]
    pub fn of_entry(entry: wire::Entry) -> Option<Self> {
        let Event::Message(message) = Event::of_entry(entry) else { return None };
        Some(*message)
    }

    /// How to name it when it is to be recalled, edited, reacted to or answered.
    #[must_use]
    pub fn reference(&self) -> MessageRef {
        let message = &self.message;
        MessageRef::new(self.peer.clone(), self.seq.get(), message.from.clone(), message.message_id.clone())
    }

    /// The message this one answers.
    #[must_use]
    pub fn answers(&self) -> Option<MessageRef> {
        let to = self.message.reply_to.clone()?;
        Some(MessageRef::new(self.peer.clone(), to.seq, to.author, to.message_id))
    }
}

/// Names a message. It holds nothing of what the message says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageRef {
    /// The other side of the conversation.
    pub peer: String,
    /// Its place in the user's own inbox; 0 in what the server says of a message that is not known here.
    pub seq: Seq,
    /// Who wrote it.
    pub author: String,
    /// Its id, for ever.
    pub message_id: String,
}

impl MessageRef {
    fn new(peer: String, seq: u64, author: String, message_id: String) -> Self {
        Self { peer, seq: Seq::new(seq), author, message_id }
    }
}

impl From<MessageRef> for wire::MessageRef {
    fn from(message: MessageRef) -> Self {
        Self { seq: message.seq.get(), author: message.author, message_id: message.message_id }
    }
}

/// A message was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// Place of this entry in the inbox.
    pub seq: Seq,
    /// When, ms since the Unix epoch.
    pub time: u64,
    /// Which message.
    pub message: MessageRef,
}

/// A message says something else now.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    /// Place of this entry in the inbox.
    pub seq: Seq,
    /// When, ms since the Unix epoch.
    pub time: u64,
    /// Which message.
    pub message: MessageRef,
    /// What it says now; `None` when a later edit or a recall, which follows, has replaced that already.
    pub content: Option<wire::Content>,
}

/// A reaction came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reacted {
    /// Place of this entry in the inbox.
    pub seq: Seq,
    /// When, ms since the Unix epoch.
    pub time: u64,
    /// To which message.
    pub message: MessageRef,
    /// Who reacted.
    pub from: String,
    /// An emoji, or a name of the app's own.
    pub reaction: String,
    /// How it stands now.
    pub now: ReactionState,
}

/// Whether a reaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReactionState {
    /// It does.
    Given,
    /// It was taken back.
    TakenBack,
}

/// Messages that are gone on the user's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Place of this entry in the inbox.
    pub seq: Seq,
    /// The conversation's peer.
    pub peer: String,
    /// These.
    pub seqs: Vec<Seq>,
    /// And all up to here.
    pub upto: Seq,
    /// The conversation left the list, until its next message.
    pub whole: bool,
}

impl Deleted {
    fn new(seq: Seq, peer: String, deleted: &wire::Deleted) -> Self {
        let seqs = deleted.seqs.iter().map(|&seq| Seq::new(seq)).collect();
        Self { seq, peer, seqs, upto: Seq::new(deleted.upto), whole: deleted.whole }
    }

    /// Whether the message at `seq` is among them.
    #[must_use]
    pub fn contains(&self, seq: Seq) -> bool {
        seq <= self.upto || self.seqs.contains(&seq)
    }
}
