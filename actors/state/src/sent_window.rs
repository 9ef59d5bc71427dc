//! Recent sends by message id, so that a retry gets its first answer and never becomes a second message.
//!
//! In the window: every send above the checkpoint, and the newest below it. What fell out is known to the store only;
//! a look-up says so instead of calling it new.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tidings_schema::{
    id::{IdError, MessageId, Millis, Seq, Uid},
    message::PayloadHash,
    record,
};

/// Sends that stay in the window although the checkpoint covers them. Older ones fall out, and are looked up in the store.
pub const KEEP_NEWEST: usize = 1_000;
/// Sends that a checkpoint carries into the next activation.
pub const CHECKPOINT_NEWEST: usize = 100;

/// Scope and name of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SentKey {
    /// `None`: a send of the mailbox's own user. Else the system sender whose message came in; in a group, who sent it.
    pub from: Option<Uid>,
    /// The sender's id for it.
    pub id: MessageId,
}

impl From<MessageId> for SentKey {
    fn from(id: MessageId) -> Self {
        Self { from: None, id }
    }
}

impl From<(Option<Uid>, MessageId)> for SentKey {
    fn from((from, id): (Option<Uid>, MessageId)) -> Self {
        Self { from, id }
    }
}

/// What is known of a message id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Lookup {
    /// Never sent.
    New,
    /// Sent before with the same payload: this was its place. It may not be committed yet.
    Duplicate {
        /// Place in the log.
        seq: Seq,
        /// Time of the row.
        time: Millis,
    },
    /// Sent before with another payload.
    Conflict,
    /// Not in the window, which does not reach back to the first send: the store may know.
    Beyond,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    hash: PayloadHash,
    seq: Seq,
    time: Millis,
}

/// The window of one mailbox or group.
#[derive(Clone, Debug)]
pub struct SentWindow {
    /// By rising seq.
    order: VecDeque<(SentKey, Sent)>,
    by_key: HashMap<SentKey, Sent>,
    released: Seq,
    /// Nothing ever fell out.
    complete: bool,
}

impl SentWindow {
    /// The window of a log without rows.
    #[must_use]
    pub fn new() -> Self {
        Self { order: VecDeque::new(), by_key: HashMap::new(), released: Seq::ZERO, complete: true }
    }

    /// The window at a checkpoint that covers `upto`, from what [`SentWindow::newest`] gave it.
    ///
    /// # Errors
    /// [`IdError`] when an id or hash is malformed: the checkpoint is corrupt.
    pub fn restore(newest: &[record::Sent], upto: Seq) -> Result<Self, IdError> {
        let mut window = Self::new();
        for sent in newest {
            let from = if sent.from.is_empty() { None } else { Some(sent.from.parse()?) };
            let key = SentKey { from, id: MessageId::from_slice(&sent.message_id)? };
            let hash = PayloadHash::from_slice(&sent.payload_hash).ok_or(IdError::NotUuid)?;
            window.insert(key, hash, Seq::new(sent.seq), Millis::new(sent.time));
        }
        window.released = upto;
        // A list that is not full was all there is.
        window.complete = newest.len() < CHECKPOINT_NEWEST;
        Ok(window)
    }

    /// What is known of a message id.
    pub fn look_up(&self, key: impl Into<SentKey>, hash: PayloadHash) -> Lookup {
        match self.by_key.get(&key.into()) {
            Some(sent) if sent.hash == hash => Lookup::Duplicate { seq: sent.seq, time: sent.time },
            Some(_) => Lookup::Conflict,
            None if self.complete => Lookup::New,
            None => Lookup::Beyond,
        }
    }

    /// Remembers a send. Seqs rise from call to call.
    pub fn insert(&mut self, key: impl Into<SentKey>, hash: PayloadHash, seq: Seq, time: Millis) {
        debug_assert!(self.order.back().is_none_or(|(_, last)| last.seq < seq), "sends come in the order of the log");
        let key = key.into();
        let sent = Sent { hash, seq, time };
        self.order.push_back((key.clone(), sent));
        self.by_key.insert(key, sent);
        self.trim();
    }

    /// The checkpoint covers everything up to `upto`: what is below may fall out.
    pub fn release(&mut self, upto: Seq) {
        self.released = self.released.max(upto);
        self.trim();
    }

    /// The place of the newest send with this id, if it is in the window.
    #[must_use]
    pub fn place(&self, key: impl Into<SentKey>) -> Option<Seq> {
        self.by_key.get(&key.into()).map(|sent| sent.seq)
    }

    /// The newest sends up to `upto`, oldest first: what a checkpoint of `upto` carries. `upto` is at or above the last
    /// released one.
    #[must_use]
    pub fn newest(&self, upto: Seq) -> Vec<record::Sent> {
        let end = self.order.partition_point(|(_, sent)| sent.seq <= upto);
        let start = end.saturating_sub(CHECKPOINT_NEWEST);
        self.order.range(start..end).map(|(key, sent)| to_record(key, sent)).collect()
    }

    /// Sends in the window.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether the window holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Lets the oldest fall out, but never one that the next checkpoint must carry: were its list short although sends
    /// are missing, the next activation would take it for complete.
    fn trim(&mut self) {
        let spare = |window: &Self| {
            window.order.len() > KEEP_NEWEST
                && window.order.get(CHECKPOINT_NEWEST).is_some_and(|(_, sent)| sent.seq <= window.released)
        };
        while spare(self) {
            let Some((key, oldest)) = self.order.pop_front() else { return };
            if self.by_key.get(&key).is_some_and(|sent| sent.seq == oldest.seq) {
                self.by_key.remove(&key);
            }
            self.complete = false;
        }
    }
}

impl Default for SentWindow {
    fn default() -> Self {
        Self::new()
    }
}

fn to_record(key: &SentKey, sent: &Sent) -> record::Sent {
    record::Sent {
        message_id: Bytes::copy_from_slice(key.id.as_bytes()),
        seq: sent.seq.get(),
        payload_hash: Bytes::copy_from_slice(sent.hash.as_bytes()),
        time: sent.time.get(),
        from: key.from.as_ref().map_or_else(String::new, |from| from.as_str().to_owned()),
    }
}
