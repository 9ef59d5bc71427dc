//! How a connection ends: a typed error or `go_away` first, then the close of the transport, then silence.

use tidings_schema::{error_code::ErrorCode, wire};
use tracing::info;

use super::{Connection, Stage};
use crate::port::edge::CloseReason;

/// When a client that was closed for its own good may come back.
const RECONNECT_AFTER_MS: u64 = 100;

/// A good-bye, and when to come back.
#[derive(Clone, Copy, Debug)]
pub(super) struct GoAway {
    pub(super) reason: wire::GoAwayReason,
    pub(super) reconnect_after_ms: u64,
}

impl GoAway {
    /// The node stops.
    pub(super) fn drain(reconnect_after_ms: u64) -> Self {
        Self { reason: wire::GoAwayReason::Drain, reconnect_after_ms }
    }

    /// The token runs out soon: refresh it on this connection, or come back with another.
    pub(super) fn token_ends() -> Self {
        Self { reason: wire::GoAwayReason::SignIn, reconnect_after_ms: RECONNECT_AFTER_MS }
    }

    pub(super) fn because(reason: wire::GoAwayReason) -> Self {
        let reconnect_after_ms = match reason {
            wire::GoAwayReason::Unspecified | wire::GoAwayReason::Replaced | wire::GoAwayReason::SignIn => 0,
            wire::GoAwayReason::Drain | wire::GoAwayReason::Slow | wire::GoAwayReason::Dead => RECONNECT_AFTER_MS,
        };
        Self { reason, reconnect_after_ms }
    }

    fn close_reason(self) -> CloseReason {
        match self.reason {
            wire::GoAwayReason::Unspecified => CloseReason::Gone,
            wire::GoAwayReason::Drain => CloseReason::Drain,
            wire::GoAwayReason::Replaced => CloseReason::Replaced,
            wire::GoAwayReason::Slow => CloseReason::Slow,
            wire::GoAwayReason::Dead => CloseReason::Dead,
            wire::GoAwayReason::SignIn => CloseReason::Unauthorized,
        }
    }
}

impl Connection {
    pub(super) fn go_away(&mut self, go_away: GoAway) {
        if self.is_closing() {
            return;
        }
        self.say_go_away(go_away);
        self.close(go_away.close_reason());
    }

    /// A mistake that ends the connection: says which, then closes.
    pub(super) fn fail(&mut self, code: ErrorCode, text: &str, reason: CloseReason) {
        self.error(0, code, text);
        self.close(reason);
    }

    /// Closes; only the first reason counts.
    pub(super) fn close(&mut self, reason: CloseReason) {
        if self.is_closing() {
            return;
        }
        let uid = self.identity.as_ref().map(|identity| tracing::field::display(&identity.uid));
        info!(connection = %self.at, uid, reason = reason.label(), "closing connection");
        metrics::counter!("tidings_connections_closed_total", "reason" => reason.label()).increment(1);
        self.leave_groups();
        self.outlet.close(reason);
        let until = self.parts.clock.uptime().plus(self.parts.limits.close_wait_ms);
        self.stage = Stage::Closing { until };
        self.pulse.at_latest(until);
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing { .. })
    }
}
