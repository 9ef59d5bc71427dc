//! What commits cost and carry, counted. The handles are looked up once: a commit of one row would else spend more on
//! finding its counters than on encoding the row.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tidings_actors::port::store::{Key, TimelineId};

/// Keyspace and kind as the metrics name them; a removal counts as a row.
const KINDS: [(&str, &str); 17] = [
    ("log", "log"),
    ("history", "history"),
    ("id", "id"),
    ("record", "head"),
    ("record", "mark"),
    ("record", "checkpoint"),
    ("record", "conversation"),
    ("record", "peer"),
    ("record", "device"),
    ("log", "group_log"),
    ("id", "group_id"),
    ("record", "group_head"),
    ("record", "group_mark"),
    ("record", "group_checkpoint"),
    ("record", "member"),
    ("record", "group_view"),
    ("record", "group_peer"),
];

/// Where in [`KINDS`] rows of a timeline are counted.
pub(super) const fn log_of(timeline: &TimelineId) -> usize {
    match timeline {
        TimelineId::Inbox(_) => 0,
        TimelineId::Group(_) => 9,
    }
}

/// Where in [`KINDS`] a record is counted.
pub(super) const fn kind_of(key: &Key) -> usize {
    match key {
        Key::History { .. } => 1,
        Key::MessageId(TimelineId::Inbox(_), _, _) => 2,
        Key::Head(TimelineId::Inbox(_)) => 3,
        Key::Mark(_, TimelineId::Inbox(_)) => 4,
        Key::Checkpoint(_) => 5,
        Key::Conversation(_, _) => 6,
        Key::Peer(_, _) => 7,
        Key::Device(_, _) => 8,
        Key::MessageId(TimelineId::Group(_), _, _) => 10,
        Key::Head(TimelineId::Group(_)) => 11,
        Key::Mark(_, TimelineId::Group(_)) => 12,
        Key::GroupCheckpoint(_) => 13,
        Key::Member(_, _) => 14,
        Key::GroupView(_, _) => 15,
        Key::GroupPeer(_, _) => 16,
    }
}

/// Rows of each kind in a batch.
#[derive(Clone, Copy, Default)]
pub(super) struct Written([Share; KINDS.len()]);

#[derive(Clone, Copy, Default)]
struct Share {
    rows: u64,
    bytes: u64,
}

impl Written {
    /// One more row, with the bytes of its key and value.
    pub(super) fn add(&mut self, kind: usize, bytes: usize) {
        if let Some(share) = self.0.get_mut(kind) {
            share.rows += 1;
            share.bytes += bytes as u64;
        }
    }
}

/// The metrics of the committer.
pub(super) struct Meter {
    waiting: Gauge,
    commit_rows: Histogram,
    commit_seconds: Histogram,
    kinds: [(Counter, Counter); KINDS.len()],
}

impl Meter {
    pub(super) fn new() -> Self {
        let of_kind = |(keyspace, kind): (&'static str, &'static str)| {
            let rows = counter!("tidings_store_rows_written_total", "keyspace" => keyspace, "kind" => kind);
            let bytes = counter!("tidings_store_bytes_written_total", "keyspace" => keyspace, "kind" => kind);
            (rows, bytes)
        };
        Self {
            waiting: gauge!("tidings_store_writes_waiting"),
            commit_rows: histogram!("tidings_store_commit_rows"),
            commit_seconds: histogram!("tidings_store_commit_seconds"),
            kinds: KINDS.map(of_kind),
        }
    }

    pub(super) fn waiting(&self, writes: usize) {
        self.waiting.set(writes as f64);
    }

    /// A commit of so many rows took so long, whatever came of it.
    pub(super) fn committed(&self, rows: usize, took_ms: u64) {
        self.commit_rows.record(rows as f64);
        self.commit_seconds.record(took_ms as f64 / 1000.0);
    }

    /// All of this is durable.
    pub(super) fn wrote(&self, written: &Written) {
        for (share, (rows, bytes)) in written.0.iter().zip(&self.kinds).filter(|(share, _)| share.rows > 0) {
            rows.increment(share.rows);
            bytes.increment(share.bytes);
        }
    }
}
