//! Which connections of one worker get the frames of which groups, and which of them are behind.
//!
//! A connection subscribes before the owner is asked for its groups ([`Subscriptions::ask`]), is registered at the head that
//! the answer named in the turn that queues `welcome` ([`Subscriptions::register`]), and gets contiguous frames from then on. One
//! that cannot take a frame, or whose next one does not continue what it got, is *behind*: the next frame that fits, or the next
//! pong, tells it the head instead, and it pulls. After the frame that ends a membership it gets nothing.

use std::collections::BTreeMap;

use tidings_schema::id::{Gid, Seq, Uid};

use super::{audience::Revoked, wanted::Wanted};

/// A connection in these tables. Its place is used again, with another life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Place in the worker's table of outlets.
    pub at: u32,
    /// Which connection at that place.
    pub life: u16,
}

/// What a connection is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Offer {
    /// Which connection.
    pub slot: Slot,
    /// What.
    pub what: What,
}

/// The frame, or a word about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The frame.
    Frame,
    /// The head (the frame's last row), since the connection is behind.
    Head,
}

/// How a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Registered {
    /// It gets frames.
    Live,
    /// It missed some meanwhile, and will be told.
    Behind,
    /// The membership ended meanwhile, by this row: it gets nothing.
    Revoked(Seq),
    /// The answer does not reflect rows that may have ended the membership: it gets nothing before another one comes.
    TooOld,
    /// It does not want the group any more: it gets nothing.
    NotWanted,
}

#[derive(Clone, Debug)]
struct Connection {
    uid: Uid,
    groups: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Seat {
    life: u16,
    connection: Option<Connection>,
}

#[derive(Clone, Debug)]
struct Group {
    gid: Gid,
    wanted: Wanted,
}

/// The tables of one worker. Bounded by its connections and the groups of their users.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    seats: Vec<Seat>,
    free_seats: Vec<u32>,
    groups: Vec<Option<Group>>,
    free_groups: Vec<u32>,
    keys: BTreeMap<Gid, u32>,
    unwanted: Vec<Gid>,
}

impl Subscriptions {
    /// A connection of a user.
    pub fn connect(&mut self, uid: Uid) -> Slot {
        let at = self.free_seats.pop().unwrap_or_else(|| {
            self.seats.push(Seat::default());
            newest(self.seats.len())
        });
        let Some(seat) = self.seats.get_mut(at as usize) else { return Slot { at, life: 0 } };
        seat.life = seat.life.wrapping_add(1);
        seat.connection = Some(Connection { uid, groups: Vec::new() });
        Slot { at, life: seat.life }
    }

    /// The connection is gone.
    pub fn disconnect(&mut self, slot: Slot) {
        let Some(connection) = self.connection(slot) else { return };
        for key in std::mem::take(&mut connection.groups) {
            self.remove(key, slot);
        }
        if let Some(seat) = self.seats.get_mut(slot.at as usize) {
            seat.connection = None;
            self.free_seats.push(slot.at);
        }
    }

    /// A connection is to get a group, and the owner is asked for it, after this. It gets nothing before it is registered.
    /// Every question is answered once, in order: by [`Subscriptions::register`] or [`Subscriptions::not_member`].
    pub fn ask(&mut self, slot: Slot, gid: &Gid) {
        let key = self.key(gid);
        let Some(connection) = self.connection(slot) else { return self.drop_if_empty(key) };
        if !connection.groups.contains(&key) {
            connection.groups.push(key);
        }
        if let Some(group) = self.group(key) {
            group.wanted.ask(slot);
        }
    }

    /// The owner's answer: the user is a member, and the head is `head`. The connection is told so in this turn, unless it gets
    /// nothing.
    pub fn register(&mut self, slot: Slot, gid: &Gid, head: Seq) -> Registered {
        let registered = self.named(gid).map(|group| group.wanted.register(slot, head));
        self.forget_if_out(slot, gid);
        registered.unwrap_or(Registered::NotWanted)
    }

    /// The owner's answer: the user is no member.
    pub fn not_member(&mut self, slot: Slot, gid: &Gid) {
        if let Some(group) = self.named(gid) {
            group.wanted.refuse(slot);
        }
        self.forget_if_out(slot, gid);
    }

    /// A frame of the rows `prev < seq <= upto`, of which the last one may end memberships: adds who is offered what to
    /// `offers`, and gives who gets nothing after it. An offer counts as taken unless [`Subscriptions::refused`] says
    /// otherwise before the next frame of the group.
    pub fn frame(&mut self, gid: &Gid, prev: Seq, upto: Seq, revoked: &Revoked, offers: &mut Vec<Offer>) -> Vec<Slot> {
        let Some(key) = self.keys.get(gid).copied() else { return Vec::new() };
        let Self { seats, groups, .. } = self;
        let Some(group) = groups.get_mut(key as usize).and_then(Option::as_mut) else { return Vec::new() };
        group.wanted.frame(prev, upto, |slot| ends(seats, slot, revoked), offers);
        self.revoke(key, upto, revoked)
    }

    /// A connection did not take what it was offered of a group: it is behind.
    pub fn refused(&mut self, slot: Slot, gid: &Gid) {
        if let Some(group) = self.named(gid) {
            group.wanted.refused(slot);
        }
    }

    /// Frames up to `head` did not come here, and this is what they ended, oldest first: all who got them not are behind.
    /// Gives who gets nothing any more.
    pub fn lost(&mut self, gid: &Gid, head: Seq, revoked: &[(Seq, Revoked)]) -> Vec<Slot> {
        let Some(key) = self.keys.get(gid).copied() else { return Vec::new() };
        let gone = revoked.iter().flat_map(|(seq, revoked)| self.revoke(key, *seq, revoked)).collect();
        if let Some(group) = self.named(gid) {
            group.wanted.lost(head);
        }
        gone
    }

    /// What memberships frames up to `head` ended, that did not come here, is not known: nobody gets anything of the group
    /// before the owner has been asked again. Gives whom to ask for.
    pub fn ask_again(&mut self, gid: &Gid, head: Seq) -> Vec<Slot> {
        self.named(gid).map(|group| group.wanted.wait_again(head)).unwrap_or_default()
    }

    /// Heads that a connection has to be told, in a pong or as soon as there is room. They count as told.
    pub fn tell(&mut self, slot: Slot) -> Vec<(Gid, Seq)> {
        let Some(connection) = self.connection(slot) else { return Vec::new() };
        let keys = std::mem::take(&mut connection.groups);
        let mut told = Vec::new();
        for key in &keys {
            let Some(group) = self.group(*key) else { continue };
            told.extend(group.wanted.tell(slot).map(|head| (group.gid.clone(), head)));
        }
        if let Some(connection) = self.connection(slot) {
            connection.groups = keys;
        }
        told
    }

    /// Groups that a connection of this worker wants: what the worker tells its relay.
    pub fn groups(&self) -> impl Iterator<Item = &Gid> {
        self.keys.keys()
    }

    /// Whether a connection gets the frames of a group.
    #[must_use]
    pub fn gets(&self, slot: Slot, gid: &Gid) -> bool {
        let group = self.keys.get(gid).and_then(|key| self.groups.get(*key as usize)?.as_ref());
        group.is_some_and(|group| group.wanted.is_registered(slot))
    }

    /// Groups that the last connection has left since this was asked last; some may be wanted again. To be asked after every
    /// call that may end a subscription.
    pub fn take_unwanted(&mut self) -> Vec<Gid> {
        std::mem::take(&mut self.unwanted)
    }

    /// Whether a connection of this worker wants the group.
    #[must_use]
    pub fn wants(&self, gid: &Gid) -> bool {
        self.keys.contains_key(gid)
    }

    fn revoke(&mut self, key: u32, seq: Seq, revoked: &Revoked) -> Vec<Slot> {
        let Self { seats, groups, .. } = self;
        let group = groups.get_mut(key as usize).and_then(Option::as_mut);
        let (Some(group), false) = (group, *revoked == Revoked::Nobody) else { return Vec::new() };
        let gone = group.wanted.revoke(seq, |slot| ends(seats, slot, revoked));
        let out: Vec<Slot> = gone.iter().copied().filter(|slot| !group.wanted.has(*slot)).collect();
        for slot in out {
            self.forget(slot, key);
        }
        self.drop_if_empty(key);
        gone
    }

    /// A connection that has left a group does not list it.
    fn forget_if_out(&mut self, slot: Slot, gid: &Gid) {
        let Some(key) = self.keys.get(gid).copied() else { return };
        if self.group(key).is_some_and(|group| !group.wanted.has(slot)) {
            self.forget(slot, key);
        }
        self.drop_if_empty(key);
    }

    fn forget(&mut self, slot: Slot, key: u32) {
        if let Some(connection) = self.connection(slot) {
            connection.groups.retain(|known| *known != key);
        }
    }

    fn connection(&mut self, slot: Slot) -> Option<&mut Connection> {
        let seat = self.seats.get_mut(slot.at as usize).filter(|seat| seat.life == slot.life)?;
        seat.connection.as_mut()
    }

    fn key(&mut self, gid: &Gid) -> u32 {
        if let Some(key) = self.keys.get(gid) {
            return *key;
        }
        let key = self.free_groups.pop().unwrap_or_else(|| {
            self.groups.push(None);
            newest(self.groups.len())
        });
        if let Some(place) = self.groups.get_mut(key as usize) {
            *place = Some(Group { gid: gid.clone(), wanted: Wanted::default() });
        }
        self.keys.insert(gid.clone(), key);
        key
    }

    fn group(&mut self, key: u32) -> Option<&mut Group> {
        self.groups.get_mut(key as usize).and_then(Option::as_mut)
    }

    fn named(&mut self, gid: &Gid) -> Option<&mut Group> {
        self.group(*self.keys.get(gid)?)
    }

    fn remove(&mut self, key: u32, slot: Slot) {
        if let Some(group) = self.group(key) {
            group.wanted.remove(slot);
        }
        self.drop_if_empty(key);
    }

    fn drop_if_empty(&mut self, key: u32) {
        let place = self.groups.get_mut(key as usize);
        let Some(group) = place.and_then(|place| place.take_if(|group| group.wanted.is_empty())) else { return };
        self.keys.remove(&group.gid);
        self.free_groups.push(key);
        self.unwanted.push(group.gid);
    }
}

fn ends(seats: &[Seat], slot: Slot, revoked: &Revoked) -> bool {
    match revoked {
        Revoked::Nobody => false,
        Revoked::Everyone => true,
        Revoked::User(uid) => {
            let connection = seats.get(slot.at as usize).and_then(|seat| seat.connection.as_ref());
            connection.is_some_and(|connection| connection.uid == *uid)
        }
    }
}

fn newest(len: usize) -> u32 {
    // There are never as many connections or groups.
    u32::try_from(len.saturating_sub(1)).unwrap_or(u32::MAX)
}
