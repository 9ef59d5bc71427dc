//! `tidings bench`: drives a server in a process of its own over the public protocol and reports what it costs.
//!
//! `dm` talks with the client of the SDK and reports what a message costs. Every message is numbered; a run in which one
//! is lost, doubled, misplaced or not acknowledged by the recipient's device fails, however fast it was. [`idle`] reports
//! what users cost who keep quiet.

mod idle;
mod load;
mod measure;
mod pace;
mod report;
mod server;
mod store;
mod user;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::cli::identity::Mint;

/// `tidings bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub what: What,
}

/// What can be measured.
#[derive(Subcommand, Clone, Debug)]
pub enum What {
    /// Messages between pairs of users, every one delivered and acknowledged.
    Dm(DmArgs),
    /// The embedded store alone, against a raw log on the same disk.
    Store(store::StoreArgs),
    /// Memory and CPU of users who were active and went quiet.
    Idle(idle::IdleArgs),
}

/// `tidings bench dm`.
#[derive(Args, Clone, Debug)]
pub struct DmArgs {
    /// A running server in dev mode, or one whose secret --key names [default: starts its own and ends it].
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// File with the HS256 secret of that server.
    #[arg(long, value_name = "FILE", requires = "server")]
    pub key: Option<PathBuf>,
    /// Process of that server on this machine, for its CPU time and memory.
    #[arg(long, value_name = "PID", requires = "server")]
    pub pid: Option<u32>,
    /// Metrics of that server, for what it stores: http://127.0.0.1:7401/metrics.
    #[arg(long, value_name = "URL", requires = "server")]
    pub metrics: Option<String>,
    /// Directory in which the own server gets a data directory, removed at the end. Name one on a real disk.
    #[arg(long, value_name = "DIR", default_value = ".", conflicts_with = "server")]
    pub data_in: PathBuf,
    /// Users; two of them talk to each other.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub users: u32,
    /// Seconds that count.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Seconds before them that do not.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub warm_up: u64,
    /// Bytes of each text.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(40..=60_000))]
    pub bytes: u32,
    /// Messages each user has unacknowledged at a time; it sends the next when one is.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub unacked: u32,
    /// Messages per second over all users, sent when they are due, whatever the server does [default: as many as go].
    #[arg(long, value_name = "N", conflicts_with = "unacked", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub rate: Option<u64>,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    pub json: bool,
}

/// Measures and prints.
///
/// # Errors
/// When there is no server to measure. A run whose counts do not agree prints what differs and exits with 1.
pub fn run(args: BenchArgs, mint: Mint) -> anyhow::Result<ExitCode> {
    let right = match args.what {
        What::Store(args) => return store::run(args),
        What::Dm(args) => {
            let report = on_one_thread(load::run(&args, mint))?;
            print!("{}", if args.json { report.json()? + "\n" } else { report.table() });
            report.is_exact()
        }
        What::Idle(args) => {
            let report = on_one_thread(idle::run(&args, mint))?;
            print!("{}", if args.json { report.json()? + "\n" } else { report.table() });
            report.is_quiet()
        }
    };
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn on_one_thread<T>(run: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    tokio::task::LocalSet::new().block_on(&runtime, run)
}
