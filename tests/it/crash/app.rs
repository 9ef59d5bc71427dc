//! An app on a device: sends at random through the client library, reads what comes, and is sometimes ended and opened
//! again on the same durable queue.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use tidings_client::{
    Client, Config, Events, TokenSource,
    core::{ConnectionState, Draft, Event},
};
use tidings_schema::id::{Seq, Uid};
use tokio::{sync::watch, task::JoinSet};

use super::{
    book::Book,
    chance::Chance,
    deeds::{self, Answer, Known},
};
use crate::{
    checker::{Entry, Fate, Path, Sending, What},
    server::{Server, open_queue},
};

/// Messages one device has handed over without an answer at most.
const OPEN_MAX: usize = 24;
/// Requests one device waits for at most: a client takes no more than eight.
const ASKING_MAX: usize = 6;
/// People open the app again rather than wait longer.
const WAIT_MS_MAX: u64 = 1_000;

/// Whether apps send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// As fast as they get answers.
    On,
    /// Not any more; they only listen.
    Off,
    /// They end.
    Over,
}

/// Who may be blocked by a user.
pub type Foe = Option<Uid>;

/// One device of one user.
pub struct App {
    pub uid: String,
    pub device: String,
    pub peers: Vec<Uid>,
    pub foe: Foe,
    pub chance: Chance,
    url: String,
    token: String,
    queue_dir: PathBuf,
    book: Arc<Book>,
    open: usize,
    sent: usize,
    /// The newest messages seen, to be read: peer and seq.
    unread: Vec<(Uid, Seq)>,
    known: Known,
    asking: JoinSet<Answer>,
    /// Changes that wait for their answer, by their numbers in the book; and those whose answer was lost.
    under_way: BTreeSet<usize>,
    lost: Vec<usize>,
    /// Whether the server is there, as far as is known.
    live: bool,
    /// A moment before the client connected for the first time.
    started: u64,
}

impl App {
    pub async fn new(server: &Server, book: &Arc<Book>, uid: &str, device: &str, chance: Chance) -> Self {
        Self {
            uid: uid.to_owned(),
            device: device.to_owned(),
            peers: Vec::new(),
            foe: None,
            chance,
            url: server.url(),
            token: server.token(uid).await,
            queue_dir: server.queue_dir(uid, device),
            book: book.clone(),
            open: 0,
            sent: 0,
            unread: Vec::new(),
            known: Known::default(),
            asking: JoinSet::new(),
            under_way: BTreeSet::new(),
            lost: Vec::new(),
            live: false,
            started: 0,
        }
    }

    async fn start(&mut self) -> (Client, Events) {
        let mut config = Config::new(self.url.clone(), TokenSource::fixed(self.token.clone()), self.device.clone());
        config.queue = Box::new(open_queue(&self.queue_dir).await);
        self.book.starts(&self.uid, &self.device);
        self.started = self.book.moment();
        Client::connect(config).unwrap()
    }

    /// Runs until the traffic is over.
    pub async fn run(mut self, mut traffic: watch::Receiver<Traffic>) {
        let mut running = self.start().await;
        while *traffic.borrow_and_update() != Traffic::Over {
            let (client, events) = &mut running;
            if *traffic.borrow() == Traffic::On && self.open < OPEN_MAX {
                self.act(client).await;
            }
            self.ask_again(client);
            let full = self.open >= OPEN_MAX || *traffic.borrow() != Traffic::On;
            let again = tokio::select! {
                biased;
                event = events.next() => self.take(event.expect("the client runs until it is closed")),
                Some(answer) = self.asking.join_next() => self.answered(answer.unwrap()),
                _ = traffic.changed() => Again::No,
                // There is room for more.
                () = std::future::ready(()), if !full => Again::No,
            };
            if again == Again::Yes || *traffic.borrow() == Traffic::On && self.chance.once_in(2_000) {
                self.end(running).await;
                running = self.start().await;
            }
        }
        self.end(running).await;
    }

    /// Ends the app: closed well, or gone without a word; what it was told and did not apply comes again.
    async fn end(&mut self, (client, mut events): (Client, Events)) {
        if self.chance.once_in(2) {
            client.close().await;
        }
        drop(client);
        // Whoever waits for an answer goes too, and asks again when the app is back.
        self.asking.abort_all();
        while let Some(ended) = self.asking.join_next().await {
            match ended {
                Ok(answer) => _ = self.answered(answer),
                Err(why) => assert!(why.is_cancelled(), "{why}"),
            }
        }
        self.lost.extend(std::mem::take(&mut self.under_way));
        while let Some(event) = events.next().await {
            self.take(event);
        }
        self.live = false;
    }

    async fn act(&mut self, client: &Client) {
        let may_ask = self.live && self.asking.len() < ASKING_MAX;
        match self.chance.between(0, 100) {
            0..3 if !self.unread.is_empty() => {
                let (peer, seq) = self.chance.pick(&self.unread).clone();
                client.read(&peer, seq).await.unwrap();
                self.unread.clear();
            }
            3 if may_ask => self.change_block(client),
            4..14 if may_ask => self.change(client),
            14..17 if may_ask => self.look(client),
            _ => self.send(client).await,
        }
    }

    async fn send(&mut self, client: &Client) {
        let to = self.chance.pick(&self.peers).clone();
        self.sent += 1;
        let text = format!("{} of {} on {}", self.sent, self.uid, self.device);
        let sending = client.send(Draft::text(to.clone(), text.clone())).await.unwrap();
        self.open += 1;
        self.book.handed_over(Sending {
            id: sending.message_id().to_string(),
            from: self.uid.clone(),
            device: self.device.clone(),
            to: to.to_string(),
            text,
            fate: Fate::Open,
        });
    }

    /// Asks, and does not wait for the answer: the entry says what came of it.
    fn change_block(&mut self, client: &Client) {
        let Some(foe) = self.foe.clone() else { return };
        let (client, block) = (client.clone(), self.chance.once_in(2));
        self.asking.spawn(async move {
            let _maybe = if block { client.block(&foe).await } else { client.unblock(&foe).await };
            Answer::Nothing
        });
    }

    fn change(&mut self, client: &Client) {
        let text = format!("edit {} of {} on {}", self.sent, self.uid, self.device);
        if let Some(change) = self.known.change(&self.uid, text, &mut self.chance) {
            let number = self.book.asks(change);
            self.ask(client, number);
        }
    }

    fn ask(&mut self, client: &Client, number: usize) {
        self.under_way.insert(number);
        let op = deeds::op_of(&self.book.tries(number));
        self.asking.spawn(deeds::ask(client.clone(), number, op));
    }

    /// Repeats what has no answer yet, as an app does that wants to know.
    fn ask_again(&mut self, client: &Client) {
        if self.live
            && self.asking.len() < ASKING_MAX
            && let Some(number) = self.lost.pop()
        {
            self.ask(client, number);
        }
    }

    fn look(&mut self, client: &Client) {
        let Some((path, op)) = self.known.look(&mut self.chance) else { return };
        let (client, uid, asked) = (client.clone(), self.uid.clone(), self.book.moment());
        self.asking.spawn(async move {
            let answer = client.request(op).await;
            Answer::Looked(answer.map_or_else(|_| Vec::new(), |answer| deeds::readings(&uid, asked, path, answer)))
        });
    }

    fn answered(&mut self, answer: Answer) -> Again {
        if let Answer::Changed(number, _) = answer {
            self.under_way.remove(&number);
        }
        match answer {
            Answer::Changed(number, Some(fate)) => self.book.changed(number, fate),
            Answer::Changed(number, None) => self.lost.push(number),
            Answer::Looked(readings) => self.book.read(readings),
            Answer::Nothing => {}
        }
        Again::No
    }

    fn take(&mut self, event: Event) -> Again {
        match &event {
            Event::Sent(sent) => {
                self.open -= 1;
                self.book.answered(&sent.message_id.to_string(), Fate::Acked(sent.seq.get()));
            }
            Event::Refused(refused) => {
                self.open -= 1;
                self.book.answered(&refused.message_id.to_string(), Fate::Refused);
            }
            Event::Connection(ConnectionState::Live { .. }) => self.live = true,
            Event::Connection(ConnectionState::Waiting { retry_in_ms }) => {
                self.live = false;
                if *retry_in_ms > WAIT_MS_MAX {
                    return Again::Yes;
                }
            }
            Event::Connection(ConnectionState::Stopped(why)) => panic!("{} on {}: {why:?}", self.uid, self.device),
            Event::ConversationsReset { .. } => panic!("{} on {} was reset", self.uid, self.device),
            _ => {}
        }
        if let Some(entry) = Entry::of_event(event) {
            if let What::Message(message) = &entry.what
                && message.from != self.uid
            {
                self.unread.push((message.peer.parse().unwrap(), Seq::new(entry.seq)));
            }
            self.known.note(&entry);
            deeds::note_sighting(&self.book, &self.uid, &entry);
            self.book.read(deeds::reading_of(&self.uid, self.started, Path::Pushed, entry.clone()));
            self.book.told(&self.uid, &self.device, entry);
        }
        Again::No
    }
}

/// Whether the app is to be opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Yes,
    No,
}
