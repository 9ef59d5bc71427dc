//! Committed rows go to the connections of members: one frame for all of a node, cut so that nothing behind the end of a
//! membership is in the frame that ends it.

use std::{collections::VecDeque, sync::Arc};

use metrics::counter;
use tidings_schema::{id::Seq, message::encode_group_entries, row::GroupRow};
use tidings_state::group::audience::{Revoked, cut};

use super::Group;
use crate::{
    offer::Offer,
    port::link::{EntryFrame, FanOut},
};

/// Frames that end a membership and were not taken; while there are as many, no further membership ends (5003).
pub const UNTOLD_MAX: usize = 1_024;

/// What the node did not take: every frame that ends a membership, and the newest of the others. What is left out in between
/// shows by the next frame's `prev`, and is pulled.
#[derive(Default)]
pub(super) struct Untold {
    frames: VecDeque<FanOut>,
}

impl Untold {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= UNTOLD_MAX
    }

    fn keep(&mut self, frame: FanOut) {
        self.frames.pop_back_if(|newest| newest.revoked == Revoked::Nobody);
        self.frames.push_back(frame);
    }
}

impl Group {
    /// Tells the node of rows that are committed; contiguous, oldest first.
    pub(super) fn fan_out(&mut self, rows: &[GroupRow]) {
        for cut in cut(rows.iter().map(|row| (row.seq, &row.event, row.entry.len()))) {
            let within = rows.iter().filter(|row| row.seq > cut.prev && row.seq <= cut.upto);
            let frame = self.frame_of(cut.prev, within, cut.upto, cut.revoked);
            if self.untold.is_empty() {
                self.offer(frame);
            } else {
                self.keep_untold(frame);
            }
        }
    }

    fn frame_of<'a>(&self, prev: Seq, rows: impl Iterator<Item = &'a GroupRow>, upto: Seq, revoked: Revoked) -> FanOut {
        let entries: Vec<_> = rows.map(|row| self.shown(row.entry.clone())).collect();
        let log_id = self.timeline.log_id().filter(|_| prev == Seq::ZERO);
        let frame = Arc::new(EntryFrame::new(encode_group_entries(&self.gid, &entries, log_id.as_ref())));
        FanOut { gid: self.gid.clone(), prev, upto, frame, revoked }
    }

    fn offer(&mut self, frame: FanOut) {
        match self.parts.link.fan_out(frame) {
            Offer::Taken => counter!("tidings_group_frames_total").increment(1),
            Offer::Full(frame) => self.keep_untold(frame),
            // Nobody on this node wants any group.
            Offer::Closed(_) => {}
        }
    }

    /// Of a frame that waits only the last row is kept: what it ends, and up to where there is something.
    fn keep_untold(&mut self, frame: FanOut) {
        counter!("tidings_group_frames_refused_total").increment(1);
        let kept = match self.rows.get(frame.upto) {
            Some(row) if frame.prev < row.seq.prev() => {
                self.frame_of(row.seq.prev(), std::iter::once(row), frame.upto, frame.revoked)
            }
            Some(_) | None => frame,
        };
        self.untold.keep(kept);
    }

    /// Tells again what was not taken.
    pub(super) fn tell_untold(&mut self) {
        while let Some(frame) = self.untold.frames.pop_front() {
            match self.parts.link.fan_out(frame) {
                Offer::Taken => counter!("tidings_group_frames_total").increment(1),
                Offer::Full(frame) => return self.untold.frames.push_front(frame),
                Offer::Closed(_) => {}
            }
        }
    }
}
