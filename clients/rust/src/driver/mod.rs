//! The one task of a client: carries out what the core asks, over a WebSocket.
//!
//! Everything that is ready is taken before anything is written, so that a burst costs one sync of the queue and one
//! write. It never waits for the app: events it does not take pile up to [`BACKLOG_MAX`], then reading stops.

mod link;
mod outputs;

use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::Arc,
};

use futures_util::{FutureExt as _, SinkExt};
use tidings_schema::{
    id::{MessageId, Millis, Seq},
    wire::server_frame::Body,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{self, Message};

use self::link::{Link, Socket, WRITE_WITHIN, link, renewal};
use crate::{
    client::{Command, Outcome},
    clock::Clock,
    config::{Acks, Config, Encoding},
    core::{ConnectionState, Core, Draft, Event, Identity, Lost, RequestError, SendError, StopReason},
    events::Taken,
    queue::{DurableQueue, QueueError},
    token::{Answer, TokenError, TokenSource},
};

/// Events that wait behind a full channel. Above it the connection is not read.
const BACKLOG_MAX: usize = 256;
/// Frames and commands taken before their consequences are carried out.
const BATCH_MAX: usize = 64;
/// How often to look whether the app took what it was told, while it has not.
const LOOK_AGAIN_MS: u64 = 100;

enum Woken {
    Opened(Result<(Socket, String), Lost>),
    Came(Option<Result<Message, tungstenite::Error>>),
    Command(Option<Command>),
    RoomForEvents,
    Renewed(Result<String, TokenError>),
    Timer,
}

pub(crate) struct Driver {
    core: Core,
    clock: Clock,
    url: String,
    token: TokenSource,
    encoding: Encoding,
    acks: Acks,
    queue: Box<dyn DurableQueue>,
    link: Link,
    /// Another token for the connection that is open.
    renewing: Option<Answer>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<(u16, Event)>,
    backlog: VecDeque<(u16, Event)>,
    taken: Arc<Taken>,
    /// Life of the inbox as counted here, and the last seq told in it.
    life: u16,
    told: Seq,
    app_behind: bool,
    keeping: Vec<(MessageId, oneshot::Sender<Result<MessageId, SendError>>)>,
    outcomes: HashMap<MessageId, oneshot::Sender<Outcome>>,
    requests: HashMap<u64, oneshot::Sender<Result<Body, RequestError>>>,
}

impl Driver {
    pub(crate) fn new(
        mut config: Config,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<(u16, Event)>,
        taken: Arc<Taken>,
    ) -> Result<Self, QueueError> {
        let clock = Clock::start();
        let identity = Identity { device_id: config.device_id.take(), platform: config.platform };
        let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
        let core = Core::new(identity, config.queue.load()?, seed, clock.now());
        Ok(Self {
            core,
            clock,
            url: config.url,
            token: config.token,
            encoding: config.encoding,
            acks: config.acks,
            queue: config.queue,
            link: Link::Down,
            renewing: None,
            commands,
            events,
            backlog: VecDeque::new(),
            taken,
            life: 0,
            told: Seq::ZERO,
            app_behind: false,
            keeping: Vec::new(),
            outcomes: HashMap::new(),
            requests: HashMap::new(),
        })
    }

    /// Runs until the app closes the client or drops its handles, or the queue fails.
    pub(crate) async fn run(mut self) {
        if let Err(error) = self.serve().await {
            tracing::error!(%error, "client stopped, its queue failed");
            let stopped = ConnectionState::Stopped(StopReason::NotKept(error.to_string()));
            let _ = self.events.send((self.life, Event::Connection(stopped))).await;
        }
        if let Link::Up(mut socket) = self.link {
            let _ = timeout(WRITE_WITHIN, SinkExt::close(&mut *socket)).await;
        }
    }

    async fn serve(&mut self) -> Result<(), QueueError> {
        let mut armed = self.clock.now();
        let mut timer = pin!(sleep_until(self.clock.instant(armed)));
        self.core.tick(armed);
        loop {
            self.notice_taken();
            self.carry_out().await?;
            let due = self.deadline();
            if let Some(due) = due
                && due != armed
            {
                armed = due;
                timer.as_mut().reset(self.clock.instant(due));
            }
            let may_read = self.backlog.len() < BACKLOG_MAX;
            let woken = tokio::select! {
                woken = link(&mut self.link, may_read) => woken,
                command = self.commands.recv() => Woken::Command(command),
                renewed = renewal(&mut self.renewing) => Woken::Renewed(renewed),
                () = self.events.reserve().map(|_| ()), if !self.backlog.is_empty() => Woken::RoomForEvents,
                () = timer.as_mut(), if due.is_some() => Woken::Timer,
            };
            if let Woken::Timer = woken {
                // The next deadline may be the same moment: arm again in any case.
                armed = Millis::new(0);
            }
            if !self.wake(woken) {
                return self.carry_out().await;
            }
        }
    }

    /// False when the app has closed the client.
    fn wake(&mut self, woken: Woken) -> bool {
        let now = self.clock.now();
        match woken {
            Woken::Opened(Ok((socket, token))) => {
                self.link = Link::Up(Box::new(socket));
                self.core.connected(token, now);
            }
            Woken::Opened(Err(lost)) => self.lost(&lost),
            Woken::Came(came) => self.came(came, now),
            Woken::Command(command) => return self.obey(command, now),
            Woken::RoomForEvents => {}
            Woken::Renewed(renewed) => self.renewed(renewed),
            Woken::Timer => self.core.tick(now),
        }
        true
    }

    /// One command, and whatever else waits already. False when the app has closed the client.
    fn obey(&mut self, command: Option<Command>, now: Millis) -> bool {
        let mut next = command;
        for _ in 1..BATCH_MAX {
            if !self.obey_one(next, now) {
                return false;
            }
            match self.commands.try_recv() {
                Ok(command) => next = Some(command),
                Err(_) => return true,
            }
        }
        self.obey_one(next, now)
    }

    fn obey_one(&mut self, command: Option<Command>, now: Millis) -> bool {
        match command {
            None | Some(Command::Close) => return false,
            Some(Command::Send { draft, taken, outcome }) => self.send(draft, taken, outcome, now),
            Some(Command::Read { peer, seq }) => self.core.read(&peer, seq),
            Some(Command::Typing(peer)) => self.core.typing(&peer, now),
            Some(Command::Applied(seq)) => self.core.applied(seq, now),
            Some(Command::Request { op, answer }) => match self.core.request(op, now) {
                Ok(request) => drop(self.requests.insert(request, answer)),
                Err(error) => drop(answer.send(Err(error))),
            },
        }
        true
    }

    fn send(
        &mut self,
        draft: Draft,
        taken: oneshot::Sender<Result<MessageId, SendError>>,
        outcome: oneshot::Sender<Outcome>,
        now: Millis,
    ) {
        let id = self.core.fresh_id(fresh_random(), now);
        match self.core.send(id, draft, now) {
            Ok(()) => {
                self.outcomes.insert(id, outcome);
                self.keeping.push((id, taken));
            }
            Err(error) => drop(taken.send(Err(error))),
        }
    }

    /// With automatic acks: what the app took is applied.
    fn notice_taken(&mut self) {
        if self.acks == Acks::ByApp {
            return;
        }
        if let Some(seq) = self.taken.in_life(self.life) {
            self.core.applied(seq, self.clock.now());
            self.app_behind = seq < self.told;
        }
    }

    fn deadline(&self) -> Option<Millis> {
        let now = self.clock.now();
        let look = (self.acks == Acks::Auto && self.app_behind).then(|| now.plus(LOOK_AGAIN_MS));
        self.core.deadline(now).into_iter().chain(look).min()
    }
}

/// Ten bytes without the fixed bits of a UUID.
fn fresh_random() -> [u8; 10] {
    let uuid = uuid::Uuid::new_v4().into_bytes();
    let mut random = [0; 10];
    random[..6].copy_from_slice(&uuid[..6]);
    random[6..].copy_from_slice(&uuid[12..]);
    random
}
