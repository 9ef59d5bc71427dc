//! The connections of an online user: all that a shard keeps of one who is quiet.

use std::{collections::HashMap, slice};

use metrics::gauge;
use tidings_schema::id::{DeviceId, Seq, Uid};

use crate::{give_back::give_back, port::link::ConnectionRef};

/// One online device of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its connection.
    pub connection: ConnectionRef,
    /// Which device.
    pub device: DeviceId,
    /// Last entry pushed to the connection.
    pub pushed_upto: Seq,
    /// Last entry the device acknowledged.
    pub acked_upto: Seq,
}

/// The online devices of one user. Nearly everyone has one, which needs no allocation of its own.
enum Registrations {
    One(Registration),
    More(Vec<Registration>),
}

impl Registrations {
    pub(super) fn as_slice(&self) -> &[Registration] {
        match self {
            Self::One(one) => slice::from_ref(one),
            Self::More(all) => all,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Registration] {
        match self {
            Self::One(one) => slice::from_mut(one),
            Self::More(all) => all,
        }
    }

    pub(super) fn push(&mut self, new: Registration) {
        match self {
            Self::One(one) => *self = Self::More(vec![one.clone(), new]),
            Self::More(all) => all.push(new),
        }
    }

    /// Takes out what is of this connection; says how many went and how many are left.
    pub(super) fn remove(&mut self, connection: ConnectionRef) -> (usize, usize) {
        match self {
            Self::One(one) if one.connection == connection => (1, 0),
            Self::One(_) => (0, 1),
            Self::More(all) => {
                let before = all.len();
                all.retain(|known| known.connection != connection);
                (before - all.len(), all.len())
            }
        }
    }
}

/// The online users of one shard, also those whose mailbox is not in memory. Shared by the shard and its mailboxes.
#[derive(Default)]
pub struct Online {
    registrations: HashMap<Uid, Registrations>,
}

impl Online {
    /// The user's online devices.
    #[must_use]
    pub fn registrations(&self, uid: &Uid) -> &[Registration] {
        self.registrations.get(uid).map_or(&[], Registrations::as_slice)
    }

    /// A device is online; returns the connection it had before, if any.
    pub fn register(&mut self, uid: &Uid, new: Registration) -> Option<ConnectionRef> {
        let Some(all) = self.registrations.get_mut(uid) else {
            self.registrations.insert(uid.clone(), Registrations::One(new));
            gauge!("tidings_devices_online").increment(1.0);
            return None;
        };
        match all.as_mut_slice().iter_mut().find(|known| known.device == new.device) {
            Some(known) => {
                let old = std::mem::replace(known, new).connection;
                (old != known.connection).then_some(old)
            }
            None => {
                all.push(new);
                gauge!("tidings_devices_online").increment(1.0);
                None
            }
        }
    }

    /// What was pushed to and acknowledged by a connection, for when its mailbox leaves memory.
    pub fn remember(&mut self, uid: &Uid, connection: ConnectionRef, pushed_upto: Seq, acked_upto: Seq) {
        let all = self.registrations.get_mut(uid).map_or(&mut [][..], Registrations::as_mut_slice);
        for known in all.iter_mut().filter(|known| known.connection == connection) {
            (known.pushed_upto, known.acked_upto) = (pushed_upto, acked_upto);
        }
    }

    /// A connection is gone.
    pub fn unregister(&mut self, uid: &Uid, connection: ConnectionRef) {
        let Some(all) = self.registrations.get_mut(uid) else { return };
        let (gone, left) = all.remove(connection);
        gauge!("tidings_devices_online").decrement(gone as f64);
        if left == 0 {
            self.registrations.remove(uid);
            give_back(&mut self.registrations);
        }
    }

    /// Whether an ack tells nothing new.
    #[must_use]
    pub fn has_acked(&self, uid: &Uid, connection: ConnectionRef, seq: Seq) -> bool {
        let of_connection = |known: &&Registration| known.connection == connection;
        self.registrations(uid).iter().find(of_connection).is_none_or(|known| seq <= known.acked_upto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(connection: u64) -> Registration {
        Registration {
            connection: ConnectionRef { worker: 0, connection },
            device: format!("device-{connection}").parse().unwrap(),
            pushed_upto: Seq::ZERO,
            acked_upto: Seq::ZERO,
        }
    }

    fn numbers(all: &Registrations) -> Vec<u64> {
        all.as_slice().iter().map(|known| known.connection.connection).collect()
    }

    #[test]
    fn one_device_and_more_of_them_come_and_go() {
        let mut all = Registrations::One(registration(1));
        assert_eq!(all.remove(registration(2).connection), (0, 1));
        all.push(registration(2));
        all.push(registration(3));
        assert_eq!(numbers(&all), [1, 2, 3]);
        assert_eq!(all.remove(registration(2).connection), (1, 2));
        assert_eq!(all.remove(registration(2).connection), (0, 2));
        all.as_mut_slice().iter_mut().for_each(|known| known.acked_upto = Seq::new(9));
        assert_eq!(numbers(&all), [1, 3]);
        assert_eq!(all.remove(registration(1).connection), (1, 1));
        assert_eq!(all.remove(registration(3).connection), (1, 0));
        assert_eq!(Registrations::One(registration(4)).remove(registration(4).connection), (1, 0));
    }
}
