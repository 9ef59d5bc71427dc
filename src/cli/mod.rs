//! The commands of `tidings` and their arguments.

pub mod chat;
mod config;
mod doctor;
pub mod identity;
mod revoke;
pub mod send;
pub mod serve;
mod settings;
mod token;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tidings_schema::id::{DeviceId, Uid};

use crate::{
    bench::{self, BenchArgs},
    config::{ConfigError, EXIT_CONFIG},
};

/// Where a server listens unless told otherwise.
pub const DEFAULT_SERVER: &str = "ws://127.0.0.1:7400/v1/ws";

#[derive(Parser, Debug)]
#[command(
    name = "tidings",
    version,
    about = "Instant-messaging runtime: an ack means durable",
    propagate_version = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArgs),
    /// Print the settings a server would have, and where each comes from.
    Config(config::ConfigArgs),
    /// Look at everything a server needs: settings, data, clock, disk. Ends with 0, 1 (a warning) or 2 (failed).
    Doctor(doctor::DoctorArgs),
    /// Make a token; it is the last line printed.
    Token(TokenArgs),
    /// Sign a user, or one device, out everywhere: tokens issued before now are refused.
    Revoke(revoke::RevokeArgs),
    /// Send one message; when this succeeds the message is durable.
    Send(SendArgs),
    /// Chat in the terminal.
    Chat(ChatArgs),
    /// Measure a server; exits with 1 when a message is lost, doubled or out of order.
    Bench(BenchArgs),
}

/// Reads the arguments and runs one command.
///
/// # Errors
/// What went wrong, in words that say what to do.
pub fn run() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Serve(args) => return serve::run(&args),
        Command::Config(args) => return config::run(&args),
        Command::Doctor(args) => return doctor::run(&args),
        Command::Token(args) => token::run(&args)?,
        Command::Revoke(args) => revoke::run(&args)?,
        Command::Bench(args) => return bench::run(args, token::mint()),
        Command::Send(args) => client_runtime()?.block_on(send::run(args, token::mint()))?,
        Command::Chat(args) => client_runtime()?.block_on(chat::run(args, token::mint()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The exit code that says of which kind an error is.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<ConfigError>() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::FAILURE }
}

/// A client needs one thread.
fn client_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")
}

/// Which server, and with whose right.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// Address of the server.
    #[arg(long, value_name = "URL", default_value = DEFAULT_SERVER, value_parser = identity::parse_server)]
    pub server: String,
    /// A token of the user; else one is made with --key or --data, else a server in dev mode is asked for one.
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["key", "data"])]
    pub token: Option<String>,
    /// File with the HS256 secret of the server.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub key: Option<PathBuf>,
    /// Data directory of a server in dev mode on this machine; its `dev.key` is the secret.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to keep messages that wait to be sent [default: ~/.local/share/tidings/SERVER/USER].
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// `tidings chat`: a terminal client.
#[derive(Args, Clone, Debug)]
pub struct ChatArgs {
    /// Who you are.
    #[arg(long = "as", value_name = "USER")]
    pub user: Uid,
    /// Whom to talk to first [default: the newest conversation].
    #[arg(long, value_name = "USER")]
    pub to: Option<Uid>,
    /// Colours: auto leaves them out when the output is no terminal or NO_COLOR is set.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// For a person at a terminal, unless NO_COLOR is set.
    Auto,
    /// Also into a pipe.
    Always,
    /// Not at all.
    Never,
}

/// `tidings send`: one message, durable when the command succeeds.
#[derive(Args, Clone, Debug)]
pub struct SendArgs {
    /// Who you are.
    #[arg(long = "as", value_name = "USER")]
    pub user: Uid,
    /// The recipient.
    #[arg(long, value_name = "USER")]
    pub to: Uid,
    /// What to say.
    pub text: String,
    /// Seconds to keep trying.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub timeout: u64,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `tidings token`: makes a token; it is the last line printed.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    /// The user it is for.
    pub user: Uid,
    /// File with the HS256 secret.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub key: Option<PathBuf>,
    /// Data directory of a server in dev mode; its `dev.key` is the secret.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The one device it is good for [default: any].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<DeviceId>,
    /// How long it is valid: 90s, 15m, 1h, 7d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = identity::parse_ttl)]
    pub ttl: std::time::Duration,
}
