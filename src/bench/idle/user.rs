//! One user of the idle load: talks to its partner, acknowledges what comes, then keeps quiet but for heartbeats.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use tidings_schema::{
    id::Uid,
    wire::{self, client_frame::Op, content, entry, server_frame::Body, target},
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Interval, MissedTickBehavior, interval, sleep},
};

use super::socket::Socket;

/// Time between two heartbeats.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(30);
/// Connections that are opened at a time.
const OPENING_MAX: usize = 128;
/// Users that send at a time; those that are done stay active for a while.
const SENDING_MAX: usize = 1_000;
/// Errors from here on mean: not now.
const NOT_NOW: u32 = 5_000;
/// Things that went wrong and are shown; the rest is only counted.
const WRONG_SHOWN_MAX: usize = 10;

/// What all users are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Be connected, and quiet.
    Connected,
    /// Say what there is to say.
    Talk,
    /// Go away.
    Away,
    /// Come back, and be quiet.
    Back,
}

/// What all users share. One thread.
pub(super) struct Shared {
    pub(super) server: SocketAddr,
    pub(super) stage: watch::Sender<Stage>,
    /// Messages each user has sent when it has said what there is to say.
    pub(super) messages: Cell<u64>,
    opening: Semaphore,
    sending: Semaphore,
    /// Users that have done what the stage asks.
    done: Cell<usize>,
    /// Heartbeats answered.
    pub(super) pongs: Cell<u64>,
    wrong: RefCell<Vec<String>>,
    wrongs: Cell<u64>,
    progress: Notify,
}

impl Shared {
    pub(super) fn new(server: SocketAddr, messages: u64) -> Rc<Self> {
        Rc::new(Self {
            server,
            stage: watch::Sender::new(Stage::Connected),
            messages: Cell::new(messages),
            opening: Semaphore::new(OPENING_MAX),
            sending: Semaphore::new(SENDING_MAX),
            done: Cell::new(0),
            pongs: Cell::new(0),
            wrong: RefCell::default(),
            wrongs: Cell::new(0),
            progress: Notify::new(),
        })
    }

    /// The next stage begins.
    pub(super) fn enter(&self, stage: Stage) {
        self.done.set(0);
        self.stage.send_replace(stage);
    }

    /// Waits until `users` have done what the stage asks.
    ///
    /// # Errors
    /// What went wrong with one of them.
    pub(super) async fn all(&self, users: usize) -> anyhow::Result<()> {
        loop {
            self.check()?;
            if self.done.get() >= users {
                return Ok(());
            }
            self.progress.notified().await;
        }
    }

    /// # Errors
    /// What went wrong, if anything did.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let wrongs = self.wrongs.get();
        ensure!(wrongs == 0, "{wrongs} users failed: {}", self.wrong.borrow().join("; "));
        Ok(())
    }

    fn one_done(&self) {
        self.done.set(self.done.get() + 1);
        self.progress.notify_one();
    }

    fn wrong(&self, what: String) {
        self.wrongs.set(self.wrongs.get() + 1);
        let mut shown = self.wrong.borrow_mut();
        if shown.len() < WRONG_SHOWN_MAX {
            shown.push(what);
        }
        self.progress.notify_one();
    }
}

/// One user.
pub(super) struct User {
    pub(super) shared: Rc<Shared>,
    pub(super) number: usize,
    pub(super) partner: Uid,
    pub(super) token: String,
    /// What it has applied.
    pub(super) place: Place,
}

/// A place in the own inbox.
#[derive(Default)]
pub(super) struct Place {
    seq: u64,
    log_id: Bytes,
    received: u64,
    answered: u64,
    /// The last message was refused for now.
    refused: bool,
}

impl User {
    /// Does what the stages ask, to the end of the last.
    pub(super) async fn run(mut self) {
        if let Err(error) = self.live().await {
            self.shared.wrong(format!("user {}: {error:#}", self.number));
        }
    }

    async fn live(&mut self) -> anyhow::Result<()> {
        let mut stage = self.shared.stage.subscribe();
        let mut socket = self.connect().await?;
        let mut beats = self.beats();
        self.shared.one_done();
        loop {
            self.hear_until(stage.changed(), &mut socket, &mut beats).await?.context("the run ended")?;
            let now = *stage.borrow_and_update();
            match now {
                Stage::Connected => {}
                Stage::Talk => self.talk(&mut socket, &mut beats).await?,
                Stage::Away => {
                    socket.close().await?;
                    self.shared.one_done();
                    stage.changed().await.context("the run ended")?;
                    stage.borrow_and_update();
                    socket = self.connect().await?;
                }
                Stage::Back => {}
            }
            self.shared.one_done();
        }
    }

    async fn connect(&self) -> anyhow::Result<Socket> {
        let _turn = self.shared.opening.acquire().await?;
        let mut socket = Socket::open(self.shared.server, self.number).await?;
        let resume = wire::Resume { inbox: Some(self.place.seq), log_id: self.place.log_id.clone() };
        let hello = wire::Hello {
            token: self.token.clone(),
            device_id: "phone".into(),
            platform: "bench".into(),
            resume: (self.place.seq > 0).then_some(resume),
            revision: 1,
        };
        socket.write(1, Op::Hello(hello)).await?;
        let frame = socket.next().await?.context("closed instead of a welcome")?;
        match frame.body {
            Some(Body::Welcome(welcome)) => ensure!(welcome.reset.is_none(), "a place that is none"),
            other => bail!("{other:?} instead of a welcome"),
        }
        Ok(socket)
    }

    /// Heartbeats, and acknowledgements of what still comes, until something happens.
    async fn hear_until<T>(
        &mut self,
        event: impl Future<Output = T>,
        socket: &mut Socket,
        beats: &mut Interval,
    ) -> anyhow::Result<T> {
        let mut event = pin!(event);
        loop {
            tokio::select! {
                frame = socket.next() => self.hear(frame?, socket).await?,
                _ = beats.tick() => beat(socket).await?,
                what = &mut event => return Ok(what),
            }
        }
    }

    /// The next frame, or the next heartbeat.
    async fn hear_one(&mut self, socket: &mut Socket, beats: &mut Interval) -> anyhow::Result<()> {
        tokio::select! {
            frame = socket.next() => self.hear(frame?, socket).await,
            _ = beats.tick() => beat(socket).await,
        }
    }

    /// The users' heartbeats are spread over the interval, as those of strangers are.
    fn beats(&self) -> Interval {
        let spread = (self.number as u64).wrapping_mul(0x9e37_79b9) % (HEARTBEAT.as_millis() as u64);
        let mut beats = interval(HEARTBEAT);
        beats.reset_after(Duration::from_millis(spread));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beats
    }

    /// Sends every message when the one before is answered, until everything of both sides has come.
    async fn talk(&mut self, socket: &mut Socket, beats: &mut Interval) -> anyhow::Result<()> {
        let shared = Rc::clone(&self.shared);
        let all = shared.messages.get();
        let turn = self.hear_until(shared.sending.acquire(), socket, beats).await??;
        for number in self.place.answered + 1..=all {
            let mut send = self.message();
            while self.place.answered < number {
                socket.write(number + 2, Op::Send(send.clone())).await?;
                self.wait_for_answer(number, socket, beats).await?;
                send.retry = true;
            }
        }
        drop(turn);
        while self.place.received < all {
            self.hear_one(socket, beats).await?;
        }
        Ok(())
    }

    async fn wait_for_answer(&mut self, number: u64, socket: &mut Socket, beats: &mut Interval) -> anyhow::Result<()> {
        self.place.refused = false;
        while self.place.answered < number && !self.place.refused {
            self.hear_one(socket, beats).await?;
        }
        Ok(())
    }

    fn message(&self) -> wire::Send {
        let text = wire::Text { text: format!("{:0>128}", self.number) };
        wire::Send {
            message_id: uuid::Uuid::now_v7().to_string(),
            to: Some(wire::Target { target: Some(target::Target::Uid(self.partner.to_string())) }),
            content: Some(wire::Content { kind: Some(content::Kind::Text(text)) }),
            ..wire::Send::default()
        }
    }

    async fn hear(&mut self, frame: Option<wire::ServerFrame>, socket: &mut Socket) -> anyhow::Result<()> {
        match frame.context("closed by the server")?.body {
            Some(Body::SendAck(_)) => self.place.answered += 1,
            Some(Body::Error(error)) if error.code >= NOT_NOW => {
                self.place.refused = true;
                sleep(Duration::from_millis(error.retry_after_ms)).await;
            }
            Some(Body::Pong(_)) => self.shared.pongs.set(self.shared.pongs.get() + 1),
            Some(Body::Entries(entries)) => {
                self.apply(entries)?;
                socket.write(0, Op::Ack(wire::Ack { inbox: self.place.seq, ..Default::default() })).await?;
            }
            other => bail!("{other:?} came"),
        }
        Ok(())
    }

    fn apply(&mut self, entries: wire::Entries) -> anyhow::Result<()> {
        if !entries.log_id.is_empty() {
            self.place.log_id = entries.log_id;
        }
        for entry in entries.entries {
            if entries.redelivery && entry.seq <= self.place.seq {
                continue;
            }
            ensure!(entry.seq == self.place.seq + 1, "entry {} came after {}", entry.seq, self.place.seq);
            self.place.seq = entry.seq;
            if let Some(entry::Body::Message(message)) = &entry.body {
                self.place.received += u64::from(message.from == self.partner.as_str());
            }
        }
        Ok(())
    }
}

async fn beat(socket: &mut Socket) -> anyhow::Result<()> {
    socket.write(2, Op::Ping(wire::Ping { interval_ms: HEARTBEAT.as_millis() as u64 })).await
}
