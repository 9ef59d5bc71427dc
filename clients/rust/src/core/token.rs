//! The token of a live connection: another one is asked for when the server says that the present one ends, and once more
//! when it was refused.

use tidings_schema::{
    error_code::ErrorCode,
    id::Millis,
    wire::{self, client_frame::Op},
};

use super::{Asked, Core, Output, Phase, StopReason};

impl Core {
    /// A token to take the place of the present one, as asked for by [`Output::RenewToken`].
    pub fn renewed(&mut self, token: String) {
        // Between connections it is of no use: the next one asks for its own.
        if matches!(self.phase, Phase::Live | Phase::Resetting { .. }) {
            self.ask(Op::Refresh(wire::Refresh { token }), Asked::Refresh);
        }
    }

    /// The server says that this connection needs another token: soon, or now.
    pub(super) fn token_ends(&mut self, go_away: &wire::GoAway, now: Millis) {
        if go_away.reconnect_after_ms > 0 {
            return self.outputs.push_back(Output::RenewToken);
        }
        self.token_refused = true;
        self.give_up(now);
    }

    /// Whether an error was about the token; then the client asks for another one, once, and else stops.
    pub(super) fn token_error(&mut self, error: &wire::Error, now: Millis) -> bool {
        let first = !self.token_refused;
        match ErrorCode::from_number(error.code) {
            Some(ErrorCode::TokenExpired | ErrorCode::TokenRevoked) if first => {
                self.token_refused = true;
                self.give_up(now);
            }
            Some(ErrorCode::BadToken | ErrorCode::TokenExpired | ErrorCode::TokenRevoked) => {
                self.stop(StopReason::Unauthorized(error.text.clone()));
            }
            _ => return false,
        }
        true
    }
}
