//! What is written down while it happens, by everyone, for the checker.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{sync::watch, time::Instant};

use crate::checker::{Change, Connection, Entry, Fate, Reading, Sending, Sighting};

/// How far everyone is; every change is an event that tests wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages acked.
    pub acked: usize,
    /// Messages handed to a client and not answered yet.
    pub open: usize,
    /// Changes asked for and not answered yet.
    pub asked: usize,
    /// Entries that apps were told.
    pub told: usize,
}

/// The book.
pub struct Book {
    pages: Mutex<Pages>,
    progress: watch::Sender<Progress>,
    begin: Instant,
    moments: AtomicU64,
}

/// What it holds.
#[derive(Default)]
pub struct Pages {
    pub sendings: Vec<Sending>,
    pub changes: Vec<Change>,
    pub readings: Vec<Reading>,
    pub sightings: Vec<Sighting>,
    at: BTreeMap<String, usize>,
    /// By user and device.
    pub streams: BTreeMap<(String, String), Vec<Vec<Entry>>>,
    pub connections: Vec<Connection>,
    pub deaths: Vec<u64>,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            pages: Mutex::default(),
            progress: watch::Sender::default(),
            begin: tokio::time::Instant::now(),
            moments: AtomicU64::new(1),
        }
    }
}

impl Book {
    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap()
    }

    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Milliseconds since the book was opened.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap()
    }

    /// This moment: after everything that got one before, and before everything that gets one later.
    pub fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    pub fn handed_over(&self, sending: Sending) {
        let mut pages = self.pages();
        let at = pages.sendings.len();
        pages.at.insert(sending.id.clone(), at);
        pages.sendings.push(sending);
        drop(pages);
        self.progress.send_modify(|progress| progress.open += 1);
    }

    /// A message has its answer; the first one counts.
    pub fn answered(&self, id: &str, fate: Fate) {
        let mut pages = self.pages();
        let at = pages.at.get(id).copied().unwrap_or_else(|| panic!("an answer to {id}, which was never handed over"));
        let known = &mut pages.sendings[at];
        assert!(known.fate == Fate::Open || known.fate == fate, "{id} was {:?} and is now {fate:?}", known.fate);
        if std::mem::replace(&mut known.fate, fate) != Fate::Open {
            return;
        }
        drop(pages);
        self.progress.send_modify(|progress| {
            progress.open -= 1;
            progress.acked += usize::from(matches!(fate, Fate::Acked(_)));
        });
    }

    /// A change is asked for, the first time; its number.
    pub fn asks(&self, change: Change) -> usize {
        let mut pages = self.pages();
        pages.changes.push(change);
        let number = pages.changes.len() - 1;
        drop(pages);
        self.progress.send_modify(|progress| progress.asked += 1);
        number
    }

    /// It is asked for once more, or for the first time; what it is.
    pub fn tries(&self, number: usize) -> Change {
        let mut pages = self.pages();
        pages.changes[number].tries += 1;
        pages.changes[number].clone()
    }

    /// It has its answer.
    pub fn changed(&self, number: usize, fate: Fate) {
        let answered = self.moment();
        let mut pages = self.pages();
        let change = &mut pages.changes[number];
        assert_eq!(change.fate, Fate::Open, "answered twice: {change:?}");
        (change.fate, change.answered) = (fate, answered);
        drop(pages);
        self.progress.send_modify(|progress| progress.asked -= 1);
    }

    /// Somebody has seen an entry.
    pub fn sighted(&self, uid: &str, seq: u64) {
        let moment = self.moment();
        self.pages().sightings.push(Sighting { uid: uid.to_owned(), seq, moment });
    }

    /// Somebody has read messages.
    pub fn read(&self, readings: impl IntoIterator<Item = Reading>) {
        self.pages().readings.extend(readings);
    }

    /// An app starts: what it sees from now on is a life of its own.
    pub fn starts(&self, uid: &str, device: &str) {
        self.pages().streams.entry((uid.to_owned(), device.to_owned())).or_default().push(Vec::new());
    }

    pub fn told(&self, uid: &str, device: &str, entry: Entry) {
        let mut pages = self.pages();
        let lives = pages.streams.entry((uid.to_owned(), device.to_owned())).or_default();
        lives.last_mut().expect("the app has started").push(entry);
        drop(pages);
        self.progress.send_modify(|progress| progress.told += 1);
    }

    /// The server was there until then.
    pub fn ended(&self, at_ms: u64) {
        self.pages().deaths.push(at_ms);
    }
}
