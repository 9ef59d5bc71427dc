//! Messages on their way out: kept first, then written as the burst rules of [`Outgoing`](super::outgoing::Outgoing) allow.

use tidings_schema::{
    id::{IdError, MessageId, Millis},
    wire::{self, client_frame::Op},
};

use super::{Change, Core, Draft, Output, PENDING_MAX, Phase, SendError, named_or};

/// Unanswered frames when the server names no limit.
const UNANSWERED: u64 = 64;
/// Of those, kept free for requests, changes, pulls, read markers and pings.
const UNANSWERED_FOR_OTHERS: usize = 20;

impl Core {
    /// A fresh message id, stamped with the server's time.
    #[must_use]
    pub fn fresh_id(&self, random: [u8; 10], now: Millis) -> MessageId {
        MessageId::v7(Millis::new(now.get().saturating_add_signed(self.clock_ahead_ms)), random)
    }

    /// Takes a message: it is persisted first, and leaves when it may.
    ///
    /// # Errors
    /// [`SendError`]; nothing was kept.
    pub fn send(&mut self, id: MessageId, draft: Draft, now: Millis) -> Result<(), SendError> {
        if self.outgoing.len() >= PENDING_MAX {
            return Err(SendError::QueueFull);
        }
        let target = wire::target::Target::Uid(draft.to.to_string());
        let send = wire::Send {
            message_id: id.to_string(),
            to: Some(wire::Target { target: Some(target) }),
            content: Some(draft.content),
            reply_to: draft.reply_to.map(wire::MessageRef::from),
            push: draft.push,
            retry: false,
            ..Default::default()
        };
        if self.outgoing.contains(id) {
            return Err(SendError::Known);
        }
        self.outputs.push_back(Output::Persist(Change::Add(Box::new(send.clone()))));
        self.outgoing.add(id, draft.to.as_str(), send);
        self.write_sends(now);
        Ok(())
    }

    pub(super) fn enqueue(&mut self, send: wire::Send) {
        let id: Result<MessageId, IdError> = send.message_id.parse();
        let peer = send.to.as_ref().and_then(|to| to.target.as_ref());
        if let (Ok(id), Some(wire::target::Target::Uid(peer))) = (id, peer) {
            let peer = peer.clone();
            self.outgoing.add(id, &peer, send);
        }
    }

    pub(super) fn write_sends(&mut self, now: Millis) {
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        let most = named_or(self.limits.unanswered_max, UNANSWERED);
        let most = usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(UNANSWERED_FOR_OTHERS).max(1);
        while self.outgoing.in_flight() < most {
            let Some(send) = self.outgoing.next_send(self.next_frame + 1, now) else { return };
            let id = self.fresh_frame();
            self.write(id, Op::Send(send));
        }
    }
}
