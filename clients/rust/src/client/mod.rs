//! What an app holds: a handle to send, change and ask with.

mod changes;

use std::sync::Arc;

use tidings_schema::{
    id::{MessageId, Seq, Uid},
    wire::{self, client_frame::Op, server_frame::Body},
};
use tokio::sync::{mpsc, oneshot};

pub use self::changes::Settings;
use crate::{
    config::Config,
    core::{Draft, Refused, RequestError, SendError, Sent, conversation_with},
    driver::Driver,
    events::{Events, Taken},
    queue::QueueError,
};

/// Commands of the app that wait for the client's task; more wait in the caller.
const COMMANDS_MAX: usize = 256;
/// Events the app has not taken. When full the client stops reading its connection, so that the server slows down.
const EVENTS_MAX: usize = 1_024;

/// Why the client could not take something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// It was not taken, for this reason.
    #[error(transparent)]
    Refused(#[from] SendError),
    /// The client ended: closed by the app, or its queue failed.
    #[error("the client has ended")]
    Ended,
}

/// What became of a message in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server keeps it.
    Sent(Sent),
    /// It will never be accepted.
    Refused(Refused),
    /// The client ended first; a durable queue sends it at the next start.
    Ended,
}

/// A message that is in the durable queue.
#[derive(Debug)]
pub struct Sending {
    message_id: MessageId,
    outcome: oneshot::Receiver<Outcome>,
}

impl Sending {
    /// Its id, for ever.
    #[must_use]
    pub fn message_id(&self) -> MessageId {
        self.message_id
    }

    /// Waits for what becomes of it, over reconnects, without a limit of time. Dropping this changes nothing.
    pub async fn outcome(self) -> Outcome {
        self.outcome.await.unwrap_or(Outcome::Ended)
    }
}

#[derive(Debug)]
pub(crate) enum Command {
    Send { draft: Draft, taken: oneshot::Sender<Result<MessageId, SendError>>, outcome: oneshot::Sender<Outcome> },
    Read { peer: Uid, seq: Seq },
    Request { op: Op, answer: oneshot::Sender<Result<Body, RequestError>> },
    Typing(Uid),
    Applied(Seq),
    Close,
}

/// A running client. Clones share it; it ends when all are gone, or on [`close`](Self::close).
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
}

impl Client {
    /// Loads the queue and starts the client's task on the current tokio runtime. It connects, and reconnects, by itself.
    ///
    /// # Errors
    /// [`QueueError`] when what was kept cannot be read.
    pub fn connect(config: Config) -> Result<(Self, Events), QueueError> {
        let (commands, from_app) = mpsc::channel(COMMANDS_MAX);
        let (to_app, events) = mpsc::channel(EVENTS_MAX);
        let taken = Arc::new(Taken::default());
        let driver = Driver::new(config, from_app, to_app, Arc::clone(&taken))?;
        tokio::spawn(driver.run());
        Ok((Self { commands }, Events::new(events, taken)))
    }

    /// Puts a message into the durable queue and returns when it is kept there.
    ///
    /// # Errors
    /// [`ClientError`]: it was not kept.
    pub async fn send(&self, draft: Draft) -> Result<Sending, ClientError> {
        let (taken, was_taken) = oneshot::channel();
        let (outcome, outcome_rx) = oneshot::channel();
        self.command(Command::Send { draft, taken, outcome }).await?;
        let message_id = was_taken.await.map_err(|_| ClientError::Ended)??;
        Ok(Sending { message_id, outcome: outcome_rx })
    }

    /// Moves the read marker; repeated until the server has it.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn read(&self, peer: &Uid, seq: Seq) -> Result<(), ClientError> {
        self.command(Command::Read { peer: peer.clone(), seq }).await
    }

    /// Tells `peer` that the user is writing: call it for every key, it is said seldom enough. Lost without a connection.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn typing(&self, peer: &Uid) -> Result<(), ClientError> {
        self.command(Command::Typing(peer.clone())).await
    }

    /// With [`Acks::ByApp`](crate::Acks::ByApp): everything up to `seq` is applied and kept.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn applied(&self, seq: Seq) -> Result<(), ClientError> {
        self.command(Command::Applied(seq)).await
    }

    /// Messages with `peer` before a seq (0: the newest), newest first.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn history(&self, peer: &Uid, before: Seq, limit: u32) -> Result<wire::Page, RequestError> {
        let conversation = Some(conversation_with(peer.as_str()));
        let op = Op::History(wire::History { conversation, before: before.get(), limit });
        match self.request(op).await? {
            Body::Page(page) => Ok(page),
            _ => Err(RequestError::Unexpected),
        }
    }

    /// Recent conversations, newest first; `after` is the last seq of the last one of the page before (0: from the start).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn conversations(&self, after: Seq, limit: u32) -> Result<wire::Conversations, RequestError> {
        match self.request(Op::Conversations(wire::ListConversations { after: after.get(), limit })).await? {
            Body::Conversations(list) => Ok(list),
            _ => Err(RequestError::Unexpected),
        }
    }

    /// Any operation that has an answer. What changes something waits for the server as the calls above do; what asks
    /// for something is asked once, and only while connected.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, op: Op) -> Result<Body, RequestError> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Request { op, answer }).await.map_err(|_| RequestError::Disconnected)?;
        answered.await.unwrap_or(Err(RequestError::Disconnected))
    }

    /// Ends the client; what waits in a durable queue stays there.
    pub async fn close(&self) {
        if self.commands.send(Command::Close).await.is_ok() {
            self.commands.closed().await;
        }
    }

    async fn command(&self, command: Command) -> Result<(), ClientError> {
        self.commands.send(command).await.map_err(|_| ClientError::Ended)
    }
}
