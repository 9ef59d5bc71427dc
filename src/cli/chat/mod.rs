//! `tidings chat`: a terminal client that survives its server and its own restarts.
//!
//! Every message is shown from its inbox entry, so what is on the screen with a tick is durable, and nothing is shown
//! twice: while a list or a history is on its way no event is taken, and what they contain is not shown again. Nothing
//! but the client's own queue is kept on disk.

mod answers;
mod command;
mod editor;
mod hear;
mod lines;
mod obey;
mod screen;
mod shown;
mod status;
mod view;
mod width;
mod words;

use std::{collections::VecDeque, pin::Pin, time::Duration};

use anyhow::Context as _;
use tidings_client::{Client, Config, Events, Outcome, core::RequestError};
use tidings_schema::{
    id::{Seq, Uid},
    wire,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Sleep, sleep, timeout},
};

use self::{
    screen::{Input, Screen, Style, Typed},
    status::{Link, Status},
    view::View,
};
use super::{
    ChatArgs,
    identity::{self, Mint},
};

/// Answers that wait to be noticed; more wait in their tasks.
const DONE_MAX: usize = 256;
/// Lines that wait while a history is on its way; more wait in the terminal or the pipe.
const LINES_MAX: usize = 64;
/// At the end of piped input: how long to wait for answers.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

struct Chat {
    client: Client,
    screen: Screen,
    view: View,
    open: Option<Uid>,
    link: Link,
    /// The list of conversations was taken.
    listed: bool,
    /// A list or a history is on its way: events and further lines wait.
    loading: bool,
    lines: VecDeque<String>,
    /// Messages without an ack.
    sending: u64,
    /// Changes without an answer.
    changing: u64,
    done: mpsc::Sender<Done>,
}

/// Something that was asked for has its answer.
enum Done {
    Sent(Outcome),
    /// What it was, as in "the edit".
    Changed(&'static str, Result<Seq, RequestError>),
    Set(Uid, command::Setting, Result<Seq, RequestError>),
    Listed(Result<wire::Conversations, RequestError>),
    History(Uid, Result<wire::Page, RequestError>),
}

/// Where things come from.
struct Sources {
    typed: mpsc::Receiver<Typed>,
    events: Events,
    done: mpsc::Receiver<Done>,
    resized: Signal,
    terminated: Signal,
    hung_up: Signal,
    second: Pin<Box<Sleep>>,
    /// Set at the end of the input: when answers are not waited for any longer.
    last_call: Option<Pin<Box<Sleep>>>,
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
    let catch = |kind| signal(kind).context("signals cannot be listened to");
    let (resized, terminated) = (catch(SignalKind::window_change())?, catch(SignalKind::terminate())?);
    let hung_up = catch(SignalKind::hangup())?;
    let (screen, typed) = Screen::open(args.color)?;
    let (client, events) = Client::connect(config)?;
    let (done, from_tasks) = mpsc::channel(DONE_MAX);
    let (second, last_call) = (Box::pin(sleep(SECOND)), None);
    let sources = Sources { typed, events, done: from_tasks, resized, terminated, hung_up, second, last_call };
    let view = View { me: args.user.to_string(), ..View::default() };
    let (link, lines) = (Link::Connecting, VecDeque::new());
    let (listed, loading, sending, changing) = (false, false, 0, 0);
    let chat = Chat { client, screen, view, open: args.to, link, listed, loading, lines, sending, changing, done };
    chat.serve(sources).await
}

impl Chat {
    async fn serve(mut self, mut sources: Sources) -> anyhow::Result<()> {
        self.screen.print(Style::Dim, &format!("connecting as {} ... (/help lists the commands)", self.view.me));
        let ended = loop {
            let prompt = self.prompt();
            self.screen.set_prompt(prompt);
            match self.next(&mut sources).await {
                Ok(Next::GoOn) if sources.last_call.is_some() && self.is_settled() => break Ok(()),
                Ok(Next::GoOn) => {}
                Ok(Next::Leave) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.say_what_is_left();
        let _ = timeout(Duration::from_secs(2), self.client.close()).await;
        ended
    }

    /// Waits for the next thing, and deals with it.
    async fn next(&mut self, sources: &mut Sources) -> anyhow::Result<Next> {
        // What is typed before the first attempt to connect is over waits for its outcome.
        if !self.loading
            && self.link != Link::Connecting
            && let Some(line) = self.lines.pop_front()
        {
            return self.line(&line).await;
        }
        let (may_read, ticking) = (sources.last_call.is_none() && self.lines.len() < LINES_MAX, self.is_ticking());
        tokio::select! {
            biased;
            _ = sources.terminated.recv() => return Ok(Next::Leave),
            _ = sources.hung_up.recv() => return Ok(Next::Leave),
            Some(done) = sources.done.recv() => self.settled(done).await?,
            event = sources.events.next(), if !self.loading => match event {
                Some(event) => self.hear(event).await?,
                None => anyhow::bail!("the client has ended"),
            },
            typed = sources.typed.recv(), if may_read => match typed {
                Some(typed) => return self.typed(typed).await,
                None => sources.last_call = Some(Box::pin(sleep(LAST_ANSWERS_WITHIN))),
            },
            _ = sources.resized.recv() => {
                let prompt = self.prompt();
                self.screen.resized(prompt);
            }
            () = sources.second.as_mut(), if ticking => {
                sources.second = Box::pin(sleep(SECOND));
                self.second();
            }
            () = over(&mut sources.last_call) => return Ok(Next::Leave),
        }
        Ok(Next::GoOn)
    }

    async fn typed(&mut self, typed: Typed) -> anyhow::Result<Next> {
        match self.screen.typed(typed) {
            Input::Typing => {
                if let Some(peer) = self.open.clone().filter(|_| self.screen.is_writing()) {
                    self.client.typing(&peer).await?;
                }
            }
            Input::Line(line) => self.lines.push_back(line),
            Input::Leave => return Ok(Next::Leave),
        }
        Ok(Next::GoOn)
    }

    /// Whether the prompt changes by itself as time passes.
    fn is_ticking(&self) -> bool {
        let counts_down = matches!(self.link, Link::Lost(1..));
        counts_down || self.view.talks.values().any(|talk| talk.typing_for > 0)
    }

    fn second(&mut self) {
        let _typing = self.view.second();
        if let Link::Lost(seconds) = &mut self.link {
            *seconds = seconds.saturating_sub(1);
        }
    }

    /// Nothing that was typed waits for an answer.
    fn is_settled(&self) -> bool {
        let waiting = self.sending + self.changing > 0 || self.loading || !self.lines.is_empty();
        !waiting && self.link == Link::Live
    }

    fn prompt(&self) -> String {
        let peer = self.open.as_ref().map(Uid::as_str);
        let talk = peer.and_then(|peer| self.view.talks.get(peer));
        let status = Status {
            peer,
            ticks: peer.map(|peer| self.view.ticks(peer)).unwrap_or_default(),
            typing: talk.is_some_and(|talk| talk.typing_for > 0),
            blocked: talk.is_some_and(|talk| talk.blocked),
            waiting: self.sending + self.changing,
            unread: self.view.unread_elsewhere(peer),
            link: self.link,
        };
        status.prompt(self.screen.columns())
    }

    fn say_what_is_left(&mut self) {
        if self.sending > 0 {
            let words = format!("{} not acknowledged yet; kept, and sent at the next start", self.sending);
            self.screen.print(Style::Warn, &words);
        }
        if self.changing > 0 {
            let words = format!("{} changes without an answer; look at the next start, and repeat them", self.changing);
            self.screen.print(Style::Warn, &words);
        }
    }
}

/// Never, while there is no last call.
async fn over(last_call: &mut Option<Pin<Box<Sleep>>>) {
    match last_call {
        Some(last_call) => last_call.as_mut().await,
        None => std::future::pending().await,
    }
}
