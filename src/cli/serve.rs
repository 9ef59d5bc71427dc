//! `tidings serve`: starts the server, prints one screen that says what to do next, and serves until it is told to stop.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use tokio::sync::watch;

use crate::{
    config::Config,
    drain::Stop,
    telemetry,
    wiring::{self, EXIT_IO, Ended, Mode},
};

/// Arguments of `tidings serve`. Flags win over the environment, the environment over the file.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Hand a token to everyone who asks; loopback only, never in production.
    #[arg(long)]
    pub dev: bool,
    /// Data directory.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address for clients; operators get 127.0.0.1 and the next port.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Config file (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Runs the server.
///
/// # Errors
/// When it cannot start; the text says what to do.
pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    telemetry::start_logs();
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut config = Config::read(args.config.as_deref(), env)?;
    if let Some(data) = args.data {
        config.store.dir = data;
    }
    if let Some(listen) = args.listen {
        config.listen.address = listen;
    }
    let mode = if args.dev { Mode::Dev } else { Mode::Keyed };
    let ended = actix_rt::System::new().block_on(async move {
        let dir = config.store.dir.clone();
        let running = wiring::start(&config, mode, |addr, admin| screen(addr, admin, &dir, mode))?;
        let stop = stop_signals().context("signals cannot be listened to")?;
        let (started, screen) = (running.started(), screen(running.addr, running.admin_addr, &dir, mode));
        actix_rt::spawn(async move {
            started.await;
            // Nobody has to be there to read it.
            let _written = writeln!(std::io::stdout(), "{screen}");
        });
        running.serve(stop).await.context("a listener failed")
    })?;
    Ok(match ended {
        Ended::Asked => ExitCode::SUCCESS,
        Ended::StoreFailed | Ended::ShardDied => ExitCode::from(EXIT_IO),
    })
}

/// The first signal asks the server to let its clients go, the second to end at once.
fn stop_signals() -> std::io::Result<watch::Receiver<Stop>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (ask, asked) = watch::channel(Stop::No);
    actix_rt::spawn(async move {
        for stop in [Stop::Drain, Stop::Now] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            ask.send_replace(stop);
        }
        // Kept until the end: whoever waits for more waits for ever.
        ask.closed().await;
    });
    Ok(asked)
}

/// What a new user needs to know, on one screen; also the start page.
fn screen(addr: SocketAddr, admin: SocketAddr, dir: &std::path::Path, mode: Mode) -> String {
    let dir = dir.display();
    let server =
        if addr.port() == crate::config::DEFAULT_PORT { String::new() } else { format!(" --server ws://{addr}/v1/ws") };
    let head = format!(
        "tidings {version} is ready\n\n  clients    ws://{addr}/v1/ws\n  health     http://{addr}/healthz   http://{addr}/readyz\n  metrics    http://{admin}/metrics\n  data       {dir}\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    match mode {
        Mode::Dev => format!(
            "{head}\n  *** DEV MODE: everyone who can connect gets a token for any user (http://{addr}/dev/token/UID). ***\n  *** Never run this in production.                                                     ***\n\nTry, each in a terminal of its own:\n\n  tidings chat --as alice{server}\n  tidings chat --as bob{server}\n  tidings send --as alice --to bob \"hello\"{server}\n\nThen kill -9 the server and start it again: nothing is missing, nothing is twice.\n(From a checkout, `tidings` is target/release/tidings.)\n"
        ),
        Mode::Keyed => format!(
            "{head}\nTokens are signed by your own user centre with the key this server was given; for a test:\n\n  tidings token alice --key FILE\n"
        ),
    }
}
