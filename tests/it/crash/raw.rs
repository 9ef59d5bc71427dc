//! A device that says exactly what a test wants: hello without a place of its own, single sends, acks and questions.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use tidings_client::raw::{Came, RawClient};
use tidings_schema::wire::{self, client_frame::Op, server_frame::Body};
use tokio::time::timeout;

use crate::checker::{Kept, User, View};

/// Longest wait for an answer; nothing in these tests takes so long unless it never comes.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Entries and conversations per page.
const PAGE: u32 = 200;

/// A welcomed connection.
pub struct RawDevice {
    socket: RawClient,
    pub welcome: wire::Welcome,
    next_id: u64,
    /// Pushed while an answer was awaited.
    pushed: VecDeque<wire::Entries>,
    /// Answers that came before another one that was awaited.
    answered: BTreeMap<u64, Body>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer: {0}")]
pub struct Gone(pub String);

impl RawDevice {
    /// Connects and says hello. `resume` is the place the device claims to have; `None`: the server knows better.
    pub async fn connect(url: &str, token: &str, device: &str, resume: Option<wire::Resume>) -> Result<Self, Gone> {
        let socket = RawClient::connect(url, Some("tidings.v1.proto")).await.map_err(|why| Gone(why.to_string()))?;
        let welcome = wire::Welcome::default();
        let mut device_ = Self { socket, welcome, next_id: 1, pushed: VecDeque::new(), answered: BTreeMap::new() };
        let hello = wire::Hello {
            token: token.to_owned(),
            device_id: device.to_owned(),
            platform: "raw".into(),
            resume,
            revision: 1,
        };
        match device_.ask(Op::Hello(hello)).await? {
            Body::Welcome(welcome) => device_.welcome = welcome,
            other => return Err(Gone(format!("no welcome: {other:?}"))),
        }
        Ok(device_)
    }

    /// Writes a frame without asking for an answer.
    pub async fn say(&mut self, op: Op) -> Result<(), Gone> {
        let frame = wire::ClientFrame { id: 0, op: Some(op) };
        self.socket.write(&frame).await.map_err(|why| Gone(why.to_string()))
    }

    /// Writes a frame and returns the id its answer will name.
    pub async fn start(&mut self, op: Op) -> Result<u64, Gone> {
        let id = self.next_id;
        self.next_id += 1;
        let frame = wire::ClientFrame { id, op: Some(op) };
        self.socket.write(&frame).await.map_err(|why| Gone(why.to_string()))?;
        Ok(id)
    }

    /// Asks and waits for the answer; pushes that come meanwhile are kept.
    pub async fn ask(&mut self, op: Op) -> Result<Body, Gone> {
        let id = self.start(op).await?;
        self.answer(id).await
    }

    /// Waits for the answer to `id`.
    pub async fn answer(&mut self, id: u64) -> Result<Body, Gone> {
        loop {
            if let Some(body) = self.answered.remove(&id) {
                return Ok(body);
            }
            let frame = self.frame().await?;
            match frame.body {
                Some(Body::Entries(entries)) => self.pushed.push_back(entries),
                Some(body) if frame.re > 0 => drop(self.answered.insert(frame.re, body)),
                Some(_) | None => {}
            }
        }
    }

    /// The next push.
    pub async fn push(&mut self) -> Result<wire::Entries, Gone> {
        if let Some(entries) = self.pushed.pop_front() {
            return Ok(entries);
        }
        loop {
            if let Some(Body::Entries(entries)) = self.frame().await?.body {
                return Ok(entries);
            }
        }
    }

    async fn frame(&mut self) -> Result<wire::ServerFrame, Gone> {
        match timeout(ANSWER_WITHIN, self.socket.next()).await {
            Ok(Came::Frame(frame)) => Ok(*frame),
            Ok(other) => Err(Gone(format!("{other:?}"))),
            Err(_) => Err(Gone("nothing came".into())),
        }
    }

    /// The whole inbox, the whole list of conversations and the history of each.
    pub async fn audit(&mut self) -> Result<User, Gone> {
        let mut user = User { unread_total: self.welcome.unread_total, ..User::default() };
        loop {
            let after = user.inbox.last().map_or(0, |kept| kept.entry.seq);
            let Body::Page(page) = self.ask(Op::Sync(wire::Sync { after, limit: PAGE })).await? else {
                return Err(Gone("no page".into()));
            };
            user.inbox.extend(page.entries.iter().map(Kept::of_wire));
            if !page.more || page.entries.is_empty() {
                break;
            }
        }
        let mut after = 0;
        loop {
            let ask = Op::Conversations(wire::ListConversations { after, limit: PAGE });
            let Body::Conversations(list) = self.ask(ask).await? else { return Err(Gone("no list".into())) };
            after = list.conversations.last().and_then(|view| view.last.as_ref()).map_or(0, |last| last.seq);
            let more = list.more;
            user.conversations.extend(list.conversations.into_iter().map(View::of_wire));
            if !more {
                break;
            }
        }
        let peers: BTreeSet<String> = user.messages().map(|(_, message)| message.peer.clone()).collect();
        for peer in peers {
            let history = self.whole_history(&peer).await?;
            user.histories.insert(peer, history);
        }
        Ok(user)
    }

    async fn whole_history(&mut self, peer: &str) -> Result<Vec<Kept>, Gone> {
        let (mut all, mut before) = (Vec::new(), 0);
        loop {
            let ask = wire::History { conversation: Some(conversation_with(peer)), before, limit: PAGE };
            let Body::Page(page) = self.ask(Op::History(ask)).await? else { return Err(Gone("no history".into())) };
            all.extend(page.entries.iter().map(Kept::of_wire));
            before = page.entries.last().map_or(before, |entry| entry.seq);
            if !page.more || page.entries.is_empty() {
                return Ok(all);
            }
        }
    }
}

/// The conversation with a user, as it is named on the wire.
pub fn conversation_with(peer: &str) -> wire::Conversation {
    wire::Conversation { conversation: Some(wire::conversation::Conversation::Uid(peer.to_owned())) }
}

/// A text as content.
pub fn text_content(text: &str) -> wire::Content {
    wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: text.to_owned() })) }
}

/// A text message as a frame.
pub fn text_send(id: &str, to: &str, text: &str, retry: bool) -> Op {
    Op::Send(wire::Send {
        message_id: id.to_owned(),
        to: Some(wire::Target { target: Some(wire::target::Target::Uid(to.to_owned())) }),
        content: Some(text_content(text)),
        retry,
        ..Default::default()
    })
}

/// A fresh message id.
pub fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
