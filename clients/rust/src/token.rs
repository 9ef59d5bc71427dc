//! Where a client gets its token: asked anew for every connection, and before the token of a live one ends.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The place that issues them cannot be reached; asked again with backoff.
    #[error("no token for now: {0}")]
    Later(String),
    /// There will be none; the client stops.
    #[error("no token: {0}")]
    Never(String),
}

pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

/// Issues the token of each connection, and another one before that ends.
#[derive(Clone)]
pub struct TokenSource(Arc<dyn Fn() -> Answer + Send + Sync>);

impl TokenSource {
    /// Asks `issue` for every connection, and when the server says that a token ends soon.
    pub fn new<F, A>(issue: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(issue())))
    }

    /// Always the same token.
    #[must_use]
    pub fn fixed(token: impl Into<String>) -> Self {
        let token = token.into();
        Self::new(move || std::future::ready(Ok(token.clone())))
    }

    pub(crate) fn ask(&self) -> Answer {
        (self.0)()
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource")
    }
}
