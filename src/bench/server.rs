//! The server under load: a process of its own, started here and ended with the run, or one that runs already.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;

use super::{DmArgs, measure};

/// Where to measure.
pub(super) struct Target {
    pub(super) url: String,
    pub(super) metrics: Option<String>,
    pub(super) pid: Option<u32>,
    /// The secret for tokens; none: a server in dev mode is asked.
    pub(super) key: Option<PathBuf>,
    /// What the disk of the own server takes for a sync.
    pub(super) syncs: Option<Histogram<u64>>,
    _own: Option<OwnServer>,
}

/// A server that ends, and whose data goes, with this value.
struct OwnServer {
    child: Child,
    data: PathBuf,
    /// Kept open: who writes to a pipe that nobody holds fails.
    screen: Option<BufReader<ChildStdout>>,
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // Gone already is as good.
        let _gone = self.child.kill().and_then(|()| self.child.wait()).is_err();
        if let Err(error) = std::fs::remove_dir_all(&self.data) {
            tracing::warn!(%error, data = %self.data.display(), "data of the measured server stays behind");
        }
    }
}

impl Target {
    /// What the arguments name, or a server started for this run.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn open(args: &DmArgs) -> anyhow::Result<Self> {
        match &args.server {
            Some(url) => Ok(Self {
                url: url.clone(),
                metrics: args.metrics.clone(),
                pid: args.pid,
                key: args.key.clone(),
                syncs: None,
                _own: None,
            }),
            None => Self::start(&args.data_in),
        }
    }

    /// A server started for this run.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(data_in: &Path) -> anyhow::Result<Self> {
        let data = data_in.join(format!("tidings-bench-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&data).with_context(|| format!("cannot write in {}", data_in.display()))?;
        let syncs = Some(measure::syncs(&data)?);
        let program = std::env::current_exe().context("this program cannot be found")?;
        let mut command = Command::new(program);
        command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        if std::env::var_os("TIDINGS_LOG").is_none() {
            command.env("TIDINGS_LOG", "warn");
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("the server cannot start")?;
        let mut own = OwnServer { child, data, screen: None };
        let screen = own.child.stdout.take().context("no output of the server")?;
        let (url, metrics) = addresses(own.screen.insert(BufReader::new(screen)))?;
        let pid = Some(own.child.id());
        let key = Some(own.data.join("dev.key"));
        Ok(Self { url, metrics: Some(metrics), pid, key, syncs, _own: Some(own) })
    }
}

/// Addresses of clients and of metrics, from the screen that a ready server prints. What follows is not read: the screen
/// is all it prints, and fits a pipe.
fn addresses(screen: impl BufRead) -> anyhow::Result<(String, String)> {
    let (mut url, mut metrics) = (None, None);
    for line in screen.lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("clients"), Some(address)) => url = Some(address.to_owned()),
            (Some("metrics"), Some(address)) => metrics = Some(address.to_owned()),
            _ => {}
        }
        if let (Some(url), Some(metrics)) = (&url, &metrics) {
            return Ok((url.clone(), metrics.clone()));
        }
    }
    bail!("the server did not start; what it said stands above")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_found_on_the_screen_of_a_server() {
        let screen = "tidings 0.1.0 is ready\n\n  clients    ws://127.0.0.1:4/v1/ws\n  health     x\n  metrics    http://127.0.0.1:5/metrics\n";
        let (url, metrics) = addresses(screen.as_bytes()).unwrap();
        assert_eq!((url.as_str(), metrics.as_str()), ("ws://127.0.0.1:4/v1/ws", "http://127.0.0.1:5/metrics"));
        assert!(addresses(&b"error\n"[..]).is_err());
    }
}
