//! Property tests against naive models, and the crash test of a whole chain between two mailboxes.

mod ack_queue;
mod chain;
mod conversation;
mod group;
mod outbox;
mod retention;
mod sent_window;
mod steady_clock;
mod timeline;

use bytes::Bytes;
use tidings_schema::{
    id::{Epoch, LogId, MessageId, Millis, Place, Seq},
    message::PayloadHash,
    row::{InboxRow, RowBody},
};

use crate::timeline::Slot;

const LOG: LogId = LogId::new([1; 16]);
const OTHER_LOG: LogId = LogId::new([2; 16]);

fn at(ms: u64) -> Millis {
    Millis::new(ms)
}

fn seq(seq: u64) -> Seq {
    Seq::new(seq)
}

fn place(at: u64) -> Place {
    Place { log_id: LOG, seq: seq(at) }
}

fn id(number: u64) -> MessageId {
    MessageId::from_slice(&(u128::from(number) + 1).to_be_bytes()).unwrap()
}

fn hash(number: u8) -> PayloadHash {
    PayloadHash::from_slice(&[number; 16]).unwrap()
}

fn out(number: u64) -> RowBody {
    RowBody::Out { message_id: id(number), hash: hash(0), prev_out: Seq::ZERO, counting: true }
}

fn incoming(from: Place, counting: bool) -> RowBody {
    RowBody::In { message_id: id(from.seq.get()), hash: hash(0), peer: from, counting }
}

fn row(slot: Slot, body: RowBody) -> InboxRow {
    InboxRow {
        seq: slot.seq,
        ep: slot.ep,
        pe: slot.pe,
        c: slot.c,
        time: slot.time,
        n: 0,
        h: 0,
        t: 0,
        with: None,
        log_id: slot.log_id,
        refers: None,
        edited_by: Seq::ZERO,
        body,
        entry: Bytes::from(slot.seq.to_string()),
    }
}

fn slot(at_seq: u64) -> Slot {
    let log_id = (at_seq == 1).then_some(LOG);
    let pe = Epoch::new(u64::from(at_seq > 1));
    Slot { seq: seq(at_seq), ep: Epoch::new(1), pe, c: Seq::ZERO, time: at(at_seq), log_id }
}
