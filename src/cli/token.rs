//! `tidings token`: signs a token with a secret of this machine. For tests and scripts: an app's own user centre signs the
//! tokens of its users.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tidings_schema::id::{DeviceId, Uid};

use super::{TokenArgs, identity::Mint};
use crate::auth::{DEV_KEY_FILE, JwtTokens};

/// Prints the token as the last line of standard output.
///
/// # Errors
/// When there is no usable secret.
pub(super) fn run(args: &TokenArgs) -> anyhow::Result<()> {
    let key = key_file(args)?;
    println!("{}", sign(&key, &args.user, args.device.as_ref(), args.ttl)?);
    Ok(())
}

fn key_file(args: &TokenArgs) -> anyhow::Result<PathBuf> {
    let data = args.data.clone().unwrap_or_else(|| PathBuf::from("data"));
    let key = args.key.clone().unwrap_or_else(|| data.join(DEV_KEY_FILE));
    if !key.exists() {
        bail!(
            "{} does not exist: pass --key FILE with the server's secret, or --data DIR of a server that ran with --dev",
            key.display()
        );
    }
    Ok(key)
}

/// Signs tokens for the commands that connect.
pub(super) fn mint() -> Mint {
    Arc::new(sign)
}

fn sign(key: &Path, uid: &Uid, device: Option<&DeviceId>, ttl: Duration) -> anyhow::Result<String> {
    let tokens = JwtTokens::from_file(key).with_context(|| format!("{} cannot be used as a key", key.display()))?;
    Ok(tokens.mint_for(uid, device, ttl)?)
}
