//! Who a command acts as: its token, its device, and the directory that keeps both its queue and its device id.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use base64::prelude::*;
use tidings_client::{TokenError, TokenSource, queue::FileQueue};
use tidings_schema::id::{DeviceId, Uid};

use super::ServerArgs;

/// How long a token that these commands make for themselves is valid.
const OWN_TTL: Duration = Duration::from_secs(24 * 3600);
/// A server in dev mode must answer in this time.
const DEV_TOKEN_WITHIN: Duration = Duration::from_secs(5);
/// Longest answer of a server in dev mode.
const DEV_TOKEN_BYTES_MAX: u64 = 16 * 1024;

/// Signs a token for a user with the secret in a file.
pub type Mint = Arc<dyn Fn(&Path, &Uid, Option<&DeviceId>, Duration) -> anyhow::Result<String> + Send + Sync>;

/// The directory of a user on a server, locked, with a stable device id.
#[derive(Debug)]
pub struct Home {
    /// Messages that wait, and the place in the inbox.
    pub queue: FileQueue,
    /// Made at the first start.
    pub device: String,
}

/// Opens (or makes) the directory of `user`.
///
/// # Errors
/// When another command uses it, it cannot be written, or the token is somebody else's.
pub fn open_home(user: &Uid, args: &ServerArgs) -> anyhow::Result<Home> {
    if let Some(token) = &args.token {
        check_owner(token, user)?;
    }
    let directory = match &args.state {
        Some(directory) => directory.clone(),
        None => default_home(user, &args.server)?,
    };
    let queue = FileQueue::open(&directory)
        .context("if that is another `tidings chat` of the same user, give this one a directory with --state")?;
    let path = directory.join("device");
    let device = match std::fs::read_to_string(&path) {
        Ok(device) if device.trim().parse::<DeviceId>().is_ok() => device.trim().to_owned(),
        _ => {
            let device = format!("cli-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
            std::fs::write(&path, &device).with_context(|| format!("cannot write {}", path.display()))?;
            device
        }
    };
    Ok(Home { queue, device })
}

fn default_home(user: &Uid, server: &str) -> anyhow::Result<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/share"));
    let data = data.or_else(home).context("neither HOME nor XDG_DATA_HOME is set; name a directory with --state")?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    let host = server.split("://").last().unwrap_or(server).split('/').next().unwrap_or(server);
    // A uid has no separator, and the prefix keeps `.` and `..` from meaning something.
    Ok(data.join("tidings").join(host.chars().map(plain).collect::<String>()).join(format!("u-{user}")))
}

/// Where the token comes from, as the arguments say.
#[must_use]
pub fn token_source(user: &Uid, args: &ServerArgs, mint: Mint) -> TokenSource {
    if let Some(token) = &args.token {
        return TokenSource::fixed(token.clone());
    }
    let key = args.key.clone().or_else(|| args.data.as_ref().map(|data| data.join("dev.key")));
    let (user, server) = (user.clone(), args.server.clone());
    TokenSource::new(move || {
        let (user, server, key, mint) = (user.clone(), server.clone(), key.clone(), Arc::clone(&mint));
        async move {
            let ask = move || match key {
                Some(key) => mint(&key, &user, None, OWN_TTL).map_err(|error| TokenError::Never(format!("{error:#}"))),
                None => dev_token(&server, &user),
            };
            let asked = tokio::task::spawn_blocking(ask).await;
            asked.unwrap_or_else(|_| Err(TokenError::Later("asking for it failed".into())))
        }
    })
}

/// Asks a server in dev mode for a token.
fn dev_token(server: &str, user: &Uid) -> Result<String, TokenError> {
    let Some(rest) = server.strip_prefix("ws://") else {
        return Err(TokenError::Never("only a dev server gives tokens away; pass --token".into()));
    };
    let host = rest.split('/').next().unwrap_or(rest);
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let answer = get(&address, host, &format!("/dev/token/{user}"));
    let answer = answer.map_err(|error| TokenError::Later(error.to_string()))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(body.trim().to_owned()),
        Some("404") => {
            Err(TokenError::Never(format!("{server} is no dev server and gives no tokens; pass --token or --key")))
        }
        Some(status) if status.starts_with('4') => Err(TokenError::Never(format!("the server answered {status}"))),
        _ => Err(TokenError::Later("the server did not answer as expected".into())),
    }
}

fn get(address: &str, host: &str, path: &str) -> std::io::Result<String> {
    let no_address = || std::io::Error::other("no such address");
    let address = address.to_socket_addrs()?.next().ok_or_else(no_address)?;
    let mut stream = TcpStream::connect_timeout(&address, DEV_TOKEN_WITHIN)?;
    stream.set_read_timeout(Some(DEV_TOKEN_WITHIN))?;
    stream.set_write_timeout(Some(DEV_TOKEN_WITHIN))?;
    // HTTP/1.0: the answer has no chunks and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {host}\r\naccept: text/plain\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(DEV_TOKEN_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Reads `ws://HOST:PORT/v1/ws`; the path may be left out.
///
/// # Errors
/// When it is no address of a WebSocket.
pub fn parse_server(text: &str) -> anyhow::Result<String> {
    let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "ws" | "wss")) else {
        bail!("expected ws://HOST:PORT/v1/ws or wss://HOST/v1/ws");
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.is_empty() {
        bail!("the host is missing, expected {scheme}://HOST:PORT/v1/ws");
    }
    let path = if path.is_empty() { "v1/ws" } else { path };
    Ok(format!("{scheme}://{host}/{path}"))
}

/// Refuses a token that says it is somebody else's: what is sent with it would come from that user. Only the server
/// checks its signature.
fn check_owner(token: &str, user: &Uid) -> anyhow::Result<()> {
    #[derive(serde::Deserialize)]
    struct Owner {
        sub: String,
    }
    let payload = token.split('.').nth(1).and_then(|payload| BASE64_URL_SAFE_NO_PAD.decode(payload).ok());
    let owner = payload.and_then(|payload| serde_json::from_slice::<Owner>(&payload).ok());
    match owner {
        Some(owner) if owner.sub != user.as_str() => {
            bail!("the token is for {}, not for {user}: pass --as {0} or another token", owner.sub)
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads `90s`, `15m`, `1h` or `7d`.
///
/// # Errors
/// When it is none of these, or zero.
pub fn parse_ttl(text: &str) -> anyhow::Result<Duration> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[number.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => bail!("expected a number and s, m, h or d, like 1h"),
    };
    let number: u64 = number.parse().context("expected a number and s, m, h or d, like 1h")?;
    match number.checked_mul(seconds) {
        Some(0) | None => bail!("must be more than nothing and less than eternity"),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(state: &Path) -> ServerArgs {
        let server = super::super::DEFAULT_SERVER.to_owned();
        ServerArgs { server, token: None, key: None, data: None, state: Some(state.to_owned()) }
    }

    #[test]
    fn the_device_id_is_stable_and_a_second_command_is_told_what_to_do() {
        let state = tempfile::tempdir().unwrap();
        let user: Uid = "alice".parse().unwrap();
        let first = open_home(&user, &args(state.path())).unwrap();
        let refused = format!("{:#}", open_home(&user, &args(state.path())).unwrap_err());
        assert!(refused.contains("--state") && refused.contains("in use"), "{refused}");
        let device = first.device.clone();
        drop(first);
        assert_eq!(open_home(&user, &args(state.path())).unwrap().device, device);
    }

    #[test]
    fn a_token_of_somebody_else_is_refused_before_anything_is_sent() {
        let token = |payload: &str| format!("x.{}.x", BASE64_URL_SAFE_NO_PAD.encode(payload));
        let (alice, state) = ("alice".parse().unwrap(), tempfile::tempdir().unwrap());
        let with = |token| ServerArgs { token: Some(token), ..args(state.path()) };
        let refused = open_home(&alice, &with(token(r#"{"sub":"bob","exp":1}"#))).unwrap_err().to_string();
        assert!(refused.contains("--as bob"), "{refused}");
        assert!(open_home(&alice, &with(token(r#"{"sub":"alice"}"#))).is_ok());
        // What cannot be read is the server's to judge.
        assert!(open_home(&alice, &with("garbage".into())).is_ok());
    }

    #[test]
    fn a_server_is_an_address_of_a_websocket() {
        assert_eq!(parse_server("ws://127.0.0.1:7400").unwrap(), "ws://127.0.0.1:7400/v1/ws");
        assert_eq!(parse_server("wss://chat.example/x").unwrap(), "wss://chat.example/x");
        for nonsense in ["", "127.0.0.1:7400", "http://a/v1/ws", "ws://", "ws:///v1/ws"] {
            assert!(parse_server(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn times_are_read_and_nonsense_is_not() {
        assert_eq!(parse_ttl("15m").unwrap(), Duration::from_secs(900));
        for nonsense in ["", "h", "0s", "1w", "-1h", "99999999999999999d"] {
            assert!(parse_ttl(nonsense).is_err(), "{nonsense}");
        }
    }
}
