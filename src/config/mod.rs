//! What an operator may set: a TOML file, overlaid by the environment (`TIDINGS_SECTION_FIELD`), overlaid by flags.
//!
//! `table.rs` is the one place that knows the settings. `read.rs` reads them and `relations.rs` holds them against each
//! other; all mistakes are shown at once, each with its place. `print.rs` writes them down.

mod key_file;
mod machine;
mod mistake;
mod print;
mod read;
mod relations;
mod setting;
mod table;
#[cfg(test)]
mod tests;
mod value;

use std::net::SocketAddr;

use tidings_actors::{connection::ConnectionLimits, hub::census::CensusLimits, limits::MailboxLimits};

pub use self::{
    machine::Machine,
    mistake::{ConfigError, EXIT_CONFIG, Mistake, Origin},
    print::{default_file, effective},
    read::{DEFAULT_FILE, Given, Loaded, Sources},
    setting::Setting,
    table::{Auth, Config, LimitsConfig, Listen, NodeConfig, SECTIONS, SETTINGS, StoreConfig},
    value::Secret,
};

/// The port clients are served on unless told otherwise; the admin listener takes the next one.
pub const DEFAULT_PORT: u16 = 7400;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
const MIB: u64 = 1024 * 1024;
/// Least and most a memtable has when nobody set it, in MiB.
const MEMTABLE_MB: (u64, u64) = (4, 32);
/// What may wait for clients when nobody set it and the memory is not known.
const OUT_BYTES_UNKNOWN: u64 = 1024 * MIB;

impl Config {
    /// Where operators connect.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        let port = match self.listen.address.port() {
            // The system chooses both.
            0 => 0,
            port => port.saturating_add(1),
        };
        self.listen.admin.unwrap_or(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Bytes that may wait for all clients together.
    #[must_use]
    pub fn out_bytes_max(&self, machine: &Machine) -> usize {
        let bytes = match self.listen.out_mb as u64 {
            0 => machine.memory_bytes.map_or(OUT_BYTES_UNKNOWN, |bytes| bytes / 4),
            mb => mb.saturating_mul(MIB),
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Rows of a keyspace that are kept in memory, in MiB.
    #[must_use]
    pub fn memtable_mb(&self, machine: &Machine) -> u64 {
        let of_memory = machine.memory_bytes.map_or(MEMTABLE_MB.1, |bytes| bytes / MIB / 32);
        match self.store.memtable_mb {
            0 => of_memory.min(self.store.disk_reserve_mb / 4).clamp(MEMTABLE_MB.0, MEMTABLE_MB.1),
            set => set,
        }
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
            recall_ms_max: self.recall_ms_max(),
            ..ConnectionLimits::default()
        }
    }

    /// How long a message may be recalled or edited.
    fn recall_ms_max(&self) -> u64 {
        match self.limits.recall_s {
            0 => self.store.inbox_days.saturating_mul(DAY_MS),
            set => set.saturating_mul(1_000),
        }
    }

    /// Bounds of mailboxes.
    #[must_use]
    pub fn mailbox_limits(&self) -> MailboxLimits {
        MailboxLimits {
            mailbox_idle_ms: self.limits.mailbox_idle_ms,
            cursor_flush_ms: self.limits.cursor_flush_ms,
            user_sends_per_s: self.limits.user_sends_per_s,
            new_peers_per_hour: self.limits.new_peers_per_hour,
            recall_ms_max: self.recall_ms_max(),
            inbox_ms: self.store.inbox_days.saturating_mul(DAY_MS),
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
