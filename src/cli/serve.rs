//! `tidings serve`: starts the server, prints one screen that says what to do next, and serves until it is told to stop.

use std::{io::Write as _, net::SocketAddr, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use tokio::sync::watch;
use tracing::{info, warn};

use super::settings::SettingsArgs;
use crate::{
    drain::Stop,
    open_files, telemetry,
    wiring::{self, EXIT_IO, Ended, Mode},
};

/// Arguments of `tidings serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Where settings stand.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Runs the server.
///
/// # Errors
/// When it cannot start; the text says what to do.
pub fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    telemetry::start_logs();
    let dev = args.settings.dev;
    let loaded = args.settings.load().require_key(dev);
    let loaded_file = loaded.file.clone();
    let config = loaded.accept()?;
    if let Some(file) = loaded_file {
        info!(file = %file.display(), "settings read");
    }
    let mode = if dev { Mode::Dev } else { Mode::Keyed };
    let (files, connections) = (open_files::raise(), config.census_limits().connections_max);
    let ended = actix_rt::System::new().block_on(async move {
        let dir = config.store.dir.clone();
        let running = wiring::start(&config, mode, |addr, admin| screen(addr, admin, &dir, mode))?;
        if files < connections as u64 {
            warn!(files, connections, "fewer open files are allowed than connections (ulimit -Hn)");
        }
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
    // A write beyond the limit of file sizes would end the process on the spot; listened to, it fails like any other and
    // takes the way of every write error. The listening goes on when the listener is dropped.
    let _file_too_large = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
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
