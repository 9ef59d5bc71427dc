//! Who is where in one shard: the actors of one kind that are in memory, which ids are marked, and which are stopped.
//! Shared by the shard and those actors; all on one thread.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    task::Waker,
};

use actix::Addr;
use metrics::gauge;

use super::resident::Resident;
use crate::{give_back::give_back, shard::roll::Roll};

/// Work that may wait for one actor while it stops or while its user is greeted; more is refused.
pub const WORK_WAITING_MAX: usize = 64;
/// Panics in a row, without having served in between, after which an actor counts as damaged.
const PANICS_MAX: u32 = 3;

/// State of an id that is not simply quiet.
enum Slot<A: Resident> {
    /// The actor is in memory.
    Active(Addr<A>),
    /// The actor writes its last records, or the user is being greeted; work waits in order.
    Waiting(VecDeque<A::Work>),
}

/// Where work goes.
pub(super) enum Route<A: Resident> {
    /// It waits in the directory.
    Done,
    /// To this actor.
    Offer(Addr<A>, A::Work),
    /// Too much waits already.
    Refuse(A::Work),
    /// There is no actor in memory.
    Nobody(A::Work),
}

/// What the shard has to take care of.
pub(super) enum News<A: Resident> {
    /// An actor left memory; this work came meanwhile.
    Stopped(A::Id, VecDeque<A::Work>),
    /// An actor could not load because the store does not answer.
    Failed(A::Id),
    /// An actor panicked.
    Died(A::Id),
    /// An actor has loaded.
    Settled(A::Id),
}

/// The actors of one kind in one shard.
pub struct Directory<A: Resident> {
    slots: HashMap<A::Id, Slot<A>>,
    marked: HashSet<A::Id>,
    panics: HashMap<A::Id, u32>,
    broken: HashSet<A::Id>,
    roll: Roll,
    retiring: bool,
    news: VecDeque<News<A>>,
    waker: Option<Waker>,
}

impl<A: Resident> Default for Directory<A> {
    fn default() -> Self {
        Self {
            slots: HashMap::new(),
            marked: HashSet::new(),
            panics: HashMap::new(),
            broken: HashSet::new(),
            roll: Roll::default(),
            retiring: false,
            news: VecDeque::new(),
            waker: None,
        }
    }
}

impl<A: Resident> Directory<A> {
    pub(super) fn listen(&mut self, waker: &Waker) {
        self.waker = Some(waker.clone());
    }

    pub(super) fn next_news(&mut self) -> Option<News<A>> {
        self.news.pop_front()
    }

    fn tell(&mut self, news: News<A>) {
        self.news.push_back(news);
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    pub(super) fn route(&mut self, id: &A::Id, work: A::Work) -> Route<A> {
        match self.slots.get_mut(id) {
            None => Route::Nobody(work),
            Some(Slot::Active(address)) => Route::Offer(address.clone(), work),
            Some(Slot::Waiting(waiting)) if waiting.len() < WORK_WAITING_MAX || A::is_owed(&work) => {
                waiting.push_back(work);
                Route::Done
            }
            Some(Slot::Waiting(_)) => Route::Refuse(work),
        }
    }

    pub(super) fn started(&mut self, id: &A::Id, address: Addr<A>) {
        self.slots.insert(id.clone(), Slot::Active(address));
        gauge!(A::ACTIVE).increment(1.0);
    }

    /// Whether the actor is in memory or on its way out.
    pub(super) fn is_active(&self, id: &A::Id) -> bool {
        self.slots.contains_key(id)
    }

    /// From now on actors leave as soon as they owe nothing.
    pub(super) fn retire(&mut self) {
        self.retiring = true;
    }

    /// Whether an actor leaves without having been idle first.
    #[must_use]
    pub fn is_retiring(&self) -> bool {
        self.retiring
    }

    /// Whether no actor is in memory.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Makes work for this user wait until [`Self::greeted`].
    pub(super) fn greeting(&mut self, id: &A::Id) {
        self.slots.insert(id.clone(), Slot::Waiting(VecDeque::new()));
    }

    /// The greeting is over; returns what waited.
    pub(super) fn greeted(&mut self, id: &A::Id) -> VecDeque<A::Work> {
        let waiting = match self.slots.remove(id) {
            Some(Slot::Waiting(waiting)) => waiting,
            Some(active @ Slot::Active(_)) => {
                self.slots.insert(id.clone(), active);
                VecDeque::new()
            }
            None => VecDeque::new(),
        };
        give_back(&mut self.slots);
        waiting
    }

    /// An actor begins to leave memory: from now on its work waits here.
    pub fn stopping(&mut self, id: &A::Id) {
        self.slots.insert(id.clone(), Slot::Waiting(VecDeque::new()));
    }

    /// Whether work waits for an actor that is stopping.
    #[must_use]
    pub fn is_wanted(&self, id: &A::Id) -> bool {
        matches!(self.slots.get(id), Some(Slot::Waiting(waiting)) if !waiting.is_empty())
    }

    /// An actor that was stopping goes on; returns what waited, which comes after all that it has got.
    pub fn resumed(&mut self, id: &A::Id, address: Addr<A>) -> VecDeque<A::Work> {
        match self.slots.insert(id.clone(), Slot::Active(address)) {
            Some(Slot::Waiting(waiting)) => waiting,
            Some(Slot::Active(_)) | None => VecDeque::new(),
        }
    }

    /// An actor has left memory.
    pub fn stopped(&mut self, id: &A::Id) {
        let waiting = match self.slots.remove(id) {
            Some(Slot::Waiting(waiting)) => waiting,
            Some(Slot::Active(_)) | None => VecDeque::new(),
        };
        give_back(&mut self.slots);
        gauge!(A::ACTIVE).decrement(1.0);
        self.tell(News::Stopped(id.clone(), waiting));
    }

    /// An actor could not load and left.
    pub fn failed(&mut self, id: &A::Id) {
        self.slots.remove(id);
        gauge!(A::ACTIVE).decrement(1.0);
        self.tell(News::Failed(id.clone()));
    }

    /// An actor died while it worked. Three times in a row before it served, and it counts as damaged.
    pub fn died(&mut self, id: &A::Id) {
        if let Some(Slot::Waiting(waiting)) = self.slots.remove(id) {
            self.tell(News::Stopped(id.clone(), waiting));
        }
        gauge!(A::ACTIVE).decrement(1.0);
        let panics = self.panics.entry(id.clone()).or_default();
        *panics += 1;
        if *panics >= PANICS_MAX {
            self.broke(id);
        }
        self.tell(News::Died(id.clone()));
    }

    /// An actor has loaded and serves.
    pub fn settled(&mut self, id: &A::Id) {
        self.panics.remove(id);
        self.tell(News::Settled(id.clone()));
    }

    /// Names what is stopped to `roll` from now on.
    pub fn report_to(&mut self, roll: Roll) {
        self.roll = roll;
    }

    /// The timeline is damaged: no actor is started for it any more in this run.
    pub fn broke(&mut self, id: &A::Id) {
        if self.broken.insert(id.clone()) {
            A::report_stopped(&self.roll, id);
            gauge!("tidings_timelines_corrupt").increment(1.0);
        }
    }

    /// Whether the timeline is damaged.
    #[must_use]
    pub fn is_broken(&self, id: &A::Id) -> bool {
        self.broken.contains(id)
    }

    /// The store holds a mark, or will before anything of this activation is committed.
    pub fn mark(&mut self, id: &A::Id) {
        if self.marked.insert(id.clone()) {
            gauge!("tidings_marks").increment(1.0);
        }
    }

    /// The store holds no mark any more.
    pub fn unmark(&mut self, id: &A::Id) {
        if self.marked.remove(id) {
            gauge!("tidings_marks").decrement(1.0);
        }
        if self.marked.is_empty() {
            self.marked = HashSet::new();
        }
    }

    /// Whether there is a mark.
    #[must_use]
    pub fn is_marked(&self, id: &A::Id) -> bool {
        self.marked.contains(id)
    }
}
