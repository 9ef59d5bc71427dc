//! Heartbeats, answered here: no other actor is woken for one.

use tidings_schema::wire;

use super::{Connection, ConnectionLimits};
use crate::port::link::OpId;

impl Connection {
    /// The client announces its next frame within `interval_ms`; 0 leaves it as it is.
    pub(super) fn ping(&mut self, op_id: OpId, ping: wire::Ping) {
        let limits = self.parts.limits;
        if ping.interval_ms != 0 {
            self.heartbeat.interval_ms = ping.interval_ms.clamp(limits.heartbeat_ms_min, limits.heartbeat_ms_max);
            let silence_ms_max = ConnectionLimits::silence_ms_max(self.heartbeat.interval_ms);
            self.pulse.at_latest(self.parts.clock.uptime().plus(silence_ms_max));
        }
        let pong = wire::Pong { inbox_head: self.deliveries.head().get(), time: self.parts.clock.now().get() };
        self.say(op_id, wire::server_frame::Body::Pong(pong));
    }
}
