//! Pages are large: one at a time is asked for, and only while little is queued for the client, so that an answer always
//! finds room.

use std::collections::VecDeque;

use tidings_schema::error_code::ErrorCode;

use super::Connection;
use crate::{
    offer::Offer,
    port::link::{Op, OpId},
};

/// A page is asked for only below this many queued bytes.
pub(crate) const PAGE_QUEUED_BYTES_MAX: usize = 32 * 1024;

/// Reads that wait for their turn; bounded by the unanswered operations.
#[derive(Debug, Default)]
pub(super) struct Pages {
    waiting: VecDeque<(OpId, Op)>,
    asked: Option<OpId>,
}

impl Pages {
    pub(super) fn push(&mut self, op_id: OpId, op: Op) {
        self.waiting.push_back((op_id, op));
    }

    /// The page was answered, or given up.
    pub(super) fn done(&mut self, op_id: OpId) {
        if self.asked == Some(op_id) {
            self.asked = None;
        }
        self.waiting.retain(|(waiting, _)| *waiting != op_id);
    }
}

impl Connection {
    /// Asks for the next page, if one waits and it is time.
    pub(super) fn ask_for_pages(&mut self) {
        while self.pages.asked.is_none() && self.outlet.queued_bytes() < PAGE_QUEUED_BYTES_MAX {
            let Some((op_id, op)) = self.pages.waiting.pop_front() else { return };
            match self.command(op_id, op) {
                Offer::Taken => self.pages.asked = Some(op_id),
                Offer::Full(_) | Offer::Closed(_) => {
                    self.unanswered.take(op_id);
                    self.error(op_id, ErrorCode::Busy, "mailbox is busy");
                }
            }
        }
    }
}
