//! The frames that wait for one worker's hub. Bounded; of what finds no room the hub is told the head and who was revoked.

use std::{
    collections::{BTreeSet, VecDeque},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use tidings_schema::id::Gid;
use tidings_state::group::missed::{Missed, MissedFrames};

use crate::port::link::FanOut;

/// Frames that wait for one hub at most, and as many that it has taken and works on. One that finds no room is noted as a
/// head and counted in `tidings_fan_out_missed_total`; so is every later one of its group, until the hub has heard of it.
pub const LANE_FRAMES_MAX: usize = 1_024;

/// What a hub takes out of its lane.
#[derive(Debug)]
pub(crate) enum Parcel {
    /// A frame.
    Frame(Arc<FanOut>),
    /// Frames of a group that found no room.
    Missed(Gid, Missed),
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Arc<FanOut>>,
    missed: MissedFrames,
    wanted: BTreeSet<Gid>,
    closed: bool,
}

/// One per worker.
#[derive(Default)]
pub struct Lane {
    waiting: Mutex<Waiting>,
    hub: AtomicWaker,
}

impl Lane {
    /// From now on frames of this group come.
    pub(crate) fn want(&self, gid: &Gid) {
        let mut waiting = self.waiting();
        if !waiting.wanted.contains(gid) {
            waiting.wanted.insert(gid.clone());
        }
    }

    /// From now on none do, but those that wait.
    pub(crate) fn do_not_want(&self, gid: &Gid) {
        self.waiting().wanted.remove(gid);
    }

    pub(super) fn wants(&self, gid: &Gid) -> bool {
        self.waiting().wanted.contains(gid)
    }

    /// The hub is gone.
    pub(crate) fn close(&self) {
        *self.waiting() = Waiting { closed: true, ..Waiting::default() };
    }

    pub(super) fn is_closed(&self) -> bool {
        self.waiting().closed
    }

    /// Whether the worker wants it.
    pub(super) fn put(&self, frame: &Arc<FanOut>) -> bool {
        let wanted = self.waiting().put(frame);
        if wanted {
            self.wake();
        }
        wanted
    }

    /// The hub has something to do.
    pub(crate) fn wake(&self) {
        self.hub.wake();
    }

    /// Moves all that waits to the end of `parcels`. Pending: nothing does.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>, parcels: &mut VecDeque<Parcel>) -> Poll<()> {
        // Before the look: what is put after it wakes.
        self.hub.register(cx.waker());
        let mut waiting = self.waiting();
        if waiting.frames.is_empty() && waiting.missed.is_empty() {
            return Poll::Pending;
        }
        let frames = mem::take(&mut waiting.frames);
        parcels.extend(frames.into_iter().map(Parcel::Frame));
        // Behind the frames: of a group with a note, all that came before it.
        while let Some((gid, missed)) = waiting.missed.take() {
            parcels.push_back(Parcel::Missed(gid, missed));
        }
        Poll::Ready(())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether somebody wants it: then the hub has something to do.
    fn put(&mut self, frame: &Arc<FanOut>) -> bool {
        if !self.wanted.contains(&frame.gid) {
            return false;
        }
        if self.frames.len() < LANE_FRAMES_MAX && !self.missed.has(&frame.gid) {
            self.frames.push_back(Arc::clone(frame));
            return true;
        }
        metrics::counter!("tidings_fan_out_missed_total").increment(1);
        self.missed.note(&frame.gid, frame.upto, frame.revoked.clone());
        true
    }
}
