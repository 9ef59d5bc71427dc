//! Frames of the protocol out of the messages of a WebSocket: text messages are JSON, binary ones Protobuf.

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use prost::Message as _;
use tidings_actors::port::edge::{Encoding, FrameError, Source};
use tidings_schema::{json, wire};

use super::{
    messages::{Message, Messages},
    socket::Socket,
};

type Frame = Result<wire::ClientFrame, FrameError>;

pub(super) struct WebSocketSource {
    socket: Rc<Socket>,
    messages: Messages,
}

impl WebSocketSource {
    pub(super) fn new(socket: Rc<Socket>, early: BytesMut) -> Self {
        Self { messages: Messages::new(Rc::clone(&socket), early), socket }
    }
}

/// The first frame, or the subprotocol, decides the encoding; a frame in the other one is malformed.
fn parse(socket: &Socket, message: Message<'_>) -> Frame {
    let encoding = match message {
        Message::Binary(_) => Encoding::Protobuf,
        Message::Text(_) => Encoding::Json,
    };
    let agreed = socket.encoding.get().unwrap_or(encoding);
    socket.encoding.set(Some(agreed));
    let frame = match message {
        _ if agreed != encoding => Err("not the encoding of this connection".into()),
        Message::Binary(bytes) => wire::ClientFrame::decode(bytes).map_err(|why| why.to_string()),
        Message::Text(text) => json::decode_client(text).map_err(|why| why.to_string()),
    };
    frame.map_err(|why| {
        socket.blame_content();
        FrameError::Malformed(why.into())
    })
}

impl Source for WebSocketSource {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        let socket = Rc::clone(&self.socket);
        self.messages.poll_next(cx, |message| parse(&socket, message))
    }

    fn set_frame_bytes_max(&mut self, bytes: usize) {
        self.messages.set_message_bytes_max(bytes);
    }

    fn encoding(&self) -> Option<Encoding> {
        self.socket.encoding.get()
    }

    fn activity(&self) -> u64 {
        self.messages.activity()
    }
}
