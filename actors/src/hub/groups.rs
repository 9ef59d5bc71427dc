//! The connections of one worker that are in groups: which frames each of them gets, and the outlet they go to.
//!
//! Connections and the hub of one thread share it. Nothing in it calls an actor: an outlet only queues or writes.

use std::{collections::VecDeque, rc::Rc, sync::Arc};

use bytes::Bytes;
use tidings_schema::id::{Gid, Seq, Uid};
use tidings_state::group::{
    audience::Revoked,
    missed::Missed,
    subscriptions::{Offer, Registered, Slot, Subscriptions, What},
};

use super::acks::Acks;
use crate::{
    connection::PAGE_QUEUED_BYTES_MAX,
    port::{
        edge::{Encoding, OUT_BYTES_MAX, Outlet, Written},
        link::FanOut,
    },
    relay::Lane,
};

/// A frame of a group is offered only to a connection for which no more than this waits, with the frame; or nothing at all. The
/// rest of its out queue is for answers and for its inbox.
pub const GROUP_ROOM_BYTES: usize = OUT_BYTES_MAX / 2;

/// A connection that is behind is told the head only below this: before, it could not get the pages that it would ask for, and
/// the frames that follow would find no room again.
pub const HEAD_ROOM_BYTES: usize = PAGE_QUEUED_BYTES_MAX;

/// What one connection is offered in a round before it is written.
pub const ROUND_BYTES_MAX: usize = 64 * 1024;

/// How a connection joins the groups of its user.
pub(crate) struct Joining {
    pub(crate) uid: Uid,
    pub(crate) outlet: Rc<dyn Outlet>,
    pub(crate) encoding: Encoding,
    /// Its seat in the roster.
    pub(crate) seat: usize,
}

/// What a connection has to be told of its groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    /// Nothing.
    Nothing,
    /// Heads of groups in which it is behind.
    Heads,
    /// That nobody knows any more whether it may have what it wants: it begins again.
    Reset,
}

struct Line {
    life: u16,
    outlet: Rc<dyn Outlet>,
    encoding: Encoding,
    seat: usize,
    owed: Owed,
    /// It is in `unwritten`.
    waits: bool,
}

impl Line {
    fn offer(&self, payload: Bytes, room: usize) -> Written {
        let bytes = payload.len();
        if self.outlet.queued_bytes() + bytes > ROUND_BYTES_MAX {
            self.outlet.flush_now();
        }
        let queued = self.outlet.queued_bytes();
        if queued > 0 && queued + bytes > room {
            return Written::Full;
        }
        self.outlet.offer(payload)
    }
}

/// The table of one worker. Bounded by its connections and the groups of their users.
pub(crate) struct Groups {
    subscriptions: Subscriptions,
    /// By the place of their slots.
    lines: Vec<Option<Line>>,
    /// Who was offered something that was not written yet. Each at most once.
    unwritten: VecDeque<Slot>,
    lane: Arc<Lane>,
    pub(super) acks: Acks,
}

/// What connections do.
impl Groups {
    pub(crate) fn new(lane: Arc<Lane>) -> Self {
        let (subscriptions, acks) = (Subscriptions::default(), Acks::default());
        Self { subscriptions, lines: Vec::new(), unwritten: VecDeque::new(), lane, acks }
    }

    pub(crate) fn connect(&mut self, joining: Joining) -> Slot {
        let Joining { uid, outlet, encoding, seat } = joining;
        let slot = self.subscriptions.connect(uid);
        let at = slot.at as usize;
        if self.lines.len() <= at {
            self.lines.resize_with(at + 1, || None);
        }
        let line = Line { life: slot.life, outlet, encoding, seat, owed: Owed::Nothing, waits: false };
        if let Some(place) = self.lines.get_mut(at) {
            *place = Some(line);
        }
        slot
    }

    pub(crate) fn disconnect(&mut self, slot: Slot) {
        if let Some(place) = self.lines.get_mut(slot.at as usize) {
            place.take_if(|line| line.life == slot.life);
        }
        self.subscriptions.disconnect(slot);
        self.forget_unwanted();
        while self.lines.pop_if(|line| line.is_none()).is_some() {}
        if self.lines.is_empty() {
            self.lines = Vec::new();
        }
    }

    /// The owner is asked for the group after this: its frames come here from now on.
    pub(crate) fn ask(&mut self, slot: Slot, gid: &Gid) {
        self.subscriptions.ask(slot, gid);
        if self.subscriptions.wants(gid) {
            self.lane.want(gid);
        }
        self.forget_unwanted();
    }

    pub(crate) fn register(&mut self, slot: Slot, gid: &Gid, head: Seq) -> Registered {
        let registered = self.subscriptions.register(slot, gid, head);
        if registered == Registered::Behind {
            self.owe(slot, Owed::Heads);
        }
        self.forget_unwanted();
        registered
    }

    pub(crate) fn not_member(&mut self, slot: Slot, gid: &Gid) {
        self.subscriptions.not_member(slot, gid);
        self.forget_unwanted();
    }

    /// Heads of groups in which a connection is behind; they count as told.
    pub(crate) fn tell(&mut self, slot: Slot) -> Vec<(Gid, Seq)> {
        if let Some(line) = self.line(slot).filter(|line| line.owed == Owed::Heads) {
            line.owed = Owed::Nothing;
        }
        self.subscriptions.tell(slot)
    }

    /// A head that counted as told was not.
    pub(crate) fn not_told(&mut self, slot: Slot, gid: &Gid) {
        self.subscriptions.refused(slot, gid);
        self.owe(slot, Owed::Heads);
    }

    pub(crate) fn owed(&self, slot: Slot) -> Owed {
        let line = self.lines.get(slot.at as usize).and_then(Option::as_ref);
        line.filter(|line| line.life == slot.life).map_or(Owed::Nothing, |line| line.owed)
    }

    /// A client has everything of a group up to `upto`. Of a group that it does not get this counts for nothing.
    pub(crate) fn ack(&mut self, slot: Slot, gid: &Gid, ack: super::acks::Ack) {
        if self.subscriptions.gets(slot, gid) && self.acks.note(gid, ack) {
            // It looks at them some time later.
            self.lane.wake();
        }
    }
}

/// What the hub does.
impl Groups {
    pub(super) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Who is offered what of a frame. Whose membership it ends gets nothing after it.
    pub(super) fn frame(&mut self, frame: &FanOut, offers: &mut Vec<Offer>) {
        let FanOut { gid, prev, upto, revoked, .. } = frame;
        self.subscriptions.frame(gid, *prev, *upto, revoked, offers);
        self.forget_unwanted();
    }

    /// Frames up to a head did not come here: who is offered the head. When it is not known whose membership they ended, nobody
    /// gets anything more: gives the seats of those who have to begin again.
    pub(super) fn missed(&mut self, gid: &Gid, missed: Missed, offers: &mut Vec<Offer>) -> Vec<usize> {
        let Missed { head, revoked } = missed;
        let Some(revoked) = revoked else { return self.reset(gid, head) };
        self.subscriptions.lost(gid, head, &revoked);
        self.subscriptions.frame(gid, head, head, &Revoked::Nobody, offers);
        self.forget_unwanted();
        Vec::new()
    }

    fn reset(&mut self, gid: &Gid, head: Seq) -> Vec<usize> {
        let mut seats = Vec::new();
        for slot in self.subscriptions.ask_again(gid, head) {
            self.owe(slot, Owed::Reset);
            seats.extend(self.line(slot).map(|line| line.seat));
        }
        seats
    }

    /// Queues what a connection is offered, and marks it behind when there is no room. It is written by
    /// [`Groups::write_next`].
    pub(super) fn offer(&mut self, offer: Offer, gid: &Gid, payload: impl FnOnce(Encoding) -> Bytes) {
        let Offer { slot, what } = offer;
        // Gone since the offer was made.
        let Some(line) = self.line(slot) else { return };
        let room = match what {
            What::Frame => GROUP_ROOM_BYTES,
            What::Head => HEAD_ROOM_BYTES,
        };
        match line.offer(payload(line.encoding), room) {
            Written::Taken if line.waits => {}
            Written::Taken => {
                line.waits = true;
                self.unwritten.push_back(slot);
            }
            Written::Full => {
                metrics::counter!("tidings_fan_out_refused_total").increment(1);
                self.not_told(slot, gid);
            }
            // It is about to leave.
            Written::Closed => {}
        }
    }

    /// Writes to the next connection that was offered something; false: there is none.
    pub(super) fn write_next(&mut self) -> bool {
        let Some(slot) = self.unwritten.pop_front() else {
            // A quiet worker keeps nothing.
            self.unwritten = VecDeque::new();
            return false;
        };
        if let Some(line) = self.line(slot) {
            line.waits = false;
            line.outlet.flush_now();
        }
        true
    }

    fn line(&mut self, slot: Slot) -> Option<&mut Line> {
        self.lines.get_mut(slot.at as usize)?.as_mut().filter(|line| line.life == slot.life)
    }

    fn owe(&mut self, slot: Slot, what: Owed) {
        if let Some(line) = self.line(slot).filter(|line| line.owed != Owed::Reset) {
            line.owed = what;
        }
    }

    fn forget_unwanted(&mut self) {
        for gid in self.subscriptions.take_unwanted() {
            if !self.subscriptions.wants(&gid) {
                self.lane.do_not_want(&gid);
            }
        }
    }
}
