//! What an operator may set: a TOML file, overlaid by the environment (`TIDINGS_SECTION_FIELD`), overlaid by flags. Parsed
//! once, unknown names refused, values checked against each other.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tidings_actors::{connection::ConnectionLimits, hub::census::CensusLimits, limits::MailboxLimits, mutants};
use tidings_schema::id::ShardCount;

/// The port clients are served on unless told otherwise; the admin listener takes the next one.
pub const DEFAULT_PORT: u16 = 7400;
/// Environment variables that begin so are settings; any other name of that kind is a mistake and refused.
const ENV_PREFIX: &str = "TIDINGS_";
/// Read by the auth part and by the logs, not settings of the file.
const ENV_OTHER: [&str; 2] = ["TIDINGS_AUTH_SECRET", "TIDINGS_LOG"];
/// Chooses deliberate bugs in builds for tests; a release build refuses it like any other unknown name.
const ENV_MUTANT: &str = "TIDINGS_MUTANT";

/// Everything that can be set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients and operators connect.
    pub listen: Listen,
    /// Where data is kept.
    pub store: StoreConfig,
    /// Who may connect.
    pub auth: Auth,
    /// Bounds.
    pub limits: LimitsConfig,
    /// Threads and shards.
    pub node: NodeConfig,
}

/// Where clients and operators connect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Address for clients.
    pub address: SocketAddr,
    /// Address for operators (metrics); absent: 127.0.0.1 and the clients' port + 1. Keep it private.
    pub admin: Option<SocketAddr>,
    /// A proxy in front ends TLS; without one only loopback is served.
    pub behind_proxy: bool,
    /// Threads that carry connections; 0: one per core. Fewer of them wake each other less often (on two cores, one serves
    /// up to a fifth more messages per CPU second), but a paced load waits several times longer at its p99.
    pub workers: usize,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections that have not said `hello` yet, at a time.
    pub unauthenticated_max: usize,
    /// New connections per second.
    pub accepts_per_s: u32,
    /// Bytes in MiB that may wait for all clients together; when they are used up, a client that has
    /// anything queued gets no more until it reads: entries wait in the log, an answer without room closes it.
    pub out_mb: usize,
}

impl Default for Listen {
    fn default() -> Self {
        let census = CensusLimits::default();
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT),
            admin: None,
            behind_proxy: false,
            workers: 0,
            connections_max: census.connections_max,
            unauthenticated_max: census.unauthenticated_max,
            accepts_per_s: census.accepts_per_s,
            out_mb: 1_024,
        }
    }
}

/// Where data is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// The data directory.
    pub dir: PathBuf,
    /// Free space in MiB below which writes are refused; taken again above twice as much.
    pub disk_reserve_mb: u64,
    /// Block cache in MiB.
    pub cache_mb: u64,
    /// Rows kept in memory before they become a table file, in MiB.
    pub memtable_mb: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { dir: PathBuf::from("data"), disk_reserve_mb: 512, cache_mb: 32, memtable_mb: 16 }
    }
}

/// Who may connect.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// File with the HS256 secret, at least 32 bytes. Or the environment variable `TIDINGS_AUTH_SECRET`.
    pub key_file: Option<PathBuf>,
}

/// Bounds that may be set; docs/configuration.md has them with their reasons.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Largest content of one message in bytes, push hint included.
    pub body_bytes_max: usize,
    /// Largest frame after `hello` in bytes.
    pub frame_bytes_max: usize,
    /// Frames per second and connection.
    pub connection_frames_per_s: u32,
    /// Messages per second and user.
    pub user_sends_per_s: u32,
    /// Time after which an unanswered op is answered 5001.
    pub op_deadline_ms: u64,
    /// Time without anything to do after which a mailbox leaves memory.
    pub mailbox_idle_ms: u64,
    /// Longest time an acknowledged cursor waits in memory.
    pub cursor_flush_ms: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let (connection, mailbox) = (ConnectionLimits::default(), MailboxLimits::default());
        Self {
            body_bytes_max: connection.body_bytes_max,
            frame_bytes_max: connection.frame_bytes_max,
            connection_frames_per_s: connection.frames_per_s,
            user_sends_per_s: mailbox.user_sends_per_s,
            op_deadline_ms: connection.op_deadline_ms,
            mailbox_idle_ms: mailbox.mailbox_idle_ms,
            cursor_flush_ms: mailbox.cursor_flush_ms,
        }
    }
}

/// Threads and shards.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// Virtual shards; fixed for the life of a deployment.
    pub shards: u16,
    /// Threads that own shards; 0: half the cores, at least one.
    pub shard_threads: usize,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self { shards: ShardCount::DEFAULT, shard_threads: 0 }
    }
}

/// Why settings are refused. The text names the setting.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config file {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be; the text shows the line.
    #[error("config: {0}")]
    Invalid(String),
    /// Values do not fit each other.
    #[error("config: {0}")]
    Relation(&'static str),
}

impl Config {
    /// Reads the file, if any, and the environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting that is wrong.
    pub fn read(file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?,
        };
        // Parsed on its own first: errors then show the line of the file.
        toml::from_str::<Self>(&text).map_err(|why| ConfigError::Invalid(why.to_string()))?;
        let mut table: toml::Table = toml::from_str(&text).map_err(|why| ConfigError::Invalid(why.to_string()))?;
        for (name, value) in env {
            overlay(&mut table, &name, &value)?;
        }
        let config: Self = table.try_into().map_err(|why: toml::de::Error| ConfigError::Invalid(why.to_string()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.limits.frame_bytes_max < self.limits.body_bytes_max.saturating_mul(6).saturating_add(4096) {
            // A legal body may grow sixfold when JSON escapes it.
            return Err(ConfigError::Relation(
                "limits.frame_bytes_max must be at least 6 * limits.body_bytes_max + 4096",
            ));
        }
        if ShardCount::new(self.node.shards).is_none() {
            return Err(ConfigError::Relation("node.shards must be at least 1"));
        }
        if self.limits.user_sends_per_s == 0
            || self.limits.connection_frames_per_s == 0
            || self.listen.accepts_per_s == 0
        {
            return Err(ConfigError::Relation("rates must be at least 1 per second"));
        }
        if self.listen.connections_max == 0 || self.listen.unauthenticated_max == 0 || self.limits.op_deadline_ms == 0 {
            return Err(ConfigError::Relation("numbers of connections and times must be at least 1"));
        }
        Ok(())
    }

    /// Bounds of connections.
    #[must_use]
    pub fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            body_bytes_max: self.limits.body_bytes_max,
            frame_bytes_max: self.limits.frame_bytes_max,
            frames_per_s: self.limits.connection_frames_per_s,
            frames_burst: self.limits.connection_frames_per_s.saturating_mul(2),
            op_deadline_ms: self.limits.op_deadline_ms,
            ..ConnectionLimits::default()
        }
    }

    /// Bounds of mailboxes.
    #[must_use]
    pub fn mailbox_limits(&self) -> MailboxLimits {
        MailboxLimits {
            mailbox_idle_ms: self.limits.mailbox_idle_ms,
            cursor_flush_ms: self.limits.cursor_flush_ms,
            user_sends_per_s: self.limits.user_sends_per_s,
            ..MailboxLimits::default()
        }
    }

    /// Bounds of the node.
    #[must_use]
    pub fn census_limits(&self) -> CensusLimits {
        CensusLimits {
            connections_max: self.listen.connections_max,
            unauthenticated_max: self.listen.unauthenticated_max,
            accepts_per_s: self.listen.accepts_per_s,
            accepts_burst: self.listen.accepts_per_s.saturating_mul(2),
        }
    }
}

/// Puts `TIDINGS_LIMITS_BODY_BYTES_MAX=1` at `limits.body_bytes_max`.
fn overlay(table: &mut toml::Table, name: &str, value: &str) -> Result<(), ConfigError> {
    let other = ENV_OTHER.contains(&name) || (mutants::COMPILED_IN && name == ENV_MUTANT);
    let Some(rest) = name.strip_prefix(ENV_PREFIX).filter(|_| !other) else { return Ok(()) };
    let rest = rest.to_ascii_lowercase();
    let Some((section, field)) = rest.split_once('_') else {
        return Err(ConfigError::Invalid(format!("{name} names no setting (TIDINGS_SECTION_FIELD)")));
    };
    let value = value
        .parse::<i64>()
        .map(toml::Value::Integer)
        .or_else(|_| value.parse::<bool>().map(toml::Value::Boolean))
        .unwrap_or_else(|_| toml::Value::String(value.to_owned()));
    let section = table.entry(section.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let Some(section) = section.as_table_mut() {
        section.insert(field.to_owned(), value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(None, env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn the_environment_overlays_the_defaults() {
        let config = read(&[("TIDINGS_LIMITS_OP_DEADLINE_MS", "7000"), ("HOME", "x")]).unwrap();
        assert_eq!(config.limits.op_deadline_ms, 7000);
        assert_eq!(config.node.shards, ShardCount::DEFAULT);
        let config =
            read(&[("TIDINGS_LISTEN_ADDRESS", "127.0.0.1:9"), ("TIDINGS_LISTEN_BEHIND_PROXY", "true")]).unwrap();
        assert_eq!((config.listen.address.port(), config.listen.behind_proxy), (9, true));
    }

    #[test]
    fn unknown_names_are_refused() {
        let unknown = read(&[("TIDINGS_LIMITS_NO_SUCH", "1")]).unwrap_err().to_string();
        assert!(unknown.contains("no_such"), "{unknown}");
        assert!(read(&[("TIDINGS_NOSECTION", "1")]).is_err());
    }

    #[test]
    fn values_that_do_not_fit_each_other_are_refused() {
        let error = read(&[("TIDINGS_LIMITS_FRAME_BYTES_MAX", "65536")]).unwrap_err();
        assert!(matches!(error, ConfigError::Relation(_)), "{error}");
        assert!(read(&[("TIDINGS_NODE_SHARDS", "0")]).is_err());
    }

    /// (field, default) of every row of the tables in the documentation.
    fn documented() -> Vec<(&'static str, &'static str)> {
        let rows = include_str!("../docs/configuration.md").lines().filter_map(|line| line.strip_prefix("| `"));
        rows.filter_map(|row| row.split_once("` | ")?.1.split_once(" | ").map(|(default, _)| (row, default)))
            .filter_map(|(row, default)| Some((row.split_once('`')?.0, default)))
            .collect()
    }

    #[test]
    fn every_setting_is_documented_with_its_default() {
        let defaults = format!("{:?}", Config::default());
        let sections = ["listen", "store", "auth", "limits", "node"];
        let names = defaults.split([' ', '{']).filter_map(|word| word.strip_suffix(':'));
        let mut names: Vec<&str> = names.filter(|name| !sections.contains(name)).collect();
        let mut rows: Vec<&str> = documented().into_iter().map(|(field, _)| field).collect();
        names.sort_unstable();
        rows.sort_unstable();
        assert_eq!(names, rows);
        for (field, default) in documented() {
            let Ok(number) = default.split(' ').next().unwrap_or_default().replace(',', "").parse::<u64>() else {
                continue;
            };
            assert!(
                defaults.contains(&format!("{field}: {number},")) || defaults.contains(&format!("{field}: {number} ")),
                "{field}: {default}"
            );
        }
    }

    #[test]
    fn a_wrong_line_of_the_file_is_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[limits]\nbody_bytes_max = \"many\"\n").unwrap();
        let error = Config::read(Some(file.path()), std::iter::empty()).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
