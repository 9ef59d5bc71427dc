//! The members of a group with all that is kept of each, packed: at most 120 bytes of heap for a member with an id of 16
//! bytes. And who ceased to be one, as long as nobody can have missed it.
//!
//! Holds what committed rows say, and the cursors, which are no rows. What changed since it was written last is
//! known, and comes out of [`Members::take_changed`].

use std::collections::BTreeMap;

use tidings_schema::{
    group::{Departure, Event, HistoryForNew, MemberRecord, OwnRows, Role, Seat, Standing},
    id::{Millis, Seq, Uid},
};

use super::{charter::Charter, chunks::Chunks, own_rows};

/// Users who left and are kept in memory although the store knows; of more the earliest are forgotten, and whoever asks
/// for them looks into the store.
pub const GONE_KEPT: usize = 1_024;
/// Changed members that are listed, and members of a page; when more have changed all members are looked through.
const CHANGED_LISTED_MAX: usize = 4_096;

/// A member, small.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    pub(super) joined: Seq,
    pub(super) last_ack: Seq,
    pub(super) last_read: Seq,
    pub(super) last_read_n: u64,
    /// What most members do not have.
    rare: Option<Box<Rare>>,
    pub(super) role: Role,
    pub(super) history: HistoryForNew,
    changed: bool,
}

#[derive(Clone, Debug, Default)]
struct Rare {
    muted_until: Millis,
    own: OwnRows,
}

/// Somebody who was a member.
#[derive(Clone, Debug)]
struct Gone {
    seq: Seq,
    how: Departure,
    changed: bool,
}

/// All members of one group.
#[derive(Clone, Debug, Default)]
pub struct Members {
    seats: Chunks<Packed>,
    gone: BTreeMap<Uid, Gone>,
    /// Members that changed; those not listed have their bit.
    changed: Vec<Uid>,
    unlisted: bool,
    /// Records that reflect more of the log than the checkpoint: rows up to there are not applied to these again.
    ahead: BTreeMap<Uid, Seq>,
}

impl Packed {
    fn of(seat: Seat) -> Self {
        let Seat { role, muted_until, joined, history, last_ack, last_read, last_read_n, own } = seat;
        let plain = muted_until == Millis::default() && own == OwnRows::default();
        let rare = (!plain).then(|| Box::new(Rare { muted_until, own }));
        Self { joined, last_ack, last_read, last_read_n, rare, role, history, changed: false }
    }

    pub(super) fn muted_until(&self) -> Millis {
        self.rare.as_ref().map_or(Millis::default(), |rare| rare.muted_until)
    }

    pub(super) fn own_count(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.own.count())
    }

    /// Up to where own rows must be counted in the log when the marker moves to `upto`.
    pub(super) fn to_count(&self, upto: Seq) -> Option<Seq> {
        self.rare.as_ref().and_then(|rare| own_rows::to_count(&rare.own, upto))
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Gives back what says nothing.
    fn tidy(&mut self) {
        let plain = |rare: &mut Box<Rare>| rare.muted_until == Millis::default() && rare.own == OwnRows::default();
        self.rare.take_if(plain);
    }

    /// Moves the read marker. It has been checked that it rises.
    pub(super) fn read(&mut self, upto: Seq, n: u64, counted: u64) {
        self.last_read = upto;
        self.last_read_n = self.last_read_n.max(n);
        if let Some(rare) = &mut self.rare {
            own_rows::read(&mut rare.own, upto, counted);
        }
        self.tidy();
    }

    /// The whole of it.
    pub(super) fn seat(&self) -> Seat {
        Seat {
            role: self.role,
            muted_until: self.muted_until(),
            joined: self.joined,
            history: self.history,
            last_ack: self.last_ack,
            last_read: self.last_read,
            last_read_n: self.last_read_n,
            own: self.rare.as_ref().map_or_else(OwnRows::default, |rare| rare.own.clone()),
        }
    }
}

impl Members {
    /// Takes what the store has of a user, when the checkpoint reflects rows up to `checkpoint`. Those come before any row.
    pub(super) fn load(&mut self, uid: Uid, record: MemberRecord, checkpoint: Seq) {
        if record.upto > checkpoint {
            self.ahead.insert(uid.clone(), record.upto);
        }
        match record.standing {
            Standing::Member(seat) => {
                self.seats.insert(uid, Packed::of(seat));
            }
            // The store knows those; only what came after the checkpoint can be missed by somebody who is online.
            Standing::Gone { seq, how } if record.upto > checkpoint => {
                self.gone.insert(uid, Gone { seq, how, changed: false });
            }
            Standing::Gone { .. } => {}
        }
    }

    /// What a row says of members. `before` is the charter without it, `n` the counter of the row.
    pub(super) fn apply(&mut self, seq: Seq, n: u64, event: &Event, before: &Charter) {
        match event {
            Event::Created { owner, settings } => {
                self.seat(seq, n, owner, Role::Owner, settings.history_for_new);
            }
            Event::MembersJoined { uids, .. } => {
                for uid in uids {
                    self.seat(seq, n, uid, Role::Member, before.settings.history_for_new);
                }
            }
            Event::MemberLeft { uid, how } => self.leave(seq, uid, how),
            Event::RoleSet { uid, role, .. } => {
                if let Some(owner) = before.owner.as_ref().filter(|owner| *role == Role::Owner && *owner != uid) {
                    self.change(seq, owner, |seat| seat.role = Role::Admin);
                }
                self.change(seq, uid, |seat| seat.role = *role);
            }
            Event::MemberMuted { uid, until, .. } => self.change(seq, uid, |seat| {
                seat.rare().muted_until = *until;
                seat.tidy();
            }),
            Event::Message { from, counting: true, .. } => self.change(seq, from, |seat| {
                if seq > seat.last_read {
                    own_rows::push(&mut seat.rare().own, seq);
                }
            }),
            Event::Dismissed { .. } => *self = Self::default(),
            Event::Message { .. } | Event::GroupMuted { .. } | Event::Updated { .. } | Event::Changed { .. } => {}
        }
        if self.ahead.values().all(|upto| *upto <= seq) {
            self.ahead.clear();
        }
    }

    fn seat(&mut self, seq: Seq, n: u64, uid: &Uid, role: Role, history: HistoryForNew) {
        if self.is_ahead(uid, seq) || self.seats.get(uid).is_some() {
            return;
        }
        self.gone.remove(uid);
        let new =
            Packed { joined: seq, last_ack: seq, last_read: seq, last_read_n: n, role, history, ..Packed::default() };
        self.seats.insert(uid.clone(), new);
        self.set(uid, |_| {});
    }

    fn leave(&mut self, seq: Seq, uid: &Uid, how: &Departure) {
        if !self.is_ahead(uid, seq) && self.seats.remove(uid).is_some() {
            self.gone.insert(uid.clone(), Gone { seq, how: how.clone(), changed: true });
        }
    }

    fn is_ahead(&self, uid: &Uid, seq: Seq) -> bool {
        self.ahead.get(uid).is_some_and(|upto| seq <= *upto)
    }

    /// A row changes a member.
    fn change(&mut self, seq: Seq, uid: &Uid, change: impl FnOnce(&mut Packed)) {
        if !self.is_ahead(uid, seq) {
            self.set(uid, change);
        }
    }

    /// Changes a member, who is written later.
    pub(super) fn set(&mut self, uid: &Uid, change: impl FnOnce(&mut Packed)) {
        let Some(seat) = self.seats.get_mut(uid) else { return };
        change(seat);
        if std::mem::replace(&mut seat.changed, true) {
            return;
        }
        if self.changed.len() < CHANGED_LISTED_MAX {
            self.changed.push(uid.clone());
        } else {
            self.unlisted = true;
        }
    }

    /// Records of users that changed since they were taken last, true up to `upto`. A page; none: there are no more.
    pub(super) fn take_changed(&mut self, upto: Seq) -> Vec<(Uid, MemberRecord)> {
        let mut taken = Vec::new();
        let mut take = |uid: &Uid, seat: &mut Packed| {
            if std::mem::take(&mut seat.changed) {
                taken.push((uid.clone(), MemberRecord { upto, standing: Standing::Member(seat.seat()) }));
            }
        };
        for uid in std::mem::take(&mut self.changed) {
            if let Some(seat) = self.seats.get_mut(&uid) {
                take(&uid, seat);
            }
        }
        if std::mem::take(&mut self.unlisted) {
            let mut others = self.seats.iter_mut().filter(|(_, seat)| seat.changed);
            others.by_ref().take(CHANGED_LISTED_MAX).for_each(|(uid, seat)| take(uid, seat));
            self.unlisted = others.next().is_some();
        }
        for (uid, gone) in self.gone.iter_mut().filter(|(_, gone)| gone.changed) {
            gone.changed = false;
            let standing = Standing::Gone { seq: gone.seq, how: gone.how.clone() };
            taken.push((uid.clone(), MemberRecord { upto, standing }));
        }
        taken
    }

    /// Whether [`Members::take_changed`] has something.
    pub(super) fn have_changed(&self) -> bool {
        !self.changed.is_empty() || self.unlisted || self.gone.values().any(|gone| gone.changed)
    }

    /// The records that were taken up to `upto` are durable: of who left before, only the newest stay in memory.
    pub(super) fn changed_durable(&mut self, upto: Seq) {
        let Some(spare) = self.gone.len().checked_sub(GONE_KEPT).filter(|spare| *spare > 0) else { return };
        let mut seqs: Vec<Seq> = self.gone.values().map(|gone| gone.seq).collect();
        seqs.sort_unstable();
        let below = seqs.get(spare).copied().unwrap_or(Seq::ZERO);
        self.gone.retain(|_, gone| gone.changed || gone.seq > upto || gone.seq >= below);
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether nobody is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    pub(super) fn get(&self, uid: &Uid) -> Option<&Packed> {
        self.seats.get(uid)
    }

    /// When and how somebody ceased to be a member; `None` does not say that the user never was one.
    pub(super) fn gone(&self, uid: &Uid) -> Option<(Seq, &Departure)> {
        self.gone.get(uid).map(|gone| (gone.seq, &gone.how))
    }

    /// Members after `after`, or all, rising by uid.
    pub(super) fn after(&self, after: Option<&Uid>) -> impl Iterator<Item = (&Uid, &Packed)> {
        self.seats.after(after)
    }
}

#[cfg(test)]
mod tests {
    use tidings_schema::{id::MessageId, message::PayloadHash};

    use super::*;

    #[test]
    fn who_has_read_all_costs_no_more_than_before() {
        let (mut members, a) = (Members::default(), uid("a"));
        members.seat(Seq::new(1), 0, &a, Role::Member, HistoryForNew::None);
        let message = Event::Message {
            from: a.clone(),
            message_id: MessageId::v7(Millis::new(1), [1; 10]),
            hash: PayloadHash::from_slice(&[0; 16]).unwrap(),
            counting: true,
        };
        members.apply(Seq::new(2), 1, &message, &Charter::default());
        let muted = |until| Event::MemberMuted { by: uid("b"), uid: a.clone(), until: Millis::new(until) };
        members.apply(Seq::new(3), 1, &muted(9), &Charter::default());
        members.set(&a, |seat| seat.read(Seq::new(2), 1, 0));
        assert!(members.get(&a).unwrap().rare.is_some(), "it is muted");
        members.apply(Seq::new(4), 1, &muted(0), &Charter::default());
        assert!(members.get(&a).unwrap().rare.is_none());
        assert_eq!(members.changed.len(), 1, "it is listed once");
    }

    fn uid(name: &str) -> Uid {
        name.parse().unwrap()
    }

    #[test]
    fn a_member_is_small() {
        // With the id's own 32 bytes of heap (two counts and 16 bytes of text): 96, when a chunk has no free place.
        assert_eq!(size_of::<(Uid, Packed)>(), 64);
    }
}
