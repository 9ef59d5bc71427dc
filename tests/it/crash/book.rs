//! What is written down while it happens, by everyone, for the checker.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use tokio::{sync::watch, time::Instant};

use crate::checker::{Connection, Entry, Fate, Sending};

/// How far everyone is; every change is an event that tests wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages acked.
    pub acked: usize,
    /// Messages handed to a client and not answered yet.
    pub open: usize,
    /// Entries that apps were told.
    pub told: usize,
}

/// The book.
pub struct Book {
    pages: Mutex<Pages>,
    progress: watch::Sender<Progress>,
    begin: Instant,
}

/// What it holds.
#[derive(Default)]
pub struct Pages {
    pub sendings: Vec<Sending>,
    at: BTreeMap<String, usize>,
    /// By user and device.
    pub streams: BTreeMap<(String, String), Vec<Vec<Entry>>>,
    pub connections: Vec<Connection>,
    pub deaths: Vec<u64>,
}

impl Default for Book {
    fn default() -> Self {
        Self { pages: Mutex::default(), progress: watch::Sender::default(), begin: tokio::time::Instant::now() }
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

    pub fn killed(&self) {
        let now = self.now_ms();
        self.pages().deaths.push(now);
    }
}
