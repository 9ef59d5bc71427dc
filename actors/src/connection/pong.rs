//! Heartbeats, answered here: no other actor is woken for one.

use tidings_schema::wire;

use super::Connection;
use crate::port::link::OpId;

impl Connection {
    /// The client announces its next frame within `interval_ms`; 0 leaves it as it is.
    pub(super) fn ping(&mut self, op_id: OpId, ping: wire::Ping) {
        self.heartbeat.announced(ping.interval_ms, self.parts.clock.uptime());
        self.pulse.at_latest(self.heartbeat.deadline());
        let pong = wire::Pong { inbox_head: self.deliveries.head().get(), time: self.parts.clock.now().get() };
        self.say(op_id, wire::server_frame::Body::Pong(pong));
    }
}
