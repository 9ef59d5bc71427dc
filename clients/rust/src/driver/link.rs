//! The WebSocket of a client: opened, read in bursts, written and given up.

use std::{
    future::{Future, pending},
    pin::Pin,
};

use futures_util::{FutureExt, SinkExt, StreamExt};
use prost::Message as _;
use tidings_schema::{id::Millis, json, wire};
use tokio::{
    net::TcpStream,
    time::{Duration, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};

use super::{BATCH_MAX, Driver, Woken};
use crate::{
    config::Encoding,
    core::Lost,
    token::{Answer, TokenError, TokenSource},
};

/// A server that does not accept a connection in this time is given up.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A connection that does not take what we write in this time is given up.
pub(super) const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// Buffers of one connection; small, since one process may hold thousands.
const BUFFER_BYTES: usize = 8 * 1024;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<(Socket, String), Lost>> + Send>>;

pub(super) enum Link {
    Down,
    Connecting(Connecting),
    Up(Box<Socket>),
}

impl Driver {
    /// One message, and whatever else has arrived already.
    pub(super) fn came(&mut self, came: Option<Result<Message, tungstenite::Error>>, now: Millis) {
        let mut next = came;
        for _ in 1..BATCH_MAX {
            if let Err(lost) = self.message(next, now) {
                return self.lost(&lost);
            }
            let Link::Up(socket) = &mut self.link else { return };
            match socket.next().now_or_never() {
                Some(ready) => next = ready,
                None => return,
            }
        }
        if let Err(lost) = self.message(next, now) {
            self.lost(&lost);
        }
    }

    fn message(&mut self, came: Option<Result<Message, tungstenite::Error>>, now: Millis) -> Result<(), Lost> {
        let frame = match came {
            Some(Ok(Message::Binary(bytes))) => wire::ServerFrame::decode(bytes).ok(),
            Some(Ok(Message::Text(text))) => json::decode_server(&text).ok(),
            Some(Ok(Message::Close(close))) => {
                return Err(close.map_or(Lost::Broken, |close| Lost::Closed(close.code.into())));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(()),
            Some(Err(_)) | None => return Err(Lost::Broken),
        };
        match frame {
            Some(frame) => self.core.frame(frame, now),
            None => tracing::warn!("frame of the server cannot be read, dropped"),
        }
        Ok(())
    }

    /// Without another token the connection goes on to the end of the one it has; the next connection asks again.
    pub(super) fn renewed(&mut self, renewed: Result<String, TokenError>) {
        self.renewing = None;
        match renewed {
            Ok(token) => self.core.renewed(token),
            Err(error) => tracing::warn!(%error, "the token of this connection ends soon"),
        }
    }

    pub(super) fn lost(&mut self, lost: &Lost) {
        self.link = Link::Down;
        self.renewing = None;
        self.core.disconnected(lost, self.clock.now());
    }

    pub(super) fn hang_up(&mut self) {
        if let Link::Up(socket) = &mut self.link {
            let _ = SinkExt::close(&mut **socket).now_or_never();
        }
        self.link = Link::Down;
    }

    pub(super) async fn write(&mut self, frame: &wire::ClientFrame) -> bool {
        // A frame for a connection that broke in between: the core learns of it and says it again.
        let Link::Up(socket) = &mut self.link else { return true };
        let message = match self.encoding {
            Encoding::Protobuf => Message::Binary(frame.encode_to_vec().into()),
            Encoding::Json => Message::Text(json::encode_client(frame).into()),
        };
        matches!(timeout(WRITE_WITHIN, socket.feed(message)).await, Ok(Ok(())))
    }

    pub(super) async fn flush(&mut self) -> bool {
        let Link::Up(socket) = &mut self.link else { return true };
        match socket.flush().now_or_never() {
            Some(done) => done.is_ok(),
            None => matches!(timeout(WRITE_WITHIN, socket.flush()).await, Ok(Ok(()))),
        }
    }
}

/// What happens on the connection next.
pub(super) async fn link(link: &mut Link, may_read: bool) -> Woken {
    match link {
        Link::Connecting(opening) => Woken::Opened(opening.await),
        Link::Up(socket) if may_read => Woken::Came(socket.next().await),
        Link::Up(_) | Link::Down => pending().await,
    }
}

/// Another token, when one is asked for.
pub(super) async fn renewal(renewing: &mut Option<Answer>) -> Result<String, TokenError> {
    match renewing {
        Some(answer) => answer.await,
        None => pending().await,
    }
}

pub(super) fn open(url: String, token: TokenSource) -> Connecting {
    Box::pin(async move {
        let token = token.ask().await.map_err(|error| match error {
            TokenError::Later(_) => Lost::NoToken,
            TokenError::Never(why) => Lost::TokenRefused(why),
        })?;
        let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES);
        let opening = connect_async_with_config(url, Some(config), true);
        match timeout(CONNECT_WITHIN, opening).await {
            Ok(Ok((socket, _))) => Ok((socket, token)),
            Ok(Err(_)) | Err(_) => Err(Lost::Broken),
        }
    })
}
