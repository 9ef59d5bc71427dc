//! The stream of events, and what the app has taken of it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tidings_schema::id::Seq;
use tokio::sync::mpsc;

use crate::core::Event;

/// Bits of [`Taken`] that hold a seq; those above count lives of the inbox.
const SEQ_BITS: u32 = 48;

/// Highest seq the app has taken, and in which life of the inbox.
#[derive(Debug, Default)]
pub(crate) struct Taken(AtomicU64);

impl Taken {
    fn note(&self, life: u16, seq: Seq) {
        self.0.store(u64::from(life) << SEQ_BITS | (seq.get() & ((1 << SEQ_BITS) - 1)), Ordering::Release);
    }

    /// The seq taken in `life`; `None` while nothing of it was.
    pub(crate) fn in_life(&self, life: u16) -> Option<Seq> {
        let taken = self.0.load(Ordering::Acquire);
        (taken >> SEQ_BITS == u64::from(life)).then(|| Seq::new(taken & ((1 << SEQ_BITS) - 1)))
    }
}

/// The stream of events; bounded, so take them.
#[derive(Debug)]
pub struct Events {
    events: mpsc::Receiver<(u16, Event)>,
    taken: Arc<Taken>,
    last: Option<(u16, Seq)>,
}

impl Events {
    pub(crate) fn new(events: mpsc::Receiver<(u16, Event)>, taken: Arc<Taken>) -> Self {
        Self { events, taken, last: None }
    }

    /// The next event; with [`Acks::Auto`](crate::Acks::Auto) this also says that the one before is applied. `None` when the client ended.
    /// Safe to drop halfway.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some((life, seq)) = self.last.take() {
            self.taken.note(life, seq);
        }
        let (life, event) = self.events.recv().await?;
        self.last = event.seq().map(|seq| (life, seq));
        Some(event)
    }
}
