//! `tidings chat`: a terminal client that survives its server and its own restarts.
//!
//! Every message is shown from its inbox entry, so what is on the screen with a tick is durable, and nothing is shown
//! twice: what the start-up list and the history contain is not shown again when it arrives.

use std::time::Duration;

use anyhow::Context;
use tidings_client::{
    Client, Config, Events, Outcome,
    core::{BlockState, ConnectionState, Draft, Event, Message},
};
use tidings_schema::{
    id::{Seq, Uid},
    wire,
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    ChatArgs,
    identity::{self, Mint},
    screen::{Screen, Typed},
    send::say,
    view::{Show, View, message_of, peer_of, text},
};

/// Messages shown when a conversation is opened.
const HISTORY: u32 = 20;
/// Most that `/history` shows.
const HISTORY_MAX: u32 = 200;
/// Conversations listed.
const CONVERSATIONS: u32 = 50;
/// Fates of sent messages that wait to be noticed.
const FATES_MAX: usize = 1_024;
/// At the end of piped input: how long to wait for acks.
const LAST_ACKS_WITHIN: Duration = Duration::from_secs(10);

const DIM: Option<&str> = Some("2");
const WARN: Option<&str> = Some("33");
const INCOMING: Option<&str> = Some("36");
const HELP: &str = "\
/dm USER          talk to USER
/history [N]      the last N messages of this conversation
/conversations    all conversations with unread counts
/block [USER]     hear nothing more of USER (or of this peer)
/unblock [USER]   take that back
/quit             leave (Ctrl-C and Ctrl-D too); unsent messages are kept and sent at the next start
✓ kept by the server   ✓✓ on a device of the peer   ✓✓ read; times are UTC";

struct Chat {
    client: Client,
    screen: Screen,
    view: View,
    open: Option<Uid>,
    live: bool,
    /// The list of conversations was taken.
    loaded: bool,
    waiting: u64,
    fates: mpsc::Sender<Outcome>,
}

/// What goes on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Leave,
}

/// Chats until the person leaves or the server forbids it.
///
/// # Errors
/// When another chat uses the same directory, the terminal cannot be used, or the server does not accept the user.
pub async fn run(args: ChatArgs, mint: Mint) -> anyhow::Result<()> {
    let home = identity::open_home(&args.user, &args.server)?;
    let mut config =
        Config::new(args.server.server.clone(), identity::token_source(&args.user, &args.server, mint), home.device);
    config.queue = Box::new(home.queue);
    config.platform = "tidings chat".into();
    let (screen, typed) = Screen::open()?;
    let (client, events) = Client::connect(config)?;
    let (fates, fate) = mpsc::channel(FATES_MAX);
    let view = View { me: args.user.to_string(), ..View::default() };
    let chat = Chat { client, screen, view, open: args.to, live: false, loaded: false, waiting: 0, fates };
    chat.serve(typed, events, fate).await
}

impl Chat {
    async fn serve(
        mut self,
        mut typed: mpsc::Receiver<Typed>,
        mut events: Events,
        mut fate: mpsc::Receiver<Outcome>,
    ) -> anyhow::Result<()> {
        self.screen.print(DIM, &format!("connecting as {} ... (/help lists the commands)", self.view.me));
        let mut input = true;
        // Counts from the end of the input; not polled before.
        let mut last_acks = Box::pin(sleep(LAST_ACKS_WITHIN));
        let ended = loop {
            self.prompt();
            let next = tokio::select! {
                biased;
                Some(outcome) = fate.recv() => self.settled(outcome),
                event = events.next() => match event {
                    Some(event) => self.event(event).await,
                    None => break Err(anyhow::anyhow!("the client has ended")),
                },
                key = typed.recv(), if input => match key {
                    Some(key) => self.typed(key).await,
                    None => {
                        input = false;
                        last_acks = Box::pin(sleep(LAST_ACKS_WITHIN));
                        Ok(Next::GoOn)
                    }
                },
                () = last_acks.as_mut(), if !input => Ok(Next::Leave),
            };
            match next {
                Ok(Next::GoOn) if !input && self.waiting == 0 && self.live => break Ok(()),
                Ok(Next::GoOn) => {}
                Ok(Next::Leave) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if self.waiting > 0 {
            let waiting = self.waiting;
            self.screen.print(WARN, &format!("{waiting} not acknowledged yet; kept, and sent at the next start"));
        }
        let _ = timeout(Duration::from_secs(2), self.client.close()).await;
        ended
    }

    fn prompt(&mut self) {
        let Some(open) = &self.open else { return self.screen.set_prompt("> ".into()) };
        let mut prompt = open.to_string();
        prompt.push_str(self.view.ticks(open.as_str()));
        if self.waiting > 0 {
            prompt.push_str(&format!(" …{}", self.waiting));
        }
        let unread = self.view.unread_elsewhere(Some(open.as_str()));
        if unread > 0 {
            prompt.push_str(&format!(" [{unread} unread]"));
        }
        prompt.push_str(if self.live { " > " } else { " (offline) > " });
        self.screen.set_prompt(prompt);
    }

    async fn event(&mut self, event: Event) -> anyhow::Result<Next> {
        match event {
            Event::Message(message) => self.message(&message).await?,
            Event::Receipt { peer, delivered_upto, read_upto, .. } => self.receipt(&peer, delivered_upto, read_upto),
            Event::ReadMoved { peer, .. } => self.view.talk(&peer).unread = 0,
            Event::BlockMoved { peer, now, .. } => self.view.talk(&peer).blocked = now == BlockState::Blocked,
            Event::ConversationsReset { conversations, as_of } => {
                self.view.talks.clear();
                self.view.load(&conversations, as_of);
                self.screen.print(WARN, "the server keeps another inbox than before; showing it from here on");
                self.loaded = false;
            }
            Event::Connection(state) => self.connection(state).await?,
            Event::Sent(_) | Event::Refused(_) | Event::Advanced { .. } => {}
            Event::Changed { .. } | Event::Typing { .. } => {}
        }
        Ok(Next::GoOn)
    }

    async fn connection(&mut self, state: ConnectionState) -> anyhow::Result<()> {
        match state {
            ConnectionState::Live { uid, .. } => {
                self.live = true;
                self.view.me = uid;
                self.screen.print(DIM, "connected");
                if !self.loaded {
                    self.load().await?;
                }
            }
            ConnectionState::Waiting { retry_in_ms } => {
                if std::mem::take(&mut self.live) {
                    self.screen.print(WARN, "connection lost, trying again; what you type is kept");
                } else if retry_in_ms > 5_000 {
                    let seconds = retry_in_ms / 1_000;
                    self.screen.print(WARN, &format!("no server yet, next try in {seconds} s"));
                }
            }
            ConnectionState::Stopped(reason) => anyhow::bail!("disconnected: {}", say(&reason)),
        }
        Ok(())
    }

    /// Takes the list of conversations and opens one. If the connection breaks meanwhile, the next one does it.
    async fn load(&mut self) -> anyhow::Result<()> {
        let Ok(list) = self.client.conversations(Seq::ZERO, CONVERSATIONS).await else { return Ok(()) };
        self.loaded = true;
        self.view.load(&list.conversations, Seq::new(list.as_of));
        self.list();
        let newest = list.conversations.iter().find_map(|listed| peer_of(listed.conversation.as_ref()));
        let peer = self.open.clone().or_else(|| newest.and_then(|peer| peer.parse().ok()));
        match peer {
            Some(peer) => self.talk_to(peer).await,
            None => {
                self.screen.print(DIM, "no conversations yet; /dm USER begins one");
                Ok(())
            }
        }
    }

    fn list(&self) {
        for (peer, talk) in &self.view.talks {
            let blocked = if talk.blocked { ", blocked" } else { "" };
            self.screen.print(DIM, &format!("  {peer}: {} unread{blocked}", talk.unread));
        }
    }

    async fn talk_to(&mut self, peer: Uid) -> anyhow::Result<()> {
        self.open = Some(peer);
        self.history(HISTORY).await
    }

    async fn history(&mut self, limit: u32) -> anyhow::Result<()> {
        let Some(peer) = self.open.clone() else { return self.no_peer() };
        let page = match self.client.history(&peer, Seq::ZERO, limit).await {
            Ok(page) => page,
            Err(error) => {
                self.screen.print(WARN, &format!("no history of {peer}: {error}"));
                return Ok(());
            }
        };
        self.screen.print(DIM, &format!("── {peer} ──"));
        for entry in page.entries.iter().rev() {
            self.old_message(&peer, entry);
        }
        self.mark_read(&peer).await
    }

    fn old_message(&mut self, peer: &Uid, entry: &wire::Entry) {
        let Some(message) = message_of(entry) else { return };
        let seq = Seq::new(entry.seq);
        let own = message.from == self.view.me;
        let talk = self.view.talk(peer.as_str());
        talk.last = talk.last.max(seq);
        talk.shown_upto = talk.shown_upto.max(seq);
        if own {
            talk.last_own = talk.last_own.max(seq);
        }
        let line = self.view.line(peer.as_str(), seq, entry.time, message);
        self.screen.print(if own { None } else { INCOMING }, &line);
    }

    async fn mark_read(&mut self, peer: &Uid) -> anyhow::Result<()> {
        let talk = self.view.talk(peer.as_str());
        talk.unread = 0;
        let last = talk.last;
        if last > Seq::ZERO {
            self.client.read(peer, last).await?;
        }
        Ok(())
    }

    async fn message(&mut self, message: &Message) -> anyhow::Result<()> {
        if self.open.is_none() && self.loaded {
            // Nobody is being talked to yet: whoever writes first is.
            if let Ok(peer) = message.peer.parse() {
                return self.talk_to(peer).await;
            }
        }
        let open = self.open.clone();
        let own = message.message.from == self.view.me;
        match self.view.note(message, open.as_ref().map(Uid::as_str)) {
            Show::Nothing => {}
            Show::Here => {
                let line = self.view.line(&message.peer, message.seq, message.time, &message.message);
                self.screen.print(if own { None } else { INCOMING }, &line);
                if let Some(peer) = open.filter(|_| !own) {
                    self.mark_read(&peer).await?;
                }
            }
            Show::Elsewhere => {
                let (peer, words) = (&message.peer, text(&message.message));
                let unread = self.view.talk(peer).unread;
                let way = if own { "you to " } else { "" };
                self.screen.print(DIM, &format!("[{way}{peer}] {words}   ({unread} unread, /dm {peer})"));
            }
        }
        Ok(())
    }

    fn receipt(&mut self, peer: &str, delivered_upto: Seq, read_upto: Seq) {
        let talk = self.view.talk(peer);
        talk.delivered_upto = talk.delivered_upto.max(delivered_upto);
        talk.read_upto = talk.read_upto.max(read_upto);
        if !self.screen.is_terminal() {
            self.screen.print(None, &format!("--{} {peer}", self.view.ticks(peer)));
        }
    }

    fn settled(&mut self, outcome: Outcome) -> anyhow::Result<Next> {
        self.waiting = self.waiting.saturating_sub(1);
        match outcome {
            Outcome::Sent(_) | Outcome::Ended => {}
            Outcome::Refused(refused) => {
                self.screen.print(WARN, &format!("not sent, refused with {}: {}", refused.code, refused.text));
            }
        }
        Ok(Next::GoOn)
    }

    async fn typed(&mut self, typed: Typed) -> anyhow::Result<Next> {
        let Some(done) = self.screen.typed(typed) else { return Ok(Next::GoOn) };
        let Ok(line) = done else { return Ok(Next::Leave) };
        let line = line.trim();
        match line.strip_prefix('/') {
            None if line.is_empty() => {}
            None => self.say(line).await?,
            Some(command) => return self.command(command).await,
        }
        Ok(Next::GoOn)
    }

    async fn command(&mut self, command: &str) -> anyhow::Result<Next> {
        let (verb, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match (verb, rest.trim()) {
            ("quit" | "q" | "exit", _) => return Ok(Next::Leave),
            ("help" | "?", _) => HELP.lines().for_each(|line| self.screen.print(DIM, line)),
            ("conversations" | "c", _) => self.list(),
            ("history", count) => {
                let count = count.parse().unwrap_or(HISTORY).clamp(1, HISTORY_MAX);
                self.history(count).await?;
            }
            ("dm", peer) => match peer.parse::<Uid>() {
                Ok(peer) => self.talk_to(peer).await?,
                Err(error) => self.screen.print(WARN, &format!("the name of a user {error}: /dm USER")),
            },
            ("block", peer) => self.block(peer, BlockState::Blocked).await?,
            ("unblock", peer) => self.block(peer, BlockState::Unblocked).await?,
            (other, _) => self.screen.print(WARN, &format!("no command /{other}; /help lists them")),
        }
        Ok(Next::GoOn)
    }

    async fn block(&mut self, named: &str, wanted: BlockState) -> anyhow::Result<()> {
        let peer = if named.is_empty() { self.open.clone() } else { named.parse().ok() };
        let Some(peer) = peer else { return self.no_peer() };
        let (done, word) = match wanted {
            BlockState::Blocked => (self.client.block(&peer).await, "blocked"),
            BlockState::Unblocked => (self.client.unblock(&peer).await, "unblocked"),
        };
        match done {
            Ok(_) => self.screen.print(DIM, &format!("{peer} is {word}")),
            Err(error) => self.screen.print(WARN, &format!("{peer} is not {word}: {error}")),
        }
        Ok(())
    }

    fn no_peer(&self) -> anyhow::Result<()> {
        self.screen.print(WARN, "with whom? /dm USER first");
        Ok(())
    }

    async fn say(&mut self, words: &str) -> anyhow::Result<()> {
        let Some(peer) = self.open.clone() else { return self.no_peer() };
        let sending = self.client.send(Draft::text(peer, words)).await.context("the message was not taken")?;
        if !self.live {
            self.screen.print(DIM, &format!("… {words}   (kept, sent when the server is back)"));
        }
        self.waiting += 1;
        let fates = self.fates.clone();
        tokio::spawn(async move {
            let _ = fates.send(sending.outcome().await).await;
        });
        Ok(())
    }
}
