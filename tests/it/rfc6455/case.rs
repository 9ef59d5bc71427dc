//! What a case is: what the peer writes, what must come back, and who ends the connection how.

/// The group of cases that are not of the list.
pub const OWN: &str = "own";

/// Cases of one heading of the list.
#[derive(Clone)]
pub struct Group {
    pub id: &'static str,
    pub title: &'static str,
    pub cases: Vec<Case>,
}

#[derive(Clone)]
pub struct Case {
    pub id: String,
    /// For the table.
    pub sent: String,
    pub script: Vec<Do>,
    /// What must come, in this order, and nothing else.
    pub events: Vec<Event>,
    pub end: End,
    pub weight: Weight,
}

/// How the list judges.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// There is one right outcome.
    Required,
    /// The RFC leaves it open; the outcome is written down.
    Informational,
}

/// One step of the peer.
#[derive(Clone)]
pub enum Do {
    /// Queues a frame.
    Write(Frame),
    /// What is queued leaves now, in one write.
    Leave,
    /// Queues a frame, and everything leaves in writes of so many bytes.
    Chop(Frame, usize),
    /// A message in frames of so many bytes.
    Fragments(Frame, usize),
    /// The header of a text frame of so many bytes, and the first of them.
    Begin(usize, Vec<u8>),
    /// More of that frame.
    More(Vec<u8>),
    /// Waits until so many events have come.
    Await(usize),
    /// Sends the message and waits for its echo, so many times.
    RoundTrips(Frame, usize),
}

/// A payload: `unit` again and again, until `bytes` are there.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    unit: Vec<u8>,
    bytes: usize,
}

impl Payload {
    pub fn filled(unit: &[u8], bytes: usize) -> Self {
        Self { unit: unit.to_vec(), bytes }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.unit.iter().copied().cycle().take(self.bytes).collect()
    }
}

impl<T: AsRef<[u8]> + ?Sized> From<&T> for Payload {
    fn from(bytes: &T) -> Self {
        Self::filled(bytes.as_ref(), bytes.as_ref().len())
    }
}

#[derive(Clone)]
pub struct Frame {
    pub opcode: u8,
    pub fin: bool,
    pub rsv: u8,
    pub payload: Payload,
}

/// A frame of this kind that is a message.
pub fn whole(opcode: u8, payload: impl Into<Payload>) -> Frame {
    Frame { opcode, fin: true, rsv: 0, payload: payload.into() }
}

/// A frame of this kind after which more follow.
pub fn part(opcode: u8, payload: impl Into<Payload>) -> Frame {
    Frame { fin: false, ..whole(opcode, payload) }
}

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

pub fn text(words: &str) -> Frame {
    whole(TEXT, words)
}

pub fn ping(payload: &str) -> Frame {
    whole(PING, payload)
}

/// A close frame as it should be.
pub fn close(code: u16) -> Frame {
    close_with(code, b"")
}

pub fn close_with(code: u16, reason: &[u8]) -> Frame {
    whole(CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

/// What comes back.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    Text(Payload),
    Binary(Payload),
    Pong(Payload),
}

impl Event {
    /// The echo of a frame.
    pub fn echo(frame: &Frame) -> Self {
        match frame.opcode {
            BINARY => Self::Binary(frame.payload.clone()),
            PING => Self::Pong(frame.payload.clone()),
            _ => Self::Text(frame.payload.clone()),
        }
    }

    pub fn text(words: &str) -> Self {
        Self::Text(words.into())
    }
}

/// Who ends the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything came; the peer closes with 1000 and is answered with it.
    Peer,
    /// The peer closed in its script, and is answered with one of these codes, or without one when the list is empty.
    Answered(&'static [u16]),
    /// The server fails the connection with one of these codes.
    Fails(&'static [u16]),
}

/// A case that is answered and then closed by the peer.
pub fn answered(id: impl Into<String>, sent: impl Into<String>, script: Vec<Do>, events: Vec<Event>) -> Case {
    Case { id: id.into(), sent: sent.into(), script, events, end: End::Peer, weight: Weight::Required }
}

/// A case that breaks a rule of the protocol.
pub fn breaks(id: impl Into<String>, sent: impl Into<String>, script: Vec<Do>, before: Vec<Event>) -> Case {
    Case { end: End::Fails(&[1002]), ..answered(id, sent, script, before) }
}

/// A case whose text is none.
pub fn no_text(id: impl Into<String>, sent: impl Into<String>, script: Vec<Do>) -> Case {
    Case { end: End::Fails(&[1007]), ..answered(id, sent, script, Vec::new()) }
}

/// The frames leave in one write, in one write each, or byte by byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Chops {
    None,
    Frames,
    Bytes,
}

impl Chops {
    pub fn of(self, frames: &[Frame]) -> Vec<Do> {
        let steps = frames.iter().cloned().map(|frame| match self {
            Self::None => vec![Do::Write(frame)],
            Self::Frames => vec![Do::Write(frame), Do::Leave],
            Self::Bytes => vec![Do::Chop(frame, 1)],
        });
        steps.flatten().collect()
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Frames => ", frame by frame",
            Self::Bytes => ", byte by byte",
        }
    }
}
