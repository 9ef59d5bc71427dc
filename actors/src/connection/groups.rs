//! The groups of this connection's user: which of them it gets, what it was not sent, and what its client acknowledged.
//!
//! Frames of groups come from the hub straight into the outlet, so there is nothing here to forward.

use tidings_schema::{
    id::{Gid, Seq},
    wire::{self, server_frame::Body},
};
use tidings_state::group::subscriptions::{Registered, Slot};

use super::{Connection, Stage, close::GoAway};
use crate::{
    hub::{Ack, HEAD_ROOM_BYTES, Joining, Owed},
    port::edge::Written,
};

/// Whoever has to begin again comes back after this, as many as there are.
const RECONNECT_AFTER_MS: u64 = 1_000;

impl Connection {
    /// Frames of this group are wanted; called before its owner is asked where it stands. None come before the answer is told
    /// by [`Connection::register_group`] or [`Connection::not_in_group`], once for every call of this.
    pub fn want_group(&mut self, gid: &Gid) {
        let Some(slot) = self.slot() else { return };
        self.pulse.groups().ask(slot, gid);
    }

    /// The owner says that the user is a member and the group's head is `head`; called in the turn that tells the client
    /// so. Unless it is [`Registered::Live`] or [`Registered::Behind`], the client is not to be told of the group as one of its.
    pub fn register_group(&mut self, gid: &Gid, head: Seq) -> Registered {
        let Some(slot) = self.groups else { return Registered::NotWanted };
        self.pulse.groups().register(slot, gid, head)
    }

    /// The owner says that the user is no member.
    pub fn not_in_group(&mut self, gid: &Gid) {
        let Some(slot) = self.groups else { return };
        self.pulse.groups().not_member(slot, gid);
    }

    /// The client has everything of a group up to `upto`. Its owner hears of it a while later.
    pub fn ack_group(&mut self, gid: &Gid, upto: Seq) {
        let (Some(slot), Some(identity)) = (self.groups, &self.identity) else { return };
        let ack = Ack { from: self.at, uid: identity.uid.clone(), upto };
        self.pulse.groups().ack(slot, gid, ack);
    }

    /// No frame of any group comes after this.
    pub(super) fn leave_groups(&mut self) {
        if let Some(slot) = self.groups.take() {
            self.pulse.groups().disconnect(slot);
        }
    }

    /// What a pong says: groups of which this connection was not sent everything. They count as told.
    pub(super) fn groups_behind(&self) -> Vec<wire::GroupBehind> {
        let Some(slot) = self.groups else { return Vec::new() };
        let heads = self.pulse.groups().tell(slot);
        heads.iter().map(|(gid, head)| wire::GroupBehind { gid: gid.as_str().to_owned(), head: head.get() }).collect()
    }

    /// Tells of what was not sent, as soon as the client has read so much that the pages it will ask for find room. Says
    /// whether there was anything to tell.
    pub(super) fn tell_behind(&mut self) -> bool {
        let Some(slot) = self.groups.filter(|_| self.stage == Stage::Live) else { return false };
        if self.pulse.groups().owed(slot) != Owed::Heads || self.outlet.queued_bytes() >= HEAD_ROOM_BYTES {
            return false;
        }
        let heads = self.pulse.groups().tell(slot);
        for (gid, head) in &heads {
            if self.offer(0, behind(gid, *head)) == Written::Full {
                self.pulse.groups().not_told(slot, gid);
            }
        }
        !heads.is_empty()
    }

    /// Too much was missed to know what this client may still have: it comes back, and begins with the heads of its groups.
    pub(super) fn check_groups(&mut self) {
        if self.groups.is_some_and(|slot| self.pulse.groups().owed(slot) == Owed::Reset) {
            self.go_away(GoAway::drain(RECONNECT_AFTER_MS));
        }
    }

    fn slot(&mut self) -> Option<Slot> {
        let uid = self.identity.as_ref()?.uid.clone();
        if self.groups.is_none() {
            let (outlet, encoding, seat) = (self.outlet.clone(), self.encoding(), self.pulse.seat());
            self.groups = Some(self.pulse.groups().connect(Joining { uid, outlet, encoding, seat }));
        }
        self.groups
    }
}

/// A push: the group stands at `head`, and not everything of it was sent.
pub(crate) fn behind(gid: &Gid, head: Seq) -> Body {
    let group = wire::GroupLog { gid: gid.as_str().to_owned() };
    let timeline = wire::Timeline { timeline: Some(wire::timeline::Timeline::Group(group)) };
    Body::Behind(wire::Behind { timeline: Some(timeline), head: head.get() })
}
