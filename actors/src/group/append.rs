//! The one way a row comes into being: it gets its place, is folded into what decisions rest on, and is handed to the
//! Appender.

use bytes::Bytes;
use metrics::counter;
use prost::Message as _;
use tidings_schema::{
    error_code::ErrorCode,
    group::{Event, encode_event_entry},
    id::{Millis, Seq},
    message::{GroupDraft, encode_group_message_entry},
    record,
    row::GroupRow,
};
use tidings_state::timeline::Slot;

use super::{Group, STOPPED};
use crate::{
    appender::Append,
    mutants::{self, Mutant},
    port::{
        link::{ConnectionRef, OpId},
        store::{Change, Key, Row},
    },
};

/// Why no row came into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRow {
    /// Too many rows wait for the store, or for a checkpoint.
    Busy,
    /// The store cannot be written now.
    Unavailable,
    /// The log is stopped.
    Stopped,
}

impl Group {
    /// Gives rows their places, in this order; the last one's comes back. `draft` is what an [`Event::Message`] says. They
    /// are committed later, or never seen by anyone.
    pub(super) fn append(&mut self, events: Vec<Event>, draft: Option<&GroupDraft>) -> Result<Seq, NoRow> {
        match self.parts.appender.room(&self.timeline_id, events.len()) {
            Append::Taken => {}
            Append::Full => return Err(NoRow::Busy),
            Append::Unavailable => return Err(NoRow::Unavailable),
            Append::Stopped => return Err(NoRow::Stopped),
        }
        if self.timeline.room() < events.len() as u64 || self.checkpoint_is_far() {
            return Err(NoRow::Busy);
        }
        let now = self.parts.clock.now();
        let (mut rows, mut with) = (Vec::with_capacity(events.len()), Vec::new());
        for event in events {
            let slot = self.timeline.append(now, self.fresh_log_id).map_err(|_| NoRow::Busy)?;
            self.records_with(&slot, &mut with);
            let row = self.row(event, draft, &slot).ok_or(NoRow::Stopped)?;
            self.state.hand_over(row.seq, &row.event);
            rows.push(Row { seq: row.seq, value: row.encode() });
            self.rows.push(row);
        }
        counter!("tidings_rows_appended_total").increment(rows.len() as u64);
        match self.parts.appender.append(&self.timeline_id, rows, with) {
            Append::Taken => Ok(self.timeline.head()),
            // Impossible after `room`, and the rows would never be committed: the actor starts again from the store.
            Append::Full | Append::Unavailable | Append::Stopped => Err(NoRow::Stopped),
        }
    }

    fn row(&self, event: Event, draft: Option<&GroupDraft>, slot: &Slot) -> Option<GroupRow> {
        let entry = match (&event, draft) {
            (Event::Message { from, .. }, Some(draft)) => encode_group_message_entry(slot.seq, slot.time, from, draft),
            _ => encode_event_entry(&self.gid, slot.seq, slot.time, &event)?,
        };
        Some(GroupRow {
            seq: slot.seq,
            ep: slot.ep,
            pe: slot.pe,
            c: slot.c,
            time: slot.time,
            n: self.state.next_n(&event),
            log_id: slot.log_id,
            edited_by: Seq::ZERO,
            event,
            entry,
        })
    }

    /// Records that are durable no later than the row: the mark of this activation, and the log's head with its first row.
    fn records_with(&mut self, slot: &Slot, with: &mut Vec<Change>) {
        let mut put = |key, value: Vec<u8>| with.push(Change { key, value: Some(value.into()) });
        if !self.checkpoint.marked {
            self.checkpoint.marked = true;
            self.parts.groups.borrow_mut().mark(&self.gid);
            if !mutants::active(Mutant::MarkRemovedTooEarly) {
                put(Key::Mark(self.parts.id, self.timeline_id.clone()), record::Mark {}.encode_to_vec());
            }
        }
        if let Some(log_id) = slot.log_id {
            let head = record::Head { log_id: Bytes::copy_from_slice(log_id.as_bytes()), ..Default::default() };
            put(Key::Head(self.timeline_id.clone()), head.encode_to_vec());
        }
    }

    /// Time of a row that is in memory.
    pub(super) fn time_of(&self, seq: Seq) -> Millis {
        self.rows.get(seq).map_or(Millis::default(), |row| row.time)
    }

    pub(super) fn refuse_row(&mut self, to: ConnectionRef, op_id: OpId, why: NoRow) {
        let (code, text, retry_after_ms) = match why {
            NoRow::Busy => (ErrorCode::Busy, "too many messages wait for the store", 200),
            NoRow::Unavailable => (ErrorCode::Unavailable, "the store cannot be written now", 1_000),
            NoRow::Stopped => (ErrorCode::Corrupt, STOPPED, 0),
        };
        self.refuse(to, op_id, code, text, retry_after_ms);
    }
}
