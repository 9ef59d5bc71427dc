//! Client connections over WebSocket (RFC 6455, server side): path `/v1/ws`, subprotocols `tidings.v1.proto` (binary
//! frames) and `tidings.v1.json` (text frames); with none, the first frame decides.

mod codec;
pub(crate) mod handshake;
mod outlet;
mod socket;
mod source;

use std::{rc::Rc, sync::Arc};

use actix_rt::net::TcpStream;
use bytes::BytesMut;
use tidings_actors::port::edge::{Encoding, Outlet, Source};

use super::out_queue::OutBudget;

/// The two ends of an upgraded socket. `early` holds what the client sent right behind its request; `encoding` is known
/// when a subprotocol was agreed on.
#[must_use]
pub fn ends(
    stream: TcpStream,
    early: BytesMut,
    encoding: Option<Encoding>,
    budget: Arc<OutBudget>,
) -> (Rc<dyn Outlet>, Box<dyn Source>) {
    let socket = Rc::new(socket::Socket::new(stream, encoding, budget));
    let source = source::WebSocketSource::new(Rc::clone(&socket), early);
    (socket, Box::new(source))
}
