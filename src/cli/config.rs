//! `tidings config`: prints the settings a server would have, where each comes from, and what is wrong with them.

use std::{io::Write as _, process::ExitCode};

use clap::Args;

use super::settings::SettingsArgs;
use crate::config::{self, SETTINGS};

/// Arguments of `tidings config`.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    /// Print a file with every default, what is allowed and why.
    #[arg(long, conflicts_with = "check")]
    pub default: bool,
    /// Say only whether `serve` with the same flags would take the settings.
    #[arg(long)]
    pub check: bool,
    /// Where settings stand.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Prints what was asked for; ends with 78 when `serve` would refuse the settings.
///
/// # Errors
/// The mistakes, or standard output that takes nothing.
pub fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    if args.default {
        return print(&config::default_file());
    }
    let loaded = args.settings.load();
    if args.check {
        let file = loaded.file.clone().map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
        loaded.require_key(args.settings.dev).accept()?;
        return print(&format!("ok: {} settings ({file})\n", SETTINGS.len()));
    }
    // What holds is worth seeing also when something is wrong.
    print(&config::effective(&loaded))?;
    loaded.accept()?;
    Ok(ExitCode::SUCCESS)
}

/// Whoever reads a part of it, as `head` does, has not done anything wrong.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(why.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
