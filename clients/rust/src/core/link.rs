//! The life of a connection as the core sees it: wanted, open, lost, and when it is tried again.

use tidings_schema::{
    id::Millis,
    wire::{self, client_frame::Op},
};

use super::{ConnectionState, Core, Event, Output, Phase, RequestError, StopReason, ask::Asked, server};

/// Protocol revision this client was written for.
const REVISION: u32 = 1;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It could not be opened, or broke without a word.
    Broken,
    /// A close frame with this code.
    Closed(u16),
    /// There is no token to be had for now.
    NoToken,
    /// There will be none; the app has to do something.
    TokenRefused(String),
}

impl Core {
    /// A connection is open; `token` says who we are.
    pub fn connected(&mut self, token: String, now: Millis) {
        self.phase = Phase::Greeting { since: now };
        let hello = wire::Hello {
            token,
            device_id: self.identity.device_id.clone().unwrap_or_default(),
            platform: self.identity.platform.clone(),
            resume: self.inbox.resume(),
            revision: REVISION,
        };
        let id = self.fresh_frame();
        self.write(id, Op::Hello(hello));
    }

    /// The connection is gone, or could not be opened.
    pub fn disconnected(&mut self, lost: &Lost, now: Millis) {
        match lost {
            Lost::Closed(server::CLOSE_REPLACED) => self.stop(StopReason::Replaced),
            Lost::TokenRefused(why) => self.stop(StopReason::Unauthorized(why.clone())),
            Lost::Broken | Lost::Closed(_) | Lost::NoToken => self.reconnect_later(now),
        }
    }

    /// This side ends the connection.
    pub(super) fn give_up(&mut self, now: Millis) {
        self.outputs.push_back(Output::Disconnect);
        self.reconnect_later(now);
    }

    fn reconnect_later(&mut self, now: Millis) {
        if matches!(self.phase, Phase::Waiting { .. } | Phase::Stopped) {
            return;
        }
        self.forget_connection();
        let asked_ms = std::mem::take(&mut self.asked_to_wait_ms);
        let random = self.next_random();
        let retry_in_ms = self.backoff.failed(asked_ms, random, now);
        self.phase = Phase::Waiting { until: now.plus(retry_in_ms) };
        self.event(Event::Connection(ConnectionState::Waiting { retry_in_ms }));
    }

    pub(super) fn stop(&mut self, reason: StopReason) {
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        self.forget_connection();
        for request in self.changes.give_up() {
            self.answer(request, Err(RequestError::Disconnected));
        }
        self.phase = Phase::Stopped;
        self.outputs.push_back(Output::Disconnect);
        self.event(Event::Connection(ConnectionState::Stopped(reason)));
    }

    fn forget_connection(&mut self) {
        self.heartbeat.stop();
        self.outgoing.disconnected();
        self.changes.disconnected();
        self.pull_at = None;
        self.markers.values_mut().for_each(|marker| marker.asked = false);
        for (_, asked) in std::mem::take(&mut self.asked) {
            if let Asked::App { request, .. } = asked {
                self.answer(request, Err(RequestError::Disconnected));
            }
        }
    }

    /// xorshift64: jitter needs no more.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
