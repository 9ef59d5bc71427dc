//! The flags by which settings are given, the same for every command that needs to know what a server would do.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::config::{DEFAULT_FILE, Given, Loaded, Machine, Sources};

/// Flags win over the environment, the environment over the file.
#[derive(Args, Clone, Debug)]
pub struct SettingsArgs {
    /// Hand a token to everyone who asks; loopback only, never in production.
    #[arg(long)]
    pub dev: bool,
    /// Data directory (store.dir).
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Address for clients (listen.address); operators get 127.0.0.1 and the next port.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Any setting, as in --set limits.user_sends_per_s=100.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Config file (TOML) [default: tidings.toml in the working directory, if there is one].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl SettingsArgs {
    /// Reads the settings from everywhere they may stand.
    #[must_use]
    pub fn load(&self) -> Loaded {
        let named = [("--data", "store.dir", &self.data), ("--listen", "listen.address", &self.listen)];
        let named = named.into_iter().filter_map(|(flag, setting, value)| Some((flag, setting, value.clone()?)));
        let named = named.map(|(flag, setting, value)| Given { flag: flag.into(), setting: setting.into(), value });
        let set = self.set.iter().map(|(setting, value)| Given {
            flag: format!("--set {setting}"),
            setting: setting.clone(),
            value: value.clone(),
        });
        Loaded::read(&Sources {
            file: self.config.clone(),
            default_file: Some(DEFAULT_FILE.into()),
            environment: std::env::vars_os().collect(),
            flags: set.chain(named).collect(),
            dev: self.dev,
            machine: Machine::read(),
        })
    }
}

fn assignment(text: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = text.split_once('=').context("expected NAME=VALUE, as in limits.recall_s=600")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
