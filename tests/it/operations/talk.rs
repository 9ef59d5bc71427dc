//! A connection that says exactly what a test wants, in either encoding, and tells answers from pushes.

use std::{collections::VecDeque, time::Duration};

use prost::Message as _;
use tidings_client::raw::{Came, RawClient};
use tidings_schema::{
    error_code::ErrorCode,
    id::{MessageId, Millis},
    json,
    wire::{self, client_frame::Op, server_frame::Body},
};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::server::Server;

/// How long anything may take that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// How frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Protobuf,
}

/// Both, for tests that hold for either.
pub const FORMS: [Form; 2] = [Form::Json, Form::Protobuf];

/// One connection.
pub struct Talk {
    raw: RawClient,
    form: Form,
    last_id: u64,
    entries: VecDeque<wire::Entry>,
    answers: VecDeque<(u64, Body)>,
    /// Pushes that are no entries.
    pushes: VecDeque<Body>,
    /// Log ids that came with entries.
    pub log_id: Option<Vec<u8>>,
}

impl Talk {
    /// Connects and says nothing.
    pub async fn silent(server: &Server, form: Form) -> Self {
        let raw = RawClient::connect(&server.url(), None).await.unwrap();
        let (entries, answers, pushes) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { raw, form, last_id: 0, entries, answers, pushes, log_id: None }
    }

    /// Connects with one subprotocol offered, and says nothing.
    pub async fn with_subprotocol(server: &Server, name: &'static str, form: Form) -> Self {
        let raw = RawClient::connect(&server.url(), Some(name)).await.unwrap();
        Self { raw, form, ..Self::silent(server, form).await }
    }

    /// Connects as a device that never was before, or goes on where it was.
    pub async fn hello(server: &Server, form: Form, uid: &str, device: &str) -> (Self, wire::Welcome) {
        Self::resume(server, form, uid, device, None).await
    }

    /// Connects and says what it has.
    pub async fn resume(
        server: &Server,
        form: Form,
        uid: &str,
        device: &str,
        resume: Option<wire::Resume>,
    ) -> (Self, wire::Welcome) {
        let mut talk = Self::silent(server, form).await;
        let token = server.token(uid).await;
        match talk.ask(hello(&token, device, resume)).await {
            Body::Welcome(welcome) => (talk, welcome),
            other => panic!("{other:?} instead of a welcome"),
        }
    }

    /// Writes an operation; its answer is [`answer`](Self::answer) to the id given back.
    pub async fn put(&mut self, op: Op) -> u64 {
        self.last_id += 1;
        let frame = wire::ClientFrame { id: self.last_id, op: Some(op) };
        let message = match self.form {
            Form::Protobuf => Message::Binary(frame.encode_to_vec().into()),
            Form::Json => Message::Text(json::encode_client(&frame).into()),
        };
        self.raw.write_message(message).await.unwrap();
        self.last_id
    }

    /// Writes text as it is.
    pub async fn write_text(&mut self, text: &str) {
        self.raw.write_message(Message::Text(text.into())).await.unwrap();
    }

    /// Writes bytes as a binary message.
    pub async fn write_binary(&mut self, bytes: &[u8]) {
        self.raw.write_message(Message::Binary(bytes.to_vec().into())).await.unwrap();
    }

    /// Writes below the WebSocket.
    pub async fn write_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.raw.write_bytes(bytes).await
    }

    /// Writes an operation and waits for its answer.
    pub async fn ask(&mut self, op: Op) -> Body {
        let id = self.put(op).await;
        self.answer(id).await
    }

    /// Writes an operation that must be refused, and gives the error back.
    pub async fn refused(&mut self, op: Op) -> wire::Error {
        error(self.ask(op).await)
    }

    /// The answer to the operation with this id.
    pub async fn answer(&mut self, id: u64) -> Body {
        loop {
            if let Some(at) = self.answers.iter().position(|(re, _)| *re == id) {
                return self.answers.remove(at).unwrap().1;
            }
            self.take().await;
        }
    }

    /// The next entry that is pushed.
    pub async fn entry(&mut self) -> wire::Entry {
        loop {
            if let Some(entry) = self.entries.pop_front() {
                return entry;
            }
            self.take().await;
        }
    }

    /// Entries that came and were not taken.
    pub fn seqs_waiting(&self) -> Vec<u64> {
        self.entries.iter().map(|entry| entry.seq).collect()
    }

    /// The next pushed entry that `wanted` takes something from; others before it are dropped.
    pub async fn entry_with<T>(&mut self, wanted: impl Fn(&wire::Entry) -> Option<T>) -> T {
        loop {
            let entry = self.entry().await;
            if let Some(found) = wanted(&entry) {
                return found;
            }
        }
    }

    /// The next push that is no entry.
    pub async fn push(&mut self) -> Body {
        loop {
            if let Some(body) = self.pushes.pop_front() {
                return body;
            }
            self.take().await;
        }
    }

    /// Takes what comes for so long, and says nothing.
    pub async fn listen(&mut self, time: Duration) {
        let taking = async {
            loop {
                self.take().await;
            }
        };
        let _over: Result<(), _> = timeout(time, taking).await;
    }

    /// Whether something comes within so long; it stays readable.
    pub async fn spoken_within(&mut self, time: Duration) -> bool {
        match timeout(time, self.raw.next()).await {
            Ok(Came::Frame(frame)) => {
                self.sort(*frame);
                true
            }
            Ok(other) => panic!("{other:?} instead of a frame"),
            Err(_) => false,
        }
    }

    /// Waits for the end: the code of the close frame. What comes before stays readable.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Came::Closed(code, _) => return code,
                Came::Frame(frame) => self.sort(*frame),
                other => panic!("{other:?} instead of a close frame"),
            }
        }
    }

    /// What comes next, whatever it is.
    pub async fn next(&mut self) -> Came {
        timeout(PATIENCE, self.raw.next()).await.expect("something comes")
    }

    async fn take(&mut self) {
        match self.next().await {
            Came::Frame(frame) => self.sort(*frame),
            other => panic!("{other:?} instead of a frame; came so far: {:?} {:?}", self.answers, self.pushes),
        }
    }

    fn sort(&mut self, frame: wire::ServerFrame) {
        match frame.body.expect("a body") {
            Body::Entries(entries) => {
                if !entries.log_id.is_empty() {
                    self.log_id = Some(entries.log_id.to_vec());
                }
                self.entries.extend(entries.entries);
            }
            body if frame.re == 0 => self.pushes.push_back(body),
            body => self.answers.push_back((frame.re, body)),
        }
    }

    /// Sends a text and waits for its ack.
    pub async fn send(&mut self, to: &str, words: &str) -> wire::SendAck {
        ack(self.ask(send(to, words)).await)
    }

    /// Acknowledges; there is no answer.
    pub async fn ack(&mut self, inbox: u64) {
        self.put(Op::Ack(wire::Ack { inbox, ..Default::default() })).await;
    }

    /// One page of the inbox.
    pub async fn sync(&mut self, after: u64, limit: u32) -> wire::Page {
        page(self.ask(Op::Sync(wire::Sync { after, limit })).await)
    }

    /// One page of a conversation.
    pub async fn history(&mut self, peer: &str, before: u64, limit: u32) -> wire::Page {
        page(self.ask(Op::History(wire::History { conversation: with(peer), before, limit })).await)
    }

    /// One page of the conversations.
    pub async fn conversations(&mut self, after: u64, limit: u32) -> wire::Conversations {
        match self.ask(Op::Conversations(wire::ListConversations { after, limit })).await {
            Body::Conversations(conversations) => conversations,
            other => panic!("{other:?} instead of conversations"),
        }
    }

    /// Moves a read marker: the seq of its entry, 0 when nothing moved.
    pub async fn read(&mut self, peer: &str, seq: u64) -> u64 {
        ok(self.ask(read(peer, seq)).await)
    }

    /// Everything the server was told before is done when this returns.
    pub async fn settle(&mut self) -> wire::Pong {
        match self.ask(Op::Ping(wire::Ping { interval_ms: 30_000 })).await {
            Body::Pong(pong) => pong,
            other => panic!("{other:?} instead of a pong"),
        }
    }
}

pub fn hello(token: &str, device: &str, resume: Option<wire::Resume>) -> Op {
    Op::Hello(wire::Hello {
        token: token.into(),
        device_id: device.into(),
        platform: "test".into(),
        resume,
        revision: 1,
    })
}

pub fn with(peer: &str) -> Option<wire::Conversation> {
    Some(wire::Conversation { conversation: Some(wire::conversation::Conversation::Uid(peer.into())) })
}

pub fn read(peer: &str, seq: u64) -> Op {
    Op::Read(wire::Read { conversation: with(peer), seq })
}

pub fn text(words: &str) -> Option<wire::Content> {
    Some(wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: words.into() })) })
}

/// A new message id, made now.
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// A message id that says it was made at this time.
pub fn id_made_at(ms: u64) -> String {
    MessageId::v7(Millis::new(ms), [7; 10]).to_string()
}

pub fn send(to: &str, words: &str) -> Op {
    send_as(&new_id(), to, words)
}

pub fn send_as(message_id: &str, to: &str, words: &str) -> Op {
    Op::Send(wire::Send {
        message_id: message_id.into(),
        to: Some(wire::Target { target: Some(wire::target::Target::Uid(to.into())) }),
        content: text(words),
        ..Default::default()
    })
}

pub fn words(entry: &wire::Entry) -> Option<String> {
    let Some(wire::entry::Body::Message(message)) = &entry.body else { return None };
    match message.content.as_ref()?.kind.as_ref()? {
        wire::content::Kind::Text(text) => Some(text.text.clone()),
        _ => None,
    }
}

pub fn error(body: Body) -> wire::Error {
    match body {
        Body::Error(error) => error,
        other => panic!("{other:?} instead of an error"),
    }
}

pub fn is(error: &wire::Error, code: ErrorCode) {
    assert_eq!(error.code, code.number(), "{}", error.text);
}

pub fn ack(body: Body) -> wire::SendAck {
    match body {
        Body::SendAck(ack) => ack,
        other => panic!("{other:?} instead of an ack"),
    }
}

pub fn ok(body: Body) -> u64 {
    match body {
        Body::Ok(ok) => ok.seq,
        other => panic!("{other:?} instead of ok"),
    }
}

pub fn page(body: Body) -> wire::Page {
    match body {
        Body::Page(page) => page,
        other => panic!("{other:?} instead of a page"),
    }
}
