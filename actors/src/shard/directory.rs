//! Who is where in one shard: the mailboxes in memory, the connections of every online user (also of those without a
//! mailbox in memory), and which users are marked. Shared by the shard and its mailboxes; all on one thread.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    task::Waker,
};

use actix::Addr;
use metrics::gauge;
use tidings_schema::id::{Seq, Uid};

use super::{
    quiet::{Quiet, QuietDevice, QuietUsers},
    registrations::{Registration, Registrations},
};
use crate::{
    give_back::give_back,
    mailbox::{Mailbox, Work},
    port::link::ConnectionRef,
    shard::roll::Roll,
};

/// Work that may wait for one mailbox while it stops or while its user is greeted; more is refused.
pub const WORK_WAITING_MAX: usize = 64;
/// Panics in a row, without having served in between, after which a mailbox counts as damaged.
const PANICS_MAX: u32 = 3;

/// State of one user who is not simply quiet.
pub(super) enum Slot {
    /// A mailbox is in memory.
    Active(Addr<Mailbox>),
    /// The mailbox writes its last records, or the user is being greeted; work waits in order.
    Waiting(VecDeque<Work>),
}

/// Where work goes.
pub(super) enum Route {
    /// It waits in the directory.
    Done,
    /// To this mailbox.
    Offer(Addr<Mailbox>, Work),
    /// Too much waits already.
    Refuse(Work),
    /// The user has no mailbox in memory.
    Nobody(Work),
}

/// What the shard has to take care of.
pub(super) enum News {
    /// A mailbox left memory; this work came meanwhile.
    Stopped(Uid, VecDeque<Work>),
    /// A mailbox could not load because the store does not answer.
    Failed(Uid),
    /// A mailbox panicked.
    Died(Uid),
    /// A mailbox has loaded.
    Settled(Uid),
}

/// The directory of one shard.
#[derive(Default)]
pub struct Directory {
    slots: HashMap<Uid, Slot>,
    registrations: HashMap<Uid, Registrations>,
    quiet: QuietUsers,
    marked: HashSet<Uid>,
    panics: HashMap<Uid, u32>,
    broken: HashSet<Uid>,
    roll: Roll,
    retiring: bool,
    news: VecDeque<News>,
    waker: Option<Waker>,
}

impl Directory {
    pub(super) fn listen(&mut self, waker: &Waker) {
        self.waker = Some(waker.clone());
    }

    pub(super) fn next_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    fn tell(&mut self, news: News) {
        self.news.push_back(news);
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    pub(super) fn route(&mut self, uid: &Uid, work: Work) -> Route {
        match self.slots.get_mut(uid) {
            None => Route::Nobody(work),
            Some(Slot::Active(address)) => Route::Offer(address.clone(), work),
            Some(Slot::Waiting(waiting)) if waiting.len() < WORK_WAITING_MAX || work.is_owed() => {
                waiting.push_back(work);
                Route::Done
            }
            Some(Slot::Waiting(_)) => Route::Refuse(work),
        }
    }

    pub(super) fn started(&mut self, uid: &Uid, address: Addr<Mailbox>) {
        self.quiet.remove(uid);
        self.slots.insert(uid.clone(), Slot::Active(address));
        gauge!("tidings_mailboxes_active").increment(1.0);
    }

    /// Whether a mailbox of this user is in memory or on its way out.
    pub(super) fn is_active(&self, uid: &Uid) -> bool {
        self.slots.contains_key(uid)
    }

    /// From now on mailboxes leave as soon as they owe nothing.
    pub(super) fn retire(&mut self) {
        self.retiring = true;
    }

    /// Whether a mailbox leaves without having been idle first.
    #[must_use]
    pub fn is_retiring(&self) -> bool {
        self.retiring
    }

    /// Whether no mailbox is in memory.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Makes work for this user wait until [`Self::greeted`].
    pub(super) fn greeting(&mut self, uid: &Uid) {
        self.slots.insert(uid.clone(), Slot::Waiting(VecDeque::new()));
    }

    /// The greeting is over; returns what waited.
    pub(super) fn greeted(&mut self, uid: &Uid) -> VecDeque<Work> {
        let waiting = match self.slots.remove(uid) {
            Some(Slot::Waiting(waiting)) => waiting,
            Some(active @ Slot::Active(_)) => {
                self.slots.insert(uid.clone(), active);
                VecDeque::new()
            }
            None => VecDeque::new(),
        };
        give_back(&mut self.slots);
        waiting
    }

    /// A mailbox begins to leave memory: from now on its work waits here.
    pub fn stopping(&mut self, uid: &Uid) {
        self.slots.insert(uid.clone(), Slot::Waiting(VecDeque::new()));
    }

    /// Whether work waits for a mailbox that is stopping.
    #[must_use]
    pub fn is_wanted(&self, uid: &Uid) -> bool {
        matches!(self.slots.get(uid), Some(Slot::Waiting(waiting)) if !waiting.is_empty())
    }

    /// A mailbox that was stopping goes on; returns what waited, which comes after all that it has got.
    pub fn resumed(&mut self, uid: &Uid, address: Addr<Mailbox>) -> VecDeque<Work> {
        match self.slots.insert(uid.clone(), Slot::Active(address)) {
            Some(Slot::Waiting(waiting)) => waiting,
            Some(Slot::Active(_)) | None => VecDeque::new(),
        }
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

    fn forget_in_turn(&mut self, uid: &Uid) {
        let Self { quiet, registrations, .. } = self;
        quiet.left(uid, |other| registrations.contains_key(other));
    }

    /// A mailbox has left memory.
    pub fn stopped(&mut self, uid: &Uid) {
        let waiting = match self.slots.remove(uid) {
            Some(Slot::Waiting(waiting)) => waiting,
            Some(Slot::Active(_)) | None => VecDeque::new(),
        };
        give_back(&mut self.slots);
        gauge!("tidings_mailboxes_active").decrement(1.0);
        self.tell(News::Stopped(uid.clone(), waiting));
    }

    /// A mailbox could not load and left.
    pub fn failed(&mut self, uid: &Uid) {
        self.slots.remove(uid);
        gauge!("tidings_mailboxes_active").decrement(1.0);
        self.tell(News::Failed(uid.clone()));
    }

    /// A mailbox died while it worked. Three times in a row before it served, and it counts as damaged.
    pub fn died(&mut self, uid: &Uid) {
        if let Some(Slot::Waiting(waiting)) = self.slots.remove(uid) {
            self.tell(News::Stopped(uid.clone(), waiting));
        }
        gauge!("tidings_mailboxes_active").decrement(1.0);
        let panics = self.panics.entry(uid.clone()).or_default();
        *panics += 1;
        if *panics >= PANICS_MAX {
            self.broke(uid);
        }
        self.tell(News::Died(uid.clone()));
    }

    /// A mailbox has loaded and serves.
    pub fn settled(&mut self, uid: &Uid) {
        self.panics.remove(uid);
        self.tell(News::Settled(uid.clone()));
    }

    /// Names stopped inboxes to `roll` from now on.
    pub fn report_to(&mut self, roll: Roll) {
        self.roll = roll;
    }

    /// The user's timeline is damaged: no mailbox is started for it any more in this run.
    pub fn broke(&mut self, uid: &Uid) {
        if self.broken.insert(uid.clone()) {
            self.roll.stop(uid);
            gauge!("tidings_timelines_corrupt").increment(1.0);
        }
    }

    /// Whether the user's timeline is damaged.
    #[must_use]
    pub fn is_broken(&self, uid: &Uid) -> bool {
        self.broken.contains(uid)
    }

    /// The store holds a mark for this user, or will before anything of theirs is committed.
    pub fn mark(&mut self, uid: &Uid) {
        if self.marked.insert(uid.clone()) {
            gauge!("tidings_marks").increment(1.0);
        }
    }

    /// The store holds no mark for this user any more.
    pub fn unmark(&mut self, uid: &Uid) {
        if self.marked.remove(uid) {
            gauge!("tidings_marks").decrement(1.0);
        }
        if self.marked.is_empty() {
            self.marked = HashSet::new();
        }
    }

    /// Whether the user is marked.
    #[must_use]
    pub fn is_marked(&self, uid: &Uid) -> bool {
        self.marked.contains(uid)
    }

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
}
