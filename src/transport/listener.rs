//! One listener for clients: WebSocket connections and plain HTTP on the same port, spread over edge workers.
//!
//! A request that asks for an upgrade leaves the HTTP dispatcher and its buffers behind: its socket goes to a
//! `Connection` actor on the same worker thread.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    time::Duration,
};

use actix::{Actor, Addr};
use actix_codec::Framed;
use actix_http::{HttpService, Request, h1};
use actix_rt::net::TcpStream;
use actix_server::Server;
use actix_service::{fn_service, map_config};
use actix_web::{
    App, HttpResponse,
    dev::AppConfig,
    http::header::{SEC_WEBSOCKET_VERSION, UPGRADE},
    web,
};
use bytes::BytesMut;
use socket2::{Domain, Protocol, Socket, Type};
use tidings_actors::{
    connection::{Accepted, Connection, Parts},
    hub::{
        Drain, Hub, Roster,
        census::{Census, CensusLimits},
    },
    offer::offer,
};
use tracing::debug;

use super::{
    out_queue::OutBudget,
    websocket::{
        self,
        handshake::{self, Refusal},
    },
};
use crate::{allocator, telemetry};

/// Bytes the kernel queues for one client; what does not fit waits in our own bounded queue.
const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// A client that acknowledges nothing, or takes nothing, for so long is given up by the kernel.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections that wait to be accepted; more are refused by the kernel.
const BACKLOG: i32 = 4_096;
/// Time for an HTTP request's head.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for HTTP requests that run when the server stops.
const SHUTDOWN_S: u64 = 1;

/// How the edge is served.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Edge worker threads, at least one.
    pub workers: usize,
    /// A proxy in front ends TLS. Without one only loopback is listened on.
    pub behind_proxy: bool,
    /// Bounds of the node.
    pub census: CensusLimits,
    /// Bytes that may wait for all clients together.
    pub out_bytes_max: usize,
}

/// A served edge.
pub struct Edge {
    /// To be awaited or spawned; nothing is accepted before.
    pub server: Server,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Says good-bye to its connections.
    pub farewell: Farewell,
}

/// Ends the connections of an edge, before its server is stopped.
#[derive(Clone)]
pub struct Farewell {
    hubs: Arc<Mutex<Vec<Addr<Hub>>>>,
    census: Arc<Census>,
    budget: Arc<OutBudget>,
}

impl Farewell {
    /// Takes no client any more, and tells all to go away and come back between `reconnect_after_ms` and twice that; what
    /// they wait for is answered for up to `answers_ms`. Returns when all have gone.
    pub async fn drain(&self, reconnect_after_ms: u64, answers_ms: u64) {
        self.census.close();
        let hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for hub in hubs {
            // A hub that is gone has no connections; one whose queue is full leaves them to the server's stop.
            let _ = offer(&hub, Drain { reconnect_after_ms, answers_ms });
        }
        self.gone().await;
    }

    /// Returns when nobody is connected.
    pub async fn gone(&self) {
        self.census.empty().await;
    }

    /// How many clients are connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.census.connections()
    }

    /// Bytes that wait for all clients; also set as the gauge `tidings_out_queued_bytes`.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        let bytes = self.budget.bytes();
        // Exact in an f64 up to 8 PiB.
        metrics::gauge!("tidings_out_queued_bytes").set(bytes as f64);
        bytes
    }
}

/// Binds the listener and prepares the workers. `http` adds the routes of plain HTTP.
///
/// # Errors
/// When the address cannot be bound, or is not loopback and no proxy stands in front.
pub fn serve<H>(config: &EdgeConfig, parts: Parts, http: H) -> io::Result<Edge>
where
    H: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    if !config.listen.ip().is_loopback() && !config.behind_proxy {
        let text = "this address is not loopback: put a proxy with TLS in front and set listen.behind_proxy = true";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let listener = bind(config.listen)?;
    let addr = listener.local_addr()?;
    let budget = OutBudget::new(config.out_bytes_max);
    let farewell = Farewell { hubs: Arc::default(), census: Census::new(config.census), budget };
    let workers = Workers { parts, farewell: farewell.clone(), next: Arc::default() };
    let server = Server::build()
        .workers(config.workers.max(1))
        .max_concurrent_connections(config.census.connections_max)
        .shutdown_timeout(SHUTDOWN_S)
        .disable_signals()
        .listen("edge", listener, move || {
            let worker = Rc::new(workers.start_one());
            HttpService::build()
                .client_request_timeout(REQUEST_TIMEOUT)
                .upgrade(fn_service(move |(request, framed)| upgrade(Rc::clone(&worker), request, framed)))
                .h1(map_config(app(http.clone()), |()| AppConfig::default()))
                .tcp()
        })?
        .run();
    Ok(Edge { server, addr, farewell })
}

fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(listen), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit these.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&listen.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Plain HTTP; a request for the WebSocket's path that asks for no upgrade is told to.
fn app<H>(
    http: H,
) -> App<
    impl actix_service::ServiceFactory<
        actix_web::dev::ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    >,
>
where
    H: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let upgrade_required = || async {
        let mut response = HttpResponse::UpgradeRequired();
        response.insert_header((UPGRADE, "websocket")).insert_header((SEC_WEBSOCKET_VERSION, "13"));
        response.body("connect with a websocket of version 13\n")
    };
    App::new().route(handshake::PATH, web::get().to(upgrade_required)).configure(http)
}

/// Makes edge workers.
#[derive(Clone)]
struct Workers {
    parts: Parts,
    farewell: Farewell,
    next: Arc<AtomicU16>,
}

/// What is one per worker thread.
struct Worker {
    number: u16,
    parts: Rc<Parts>,
    roster: Rc<Roster>,
    census: Arc<Census>,
    budget: Arc<OutBudget>,
}

impl Workers {
    /// Called on the thread of the worker.
    fn start_one(&self) -> Worker {
        let parts = Rc::new(self.parts.clone());
        let roster = Rc::new(Roster::new(parts.relay.lane()));
        let hub = Hub::new(Rc::clone(&roster), Rc::clone(&parts)).start();
        self.farewell.hubs.lock().unwrap_or_else(PoisonError::into_inner).push(hub);
        let number = self.next.fetch_add(1, Relaxed);
        telemetry::name_thread(&format!("edge-{number}"));
        actix_rt::spawn(allocator::keep_giving_back());
        Worker {
            number,
            parts,
            roster,
            census: Arc::clone(&self.farewell.census),
            budget: Arc::clone(&self.farewell.budget),
        }
    }
}

/// Turns a request into a connection, or answers why not. Never fails: what cannot be answered is closed.
async fn upgrade(
    worker: Rc<Worker>,
    request: Request,
    framed: Framed<TcpStream, h1::Codec>,
) -> Result<(), actix_web::Error> {
    let agreed = handshake::agree(request.head()).and_then(|agreed| {
        let place = worker.census.admit(worker.parts.clock.uptime()).map_err(Refusal::Full)?;
        Ok((agreed, place))
    });
    drop(request);
    let socket = framed.into_parts();
    let (stream, early): (TcpStream, BytesMut) = (socket.io, socket.read_buf);
    match agreed {
        Ok((agreed, place)) => {
            if write_whole(&stream, &agreed.response) {
                let (outlet, source) = websocket::ends(stream, early, agreed.encoding, Arc::clone(&worker.budget));
                let accepted = Accepted { worker: worker.number, outlet, source, place };
                Connection::open(accepted, Rc::clone(&worker.parts), &worker.roster);
            }
        }
        Err(refusal) => {
            debug!(?refusal, "upgrade refused");
            write_whole(&stream, &refusal.response());
        }
    }
    Ok(())
}

/// A fresh socket takes a response whole, or its client is gone.
fn write_whole(stream: &TcpStream, response: &str) -> bool {
    stream.try_write(response.as_bytes()).is_ok_and(|written| written == response.len())
}
