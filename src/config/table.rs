//! The table of all settings: type, default, bounds with their unit, meaning and reason. Nothing about a setting stands
//! anywhere else; `docs/configuration.md` repeats it, and a test compares.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use tidings_schema::id::ShardCount;

use super::{
    DEFAULT_PORT,
    setting::{Setting, put, settings},
    value::{ANY, Secret, Value, between},
};

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT);

settings! {
    listen: Listen "where clients and operators connect" {
        address: SocketAddr = LOOPBACK, ANY;
            "clients: WebSocket on `/v1/ws`, the start page, `/healthz`, `/readyz`"
            "an address that is not loopback needs `behind_proxy`: tokens must not travel in clear by accident"
        admin: Option<SocketAddr> = None, ANY;
            "operators: `/metrics`; none = 127.0.0.1 and the next port"
            "it has no passwords: keep it private"
        admin_public: bool = false, ANY;
            "`true` says that you know that `admin` is not loopback and has no passwords"
            "whoever reaches it may read and do what an operator may; let a firewall decide who does"
        behind_proxy: bool = false, ANY;
            "`true` says that a proxy in front ends TLS"
            "without it only loopback is served; never together with `--dev`"
        workers: usize = 0, between(1, 1_024, "threads").or_zero("one per core");
            "threads that carry connections"
            "fewer take less CPU per message, but a paced load waits several times longer at its p99"
        connections_max: usize = 100_000, between(1, 10_000_000, "connections");
            "connections at a time"
            "beyond it handshakes are answered 503 with `retry-after`; each takes a few kilobytes and an open file"
        unauthenticated_max: usize = 10_000, between(1, 10_000_000, "connections");
            "connections that have not said `hello` yet, at a time"
            "strangers can fill this, and nothing else"
        accepts_per_s: u32 = 5_000, between(1, 1_000_000, "per second");
            "new connections; twice that in a burst"
            "a wave of reconnects must not starve those who are connected"
        out_mb: usize = 0, between(1, 1_048_576, "MiB").or_zero("a quarter of the memory");
            "what may wait for all clients together"
            "when it is used up, a client that has anything queued gets no more until it reads; more than half of the \
             memory, or less than one frame, is refused"
    }
    store: StoreConfig "where data is kept" {
        dir: PathBuf = PathBuf::from("data"), ANY;
            "the data directory"
            "one process at a time: it is locked"
        disk_reserve_mb: u64 = 512, between(64, 1_000_000_000, "MiB");
            "free space below which writes are refused (5002); taken again above twice as much"
            "the disk must not fail in the middle of a write: at least 4 * `memtable_mb`, which may be on its way to it"
        cache_mb: u64 = 32, between(1, 1_048_576, "MiB");
            "block cache"
            "more helps when many old histories are read; with the memtables at most half of the memory"
        memtable_mb: u64 = 0, between(1, 128, "MiB").or_zero("a 32nd of the memory or a quarter of `disk_reserve_mb`, the less, 4 to 32 MiB");
            "rows in memory before they become a file"
            "more means fewer files; up to eight are in memory, and above 128 the journals (192 MiB) end first. Counts when the \
             data directory is made, which keeps it"
        inbox_days: u64 = 30, between(14, 36_500, "days");
            "how long a row of an inbox is kept; history is kept for ever"
            "a message id answers its repetition for 14 days and needs its row; above 100 years the clock is wrong first"
    }
    auth: Auth "who may connect" {
        key_file: Option<PathBuf> = None, ANY;
            "file with the HS256 secret that your user centre signs tokens with"
            "at least 32 bytes, as long as the hash (`openssl rand -hex 32` makes one), and closed to other users: \
             whoever reads it can be anyone. White space around it does not count"
        secret: Option<Secret> = None, ANY;
            "the secret itself, instead of `key_file`"
            "in the environment only: files are copied, flags are seen by every user of the machine"
    }
    limits: LimitsConfig "bounds" {
        body_bytes_max: usize = 65_536, between(1, 1_048_576, "bytes");
            "content and push hint of one message"
            "larger things belong on a file server, with a link"
        frame_bytes_max: usize = 1_048_576, between(4_102, 16_777_216, "bytes");
            "one frame after `hello` (16 KiB before)"
            "at least 6 * `body_bytes_max` + 4,096: JSON may grow a legal body sixfold"
        connection_frames_per_s: u32 = 500, between(1, 1_000_000, "per second");
            "frames of one connection; twice that in a burst"
            "acks are free"
        user_sends_per_s: u32 = 500, between(1, 1_000_000, "per second");
            "messages of one user over all devices; twice that in a burst"
            "one user must not take the disk of all"
        new_peers_per_hour: u32 = 60, between(1, 1_000_000, "per hour").or_zero("no limit");
            "first messages of one user to people they never wrote with"
            "a person meets fewer, spam needs more; bots that write first need a higher one"
        op_deadline_ms: u64 = 5_000, between(100, 60_000, "ms");
            "an operation without an answer for so long is answered 5001, \"outcome unknown, resend\""
            "above a slow sync, below the patience of a person"
        recall_s: u64 = 86_400, between(1, 3_153_600_000, "s").or_zero("as long as `store.inbox_days`");
            "how long a message may be recalled or edited"
            "not longer than its row is kept"
        mailbox_idle_ms: u64 = 30_000, between(100, 86_400_000, "ms");
            "a user with nothing to do for so long leaves memory"
            "shorter saves memory, longer saves reads; above a day nobody ever leaves"
        cursor_flush_ms: u64 = 1_000, between(10, 60_000, "ms");
            "longest time an ack of a device waits in memory"
            "a crash sends again at most what was acked in it; clients drop that"
    }
    node: NodeConfig "threads, shards and the end" {
        shards: u16 = ShardCount::DEFAULT, between(1, 16_384, "shards");
            "virtual shards, each an actor"
            "fixed for the life of a data directory: another number is refused at start"
        shard_threads: usize = 0, between(1, 1_024, "threads").or_zero("half the cores");
            "threads that own users"
            "never those that carry connections: one hot user must not starve sockets"
        drain_s: u64 = 10, between(5, 300, "s");
            "how long clients and the store get when the server is asked to stop"
            "keep it below what your supervisor waits before it kills: Kubernetes 30 s, systemd 90 s"
    }
}
