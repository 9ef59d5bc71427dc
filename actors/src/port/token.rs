//! Who is asking: turns a token into a user. The runtime keeps no passwords.

use tidings_schema::id::{DeviceId, Millis, Uid};

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The user (`sub`).
    pub uid: Uid,
    /// The one device this token is good for (`dev`); absent: any.
    pub device: Option<DeviceId>,
    /// When it was issued (`iat`); zero when it does not say.
    pub issued: Millis,
    /// End of validity.
    pub expires: Millis,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Malformed, forged, of an algorithm that is not accepted, or without a valid user.
    #[error("token is not valid")]
    Invalid,
    /// Will be valid later.
    #[error("token is not valid yet")]
    NotYet,
    /// Was valid once.
    #[error("token is expired")]
    Expired,
}

/// Checks tokens. Pure work, no I/O: it runs on the edge workers.
pub trait Tokens: Send + Sync + 'static {
    /// The claims of a valid token.
    ///
    /// # Errors
    /// [`TokenError`]; the reason is never more precise than the caller may know.
    fn verify(&self, token: &str, now: Millis) -> Result<Claims, TokenError>;
}
