//! The connections of one worker thread, and when each of them next wants to be looked at.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use actix::{Addr, WeakAddr};
use tidings_schema::id::Millis;

use crate::{connection::Connection, give_back::give_back};

/// When a connection wants its next sweep; shared by the connection, which sets it, and the hub, which looks.
#[derive(Debug, Default)]
pub struct Pulse {
    due: Cell<Millis>,
}

impl Pulse {
    /// Wants the next sweep at `due` (uptime).
    pub fn set(&self, due: Millis) {
        self.due.set(due);
    }

    /// Wants a sweep no later than `due`.
    pub fn at_latest(&self, due: Millis) {
        self.due.set(self.due.get().min(due));
    }

    /// Wants the very next sweep.
    pub fn soon(&self) {
        self.due.set(Millis::default());
    }

    /// When the next sweep is due.
    #[must_use]
    pub fn due(&self) -> Millis {
        self.due.get()
    }
}

struct Seat {
    /// An address has two allocations of its own; it is made when the connection is due, which is seldom.
    connection: WeakAddr<Connection>,
    pulse: Rc<Pulse>,
}

/// Who is connected to this worker. Bounded by the census.
#[derive(Default)]
pub struct Roster {
    seats: RefCell<HashMap<u64, Seat>>,
}

impl Roster {
    pub(crate) fn add(&self, number: u64, connection: &Addr<Connection>, pulse: Rc<Pulse>) {
        self.seats.borrow_mut().insert(number, Seat { connection: connection.downgrade(), pulse });
    }

    pub(crate) fn remove(&self, number: u64) {
        let mut seats = self.seats.borrow_mut();
        seats.remove(&number);
        give_back(&mut seats);
    }

    /// How many connections this worker has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.borrow().len()
    }

    /// Whether nobody is connected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn due(&self, now: Millis) -> Vec<Addr<Connection>> {
        let seats = self.seats.borrow();
        seats.values().filter(|seat| seat.pulse.due() <= now).filter_map(|seat| seat.connection.upgrade()).collect()
    }

    pub(super) fn everyone(&self) -> Vec<Addr<Connection>> {
        self.seats.borrow().values().filter_map(|seat| seat.connection.upgrade()).collect()
    }

    pub(super) fn all(&self) -> Vec<(u64, Addr<Connection>)> {
        let seats = self.seats.borrow();
        seats.iter().filter_map(|(&number, seat)| Some((number, seat.connection.upgrade()?))).collect()
    }
}
