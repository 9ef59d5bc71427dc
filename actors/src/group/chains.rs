//! The connections that a group has to do with: the last send taken from each, so that pipelined ones keep their order.

use std::collections::HashMap;

use crate::port::link::{ConnectionRef, OpId};

/// Connections that are remembered; when there are more all are forgotten, and pipelined sends are refused once (5003), which
/// clients repeat.
pub const CONNECTIONS_MAX: usize = 1_024;

/// Connections of this activation.
#[derive(Default)]
pub(super) struct Chains {
    /// Zero: none was taken.
    last: HashMap<ConnectionRef, OpId>,
}

impl Chains {
    /// Whether a send that names its predecessor may be taken.
    pub(super) fn follows(&self, from: ConnectionRef, after: OpId) -> bool {
        after == 0 || self.last.get(&from) == Some(&after)
    }

    /// A send was taken, or refused for good.
    pub(super) fn took(&mut self, from: ConnectionRef, op_id: OpId) {
        // It is told something soon, and counted then.
        self.last.insert(from, op_id);
    }

    /// A connection was told something; gives those that are forgotten for it.
    pub(super) fn told(&mut self, to: ConnectionRef) -> Option<Vec<ConnectionRef>> {
        self.last.entry(to).or_default();
        (self.last.len() > CONNECTIONS_MAX).then(|| self.take())
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, connection: ConnectionRef) {
        self.last.remove(&connection);
    }

    /// Forgets all, and gives them.
    pub(super) fn take(&mut self) -> Vec<ConnectionRef> {
        std::mem::take(&mut self.last).into_keys().collect()
    }
}
