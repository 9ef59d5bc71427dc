//! The domain form of a row of a group's log, checked once when a stored row is read.
//!
//! As with inbox rows, `entry` shares the bytes of the stored record, and what it says already is not stored again.

use bytes::Bytes;
use prost::Message as _;

use super::RowError;
use crate::{
    change::{self, Change, Made, Stored},
    group::{Event, event_of_body},
    id::{Epoch, LogId, Millis, Seq},
    message::{PayloadHash, RawEntry},
    record::{self, GroupRowKind},
    wire,
};

/// One row of a group's log.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupRow {
    /// Place in the log; also in `entry`.
    pub seq: Seq,
    /// Epoch that first appended the row.
    pub ep: Epoch,
    /// Epoch of the row before; zero for row 1.
    pub pe: Epoch,
    /// The writer's committed head when it appended.
    pub c: Seq,
    /// Milliseconds since the Unix epoch; also in `entry`.
    pub time: Millis,
    /// Counting messages of the group so far, this row included.
    pub n: u64,
    /// The life of the log; row 1 only.
    pub log_id: Option<LogId>,
    /// Messages: the newest row that edited it; zero = none.
    pub edited_by: Seq,
    /// What happened.
    pub event: Event,
    /// The encoded `wire::Entry`, exactly as clients get it.
    pub entry: Bytes,
}

impl GroupRow {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (payload_hash, counting) = match &self.event {
            Event::Message { hash, counting, .. } => (Bytes::copy_from_slice(hash.as_bytes()), *counting),
            _ => (Bytes::new(), false),
        };
        let stored = record::GroupRow {
            ep: self.ep.get(),
            pe: self.pe.get(),
            c: self.c.get(),
            n: self.n,
            kind: kind(&self.event).into(),
            payload_hash,
            counting,
            edited_by: self.edited_by.get(),
            log_id: self.log_id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
            entry: self.entry.clone(),
        };
        stored.encode_to_vec().into()
    }

    /// Reads the stored form of the row whose key says `seq`.
    ///
    /// # Errors
    /// [`RowError`]: the bytes were not written by [`GroupRow::encode`] for this seq.
    pub fn decode(seq: Seq, value: Bytes) -> Result<Self, RowError> {
        let stored = record::GroupRow::decode(value).map_err(|_| RowError::Malformed)?;
        let (said, time, event) = match GroupRowKind::try_from(stored.kind) {
            Ok(GroupRowKind::Message) => message(&stored)?,
            Ok(GroupRowKind::Unspecified) | Err(_) => return Err(RowError::Kind),
            Ok(kind) => other(kind, &stored)?,
        };
        if said != seq {
            return Err(RowError::WrongSeq { key: seq, entry: said });
        }
        Ok(Self {
            seq,
            ep: Epoch::new(stored.ep),
            pe: Epoch::new(stored.pe),
            c: Seq::new(stored.c),
            time,
            n: stored.n,
            log_id: LogId::from_wire(&stored.log_id).map_err(|_| RowError::Field("log_id"))?,
            edited_by: Seq::new(stored.edited_by),
            event,
            entry: stored.entry,
        })
    }

    /// The change that this row makes of a message, and of which; `None` for other rows.
    #[must_use]
    pub fn made(&self) -> Option<(Seq, Made)> {
        let Event::Changed { target, change, .. } = &self.event else { return None };
        Some((*target, Made { seq: self.seq, time: self.time, change: change.clone() }))
    }

    /// This row after a change of the message in it, and the older edit whose row must not say its content any more
    /// (zero = none). Everything but what was said is as before: its place, its counts and its name. `None` when nothing
    /// changes.
    #[must_use]
    pub fn changed(&self, made: &Made) -> Option<(Self, Seq)> {
        let (changed, strip) = self.stored().changed(made)?;
        Some((Self { entry: changed.entry, edited_by: changed.edited_by, ..self.clone() }, strip))
    }

    /// What a change needs to know of this row, if it is a message.
    #[must_use]
    pub fn stored(&self) -> Stored {
        Stored { entry: self.entry.clone(), edited_by: self.edited_by }
    }

    /// The row of an edit without what it said; other rows come back as they are.
    #[must_use]
    pub fn without_content(self) -> Self {
        match self.event {
            Event::Changed { by, target, name, change: Change::Edit { .. } } => {
                let event = Event::Changed { by, target, name, change: Change::Edit { content: Bytes::new() } };
                Self { entry: change::without_content(&self.entry), event, ..self }
            }
            event => Self { event, ..self },
        }
    }
}

fn kind(event: &Event) -> GroupRowKind {
    match event {
        Event::Created { .. } => GroupRowKind::Created,
        Event::Message { .. } => GroupRowKind::Message,
        Event::Changed { .. } => GroupRowKind::Changed,
        Event::MembersJoined { .. } => GroupRowKind::MembersJoined,
        Event::MemberLeft { .. } => GroupRowKind::MemberLeft,
        Event::RoleSet { .. } => GroupRowKind::RoleSet,
        Event::MemberMuted { .. } => GroupRowKind::MemberMuted,
        Event::GroupMuted { .. } => GroupRowKind::GroupMuted,
        Event::Updated { .. } => GroupRowKind::Updated,
        Event::Dismissed { .. } => GroupRowKind::Dismissed,
    }
}

fn message(stored: &record::GroupRow) -> Result<(Seq, Millis, Event), RowError> {
    let entry = RawEntry::decode(stored.entry.clone()).map_err(|_| RowError::Malformed)?;
    let message = entry.message.ok_or(RowError::Field("entry.message"))?;
    let event = Event::Message {
        from: message.from.parse().map_err(|_| RowError::Field("entry.from"))?,
        message_id: message.message_id.parse().map_err(|_| RowError::Field("entry.message_id"))?,
        hash: PayloadHash::from_slice(&stored.payload_hash).ok_or(RowError::Field("payload_hash"))?,
        counting: stored.counting,
    };
    Ok((Seq::new(entry.seq), Millis::new(entry.time), event))
}

fn other(kind_of_row: GroupRowKind, stored: &record::GroupRow) -> Result<(Seq, Millis, Event), RowError> {
    let entry = wire::Entry::decode(stored.entry.clone()).map_err(|_| RowError::Malformed)?;
    let event = entry.body.and_then(event_of_body).filter(|event| kind(event) == kind_of_row);
    Ok((Seq::new(entry.seq), Millis::new(entry.time), event.ok_or(RowError::Field("entry.body"))?))
}
