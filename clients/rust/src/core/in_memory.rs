//! A core with a memory for a disk and no network: a test plays the server frame by frame.

use std::collections::VecDeque;

use tidings_schema::{
    id::{MessageId, Millis, Seq},
    wire,
};

use super::{Change, Core, Draft, Event, Identity, Lost, Output, RequestError, SendError, Stored};

/// One client whose driver is the test.
#[derive(Debug)]
pub struct InMemory {
    core: Core,
    now: Millis,
    seed: u64,
    ids: u64,
    /// What survives [`restart`](Self::restart).
    pub stored: Stored,
    /// Frames the client wrote to the open connection, oldest first.
    pub written: VecDeque<wire::ClientFrame>,
    /// What the app was told, oldest first.
    pub events: VecDeque<Event>,
    /// Answers to requests of the app, oldest first.
    pub answers: VecDeque<(u64, Result<wire::server_frame::Body, RequestError>)>,
    /// Whether the client has a connection.
    pub link: Link,
}

/// State of the connection a test plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// None, and the client does not want one yet.
    Down,
    /// The client wants one.
    Wanted,
    /// Open.
    Up,
}

impl InMemory {
    /// A new device.
    #[must_use]
    pub fn new(seed: u64, now: Millis) -> Self {
        let identity = Identity { device_id: Some("d1".into()), platform: "test".into() };
        let core = Core::new(identity, Stored::default(), seed, now);
        let (stored, written, events, answers) = Default::default();
        let mut client = Self { core, now, seed, ids: 0, stored, written, events, answers, link: Link::Down };
        client.wait(0);
        client
    }

    /// Local time.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.now
    }

    /// The state machine itself.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Lets time pass.
    pub fn wait(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        self.core.tick(self.now);
        self.carry_out();
    }

    /// Lets time pass up to the next deadline; false when there is none.
    pub fn wait_for_deadline(&mut self) -> bool {
        let Some(at) = self.core.deadline(self.now) else { return false };
        self.wait(at.since(self.now));
        true
    }

    /// Opens the connection.
    pub fn connect(&mut self) {
        self.written.clear();
        self.link = Link::Up;
        self.core.connected("token".into(), self.now);
        self.carry_out();
    }

    /// A frame of the server arrives.
    pub fn deliver(&mut self, re: u64, body: wire::server_frame::Body) {
        self.core.frame(wire::ServerFrame { re, body: Some(body) }, self.now);
        self.carry_out();
    }

    /// The connection breaks.
    pub fn drop_connection(&mut self, lost: &Lost) {
        self.link = Link::Down;
        self.written.clear();
        self.core.disconnected(lost, self.now);
        self.carry_out();
    }

    /// The app sends a text.
    ///
    /// # Errors
    /// As [`Core::send`].
    pub fn send_text(&mut self, to: &tidings_schema::id::Uid, text: &str) -> Result<MessageId, SendError> {
        self.ids += 1;
        let mut random = [0; 10];
        random[..8].copy_from_slice(&(self.ids ^ self.seed.rotate_left(32)).to_be_bytes());
        let id = self.core.fresh_id(random, self.now);
        self.core.send(id, Draft::text(to.clone(), text), self.now)?;
        self.carry_out();
        Ok(id)
    }

    /// The app asks, or changes something.
    ///
    /// # Errors
    /// As [`Core::request`].
    pub fn request(&mut self, op: wire::client_frame::Op) -> Result<u64, RequestError> {
        let request = self.core.request(op, self.now)?;
        self.carry_out();
        Ok(request)
    }

    /// The user presses a key.
    pub fn typing(&mut self, peer: &tidings_schema::id::Uid) {
        self.core.typing(peer, self.now);
        self.carry_out();
    }

    /// The app applied everything up to `seq`.
    pub fn applied(&mut self, seq: Seq) {
        self.core.applied(seq, self.now);
        self.carry_out();
    }

    /// The process dies and starts again with what it had kept.
    pub fn restart(&mut self) {
        let identity = Identity { device_id: Some("d1".into()), platform: "test".into() };
        self.seed = self.seed.wrapping_add(1);
        self.core = Core::new(identity, self.stored.clone(), self.seed, self.now);
        self.link = Link::Down;
        self.written.clear();
        self.events.clear();
        self.answers.clear();
        self.wait(0);
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Persist(change) => self.persist(change),
                Output::Write(frame) => self.written.push_back(frame),
                Output::Event(event) => self.events.push_back(event),
                Output::Answer(request, answer) => self.answers.push_back((request, answer)),
                Output::RenewToken => self.core.renewed("renewed".into()),
                Output::Connect => self.link = Link::Wanted,
                Output::Disconnect => self.link = Link::Down,
            }
        }
    }

    fn persist(&mut self, change: Change) {
        match change {
            Change::Add(send) => self.stored.sends.push(*send),
            Change::Remove(id) => self.stored.sends.retain(|send| send.message_id != id.to_string()),
            Change::Place(place) => self.stored.place = Some(place),
            Change::Scrub => {}
        }
    }
}
