//! The cell through which the Appender tells one actor what became of its rows: values and a waker, no message, so it can
//! neither be lost nor queue up.

use std::{
    cell::{Cell, RefCell},
    task::Waker,
};

use tidings_schema::id::Seq;

/// Counts the puts of one owner in the order they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PutNumber(pub u64);

/// Whether a timeline takes rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LaneState {
    /// Yes.
    #[default]
    Open,
    /// The store refuses for now; rows in flight are repeated.
    Unavailable,
    /// Never again in this run: the store said the call can never succeed, or that data is damaged.
    Stopped,
}

/// What one actor's rows and records have come to.
#[derive(Debug, Default)]
pub struct Progress {
    committed: Cell<Seq>,
    flushed: Cell<PutNumber>,
    state: Cell<LaneState>,
    waker: RefCell<Option<Waker>>,
}

impl Progress {
    /// Last row that is durable and owned.
    #[must_use]
    pub fn committed(&self) -> Seq {
        self.committed.get()
    }

    /// Last put that is durable and owned.
    #[must_use]
    pub fn flushed(&self) -> PutNumber {
        self.flushed.get()
    }

    /// Whether rows are taken.
    #[must_use]
    pub fn state(&self) -> LaneState {
        self.state.get()
    }

    /// Wakes this task at the next change. One actor listens at a time; the newest registration counts.
    pub fn register(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        if !slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    pub(super) fn set_committed(&self, seq: Seq) {
        self.committed.set(self.committed.get().max(seq));
        self.wake();
    }

    pub(super) fn set_flushed(&self, number: PutNumber) {
        self.flushed.set(number);
        self.wake();
    }

    pub(super) fn set_state(&self, state: LaneState) {
        if self.state.replace(state) != state {
            self.wake();
        }
    }

    /// Wakes whoever listens.
    pub fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}
