//! How actors reach each other without knowing where they live: by shard, or by connection. Every offer can fail.
//!
//! The local link is a table in this process; a cluster adds one to other nodes. Order is kept per sender and target.

mod group;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use tidings_schema::{
    change::{Change, MessageName},
    id::{DeviceId, LogId, MessageId, Millis, Place, Seq, ShardId, Uid},
    message::{Draft, PayloadHash},
    wire,
};
use tidings_state::retention::Horizon;
use tokio::sync::OwnedSemaphorePermit;

pub use self::group::{FanOut, GroupChange, GroupCommand, GroupOp, GroupSend};
use crate::offer::Offer;

/// Where a connection lives. Never used again for another connection in the life of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionRef {
    /// Edge worker that accepted it.
    pub worker: u16,
    /// Number of the connection in this process.
    pub connection: u64,
}

impl fmt::Display for ConnectionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.worker, self.connection)
    }
}

/// Client-chosen id of a frame; the answer repeats it. 0 wants no answer.
pub type OpId = u64;

/// What one connection asks of its user's mailbox.
#[derive(Debug)]
pub struct Command {
    /// Who asks; answers go there.
    pub from: ConnectionRef,
    /// Id of the frame.
    pub op_id: OpId,
    /// The authenticated user.
    pub uid: Uid,
    /// What is asked.
    pub op: Op,
}

/// The operations of a mailbox. Everything in them is validated.
#[derive(Debug)]
pub enum Op {
    /// First op of a connection; answered by [`ToConnection::Welcome`].
    Attach(Attach),
    /// The connection is gone.
    Detach,
    /// A message.
    Send(SendOp),
    /// Cumulative: the device has everything up to here.
    Ack(Seq),
    /// Move the read marker of the conversation with this peer.
    Read(Uid, Seq),
    /// Entries after a seq, at most so many.
    Sync(Seq, usize),
    /// Messages with a peer before a seq (zero: newest), at most so many.
    History(Uid, Seq, usize),
    /// Conversations after a last seq (zero: from the newest), at most so many.
    Conversations(Seq, usize),
    /// Take nothing from this user any more.
    Block(Uid),
    /// The opposite.
    Unblock(Uid),
    /// By an operator: tokens issued before now let nobody in any more, on this device or (`None`) on any.
    Revoke(Option<DeviceId>),
    /// Recall, edit or react to a message.
    Change(ChangeOp),
    /// Delete messages on this side.
    Delete(DeleteOp),
    /// Pin or mute the conversation with this peer; `None` leaves it as it is.
    SetConversation {
        /// The peer.
        peer: Uid,
        /// Above the others.
        pinned: Option<bool>,
        /// Not in the unread total.
        muted: Option<bool>,
    },
    /// Pushed entries up to here have left the out queue.
    Drained(Seq),
    /// A push was not forwarded; this is the last one that was. Kept until taken.
    Dropped(Seq),
}

/// A device comes online on a new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// Which device.
    pub device: DeviceId,
    /// What kind, as the client says.
    pub platform: String,
    /// When the token was issued that it comes with.
    pub issued: Millis,
    /// What the client has applied; `None`: go on at the device's stored cursor.
    pub resume: Option<ResumePoint>,
}

/// A client's place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// Highest seq it has applied.
    pub inbox: Seq,
    /// The log it counts in, if it knows.
    pub log_id: Option<LogId>,
}

/// One message to be sent.
#[derive(Debug)]
pub struct SendOp {
    /// What to send and to whom.
    pub draft: Draft,
    /// The client says it may have sent this id before.
    pub retry: bool,
    /// Id of this connection's previous unanswered send to the same target; 0 = none. A send whose predecessor was not
    /// taken is refused, so that order is kept.
    pub after: OpId,
}

/// A change of one message.
#[derive(Debug)]
pub struct ChangeOp {
    /// The other side of the conversation.
    pub peer: Uid,
    /// The message's place in the caller's own inbox.
    pub seq: Seq,
    /// Which message the caller means to be there.
    pub name: MessageName,
    /// What becomes of it.
    pub change: Change,
}

/// Messages that the caller wants to see no more.
#[derive(Debug)]
pub struct DeleteOp {
    /// The other side of the conversation.
    pub peer: Uid,
    /// Which.
    pub what: Deletion,
}

/// What to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// These, at least one.
    Seqs(Vec<Seq>),
    /// All up to here.
    Upto(Seq),
    /// All, and the conversation from the list.
    Whole,
}

/// What a connection is told. Several in one message are handled in one turn (and leave in one write).
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "answers are most of what is told; a box for each would cost more than the room"
)]
pub enum ToConnection {
    /// Answer to `Attach`. Pushes follow from `resume_after`.
    Welcome(OpId, Box<wire::Welcome>),
    /// Answer to any other op.
    Answer(OpId, wire::server_frame::Body),
    /// Entries. Forwarded only if `after` is the last seq this connection forwarded, else [`Op::Dropped`].
    Push(Push),
    /// Entries that were pushed before and not acknowledged; forwarded as they are, and not counted as the last push.
    Again(Arc<EntryFrame>),
    /// The inbox has grown, but this connection is not told what by now (it is catching up).
    HeadMoved(Seq),
    /// Something that is kept nowhere; dropped when there is no room.
    Event(Arc<EntryFrame>),
    /// Say good-bye and close.
    Close(wire::GoAwayReason),
    /// Tokens issued before this are good for nothing any more: close, if it came with one.
    SignOut(Millis),
}

/// Contiguous entries for one connection.
#[derive(Clone, Debug)]
pub struct Push {
    /// The seq before the first entry.
    pub after: Seq,
    /// The last entry.
    pub last: Seq,
    /// The frame, shared by all connections that get the same.
    pub frame: Arc<EntryFrame>,
}

/// One push frame, encoded once per encoding and shared by reference.
pub struct EntryFrame {
    protobuf: Bytes,
    json: OnceLock<Bytes>,
}

impl EntryFrame {
    /// Takes an encoded `ServerFrame`.
    #[must_use]
    pub fn new(protobuf: Bytes) -> Self {
        Self { protobuf, json: OnceLock::new() }
    }

    /// The Protobuf form.
    #[must_use]
    pub fn protobuf(&self) -> Bytes {
        self.protobuf.clone()
    }

    /// The JSON form, made by the first connection that asks.
    #[must_use]
    pub fn json(&self) -> Bytes {
        let make = || {
            use prost::Message as _;
            // The frame was encoded by this process; an empty text would be a bug of the encoder, found by its tests.
            let frame = wire::ServerFrame::decode(self.protobuf.clone()).unwrap_or_default();
            Bytes::from(tidings_schema::json::encode_server(&frame))
        };
        self.json.get_or_init(make).clone()
    }
}

impl fmt::Debug for EntryFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryFrame({} bytes)", self.protobuf.len())
    }
}

/// What one mailbox tells another.
#[derive(Clone, Debug)]
pub struct PeerMessage {
    /// The mailbox that speaks.
    pub from: Uid,
    /// The mailbox that is told.
    pub to: Uid,
    /// What.
    pub say: Say,
}

impl PeerMessage {
    /// Whether it means nothing to somebody who is not online.
    #[must_use]
    pub fn is_ephemeral(&self) -> bool {
        matches!(self.say, Say::Typing)
    }
}

/// The words between mailboxes (delivery.md, "Outbox and Deliver").
#[derive(Clone, Debug)]
pub enum Say {
    /// Here are rows of mine for you, chained by `prev`.
    Deliver(Deliver),
    /// I have, durably, your rows up to `upto` and your read marker up to `read`.
    Accepted(Accepted),
    /// Your rows do not fit what I have; start again after `have`.
    Gap(Gap),
    /// My devices have your rows up to here. Best effort.
    Delivered(Place),
    /// I am writing to you. Best effort, kept nowhere.
    Typing,
}

/// Rows of the sender's inbox for one peer.
#[derive(Clone, Debug)]
pub struct Deliver {
    /// The sender's log.
    pub log_id: LogId,
    /// Seq of the row before the first one in the chain towards this peer; zero = none.
    pub prev: Seq,
    /// At most 64 and 256 KiB; may be empty when only the marker moves.
    pub entries: Vec<DeliverEntry>,
    /// The sender's read marker, in the receiver's log.
    pub read: Option<Place>,
    /// The sender's log does not reach back further than `prev`: what the receiver misses before is not missed.
    pub adopt: bool,
}

/// One row on its way from mailbox to mailbox.
#[derive(Clone, Debug)]
pub struct DeliverEntry {
    /// Place in the sender's inbox.
    pub seq: Seq,
    /// Copied unchanged, so both sides show the same.
    pub time: Millis,
    /// What it says.
    pub body: DeliverBody,
}

impl DeliverEntry {
    /// What it counts for the bytes of a delivery.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.body {
            DeliverBody::Message(message) => message.content.len() + message.push.len(),
            DeliverBody::Change(_, Change::Edit { content }) => content.len(),
            DeliverBody::Change(_, Change::Recall | Change::React { .. }) => 0,
        }
    }

    /// Whether it takes a message back.
    #[must_use]
    pub fn is_recall(&self) -> bool {
        matches!(&self.body, DeliverBody::Change(_, Change::Recall))
    }

    /// The message it answers or changes.
    #[must_use]
    pub fn refers(&self) -> Option<&Reference> {
        match &self.body {
            DeliverBody::Message(message) => message.reply_to.as_ref(),
            DeliverBody::Change(reference, _) => Some(reference),
        }
    }
}

/// A message as two mailboxes speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its place in its author's log.
    pub place: Place,
    /// Whose, and which.
    pub name: MessageName,
}

/// What one row says to the peer.
#[derive(Clone, Debug)]
pub enum DeliverBody {
    /// A message.
    Message(DeliverMessage),
    /// What becomes of a message.
    Change(Reference, Change),
}

/// A message, as it is when it is delivered.
#[derive(Clone, Debug)]
pub struct DeliverMessage {
    /// The sender's id for it.
    pub message_id: MessageId,
    /// Identity of the payload as it was sent.
    pub hash: PayloadHash,
    /// Whether it counts as unread.
    pub counting: bool,
    /// Encoded `wire::Content`; empty when it was recalled already.
    pub content: Bytes,
    /// The message it answers.
    pub reply_to: Option<Reference>,
    /// Encoded `wire::PushHint`; empty = none.
    pub push: Bytes,
    /// When it was edited last; zero = never.
    pub edited: Millis,
}

/// Durable acceptance; repeated whenever it moves and for pure repetitions. Seqs are the deliverer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The log whose seqs `upto` names (the deliverer's).
    pub log_id: LogId,
    /// Last accepted row.
    pub upto: Seq,
    /// The deliverer's marker as taken, in the accepter's log.
    pub read: Option<Place>,
}

/// The chain does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The log whose seqs `have` names (the deliverer's).
    pub log_id: LogId,
    /// Last row the receiver has.
    pub have: Seq,
}

/// An inbox has something old enough to go.
#[derive(Debug)]
pub struct Visit {
    /// Whose.
    pub uid: Uid,
    /// What is old enough.
    pub horizon: Horizon,
    /// One of the few inboxes that are swept at a time; given back when this is dropped.
    pub permit: OwnedSemaphorePermit,
}

/// Reaches actors. One instance per node, used from every thread.
pub trait Link: Send + Sync + 'static {
    /// To the mailbox of `command.uid`, through its shard. `Full` and `Closed` mean: nothing was taken.
    fn command(&self, shard: ShardId, command: Command) -> Offer<Command>;

    /// To the group `command.gid`, through its shard. `Full` and `Closed` mean: nothing was taken.
    fn group(&self, shard: ShardId, command: GroupCommand) -> Offer<GroupCommand>;

    /// To every connection of this node that wants the group. `Full`: nothing was taken, and the head is owed. `Closed`:
    /// there is no connection.
    fn fan_out(&self, frame: FanOut) -> Offer<FanOut>;

    /// To another mailbox, through its shard.
    fn peer(&self, shard: ShardId, message: PeerMessage) -> Offer<PeerMessage>;

    /// To the mailbox that is to be swept, through its shard. What is not taken is left to the next round.
    fn sweep(&self, shard: ShardId, visit: Visit) -> Offer<Visit>;

    /// To a connection.
    fn connection(&self, to: ConnectionRef, parts: Vec<ToConnection>) -> Offer<Vec<ToConnection>>;

    /// This thread tells that connection nothing more, or not for a while: what is kept to reach it may go.
    fn forget(&self, connection: ConnectionRef);
}
