//! `tidings revoke`: signs a user, or one device, out everywhere. Tokens issued before now are refused from then on, also
//! on live connections and after a restart.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use tidings_schema::id::{DeviceId, Uid};

use crate::wiring::OPERATOR_HEADER;

/// Longer than the server waits for its own disk.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The answer is one line.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// `tidings revoke`: signs a user out everywhere.
#[derive(Args, Clone, Debug)]
pub struct RevokeArgs {
    /// Who is signed out.
    pub user: Uid,
    /// Only this device.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<DeviceId>,
    /// The server's address for operators.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7401")]
    pub admin: SocketAddr,
}

/// Returns when the server has it on disk.
///
/// # Errors
/// When it cannot be reached, or does not do it; the text says why.
pub(super) fn run(args: &RevokeArgs) -> anyhow::Result<()> {
    let RevokeArgs { user, device, admin } = args;
    let path = match device {
        Some(device) => format!("/revoke/{user}/{device}"),
        None => format!("/revoke/{user}"),
    };
    let answer = post(*admin, &path).with_context(|| format!("no server answers operators at {admin} (--admin)"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split_whitespace().nth(1) != Some("200") {
        bail!("not done: {}", body.trim());
    }
    println!("{}", body.trim());
    Ok(())
}

fn post(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    // HTTP/1.0: the answer has no chunks and ends with the connection.
    write!(
        stream,
        "POST {path} HTTP/1.0\r\nhost: {address}\r\n{OPERATOR_HEADER}: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
