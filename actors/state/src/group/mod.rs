//! One group, as a fold of the rows of its log: who is a member with which rights, settings, cursors, unread.
//!
//! The rows are the truth. An operation is decided into [`Event`]s ([`Group::decide`]); each gets a row, is handed over
//! ([`Group::hand_over`]), and once the row is committed it is settled ([`Group::settle`]). Decisions rest on what is handed
//! over, since that stands before them in the log; what is shown, counted and written rests on what is settled. Recovery is
//! [`Group::restore`] from a checkpoint and [`Group::replay`] of every row above it.
//!
//! Cursors are no rows: they move settled state at once and are written behind.

pub mod audience;
pub mod charter;
pub mod chunks;
mod cursors;
mod decide;
mod live;
pub mod members;
pub mod missed;
mod own_rows;
pub mod rights;
pub mod ring;
pub mod subscriptions;
mod wanted;

use tidings_schema::{
    group::{Event, HistoryForNew, MemberRecord, Role, Seat},
    id::{Millis, Seq, Uid},
};

use self::{
    charter::Charter,
    live::Live,
    members::Members,
    rights::{Caller, Deed, Rank, Refusal, may},
};
pub use self::{
    cursors::{Acked, HeadLine, Marker, ReadBy, Reading, head_line},
    decide::Op,
};

/// A member as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub uid: Uid,
    /// What it may do.
    pub role: Role,
    /// May not send before this time; zero = not muted.
    pub muted_until: Millis,
    /// The row that made it a member.
    pub joined: Seq,
}

/// State of one group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    charter: Charter,
    members: Members,
    live: Live,
}

impl Group {
    /// The group as written: the newest checkpoint and every record of a member, in any order. Rows above the checkpoint
    /// come in through [`Group::replay`].
    #[must_use]
    pub fn restore(charter: Charter, records: impl IntoIterator<Item = (Uid, MemberRecord)>) -> Self {
        let mut members = Members::default();
        if charter.tombstone.is_none() {
            records.into_iter().for_each(|(uid, record)| members.load(uid, record, charter.upto));
        }
        Self { live: Live::restore(charter.clone()), charter, members }
    }

    /// The next row of a log that is being recovered.
    pub fn replay(&mut self, seq: Seq, event: &Event) {
        self.live.charter.apply(seq, event);
        self.apply(seq, event);
    }

    /// A row got its place in the log, and is on its way into the store. Every row, in order.
    pub fn hand_over(&mut self, seq: Seq, event: &Event) {
        debug_assert_eq!(seq, self.live.charter.upto.next(), "rows come in the order of the log");
        self.live.hand_over(seq, event, &self.members);
    }

    /// A row that was handed over is committed. Every row, in order.
    pub fn settle(&mut self, seq: Seq, event: &Event) {
        debug_assert!(seq <= self.live.charter.upto, "a row is handed over first");
        self.apply(seq, event);
        self.live.settled(seq, event);
    }

    fn apply(&mut self, seq: Seq, event: &Event) {
        debug_assert_eq!(seq, self.charter.upto.next(), "rows come in the order of the log");
        self.members.apply(seq, self.charter.n_after(event), event, &self.charter);
        self.charter.apply(seq, event);
    }

    /// `n` of the next row, if it says `event`.
    #[must_use]
    pub fn next_n(&self, event: &Event) -> u64 {
        self.live.charter.n_after(event)
    }

    /// What committed rows say of the group: what is shown, and what a checkpoint keeps once the records of all changed
    /// members are on their way.
    #[must_use]
    pub fn charter(&self) -> &Charter {
        &self.charter
    }

    /// The same with every row that is handed over.
    #[must_use]
    pub fn live_charter(&self) -> &Charter {
        &self.live.charter
    }

    /// How many members there are.
    #[must_use]
    pub fn members_count(&self) -> usize {
        self.members.len()
    }

    /// All that is kept of a member.
    #[must_use]
    pub fn seat(&self, uid: &Uid) -> Option<Seat> {
        self.members.get(uid).map(members::Packed::seat)
    }

    /// Whether somebody is a member, and as what.
    #[must_use]
    pub fn role(&self, uid: &Uid) -> Option<Role> {
        self.members.get(uid).map(|seat| seat.role)
    }

    /// At most `limit` members after `after`, rising by uid.
    pub fn members(&self, after: Option<&Uid>, limit: usize) -> impl Iterator<Item = MemberView> {
        let view = |(uid, seat): (&Uid, &members::Packed)| MemberView {
            uid: uid.clone(),
            role: seat.role,
            muted_until: seat.muted_until(),
            joined: seat.joined,
        };
        self.members.after(after).take(limit).map(view)
    }

    /// Records of users that changed since they were taken last, true for the log up to [`Charter::upto`]: a page; none:
    /// there are no more. A checkpoint is put behind all of them.
    pub fn take_changed(&mut self) -> Vec<(Uid, MemberRecord)> {
        self.members.take_changed(self.charter.upto)
    }

    /// Whether records of users have to be written.
    #[must_use]
    pub fn have_changed(&self) -> bool {
        self.members.have_changed()
    }

    /// The records that were taken when the log was committed up to `upto` are durable.
    pub fn changed_durable(&mut self, upto: Seq) {
        self.members.changed_durable(upto);
    }

    /// The first row that a member may read, on any path: its own joining, or the first one of the log. Rests on committed
    /// rows.
    ///
    /// # Errors
    /// [`Refusal`] for whoever is no member, and when there is no such group any more.
    pub fn first_readable(&self, caller: Caller<'_>) -> Result<Seq, Refusal> {
        stands(&self.charter)?;
        let seat = match caller {
            Caller::User(uid) => self.members.get(uid),
            Caller::Server(_) => return Ok(Seq::new(1)),
        };
        may(Rank::from(seat.map(|seat| seat.role)), Deed::Read, Rank::Outsider)?;
        let first = |seat: &members::Packed| match seat.history {
            HistoryForNew::None => seat.joined,
            HistoryForNew::All => Seq::new(1),
        };
        Ok(seat.map_or(Seq::ZERO, first))
    }

    fn rank(&self, caller: Caller<'_>) -> Rank {
        match caller {
            Caller::User(uid) => self.live.stand(uid, &self.members).map(|stand| stand.role).into(),
            Caller::Server(_) => Rank::Server,
        }
    }
}

/// Whether there is such a group, and it has not ended.
fn stands(charter: &Charter) -> Result<(), Refusal> {
    match (&charter.tombstone, charter.exists()) {
        (_, false) => Err(Refusal::NoSuchGroup),
        (Some(_), true) => Err(Refusal::Dismissed),
        (None, true) => Ok(()),
    }
}
