//! Puts the parts together: the only file that knows all of them.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use actix::{Actor, Arbiter};
use tidings_actors::{
    connection::Parts,
    port::{
        clock::Clock,
        edge::Registry,
        link::{Link, Op},
        ownership::Ownership,
        store::Store,
    },
    shard::{Roll, Shard, Standing},
};
use tidings_schema::{
    error_code::ErrorCode,
    id::{Epoch, ShardCount},
    wire::server_frame::Body,
};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    allocator,
    api::{
        admin::{self, NotDone, Revoke},
        public::{Public, Readiness},
    },
    auth::{AuthError, JwtTokens},
    clock::SystemClock,
    config::{Config, Machine},
    doctor::State,
    drain::{self, Drain, Stop},
    link::local::LocalLink,
    ownership::single::SingleOwner,
    store::embedded::{EmbeddedStore, Health, OpenError, OpenOptions},
    telemetry,
    transport::listener::{self, Edge, EdgeConfig},
};

pub use crate::api::admin::OPERATOR_HEADER;

/// Before every shard knows who may be owed something.
const STARTING: Readiness = Readiness::Not("starting");

/// How long an operator waits until a sign-out is durable.
const REVOKED_WITHIN: Duration = Duration::from_secs(10);

/// Exit code for an I/O error, as in BSD's `sysexits.h`: the supervisor starts the process again.
pub const EXIT_IO: u8 = 74;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// No key, or a key that is not one.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// An address cannot be listened on.
    #[error("cannot listen on {addr} (--listen and listen.admin choose other addresses)")]
    Listen {
        /// Which address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Metrics were started twice in one process.
    #[error("metrics cannot be started")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// Nothing says who may connect.
    #[error("no key for tokens: set auth.key_file or TIDINGS_AUTH_SECRET (32 bytes or more), or use --dev on loopback")]
    NoKey,
    /// Checked with the config; said again where it is used.
    #[error("node.shards must be at least 1")]
    NoShards,
    /// Dev mode hands tokens to everyone who can connect.
    #[error("--dev serves loopback only, {0} is not: give it a key and leave --dev out")]
    DevNotLoopback(SocketAddr),
}

/// Whether anyone gets a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Tokens come from the app's own user centre.
    Keyed,
    /// The server makes its own key and hands tokens to whoever asks.
    Dev,
}

/// A running server.
pub struct Running {
    /// Where clients connect.
    pub addr: SocketAddr,
    /// Where operators look.
    pub admin_addr: SocketAddr,
    edge: Edge,
    admin: actix_web::dev::Server,
    store: Arc<EmbeddedStore>,
    readiness: watch::Sender<Readiness>,
    link: Arc<LocalLink>,
    shards: ShardCount,
    standing: watch::Receiver<Standing>,
    shard_threads: Vec<Arbiter>,
    /// How long a stop may take: clients leave, then mailboxes write.
    patience: Duration,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Asked,
    /// The store failed; start it again.
    StoreFailed,
    /// A shard died and its users are served by nobody; start it again.
    ShardDied,
}

/// Starts everything. `page` makes the start page from both addresses.
///
/// # Errors
/// [`StartError`]; its text says what to do.
pub fn start(
    config: &Config,
    mode: Mode,
    page: impl FnOnce(SocketAddr, SocketAddr) -> String,
) -> Result<Running, StartError> {
    let listen = config.listen.address;
    if mode == Mode::Dev && !listen.ip().is_loopback() {
        return Err(StartError::DevNotLoopback(listen));
    }
    // What is wrong with the settings is said before the data directory is touched.
    let keyed = operators_key(config, mode)?;
    let metrics = telemetry::start_metrics()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (store, epoch) = open_store(config, clock.clone())?;
    let tokens = Arc::new(keyed.map_or_else(|| JwtTokens::dev(&config.store.dir), Ok)?);
    let shards = ShardCount::new(config.node.shards).ok_or(StartError::NoShards)?;
    let link = Arc::new(LocalLink::default());
    let ownership: Arc<dyn Ownership> = Arc::new(SingleOwner::new(epoch));
    let roll = Roll::default();
    let standing = roll.watch();
    let shard_threads = start_shards(config, shards, &link, &store, &ownership, &clock, &roll);
    let (readiness, ready) = watch::channel(STARTING);

    let public = Public {
        page: Arc::default(),
        readiness: ready,
        dev_tokens: (mode == Mode::Dev).then(|| tokens.clone()),
        clock: clock.clone(),
    };
    let start_page = public.page.clone();
    let parts = Parts {
        link: link.clone() as Arc<dyn Link>,
        tokens,
        clock,
        relay: link.relay(),
        registry: link.clone() as Arc<dyn Registry>,
        shards,
        limits: config.connection_limits(),
    };
    let routes = move |http: &mut actix_web::web::ServiceConfig| public.clone().routes(http);
    let edge = listener::serve(&edge_config(config), parts, routes)
        .map_err(|source| StartError::Listen { addr: listen, source })?;
    let admin_listen = config.admin_address();
    // The page must not keep the store open when the server ends.
    let (farewell, measured) = (edge.farewell.clone(), Arc::downgrade(&store));
    let measure = move || {
        // Sets its gauge.
        let _bytes = farewell.queued_bytes();
        if let Some(store) = measured.upgrade() {
            store.measure();
        }
    };
    let state = tell_doctor(readiness.subscribe(), roll);
    let (admin, admin_addr) = admin::serve(admin_listen, metrics.clone(), measure, state, revoke(link.clone(), shards))
        .map_err(|source| StartError::Listen { addr: admin_listen, source })?;
    // Set once: this is the only place that does.
    let _set = start_page.set(page(edge.addr, admin_addr));
    actix_rt::spawn(telemetry::keep_up(metrics));
    actix_rt::spawn(allocator::keep_giving_back());
    actix_rt::spawn(allocator::keep_following_load());
    let addr = edge.addr;
    let patience = Duration::from_secs(config.node.drain_s);
    Ok(Running { addr, admin_addr, edge, admin, store, readiness, link, shards, standing, shard_threads, patience })
}

impl Running {
    /// Resolves when every shard serves, whatever the store's health is then. Comes true only while it is served.
    pub fn started(&self) -> impl Future<Output = ()> + use<> {
        let mut readiness = self.readiness.subscribe();
        async move {
            // An error: the server has ended before.
            let _ended = readiness.wait_for(|now| *now != STARTING).await.is_err();
        }
    }

    /// Serves until it is asked to stop, or the store or a shard fails; then lets clients go, and everything durable be.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn serve(self, mut stop: watch::Receiver<Stop>) -> io::Result<Ended> {
        let Self { edge, admin, store, readiness, link, shards, standing, shard_threads, patience, .. } = self;
        let Edge { server, farewell, .. } = edge;
        let handle = server.handle();
        let (edge_ends, admin_handle) = (actix_rt::spawn(server), admin.handle());
        actix_rt::spawn(admin);
        let health = actix_rt::spawn(follow(store.health(), standing.clone(), shards, readiness.clone()));
        let ended = tokio::select! {
            () = drain::asked(&mut stop, Stop::Drain) => Ended::Asked,
            () = store.fatal() => Ended::StoreFailed,
            () = lost_one(standing.clone()) => Ended::ShardDied,
        };
        health.abort();
        info!(?ended, "server stops");
        readiness.send_replace(Readiness::Not("stopping"));
        let drain = Drain { farewell, link, standing, shards, patience };
        tokio::select! {
            () = let_go(drain, ended) => handle.stop(true).await,
            () = drain::asked(&mut stop, Stop::Now) => {
                warn!("asked twice: the server ends at once");
                handle.stop(false).await;
            }
        }
        admin_handle.stop(false).await;
        for thread in shard_threads {
            thread.stop();
        }
        edge_ends.await.map_err(io::Error::other)??;
        // A disk that failed while mailboxes wrote their last is no clean stop.
        let failed = *store.health().borrow() == Health::Failed;
        Ok(if failed { Ended::StoreFailed } else { ended })
    }
}

/// What a running server answers `tidings doctor`.
fn tell_doctor(readiness: watch::Receiver<Readiness>, roll: Roll) -> impl Fn() -> State + Clone + Send + 'static {
    move || State {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        not_ready: match *readiness.borrow() {
            Readiness::Ready => None,
            Readiness::Not(why) => Some(why.to_owned()),
        },
        stopped: roll.stopped().iter().map(|uid| uid.as_str().to_owned()).collect(),
    }
}

/// Signs users out by asking their mailboxes.
fn revoke(link: Arc<LocalLink>, shards: ShardCount) -> Revoke {
    Arc::new(move |uid, device| {
        let shard = uid.shard(shards);
        let asked = link.ask(shard, uid, Op::Revoke(device));
        Box::pin(async move {
            let not_done = |text: &str| NotDone { code: ErrorCode::Busy.number(), text: text.to_owned() };
            let answered = asked.ok_or_else(|| not_done("too much is waiting, ask again"))?;
            match tokio::time::timeout(REVOKED_WITHIN, answered).await {
                Ok(Ok(Body::Ok(_))) => Ok(()),
                Ok(Ok(Body::Error(why))) => Err(NotDone { code: why.code, text: why.text }),
                Ok(_) | Err(_) => Err(not_done("not confirmed in time, ask again")),
            }
        })
    })
}

async fn let_go(drain: Drain, ended: Ended) {
    match ended {
        Ended::Asked => drain.all().await,
        Ended::StoreFailed | Ended::ShardDied => drain.clients().await,
    }
}

fn readiness_of(health: Health, standing: Standing, shards: ShardCount) -> Readiness {
    if standing.gone > 0 {
        return Readiness::Not("a shard died");
    }
    if standing.ready < shards.get() {
        return STARTING;
    }
    match health {
        Health::Ready => Readiness::Ready,
        Health::DiskFull => Readiness::Not("disk is nearly full"),
        Health::Failed => Readiness::Not("store failed"),
    }
}

/// Readiness follows the store and the shards.
async fn follow(
    mut health: watch::Receiver<Health>,
    mut standing: watch::Receiver<Standing>,
    shards: ShardCount,
    readiness: watch::Sender<Readiness>,
) {
    loop {
        let now = readiness_of(*health.borrow_and_update(), *standing.borrow_and_update(), shards);
        readiness.send_replace(now);
        let changed = tokio::select! {
            changed = health.changed() => changed,
            changed = standing.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Resolves when a shard has ended, which none does by itself.
async fn lost_one(mut standing: watch::Receiver<Standing>) {
    // An error: the last shard is gone, and nobody is left to say so.
    let _all = standing.wait_for(|standing| standing.gone > 0).await.is_err();
}

fn open_store(config: &Config, clock: Arc<dyn Clock>) -> Result<(Arc<EmbeddedStore>, Epoch), StartError> {
    let shards = ShardCount::new(config.node.shards).ok_or(StartError::NoShards)?;
    let options = OpenOptions {
        dir: config.store.dir.clone(),
        shards,
        disk_reserve_mb: config.store.disk_reserve_mb,
        cache_mb: config.store.cache_mb,
        memtable_mb: config.memtable_mb(&Machine::read()),
        clock,
    };
    let (store, epoch) = EmbeddedStore::open(options)?;
    if let Some(torn) = store.torn_tail() {
        warn!(
            ?torn,
            "the last write before the crash was not complete, it was cut off; nothing that was acked is lost"
        );
    }
    Ok((store, epoch))
}

/// The operator's key; none in dev mode, where the data directory keeps one.
fn operators_key(config: &Config, mode: Mode) -> Result<Option<JwtTokens>, StartError> {
    match (mode, &config.auth.key_file, &config.auth.secret) {
        (Mode::Dev, ..) => Ok(None),
        (Mode::Keyed, Some(file), _) => Ok(Some(JwtTokens::from_file(file)?)),
        (Mode::Keyed, None, Some(secret)) => Ok(Some(JwtTokens::from_secret(secret.expose())?)),
        (Mode::Keyed, None, None) => Err(StartError::NoKey),
    }
}

/// Starts every shard, shard s on thread s % threads, and makes them reachable.
fn start_shards(
    config: &Config,
    shards: ShardCount,
    link: &Arc<LocalLink>,
    store: &Arc<EmbeddedStore>,
    ownership: &Arc<dyn Ownership>,
    clock: &Arc<dyn Clock>,
    roll: &Roll,
) -> Vec<Arbiter> {
    let threads = shard_threads(config);
    let arbiters: Vec<Arbiter> = (0..threads).map(|_| Arbiter::new()).collect();
    for (number, arbiter) in arbiters.iter().enumerate() {
        // A thread that has ended already has no use for a name.
        let _ended = arbiter.spawn_fn(move || telemetry::name_thread(&format!("shard-{number}")));
        let _ended = arbiter.spawn(allocator::keep_giving_back());
    }
    let addresses = shards.iter().map(|id| {
        let arbiter = &arbiters[usize::from(id.get()) % threads];
        let (link, store) = (link.clone() as Arc<dyn Link>, store.clone() as Arc<dyn Store>);
        let (ownership, clock, limits) = (ownership.clone(), clock.clone(), config.mailbox_limits());
        let roll = roll.clone();
        Shard::start_in_arbiter(&arbiter.handle(), move |_| {
            Shard::new(id, shards, link, store, ownership, clock, limits).reporting_to(&roll)
        })
    });
    link.set_shards(addresses.collect());
    arbiters
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn shard_threads(config: &Config) -> usize {
    if config.node.shard_threads == 0 { (cores() / 2).max(1) } else { config.node.shard_threads }
}

fn edge_workers(config: &Config) -> usize {
    if config.listen.workers == 0 { cores() } else { config.listen.workers }
}

fn edge_config(config: &Config) -> EdgeConfig {
    EdgeConfig {
        listen: config.listen.address,
        workers: edge_workers(config),
        behind_proxy: config.listen.behind_proxy,
        census: config.census_limits(),
        out_bytes_max: config.out_bytes_max(&Machine::read()),
    }
}
