//! Finds the actor that work is for, starts it when needed, and brings back what died while it was owed something: one way for
//! all kinds.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use metrics::counter;
use tidings_schema::{error_code::ErrorCode, id::Uid};
use tracing::{error, warn};

use super::{
    LATER, LATER_MAX, RETRY_MS, Shard,
    directory::{News, Route},
    resident::{Kept, Resident},
};
use crate::{
    mailbox::{Mailbox, Work},
    offer::{Offer, offer},
    port::link::Op,
};

impl Shard {
    /// Brings work to its actor, starting it when needed.
    pub(super) fn route<A: Kept>(&mut self, id: &A::Id, work: A::Work, ctx: &mut Context<Self>) {
        let route = A::directory(&self.parts).borrow_mut().route(id, work);
        match route {
            Route::Done => {}
            Route::Offer(address, work) => match offer(&address, work) {
                Offer::Taken => {}
                Offer::Full(work) if A::is_owed(&work) => self.route_later::<A>(id.clone(), work, ctx),
                Offer::Full(work) => self.refuse::<A>(work, "is busy"),
                Offer::Closed(work) => self.start_actor::<A>(id, vec![work]),
            },
            Route::Refuse(work) => self.refuse::<A>(work, "is starting or stopping"),
            Route::Nobody(work) => A::route_quiet(self, id, work, ctx),
        }
    }

    /// What a connection has told and will not tell again finds the actor's queue full: it is brought again soon.
    fn route_later<A: Kept>(&mut self, id: A::Id, work: A::Work, ctx: &mut Context<Self>) {
        if self.later >= LATER_MAX {
            return counter!("tidings_owed_works_dropped_total").increment(1);
        }
        self.later += 1;
        ctx.run_later(LATER, move |shard, ctx| {
            shard.later -= 1;
            shard.route::<A>(&id, work, ctx);
        });
    }

    fn is_online(&self, uid: &Uid) -> bool {
        !self.parts.online.borrow().registrations(uid).is_empty()
    }

    /// The user has no mailbox in memory: answer without one where that is exact, else start it.
    pub(super) fn route_to_quiet_user(&mut self, uid: &Uid, work: Work, ctx: &mut Context<Self>) {
        let command = match &work {
            Work::Command(command) => command,
            // Nobody is there to see it.
            Work::Peer(message) if message.is_ephemeral() && !self.is_online(uid) => return,
            Work::Peer(_) | Work::Sweep(_) => return self.start_actor::<Mailbox>(uid, vec![work]),
        };
        let (from, may_be_marked) = (command.from, self.marks.may_be_marked(uid, &self.parts));
        match &command.op {
            Op::Attach(_) if !may_be_marked => self.greet(uid, work, ctx),
            Op::Detach => {
                self.parts.online.borrow_mut().unregister(uid, from);
                self.parts.link.forget(from);
            }
            Op::Drained(_) => {}
            Op::Ack(seq) if self.parts.online.borrow().has_acked(uid, from, *seq) => {}
            Op::Attach(_)
            | Op::Send(_)
            | Op::Ack(_)
            | Op::Read(..)
            | Op::Sync(..)
            | Op::History(..)
            | Op::Conversations(..)
            | Op::Block(_)
            | Op::Unblock(_)
            | Op::Revoke(_)
            | Op::Change(_)
            | Op::Delete(_)
            | Op::SetConversation { .. }
            | Op::Dropped(_) => self.start_actor::<Mailbox>(uid, vec![work]),
        }
    }

    /// Starts an actor with the work it is started for.
    pub(super) fn start_actor<A: Kept>(&mut self, id: &A::Id, works: Vec<A::Work>) {
        if A::directory(&self.parts).borrow().is_broken(id) {
            for work in works {
                let text = format!("the {} is stopped, an operator has to look", A::TIMELINE);
                A::refuse(&self.parts, work, ErrorCode::Corrupt, &text, 0);
            }
            return;
        }
        counter!(A::ACTIVATIONS).increment(1);
        A::starts(&self.parts, id);
        let address = <A as Resident>::start_for(id.clone(), self.parts.clone(), works);
        A::directory(&self.parts).borrow_mut().started(id, address);
    }

    /// Takes care of what the directory noted since: actors that died, stopped with work waiting, or could not load.
    pub(super) fn look_after<A: Kept>(&mut self, ctx: &mut Context<Self>) {
        loop {
            let Some(news) = A::directory(&self.parts).borrow_mut().next_news() else { break };
            match news {
                News::Stopped(id, works) => {
                    // Also one that never served because its timeline is damaged.
                    self.settled::<A>(&id);
                    for work in works {
                        self.route::<A>(&id, work, ctx);
                    }
                }
                News::Failed(id) => self.start_later::<A>(id, ctx),
                News::Died(id) => self.restart::<A>(&id),
                News::Settled(id) => self.settled::<A>(&id),
            }
        }
        self.start_marked::<A>();
    }

    fn settled<A: Kept>(&mut self, id: &A::Id) {
        A::marks(self).settled(id, A::RECOVERING);
    }

    fn start_later<A: Kept>(&mut self, id: A::Id, ctx: &mut Context<Self>) {
        self.settled::<A>(&id);
        if !self.is_owed::<A>(&id) {
            return;
        }
        let pause = tokio::time::sleep(Duration::from_millis(RETRY_MS)).into_actor(self);
        ctx.spawn(pause.map(move |(), shard, _| {
            let quiet = !A::directory(&shard.parts).borrow().is_active(&id);
            if quiet {
                shard.start_actor::<A>(&id, Vec::new());
            }
        }));
    }

    /// An actor panicked: whoever is still owed something by it is served by a new one.
    fn restart<A: Kept>(&mut self, id: &A::Id) {
        counter!(A::PANICS).increment(1);
        error!(kind = A::KIND, %id, shard = %self.parts.id, "actor panicked");
        self.settled::<A>(id);
        // Work that came in between has started one already.
        if self.is_owed::<A>(id) && !A::directory(&self.parts).borrow().is_active(id) {
            warn!(kind = A::KIND, %id, "actor starts again");
            self.start_actor::<A>(id, Vec::new());
        }
    }

    fn is_owed<A: Kept>(&self, id: &A::Id) -> bool {
        A::directory(&self.parts).borrow().is_marked(id) || A::is_missed(&self.parts, id)
    }

    fn refuse<A: Kept>(&self, work: A::Work, why: &str) {
        A::refuse(&self.parts, work, ErrorCode::Busy, &format!("{} {why}", A::KIND), RETRY_MS);
    }
}
