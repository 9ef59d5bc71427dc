//! Bare actors: each hands one row to the Appender of its thread, and the next when that one is committed. What a
//! mailbox does around that is left out, so a run on two stores compares the stores as an actor meets them.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context as Cx, Poll},
    time::Duration,
};

use actix::{Actor, ActorContext as _, ActorFuture, AsyncContext as _, Context};
use anyhow::ensure;
use tidings_actors::{
    appender::{Append, Appender, Progress},
    port::store::{Row, Store, TimelineId},
};
use tidings_schema::id::{Epoch, Seq, ShardId};
use tokio::{sync::Notify, time::sleep};

use super::rows::{Noise, timeline};
use crate::{clock::Stopwatch, ownership::single::SingleOwner};

/// Part of the window that passes before it counts.
const WARM_UP: u32 = 5;

/// Rows per second through so many actors, one row of each under way.
///
/// # Errors
/// When the store refuses a row.
pub(super) fn measure(store: Arc<dyn Store>, actors: usize, window: Duration) -> anyhow::Result<f64> {
    actix_rt::System::new().block_on(async move {
        let appender = Appender::new(ShardId::new(0), store, Arc::new(SingleOwner::new(Epoch::new(1))));
        let tally = Rc::new(Tally::new(actors));
        for number in 0..actors {
            start(&appender, &tally, number)?;
        }
        sleep(window / WARM_UP).await;
        let (watch, before) = (Stopwatch::start(), tally.rows.get());
        sleep(window).await;
        let (micros, after) = (watch.micros(), tally.rows.get());
        tally.over.set(true);
        while tally.live.get() > 0 && !tally.refused.get() {
            tally.left.notified().await;
        }
        ensure!(!tally.refused.get(), "the store refused a row");
        Ok((after - before) as f64 * 1e6 / micros as f64)
    })
}

fn start(appender: &Appender, tally: &Rc<Tally>, number: usize) -> anyhow::Result<()> {
    let timeline = timeline(number)?;
    let progress = appender.progress(&timeline);
    let actor = Bare { appender: appender.clone(), timeline, progress, last: Seq::ZERO, tally: Rc::clone(tally) };
    // It is told nothing: it goes on by itself.
    let _address = actor.start();
    Ok(())
}

/// What all actors share.
struct Tally {
    rows: Cell<u64>,
    live: Cell<usize>,
    left: Notify,
    over: Cell<bool>,
    refused: Cell<bool>,
    noise: RefCell<Noise>,
}

impl Tally {
    fn new(live: usize) -> Self {
        Self {
            rows: Cell::default(),
            live: Cell::new(live),
            left: Notify::new(),
            over: Cell::default(),
            refused: Cell::default(),
            noise: RefCell::new(Noise::new()),
        }
    }
}

struct Bare {
    appender: Appender,
    timeline: TimelineId,
    progress: Rc<Progress>,
    last: Seq,
    tally: Rc<Tally>,
}

impl Actor for Bare {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.append();
        ctx.spawn(Watch);
    }
}

impl Bare {
    fn append(&mut self) {
        self.last = self.last.next();
        let rows = vec![Row { seq: self.last, value: self.tally.noise.borrow_mut().row() }];
        if self.appender.append(&self.timeline, rows, Vec::new()) != Append::Taken {
            self.tally.refused.set(true);
            self.tally.left.notify_one();
        }
    }

    /// Ready when it was the last row.
    fn on_progress(&mut self, ctx: &mut Context<Self>) -> Poll<()> {
        if self.progress.committed() < self.last {
            return Poll::Pending;
        }
        self.tally.rows.set(self.tally.rows.get() + 1);
        if !self.tally.over.get() {
            self.append();
            return Poll::Pending;
        }
        self.tally.live.set(self.tally.live.get() - 1);
        self.tally.left.notify_one();
        ctx.stop();
        Poll::Ready(())
    }
}

/// Polled whenever the Appender wakes the actor's task.
struct Watch;

impl ActorFuture<Bare> for Watch {
    type Output = ();

    fn poll(self: Pin<&mut Self>, bare: &mut Bare, ctx: &mut Context<Bare>, cx: &mut Cx<'_>) -> Poll<()> {
        bare.progress.register(cx.waker());
        bare.on_progress(ctx)
    }
}
