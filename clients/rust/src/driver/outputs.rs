//! What the core asks, done: kept before it is written, told to the app without ever waiting for it.

use tidings_schema::{id::MessageId, wire::server_frame::Body};
use tokio::sync::mpsc;

use super::{Driver, Link, link::open};
use crate::{
    client::Outcome,
    core::{Event, Lost, Output, RequestError},
    queue::QueueError,
};

impl Driver {
    /// Does everything the core asks, until it asks nothing more.
    pub(super) async fn carry_out(&mut self) -> Result<(), QueueError> {
        loop {
            let outputs: Vec<Output> = std::iter::from_fn(|| self.core.poll()).collect();
            self.keep(&outputs)?;
            let mut broken = false;
            for output in outputs {
                broken |= !self.carry_out_one(output).await;
            }
            broken |= !self.flush().await;
            self.pass_events();
            if !broken {
                return Ok(());
            }
            self.lost(&Lost::Broken);
        }
    }

    /// Keeps what must survive before anything that depends on it leaves: one sync for all of it.
    fn keep(&mut self, outputs: &[Output]) -> Result<(), QueueError> {
        for output in outputs {
            if let Output::Persist(change) = output {
                self.queue.note(change)?;
            }
        }
        self.queue.sync()?;
        for (id, taken) in self.keeping.drain(..) {
            let _ = taken.send(Ok(id));
        }
        Ok(())
    }

    /// False when the connection broke.
    async fn carry_out_one(&mut self, output: Output) -> bool {
        match output {
            Output::Persist(_) => {}
            Output::Write(frame) => return self.write(&frame).await,
            Output::Event(event) => self.tell(event),
            Output::Answer(request, answer) => self.give(request, answer),
            Output::RenewToken => self.renewing = Some(self.token.ask()),
            Output::Connect => self.link = Link::Connecting(open(self.url.clone(), self.token.clone())),
            Output::Disconnect => self.hang_up(),
        }
        true
    }

    fn tell(&mut self, event: Event) {
        match &event {
            Event::Sent(sent) => self.settle(sent.message_id, Outcome::Sent(*sent)),
            Event::Refused(refused) => self.settle(refused.message_id, Outcome::Refused(refused.clone())),
            Event::ConversationsReset { .. } => self.life = self.life.wrapping_add(1),
            Event::Message(_) | Event::Receipt { .. } | Event::ReadMoved { .. } => {}
            Event::Recalled(_) | Event::Edited(_) | Event::Reacted(_) | Event::Deleted(_) => {}
            Event::BlockMoved { .. } | Event::ConversationSet { .. } | Event::Typing { .. } => {}
            Event::Advanced { .. } | Event::Connection(_) => {}
        }
        if let Some(seq) = event.seq() {
            self.told = seq;
            self.app_behind = true;
        }
        self.backlog.push_back((self.life, event));
    }

    fn settle(&mut self, id: MessageId, outcome: Outcome) {
        if let Some(waiting) = self.outcomes.remove(&id) {
            let _ = waiting.send(outcome);
        }
    }

    fn give(&mut self, request: u64, answer: Result<Body, RequestError>) {
        if let Some(waiting) = self.requests.remove(&request) {
            let _ = waiting.send(answer);
        }
    }

    fn pass_events(&mut self) {
        while !self.backlog.is_empty() {
            match self.events.try_reserve() {
                Ok(room) => {
                    if let Some(event) = self.backlog.pop_front() {
                        room.send(event);
                    }
                }
                Err(mpsc::error::TrySendError::Full(())) => return,
                // Nobody listens: sending goes on, and nothing is acknowledged.
                Err(mpsc::error::TrySendError::Closed(())) => self.backlog.clear(),
            }
        }
    }
}
