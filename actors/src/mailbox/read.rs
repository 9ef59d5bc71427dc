//! `read`: moves the read marker of a conversation. It is a row of the inbox, so the user's other devices see it, and it
//! is told to the peer.

use tidings_schema::{
    error_code::ErrorCode,
    id::{Seq, Uid},
    wire,
};

use super::{Mailbox, append::NewRow, gate::MarkerRow};
use crate::port::link::{ConnectionRef, OpId};

impl Mailbox {
    pub(super) fn read(&mut self, from: ConnectionRef, op_id: OpId, uid: &Uid, seq: Seq) {
        let Some(settled) = self.peers.get(uid).map(|peer| &peer.settled).filter(|settled| settled.h > 0) else {
            return self.refuse(
                from,
                op_id,
                ErrorCode::NoSuchConversation,
                "there is no conversation with this user",
                0,
            );
        };
        let live_read = self.peers.get(uid).map_or(Seq::ZERO, |peer| peer.live.last_read);
        if seq.min(settled.last_seq) <= live_read {
            return self.answer_unchanged(from, op_id, uid);
        }
        let upto = seq.min(settled.last_seq);
        let Some(MarkerRow { n, place }) = self.marker_at(upto, settled) else {
            return self.refuse(from, op_id, ErrorCode::NoSuchSeq, "no message of this conversation has that seq", 0);
        };
        match self.append(uid, &NewRow::Read { upto, read_n: n, place }) {
            Err(refusal) => self.refuse_row(from, op_id, refusal),
            Ok(row) => {
                self.answer_when_committed(row, from, op_id, ok(row));
            }
        }
    }

    /// Nothing has to change; said once what it rests on is committed.
    pub(super) fn answer_unchanged(&mut self, from: ConnectionRef, op_id: OpId, uid: &Uid) {
        let rests_on = self.peers.get(uid).map_or(Seq::ZERO, |peer| peer.live.upto);
        self.answer_when_committed(rests_on, from, op_id, ok(Seq::ZERO));
    }
}

pub(super) fn ok(seq: Seq) -> wire::server_frame::Body {
    wire::server_frame::Body::Ok(wire::Ok { seq: seq.get() })
}
