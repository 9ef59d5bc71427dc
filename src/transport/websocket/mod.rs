//! Client connections over WebSocket (RFC 6455, server side): path `/v1/ws`, subprotocols `tidings.v1.proto` (binary
//! frames) and `tidings.v1.json` (text frames); with none, the first frame decides.

pub mod codec;
pub mod handshake;
mod messages;
mod outlet;
mod socket;
mod source;
mod utf8;

use std::{rc::Rc, sync::Arc};

use actix_rt::net::TcpStream;
use bytes::BytesMut;
use tidings_actors::port::edge::{Encoding, Outlet, Source};

use super::out_queue::OutBudget;

pub use messages::{Message, Messages};
pub use socket::Socket;

/// The two ends of an upgraded socket. `early` holds what the client sent right behind its request; `encoding` is known
/// when a subprotocol was agreed on.
#[must_use]
pub fn ends(
    stream: TcpStream,
    early: BytesMut,
    encoding: Option<Encoding>,
    budget: Arc<OutBudget>,
) -> (Rc<dyn Outlet>, Box<dyn Source>) {
    let socket = Rc::new(Socket::new(stream, encoding, budget));
    let source = source::WebSocketSource::new(Rc::clone(&socket), early);
    (socket, Box::new(source))
}

/// The two ends of an upgraded socket below the frames of the protocol: whole messages, whatever they say.
#[must_use]
pub fn message_ends(stream: TcpStream, early: BytesMut, budget: Arc<OutBudget>) -> (Rc<Socket>, Messages) {
    let socket = Rc::new(Socket::new(stream, None, budget));
    let messages = Messages::new(Rc::clone(&socket), early);
    (socket, messages)
}
