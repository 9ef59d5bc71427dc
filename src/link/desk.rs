//! The operators' desk: asks a mailbox and waits for its answer, as a connection would. An answer finds its way back by a
//! [`ConnectionRef`] like any other, so nothing that travels carries a reply channel.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tidings_actors::port::link::{ConnectionRef, OpId, ToConnection};
use tidings_schema::wire::server_frame::Body;
use tokio::sync::oneshot;

/// Questions that may wait for an answer; one more is refused.
pub const QUESTIONS_MAX: usize = 64;
/// No edge worker has this number.
const DESK: u16 = u16::MAX;
/// Every question has a connection of its own, and asks once.
pub(super) const OP_ID: OpId = 1;

/// Questions of operators that wait.
#[derive(Default)]
pub(super) struct Desk {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Body>>>,
    next: AtomicU64,
}

impl Desk {
    /// Whether an answer is for the desk.
    pub(super) fn is(at: ConnectionRef) -> bool {
        at.worker == DESK
    }

    /// A place for one answer; `None` when too many wait.
    pub(super) fn open(&self) -> Option<(ConnectionRef, oneshot::Receiver<Body>)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever asked may have given up.
        waiting.retain(|_, asker| !asker.is_closed());
        if waiting.len() >= QUESTIONS_MAX {
            metrics::counter!("tidings_operator_questions_refused_total").increment(1);
            return None;
        }
        let (answer, answered) = oneshot::channel();
        let connection = self.next.fetch_add(1, Relaxed);
        waiting.insert(connection, answer);
        Some((ConnectionRef { worker: DESK, connection }, answered))
    }

    /// Hands an answer to whoever asked; whether somebody did.
    pub(super) fn told(&self, at: ConnectionRef, parts: Vec<ToConnection>) -> bool {
        let asker = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&at.connection);
        let body = parts.into_iter().find_map(|part| match part {
            ToConnection::Answer(_, body) => Some(body),
            _ => None,
        });
        match (asker, body) {
            (Some(asker), Some(body)) => asker.send(body).is_ok(),
            _ => false,
        }
    }
}
