//! Fan-out on one worker, in rounds: everything that waits is offered to the connections that want it, then each of them is
//! written once. What comes meanwhile waits for the next round and leaves together.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use actix::{Context, fut::ActorFuture};
use bytes::Bytes;
use prost::Message as _;
use tidings_schema::{
    id::{Gid, Seq},
    wire,
};
use tidings_state::group::subscriptions::{Offer, What};

use super::{Hub, Roster, groups::Groups};
use crate::{
    connection,
    port::{
        edge::Encoding,
        link::{EntryFrame, FanOut},
    },
    relay::{Lane, Parcel},
};

/// Offers and writes of one turn of the hub; then the connections of the worker get theirs.
pub const TURN_STEPS_MAX: usize = 256;

/// Offers after which a round takes no other frame: those who were offered something first should not wait for long.
pub const ROUND_OFFERS_MAX: usize = 32 * 1024;

/// Room for offers that a quiet worker keeps.
const OFFERS_KEPT_MAX: usize = 1_024;

/// The rounds of one hub; never ends before it.
pub(super) struct Rounds {
    lane: Arc<Lane>,
    /// Taken out of the lane, not yet begun.
    parcels: VecDeque<Parcel>,
    /// What is being offered now.
    current: Option<Current>,
    offers: Vec<Offer>,
    /// Of `offers` so many are done.
    done: usize,
    /// Offers of this round.
    offered: usize,
}

/// A frame of a group, or frames that it missed.
struct Current {
    gid: Gid,
    words: Words,
}

/// What is said of it.
struct Words {
    head: Seq,
    frame: Option<Arc<FanOut>>,
    /// Made for the first connection that is behind.
    behind: Option<EntryFrame>,
}

impl Words {
    fn payload(&mut self, gid: &Gid, what: What, encoding: Encoding) -> Bytes {
        let frame = match (what, &self.frame) {
            (What::Frame, Some(frame)) => &*frame.frame,
            (What::Frame | What::Head, _) => self.behind.get_or_insert_with(|| behind(gid, self.head)),
        };
        match encoding {
            Encoding::Protobuf => frame.protobuf(),
            Encoding::Json => frame.json(),
        }
    }
}

fn behind(gid: &Gid, head: Seq) -> EntryFrame {
    let frame = wire::ServerFrame { re: 0, body: Some(connection::behind(gid, head)) };
    EntryFrame::new(frame.encode_to_vec().into())
}

impl Rounds {
    pub(super) fn new(lane: Arc<Lane>) -> Self {
        Self { lane, parcels: VecDeque::new(), current: None, offers: Vec::new(), done: 0, offered: 0 }
    }

    /// Pending, and nothing will wake: all is written.
    pub(super) fn turn(&mut self, roster: &Roster, cx: &mut TaskContext<'_>) -> Poll<()> {
        let mut groups = roster.groups();
        for _ in 0..TURN_STEPS_MAX {
            if self.offer_next(&mut groups) || self.begin_next(&mut groups, roster) || groups.write_next() {
                continue;
            }
            self.offered = 0;
            if self.parcels.is_empty() && self.lane.poll_take(cx, &mut self.parcels).is_pending() {
                self.parcels = VecDeque::new();
                self.offers.shrink_to(OFFERS_KEPT_MAX);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    fn offer_next(&mut self, groups: &mut Groups) -> bool {
        let (Some(current), Some(offer)) = (&mut self.current, self.offers.get(self.done)) else { return false };
        let Current { gid, words } = current;
        groups.offer(*offer, gid, |encoding| words.payload(gid, offer.what, encoding));
        (self.done, self.offered) = (self.done + 1, self.offered + 1);
        true
    }

    fn begin_next(&mut self, groups: &mut Groups, roster: &Roster) -> bool {
        (self.current, self.done) = (None, 0);
        self.offers.clear();
        if self.offered >= ROUND_OFFERS_MAX {
            return false;
        }
        let Some(parcel) = self.parcels.pop_front() else { return false };
        self.current = Some(self.begin(parcel, groups, roster));
        true
    }

    fn begin(&mut self, parcel: Parcel, groups: &mut Groups, roster: &Roster) -> Current {
        match parcel {
            Parcel::Frame(frame) => {
                groups.frame(&frame, &mut self.offers);
                let gid = frame.gid.clone();
                Current { gid, words: Words { head: frame.upto, frame: Some(frame), behind: None } }
            }
            Parcel::Missed(gid, missed) => {
                let head = missed.head;
                for seat in groups.missed(&gid, missed, &mut self.offers) {
                    roster.due_now(seat);
                }
                Current { gid, words: Words { head, frame: None, behind: None } }
            }
        }
    }
}

impl ActorFuture<Hub> for Rounds {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        hub: &mut Hub,
        _: &mut Context<Hub>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Self::Output> {
        if self.turn(&hub.roster, cx).is_ready() {
            // Not done: the connections of this worker first.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
