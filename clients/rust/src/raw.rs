//! A client without manners, for tests of malformed input: writes what it is told and shows what comes back.

use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use tidings_schema::{json, wire};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest, http::HeaderValue},
};

/// What came.
#[derive(Debug)]
pub enum Came {
    /// A frame that could be read, in either encoding.
    Frame(Box<wire::ServerFrame>),
    /// A data frame that is none of ours.
    Garbage(Vec<u8>),
    /// A close frame: code (1005 = none given) and reason.
    Closed(u16, String),
    /// The connection ended without one.
    Broken(String),
}

/// One WebSocket connection.
#[derive(Debug)]
pub struct RawClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl RawClient {
    /// Opens a connection and says nothing. `subprotocol` is offered when given.
    ///
    /// # Errors
    /// When the handshake fails; the HTTP status is in `tungstenite::Error::Http`.
    pub async fn connect(url: &str, subprotocol: Option<&'static str>) -> Result<Self, Box<tungstenite::Error>> {
        let mut request = url.into_client_request()?;
        if let Some(name) = subprotocol {
            request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(name));
        }
        let (socket, _) = connect_async(request).await?;
        Ok(Self { socket })
    }

    /// Writes a legal frame in Protobuf.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn write(&mut self, frame: &wire::ClientFrame) -> Result<(), Box<tungstenite::Error>> {
        self.write_message(Message::Binary(frame.encode_to_vec().into())).await
    }

    /// Writes any WebSocket message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn write_message(&mut self, message: Message) -> Result<(), Box<tungstenite::Error>> {
        Ok(self.socket.send(message).await?)
    }

    /// Writes bytes to the TCP connection, below the WebSocket.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn write_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let stream = self.socket.get_mut();
        stream.write_all(bytes).await?;
        stream.flush().await
    }

    /// Waits for what comes next.
    pub async fn next(&mut self) -> Came {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    return match wire::ServerFrame::decode(bytes.clone()) {
                        Ok(frame) => Came::Frame(Box::new(frame)),
                        Err(_) => Came::Garbage(bytes.to_vec()),
                    };
                }
                Some(Ok(Message::Text(text))) => {
                    return match json::decode_server(&text) {
                        Ok(frame) => Came::Frame(Box::new(frame)),
                        Err(_) => Came::Garbage(text.as_bytes().to_vec()),
                    };
                }
                Some(Ok(Message::Close(None))) => return Came::Closed(1005, String::new()),
                Some(Ok(Message::Close(Some(close)))) => {
                    return Came::Closed(close.code.into(), close.reason.to_string());
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Came::Broken(error.to_string()),
                None => return Came::Broken("end of stream".into()),
            }
        }
    }
}
