//! Frames of groups on their way to the connections of this node: one relay per node, one [`Lane`] to the hub of each edge
//! worker.
//!
//! It is no actor: whoever owns a group puts a frame into the lanes in its own turn, and a hub takes what its lane holds when
//! it has written what it took before. So a frame changes threads once, and what waits for a busy worker leaves together.

mod lane;

use std::sync::{Arc, PoisonError, RwLock};

use tidings_schema::id::Gid;

pub(crate) use lane::Parcel;
pub use lane::{LANE_FRAMES_MAX, Lane};

use crate::{offer::Offer, port::link::FanOut};

/// The lanes of one node. Used from every thread.
#[derive(Default)]
pub struct Relay {
    lanes: RwLock<Vec<Arc<Lane>>>,
}

impl Relay {
    /// The lane of one more worker.
    #[must_use]
    pub fn lane(&self) -> Arc<Lane> {
        let lane = Arc::<Lane>::default();
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|lane| !lane.is_closed());
        lanes.push(Arc::clone(&lane));
        lane
    }

    /// Hands a frame to every worker with a connection that wants the group. Those of one group come in order from one
    /// thread. None is refused: what a worker has no room for it is told as a head. `Closed`: there is no such connection.
    pub fn fan_out(&self, frame: FanOut) -> Offer<FanOut> {
        let frame = Arc::new(frame);
        let mut wanted = false;
        for lane in self.lanes.read().unwrap_or_else(PoisonError::into_inner).iter() {
            wanted |= lane.put(&frame);
        }
        if wanted {
            return Offer::Taken;
        }
        // Nobody else has it, so it comes back.
        Arc::try_unwrap(frame).map_or(Offer::Taken, Offer::Closed)
    }

    /// Whether a connection of this node wants the group.
    #[must_use]
    pub fn wants(&self, gid: &Gid) -> bool {
        self.lanes.read().unwrap_or_else(PoisonError::into_inner).iter().any(|lane| lane.wants(gid))
    }
}
