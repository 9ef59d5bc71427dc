//! Heartbeats, answered here: no other actor is woken for one.

use tidings_schema::wire;

use super::Connection;
use crate::port::link::OpId;

impl Connection {
    /// The client announces its next frame within `interval_ms`; 0 leaves it as it is.
    pub(super) fn ping(&mut self, op_id: OpId, ping: wire::Ping) {
        self.heartbeat.announced(ping.interval_ms, self.parts.clock.uptime());
        self.pulse.at_latest(self.heartbeat.deadline());
        let (inbox_head, time) = (self.deliveries.head().get(), self.parts.clock.now().get());
        let pong = wire::Pong { inbox_head, time, behind: self.groups_behind() };
        self.say(op_id, wire::server_frame::Body::Pong(pong));
    }
}
