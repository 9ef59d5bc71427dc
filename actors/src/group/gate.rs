//! Work that needs something from the store before it can be decided: it is fetched once, and the work behind it waits, so
//! that everything is decided in the order it came.

use std::sync::Arc;

use actix::Context;
use bytes::Bytes;
use prost::Message as _;
use tidings_schema::{
    change::MessageName,
    error_code::ErrorCode,
    group::Event,
    id::{MessageId, Millis, Seq, Uid},
    message::PayloadHash,
    record,
    row::GroupRow,
    wire,
};
use tidings_state::sent_window::{Lookup, SentKey};
use tracing::warn;

use super::{Group, send::key_of};
use crate::port::{
    link::{GroupCommand, GroupOp},
    store::{Key, Page, PageLimit, Store, StoreError, TimelineId},
};

/// One row of a log.
const ONE: PageLimit = PageLimit { rows: 1, bytes: 1 };

/// What work waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// What became of a message id long ago.
    IdRecord(Uid, MessageId),
    /// A row that is not in memory.
    Row(Seq),
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
    id: Option<(SentKey, Option<FoundId>)>,
    row: Option<(Seq, Option<GroupRow>)>,
}

impl Gate {
    pub(super) fn is_open(&self) -> bool {
        !self.fetching
    }

    /// The work in front is done; what was fetched for it is not valid for the next.
    pub(super) fn done(&mut self) {
        (self.id, self.row) = (None, None);
    }

    /// What the id record says, if it was fetched.
    pub(super) fn found_id(&self, key: &SentKey, hash: &PayloadHash) -> Option<Lookup> {
        let (_, found) = self.id.as_ref().filter(|(known, _)| known == key)?;
        Some(match found {
            None => Lookup::New,
            Some(found) if found.hash == *hash => Lookup::Duplicate { seq: found.seq, time: found.time },
            Some(_) => Lookup::Conflict,
        })
    }

    /// The fetched row: `Some(None)` when there is none.
    fn row(&self, seq: Seq) -> Option<Option<&GroupRow>> {
        self.row.as_ref().filter(|(known, _)| *known == seq).map(|(_, row)| row.as_ref())
    }
}

/// A message of the log, with all changes that are on their way.
pub(super) struct Found {
    pub(super) author: Uid,
    pub(super) message_id: MessageId,
    pub(super) sent: Millis,
    /// The encoded entry.
    entry: Bytes,
}

impl Found {
    fn of(row: &GroupRow, entry: Bytes) -> Option<Self> {
        let Event::Message { from, message_id, .. } = &row.event else { return None };
        Some(Self { author: from.clone(), message_id: *message_id, sent: row.time, entry })
    }

    /// Whether it is the one of that name.
    pub(super) fn is(&self, name: &MessageName) -> bool {
        self.author == name.author && self.message_id == name.message_id
    }

    /// What it says now.
    pub(super) fn said(&self) -> Option<wire::Message> {
        match wire::Entry::decode(self.entry.clone()).ok()?.body {
            Some(wire::entry::Body::Message(message)) => Some(message),
            _ => None,
        }
    }
}

/// What a fetch brings.
enum Fetched {
    Id(SentKey, Option<FoundId>),
    Row(Seq, Option<GroupRow>),
}

impl Group {
    /// What this work needs first; `None` when it can be done now.
    pub(super) fn need(&self, work: &GroupCommand) -> Option<Need> {
        match &work.op {
            GroupOp::Send(send) => {
                let key = key_of(&work.uid, &send.draft);
                let beyond = send.retry && self.window.look_up(key.clone(), send.draft.hash) == Lookup::Beyond;
                if beyond && self.gate.found_id(&key, &send.draft.hash).is_none() {
                    return Some(Need::IdRecord(work.uid.clone(), send.draft.message_id));
                }
                send.draft.reply_to.as_ref().and_then(|reply_to| self.need_row(reply_to.seq))
            }
            GroupOp::Change(change) => self.need_row(change.seq),
            GroupOp::Do(_)
            | GroupOp::Sync(..)
            | GroupOp::History(..)
            | GroupOp::Info
            | GroupOp::Members(..)
            | GroupOp::ReadBy { .. }
            | GroupOp::Ack(_)
            | GroupOp::Read(_) => None,
        }
    }

    /// A row above the head, or below the first, is no row: nothing is fetched for it.
    fn need_row(&self, seq: Seq) -> Option<Need> {
        let there = seq > Seq::ZERO && seq <= self.timeline.committed();
        let known = self.rows.get(seq).is_some() || self.gate.row(seq).is_some();
        (there && !known).then_some(Need::Row(seq))
    }

    /// The message at `seq` in memory, or as it was fetched; the outer `None`: it is neither.
    pub(super) fn message_at(&self, seq: Seq) -> Option<Option<Found>> {
        let row = match self.rows.get(seq) {
            Some(row) => Some(row),
            None => self.gate.row(seq)?,
        };
        Some(row.and_then(|row| Found::of(row, self.redactions.with_all_changes(row.entry.clone()))))
    }

    /// Fetches what the work in front needs; the gate is closed until it is there.
    pub(super) fn fetch(&mut self, need: Need, ctx: &mut Context<Self>) {
        let (store, timeline) = (Arc::clone(&self.parts.store), self.timeline_id.clone());
        let ceiling = self.timeline.committed();
        let fetched = async move {
            match need {
                Need::Row(seq) => Ok(Fetched::Row(seq, read_row(&store, timeline, seq, ceiling).await?)),
                Need::IdRecord(uid, id) => {
                    let found = read_id(&store, timeline, &uid, id, ceiling).await?;
                    Ok(Fetched::Id(SentKey { from: Some(uid), id }, found))
                }
            }
        };
        self.gate.fetching = true;
        self.read_then(ctx, fetched, |fetched: Result<Fetched, StoreError>, group, ctx| {
            group.gate.fetching = false;
            match fetched {
                Ok(Fetched::Id(key, found)) => group.gate.id = Some((key, found)),
                Ok(Fetched::Row(seq, row)) => group.gate.row = Some((seq, row)),
                Err(StoreError::Corrupt(why)) => return group.stop_corrupt(&why, ctx),
                Err(why @ (StoreError::Unavailable(_) | StoreError::Rejected(_))) => {
                    warn!(gid = %group.gid, %why, "store cannot be read, op refused");
                    if let Some(work) = group.work.pop_front() {
                        group.refuse_work(&work, ErrorCode::Unavailable, "the store cannot be read now", 1_000);
                    }
                    group.gate.done();
                }
            }
            group.run(ctx);
        });
    }
}

/// One committed row.
pub(super) async fn read_row(
    store: &Arc<dyn Store>,
    timeline: TimelineId,
    seq: Seq,
    ceiling: Seq,
) -> Result<Option<GroupRow>, StoreError> {
    let rows = decode_page(store.read(timeline, seq.prev(), ceiling, ONE).await?)?;
    Ok(rows.into_iter().next().filter(|row| row.seq == seq))
}

async fn read_id(
    store: &Arc<dyn Store>,
    timeline: TimelineId,
    uid: &Uid,
    id: MessageId,
    ceiling: Seq,
) -> Result<Option<FoundId>, StoreError> {
    let key = Key::MessageId(timeline.clone(), uid.clone(), id);
    let Some(value) = store.get(vec![key]).await?.pop().flatten() else { return Ok(None) };
    let stored = record::MessageId::decode(value).map_err(|_| corrupt("message id"))?;
    let hash = PayloadHash::from_slice(&stored.payload_hash).ok_or_else(|| corrupt("message id"))?;
    let (seq, time) = (Seq::new(stored.seq), Millis::new(stored.time));
    // The row it names says whether the record tells the truth.
    let row = read_row(store, timeline, seq, ceiling).await?;
    let says = |row: &GroupRow| matches!(&row.event, Event::Message { from, message_id, .. } if from == uid && *message_id == id);
    Ok(row.as_ref().is_some_and(says).then_some(FoundId { hash, seq, time }))
}

/// The rows of a stored page.
pub(super) fn decode_page(page: Page) -> Result<Vec<GroupRow>, StoreError> {
    let rows = page.rows.into_iter().map(|row| GroupRow::decode(row.seq, row.value));
    rows.collect::<Result<Vec<_>, _>>().map_err(|why| StoreError::Corrupt(why.to_string()))
}

pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} record cannot be decoded"))
}
