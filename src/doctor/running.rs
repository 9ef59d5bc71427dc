//! A running server is asked on its operators' listener: is it ready, and which inboxes did it stop?

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Check, Damage, Whose};
use crate::config::Config;

const NAME: &str = "running server";
/// A server that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A longer answer is not that of a server.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// What a running server says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its version.
    pub version: String,
    /// Why it takes no clients; nothing when it does.
    pub not_ready: Option<String>,
    /// Users whose inbox is damaged and stopped; the first of them.
    pub stopped: Vec<String>,
}

pub(super) fn look(config: &Config) -> Check {
    let address = config.admin_address();
    match ask(address) {
        Err(why) => {
            let advice = "give doctor the settings of that server: its address for operators is listen.admin";
            Check::warning(NAME, format!("nothing answers at {address}: {why}; stored timelines were not read"), advice)
        }
        Ok(state) => judged(state),
    }
}

fn judged(State { version, not_ready, stopped }: State) -> Check {
    let unread = "stored timelines are read when it is stopped";
    if !stopped.is_empty() {
        let fault = || vec!["stopped: stored data is damaged".to_owned()];
        let damaged =
            stopped.into_iter().map(|uid| Damage { whose: Whose::User(uid), faults: fault() }).collect::<Vec<_>>();
        let says = format!("version {version} has stopped {} inboxes", damaged.len());
        let advice = "see \"One inbox is damaged\" in docs/operations.md; all others are served";
        return Check { damaged, ..Check::failed(NAME, says, advice) };
    }
    match not_ready {
        Some(why) => Check::failed(NAME, format!("version {version} is not ready: {why}"), "see docs/operations.md"),
        None => Check::ok(NAME, format!("version {version} is ready and has stopped no inbox; {unread}")),
    }
}

fn ask(address: SocketAddr) -> io::Result<State> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /doctor HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).map_err(|_| io::Error::other("the answer is not that of a server"))
}
