//! From the inbox to the user's devices: each device gets contiguous committed entries, as many as its ack window and the
//! connection's out queue have room for, from memory or from the log, and again when it did not acknowledge in time.

use std::sync::Arc;

use actix::Context;
use bytes::Bytes;
use metrics::counter;
use tidings_schema::{
    error_code::ErrorCode,
    id::{DeviceId, Seq},
    message::{Redelivery, encode_inbox_entries},
    row::InboxRow,
    wire,
};
use tidings_state::ack_queue::{ACK_WINDOW_ENTRIES, AckOutcome, Due, Live, Room, Want};

use super::{Mailbox, Phase};
use crate::{
    mutants::{self, Mutant},
    port::{
        link::{ConnectionRef, EntryFrame, OpId, Push, ToConnection},
        store::{Page, PageLimit, StoreError},
    },
};

/// Bytes of entries in one push, unless it is a single entry.
pub const PUSH_BYTES_MAX: usize = 64 * 1024;

/// The last frame that was made, for the next device that gets the same.
pub(super) struct LastFrame {
    after: Seq,
    last: Seq,
    frame: Arc<EntryFrame>,
}

impl Mailbox {
    /// Every online device gets what was just committed, or learns later that it is behind.
    pub(super) fn push_committed(&mut self, ctx: &mut Context<Self>) {
        let online: Vec<ConnectionRef> = self.devices.online.keys().copied().collect();
        for connection in online {
            self.feed(connection, ctx);
        }
    }

    /// Pushes to one device while it wants something and has room.
    pub(super) fn feed(&mut self, connection: ConnectionRef, ctx: &mut Context<Self>) {
        let committed = self.timeline.committed();
        while let Some(online) = self.devices.online.get_mut(&connection) {
            if online.reading || self.phase == Phase::Loading || self.phase == Phase::Left {
                return;
            }
            if online.queue.is_live() {
                let after = online.queue.sent();
                if after >= committed {
                    return;
                }
                match self.rows.page(after, committed, ACK_WINDOW_ENTRIES + 1) {
                    Some(rows) if online.queue.live(&sizes(&rows)) == Live::Push => {
                        return self.push(connection, after, &rows);
                    }
                    Some(_) => {}
                    // They left memory: the log has them.
                    None => online.queue.dropped(after),
                }
            }
            let (after, room) = match online.queue.wants(committed) {
                Want::Nothing => return,
                Want::Page { after, room } => (after, room),
            };
            match self.rows.page(after, committed, room.entries) {
                Some(mut page) => {
                    page.truncate(online.queue.fit(&sizes(&page)));
                    if page.is_empty() {
                        return;
                    }
                    self.push(connection, after, &page);
                }
                None => return self.read_for(connection, after, room, ctx),
            }
        }
    }

    fn push(&mut self, connection: ConnectionRef, after: Seq, rows: &[InboxRow]) {
        let Some(last) = rows.last().map(|row| row.seq) else { return };
        let frame = self.frame(after, last, rows, None);
        let Some(online) = self.devices.online.get_mut(&connection) else { return };
        online.queue.pushed(&sizes(rows));
        online.head_told = last;
        counter!("tidings_entries_pushed_total").increment(rows.len() as u64);
        if mutants::active(Mutant::CursorBeforePush) {
            let device = online.device.clone();
            self.raise_cursor(&device, last);
        }
        self.devices.note_pushed(rows.iter());
        self.tell(connection, ToConnection::Push(Push { after, last, frame }));
    }

    fn frame(&mut self, after: Seq, last: Seq, rows: &[InboxRow], redelivery: Option<Redelivery>) -> Arc<EntryFrame> {
        // A frame that was made before a change shows what the message said then.
        let keeps = redelivery.is_none() && !self.redactions.are_looked_for();
        let same = |known: &&LastFrame| known.after == after && known.last == last && keeps;
        if let Some(known) = self.last_frame.as_ref().filter(same) {
            return known.frame.clone();
        }
        let entries: Vec<Bytes> = rows.iter().map(|row| self.shown(row.entry.clone())).collect();
        let log_id = self.log_id().filter(|_| after == Seq::ZERO);
        let frame = Arc::new(EntryFrame::new(encode_inbox_entries(&entries, redelivery, log_id.as_ref())));
        if keeps {
            self.last_frame = Some(LastFrame { after, last, frame: frame.clone() });
        }
        frame
    }

    /// Reads the next page for one device; whatever happens to its connection meanwhile, only that connection gets it.
    fn read_for(&mut self, connection: ConnectionRef, after: Seq, room: Room, ctx: &mut Context<Self>) {
        if let Some(online) = self.devices.online.get_mut(&connection) {
            online.reading = true;
        }
        let limit = PageLimit { rows: room.entries, bytes: room.bytes.min(PUSH_BYTES_MAX) };
        let page = self.parts.store.read(self.timeline_id.clone(), after, self.timeline.committed(), limit);
        self.read_then(ctx, page, move |page, mailbox, ctx| {
            let Some(online) = mailbox.devices.online.get_mut(&connection) else { return };
            online.reading = false;
            match page.and_then(decode_page) {
                // The device acknowledged them by another way, and they were swept: the tick goes on after them.
                Ok(rows) if rows.is_empty() && mailbox.checkpoint.kept.is_gone_after(after) => return,
                Ok(rows) if rows.is_empty() => {
                    return mailbox.stop_corrupt("a committed row is not in the log", ctx);
                }
                Ok(mut rows) => {
                    // None of it when the device fell back while the page was read.
                    rows.truncate(online.queue.fit(&sizes(&rows)));
                    mailbox.push(connection, after, &rows);
                }
                Err(StoreError::Corrupt(why)) => return mailbox.stop_corrupt(&why, ctx),
                // The tick tries again.
                Err(StoreError::Unavailable(_) | StoreError::Rejected(_)) => return,
            }
            mailbox.feed(connection, ctx);
            mailbox.flush();
        });
    }

    pub(super) fn ack(&mut self, from: ConnectionRef, op_id: OpId, upto: Seq, ctx: &mut Context<Self>) {
        let committed = self.timeline.committed();
        // Acks of a connection that was replaced count for nothing.
        let Some(online) = self.devices.online.get_mut(&from) else { return };
        match online.queue.ack(upto, committed) {
            AckOutcome::AboveHead => {
                let text = format!("the inbox ends at {committed}");
                self.refuse(from, op_id, ErrorCode::AckAboveHead, &text, 0);
            }
            // Nothing new for this connection may still be new for the device: clients repeat their ack after welcome.
            AckOutcome::Moved | AckOutcome::Stale => {
                let device = online.device.clone();
                self.raise_cursor(&device, upto);
                self.tell_delivered(upto);
                self.feed(from, ctx);
            }
        }
    }

    /// What one connection of a device acknowledged is the device's place; written a little later.
    fn raise_cursor(&mut self, device: &DeviceId, upto: Seq) {
        if let Some(known) = self.devices.known.get_mut(device).filter(|known| known.cursor < upto) {
            known.cursor = upto;
            known.changed = true;
            self.checkpoint.cursors_changed(self.parts.clock.uptime());
        }
    }

    pub(super) fn drained(&mut self, from: ConnectionRef, upto: Seq, ctx: &mut Context<Self>) {
        let now = self.parts.clock.uptime();
        if let Some(online) = self.devices.online.get_mut(&from) {
            online.queue.drained(upto, now);
            self.feed(from, ctx);
        }
    }

    /// The connection had no room for a push. What drains, an ack or the next tick brings it again; pushing at once would
    /// find the same lack of room.
    pub(super) fn dropped(&mut self, from: ConnectionRef, last: Seq) {
        if let Some(online) = self.devices.online.get_mut(&from) {
            online.queue.dropped(last);
        }
    }

    /// Devices that did not acknowledge in time get it once more, and are closed when that does not help.
    pub(super) fn redeliver_due(&mut self, ctx: &mut Context<Self>) {
        let now = self.parts.clock.uptime();
        let due = |(connection, online): (&ConnectionRef, &mut super::devices::Online)| {
            Some((*connection, online.queue.due(now))).filter(|(_, due)| *due != Due::Nothing && !online.reading)
        };
        let due: Vec<(ConnectionRef, Due)> = self.devices.online.iter_mut().filter_map(due).collect();
        for (connection, due) in due {
            match due {
                Due::Nothing => {}
                Due::Redeliver { after, upto } => self.redeliver(connection, after, upto, ctx),
                Due::Dead => {
                    counter!("tidings_devices_dead_total").increment(1);
                    self.tell(connection, ToConnection::Close(wire::GoAwayReason::Dead));
                }
            }
        }
    }

    fn redeliver(&mut self, connection: ConnectionRef, after: Seq, upto: Seq, ctx: &mut Context<Self>) {
        if let Some(rows) = self.rows.page(after, upto, ACK_WINDOW_ENTRIES) {
            return self.push_again(connection, after, &rows);
        }
        if let Some(online) = self.devices.online.get_mut(&connection) {
            online.reading = true;
        }
        let limit = PageLimit { rows: ACK_WINDOW_ENTRIES, bytes: PUSH_BYTES_MAX };
        let page = self.parts.store.read(self.timeline_id.clone(), after, upto, limit);
        self.read_then(ctx, page, move |page, mailbox, ctx| {
            let Some(online) = mailbox.devices.online.get_mut(&connection) else { return };
            online.reading = false;
            match page.and_then(decode_page) {
                Ok(rows) => mailbox.push_again(connection, after, &rows),
                Err(StoreError::Corrupt(why)) => return mailbox.stop_corrupt(&why, ctx),
                // The tick tries again.
                Err(StoreError::Unavailable(_) | StoreError::Rejected(_)) => {}
            }
            mailbox.flush();
        });
    }

    fn push_again(&mut self, connection: ConnectionRef, after: Seq, rows: &[InboxRow]) {
        let Some(last) = rows.last().map(|row| row.seq) else { return };
        counter!("tidings_redeliveries_total").increment(1);
        if let Some(online) = self.devices.online.get_mut(&connection) {
            online.queue.redelivered(after, last);
        }
        let frame = self.frame(after, last, rows, Some(Redelivery));
        self.tell(connection, ToConnection::Again(frame));
    }

    /// Devices that are not pushed to now learn how far the inbox has come.
    pub(super) fn tell_heads(&mut self) {
        let head = self.timeline.committed();
        let behind: Vec<ConnectionRef> = self
            .devices
            .online
            .iter_mut()
            .filter(|(_, online)| online.head_told < head)
            .map(|(connection, online)| {
                online.head_told = head;
                *connection
            })
            .collect();
        for connection in behind {
            self.tell(connection, ToConnection::HeadMoved(head));
        }
    }
}

/// The rows of a stored page.
pub(super) fn decode_page(page: Page) -> Result<Vec<InboxRow>, StoreError> {
    let rows = page.rows.into_iter().map(|row| InboxRow::decode(row.seq, row.value));
    rows.collect::<Result<Vec<_>, _>>().map_err(|why| StoreError::Corrupt(why.to_string()))
}

fn sizes(rows: &[InboxRow]) -> Vec<(Seq, usize)> {
    rows.iter().map(|row| (row.seq, row.entry.len())).collect()
}
