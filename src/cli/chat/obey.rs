//! What the chat does with the lines a person types.

use std::future::Future;

use anyhow::Context as _;
use tidings_client::{
    Client, Settings,
    core::{Draft, MessageRef, RequestError, plain_text},
};
use tidings_schema::id::{Seq, Uid};

use super::{
    Chat, Done, Next,
    command::{Command, Giving, HELP, Setting, parse},
    screen::Style,
    status::Link,
    view::Own,
};

impl Chat {
    pub(super) async fn line(&mut self, line: &str) -> anyhow::Result<Next> {
        match parse(line) {
            Ok(Command::Quit) => return Ok(Next::Leave),
            Ok(command) => self.obey(command).await?,
            Err(how) => self.warn(&how),
        }
        Ok(Next::GoOn)
    }

    async fn obey(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Nothing | Command::Quit => {}
            Command::Say(words) => self.say(&words, None).await?,
            Command::Reply { number, words } => {
                if let Some(message) = self.named(number) {
                    self.say(&words, Some(message)).await?;
                }
            }
            Command::Talk(peer) => self.talk_to(peer),
            Command::History(count) => self.history(count),
            Command::Edit { number, words } => self.edit(number, words),
            Command::Recall(number) => self.recall(number),
            Command::React { number, reaction, giving } => self.react(number, reaction, giving),
            Command::Delete(numbers) => self.delete(&numbers),
            Command::DeleteUpto(number) => self.delete_upto(number),
            Command::DeleteAll => self.delete_all(),
            Command::Set { peer, setting } => self.set(peer, setting),
            Command::List => self.list(),
            Command::Blocked => {
                let blocked = self.view.blocked().join(", ");
                let words = if blocked.is_empty() { "nobody is blocked".into() } else { format!("blocked: {blocked}") };
                self.screen.print(Style::Dim, &words);
            }
            Command::Help => HELP.lines().for_each(|line| self.screen.print(Style::Dim, line)),
        }
        Ok(())
    }

    pub(super) fn warn(&mut self, words: &str) {
        self.screen.print(Style::Warn, words);
    }

    /// The conversation a command is about; says so when there is none.
    fn peer(&mut self, named: Option<Uid>) -> Option<Uid> {
        let peer = named.or_else(|| self.open.clone());
        if peer.is_none() {
            self.warn("with whom? /dm USER first");
        }
        peer
    }

    /// The message with that number; says so when there is none.
    fn named(&mut self, number: u32) -> Option<MessageRef> {
        let message = self.view.shown.named(number).map(|named| named.message.clone());
        if message.is_none() {
            self.warn(&format!("no message {number} here; the number stands before it, /history shows them"));
        }
        message
    }

    /// The message with that number, or the newest own or foreign one of this conversation.
    fn named_or_newest(&mut self, number: Option<u32>, own: Own) -> Option<MessageRef> {
        if let Some(number) = number {
            return self.named(number);
        }
        let peer = self.peer(None)?;
        let newest = self.view.newest(peer.as_str(), own);
        if newest.is_none() {
            let waits = self.sending > 0 && own == Own::Yes;
            self.warn(if waits {
                "wait until it is sent: the server does not have it yet"
            } else {
                "no message here yet"
            });
        }
        newest
    }

    async fn say(&mut self, words: &str, answering: Option<MessageRef>) -> anyhow::Result<()> {
        let to = match &answering {
            Some(message) => message.peer.parse().ok(),
            None => None,
        };
        let Some(peer) = self.peer(to) else { return Ok(()) };
        let mut draft = Draft::text(peer, words);
        if let Some(message) = answering {
            draft = draft.replying_to(message);
        }
        let sending = self.client.send(draft).await.context("the message was not taken")?;
        if self.link != Link::Live {
            self.screen.print(Style::Dim, &format!("… {words}   (kept, sent when the server is back)"));
        }
        self.sending += 1;
        let done = self.done.clone();
        tokio::spawn(async move {
            let _ = done.send(Done::Sent(sending.outcome().await)).await;
        });
        Ok(())
    }

    fn edit(&mut self, number: Option<u32>, words: String) {
        let Some(message) = self.named_or_newest(number, Own::Yes) else { return };
        self.change("the edit", |client| async move { client.edit(&message, plain_text(words)).await });
    }

    fn recall(&mut self, number: Option<u32>) {
        let Some(message) = self.named_or_newest(number, Own::Yes) else { return };
        self.change("the recall", |client| async move { client.recall(&message).await });
    }

    fn react(&mut self, number: Option<u32>, reaction: String, giving: Giving) {
        let Some(message) = self.named_or_newest(number, Own::No) else { return };
        match giving {
            Giving::Give => {
                self.change("the reaction", |client| async move { client.react(&message, &reaction).await })
            }
            Giving::TakeBack => {
                self.change("taking it back", |client| async move { client.unreact(&message, &reaction).await });
            }
        }
    }

    /// Messages of one conversation at a time: the numbers say which.
    fn delete(&mut self, numbers: &[u32]) {
        let mut messages = Vec::new();
        for &number in numbers {
            let Some(message) = self.named(number) else { return };
            messages.push(message);
        }
        let Some(peer) = messages.first().map(|message| message.peer.clone()) else { return };
        if messages.iter().any(|message| message.peer != peer) {
            return self.warn("these are of several conversations; delete them one conversation at a time");
        }
        let Ok(peer) = peer.parse::<Uid>() else { return };
        let seqs: Vec<Seq> = messages.iter().map(|message| message.seq).collect();
        self.change("the deletion", |client| async move { client.delete(&peer, &seqs).await });
    }

    fn delete_upto(&mut self, number: u32) {
        let Some(message) = self.named(number) else { return };
        let Ok(peer) = message.peer.parse::<Uid>() else { return };
        self.change("the deletion", |client| async move { client.delete_upto(&peer, message.seq).await });
    }

    fn delete_all(&mut self) {
        let Some(peer) = self.peer(None) else { return };
        self.change("the deletion", |client| async move { client.delete_conversation(&peer).await });
    }

    fn set(&mut self, named: Option<Uid>, setting: Setting) {
        let Some(peer) = self.peer(named) else { return };
        let pin = |pinned| Settings { pinned: Some(pinned), muted: None };
        let mute = |muted| Settings { pinned: None, muted: Some(muted) };
        let (client, done) = (self.client.clone(), self.done.clone());
        self.changing += 1;
        tokio::spawn(async move {
            let answer = match setting {
                Setting::Pinned => client.set_conversation(&peer, pin(true)).await,
                Setting::Unpinned => client.set_conversation(&peer, pin(false)).await,
                Setting::Muted => client.set_conversation(&peer, mute(true)).await,
                Setting::Unmuted => client.set_conversation(&peer, mute(false)).await,
                Setting::Blocked => client.block(&peer).await,
                Setting::Unblocked => client.unblock(&peer).await,
            };
            let _ = done.send(Done::Set(peer, setting, answer)).await;
        });
        self.say_that_it_waits("this");
    }

    /// Makes a change, without making the person wait for the answer.
    fn change<F>(&mut self, what: &'static str, change: impl FnOnce(Client) -> F)
    where
        F: Future<Output = Result<Seq, RequestError>> + Send + 'static,
    {
        self.changing += 1;
        let (change, done) = (change(self.client.clone()), self.done.clone());
        tokio::spawn(async move {
            let _ = done.send(Done::Changed(what, change.await)).await;
        });
        self.say_that_it_waits(what);
    }

    fn say_that_it_waits(&mut self, what: &str) {
        if self.link != Link::Live {
            self.screen.print(Style::Dim, &format!("… {what} waits until the server is back; stay here until then"));
        }
    }

    pub(super) fn list(&mut self) {
        let lines = self.view.list();
        if lines.is_empty() {
            self.screen.print(Style::Dim, "no conversations yet; /dm USER begins one");
        }
        lines.iter().for_each(|line| self.screen.print(Style::Dim, line));
    }

    pub(super) fn history(&mut self, limit: u32) {
        let Some(peer) = self.peer(None) else { return };
        let client = self.client.clone();
        self.ask(async move {
            let page = client.history(&peer, Seq::ZERO, limit).await;
            Done::History(peer, page)
        });
    }

    /// Asks for something that has to be there before anything else is shown.
    pub(super) fn ask(&mut self, question: impl Future<Output = Done> + Send + 'static) {
        self.loading = true;
        let done = self.done.clone();
        tokio::spawn(async move {
            let _ = done.send(question.await).await;
        });
    }
}
