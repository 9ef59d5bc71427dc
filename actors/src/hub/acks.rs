//! What clients of one worker have acknowledged of their groups: collected for a while, then told to the owners, the newest
//! of each member and group.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

use actix::{Context, fut::ActorFuture};
use tidings_schema::id::{Gid, Seq, Uid};
use tokio::time::{Sleep, sleep};

use super::Hub;
use crate::{
    offer::Offer,
    port::link::{ConnectionRef, GroupCommand, GroupOp},
};

/// How long acknowledgements are collected.
pub const ACK_DELAY: Duration = Duration::from_millis(200);
/// Members and groups whose acknowledgements are collected at a time. One more is dropped and counted in
/// `tidings_group_acks_dropped_total`; acknowledgements are cumulative, the client's next one says it again.
pub const ACKS_MAX: usize = 65_536;

/// An acknowledgement of one client.
#[derive(Clone, Debug)]
pub(crate) struct Ack {
    pub(crate) from: ConnectionRef,
    pub(crate) uid: Uid,
    pub(crate) upto: Seq,
}

/// What is collected. In order of groups, so that those of one come to its owner one after the other.
#[derive(Default)]
pub(super) struct Acks {
    newest: BTreeMap<(Gid, Uid), (Seq, ConnectionRef)>,
}

impl Acks {
    /// Whether it is the first one of this while.
    pub(super) fn note(&mut self, gid: &Gid, ack: Ack) -> bool {
        let Ack { from, uid, upto } = ack;
        let (first, full) = (self.newest.is_empty(), self.newest.len() >= ACKS_MAX);
        let key = (gid.clone(), uid);
        match self.newest.get_mut(&key) {
            Some(known) if known.0 >= upto => {}
            Some(known) => *known = (upto, from),
            None if full => metrics::counter!("tidings_group_acks_dropped_total").increment(1),
            None => drop(self.newest.insert(key, (upto, from))),
        }
        first
    }

    fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = GroupCommand> + use<> {
        std::mem::take(&mut self.newest).into_iter().map(|((gid, uid), (upto, from))| GroupCommand {
            from,
            op_id: 0,
            uid,
            gid,
            op: GroupOp::Ack(upto),
        })
    }

    /// The owner did not take it; there may be a newer one by now.
    pub(super) fn put_back(&mut self, command: GroupCommand) {
        let GroupCommand { from, uid, gid, op, .. } = command;
        if let GroupOp::Ack(upto) = op {
            self.note(&gid, Ack { from, uid, upto });
        }
    }
}

/// Tells the owners what was collected, [`ACK_DELAY`] after the first of it.
#[derive(Default)]
pub(super) struct TellOwners {
    due: Option<Pin<Box<Sleep>>>,
}

impl ActorFuture<Hub> for TellOwners {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        hub: &mut Hub,
        _: &mut Context<Hub>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Self::Output> {
        loop {
            if let Some(due) = &mut self.due {
                ready!(due.as_mut().poll(cx));
                self.due = None;
                hub.tell_owners();
            }
            if hub.roster.groups().acks.is_empty() {
                return Poll::Pending;
            }
            self.due = Some(Box::pin(sleep(ACK_DELAY)));
        }
    }
}

impl Hub {
    fn tell_owners(&mut self) {
        let commands = self.roster.groups().acks.take();
        for command in commands {
            let shard = command.gid.shard(self.parts.shards);
            match self.parts.link.group(shard, command) {
                // Closed: its shard is about to end, and the client says it again to the next one.
                Offer::Taken | Offer::Closed(_) => {}
                Offer::Full(command) => self.roster.groups().acks.put_back(command),
            }
        }
    }
}
