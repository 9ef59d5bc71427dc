//! Inbox rows in their stored form: written once, and checked whenever they are read.

use bytes::Bytes;
use prost::Message as _;

use super::{InboxRow, RowBody, RowError, ViewChange, Way, place_from_record, place_to_record};
use crate::{
    change,
    id::{Epoch, LogId, Millis, Place, Seq},
    message::{PayloadHash, RawEntry},
    record::{self, RowKind},
    wire,
};

impl InboxRow {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut stored = record::InboxRow {
            ep: self.ep.get(),
            pe: self.pe.get(),
            c: self.c.get(),
            n: self.n,
            h: self.h,
            t: self.t,
            with: self.with.as_ref().map_or_else(String::new, |with| with.as_str().to_owned()),
            kind: self.body.kind().into(),
            refers: self.refers.as_ref().map(place_to_record),
            edited_by: self.edited_by.get(),
            entry: self.entry.clone(),
            log_id: self.log_id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
            ..Default::default()
        };
        match &self.body {
            RowBody::Out { hash, prev_out, counting, .. } => {
                stored.payload_hash = Bytes::copy_from_slice(hash.as_bytes());
                stored.prev_out = prev_out.get();
                stored.counting = *counting;
            }
            RowBody::In { hash, peer, counting, .. } => {
                stored.payload_hash = Bytes::copy_from_slice(hash.as_bytes());
                stored.peer = Some(place_to_record(peer));
                stored.counting = *counting;
            }
            RowBody::Read { read_n, place, .. } => {
                stored.read_n = *read_n;
                stored.peer = place.as_ref().map(place_to_record);
            }
            RowBody::Change { way: Way::Out { prev_out }, .. } => stored.prev_out = prev_out.get(),
            RowBody::Change { way: Way::In { peer }, .. } => stored.peer = Some(place_to_record(peer)),
            RowBody::Deleted { read_n, place, left, .. } => {
                stored.read_n = *read_n;
                stored.peer = place.as_ref().map(place_to_record);
                stored.left.clone_from(left);
            }
            RowBody::Receipt { .. } | RowBody::Blocked | RowBody::Unblocked => {}
            RowBody::ConversationSet { .. } | RowBody::Group { .. } => {}
        }
        stored.encode_to_vec().into()
    }

    /// Reads the stored form of the row whose key says `seq`.
    ///
    /// # Errors
    /// [`RowError`]: the bytes were not written by [`InboxRow::encode`] for this seq.
    pub fn decode(seq: Seq, value: Bytes) -> Result<Self, RowError> {
        let stored = record::InboxRow::decode(value).map_err(|_| RowError::Malformed)?;
        let kind = RowKind::try_from(stored.kind).map_err(|_| RowError::Kind)?;
        let (said, time, body) = match kind {
            RowKind::Out | RowKind::In => message_body(kind, &stored)?,
            RowKind::Read
            | RowKind::Receipt
            | RowKind::Blocked
            | RowKind::Unblocked
            | RowKind::ChangeOut
            | RowKind::ChangeIn
            | RowKind::Deleted
            | RowKind::ConversationSet
            | RowKind::GroupJoined
            | RowKind::GroupLeft
            | RowKind::GroupRead
            | RowKind::GroupDeleted
            | RowKind::GroupSet => state_body(kind, &stored)?,
            RowKind::Unspecified => return Err(RowError::Kind),
        };
        if said != seq {
            return Err(RowError::WrongSeq { key: seq, entry: said });
        }
        let with = match stored.with.as_str() {
            "" => None,
            uid => Some(uid.parse().map_err(|_| RowError::Field("with"))?),
        };
        Ok(Self {
            seq,
            ep: Epoch::new(stored.ep),
            pe: Epoch::new(stored.pe),
            c: Seq::new(stored.c),
            time,
            n: stored.n,
            h: stored.h,
            t: stored.t,
            with,
            log_id: LogId::from_wire(&stored.log_id).map_err(|_| RowError::Field("log_id"))?,
            refers: stored.refers.as_ref().map(place_from_record).transpose().map_err(|_| RowError::Field("refers"))?,
            edited_by: Seq::new(stored.edited_by),
            body,
            entry: stored.entry,
        })
    }
}

fn message_body(kind: RowKind, stored: &record::InboxRow) -> Result<(Seq, Millis, RowBody), RowError> {
    let entry = RawEntry::decode(stored.entry.clone()).map_err(|_| RowError::Malformed)?;
    let message = entry.message.ok_or(RowError::Field("entry.message"))?;
    let message_id = message.message_id.parse().map_err(|_| RowError::Field("entry.message_id"))?;
    let hash = PayloadHash::from_slice(&stored.payload_hash).ok_or(RowError::Field("payload_hash"))?;
    let counting = stored.counting;
    let body = if kind == RowKind::Out {
        RowBody::Out { message_id, hash, prev_out: Seq::new(stored.prev_out), counting }
    } else {
        let peer = stored_place(stored)?.ok_or(RowError::Field("peer"))?;
        RowBody::In { message_id, hash, peer, counting }
    };
    Ok((Seq::new(entry.seq), Millis::new(entry.time), body))
}

fn state_body(kind: RowKind, stored: &record::InboxRow) -> Result<(Seq, Millis, RowBody), RowError> {
    use wire::entry::Body;
    let entry = wire::Entry::decode(stored.entry.clone()).map_err(|_| RowError::Malformed)?;
    let body = match (kind, entry.body) {
        (RowKind::Read, Some(Body::Read(marker))) => {
            RowBody::Read { upto: Seq::new(marker.upto), read_n: stored.read_n, place: stored_place(stored)? }
        }
        (RowKind::Receipt, Some(Body::Receipt(receipt))) => RowBody::Receipt {
            delivered_upto: Seq::new(receipt.delivered_upto),
            read_upto: Seq::new(receipt.read_upto),
        },
        (RowKind::Blocked, Some(Body::Blocked(_))) => RowBody::Blocked,
        (RowKind::Unblocked, Some(Body::Unblocked(_))) => RowBody::Unblocked,
        (RowKind::ChangeOut | RowKind::ChangeIn, Some(body)) => change_body(kind, stored, body)?,
        (RowKind::Deleted, Some(Body::Deleted(deleted))) => RowBody::Deleted {
            seqs: deleted.seqs.into_iter().map(Seq::new).collect(),
            upto: Seq::new(deleted.upto),
            whole: deleted.whole,
            read_n: stored.read_n,
            place: stored_place(stored)?,
            left: stored.left.clone(),
        },
        (RowKind::ConversationSet, Some(Body::ConversationSet(set))) => {
            RowBody::ConversationSet { pinned: set.pinned, muted: set.muted }
        }
        (kind, Some(body)) => {
            let (gid, change) = ViewChange::from_entry_body(kind, body)?;
            RowBody::Group { gid, change }
        }
        (_, None) => return Err(RowError::Field("entry.body")),
    };
    Ok((Seq::new(entry.seq), Millis::new(entry.time), body))
}

fn change_body(kind: RowKind, stored: &record::InboxRow, body: wire::entry::Body) -> Result<RowBody, RowError> {
    let (target, name, change) = change::from_entry_body(body).ok_or(RowError::Field("entry.body"))?;
    let way = match kind {
        RowKind::ChangeOut => Way::Out { prev_out: Seq::new(stored.prev_out) },
        _ => Way::In { peer: stored_place(stored)?.ok_or(RowError::Field("peer"))? },
    };
    Ok(RowBody::Change { way, target, name, change })
}

fn stored_place(stored: &record::InboxRow) -> Result<Option<Place>, RowError> {
    stored.peer.as_ref().map(place_from_record).transpose().map_err(|_| RowError::Field("peer"))
}
