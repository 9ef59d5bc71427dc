//! What members have got and read, and what is unread for each: from ordinals, never from a counter that could drift.
//!
//! unread = n(head) - n(last_read) - own counting rows after last_read.

use tidings_schema::{
    group::{Departure, MemberRecord, Standing},
    id::{Seq, Uid},
};

use super::{Group, charter::Charter};

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Acked {
    /// The cursor moved.
    Moved,
    /// It was there already.
    Unchanged,
    /// There is no such row; nothing moved.
    AboveHead,
    /// The user is no member.
    NotMember,
}

/// What moving a read marker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reading {
    /// Nothing: the marker is at or above it.
    Unchanged {
        /// The marker.
        last_read: Seq,
    },
    /// Nothing but [`Group::set_read`].
    Ready(Marker),
    /// First `n` of the row `upto`; and when `count_upto` says so, how many counting rows of the user stand above `upto`, up
    /// to and with `count_upto`.
    Look {
        /// Where the marker goes.
        upto: Seq,
        /// How far to count own rows.
        count_upto: Option<Seq>,
    },
    /// The user is no member.
    NotMember,
}

/// A place of a read marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The last row that is read.
    pub upto: Seq,
    /// `n` of that row.
    pub n: u64,
    /// Counting rows of the user above `upto`, up to and with `counted_upto`.
    pub counted: u64,
    /// Up to here they were counted; zero: they did not have to be.
    pub counted_upto: Seq,
}

/// What a user is told of a group at connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadLine {
    /// It is a member.
    Member {
        /// Last committed row.
        head: Seq,
        /// Its cursor.
        last_ack: Seq,
        /// Its read marker.
        last_read: Seq,
        /// Counting messages of others after the marker.
        unread: u64,
    },
    /// It is no member any more.
    Gone {
        /// The row that says so.
        seq: Seq,
        /// How.
        how: Departure,
    },
    /// Nothing is known of it in memory; the store may know how it left.
    Unknown,
}

/// Who has read a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBy {
    /// How many have.
    pub count: usize,
    /// Of how many: members since before it was sent, without its author.
    pub of: usize,
    /// Those who have, rising by uid, after the one that was asked for and no more than were asked for.
    pub uids: Vec<Uid>,
}

impl Group {
    /// A client of a member has applied everything up to `upto`. Never goes back.
    pub fn ack(&mut self, uid: &Uid, upto: Seq) -> Acked {
        let Some(seat) = self.members.get(uid) else { return Acked::NotMember };
        if upto > self.charter.upto {
            return Acked::AboveHead;
        }
        if upto <= seat.last_ack {
            return Acked::Unchanged;
        }
        self.members.set(uid, |seat| seat.last_ack = upto);
        Acked::Moved
    }

    /// What it takes to move a member's read marker to `seq`. Above the head it means the head.
    pub fn reading(&self, uid: &Uid, seq: Seq) -> Reading {
        let Some(seat) = self.members.get(uid) else { return Reading::NotMember };
        let upto = seq.min(self.charter.upto);
        if upto <= seat.last_read {
            return Reading::Unchanged { last_read: seat.last_read };
        }
        if upto == self.charter.upto {
            return Reading::Ready(Marker { upto, n: self.charter.n, counted: 0, counted_upto: Seq::ZERO });
        }
        Reading::Look { upto, count_upto: seat.to_count(upto) }
    }

    /// Moves a member's read marker, with what [`Group::reading`] gave or asked to look up. Never goes back. The answer is
    /// not [`Reading::Unchanged`] only when it was looked up too long ago and has to be again.
    pub fn set_read(&mut self, uid: &Uid, marker: Marker) -> Reading {
        let Marker { upto, n, counted, counted_upto } = marker;
        let Some(seat) = self.members.get(uid) else { return Reading::NotMember };
        if upto <= seat.last_read || upto > self.charter.upto {
            return Reading::Unchanged { last_read: seat.last_read };
        }
        if seat.to_count(upto).is_some_and(|end| end != counted_upto) {
            return self.reading(uid, upto);
        }
        let n = n.min(self.charter.n);
        self.members.set(uid, |seat| seat.read(upto, n, counted));
        Reading::Unchanged { last_read: upto }
    }

    /// Counting messages of others after the read marker; `None` for whoever is no member.
    #[must_use]
    pub fn unread(&self, uid: &Uid) -> Option<u64> {
        let seat = self.members.get(uid)?;
        Some(unread(self.charter.n, seat.last_read_n, seat.own_count()))
    }

    /// What a user is told of the group at connect.
    #[must_use]
    pub fn head_line(&self, uid: &Uid) -> HeadLine {
        if let Some(gone) = dismissed(&self.charter) {
            return gone;
        }
        if let (Some(seat), Some(unread)) = (self.members.get(uid), self.unread(uid)) {
            let (last_ack, last_read) = (seat.last_ack, seat.last_read);
            return HeadLine::Member { head: self.charter.upto, last_ack, last_read, unread };
        }
        match self.members.gone(uid) {
            Some((seq, how)) => HeadLine::Gone { seq, how: how.clone() },
            None => HeadLine::Unknown,
        }
    }

    /// Who has read the message at `seq` of `author`, and at most `limit` of them after `after`.
    #[must_use]
    pub fn read_by(&self, seq: Seq, author: &Uid, after: Option<&Uid>, limit: usize) -> ReadBy {
        let mut read_by = ReadBy { count: 0, of: 0, uids: Vec::new() };
        for (uid, seat) in self.members.after(None).filter(|(uid, seat)| seat.joined < seq && *uid != author) {
            read_by.of += 1;
            if seat.last_read < seq {
                continue;
            }
            read_by.count += 1;
            if read_by.uids.len() < limit && after.is_none_or(|after| uid > after) {
                read_by.uids.push(uid.clone());
            }
        }
        read_by
    }
}

/// The same as [`Group::head_line`] for a group that is not in memory and owes nothing: from its charter, which reflects the
/// whole log, and the user's record.
#[must_use]
pub fn head_line(charter: &Charter, record: Option<&MemberRecord>) -> HeadLine {
    if let Some(gone) = dismissed(charter) {
        return gone;
    }
    match record.map(|record| &record.standing) {
        Some(Standing::Member(seat)) => HeadLine::Member {
            head: charter.upto,
            last_ack: seat.last_ack,
            last_read: seat.last_read,
            unread: unread(charter.n, seat.last_read_n, seat.own.count()),
        },
        Some(Standing::Gone { seq, how }) => HeadLine::Gone { seq: *seq, how: how.clone() },
        None => HeadLine::Unknown,
    }
}

fn dismissed(charter: &Charter) -> Option<HeadLine> {
    let tombstone = charter.tombstone.as_ref()?;
    Some(HeadLine::Gone { seq: tombstone.seq, how: Departure::Dismissed })
}

fn unread(n: u64, last_read_n: u64, own: u64) -> u64 {
    n.saturating_sub(last_read_n).saturating_sub(own)
}
