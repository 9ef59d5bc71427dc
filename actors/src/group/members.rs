//! What members ask about the group itself: how it is shown, who is in it, and who has read a message.

use std::sync::Arc;

use actix::Context;
use tidings_schema::{
    error_code::ErrorCode,
    group::Event,
    id::{Seq, Uid},
    row::GroupRow,
    wire::{self, server_frame::Body},
};
use tidings_state::group::MemberView;

use super::{Group, caller, gate::read_row};
use crate::{
    limits::PAGE_MEMBERS_MAX,
    port::link::{ConnectionRef, OpId},
};

impl Group {
    pub(super) fn info(&mut self, to: ConnectionRef, op_id: OpId, uid: &Uid) {
        if let Err(refusal) = self.state.first_readable(caller(uid)) {
            return self.refuse_by_rule(to, op_id, refusal);
        }
        let me = self.state.seat(uid).map(|seat| wire::Member {
            uid: uid.to_string(),
            role: seat.role.number(),
            muted_until: seat.muted_until.get(),
            joined_seq: seat.joined.get(),
        });
        let charter = self.state.charter();
        let settings = charter.settings.clone();
        let info = wire::GroupInfo {
            gid: self.gid.to_string(),
            name: settings.name,
            avatar: settings.avatar,
            notice: settings.notice,
            join: settings.join.number(),
            history_for_new: settings.history_for_new.number(),
            muted: settings.muted,
            owner: charter.owner.as_ref().map_or_else(String::new, Uid::to_string),
            members: self.state.members_count() as u64,
            created: self.checkpoint.created().get(),
            head: self.timeline.committed().get(),
            me,
        };
        self.answer(to, op_id, Body::GroupInfo(info));
    }

    pub(super) fn members(&mut self, to: ConnectionRef, op_id: OpId, uid: &Uid, after: Option<&Uid>, limit: usize) {
        if let Err(refusal) = self.state.first_readable(caller(uid)) {
            return self.refuse_by_rule(to, op_id, refusal);
        }
        let limit = if limit == 0 { PAGE_MEMBERS_MAX } else { limit.min(PAGE_MEMBERS_MAX) };
        let mut members: Vec<wire::Member> = self.state.members(after, limit + 1).map(member).collect();
        let more = members.len() > limit;
        members.truncate(limit);
        self.answer(to, op_id, Body::Members(wire::Members { members, more }));
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one op")]
    pub(super) fn read_by(
        &mut self,
        to: ConnectionRef,
        op_id: OpId,
        uid: Uid,
        seq: Seq,
        after: Option<Uid>,
        limit: usize,
        ctx: &mut Context<Self>,
    ) {
        let first = match self.state.first_readable(caller(&uid)) {
            Ok(first) => first,
            Err(refusal) => return self.refuse_by_rule(to, op_id, refusal),
        };
        let committed = self.timeline.committed();
        if seq < first || seq > committed {
            return self.refuse_reading(to, op_id);
        }
        if let Some(author) = self.rows.get(seq).map(author) {
            return self.answer_read_by(to, op_id, seq, author.as_ref(), after.as_ref(), limit);
        }
        if !self.pulls.look() {
            return self.refuse(to, op_id, ErrorCode::Busy, "too many pages of this group are being read", 200);
        }
        let (store, timeline) = (Arc::clone(&self.parts.store), self.timeline_id.clone());
        let read = async move { read_row(&store, timeline, seq, committed).await };
        self.read_then(ctx, read, move |row, group, ctx| {
            group.pulls.looked();
            match (row, group.state.first_readable(caller(&uid))) {
                (Err(why), _) => {
                    group.refuse_unread(to, op_id, &why);
                    return group.end_read(why, ctx);
                }
                (Ok(_), Err(refusal)) => group.refuse_by_rule(to, op_id, refusal),
                (Ok(row), Ok(_)) => {
                    let author = row.as_ref().and_then(author);
                    group.answer_read_by(to, op_id, seq, author.as_ref(), after.as_ref(), limit);
                }
            }
            group.flush();
        });
    }

    fn answer_read_by(
        &mut self,
        to: ConnectionRef,
        op_id: OpId,
        seq: Seq,
        author: Option<&Uid>,
        after: Option<&Uid>,
        limit: usize,
    ) {
        let Some(author) = author else { return self.refuse_reading(to, op_id) };
        let limit = limit.min(PAGE_MEMBERS_MAX);
        // One more than asked for says whether there are more; of none only the numbers are wanted.
        let wanted = if limit == 0 { 0 } else { limit + 1 };
        let mut read = self.state.read_by(seq, author, after, wanted);
        let more = read.uids.len() > limit;
        read.uids.truncate(limit);
        let uids = read.uids.iter().map(Uid::to_string).collect();
        let answer = wire::ReadBy { count: read.count as u64, of: read.of as u64, uids, more };
        self.answer(to, op_id, Body::ReadBy(answer));
    }

    fn refuse_reading(&mut self, to: ConnectionRef, op_id: OpId) {
        self.refuse(to, op_id, ErrorCode::NoSuchSeq, "no message of this group has that seq", 0);
    }
}

fn author(row: &GroupRow) -> Option<Uid> {
    match &row.event {
        Event::Message { from, .. } => Some(from.clone()),
        _ => None,
    }
}

fn member(view: MemberView) -> wire::Member {
    wire::Member {
        uid: view.uid.to_string(),
        role: view.role.number(),
        muted_until: view.muted_until.get(),
        joined_seq: view.joined.get(),
    }
}
