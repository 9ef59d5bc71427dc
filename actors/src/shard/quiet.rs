//! What a shard knows of users without a mailbox in memory, so that one who comes back, as all do at once when a proxy
//! restarts, is greeted without reading the store. It says what the store says: a mailbox that leaves memory writes it, a
//! mailbox that starts takes it away. Kept of whoever is online, and of those who left last.

use std::collections::{HashMap, VecDeque};

use metrics::gauge;
use tidings_schema::id::{DeviceId, LogId, Millis, Seq, Uid};

use crate::{give_back::give_back, port::link::Attach};

/// Offline users of one shard that are remembered (of a node with 1,024 shards about 65,000); the one that left first is
/// forgotten first, and read when it comes.
pub const QUIET_OFFLINE_MAX: usize = 64;

/// A clean inbox, and the devices of its user as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// The life of the log; none: there are no rows.
    pub log_id: Option<LogId>,
    /// Its newest row.
    pub head: Seq,
    /// Unread messages after it.
    pub unread_total: u64,
    /// Devices.
    pub devices: Box<[QuietDevice]>,
}

/// A device as its record has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietDevice {
    /// Which.
    pub device: DeviceId,
    /// Highest seq it acknowledged.
    pub cursor: Seq,
    /// Tokens issued before this do not let it in, whether it or the whole user was signed out.
    pub not_before: Millis,
}

impl Quiet {
    /// The device that attaches, if there is nothing to do but to greet it. `None` whenever anything needs the mailbox: a
    /// device that is not known, behind, in another log, or signed out.
    pub(super) fn greets(&self, attach: &Attach) -> Option<&QuietDevice> {
        let device = self.devices.iter().find(|known| known.device == attach.device)?;
        let is_here = match attach.resume {
            Some(resume) => resume.inbox == self.head && (resume.log_id.is_none() || resume.log_id == self.log_id),
            None => device.cursor == self.head,
        };
        (is_here && attach.issued >= device.not_before).then_some(device)
    }
}

/// The quiet users of one shard.
#[derive(Default)]
pub(super) struct QuietUsers {
    known: HashMap<Uid, Quiet>,
    /// In the order in which they left; may name one that came back.
    offline: VecDeque<Uid>,
}

impl QuietUsers {
    pub(super) fn get(&self, uid: &Uid) -> Option<&Quiet> {
        self.known.get(uid)
    }

    pub(super) fn insert(&mut self, uid: &Uid, quiet: Quiet) {
        if self.known.insert(uid.clone(), quiet).is_none() {
            gauge!("tidings_quiet_users_known").increment(1.0);
        }
    }

    pub(super) fn remove(&mut self, uid: &Uid) {
        if self.known.remove(uid).is_some() {
            gauge!("tidings_quiet_users_known").decrement(1.0);
            give_back(&mut self.known);
        }
    }

    /// The user's last connection is gone.
    pub(super) fn left(&mut self, uid: &Uid, is_online: impl Fn(&Uid) -> bool) {
        if !self.known.contains_key(uid) {
            return;
        }
        self.offline.retain(|known| known != uid);
        self.offline.push_back(uid.clone());
        if self.offline.len() > QUIET_OFFLINE_MAX
            && let Some(first) = self.offline.pop_front().filter(|first| !is_online(first))
        {
            self.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use tidings_schema::id::LogId;

    use super::*;
    use crate::port::link::ResumePoint;

    fn quiet(head: u64, cursor: u64) -> Quiet {
        let device =
            QuietDevice { device: "phone".parse().unwrap(), cursor: Seq::new(cursor), not_before: Millis::new(100) };
        Quiet { log_id: Some(LogId::new([7; 16])), head: Seq::new(head), unread_total: 3, devices: [device].into() }
    }

    fn attach(device: &str, issued: u64, resume: Option<(u64, Option<[u8; 16]>)>) -> Attach {
        let point =
            |(inbox, log_id): (u64, Option<_>)| ResumePoint { inbox: Seq::new(inbox), log_id: log_id.map(LogId::new) };
        Attach {
            device: device.parse().unwrap(),
            platform: String::new(),
            issued: Millis::new(issued),
            resume: resume.map(point),
        }
    }

    #[test]
    fn only_a_known_device_that_has_everything_and_is_not_signed_out_is_greeted() {
        let here = quiet(9, 9);
        for (greeted, attach) in [
            (true, attach("phone", 100, None)),
            (true, attach("phone", 100, Some((9, Some([7; 16]))))),
            (true, attach("phone", 100, Some((9, None)))),
            (false, attach("tablet", 100, None)),
            (false, attach("phone", 99, None)),
            (false, attach("phone", 100, Some((8, Some([7; 16]))))),
            (false, attach("phone", 100, Some((10, Some([7; 16]))))),
            (false, attach("phone", 100, Some((9, Some([8; 16]))))),
        ] {
            assert_eq!(here.greets(&attach).is_some(), greeted, "{attach:?}");
        }
        assert!(quiet(9, 8).greets(&attach("phone", 100, None)).is_none(), "it has not acknowledged everything");
    }

    #[test]
    fn offline_users_are_bounded_and_those_that_came_back_stay() {
        let mut users = QuietUsers::default();
        let uid = |n: usize| format!("user-{n}").parse::<Uid>().unwrap();
        for n in 0..=QUIET_OFFLINE_MAX {
            users.insert(&uid(n), quiet(1, 1));
            users.left(&uid(n), |who| *who == uid(0));
        }
        assert_eq!(users.known.len(), QUIET_OFFLINE_MAX + 1, "the first is online again");
        users.insert(&uid(1_000), quiet(1, 1));
        users.left(&uid(1_000), |_| false);
        assert!(users.get(&uid(1)).is_none() && users.get(&uid(2)).is_some(), "the one that left first goes");
        for _ in 0..QUIET_OFFLINE_MAX {
            users.left(&uid(1_000), |_| false);
        }
        assert!(users.get(&uid(2)).is_some(), "whoever comes and goes takes one place");
        users.left(&uid(5_000), |_| false);
        assert_eq!(users.offline.len(), QUIET_OFFLINE_MAX, "of whom nothing is known nothing is kept");
    }
}
