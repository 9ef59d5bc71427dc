//! The commands of `tidings` that talk to a server as a user does, and their arguments.

pub mod chat;
mod editor;
pub mod identity;
mod screen;
pub mod send;
mod view;

use std::path::PathBuf;

use clap::Args;
use tidings_schema::id::{DeviceId, Uid};

/// Where a server listens unless told otherwise.
pub const DEFAULT_SERVER: &str = "ws://127.0.0.1:7400/v1/ws";

/// Which server, and with whose right.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// Address of the server.
    #[arg(long, value_name = "URL", default_value = DEFAULT_SERVER)]
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
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
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
