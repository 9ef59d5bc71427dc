//! What happened, as plain values: what was sent and asked, what is kept, and what every device saw.

use std::collections::BTreeMap;

/// Everything that happened. What is called a moment is a number that rises with time: of two, the lower was earlier.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub users: BTreeMap<String, User>,
    /// In the order each device handed them over.
    pub sendings: Vec<Sending>,
    pub changes: Vec<Change>,
    pub readings: Vec<Reading>,
    pub sightings: Vec<Sighting>,
    pub connections: Vec<Connection>,
    /// When the server ended or was asked to, by its lives.
    pub deaths: Vec<u64>,
    /// Longest time an acknowledged cursor may wait in memory.
    pub cursor_flush_ms: u64,
}

/// One user at the end.
#[derive(Clone, Debug, Default)]
pub struct User {
    pub inbox: Vec<Kept>,
    pub conversations: Vec<View>,
    /// Per peer, newest first.
    pub histories: BTreeMap<String, Vec<Kept>>,
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
    Message(Message),
    Receipt { peer: String, delivered_upto: u64, read_upto: u64 },
    Read { peer: String, upto: u64 },
    Blocked { peer: String },
    Unblocked { peer: String },
    Recalled { peer: String, target: Target },
    Edited { peer: String, target: Target, text: Option<String> },
    Reaction { peer: String, target: Target, given: Given, removed: bool },
    Deleted { peer: String, seqs: Vec<u64>, upto: u64, whole: bool },
    Set { peer: String, shown: Setting },
    Nothing,
}

/// A message as one reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    pub from: String,
    pub peer: String,
    /// Empty when there is no content.
    pub text: String,
    pub recalled: bool,
    pub edited_time: u64,
    pub reactions: Vec<Given>,
}

impl Message {
    /// What it says; `None`: nothing any more.
    pub fn says(&self) -> Option<&str> {
        (!self.recalled || !self.text.is_empty()).then_some(self.text.as_str())
    }
}

/// The message that a change is about: its place in the inbox of whoever reads this (0: unknown), and its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub seq: u64,
    pub author: String,
    pub id: String,
}

/// A reaction and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Given {
    pub from: String,
    pub reaction: String,
}

/// How a user wants a conversation shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    pub pinned: bool,
    pub muted: bool,
}

/// A conversation as the list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    pub peer: String,
    pub unread: u64,
    pub last_read: u64,
    pub last: Option<Kept>,
    pub shown: Setting,
    /// First and last seq of each deleted range.
    pub deleted: Vec<(u64, u64)>,
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

/// What somebody asked for that is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub by: String,
    pub peer: String,
    pub what: Asked,
    /// How often: again after each lost answer.
    pub tries: usize,
    /// What it was answered in the end.
    pub fate: Fate,
    /// The moment of the answer.
    pub answered: u64,
}

impl Change {
    /// Whether any of its tries may have been taken.
    pub fn may_be_there(&self) -> bool {
        self.fate != Fate::Refused || self.tries > 1
    }
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Recall(Target),
    Edit {
        target: Target,
        text: String,
    },
    React {
        target: Target,
        reaction: String,
        removed: bool,
    },
    /// These, or everything up to a seq above 0.
    Delete {
        seqs: Vec<u64>,
        upto: u64,
    },
    DeleteAll,
    Set {
        pinned: Option<bool>,
        muted: Option<bool>,
    },
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

/// A message as somebody read it before the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub uid: String,
    /// A moment before the server began to read.
    pub asked: u64,
    pub path: Path,
    pub seq: u64,
    pub message: Message,
}

/// On which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Pushed by a connection that was opened after the moment.
    Pushed,
    Sync,
    History,
    /// As the newest message of a conversation.
    List,
}

/// A device of `uid` has seen the entry at `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub uid: String,
    pub seq: u64,
    /// A moment after it.
    pub moment: u64,
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

impl What {
    /// Who said it in which conversation: messages and their changes, which the peer gets too.
    pub fn said(&self) -> Option<(&str, &str)> {
        match self {
            Self::Message(message) => Some((&message.from, &message.peer)),
            Self::Recalled { peer, target } | Self::Edited { peer, target, .. } => Some((&target.author, peer)),
            Self::Reaction { peer, given, .. } => Some((&given.from, peer)),
            _ => None,
        }
    }

    /// The message that a change is about.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Recalled { target, .. } | Self::Edited { target, .. } | Self::Reaction { target, .. } => Some(target),
            _ => None,
        }
    }

    /// Of entries after which a message says something else: that message.
    pub fn rewrites(&self) -> Option<&Target> {
        match self {
            Self::Recalled { target, .. } | Self::Edited { target, .. } => Some(target),
            _ => None,
        }
    }
}

impl Target {
    /// Author and id, the same for everybody.
    pub fn name(&self) -> (&str, &str) {
        (&self.author, &self.id)
    }
}

impl Message {
    /// Author and id, the same for everybody.
    pub fn name(&self) -> (&str, &str) {
        (&self.from, &self.id)
    }
}

impl User {
    /// The entry at a seq.
    pub fn at(&self, seq: u64) -> Option<&Kept> {
        self.inbox.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    /// The messages of the inbox.
    pub fn messages(&self) -> impl Iterator<Item = (&Kept, &Message)> {
        self.inbox.iter().filter_map(|kept| match &kept.entry.what {
            What::Message(message) => Some((kept, message)),
            _ => None,
        })
    }
}
