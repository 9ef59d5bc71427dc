//! The users of one shard that are online, with or without a mailbox in memory: which devices they have, and what is known of
//! those without one. Shared by the shard and its mailboxes; all on one thread.

use std::collections::HashMap;

use metrics::gauge;
use tidings_schema::id::{Seq, Uid};

use super::{
    quiet::{Quiet, QuietDevice, QuietUsers},
    registrations::{Registration, Registrations},
};
use crate::{give_back::give_back, port::link::ConnectionRef};

/// The online users of one shard, also those whose mailbox is not in memory, and what is known of those.
#[derive(Default)]
pub struct Online {
    registrations: HashMap<Uid, Registrations>,
    quiet: QuietUsers,
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
            self.forget_in_turn(uid);
        }
    }

    /// Whether an ack tells nothing new.
    #[must_use]
    pub fn has_acked(&self, uid: &Uid, connection: ConnectionRef, seq: Seq) -> bool {
        let of_connection = |known: &&Registration| known.connection == connection;
        self.registrations(uid).iter().find(of_connection).is_none_or(|known| seq <= known.acked_upto)
    }

    /// What the store has of a user without a mailbox in memory.
    pub(super) fn quiet(&self, uid: &Uid) -> Option<&Quiet> {
        self.quiet.get(uid)
    }

    /// The store has this of a user, and nothing changes it before a mailbox starts.
    pub fn know(&mut self, uid: &Uid, quiet: Quiet) {
        self.quiet.insert(uid, quiet);
        if self.registrations(uid).is_empty() {
            self.forget_in_turn(uid);
        }
    }

    /// The same of one device, beside those that are known.
    pub(super) fn know_too(&mut self, uid: &Uid, mut quiet: Quiet) {
        let new = |known: &&QuietDevice| quiet.devices.iter().all(|device| device.device != known.device);
        let others: Vec<_> =
            self.quiet(uid).map_or(&[][..], |known| &known.devices).iter().filter(new).cloned().collect();
        quiet.devices = quiet.devices.into_iter().chain(others).collect();
        self.know(uid, quiet);
    }

    /// A mailbox starts: what the store has is its own from now on.
    pub(super) fn forget_quiet(&mut self, uid: &Uid) {
        self.quiet.remove(uid);
    }

    fn forget_in_turn(&mut self, uid: &Uid) {
        let Self { quiet, registrations, .. } = self;
        quiet.left(uid, |other| registrations.contains_key(other));
    }
}
