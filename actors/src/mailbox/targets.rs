//! Finding the message that an op or a delivery refers to: by its seq in this inbox, or by its place in the peer's. Memory
//! first; else the history, where places of one log rise with the seq, so that a few probes find any of them.

use std::sync::Arc;

use bytes::Bytes;
use metrics::counter;
use prost::Message as _;
use tidings_schema::{
    change::MessageName,
    id::{MessageId, Place, Seq, Uid},
    record,
    row::{InboxRow, place_from_record},
    wire,
};
use tidings_state::{
    conversation::{Conversation, history_bucket},
    deletions::Deletions,
};

use super::{
    Mailbox,
    gate::corrupt,
    pages::{HistoryItem, read_rows_of_history},
};
use crate::port::{
    link::Reference,
    store::{HistoryRange, Key, PageLimit, Store, StoreError},
};

/// History rows of one probe.
const PROBE_ROWS: PageLimit = PageLimit { rows: 64, bytes: 128 * 1024 };

/// Pages of one look-up by place at most: rows of the owner say nothing of the peer's places, and many of them in a row
/// have to be walked. What is not found then counts as not here.
const LOOKUP_PAGES_MAX: usize = 256;

/// How a message is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// By its seq in this inbox.
    Own(Seq),
    /// By its place in the peer's.
    Peer(Place),
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) seq: Seq,
    /// The encoded entry.
    pub(super) entry: Bytes,
    /// Messages of the peer: its place in the peer's log.
    pub(super) place: Option<Place>,
}

impl Found {
    fn of_row(row: &InboxRow) -> Self {
        Self { seq: row.seq, entry: row.entry.clone(), place: row.body.place() }
    }

    fn of_history(item: HistoryItem) -> Self {
        Self { seq: item.seq, entry: item.entry, place: item.place }
    }

    /// The message, if it is the one of that name.
    pub(super) fn named(&self, name: &MessageName) -> Option<Named> {
        let entry = wire::Entry::decode(self.entry.clone()).ok()?;
        let Some(wire::entry::Body::Message(message)) = entry.body else { return None };
        let id = message.message_id.parse::<MessageId>().ok()?;
        (id == name.message_id && message.from == name.author.as_str()).then_some(Named { time: entry.time, message })
    }
}

/// A message that was meant.
pub(super) struct Named {
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub(super) time: u64,
    pub(super) message: wire::Message,
}

impl Mailbox {
    /// How a reference of the peer names the message here; `None` when it speaks of another life of this inbox.
    pub(super) fn target_of(&self, reference: &Reference) -> Option<Target> {
        let place = reference.place;
        if reference.name.author != self.uid {
            return Some(Target::Peer(place));
        }
        (Some(place.log_id) == self.log_id()).then_some(Target::Own(place.seq))
    }

    /// The message in memory, or as it was fetched; the outer `None`: it must be fetched. With all changes that are on
    /// their way.
    pub(super) fn target(&self, peer: &Uid, target: Target) -> Option<Option<Found>> {
        let found = self.target_in_memory(peer, target).or_else(|| self.gate.target(target))?;
        Some(found.map(|found| Found { entry: self.redactions.with_all_changes(found.entry), ..found }))
    }

    fn target_in_memory(&self, peer: &Uid, target: Target) -> Option<Option<Found>> {
        let of_peer = |row: &&InboxRow| row.with.as_ref() == Some(peer) && row.body.is_message();
        let all = self.rows.first().is_some_and(|first| first <= Seq::new(1));
        match target {
            Target::Own(seq) if self.rows.first().is_some_and(|first| first <= seq) => {
                Some(self.rows.get(seq).filter(of_peer).map(Found::of_row))
            }
            Target::Own(_) => None,
            Target::Peer(place) => {
                let found = self.rows.newest_first().filter(of_peer).find(|row| row.body.place() == Some(place));
                found.map(Found::of_row).map(Some).or_else(|| all.then_some(None))
            }
        }
    }
}

impl Mailbox {
    /// A search through the history with a peer, whose conversation is in memory.
    pub(super) fn search(&self, peer: Uid) -> Search {
        let conversation = self.peers.get(&peer).map(|peer| peer.settled.clone()).unwrap_or_default();
        Search { owner: self.uid.clone(), peer, conversation, store: Arc::clone(&self.parts.store) }
    }

    /// The newest message below `shown` that is not deleted, when memory knows; empty: there is none.
    pub(super) fn left_in_memory(&self, peer: &Uid, deletions: &Deletions, shown: Seq) -> Option<Bytes> {
        let kept = |row: &&InboxRow| {
            row.seq < shown && row.with.as_ref() == Some(peer) && row.body.is_message() && !deletions.contains(row.seq)
        };
        let left = self.rows.newest_first().find(kept).map(|row| row.entry.clone());
        let first_shown = self.peers.get(peer).map_or(Seq::ZERO, |peer| peer.settled.first_shown());
        let all = self.rows.first().is_some_and(|first| first <= first_shown);
        left.or_else(|| all.then(Bytes::new))
    }
}

/// Looks for messages that are not in memory.
pub(super) struct Search {
    pub(super) owner: Uid,
    pub(super) peer: Uid,
    pub(super) conversation: Conversation,
    pub(super) store: Arc<dyn Store>,
}

impl Search {
    /// All of them: those named by their seq in one read.
    pub(super) async fn find_all(&self, targets: Vec<Target>) -> Result<Vec<(Target, Option<Found>)>, StoreError> {
        let seq_of = |target: &Target| match target {
            Target::Own(seq) => Some(*seq),
            Target::Peer(_) => None,
        };
        let seqs: Vec<Seq> = targets.iter().filter_map(seq_of).collect();
        let values = self.store.get(seqs.iter().map(|seq| self.key(*seq)).collect()).await?;
        let mut found = Vec::with_capacity(targets.len());
        for (seq, value) in seqs.into_iter().zip(values) {
            found.push((Target::Own(seq), value.map(|value| found_in(seq, value)).transpose()?));
        }
        for target in targets {
            if let Target::Peer(place) = target {
                found.push((target, self.placed(place).await?));
            }
        }
        Ok(found)
    }

    /// The newest message below `shown` that is not deleted; empty: there is none.
    pub(super) async fn newest_left(&self, deletions: &Deletions, shown: Seq) -> Result<Bytes, StoreError> {
        let first = self.conversation.first_shown();
        let mut before = deletions.skip(shown);
        while before > first {
            let page = self.page(before).await?;
            let Some(oldest) = page.last().map(|item| item.seq) else { break };
            if let Some(left) = page.into_iter().find(|item| !deletions.contains(item.seq)) {
                return Ok(left.entry);
            }
            before = deletions.skip(oldest);
        }
        Ok(Bytes::new())
    }

    fn key(&self, seq: Seq) -> Key {
        let bucket = self.conversation.bucket_before(seq.next());
        Key::History { owner: self.owner.clone(), peer: self.peer.clone(), bucket, seq }
    }

    /// Halves the range of seqs until one page holds what is left of it.
    async fn placed(&self, place: Place) -> Result<Option<Found>, StoreError> {
        let first = self.conversation.bucket_first_seqs.first().copied().unwrap_or_default();
        let (mut low, mut high) = (first, self.conversation.last_seq.next());
        let mut pages = LOOKUP_PAGES_MAX;
        while low < high {
            let middle = Seq::new(low.get() + high.since(low).div_ceil(2));
            let Some(probe) = self.newest_of_log_below(middle, place, low, &mut pages).await? else {
                low = middle;
                continue;
            };
            match probe {
                Probe::Found(found) => return Ok(Some(found)),
                // It is older than everything the probe saw from there on.
                Probe::Older(oldest_seen) => high = oldest_seen.min(middle),
                Probe::Newer => low = middle,
            }
        }
        Ok(None)
    }

    /// Where the message is, seen from the peer's newest messages below `before`; `None` when there are none above `low`.
    async fn newest_of_log_below(
        &self,
        mut before: Seq,
        place: Place,
        low: Seq,
        pages: &mut usize,
    ) -> Result<Option<Probe>, StoreError> {
        loop {
            if *pages == 0 {
                counter!("tidings_lookups_given_up_total").increment(1);
                return Ok(Some(Probe::Older(low)));
            }
            *pages -= 1;
            let page = self.page(before).await?;
            let oldest_seen = page.last().map(|item| item.seq);
            let mut placed = page.into_iter().filter(|item| item.place.is_some_and(|at| at.log_id == place.log_id));
            if let Some(newest) = placed.next() {
                let seq_of = |item: &HistoryItem| item.place.map_or(Seq::ZERO, |at| at.seq);
                if seq_of(&newest) < place.seq {
                    return Ok(Some(Probe::Newer));
                }
                let mut seen = std::iter::once(newest).chain(placed).skip_while(|item| seq_of(item) > place.seq);
                return Ok(Some(match seen.next() {
                    Some(item) if seq_of(&item) == place.seq => Probe::Found(Found::of_history(item)),
                    // The places of one log rise without it: it is not there, and not below either.
                    Some(_) => Probe::Older(low),
                    None => Probe::Older(oldest_seen.unwrap_or(low)),
                }));
            }
            match oldest_seen {
                Some(oldest) if oldest > low => before = oldest,
                Some(_) | None => return Ok(None),
            }
        }
    }

    /// Newest first; empty: there are none.
    async fn page(&self, mut before: Seq) -> Result<Vec<HistoryItem>, StoreError> {
        loop {
            let bucket = self.conversation.bucket_before(before);
            let (owner, peer) = (self.owner.clone(), self.peer.clone());
            let page = self.store.read_history(HistoryRange { owner, peer, bucket, before }, PROBE_ROWS).await?;
            let rows = read_rows_of_history(page)?;
            // The newest bucket may have rows that are not projected yet: the next older one.
            let starts = usize::try_from(bucket).ok().and_then(|at| self.conversation.bucket_first_seqs.get(at));
            match starts {
                Some(starts) if rows.is_empty() && bucket > 0 && *starts < before => before = *starts,
                Some(_) | None => return Ok(rows),
            }
        }
    }
}

/// A message as its history row has it.
fn found_in(seq: Seq, value: Bytes) -> Result<Found, StoreError> {
    let stored = record::HistoryRow::decode(value).map_err(|_| corrupt("history"))?;
    let place = stored.peer.as_ref().map(place_from_record).transpose().map_err(|_| corrupt("history"))?;
    Ok(Found { seq, entry: stored.entry, place })
}

/// What a probe says.
enum Probe {
    Found(Found),
    /// It is below this seq, or nowhere.
    Older(Seq),
    /// It is above what was probed, or nowhere.
    Newer,
}

/// One row of a history, if it is there.
pub(super) async fn read_history_row(
    store: &Arc<dyn Store>,
    key: Key,
) -> Result<Option<record::HistoryRow>, StoreError> {
    let value = store.get(vec![key]).await?.pop().flatten();
    value.map(record::HistoryRow::decode).transpose().map_err(|_| corrupt("history"))
}

/// The key of a message's history row.
pub(super) fn history_key(owner: &Uid, row: &InboxRow, peer: &Uid) -> Key {
    Key::History { owner: owner.clone(), peer: peer.clone(), bucket: history_bucket(row.h), seq: row.seq }
}
