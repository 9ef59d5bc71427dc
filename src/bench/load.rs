//! The run: connect everybody, warm up, count, let everything arrive, compare the counts.

use std::{collections::VecDeque, rc::Rc, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use tidings_client::{Client, Config, TokenSource};
use tidings_schema::id::Uid;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    DmArgs,
    measure::{self, Used, Written},
    pace::{self, Pace},
    report::{Report, Window},
    server::Target,
    user::{Orders, Phase, Shared, User},
};
use crate::cli::{
    ServerArgs,
    identity::{self, Mint},
};

/// Connections that are opened at a time.
const OPENING_MAX: usize = 64;
/// All connections must stand in this time, and a batch of them in any case.
const CONNECT_WITHIN: Duration = Duration::from_secs(60);
/// Everything must have arrived this long after the last message was sent.
const ARRIVE_WITHIN: Duration = Duration::from_secs(30);
/// After everything arrived: what comes twice comes in this time.
const LINGER: Duration = Duration::from_secs(1);
/// A token is valid for longer than any run.
const TOKEN_TTL: Duration = Duration::from_secs(48 * 3_600);

/// What was read at one moment.
struct Snapshot {
    at: u64,
    acked: u64,
    delivered: u64,
    used: Option<Used>,
    /// What the load itself used: it shares the machine with the server.
    own_cpu_s: Option<f64>,
    written: Option<Written>,
}

/// Runs it all.
///
/// # Errors
/// When there is no server, or not everybody can connect, or someone interrupts. Wrong counts are in the report.
pub(super) async fn run(args: &DmArgs, mint: Mint) -> anyhow::Result<Report> {
    tokio::select! {
        report = carry_out(args, mint) => report,
        // An own server and its data go with what is dropped here.
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

async fn carry_out(args: &DmArgs, mint: Mint) -> anyhow::Result<Report> {
    // An odd user would have nobody to talk to.
    let users = args.users as usize / 2 * 2;
    let target = Target::open(args)?;
    let shared = Rc::new(Shared::new(users)?);
    let go = Rc::new(Notify::new());
    let pace = connect(args, users, &target, &mint, &shared, &go).await?;

    shared.phase.set(Phase::WarmUp);
    go.notify_waiters();
    let pace = match (args.rate, pace) {
        (Some(rate), orders) => Some(Pace::start(shared.watch, rate, orders)?),
        (None, _) => None,
    };
    sleep(Duration::from_secs(args.warm_up)).await;
    let before = snapshot(&shared, &target).await?;
    shared.window.set((before.at, u64::MAX));
    shared.phase.set(Phase::Counting);
    sleep(Duration::from_secs(args.seconds)).await;
    let after = snapshot(&shared, &target).await?;
    shared.window.set((before.at, after.at));
    if let Some(pace) = pace {
        pace.stop().await;
    }
    shared.phase.set(Phase::Idle);
    let arrived = timeout(ARRIVE_WITHIN, arrive(&shared)).await.is_ok();
    sleep(LINGER).await;
    if !arrived || !is_complete(&shared) {
        name_what_is_missing(&shared);
    }
    Ok(Report::new(args, &shared, window(&before, &after), target.syncs.as_ref()))
}

fn window(before: &Snapshot, after: &Snapshot) -> Window {
    Window {
        seconds: (after.at - before.at) as f64 / 1e6,
        acked: after.acked - before.acked,
        delivered: after.delivered - before.delivered,
        used: after.used.as_ref().zip(before.used.as_ref()).map(|(after, before)| after.since(before)),
        own_cpu_s: after.own_cpu_s.zip(before.own_cpu_s).map(|(after, before)| after - before),
        written: after.written.as_ref().zip(before.written.as_ref()).map(|(after, before)| after.since(before)),
    }
}

/// Everything that is counted, as nearly at once as can be: the page of the metrics comes a few milliseconds late.
async fn snapshot(shared: &Shared, target: &Target) -> anyhow::Result<Snapshot> {
    let (at, acked, delivered) = (shared.watch.micros(), shared.acked.get(), shared.delivered.get());
    let used = target.pid.map(measure::used).transpose()?;
    let own_cpu_s = measure::used(std::process::id()).ok().map(|own| own.cpu_s());
    let written = match &target.metrics {
        Some(url) => Some(measure::written(url.clone()).await?),
        None => None,
    };
    Ok(Snapshot { at, acked, delivered, used, own_cpu_s, written })
}

/// Opens all connections; the orders of a paced load come back.
async fn connect(
    args: &DmArgs,
    users: usize,
    target: &Target,
    mint: &Mint,
    shared: &Rc<Shared>,
    go: &Rc<Notify>,
) -> anyhow::Result<Vec<pace::Order>> {
    let run = uuid::Uuid::new_v4().simple().to_string();
    let name = |user: usize| -> anyhow::Result<Uid> { Ok(format!("bench-{}-{user}", &run[..8]).parse()?) };
    let mut all_orders = Vec::new();
    for me in 0..users {
        let orders = match args.rate {
            None => Orders::Window(args.unacked as usize),
            Some(_) => {
                let (order, due) = pace::orders();
                all_orders.push(order);
                Orders::Due(due)
            }
        };
        let (name, partner) = (name(me)?, name(me ^ 1)?);
        let config = Config::new(target.url.clone(), token(&name, target, mint)?, "bench");
        let (client, events) = Client::connect(config)?;
        let user = User {
            shared: Rc::clone(shared),
            me,
            name,
            partner,
            client,
            events,
            orders,
            bytes: args.bytes as usize,
            in_flight: VecDeque::new(),
            go: Rc::clone(go),
        };
        tokio::task::spawn_local(user.run());
        if (me + 1) % OPENING_MAX == 0 || me + 1 == users {
            live(shared, me + 1).await?;
        }
    }
    Ok(all_orders)
}

fn token(user: &Uid, target: &Target, mint: &Mint) -> anyhow::Result<TokenSource> {
    if let Some(key) = &target.key {
        return Ok(TokenSource::fixed(mint(key, user, None, TOKEN_TTL)?));
    }
    let server = ServerArgs { server: target.url.clone(), token: None, key: None, data: None, state: None };
    Ok(identity::token_source(user, &server, Arc::clone(mint)))
}

/// Waits until `wanted` users are connected.
async fn live(shared: &Shared, wanted: usize) -> anyhow::Result<()> {
    let all = async {
        while shared.live.get() < wanted && shared.wrongs.get() == 0 {
            shared.progress.notified().await;
        }
    };
    let in_time = timeout(CONNECT_WITHIN, all).await;
    if let Some(wrong) = shared.wrong.borrow().first() {
        bail!("{wrong}");
    }
    in_time.with_context(|| format!("{} of {wanted} connected in {CONNECT_WITHIN:?}", shared.live.get()))
}

/// Waits until everything has arrived.
async fn arrive(shared: &Shared) {
    while !is_complete(shared) {
        shared.progress.notified().await;
    }
}

/// Everything sent was acknowledged, seen by both sides, and acknowledged by the recipient's device.
fn is_complete(shared: &Shared) -> bool {
    (0..shared.users.len()).all(|user| missing(shared, user).is_none())
}

/// What is not as it should be with the messages of one user.
fn missing(shared: &Shared, user: usize) -> Option<String> {
    let (mine, partner) = (shared.users[user].get(), shared.users[user ^ 1].get());
    let sent = mine.sent;
    if (mine.acked, mine.echoed, partner.received) != (sent, sent, sent) {
        let (acked, echoed, received) = (mine.acked, mine.echoed, partner.received);
        return Some(format!("user {user}: sent {sent}, acked {acked}, in own inbox {echoed}, received {received}"));
    }
    (!mine.is_confirmed()).then(|| format!("user {user}: the partner's device did not acknowledge all of {sent}"))
}

fn name_what_is_missing(shared: &Shared) {
    for wrong in (0..shared.users.len()).filter_map(|user| missing(shared, user)) {
        shared.wrong(wrong);
    }
}

#[cfg(test)]
mod tests {
    use tidings_schema::id::Seq;

    use super::{super::user::Progress, *};

    /// Two users of whom the first sent three messages, and everything went well.
    fn done() -> [Progress; 2] {
        let last = Seq::new(3);
        let sender = Progress { sent: 3, acked: 3, echoed: 3, last, delivered_upto: last, ..Progress::default() };
        [sender, Progress { received: 3, ..Progress::default() }]
    }

    fn missing_after(change: impl FnOnce(&mut [Progress; 2])) -> Option<String> {
        let shared = Shared::new(2).unwrap();
        let mut users = done();
        change(&mut users);
        shared.users.iter().zip(users).for_each(|(place, user)| place.set(user));
        assert_eq!(is_complete(&shared), missing(&shared, 0).is_none());
        missing(&shared, 0)
    }

    #[test]
    fn a_message_that_is_lost_doubled_or_not_acknowledged_is_missed() {
        assert_eq!(missing_after(|_| {}), None);
        assert!(missing_after(|users| users[1].received = 2).unwrap().contains("received 2"));
        assert!(missing_after(|users| users[1].received = 4).unwrap().contains("received 4"));
        assert!(missing_after(|users| users[0].acked = 2).unwrap().contains("acked 2"));
        assert!(missing_after(|users| users[0].echoed = 4).unwrap().contains("own inbox 4"));
        assert!(missing_after(|users| users[0].delivered_upto = Seq::new(2)).unwrap().contains("acknowledge"));
    }
}
