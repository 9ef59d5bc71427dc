//! `tidings doctor`: looks at everything a server needs and says what is wrong and what to do.

use std::{io::Write as _, process::ExitCode};

use clap::Args;

use super::settings::SettingsArgs;
use crate::doctor::{Report, Verdict};

/// Arguments of `tidings doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Neither read the store nor time the disk.
    #[arg(long)]
    pub quick: bool,
    /// Where settings stand; those of the server that is looked at.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Prints one line per check. Ends as monitoring plug-ins do: 0 all is well, 1 a warning, 2 something failed.
///
/// # Errors
/// Standard output that takes nothing.
pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let report = Report::make(args.settings.load(), args.settings.dev, args.quick);
    let text = if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.text() };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => return Err(why.into()),
        _ => {}
    }
    Ok(ExitCode::from(match report.verdict {
        Verdict::Ok => 0,
        Verdict::Warning => 1,
        Verdict::Failed => 2,
    }))
}
