//! What the server said, as the checker's plain values.

use tidings_client::core::{BlockState, Event, MessageRef, ReactionState};
use tidings_schema::wire::{self, entry::Body};

use super::{Entry, Given, Kept, Message, Setting, Target, View, What};

impl Kept {
    /// What a page showed.
    pub fn of_wire(entry: &wire::Entry) -> Self {
        let what = entry.body.clone().map_or(What::Nothing, What::of_body);
        Self { time: entry.time, entry: Entry { seq: entry.seq, what } }
    }
}

impl Entry {
    /// What a client told its app; `None` when it is no entry.
    pub fn of_event(event: Event) -> Option<Self> {
        let (seq, what) = match event {
            Event::Message(message) => (message.seq, What::Message(message_of(message.message))),
            Event::Receipt { seq, peer, delivered_upto, read_upto } => {
                let (delivered_upto, read_upto) = (delivered_upto.get(), read_upto.get());
                (seq, What::Receipt { peer, delivered_upto, read_upto })
            }
            Event::ReadMoved { seq, peer, upto } => (seq, What::Read { peer, upto: upto.get() }),
            Event::BlockMoved { seq, peer, now: BlockState::Blocked } => (seq, What::Blocked { peer }),
            Event::BlockMoved { seq, peer, now: BlockState::Unblocked } => (seq, What::Unblocked { peer }),
            Event::Recalled(it) => {
                let (peer, target) = named(it.message);
                (it.seq, What::Recalled { peer, target })
            }
            Event::Edited(it) => {
                let (peer, target) = named(it.message);
                (it.seq, What::Edited { peer, target, text: it.content.map(|content| text_of(Some(content))) })
            }
            Event::Reacted(it) => {
                let (peer, target) = named(it.message);
                let given = Given { from: it.from, reaction: it.reaction };
                (it.seq, What::Reaction { peer, target, given, removed: it.now == ReactionState::TakenBack })
            }
            Event::Deleted(it) => {
                let seqs = it.seqs.iter().map(|seq| seq.get()).collect();
                (it.seq, What::Deleted { peer: it.peer, seqs, upto: it.upto.get(), whole: it.whole })
            }
            Event::ConversationSet { seq, peer, pinned, muted } => {
                (seq, What::Set { peer, shown: Setting { pinned, muted } })
            }
            Event::Advanced { seq } => (seq, What::Nothing),
            Event::Typing { .. } => return None,
            Event::Sent(_) | Event::Refused(_) | Event::ConversationsReset { .. } | Event::Connection(_) => {
                return None;
            }
        };
        Some(Self { seq: seq.get(), what })
    }
}

impl What {
    fn of_body(body: Body) -> Self {
        match body {
            Body::Message(message) => Self::Message(message_of(message)),
            Body::Receipt(receipt) => Self::Receipt {
                peer: peer_of(receipt.conversation),
                delivered_upto: receipt.delivered_upto,
                read_upto: receipt.read_upto,
            },
            Body::Read(read) => Self::Read { peer: peer_of(read.conversation), upto: read.upto },
            Body::Blocked(blocked) => Self::Blocked { peer: blocked.uid },
            Body::Unblocked(unblocked) => Self::Unblocked { peer: unblocked.uid },
            Body::Recalled(it) => {
                let target = Target { seq: it.seq, author: it.author, id: it.message_id };
                Self::Recalled { peer: peer_of(it.conversation), target }
            }
            Body::Edited(it) => {
                let target = Target { seq: it.seq, author: it.author, id: it.message_id };
                let text = it.content.map(|content| text_of(Some(content)));
                Self::Edited { peer: peer_of(it.conversation), target, text }
            }
            Body::Reaction(it) => {
                let target = Target { seq: it.seq, author: it.author, id: it.message_id };
                let given = Given { from: it.from, reaction: it.reaction };
                Self::Reaction { peer: peer_of(it.conversation), target, given, removed: it.removed }
            }
            Body::Deleted(it) => {
                Self::Deleted { peer: peer_of(it.conversation), seqs: it.seqs, upto: it.upto, whole: it.whole }
            }
            Body::ConversationSet(it) => {
                let shown = Setting { pinned: it.pinned, muted: it.muted };
                Self::Set { peer: peer_of(it.conversation), shown }
            }
            Body::GroupJoined(_)
            | Body::GroupLeft(_)
            | Body::GroupCreated(_)
            | Body::MembersJoined(_)
            | Body::MemberLeft(_)
            | Body::RoleSet(_)
            | Body::Muted(_)
            | Body::GroupUpdated(_)
            | Body::Dismissed(_)
            | Body::Seal(_) => Self::Nothing,
        }
    }
}

impl View {
    /// What the list showed.
    pub fn of_wire(view: wire::ConversationView) -> Self {
        Self {
            peer: peer_of(view.conversation),
            unread: view.unread,
            last_read: view.last_read,
            last: view.last.as_ref().map(Kept::of_wire),
            shown: Setting { pinned: view.pinned, muted: view.muted },
            deleted: view.deleted.iter().map(|range| (range.from, range.upto)).collect(),
        }
    }
}

fn named(message: MessageRef) -> (String, Target) {
    (message.peer, Target { seq: message.seq.get(), author: message.author, id: message.message_id })
}

fn message_of(message: wire::Message) -> Message {
    let given = |given: wire::GivenReaction| Given { from: given.from, reaction: given.reaction };
    Message {
        id: message.message_id,
        from: message.from,
        peer: peer_of(message.conversation),
        text: text_of(message.content),
        recalled: message.recalled,
        edited_time: message.edited_time,
        reactions: message.reactions.into_iter().map(given).collect(),
    }
}

fn text_of(content: Option<wire::Content>) -> String {
    match content.and_then(|content| content.kind) {
        Some(wire::content::Kind::Text(text)) => text.text,
        _ => String::new(),
    }
}

/// The other side of a conversation.
fn peer_of(conversation: Option<wire::Conversation>) -> String {
    match conversation.and_then(|conversation| conversation.conversation) {
        Some(wire::conversation::Conversation::Uid(id) | wire::conversation::Conversation::Gid(id)) => id,
        None => String::new(),
    }
}
