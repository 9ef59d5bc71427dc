//! `tidings bench idle`: what connected users cost who were active and went quiet.
//!
//! Memory per connection is the difference of two servers: one whose rows were written by all users, and one that took
//! about as many rows from a few. What the rows themselves cost is in both.

mod report;
mod socket;
mod user;

use std::{net::SocketAddr, path::PathBuf, rc::Rc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use tidings_schema::id::Uid;
use tokio::time::{sleep, timeout};

use self::{
    report::Report,
    user::{Shared, Stage, User},
};
use super::{
    measure::{self, Used},
    server::Target,
};
use crate::{cli::identity::Mint, open_files};

/// Whatever all users do must be done in this time.
const STAGE_WITHIN: Duration = Duration::from_secs(300);
/// After everybody left or came back, until the server has no work left from that.
const LINGER: Duration = Duration::from_secs(2);
/// A token is valid for longer than any run.
const TOKEN_TTL: Duration = Duration::from_secs(48 * 3_600);
/// Open files a process needs beside its connections.
const OTHER_FILES: u64 = 512;

/// `tidings bench idle`.
#[derive(Args, Clone, Debug)]
pub struct IdleArgs {
    /// Directory in which the servers get a data directory, removed at the end. Name one on a real disk.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub data_in: PathBuf,
    /// Users; two of them talk to each other before they go quiet.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(200..=200_000))]
    pub users: u32,
    /// Users of the other server, which takes as many messages.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=100))]
    pub few: u32,
    /// Messages each user sends before it goes quiet.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub messages: u32,
    /// Seconds from the last message until mailboxes are counted and memory is read.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub settle: u64,
    /// Seconds in which the CPU of heartbeats is measured.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    pub json: bool,
}

/// What was read of a server while its users were quiet.
struct Quiet {
    used: Used,
    page: String,
}

/// What was found of the server with all users.
struct Many {
    quiet: Quiet,
    /// CPU seconds of all first connections, and of all that came back.
    first_s: f64,
    back_s: f64,
    /// In the seconds that count.
    window: Used,
    heartbeats: u64,
}

/// Runs it all.
///
/// # Errors
/// When there is no server, when not everybody can connect and talk, or when someone interrupts.
pub(super) async fn run(args: &IdleArgs, mint: Mint) -> anyhow::Result<Report> {
    let users = args.users / 2 * 2;
    let few = args.few / 2 * 2;
    let needed = u64::from(users) + OTHER_FILES;
    let files = open_files::raise();
    ensure!(
        files >= needed,
        "{users} connections need {needed} open files in each process, and this system allows {files}: raise the hard \
         limit (ulimit -Hn), or measure fewer users (--users)"
    );
    let both = async {
        let many = load(args, &mint, users, u64::from(args.messages)).await?.measure(args).await?;
        let messages = u64::from(users) * u64::from(args.messages) / u64::from(few);
        let base = load(args, &mint, few, messages).await?;
        base.talk_until(report::rows(&many.quiet.page)).await?;
        let base = base.settle(args).await?;
        anyhow::Ok(Report::new(args, (users, &many), (few, &base)))
    };
    tokio::select! {
        report = both => report,
        // An own server and its data go with what is dropped here.
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

/// A server whose users have talked.
struct Load {
    target: Target,
    shared: Rc<Shared>,
    users: usize,
    first_s: f64,
}

async fn load(args: &IdleArgs, mint: &Mint, users: u32, messages: u64) -> anyhow::Result<Load> {
    let target = Target::start(&args.data_in)?;
    let server = address(&target.url)?;
    let shared = Shared::new(server, messages);
    let mut load = Load { target, shared, users: users as usize, first_s: 0.0 };
    let waiting = load.users(mint)?;
    let before = load.used()?;
    for user in waiting {
        tokio::task::spawn_local(user.run());
    }
    load.all().await.context("connecting")?;
    load.first_s = load.used()?.since(&before).cpu_s();
    load.enter(Stage::Talk).await.context("talking")?;
    Ok(load)
}

/// From here on this process takes the processors that the server leaves. On a machine of its own a client cannot interrupt
/// the server in the middle of a turn; here it would, at every answer to a heartbeat.
fn give_way() -> anyhow::Result<()> {
    rustix::process::nice(19).context("the load cannot give way")?;
    Ok(())
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let host = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next());
    host.and_then(|host| host.parse().ok()).with_context(|| format!("{url} is no address"))
}

impl Load {
    fn users(&self, mint: &Mint) -> anyhow::Result<Vec<User>> {
        let key = self.target.key.as_ref().context("no key")?;
        let name = |number: usize| -> anyhow::Result<Uid> { Ok(format!("idle-{number}").parse()?) };
        let user = |number| {
            Ok(User {
                shared: Rc::clone(&self.shared),
                number,
                partner: name(number ^ 1)?,
                token: mint(key, &name(number)?, None, TOKEN_TTL)?,
                place: user::Place::default(),
            })
        };
        (0..self.users).map(user).collect()
    }

    fn used(&self) -> anyhow::Result<Used> {
        measure::used(self.target.pid.context("no process")?)
    }

    async fn all(&self) -> anyhow::Result<()> {
        timeout(STAGE_WITHIN, self.shared.all(self.users))
            .await
            .with_context(|| format!("not done in {STAGE_WITHIN:?}"))?
    }

    async fn enter(&self, stage: Stage) -> anyhow::Result<()> {
        self.shared.enter(stage);
        self.all().await
    }

    /// Users have records of their own, so a few write less for as many messages: they talk on until about as many rows are
    /// written.
    async fn talk_until(&self, rows: u64) -> anyhow::Result<()> {
        let written = report::rows(&self.page().await?).max(1);
        let messages = self.shared.messages.get();
        let more = rows.saturating_sub(written).saturating_mul(messages) / written;
        self.shared.messages.set(messages + more);
        self.enter(Stage::Talk).await.context("talking on")
    }

    async fn page(&self) -> anyhow::Result<String> {
        measure::metrics(self.target.metrics.clone().context("no metrics")?).await
    }

    /// What the server holds some time after the last message.
    async fn settle(&self, args: &IdleArgs) -> anyhow::Result<Quiet> {
        sleep(Duration::from_secs(args.settle)).await;
        let page = self.page().await?;
        self.shared.check()?;
        Ok(Quiet { used: self.used()?, page })
    }

    async fn measure(self, args: &IdleArgs) -> anyhow::Result<Many> {
        let quiet = self.settle(args).await?;
        self.enter(Stage::Away).await.context("leaving")?;
        sleep(LINGER).await;
        let before = self.used()?;
        self.enter(Stage::Back).await.context("coming back")?;
        let back_s = self.used()?.since(&before).cpu_s();
        give_way()?;
        sleep(LINGER).await;
        let (before, pongs) = (self.used()?, self.shared.pongs.get());
        sleep(Duration::from_secs(args.seconds)).await;
        let window = self.used()?.since(&before);
        let heartbeats = self.shared.pongs.get() - pongs;
        self.shared.check()?;
        Ok(Many { quiet, first_s: self.first_s, back_s, window, heartbeats })
    }
}
