//! Where this device stands in the inbox: which entry is next, what is acknowledged, and which entries a conversation
//! list already contains.

use std::collections::BTreeMap;

use tidings_schema::{
    id::{LogId, Millis, Seq},
    wire,
};

/// Place that survives a restart of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Life of the inbox that `seq` counts in; `None` while the inbox is empty.
    pub log_id: Option<LogId>,
    /// Highest seq the app has applied.
    pub seq: Seq,
    /// Peers whose conversation list entry already contains their entries up to a seq above `seq`.
    pub listed_upto: BTreeMap<String, Seq>,
}

/// What one entry is to this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Had it before.
    Old,
    /// The next one.
    Next,
    /// Entries between are missing.
    Gap,
}

/// The inbox of one device.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Whether this device has a place at all; a new one takes the server's.
    pub(super) known: bool,
    pub(super) log_id: Option<LogId>,
    /// Highest seq handed to the app.
    pub(super) received: Seq,
    /// Highest seq the app has applied.
    applied: Seq,
    acked: Seq,
    /// When the oldest applied entry without an ack was applied.
    owed_since: Option<Millis>,
    listed_upto: BTreeMap<String, Seq>,
}

impl Inbox {
    pub(super) fn restore(place: Option<Place>) -> Self {
        let Some(place) = place else { return Self::default() };
        Self {
            known: true,
            log_id: place.log_id,
            received: place.seq,
            applied: place.seq,
            acked: Seq::ZERO,
            owed_since: None,
            listed_upto: place.listed_upto,
        }
    }

    pub(super) fn resume(&self) -> Option<wire::Resume> {
        let log_id = self.log_id.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
        self.known.then(|| wire::Resume { inbox: Some(self.received.get()), log_id: log_id.into() })
    }

    /// Starts at `seq` of another life of the inbox (or of the first one this device sees).
    pub(super) fn start_at(&mut self, log_id: Option<LogId>, seq: Seq, listed_upto: BTreeMap<String, Seq>) {
        *self = Self { known: true, log_id, received: seq, applied: seq, listed_upto, ..Self::default() };
        self.forget_listed();
    }

    pub(super) fn turn(&self, seq: Seq) -> Turn {
        if seq <= self.received {
            return Turn::Old;
        }
        if seq == self.received.next() { Turn::Next } else { Turn::Gap }
    }

    /// Takes the next entry; true when the app must see it, false when a conversation list already contained it.
    pub(super) fn take(&mut self, entry: &wire::Entry) -> bool {
        self.received = Seq::new(entry.seq);
        let listed = peer_of(entry).and_then(|peer| self.listed_upto.get(peer));
        let fresh = listed.is_none_or(|&upto| self.received > upto);
        self.forget_listed();
        fresh
    }

    /// The app has applied everything up to `seq`. True when the place moved and must be kept.
    pub(super) fn apply(&mut self, seq: Seq, now: Millis) -> bool {
        let upto = seq.min(self.received);
        if upto <= self.applied {
            return false;
        }
        self.applied = upto;
        self.owed_since.get_or_insert(now);
        true
    }

    pub(super) fn place(&self) -> Place {
        Place { log_id: self.log_id, seq: self.applied, listed_upto: self.listed_upto.clone() }
    }

    /// The ack that is due: after `entries` of them or `delay_ms`.
    pub(super) fn ack_due(&mut self, entries: u64, delay_ms: u64, now: Millis) -> Option<Seq> {
        let since = self.owed_since?;
        let due = self.applied.since(self.acked) >= entries || now.since(since) >= delay_ms;
        due.then(|| self.ack())
    }

    /// The ack that every connection begins with, when there is anything to say.
    pub(super) fn ack_again(&mut self) -> Option<Seq> {
        (self.applied > Seq::ZERO).then(|| self.ack())
    }

    pub(super) fn ack_deadline(&self, delay_ms: u64) -> Option<Millis> {
        self.owed_since.map(|since| since.plus(delay_ms))
    }

    fn ack(&mut self) -> Seq {
        self.owed_since = None;
        self.acked = self.applied;
        self.acked
    }

    fn forget_listed(&mut self) {
        if !self.listed_upto.is_empty() {
            let received = self.received;
            self.listed_upto.retain(|_, upto| *upto > received);
        }
    }
}

/// The peer whose conversation an entry belongs to.
pub(super) fn peer_of(entry: &wire::Entry) -> Option<&str> {
    let conversation = match entry.body.as_ref()? {
        wire::entry::Body::Message(message) => message.conversation.as_ref(),
        wire::entry::Body::Receipt(receipt) => receipt.conversation.as_ref(),
        wire::entry::Body::Read(read) => read.conversation.as_ref(),
        wire::entry::Body::Recalled(recalled) => recalled.conversation.as_ref(),
        wire::entry::Body::Edited(edited) => edited.conversation.as_ref(),
        wire::entry::Body::Reaction(reaction) => reaction.conversation.as_ref(),
        wire::entry::Body::Deleted(deleted) => deleted.conversation.as_ref(),
        wire::entry::Body::ConversationSet(set) => set.conversation.as_ref(),
        wire::entry::Body::Blocked(blocked) => return Some(&blocked.uid),
        wire::entry::Body::Unblocked(unblocked) => return Some(&unblocked.uid),
        wire::entry::Body::GroupJoined(_)
        | wire::entry::Body::GroupLeft(_)
        | wire::entry::Body::GroupCreated(_)
        | wire::entry::Body::MembersJoined(_)
        | wire::entry::Body::MemberLeft(_)
        | wire::entry::Body::RoleSet(_)
        | wire::entry::Body::Muted(_)
        | wire::entry::Body::GroupUpdated(_)
        | wire::entry::Body::Dismissed(_)
        | wire::entry::Body::Seal(_) => return None,
    };
    match conversation?.conversation.as_ref()? {
        wire::conversation::Conversation::Uid(uid) => Some(uid),
        wire::conversation::Conversation::Gid(_) => None,
    }
}
