//! The promise: what was acked is kept, once and in order, whenever the process is killed or stopped, and what was recalled,
//! replaced or deleted is gone. Users send and change their minds at random while the server is killed or stopped at
//! random; then the checker looks at everything everybody has.

mod app;
mod book;
mod cases;
mod chance;
mod changed;
mod deeds;
pub mod raw;
mod report;
pub mod scene;
mod watcher;

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::timeout};

use self::{
    app::{App, Traffic},
    book::{Book, Progress},
    chance::Chance,
    raw::RawDevice,
    report::{Counts, Material},
    watcher::Watcher,
};
use crate::{
    checker::{self, History},
    server::Server,
};

const USERS: usize = 10;
/// Users with a second device.
const SECOND_DEVICES: usize = 4;
/// Users watched by a device that has no place of its own.
const WATCHED: usize = 3;
const KILLS_MIN: usize = 32;
const ACKED_MIN: usize = 20_000;
/// Of so many ends of the server one is a stop (SIGTERM).
const STOP_EVERY: usize = 10;
const STOPS_MIN: usize = KILLS_MIN / STOP_EVERY;
/// Acks between a start and the kill after it.
const ACKS_PER_LIFE: std::ops::Range<u64> = 50..1_300;
/// Rows that the server has taken and the disk has not.
const UNCOMMITTED: &str = "tidings_rows_uncommitted";
const CURSOR_FLUSH_MS: u64 = 250;
/// When nothing has come for so long nothing will: receipts come at most a second and an ack's delay late.
const QUIET: Duration = Duration::from_secs(4);
/// No step of the test takes longer, unless what it waits for never comes.
const STEP_WITHIN: Duration = Duration::from_secs(40);

/// Settings under which nobody is slowed down and things move often.
const SETTINGS: [(&str, &str); 5] = [
    ("TIDINGS_LIMITS_USER_SENDS_PER_S", "100000"),
    ("TIDINGS_LIMITS_CONNECTION_FRAMES_PER_S", "100000"),
    ("TIDINGS_LIMITS_CURSOR_FLUSH_MS", "250"),
    ("TIDINGS_LIMITS_MAILBOX_IDLE_MS", "1000"),
    ("TIDINGS_LOG", "warn"),
];

fn uid(number: usize) -> String {
    format!("u{number}")
}

/// Everyone who takes part.
struct World {
    server: Server,
    book: Arc<Book>,
    traffic: watch::Sender<Traffic>,
    life: watch::Sender<Option<usize>>,
    apps: JoinSet<()>,
    watchers: JoinSet<()>,
    chance: Chance,
}

impl World {
    async fn begin(dir: &std::path::Path, seed: u64) -> Self {
        let server = Server::start(dir, &SETTINGS).await;
        let mut world = Self {
            server,
            book: Arc::default(),
            traffic: watch::Sender::new(Traffic::On),
            life: watch::Sender::new(Some(0)),
            apps: JoinSet::new(),
            watchers: JoinSet::new(),
            chance: Chance::new(seed),
        };
        for number in 0..USERS {
            world.open_app(number, "phone").await;
            if number < SECOND_DEVICES {
                world.open_app(number, "laptop").await;
            }
            if number < WATCHED {
                world.watch(number).await;
            }
        }
        world
    }

    async fn open_app(&mut self, number: usize, device: &str) {
        let chance = Chance::new(self.chance.between(0, u64::MAX));
        let mut app = App::new(&self.server, &self.book, &uid(number), device, chance).await;
        // Everyone, oneself among them.
        app.peers = (0..USERS).map(|peer| uid(peer).parse().unwrap()).collect();
        // The last two change their minds about each other.
        app.foe = (number + 2 >= USERS).then(|| uid(2 * USERS - 3 - number).parse().unwrap());
        self.apps.spawn(app.run(self.traffic.subscribe()));
    }

    async fn watch(&mut self, number: usize) {
        let watcher = Watcher {
            uid: uid(number),
            url: self.server.url(),
            token: self.server.token(&uid(number)).await,
            chance: Chance::new(self.chance.between(0, u64::MAX)),
            book: self.book.clone(),
        };
        self.watchers.spawn(watcher.run(self.life.subscribe()));
    }

    /// Waits until so many more messages are acked, kills or stops, and starts again.
    async fn live_and_die(&mut self, counts: &mut Counts) {
        let more = usize::try_from(self.chance.between(ACKS_PER_LIFE.start, ACKS_PER_LIFE.end)).unwrap();
        let goal = self.book.progress().borrow().acked + more;
        self.reached(|progress| progress.acked >= goal).await;
        if (counts.kills + counts.stops + 1).is_multiple_of(STOP_EVERY) {
            self.stop().await;
            counts.stops += 1;
            return self.start().await;
        }
        let rows = self.server.metric(UNCOMMITTED).await as usize;
        self.kill().await;
        let open = self.book.progress().borrow().open;
        counts.kills += 1;
        counts.kills_in_flight += usize::from(rows > 0 && open > 0);
        counts.rows_at_kills += rows;
        counts.open_at_kills += open;
        self.start().await;
    }

    /// Asks it to end, as an operator does: it has to end well, whatever the clients do.
    async fn stop(&mut self) {
        // From here on it may pass over what clients say.
        let asked_ms = self.book.now_ms();
        let status = self.server.terminate().await;
        assert!(status.success(), "stopped under load: {status}, {}", self.server.log());
        self.life.send_replace(None);
        self.book.ended(asked_ms);
    }

    async fn kill(&mut self) {
        self.server.kill().await;
        self.life.send_replace(None);
        self.book.ended(self.book.now_ms());
    }

    async fn start(&mut self) {
        self.server.restart().await;
        let lives = self.book.pages().deaths.len();
        self.life.send_replace(Some(lives));
    }

    async fn reached(&mut self, goal: impl FnMut(&Progress) -> bool) {
        let mut progress = self.book.progress();
        let reached = async { progress.wait_for(goal).await.map(|now| *now) };
        tokio::select! {
            reached = timeout(STEP_WITHIN, reached) => {
                assert!(reached.is_ok(), "stuck at {:?}: {}", *self.book.progress().borrow(), self.server.log());
            }
            Some(failed) = self.apps.join_next() => panic!("an app ended: {failed:?}"),
        }
    }

    /// Waits until every message is answered and nothing more comes to anyone.
    async fn settle(&mut self) {
        self.reached(|progress| progress.open == 0 && progress.asked == 0).await;
        let mut progress = self.book.progress();
        let begin = tokio::time::Instant::now();
        while timeout(QUIET, progress.changed()).await.is_ok() {
            assert!(begin.elapsed() < STEP_WITHIN, "it never gets quiet");
        }
    }

    /// Ends everyone and writes down what everybody has.
    async fn end(mut self) -> History {
        self.traffic.send_replace(Traffic::Over);
        while let Some(ended) = self.apps.join_next().await {
            ended.unwrap();
        }
        self.life.send_replace(None);
        drop(self.life);
        while let Some(ended) = self.watchers.join_next().await {
            ended.unwrap();
        }
        let mut history = History { cursor_flush_ms: CURSOR_FLUSH_MS, ..History::default() };
        for number in 0..USERS {
            let token = self.server.token(&uid(number)).await;
            let mut auditor = RawDevice::connect(&self.server.url(), &token, "auditor", None).await.unwrap();
            history.users.insert(uid(number), auditor.audit().await.unwrap());
        }
        let mut pages = self.book.pages();
        for ((uid, device), lives) in std::mem::take(&mut pages.streams) {
            history.users.get_mut(&uid).unwrap().streams.insert(device, lives);
        }
        history.sendings = std::mem::take(&mut pages.sendings);
        history.changes = std::mem::take(&mut pages.changes);
        history.readings = std::mem::take(&mut pages.readings);
        history.sightings = std::mem::take(&mut pages.sightings);
        history.connections = std::mem::take(&mut pages.connections);
        history.deaths = std::mem::take(&mut pages.deaths);
        history
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_acked_survives_any_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (begin, seed) = (tokio::time::Instant::now(), Chance::seed());
    let mut world = World::begin(dir.path(), seed).await;
    let mut counts = Counts::default();
    while counts.kills < KILLS_MIN || world.book.progress().borrow().acked < ACKED_MIN {
        world.live_and_die(&mut counts).await;
    }
    world.traffic.send_replace(Traffic::Off);
    world.settle().await;
    // Once more with nothing in flight: what is read at the end is what the disk has. And the metric by which kills in
    // flight are counted says so.
    assert_eq!(world.server.metric(UNCOMMITTED).await, 0.0, "rows in flight although it is quiet");
    world.kill().await;
    world.start().await;
    world.settle().await;
    let acked = world.book.progress().borrow().acked;
    let history = world.end().await;
    let violations = checker::check(&history);

    let material = Material::of(&history);
    println!(
        "crash report: seed {seed}, {counts}, {acked} messages acked of {} handed over, {material}, {:.0} s, {} violations",
        history.sendings.len(),
        begin.elapsed().as_secs_f64(),
        violations.len(),
    );
    assert!(violations.is_empty(), "{:#?}", &violations[..violations.len().min(20)]);
    assert!(counts.are_enough() && acked >= ACKED_MIN, "{counts:?}");
    assert!(material.is_enough(), "too little for the rules to look at: {material:?}");
}
