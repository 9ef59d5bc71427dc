//! The connections of one worker thread, and when each of them next wants to be looked at.
//!
//! The times lie side by side: the hub walks over all of them every second, and a quiet connection costs that walk eight
//! bytes and no look at the connection itself.

use std::{
    cell::{RefCell, RefMut},
    rc::Rc,
    sync::Arc,
};

use actix::{Addr, WeakAddr};
use tidings_schema::id::Millis;

use super::groups::Groups;
use crate::{connection::Connection, relay::Lane};

/// A seat that is free is never due.
const NEVER: Millis = Millis::new(u64::MAX);

/// One connection's seat; set free when it is dropped.
pub(crate) struct Pulse {
    roster: Rc<Roster>,
    seat: usize,
}

impl Pulse {
    /// The hub finds this connection from now on.
    pub(crate) fn listen(&self, connection: &Addr<Connection>) {
        if let Some(seat) = self.roster.seats.borrow_mut().taken.get_mut(self.seat) {
            *seat = Some(connection.downgrade());
        }
    }

    /// Wants the next sweep at `due` (uptime).
    pub(crate) fn set(&self, due: Millis) {
        self.change(|_| due);
    }

    /// Wants a sweep no later than `due`.
    pub(crate) fn at_latest(&self, due: Millis) {
        self.change(|before| before.min(due));
    }

    /// Wants the very next sweep.
    pub(crate) fn soon(&self) {
        self.set(Millis::default());
    }

    /// Where this connection sits.
    pub(crate) fn seat(&self) -> usize {
        self.seat
    }

    /// The groups of this worker's connections.
    pub(crate) fn groups(&self) -> RefMut<'_, Groups> {
        self.roster.groups()
    }

    fn change(&self, to: impl FnOnce(Millis) -> Millis) {
        if let Some(due) = self.roster.seats.borrow_mut().due.get_mut(self.seat) {
            *due = to(*due);
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.roster.seats.borrow_mut().leave(self.seat);
    }
}

/// Who is connected to this worker. Bounded by the census.
pub struct Roster {
    seats: RefCell<Seats>,
    groups: RefCell<Groups>,
}

/// Both lists have the same length.
#[derive(Default)]
struct Seats {
    due: Vec<Millis>,
    /// An address has two allocations of its own; it is made when the connection is due, which is seldom.
    taken: Vec<Option<WeakAddr<Connection>>>,
    free: Vec<usize>,
}

impl Seats {
    fn take(&mut self) -> usize {
        if let Some(seat) = self.free.pop() {
            self.due[seat] = Millis::default();
            return seat;
        }
        self.due.push(Millis::default());
        self.taken.push(None);
        self.due.len() - 1
    }

    fn leave(&mut self, seat: usize) {
        self.due[seat] = NEVER;
        self.taken[seat] = None;
        self.free.push(seat);
        if self.free.len() == self.due.len() {
            *self = Self::default();
        }
    }
}

impl Roster {
    /// Nobody is connected; frames of groups will come by `lane`.
    #[must_use]
    pub fn new(lane: Arc<Lane>) -> Self {
        Self { seats: RefCell::default(), groups: RefCell::new(Groups::new(lane)) }
    }

    /// The groups of the connections. Nobody keeps it beyond a call.
    pub(crate) fn groups(&self) -> RefMut<'_, Groups> {
        self.groups.borrow_mut()
    }

    /// That connection wants the very next sweep.
    pub(super) fn due_now(&self, seat: usize) {
        if let Some(due) = self.seats.borrow_mut().due.get_mut(seat) {
            *due = Millis::default();
        }
    }

    /// A seat for a new connection; due at once.
    pub(crate) fn seat(self: &Rc<Self>) -> Pulse {
        Pulse { roster: Rc::clone(self), seat: self.seats.borrow_mut().take() }
    }

    /// How many connections this worker has.
    #[must_use]
    pub fn len(&self) -> usize {
        let seats = self.seats.borrow();
        seats.due.len() - seats.free.len()
    }

    /// Whether nobody is connected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn due(&self, now: Millis) -> Vec<Addr<Connection>> {
        let seats = self.seats.borrow();
        let due = seats.due.iter().zip(&seats.taken).filter(|(due, _)| **due <= now);
        due.filter_map(|(_, connection)| connection.as_ref()?.upgrade()).collect()
    }

    pub(super) fn everyone(&self) -> Vec<Addr<Connection>> {
        let seats = self.seats.borrow();
        seats.taken.iter().filter_map(|connection| connection.as_ref()?.upgrade()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_that_was_left_is_taken_again_and_never_due_meanwhile() {
        let roster = Rc::new(Roster::new(Arc::default()));
        let (first, second) = (roster.seat(), roster.seat());
        second.set(Millis::new(5));
        second.at_latest(Millis::new(9));
        assert_eq!(roster.seats.borrow().due, [Millis::default(), Millis::new(5)]);
        drop(first);
        assert_eq!((roster.len(), roster.seats.borrow().due[0]), (1, NEVER));
        let third = roster.seat();
        assert_eq!((third.seat, roster.len()), (0, 2), "a new connection is due at once, whoever sat there");
        assert_eq!(roster.seats.borrow().due[0], Millis::default());
        drop((second, third));
        assert!(roster.is_empty() && roster.seats.borrow().due.capacity() == 0, "nobody keeps no room");
    }
}
