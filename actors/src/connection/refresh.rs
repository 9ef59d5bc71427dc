//! The token of a live connection: a newer one may take its place, its end is announced, and with its end the connection
//! ends.

use tidings_schema::{error_code::ErrorCode, id::Millis, wire};

use super::{Connection, Identity, Stage, close::GoAway};
use crate::port::{
    edge::CloseReason,
    link::OpId,
    token::{Claims, TokenError},
};

/// A client hears of the end of its token so long before; of a short one, after half of its life.
const TOKEN_WARNING_MS: u64 = 30_000;

/// From when to when a token is good, as one connection keeps it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    issued: Millis,
    expires: Millis,
    /// When its end is announced; `None`: it was.
    warn_at: Option<Millis>,
}

impl Validity {
    /// Of a token that is taken at `now` (wall time).
    pub(super) fn new(claims: &Claims, now: Millis) -> Self {
        let ahead = TOKEN_WARNING_MS.min(claims.expires.since(now) / 2);
        let warn_at = Some(Millis::new(claims.expires.get().saturating_sub(ahead)));
        Self { issued: claims.issued, expires: claims.expires, warn_at }
    }

    /// What happens next to it.
    pub(super) fn next(&self) -> Millis {
        self.warn_at.map_or(self.expires, |warn_at| warn_at.min(self.expires))
    }
}

impl Connection {
    /// A refused token changes nothing: the connection goes on with the one it has, to its end.
    pub(super) fn refresh(&mut self, op_id: OpId, refresh: &wire::Refresh) {
        let now = self.parts.clock.now();
        let verified = self.parts.tokens.verify(&refresh.token, now);
        let Some(identity) = &mut self.identity else { return };
        let refused = match verified {
            Ok(claims) => match mismatch(identity, &claims) {
                None => {
                    identity.token = Validity::new(&claims, now);
                    self.pulse.soon();
                    return self.say_ok(op_id);
                }
                Some(why) => (ErrorCode::BadToken, why),
            },
            Err(why) => (code_of(why), text_of(why)),
        };
        self.error(op_id, refused.0, refused.1);
    }

    fn say_ok(&mut self, op_id: OpId) {
        if op_id != 0 {
            self.say(op_id, wire::server_frame::Body::Ok(wire::Ok { seq: 0 }));
        }
    }

    pub(super) fn check_token(&mut self) {
        let now = self.parts.clock.now();
        let Some(identity) = &mut self.identity else { return };
        if identity.token.expires <= now {
            return self.fail(ErrorCode::TokenExpired, "token is expired", CloseReason::Unauthorized);
        }
        let live = self.stage == Stage::Live;
        if live && identity.token.warn_at.take_if(|at| *at <= now).is_some() {
            self.say_go_away(GoAway::token_ends());
        }
    }

    /// Tokens issued before a moment are good for nothing any more.
    pub(super) fn signed_out(&mut self, before: Millis) {
        if self.identity.as_ref().is_some_and(|identity| identity.token.issued < before) {
            self.go_away(GoAway::because(wire::GoAwayReason::SignIn));
        }
    }
}

/// Why a token may not take the place of the one a connection has. An older one could be one from before a sign-out.
fn mismatch(identity: &Identity, claims: &Claims) -> Option<&'static str> {
    if claims.uid != identity.uid {
        return Some("token is for another user");
    }
    if claims.device.as_ref().is_some_and(|device| *device != identity.device) {
        return Some("token is for another device");
    }
    (claims.issued < identity.token.issued).then_some("token is older than the one in use")
}

pub(super) fn code_of(why: TokenError) -> ErrorCode {
    match why {
        TokenError::Invalid | TokenError::NotYet => ErrorCode::BadToken,
        TokenError::Expired => ErrorCode::TokenExpired,
    }
}

pub(super) fn text_of(why: TokenError) -> &'static str {
    match why {
        TokenError::Invalid => "token is not valid",
        TokenError::NotYet => "token is not valid yet",
        TokenError::Expired => "token is expired",
    }
}
