//! Judges what happened: given what was sent, what is kept and what every device saw, says which promises were broken.
//! Pure; its own tests hand it histories that must be refused.

mod cursors;
mod logs;
mod messages;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use tidings_client::core::{BlockState, Event};
use tidings_schema::wire;

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Seqs of an inbox are 1, 2, 3 and so on.
    Contiguous,
    /// An acked message is in its sender's inbox at the seq of the ack, and in its recipient's.
    Lost,
    /// No message is twice in one inbox.
    Twice,
    /// Messages of one device to one user stay in order on both sides, and no answer comes before what it answers.
    Order,
    /// Nothing is kept that no one sent, or that was refused.
    Invented,
    /// What was sent while its sender was blocked never shows.
    Blocked,
    /// Unread counts equal a recount.
    Unread,
    /// What a device saw is the inbox, each entry once and in order, up to its end.
    Stream,
    /// A device goes on where it acknowledged, no later, and not earlier than it may; and is not sent again what it
    /// acknowledged on the same connection.
    Cursor,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    pub rule: Rule,
    pub what: String,
}

/// Everything that happened.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub users: BTreeMap<String, User>,
    /// In the order each device handed them over.
    pub sendings: Vec<Sending>,
    pub connections: Vec<Connection>,
    /// When the server was killed, by its lives.
    pub deaths: Vec<u64>,
    /// Longest time an acknowledged cursor may wait in memory.
    pub cursor_flush_ms: u64,
}

/// One user at the end.
#[derive(Clone, Debug, Default)]
pub struct User {
    pub inbox: Vec<Kept>,
    pub conversations: Vec<View>,
    pub unread_total: u64,
    /// Per device, per life of its app: what it saw.
    pub streams: BTreeMap<String, Vec<Vec<Entry>>>,
}

/// An entry of an inbox, with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub time: u64,
    pub entry: Entry,
}

/// An entry of an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub seq: u64,
    pub what: What,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Message { id: String, from: String, peer: String, text: String },
    Receipt { peer: String, delivered_upto: u64, read_upto: u64 },
    Read { peer: String, upto: u64 },
    Blocked { peer: String },
    Unblocked { peer: String },
    Nothing,
}

/// A conversation as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub peer: String,
    pub unread: u64,
    pub last_read: u64,
}

/// A message that was handed to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    pub id: String,
    pub from: String,
    pub device: String,
    pub to: String,
    pub text: String,
    pub fate: Fate,
}

/// What its sender was told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is kept, at this seq of the sender's inbox.
    Acked(u64),
    /// It will never be kept.
    Refused,
    /// Nothing yet.
    Open,
}

/// One connection of a device that asks the server where to go on.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    pub uid: String,
    pub device: String,
    /// In which life of the server, counted from 0.
    pub life: usize,
    pub opened_ms: u64,
    pub resume_after: u64,
    pub steps: Vec<Step>,
}

/// What happened on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Pushed { seq: u64, redelivery: bool },
    Acked { seq: u64, at_ms: u64 },
}

/// Every broken promise, sorted.
pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    logs::contiguous(history, &mut found);
    logs::unread(history, &mut found);
    logs::streams(history, &mut found);
    messages::lost(history, &mut found);
    messages::twice(history, &mut found);
    messages::order(history, &mut found);
    messages::invented(history, &mut found);
    messages::blocked(history, &mut found);
    cursors::cursors(history, &mut found);
    found.sort();
    found
}

fn report(found: &mut Vec<Violation>, rule: Rule, what: String) {
    found.push(Violation { rule, what });
}

impl Kept {
    /// What a page showed.
    pub fn of_wire(entry: &wire::Entry) -> Self {
        use wire::entry::Body;
        let what = match entry.body.clone() {
            Some(Body::Message(message)) => What::of_message(message),
            Some(Body::Receipt(receipt)) => What::Receipt {
                peer: peer_of(receipt.conversation),
                delivered_upto: receipt.delivered_upto,
                read_upto: receipt.read_upto,
            },
            Some(Body::Read(read)) => What::Read { peer: peer_of(read.conversation), upto: read.upto },
            Some(Body::Blocked(blocked)) => What::Blocked { peer: blocked.uid },
            Some(Body::Unblocked(unblocked)) => What::Unblocked { peer: unblocked.uid },
            Some(_) | None => What::Nothing,
        };
        Self { time: entry.time, entry: Entry { seq: entry.seq, what } }
    }
}

impl Entry {
    /// What a client told its app; `None` when it is no entry.
    pub fn of_event(event: Event) -> Option<Self> {
        let (seq, what) = match event {
            Event::Message(message) => (message.seq, What::of_message(message.message)),
            Event::Receipt { seq, peer, delivered_upto, read_upto } => {
                let (delivered_upto, read_upto) = (delivered_upto.get(), read_upto.get());
                (seq, What::Receipt { peer, delivered_upto, read_upto })
            }
            Event::ReadMoved { seq, peer, upto } => (seq, What::Read { peer, upto: upto.get() }),
            Event::BlockMoved { seq, peer, now: BlockState::Blocked } => (seq, What::Blocked { peer }),
            Event::BlockMoved { seq, peer, now: BlockState::Unblocked } => (seq, What::Unblocked { peer }),
            Event::Recalled(recalled) => (recalled.seq, What::Nothing),
            Event::Edited(edited) => (edited.seq, What::Nothing),
            Event::Reacted(reacted) => (reacted.seq, What::Nothing),
            Event::Deleted(deleted) => (deleted.seq, What::Nothing),
            Event::ConversationSet { seq, .. } | Event::Advanced { seq } => (seq, What::Nothing),
            Event::Typing { .. } => return None,
            Event::Sent(_) | Event::Refused(_) | Event::ConversationsReset { .. } | Event::Connection(_) => {
                return None;
            }
        };
        Some(Self { seq: seq.get(), what })
    }
}

impl What {
    fn of_message(message: wire::Message) -> Self {
        let text = match message.content.and_then(|content| content.kind) {
            Some(wire::content::Kind::Text(text)) => text.text,
            _ => String::new(),
        };
        Self::Message { id: message.message_id, from: message.from, peer: peer_of(message.conversation), text }
    }
}

/// The other side of a conversation.
pub fn peer_of(conversation: Option<wire::Conversation>) -> String {
    match conversation.and_then(|conversation| conversation.conversation) {
        Some(wire::conversation::Conversation::Uid(uid)) => uid,
        None => String::new(),
    }
}
