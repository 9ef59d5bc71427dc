//! The one task of a client: carries out what the core asks, over a WebSocket.
//!
//! Everything that is ready is taken before anything is written, so that a burst costs one sync of the queue and one
//! write. It never waits for the app: events it does not take pile up to [`BACKLOG_MAX`], then reading stops.

use std::{
    collections::{HashMap, VecDeque},
    future::{Future, pending},
    pin::{Pin, pin},
    sync::Arc,
};

use futures_util::{FutureExt, SinkExt, StreamExt};
use prost::Message as _;
use tidings_schema::{
    id::{MessageId, Millis, Seq},
    json, wire,
    wire::server_frame::Body,
};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::{Duration, sleep_until, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};

use crate::{
    clock::Clock,
    connection::{Acks, Command, Config, Encoding, Outcome, Taken},
    core::{ConnectionState, Core, Event, Identity, Lost, Output, RequestError, SendError, StopReason},
    queue::{DurableQueue, QueueError},
    token::{Answer, TokenError, TokenSource},
};

/// Events that wait behind a full channel. Above it the connection is not read.
const BACKLOG_MAX: usize = 256;
/// Frames and commands taken before their consequences are carried out.
const BATCH_MAX: usize = 64;
/// A server that does not accept a connection in this time is given up.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A connection that does not take what we write in this time is given up.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How often to look whether the app took what it was told, while it has not.
const LOOK_AGAIN_MS: u64 = 100;
/// Buffers of one connection; small, since one process may hold thousands.
const BUFFER_BYTES: usize = 8 * 1024;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Connecting = Pin<Box<dyn Future<Output = Result<(Socket, String), Lost>> + Send>>;

enum Link {
    Down,
    Connecting(Connecting),
    Up(Box<Socket>),
}

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

    /// One message, and whatever else has arrived already.
    fn came(&mut self, came: Option<Result<Message, tungstenite::Error>>, now: Millis) {
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
    fn renewed(&mut self, renewed: Result<String, TokenError>) {
        self.renewing = None;
        match renewed {
            Ok(token) => self.core.renewed(token),
            Err(error) => tracing::warn!(%error, "the token of this connection ends soon"),
        }
    }

    fn lost(&mut self, lost: &Lost) {
        self.link = Link::Down;
        self.renewing = None;
        self.core.disconnected(lost, self.clock.now());
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
        draft: crate::core::Draft,
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

    /// Does everything the core asks, until it asks nothing more.
    async fn carry_out(&mut self) -> Result<(), QueueError> {
        loop {
            let outputs: Vec<Output> = std::iter::from_fn(|| self.core.poll()).collect();
            self.keep(&outputs)?;
            let mut broken = false;
            for output in outputs {
                broken |= !self.carry_out_one(output).await;
            }
            broken |= !self.flush().await;
            self.pass_events();
            if !broken {
                return Ok(());
            }
            self.lost(&Lost::Broken);
        }
    }

    /// Keeps what must survive before anything that depends on it leaves: one sync for all of it.
    fn keep(&mut self, outputs: &[Output]) -> Result<(), QueueError> {
        for output in outputs {
            if let Output::Persist(change) = output {
                self.queue.note(change)?;
            }
        }
        self.queue.sync()?;
        for (id, taken) in self.keeping.drain(..) {
            let _ = taken.send(Ok(id));
        }
        Ok(())
    }

    /// False when the connection broke.
    async fn carry_out_one(&mut self, output: Output) -> bool {
        match output {
            Output::Persist(_) => {}
            Output::Write(frame) => return self.write(&frame).await,
            Output::Event(event) => self.tell(event),
            Output::Answer(request, answer) => self.give(request, answer),
            Output::RenewToken => self.renewing = Some(self.token.ask()),
            Output::Connect => self.link = Link::Connecting(open(self.url.clone(), self.token.clone())),
            Output::Disconnect => self.hang_up(),
        }
        true
    }

    fn hang_up(&mut self) {
        if let Link::Up(socket) = &mut self.link {
            let _ = SinkExt::close(&mut **socket).now_or_never();
        }
        self.link = Link::Down;
    }

    async fn write(&mut self, frame: &wire::ClientFrame) -> bool {
        // A frame for a connection that broke in between: the core learns of it and says it again.
        let Link::Up(socket) = &mut self.link else { return true };
        let message = match self.encoding {
            Encoding::Protobuf => Message::Binary(frame.encode_to_vec().into()),
            Encoding::Json => Message::Text(json::encode_client(frame).into()),
        };
        matches!(timeout(WRITE_WITHIN, socket.feed(message)).await, Ok(Ok(())))
    }

    async fn flush(&mut self) -> bool {
        let Link::Up(socket) = &mut self.link else { return true };
        match socket.flush().now_or_never() {
            Some(done) => done.is_ok(),
            None => matches!(timeout(WRITE_WITHIN, socket.flush()).await, Ok(Ok(()))),
        }
    }

    fn tell(&mut self, event: Event) {
        match &event {
            Event::Sent(sent) => self.settle(sent.message_id, Outcome::Sent(*sent)),
            Event::Refused(refused) => self.settle(refused.message_id, Outcome::Refused(refused.clone())),
            Event::ConversationsReset { .. } => self.life = self.life.wrapping_add(1),
            Event::Message(_) | Event::Receipt { .. } | Event::ReadMoved { .. } => {}
            Event::BlockMoved { .. } | Event::Changed { .. } | Event::Typing { .. } => {}
            Event::Advanced { .. } | Event::Connection(_) => {}
        }
        if let Some(seq) = event.seq() {
            self.told = seq;
            self.app_behind = true;
        }
        self.backlog.push_back((self.life, event));
    }

    fn settle(&mut self, id: MessageId, outcome: Outcome) {
        if let Some(waiting) = self.outcomes.remove(&id) {
            let _ = waiting.send(outcome);
        }
    }

    fn give(&mut self, request: u64, answer: Result<Body, RequestError>) {
        if let Some(waiting) = self.requests.remove(&request) {
            let _ = waiting.send(answer);
        }
    }

    fn pass_events(&mut self) {
        while !self.backlog.is_empty() {
            match self.events.try_reserve() {
                Ok(room) => {
                    if let Some(event) = self.backlog.pop_front() {
                        room.send(event);
                    }
                }
                Err(mpsc::error::TrySendError::Full(())) => return,
                // Nobody listens: sending goes on, and nothing is acknowledged.
                Err(mpsc::error::TrySendError::Closed(())) => self.backlog.clear(),
            }
        }
    }
}

/// What happens on the connection next.
async fn link(link: &mut Link, may_read: bool) -> Woken {
    match link {
        Link::Connecting(opening) => Woken::Opened(opening.await),
        Link::Up(socket) if may_read => Woken::Came(socket.next().await),
        Link::Up(_) | Link::Down => pending().await,
    }
}

/// Another token, when one is asked for.
async fn renewal(renewing: &mut Option<Answer>) -> Result<String, TokenError> {
    match renewing {
        Some(answer) => answer.await,
        None => pending().await,
    }
}

fn open(url: String, token: TokenSource) -> Connecting {
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

/// Ten bytes without the fixed bits of a UUID.
fn fresh_random() -> [u8; 10] {
    let uuid = uuid::Uuid::new_v4().into_bytes();
    let mut random = [0; 10];
    random[..6].copy_from_slice(&uuid[..6]);
    random[6..].copy_from_slice(&uuid[12..]);
    random
}
