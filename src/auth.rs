//! Tokens: JSON Web Tokens signed with HS256 by whoever knows the secret, usually the app's own user centre.
//!
//! `sub` is the user, `exp` the end of validity; optional are `nbf`, its begin, `iat`, when it was issued (a token without
//! one counts as issued before every sign-out), and `dev`, the one device the token is good for. Every other algorithm is refused, `none` first of all. Users that begin with `@` are the system's and get no token.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use tidings_actors::port::{
    clock::Clock as _,
    token::{Claims, TokenError, Tokens},
};
use tidings_schema::id::{DeviceId, Millis, Uid};
use uuid::Uuid;

use crate::clock::SystemClock;

/// Shortest secret in bytes: as long as the hash (RFC 7518, 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// A token may be so much ahead of this machine's clock.
const LEEWAY_MS: u64 = 30_000;

/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// File in the data directory with the secret of dev mode.
pub const DEV_KEY_FILE: &str = "dev.key";

/// Why there are no tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The secret can be guessed.
    #[error(
        "the token secret has {0} bytes, it needs at least {SECRET_BYTES_MIN}: generate one with `openssl rand -hex 32`"
    )]
    SecretTooShort(usize),
    /// Users that begin with `@` are the system's.
    #[error("users that begin with `@` get no token")]
    SystemUser,
    /// A key file cannot be read or made.
    #[error("key file {path}: {why}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The token could not be written.
    #[error("the token could not be signed")]
    Signing,
}

#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    sub: String,
    exp: u64,
    /// With a fraction, so that a token signed right after a sign-out is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dev: Option<String>,
}

/// Checks and mints tokens with one secret.
pub struct JwtTokens {
    decoding: DecodingKey,
    encoding: EncodingKey,
    validation: Validation,
}

impl JwtTokens {
    /// Tokens signed with `secret`; surrounding white space does not count, so that a key file may end in a new line.
    ///
    /// # Errors
    /// [`AuthError::SecretTooShort`].
    pub fn from_secret(secret: &[u8]) -> Result<Self, AuthError> {
        let secret = secret.trim_ascii();
        if secret.len() < SECRET_BYTES_MIN {
            return Err(AuthError::SecretTooShort(secret.len()));
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "sub"]);
        // The library would read a clock of its own; time is an argument here.
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(Self { decoding: DecodingKey::from_secret(secret), encoding: EncodingKey::from_secret(secret), validation })
    }

    /// Tokens signed with the secret in a file.
    ///
    /// # Errors
    /// When it cannot be read, or is too short.
    pub fn from_file(path: &Path) -> Result<Self, AuthError> {
        Self::from_secret(&fs::read(path).map_err(|why| file_error(path, &why))?)
    }

    /// Tokens of dev mode: the data directory keeps a random secret, readable by its owner only, so that tokens outlive
    /// a restart.
    ///
    /// # Errors
    /// When the file can neither be read nor made.
    pub fn dev(dir: &Path) -> Result<Self, AuthError> {
        let path = dir.join(DEV_KEY_FILE);
        if !path.exists() {
            // Each v4 UUID has 122 random bits.
            let secret = format!("{}{}\n", Uuid::new_v4().simple(), Uuid::new_v4().simple());
            let mut options = fs::OpenOptions::new();
            let made = options.write(true).create_new(true).mode(0o600).open(&path);
            made.and_then(|mut file| file.write_all(secret.as_bytes())).map_err(|why| file_error(&path, &why))?;
        }
        Self::from_file(&path)
    }

    /// A token for `uid`, issued now and valid until `expires`; for one device, or for any.
    ///
    /// # Errors
    /// [`AuthError::SystemUser`]; [`AuthError::Signing`] should not happen.
    pub fn mint(
        &self,
        uid: &Uid,
        device: Option<&DeviceId>,
        issued: Millis,
        expires: Millis,
    ) -> Result<String, AuthError> {
        if uid.is_system() {
            return Err(AuthError::SystemUser);
        }
        let payload = Payload {
            sub: uid.as_str().to_owned(),
            exp: expires.get() / 1_000,
            iat: Some(issued.get() as f64 / 1_000.0),
            nbf: None,
            dev: device.map(|device| device.as_str().to_owned()),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &payload, &self.encoding).map_err(|_| AuthError::Signing)
    }

    /// A token that is valid from now on for `ttl`.
    ///
    /// # Errors
    /// As [`Self::mint`].
    pub fn mint_for(&self, uid: &Uid, device: Option<&DeviceId>, ttl: Duration) -> Result<String, AuthError> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let now = SystemClock::new().now();
        self.mint(uid, device, now, now.plus(ttl_ms))
    }
}

impl Tokens for JwtTokens {
    fn verify(&self, token: &str, now: Millis) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let data = jsonwebtoken::decode::<Payload>(token, &self.decoding, &self.validation);
        let payload = data.map_err(|why| refusal(why.kind()))?.claims;
        let uid: Uid = payload.sub.parse().map_err(|_| TokenError::Invalid)?;
        if uid.is_system() {
            return Err(TokenError::Invalid);
        }
        let device = payload.dev.map(|device| device.parse()).transpose().map_err(|_| TokenError::Invalid)?;
        let expires = Millis::new(payload.exp.saturating_mul(1_000));
        if expires <= now {
            return Err(TokenError::Expired);
        }
        if payload.nbf.is_some_and(|nbf| millis(nbf) > now.plus(LEEWAY_MS)) {
            return Err(TokenError::NotYet);
        }
        let issued = payload.iat.map(millis).unwrap_or_default();
        // One from the future would outlive every sign-out; it may be in milliseconds by mistake.
        if issued > now.plus(LEEWAY_MS) {
            return Err(TokenError::NotYet);
        }
        Ok(Claims { uid, device, issued, expires })
    }
}

/// Seconds, with or without a fraction (RFC 7519, 2: NumericDate). What lies before 1970 is 0.
fn millis(seconds: f64) -> Millis {
    Millis::new((seconds * 1_000.0).round() as u64)
}

fn file_error(path: &Path, why: &std::io::Error) -> AuthError {
    AuthError::File { path: path.to_owned(), why: why.to_string() }
}

fn refusal(why: &ErrorKind) -> TokenError {
    match why {
        ErrorKind::ExpiredSignature => TokenError::Expired,
        _ => TokenError::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::*;

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const NOW: Millis = Millis::new(1_764_000_000_000);

    fn tokens() -> JwtTokens {
        JwtTokens::from_secret(SECRET).unwrap()
    }

    fn signed(alg: Algorithm, payload: &serde_json::Value, secret: &[u8]) -> String {
        jsonwebtoken::encode(&Header::new(alg), payload, &EncodingKey::from_secret(secret)).unwrap()
    }

    fn exp() -> u64 {
        NOW.get() / 1_000 + 60
    }

    #[test]
    fn a_minted_token_names_its_user_and_device_until_it_expires() {
        let (uid, device): (Uid, DeviceId) = ("alice".parse().unwrap(), "web-1".parse().unwrap());
        let token = tokens().mint(&uid, Some(&device), NOW, NOW.plus(60_000)).unwrap();
        let claims = tokens().verify(&token, NOW).unwrap();
        assert_eq!((claims.uid, claims.device, claims.issued), (uid, Some(device), NOW));
        assert_eq!(tokens().verify(&token, NOW.plus(60_000)), Err(TokenError::Expired));
    }

    #[test]
    fn a_forged_token_and_any_other_algorithm_are_refused() {
        let payload = serde_json::json!({"sub": "alice", "exp": exp()});
        assert!(tokens().verify(&signed(Algorithm::HS256, &payload, SECRET), NOW).is_ok());
        let forged = signed(Algorithm::HS256, &payload, b"another secret of enough bytes!!");
        let none = format!(
            "{}.{}.",
            BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#),
            BASE64_URL_SAFE_NO_PAD.encode(payload.to_string()),
        );
        for bad in [forged, signed(Algorithm::HS384, &payload, SECRET), none, String::new(), "a.b.c".into()] {
            assert_eq!(tokens().verify(&bad, NOW), Err(TokenError::Invalid), "{bad}");
        }
    }

    #[test]
    fn a_token_without_end_or_without_a_users_id_is_refused() {
        for payload in [
            serde_json::json!({"sub": "alice"}),
            serde_json::json!({"exp": exp()}),
            serde_json::json!({"sub": "@system", "exp": exp()}),
            serde_json::json!({"sub": "a b", "exp": exp()}),
            serde_json::json!({"sub": "alice", "exp": exp(), "dev": ""}),
        ] {
            let token = signed(Algorithm::HS256, &payload, SECRET);
            assert_eq!(tokens().verify(&token, NOW), Err(TokenError::Invalid), "{payload}");
        }
    }

    #[test]
    fn a_token_is_good_from_its_begin_on_with_little_leeway() {
        let now = NOW.get() / 1_000;
        let verify = |nbf: u64| {
            let payload = serde_json::json!({"sub": "alice", "exp": exp(), "nbf": nbf});
            tokens().verify(&signed(Algorithm::HS256, &payload, SECRET), NOW)
        };
        assert_eq!(verify(now + 31), Err(TokenError::NotYet));
        assert!(verify(now + 30).is_ok() && verify(now).is_ok());
    }

    #[test]
    fn a_token_says_when_it_was_issued_or_counts_as_the_oldest() {
        for (payload, issued) in [
            (serde_json::json!({"sub": "alice", "exp": exp()}), 0),
            (serde_json::json!({"sub": "alice", "exp": exp(), "iat": 1_764_000_000}), 1_764_000_000_000),
            (serde_json::json!({"sub": "alice", "exp": exp(), "iat": 1_764_000_000.25}), 1_764_000_000_250),
            (serde_json::json!({"sub": "alice", "exp": exp(), "iat": -5}), 0),
        ] {
            let claims = tokens().verify(&signed(Algorithm::HS256, &payload, SECRET), NOW).unwrap();
            assert_eq!(claims.issued, Millis::new(issued), "{payload}");
        }
    }

    #[test]
    fn a_token_from_the_future_which_no_sign_out_would_reach_is_refused() {
        let verify = |iat: u64| {
            let payload = serde_json::json!({"sub": "alice", "exp": exp(), "iat": iat});
            tokens().verify(&signed(Algorithm::HS256, &payload, SECRET), NOW)
        };
        let now = NOW.get() / 1_000;
        assert!(verify(now + 30).is_ok());
        assert_eq!(verify(now + 31), Err(TokenError::NotYet));
        assert_eq!(verify(NOW.get()), Err(TokenError::NotYet), "in milliseconds by mistake");
    }

    #[test]
    fn a_short_secret_is_refused_with_advice() {
        let why = JwtTokens::from_secret(b"secret\n").err().unwrap();
        assert_eq!(why, AuthError::SecretTooShort(6));
        assert!(why.to_string().contains("openssl rand"));
    }
}
