//! Work that needs something from the store before it can be decided: it is fetched once, and the work behind it waits,
//! so that everything is decided in the order it came.

use std::collections::BTreeMap;

use actix::Context;
use bytes::Bytes;
use prost::Message as _;
use tidings_schema::{
    error_code::ErrorCode,
    id::{DeviceId, MessageId, Millis, Place, Seq, Uid},
    message::PayloadHash,
    record,
    row::{InboxRow, RowBody},
};
use tidings_state::{conversation::Conversation, deletions::Deletions, sent_window::Lookup};
use tracing::warn;

use super::{
    Mailbox, Work,
    pages::read_rows_of_history,
    push::decode_page,
    targets::{Found, Target},
};
use crate::port::{
    link::{Command, DeleteOp, Deletion, DeliverEntry, Op, PeerMessage, Say},
    store::{HistoryRange, Key, PageLimit, Reply, Scan, StoreError},
};

/// Peers listed in one page when all conversations are asked for.
const PEERS_PAGE: usize = 512;
/// History rows looked through for the message a read marker names, and the peer's newest message before it.
const MARKER_ROWS: usize = 64;

/// What work waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The conversation with a peer.
    Conversation(Uid),
    /// Every conversation.
    AllConversations,
    /// What became of a message id long ago.
    IdRecord(MessageId),
    /// The message at a seq of a conversation.
    Marker(Uid, Seq),
    /// Since when a device that is not known must sign in again.
    Device(DeviceId),
    /// Messages of the conversation with a peer, by name.
    Targets(Uid, Vec<Target>),
    /// The newest message of a conversation that is left when these are deleted, older than the one shown now.
    Left(Uid, Deletions, Seq),
    /// The note that something of this peer was not taken, or a sign-out, is durable.
    Noted,
}

/// A message that a read marker may stand at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MarkerRow {
    /// Counted messages up to it.
    pub(super) n: u64,
    /// The peer's newest message up to it, in the peer's log.
    pub(super) place: Option<Place>,
}

/// What became of a message id long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FoundId {
    hash: PayloadHash,
    seq: Seq,
    time: Millis,
}

/// What has been fetched for the work in front.
#[derive(Default)]
pub(super) struct Gate {
    fetching: bool,
    id: Option<(MessageId, Option<FoundId>)>,
    marker: Option<(Seq, Option<MarkerRow>)>,
    device: Option<(DeviceId, Millis)>,
    targets: Vec<(Target, Option<Found>)>,
    left: Option<Bytes>,
}

impl Gate {
    pub(super) fn is_open(&self) -> bool {
        !self.fetching
    }

    /// The work in front is done; what was fetched for it is not valid for the next.
    pub(super) fn done(&mut self) {
        (self.id, self.marker, self.left, self.device) = (None, None, None, None);
        self.targets.clear();
    }

    /// The fetched message: `Some(None)` when there is none.
    pub(super) fn target(&self, target: Target) -> Option<Option<Found>> {
        self.targets.iter().find(|(known, _)| *known == target).map(|(_, found)| found.clone())
    }

    /// The fetched entry that is newest when some are deleted; empty: none.
    pub(super) fn left(&self) -> Option<Bytes> {
        self.left.clone()
    }

    /// What the id record says, if it was fetched.
    pub(super) fn found_id(&self, id: &MessageId, hash: &PayloadHash) -> Option<Lookup> {
        let (_, found) = self.id.as_ref().filter(|(known, _)| known == id)?;
        Some(match found {
            None => Lookup::New,
            Some(found) if found.hash == *hash => Lookup::Duplicate { seq: found.seq, time: found.time },
            Some(_) => Lookup::Conflict,
        })
    }

    /// Since when this device must sign in again, if that was fetched.
    pub(super) fn not_before(&self, device: &DeviceId) -> Option<Millis> {
        self.device.as_ref().filter(|(known, _)| known == device).map(|(_, not_before)| *not_before)
    }

    /// The fetched message at `seq`: `Some(None)` when there is none.
    pub(super) fn marker(&self, seq: Seq) -> Option<Option<MarkerRow>> {
        self.marker.filter(|(known, _)| *known == seq).map(|(_, row)| row)
    }
}

/// What a fetch brings.
enum Fetched {
    Conversations(BTreeMap<Uid, Conversation>),
    All(BTreeMap<Uid, Conversation>),
    Id(MessageId, Option<FoundId>),
    Marker(Seq, Option<MarkerRow>),
    Device(DeviceId, Millis),
    Targets(Vec<(Target, Option<Found>)>),
    Left(Bytes),
}

impl Mailbox {
    /// What this work needs first; `None` when it can be done now.
    pub(super) fn need(&self, work: &Work) -> Option<Need> {
        match work {
            Work::Peer(message) => self.need_peer(&message.from).or_else(|| self.need_referred(message)),
            Work::Sweep(_) => None,
            Work::Command(Command { op, .. }) => match op {
                Op::Send(send) => {
                    let reply_to = send.draft.reply_to.iter().map(|reply_to| Target::Own(reply_to.seq)).collect();
                    let to = &send.draft.to;
                    self.need_peer(to).or_else(|| self.need_id(send)).or_else(|| self.need_targets(to, reply_to))
                }
                Op::Change(op) => {
                    self.need_peer(&op.peer).or_else(|| self.need_targets(&op.peer, vec![Target::Own(op.seq)]))
                }
                Op::Delete(op) => self.need_peer(&op.peer).or_else(|| self.need_delete(op)),
                Op::SetConversation { peer, .. } => self.need_peer(peer),
                Op::Read(peer, seq) => self.need_peer(peer).or_else(|| self.need_marker(peer, *seq)),
                Op::History(peer, ..) | Op::Block(peer) => self.need_peer(peer),
                Op::Unblock(peer) => self.need_peer(peer).or_else(|| self.need_noted(peer)),
                Op::Conversations(..) => Some(Need::AllConversations).filter(|_| !self.peers.complete),
                Op::Attach(attach) => self.need_signed_in().or_else(|| self.need_device(&attach.device)),
                Op::Revoke(device) => device.as_ref().and_then(|device| self.need_device(device)),
                Op::Detach | Op::Ack(_) | Op::Sync(..) | Op::Drained(_) | Op::Dropped(_) => None,
            },
        }
    }

    fn need_peer(&self, peer: &Uid) -> Option<Need> {
        let known = self.peers.complete || self.peers.get(peer).is_some();
        (!known).then(|| Need::Conversation(peer.clone()))
    }

    /// A repetition that the window does not reach back to.
    fn need_id(&self, send: &crate::port::link::SendOp) -> Option<Need> {
        let draft = &send.draft;
        let beyond = send.retry && self.window.look_up(draft.message_id, draft.hash) == Lookup::Beyond;
        (beyond && self.gate.found_id(&draft.message_id, &draft.hash).is_none())
            .then_some(Need::IdRecord(draft.message_id))
    }

    fn need_marker(&self, peer: &Uid, seq: Seq) -> Option<Need> {
        let settled = &self.peers.get(peer)?.settled;
        let known = seq >= settled.last_seq || seq <= settled.last_read || self.gate.marker(seq).is_some();
        (!known).then(|| Need::Marker(peer.clone(), seq))
    }

    /// Messages that are not in memory; fetched together.
    fn need_targets(&self, peer: &Uid, targets: Vec<Target>) -> Option<Need> {
        let wanted = |target: &Target| self.target(peer, *target).is_none();
        let targets: Vec<Target> = targets.into_iter().filter(wanted).collect();
        (!targets.is_empty()).then(|| Need::Targets(peer.clone(), targets))
    }

    fn need_referred(&self, message: &PeerMessage) -> Option<Need> {
        let Say::Deliver(deliver) = &message.say else { return None };
        let live = &self.peers.get(&message.from)?.live;
        // Only what will be taken is looked for: a repetition, or a stranger who is blocked, costs nothing.
        let news = deliver.entries.iter().filter(|entry| !live.has_taken(deliver.log_id, entry.seq));
        let taken = news.filter(|entry| entry.is_recall() || !live.was_blocked_at(entry.time));
        let referred = taken.filter_map(DeliverEntry::refers);
        // A message of the same delivery will be in memory when it is referred to, unless it was taken before.
        let comes =
            |seq: Seq| deliver.entries.iter().any(|entry| entry.seq == seq) && !live.has_taken(deliver.log_id, seq);
        let here = |place: Place| place.log_id == deliver.log_id && comes(place.seq);
        let targets = referred.filter(|of| !here(of.place)).filter_map(|of| self.target_of(of)).collect();
        self.need_targets(&message.from, targets)
    }

    fn need_delete(&self, op: &DeleteOp) -> Option<Need> {
        match &op.what {
            Deletion::Whole => None,
            Deletion::Upto(upto) => self.need_marker(&op.peer, *upto),
            Deletion::Seqs(seqs) => {
                let targets = seqs.iter().map(|seq| Target::Own(*seq)).collect();
                self.need_targets(&op.peer, targets).or_else(|| {
                    let (deletions, shown) = self.deletions_after(op).filter(|_| self.gate.left.is_none())?;
                    Some(Need::Left(op.peer.clone(), deletions, shown))
                })
            }
        }
    }

    fn need_noted(&self, peer: &Uid) -> Option<Need> {
        self.peers.get(peer)?.noted.map(|_| Need::Noted)
    }

    /// A sign-out on its way is waited for: then it holds for this device too.
    fn need_signed_in(&self) -> Option<Need> {
        (!self.devices.revocations.is_empty()).then_some(Need::Noted)
    }

    fn need_device(&self, device: &DeviceId) -> Option<Need> {
        let known = self.devices.known.contains_key(device) || self.gate.not_before(device).is_some();
        (!known).then(|| Need::Device(device.clone()))
    }

    /// Fetches what the work in front needs; the gate is closed until it is there.
    pub(super) fn fetch(&mut self, need: Need, ctx: &mut Context<Self>) {
        let (store, owner) = (self.parts.store.clone(), self.uid.clone());
        let fetched: Reply<Fetched> = match need {
            // Waited for, not fetched.
            Need::Noted => return,
            Need::Targets(peer, targets) => {
                let search = self.search(peer);
                Box::pin(async move { Ok(Fetched::Targets(search.find_all(targets).await?)) })
            }
            Need::Left(peer, deletions, shown) => {
                let left = self.left_in_memory(&peer, &deletions, shown);
                let search = self.search(peer);
                Box::pin(async move {
                    let found = match left {
                        Some(entry) => entry,
                        None => search.newest_left(&deletions, shown).await?,
                    };
                    Ok(Fetched::Left(found))
                })
            }
            Need::Conversation(peer) => Box::pin(async move {
                let records = store.get(vec![Key::Conversation(owner, peer.clone())]).await?;
                Ok(Fetched::Conversations(decode_all(vec![peer], records)?))
            }),
            Need::Device(device) => Box::pin(async move {
                let mut records = store.get(vec![Key::Device(owner, device.clone())]).await?;
                let found = records.pop().flatten().map(record::Device::decode).transpose();
                let found = found.map_err(|_| corrupt("device"))?.unwrap_or_default();
                Ok(Fetched::Device(device, Millis::new(found.not_before)))
            }),
            Need::AllConversations => Box::pin(async move {
                let mut all = BTreeMap::new();
                let mut after = None;
                loop {
                    let page = store.scan(Scan::Peers(owner.clone()), after, PEERS_PAGE).await?;
                    let keys = page.uids.iter().map(|peer| Key::Conversation(owner.clone(), peer.clone())).collect();
                    let records = store.get(keys).await?;
                    after = page.uids.last().cloned();
                    all.extend(decode_all(page.uids, records)?);
                    if !page.more {
                        return Ok(Fetched::All(all));
                    }
                }
            }),
            Need::IdRecord(id) => {
                let timeline = self.timeline_id.clone();
                Box::pin(async move {
                    let mut records = store.get(vec![Key::MessageId(timeline.clone(), owner, id)]).await?;
                    let Some(value) = records.pop().flatten() else { return Ok(Fetched::Id(id, None)) };
                    let found = record::MessageId::decode(value).map_err(|_| corrupt("message id"))?;
                    let hash = PayloadHash::from_slice(&found.payload_hash).ok_or_else(|| corrupt("message id"))?;
                    // A projection may be ahead of nothing: the row it names says whether it tells the truth.
                    let seq = Seq::new(found.seq);
                    let limit = PageLimit { rows: 1, bytes: 1 };
                    let rows = decode_page(store.read(timeline, seq.prev(), seq, limit).await?)?;
                    let says = |row: &InboxRow| matches!(row.body, RowBody::Out { message_id, .. } if message_id == id);
                    let there = rows.first().is_some_and(says);
                    let time = Millis::new(found.time);
                    Ok(Fetched::Id(id, there.then_some(FoundId { hash, seq, time })))
                })
            }
            Need::Marker(peer, seq) => {
                let row = self.marker_in_memory(&peer, seq);
                let n = self.rows.get(seq).map(|row| row.n);
                let bucket = self.peers.get(&peer).map_or(0, |peer| peer.settled.bucket_before(seq.next()));
                let range = HistoryRange { owner, peer, bucket, before: seq.next() };
                Box::pin(async move {
                    if let Some(row) = row {
                        return Ok(Fetched::Marker(seq, row));
                    }
                    let limit = PageLimit { rows: MARKER_ROWS, bytes: super::push::PUSH_BYTES_MAX };
                    let rows = read_rows_of_history(store.read_history(range, limit).await?)?;
                    // A row that is in memory may not be in the history yet; only the peer's place is wanted then.
                    let n = n.or_else(|| rows.first().filter(|row| row.seq == seq).map(|row| row.n));
                    let place = rows.iter().find_map(|row| row.place);
                    Ok(Fetched::Marker(seq, n.map(|n| MarkerRow { n, place })))
                })
            }
        };
        self.gate.fetching = true;
        self.read_then(ctx, fetched, |fetched, mailbox, ctx| {
            mailbox.gate.fetching = false;
            match fetched {
                Ok(fetched) => mailbox.take_fetched(fetched),
                Err(StoreError::Corrupt(why)) => return mailbox.stop_corrupt(&why, ctx),
                Err(why @ (StoreError::Unavailable(_) | StoreError::Rejected(_))) => {
                    warn!(uid = %mailbox.uid, %why, "store cannot be read, op refused");
                    if let Some(work) = mailbox.work.pop_front() {
                        mailbox.refuse_work(work, ErrorCode::Unavailable, "the store cannot be read now", 1_000);
                    }
                    mailbox.gate.done();
                }
            }
            mailbox.run(ctx);
        });
    }

    fn take_fetched(&mut self, fetched: Fetched) {
        match fetched {
            Fetched::Conversations(found) => self.take_conversations(found),
            Fetched::All(found) => {
                self.take_conversations(found);
                self.peers.complete = true;
            }
            Fetched::Id(id, found) => self.gate.id = Some((id, found)),
            Fetched::Marker(seq, row) => self.gate.marker = Some((seq, row)),
            Fetched::Device(device, not_before) => self.gate.device = Some((device, not_before)),
            // Beside those of an earlier round: what was in memory then may have left it.
            Fetched::Targets(found) => self.gate.targets.extend(found),
            Fetched::Left(entry) => self.gate.left = Some(self.redactions.with_all_changes(entry)),
        }
    }

    fn take_conversations(&mut self, found: BTreeMap<Uid, Conversation>) {
        for (uid, conversation) in found {
            self.peers.load(uid, conversation);
        }
    }

    /// The row at `seq` when memory knows: `Some(None)` when it is no message of that conversation.
    fn marker_in_memory(&self, peer: &Uid, seq: Seq) -> Option<Option<MarkerRow>> {
        let row = self.rows.get(seq)?;
        if row.with.as_ref() != Some(peer) || !row.body.is_message() {
            return Some(None);
        }
        let earlier = self.rows.newest_first().filter(|row| row.seq <= seq && row.with.as_ref() == Some(peer));
        let place = earlier.filter(|row| row.body.is_message()).find_map(|row| row.body.place());
        // Without a place the store is asked: the peer's newest message may be an older row.
        place.map(|place| Some(MarkerRow { n: row.n, place: Some(place) }))
    }
}

fn decode_all(peers: Vec<Uid>, records: Vec<Option<Bytes>>) -> Result<BTreeMap<Uid, Conversation>, StoreError> {
    peers.into_iter().zip(records).map(|(peer, value)| Ok((peer, decode(value)?))).collect()
}

/// A conversation's record; a conversation that has none is a new one.
pub(super) fn decode(value: Option<Bytes>) -> Result<Conversation, StoreError> {
    let Some(value) = value else { return Ok(Conversation::default()) };
    let stored = record::Conversation::decode(value).map_err(|_| corrupt("conversation"))?;
    Conversation::from_record(stored).map_err(|_| corrupt("conversation"))
}

pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} record cannot be decoded"))
}
