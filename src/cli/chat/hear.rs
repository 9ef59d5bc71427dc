//! What the chat does with the events of its client.

use tidings_client::core::{BlockState, ConnectionState, Deleted, Event, Message};
use tidings_schema::id::{Seq, Uid};

use super::{
    Chat, Done,
    command::{HISTORY, Setting},
    screen::Style,
    status::Link,
    view::Show,
    words,
};
use crate::cli::send::say;

/// Conversations listed.
const CONVERSATIONS: u32 = 50;

impl Chat {
    pub(super) async fn hear(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Message(message) => self.message(&message).await?,
            Event::Receipt { peer, delivered_upto, read_upto, .. } => self.receipt(&peer, delivered_upto, read_upto),
            Event::ReadMoved { peer, .. } => self.view.read(&peer),
            Event::BlockMoved { peer, now, .. } => self.view.talk(&peer).blocked = now == BlockState::Blocked,
            Event::ConversationSet { peer, pinned, muted, .. } => {
                self.view.set(&peer, if pinned { Setting::Pinned } else { Setting::Unpinned });
                self.view.set(&peer, if muted { Setting::Muted } else { Setting::Unmuted });
            }
            Event::Recalled(recalled) => {
                let line = self.view.recalled(&recalled);
                self.about(&recalled.message.peer, &line);
            }
            Event::Edited(edited) => {
                if let Some(line) = self.view.edited(&edited) {
                    self.about(&edited.message.peer, &line);
                }
            }
            Event::Reacted(reacted) => {
                let line = self.view.reacted(&reacted);
                self.about(&reacted.message.peer, &line);
            }
            Event::Deleted(deleted) => self.deleted(&deleted),
            Event::Typing { peer } => self.peer_types(&peer),
            Event::ConversationsReset { conversations, as_of } => {
                self.view.talks.clear();
                self.view.load(&conversations, as_of);
                self.screen.print(Style::Warn, "the server keeps another inbox than before; showing it from here on");
                self.listed = false;
            }
            Event::Connection(state) => self.connection(state)?,
            Event::Sent(_) | Event::Refused(_) | Event::Advanced { .. } => {}
        }
        Ok(())
    }

    fn connection(&mut self, state: ConnectionState) -> anyhow::Result<()> {
        match state {
            ConnectionState::Live { uid, .. } => {
                self.link = Link::Live;
                self.view.me = uid;
                self.screen.print(Style::Dim, "connected");
                if !self.listed {
                    self.load();
                }
            }
            ConnectionState::Waiting { retry_in_ms } => {
                let seconds = retry_in_ms.div_ceil(1_000);
                if self.link == Link::Live {
                    self.screen.print(Style::Warn, "connection lost, trying again; what you type is kept");
                } else if retry_in_ms > 5_000 {
                    self.screen.print(Style::Warn, &format!("no server yet, next try in {seconds} s"));
                }
                self.link = Link::Lost(seconds);
            }
            ConnectionState::Stopped(reason) => anyhow::bail!("disconnected: {}", say(&reason)),
        }
        Ok(())
    }

    /// Asks for the list of conversations. If the connection breaks meanwhile, the next one does it.
    pub(super) fn load(&mut self) {
        let client = self.client.clone();
        self.ask(async move { Done::Listed(client.conversations(Seq::ZERO, CONVERSATIONS).await) });
    }

    async fn message(&mut self, message: &Message) -> anyhow::Result<()> {
        if self.open.is_none() && self.listed {
            // Nobody is being talked to yet: whoever writes first is.
            if let Ok(peer) = message.peer.parse() {
                self.talk_to(peer);
                return Ok(());
            }
        }
        let open = self.open.clone();
        let own = message.message.from == self.view.me;
        match self.view.note(message, open.as_ref().map(Uid::as_str)) {
            Show::Nothing => {}
            Show::Here => {
                self.print_message(message);
                if let Some(peer) = open.filter(|_| !own) {
                    self.mark_read(&peer).await?;
                }
            }
            Show::Elsewhere => {
                let (peer, words) = (&message.peer, words::message(&message.message, &self.view.me));
                let unread = self.view.talk(peer).unread;
                let way = if own { "you to " } else { "" };
                let line = format!("[{way}{peer}] {words}   ({unread} unread, /dm {peer})");
                self.screen.print(Style::Dim, &line);
            }
        }
        Ok(())
    }

    pub(super) fn print_message(&mut self, message: &Message) {
        let own = message.message.from == self.view.me;
        let line = self.view.line(message, self.screen.columns());
        self.screen.print(if own { Style::Own } else { Style::Incoming }, &line);
    }

    /// A line about something that happened in a conversation.
    fn about(&mut self, peer: &str, line: &str) {
        let open = self.open.as_ref().is_some_and(|open| open.as_str() == peer);
        if open {
            self.screen.print(Style::Dim, line);
        } else if !self.view.talk(peer).muted {
            self.screen.print(Style::Dim, &format!("[{peer}] {line}"));
        }
    }

    fn deleted(&mut self, deleted: &Deleted) {
        self.view.deleted(deleted);
        let what = if deleted.whole { "the conversation is" } else { "messages are" };
        self.about(&deleted.peer, &format!("* {what} deleted on your side; /history shows what is left"));
    }

    fn peer_types(&mut self, peer: &str) {
        let news = self.view.typing(peer);
        if news && !self.screen.is_terminal() {
            self.screen.print(Style::Dim, &format!("-- {peer} is typing"));
        }
    }

    fn receipt(&mut self, peer: &str, delivered_upto: Seq, read_upto: Seq) {
        self.view.receipt(peer, delivered_upto, read_upto);
        if !self.screen.is_terminal() {
            let line = format!("--{} {peer}", self.view.ticks(peer));
            self.screen.print(Style::Own, &line);
        }
    }

    pub(super) fn talk_to(&mut self, peer: Uid) {
        self.open = Some(peer);
        self.history(HISTORY);
    }

    pub(super) async fn mark_read(&mut self, peer: &Uid) -> anyhow::Result<()> {
        let talk = self.view.talk(peer.as_str());
        talk.unread = 0;
        let last = talk.last;
        if last > Seq::ZERO {
            self.client.read(peer, last).await?;
        }
        Ok(())
    }
}
