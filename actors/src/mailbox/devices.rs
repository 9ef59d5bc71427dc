//! The devices of a mailbox: what each has acknowledged, which are online and what is on its way to them.

use std::collections::{BTreeMap, HashMap};

use tidings_schema::{
    id::{DeviceId, Millis, Place, Seq, Uid},
    record,
    row::{InboxRow, RowBody},
};
use tidings_state::ack_queue::AckQueue;

use super::revoke::Revocation;
use crate::{
    appender::PutNumber,
    port::link::{Attach, ConnectionRef, OpId, SendOp},
};

/// Devices of one user; a further one takes the place of the one that was away longest.
pub const DEVICES_MAX: usize = 16;
/// Targets per connection whose last send is remembered; when full all are forgotten, and pipelined sends are refused
/// once (5003), which clients repeat.
pub const CHAINS_MAX: usize = 256;
/// Pushed messages whose senders are told of the delivery once a device acknowledges; the oldest are forgotten first (a
/// later receipt covers them).
pub const DELIVERED_MAX: usize = 1_024;

/// A device, online or not.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Highest seq any of its connections acknowledged.
    pub(super) cursor: Seq,
    pub(super) platform: String,
    pub(super) last_seen: Millis,
    /// Tokens issued before this let it not in.
    pub(super) not_before: Millis,
    /// The record does not show this yet.
    pub(super) changed: bool,
    /// The put that makes a new device known; it is not welcomed before.
    pub(super) put: PutNumber,
}

/// A device on its connection.
pub(super) struct Online {
    pub(super) device: DeviceId,
    pub(super) queue: AckQueue,
    /// A page for it is being read; what that brings is for this connection only.
    pub(super) reading: bool,
    /// The head it was last told of, by whatever means.
    pub(super) head_told: Seq,
    chains: HashMap<Uid, OpId>,
}

impl Online {
    pub(super) fn new(device: DeviceId, resume_after: Seq) -> Self {
        let queue = AckQueue::attach(resume_after);
        Self { device, queue, reading: false, head_told: resume_after, chains: HashMap::new() }
    }
}

/// A device whose welcome waits until it is known durably.
pub(super) struct Greeting {
    pub(super) put: PutNumber,
    pub(super) from: ConnectionRef,
    pub(super) op_id: OpId,
    pub(super) attach: Attach,
    pub(super) resume_after: Seq,
    /// What the device had is no place to go on from.
    pub(super) lost: bool,
}

/// All devices of one user.
#[derive(Default)]
pub(super) struct Devices {
    pub(super) known: BTreeMap<DeviceId, Known>,
    pub(super) online: BTreeMap<ConnectionRef, Online>,
    pub(super) greetings: Vec<Greeting>,
    /// Bounded by the operators' desk.
    pub(super) revocations: Vec<Revocation>,
    /// Connections that were welcomed in this turn.
    pub(super) to_feed: Vec<ConnectionRef>,
    delivered: BTreeMap<Seq, (Uid, Place)>,
}

impl Devices {
    /// Whether a send may be taken: it follows the last one taken from this connection to this target.
    pub(super) fn follows(&self, from: ConnectionRef, send: &SendOp) -> bool {
        let last = self.online.get(&from).and_then(|online| online.chains.get(&send.draft.to));
        send.after == 0 || last == Some(&send.after)
    }

    /// A send was taken, or refused for good.
    pub(super) fn took(&mut self, from: ConnectionRef, to: &Uid, op_id: OpId) {
        let Some(online) = self.online.get_mut(&from) else { return };
        if online.chains.len() >= CHAINS_MAX && !online.chains.contains_key(to) {
            online.chains.clear();
        }
        online.chains.insert(to.clone(), op_id);
    }

    /// What was told to this connection last did not reach it: it continues from what it has.
    pub(super) fn unpushed(&mut self, connection: ConnectionRef) {
        if let Some(online) = self.online.get_mut(&connection) {
            // The connection says what it forwarded last when the next push does not follow.
            online.queue.dropped(online.queue.acked());
        }
    }

    /// The highest cursor of all devices: what is at or below it has arrived.
    fn arrived(&self) -> Seq {
        self.known.values().map(|known| known.cursor).max().unwrap_or_default()
    }

    /// Notes incoming messages that are pushed or pulled, for the receipt when they are acknowledged.
    pub(super) fn note_pushed<'a>(&mut self, rows: impl Iterator<Item = &'a InboxRow>) {
        let arrived = self.arrived();
        for row in rows {
            if let (RowBody::In { peer, .. }, Some(uid)) = (&row.body, &row.with)
                && row.seq > arrived
            {
                self.delivered.insert(row.seq, (uid.clone(), *peer));
            }
        }
        while self.delivered.len() > DELIVERED_MAX {
            self.delivered.pop_first();
        }
    }

    /// Takes out what arrived with an ack: per sender, the newest place.
    pub(super) fn delivered_upto(&mut self, upto: Seq) -> BTreeMap<Uid, Place> {
        let later = self.delivered.split_off(&upto.next());
        std::mem::replace(&mut self.delivered, later).into_values().collect()
    }

    /// What all devices that are online, or about to be, have acknowledged: nothing above it may be swept.
    pub(super) fn acked_upto(&self) -> Seq {
        let online = self.online.values().map(|online| online.queue.acked());
        let greeted = self.greetings.iter().map(|greeting| greeting.resume_after);
        online.chain(greeted).min().unwrap_or(Seq::new(u64::MAX))
    }

    /// Whether nothing is on its way to any device.
    pub(super) fn owe_nothing(&self, committed: Seq) -> bool {
        let quiet =
            |online: &Online| !online.reading && online.queue.unacked() == 0 && online.queue.sent() >= committed;
        self.greetings.is_empty() && self.revocations.is_empty() && self.online.values().all(quiet)
    }

    /// The list of devices as the checkpoint keeps it.
    pub(super) fn list(&self) -> Vec<record::DeviceEntry> {
        let entry = |(device, known): (&DeviceId, &Known)| record::DeviceEntry {
            device_id: device.to_string(),
            last_seen: known.last_seen.get(),
        };
        self.known.iter().map(entry).collect()
    }

    /// The device that has to go when there are too many for `new`: one that is offline, and away longest.
    pub(super) fn surplus(&self, new: &DeviceId) -> Option<DeviceId> {
        if self.known.len() <= DEVICES_MAX {
            return None;
        }
        let online = |device: &DeviceId| self.online.values().any(|online| online.device == *device);
        let key = |(device, known): &(&DeviceId, &Known)| (online(device), known.last_seen);
        self.known.iter().filter(|(device, _)| *device != new).min_by_key(key).map(|(device, _)| device.clone())
    }
}
