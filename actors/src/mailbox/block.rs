//! `block` and `unblock`: entries of the inbox, so that every device knows; the peer learns nothing.

use tidings_schema::{error_code::ErrorCode, id::Uid};

use super::{Mailbox, append::NewRow, read::ok};
use crate::port::link::{ConnectionRef, OpId};

impl Mailbox {
    pub(super) fn block(&mut self, from: ConnectionRef, op_id: OpId, peer: &Uid) {
        if *peer == self.uid || peer.is_system() {
            return self.refuse(from, op_id, ErrorCode::NotAllowed, "this user cannot be blocked", 0);
        }
        let blocked = self.peers.entry(peer).live.blocked;
        self.change_block(from, op_id, peer, (!blocked).then_some(NewRow::Blocked));
    }

    pub(super) fn unblock(&mut self, from: ConnectionRef, op_id: OpId, peer: &Uid) {
        let blocked = self.peers.entry(peer).live.blocked;
        self.change_block(from, op_id, peer, blocked.then_some(NewRow::Unblocked));
    }

    fn change_block(&mut self, from: ConnectionRef, op_id: OpId, peer: &Uid, row: Option<NewRow<'_>>) {
        let Some(row) = row else { return self.answer_unchanged(from, op_id, peer) };
        match self.append(peer, &row) {
            Ok(seq) => self.answer_when_committed(seq, from, op_id, ok(seq)),
            Err(refusal) => self.refuse_row(from, op_id, refusal),
        }
    }
}
