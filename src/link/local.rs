//! The link of one process: tables of addresses. Each thread keeps one address per target, because actix lets one message
//! past a queue's bound for every clone of an address.

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use actix::{Addr, WeakAddr};
use tidings_actors::{
    connection::{Connection, Tell},
    give_back::give_back,
    offer::{Offer, offer},
    port::{
        edge::Registry,
        link::{Command, ConnectionRef, FanOut, GroupCommand, Link, Op, PeerMessage, ToConnection, Visit},
    },
    relay::Relay,
    shard::{Retire, Shard},
};
use tidings_schema::{
    id::{ShardId, Uid},
    wire::server_frame::Body,
};
use tokio::sync::oneshot;

use super::desk::{self, Desk};

thread_local! {
    /// This thread's addresses of shards, by number.
    static SHARDS: RefCell<Vec<Option<Addr<Shard>>>> = const { RefCell::new(Vec::new()) };
    /// This thread's addresses of connections whose mailboxes are in memory here.
    static CONNECTIONS: RefCell<HashMap<ConnectionRef, Addr<Connection>>> = RefCell::new(HashMap::new());
}

/// Connections are kept in this many tables, so that workers seldom wait for each other.
const STRIPES: usize = 64;

/// The table of one process. An address has two allocations of its own, so that of a connection is made where it is used.
pub struct LocalLink {
    desk: Desk,
    shards: OnceLock<Vec<Addr<Shard>>>,
    connections: Vec<Mutex<HashMap<ConnectionRef, WeakAddr<Connection>>>>,
    relay: Arc<Relay>,
}

impl Default for LocalLink {
    fn default() -> Self {
        Self {
            desk: Desk::default(),
            shards: OnceLock::new(),
            connections: (0..STRIPES).map(|_| Mutex::default()).collect(),
            relay: Arc::default(),
        }
    }
}

impl LocalLink {
    /// Makes the shards reachable, in order of their numbers. Until then every offer to one is `Closed`.
    pub fn set_shards(&self, shards: Vec<Addr<Shard>>) {
        if self.shards.set(shards).is_err() {
            tracing::warn!("shards of this process were set before");
        }
    }

    /// Brings the frames of groups to the connections.
    #[must_use]
    pub fn relay(&self) -> Arc<Relay> {
        Arc::clone(&self.relay)
    }

    /// Asks a user's mailbox in the name of an operator. `None`: too many ask already, or the user's shard takes nothing
    /// now; nothing was asked. Dropping the answer changes nothing.
    pub fn ask(&self, shard: ShardId, uid: Uid, op: Op) -> Option<oneshot::Receiver<Body>> {
        let (from, answered) = self.desk.open()?;
        self.command(shard, Command { from, op_id: desk::OP_ID, uid, op }).is_taken().then_some(answered)
    }

    /// Tells every shard that the process is about to end.
    pub fn retire(&self) {
        for shard in self.shards.get().into_iter().flatten() {
            // Full or closed: its mailboxes stay marked, and the next start brings them back.
            let _ = offer(shard, Retire);
        }
    }

    /// This thread's own address of a shard.
    fn to_shard<M>(&self, shard: ShardId, message: M, send: impl FnOnce(&Addr<Shard>, M) -> Offer<M>) -> Offer<M> {
        let at = usize::from(shard.get());
        SHARDS.with_borrow_mut(|known| {
            if known.len() <= at {
                known.resize(at + 1, None);
            }
            if known[at].is_none() {
                known[at] = self.shards.get().and_then(|shards| shards.get(at)).cloned();
            }
            match &known[at] {
                Some(address) => send(address, message),
                None => Offer::Closed(message),
            }
        })
    }

    fn stripe(&self, at: ConnectionRef) -> &Mutex<HashMap<ConnectionRef, WeakAddr<Connection>>> {
        let stripe = usize::try_from(at.connection % STRIPES as u64).unwrap_or_default();
        &self.connections[stripe]
    }

    fn find(&self, at: ConnectionRef) -> Option<Addr<Connection>> {
        self.stripe(at).lock().unwrap_or_else(PoisonError::into_inner).get(&at)?.upgrade()
    }
}

impl Registry for LocalLink {
    fn register(&self, at: ConnectionRef, to: Addr<Connection>) {
        self.stripe(at).lock().unwrap_or_else(PoisonError::into_inner).insert(at, to.downgrade());
    }

    fn unregister(&self, at: ConnectionRef) {
        let mut known = self.stripe(at).lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&at);
        give_back(&mut known);
    }
}

impl Link for LocalLink {
    fn command(&self, shard: ShardId, command: Command) -> Offer<Command> {
        self.to_shard(shard, command, offer)
    }

    fn peer(&self, shard: ShardId, message: PeerMessage) -> Offer<PeerMessage> {
        self.to_shard(shard, message, offer)
    }

    fn group(&self, shard: ShardId, command: GroupCommand) -> Offer<GroupCommand> {
        self.to_shard(shard, command, offer)
    }

    fn fan_out(&self, frame: FanOut) -> Offer<FanOut> {
        self.relay.fan_out(frame)
    }

    fn sweep(&self, shard: ShardId, visit: Visit) -> Offer<Visit> {
        self.to_shard(shard, visit, offer)
    }

    fn forget(&self, connection: ConnectionRef) {
        CONNECTIONS.with_borrow_mut(|known| {
            known.remove(&connection);
            give_back(known);
        });
    }

    fn connection(&self, to: ConnectionRef, parts: Vec<ToConnection>) -> Offer<Vec<ToConnection>> {
        if Desk::is(to) {
            // Whoever asked and gave up needs no answer.
            let _heard = self.desk.told(to, parts);
            return Offer::Taken;
        }
        CONNECTIONS.with_borrow_mut(|known| {
            let address = match known.entry(to) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => match self.find(to) {
                    Some(address) => unknown.insert(address),
                    None => return Offer::Closed(parts),
                },
            };
            match offer(address, Tell { parts }) {
                Offer::Taken => Offer::Taken,
                Offer::Full(tell) => Offer::Full(tell.parts),
                Offer::Closed(tell) => {
                    known.remove(&to);
                    Offer::Closed(tell.parts)
                }
            }
        })
    }
}
