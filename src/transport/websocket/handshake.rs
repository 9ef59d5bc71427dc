//! May this HTTP request become a connection? Answers 101, or says what is wrong with it.

use actix_http::{
    RequestHead,
    header::{HeaderMap, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL},
    ws::{self, HandshakeError},
};
use tidings_actors::{hub::census::Refused, port::edge::Encoding};

/// Where clients connect.
pub const PATH: &str = "/v1/ws";

const PROTO: &str = "tidings.v1.proto";
const JSON: &str = "tidings.v1.json";

/// What was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Known when a subprotocol was agreed on.
    pub encoding: Option<Encoding>,
    /// The response, to be written as it is.
    pub response: String,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another path.
    NotFound,
    /// Another method than GET.
    NotGet,
    /// No WebSocket, or another version of it.
    UpgradeRequired,
    /// A header is wrong or missing.
    Bad,
    /// No subprotocol that the client offers is known.
    UnknownSubprotocol,
    /// The node takes no more.
    Full(Refused),
}

impl Refusal {
    /// The response, to be written as it is; the socket is closed behind it.
    #[must_use]
    pub fn response(self) -> String {
        let (status, extra, text) = match self {
            Self::NotFound => ("404 Not Found", "", "connect to /v1/ws"),
            Self::NotGet => ("405 Method Not Allowed", "allow: GET\r\n", "connect with GET"),
            Self::UpgradeRequired => (
                "426 Upgrade Required",
                "upgrade: websocket\r\nsec-websocket-version: 13\r\n",
                "connect with a websocket of version 13",
            ),
            Self::Bad => ("400 Bad Request", "", "not a websocket handshake"),
            Self::UnknownSubprotocol => ("400 Bad Request", "", "offer tidings.v1.proto or tidings.v1.json"),
            Self::Full(Refused::Stopping) => ("503 Service Unavailable", "retry-after: 1\r\n", "the node stops"),
            Self::Full(_) => ("503 Service Unavailable", "retry-after: 1\r\n", "too many connections"),
        };
        let len = text.len() + 1;
        format!(
            "HTTP/1.1 {status}\r\n{extra}content-type: text/plain\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n{text}\n"
        )
    }
}

/// Judges a request.
///
/// # Errors
/// [`Refusal`], to be answered with its response.
pub fn agree(head: &RequestHead) -> Result<Agreed, Refusal> {
    if head.uri.path() != PATH {
        return Err(Refusal::NotFound);
    }
    ws::verify_handshake(head).map_err(|why| match why {
        HandshakeError::GetMethodRequired => Refusal::NotGet,
        HandshakeError::NoWebsocketUpgrade | HandshakeError::NoVersionHeader | HandshakeError::UnsupportedVersion => {
            Refusal::UpgradeRequired
        }
        HandshakeError::NoConnectionUpgrade | HandshakeError::BadWebsocketKey => Refusal::Bad,
    })?;
    let key = head.headers().get(SEC_WEBSOCKET_KEY).ok_or(Refusal::Bad)?;
    let accept = ws::hash_key(key.as_bytes());
    let accept = std::str::from_utf8(&accept).map_err(|_| Refusal::Bad)?;
    let encoding = subprotocol(head.headers())?;
    let named = match encoding {
        None => String::new(),
        Some(Encoding::Protobuf) => format!("sec-websocket-protocol: {PROTO}\r\n"),
        Some(Encoding::Json) => format!("sec-websocket-protocol: {JSON}\r\n"),
    };
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n{named}\r\n"
    );
    Ok(Agreed { encoding, response })
}

/// The first one in the client's order that is known; none offered is fine.
fn subprotocol(headers: &HeaderMap) -> Result<Option<Encoding>, Refusal> {
    let mut offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok()).peekable();
    if offered.peek().is_none() {
        return Ok(None);
    }
    let known = offered.flat_map(|value| value.split(',')).find_map(|name| match name.trim() {
        PROTO => Some(Encoding::Protobuf),
        JSON => Some(Encoding::Json),
        _ => None,
    });
    known.map(Some).ok_or(Refusal::UnknownSubprotocol)
}

#[cfg(test)]
mod tests {
    use actix_http::{Method, Request, header::HeaderName, header::HeaderValue};

    use super::*;

    fn request(method: Method, path: &str, headers: &[(&'static str, &'static str)]) -> Result<Agreed, Refusal> {
        let mut request = Request::new();
        let head = request.head_mut();
        head.method = method;
        head.uri = path.parse().unwrap();
        for &(name, value) in headers {
            head.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        agree(request.head())
    }

    const GOOD: &[(&str, &str)] = &[
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let agreed = request(Method::GET, "/v1/ws", GOOD).unwrap();
        assert!(agreed.response.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert_eq!(agreed.encoding, None);
    }

    #[test]
    fn the_first_known_subprotocol_is_taken() {
        let with = |names| request(Method::GET, "/v1/ws", &[GOOD, &[("sec-websocket-protocol", names)]].concat());
        assert_eq!(with("mqtt, tidings.v1.json, tidings.v1.proto").unwrap().encoding, Some(Encoding::Json));
        assert!(with("tidings.v1.proto").unwrap().response.contains("sec-websocket-protocol: tidings.v1.proto\r\n"));
        assert_eq!(with("mqtt").unwrap_err(), Refusal::UnknownSubprotocol);
    }

    #[test]
    fn everything_else_is_refused_with_its_status() {
        let without = |name| GOOD.iter().copied().filter(|header| header.0 != name).collect::<Vec<_>>();
        for (status, answer) in [
            ("404", request(Method::GET, "/v1/other", GOOD)),
            ("405", request(Method::POST, "/v1/ws", GOOD)),
            ("405", request(Method::CONNECT, "/v1/ws", GOOD)),
            ("426", request(Method::GET, "/v1/ws", &without("upgrade"))),
            ("426", request(Method::GET, "/v1/ws", &without("sec-websocket-version"))),
            ("400", request(Method::GET, "/v1/ws", &without("sec-websocket-key"))),
        ] {
            let response = answer.unwrap_err().response();
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        }
    }
}
