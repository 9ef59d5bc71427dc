//! The only way to send to an actor: bounded, and the caller sees what became of it.

use actix::{Actor, Addr, Handler, Message, dev::ToEnvelope, prelude::SendError};

/// What became of an offer. What was not taken comes back.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Offer<M> {
    /// The target will handle it, unless it dies first.
    Taken,
    /// The target's queue is full; nothing was taken.
    Full(M),
    /// The target is gone; nothing was taken.
    Closed(M),
}

impl<M> Offer<M> {
    /// Whether the target has it.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Taken)
    }
}

/// Offers a message to an actor. Keep ONE `Addr` per target and thread: actix lets one message past the bound for each
/// clone.
pub fn offer<A, M>(to: &Addr<A>, message: M) -> Offer<M>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    match to.try_send(message) {
        Ok(()) => Offer::Taken,
        Err(SendError::Full(message)) => {
            metrics::counter!("tidings_offers_refused_total", "why" => "full").increment(1);
            Offer::Full(message)
        }
        Err(SendError::Closed(message)) => Offer::Closed(message),
    }
}
