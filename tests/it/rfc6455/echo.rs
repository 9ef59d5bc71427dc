//! A server that sends every message back: the handshake, the reader and the writer are those of the product; only what
//! is made of a message is not.

use std::{
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::mpsc,
    task::{Context, Poll},
    thread,
};

use actix_codec::Framed;
use actix_http::{HttpService, Request, Response, h1};
use actix_rt::net::TcpStream;
use actix_server::{Server, ServerHandle};
use actix_service::fn_service;
use bytes::Bytes;
use socket2::SockRef;
use tidings::transport::{
    OutBudget,
    websocket::{self, Message, Messages, Socket, handshake},
};
use tidings_actors::port::edge::{CloseReason, Encoding, FrameError, Outlet, Written};

/// Largest message of the case list.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

pub struct Echo {
    address: SocketAddr,
    handle: ServerHandle,
}

impl Echo {
    pub fn start() -> Self {
        let (started, start) = mpsc::sync_channel(1);
        thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let server = server(listener);
                started.send(Self { address, handle: server.handle() }).unwrap();
                server.await.unwrap();
            });
        });
        start.recv().unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

fn server(listener: TcpListener) -> Server {
    let services = || {
        HttpService::build()
            .upgrade(fn_service(|(request, framed)| upgrade(request, framed)))
            .h1(fn_service(|_: Request| async { Ok::<_, actix_web::Error>(Response::not_found()) }))
            .tcp()
    };
    Server::build().workers(1).disable_signals().listen("echo", listener, services).unwrap().run()
}

async fn upgrade(request: Request, framed: Framed<TcpStream, h1::Codec>) -> Result<(), actix_web::Error> {
    let agreed = handshake::agree(request.head());
    let parts = framed.into_parts();
    let response = agreed.map_or_else(handshake::Refusal::response, |agreed| agreed.response);
    // As the listener does: large echoes leave in many writes.
    SockRef::from(&parts.io).set_send_buffer_size(32 * 1024)?;
    parts.io.try_write(response.as_bytes())?;
    let (socket, mut messages) = websocket::message_ends(parts.io, parts.read_buf, OutBudget::new(usize::MAX));
    messages.set_message_bytes_max(MESSAGE_BYTES_MAX);
    let mut connection = Connection { socket, messages, waiting: None, read: Read::On };
    std::future::poll_fn(|cx| connection.poll(cx)).await;
    Ok(())
}

/// Whether there is more to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    On,
    Over,
}

struct Connection {
    socket: Rc<Socket>,
    messages: Messages,
    /// Found no room yet.
    waiting: Option<(Encoding, Bytes)>,
    read: Read,
}

fn own(message: Message<'_>) -> Result<(Encoding, Bytes), FrameError> {
    Ok(match message {
        Message::Text(text) => (Encoding::Json, Bytes::copy_from_slice(text.as_bytes())),
        Message::Binary(bytes) => (Encoding::Protobuf, Bytes::copy_from_slice(bytes)),
    })
}

impl Connection {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let read = self.poll_read(cx);
            let flushed = self.socket.poll_flush(cx);
            match (flushed, self.read) {
                (Poll::Ready(()), Read::Over) => return Poll::Ready(()),
                // There is room now.
                _ if self.waiting.is_some() && self.socket.queued_bytes() == 0 => {}
                _ if read.is_ready() && self.waiting.is_none() => {}
                _ => return Poll::Pending,
            }
        }
    }

    /// Ready when something was read.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.offer() || self.read == Read::Over {
            return Poll::Pending;
        }
        match self.messages.poll_next(cx, own) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(message))) => self.waiting = Some(message),
            Poll::Ready(Some(Err(FrameError::TooLarge))) => Outlet::close(&*self.socket, CloseReason::TooLarge),
            Poll::Ready(Some(Err(FrameError::Malformed(_)))) => Outlet::close(&*self.socket, CloseReason::BadFrame),
            Poll::Ready(None) => {
                Outlet::close(&*self.socket, CloseReason::Gone);
                self.read = Read::Over;
            }
        }
        self.offer();
        Poll::Ready(())
    }

    /// Offers what waits; whether it is gone.
    fn offer(&mut self) -> bool {
        if let Some((encoding, bytes)) = self.waiting.take()
            && self.socket.offer_as(encoding, bytes.clone()) == Written::Full
        {
            self.waiting = Some((encoding, bytes));
        }
        self.waiting.is_none()
    }
}
