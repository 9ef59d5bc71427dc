//! The connections of an online user: all that a shard keeps of one who is quiet.

use std::slice;

use tidings_schema::id::{DeviceId, Seq};

use crate::port::link::ConnectionRef;

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
pub(super) enum Registrations {
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
