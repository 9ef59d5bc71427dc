//! A frame of the client becomes an operation of its mailbox: checked, in order, within the limits.

use actix::prelude::*;
use tidings_schema::{
    error_code::ErrorCode,
    id::{IdError, MessageId, Seq, Uid},
    message::Draft,
    wire::{self, client_frame},
};

use super::{
    Connection, Stage, change,
    deliveries::Deliveries,
    order::Verdict,
    unanswered::{Kind, Pending},
};
use crate::{
    offer::Offer,
    port::{
        edge::CloseReason,
        link::{Op, OpId, SendOp},
    },
};

/// What the rate limit says of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    Within,
    /// It may come again after so many milliseconds.
    Over(u64),
}

/// Why a frame is refused; the connection stays.
pub(super) struct Refusal(pub(super) ErrorCode, pub(super) String);

impl Connection {
    pub(super) fn request(&mut self, frame: wire::ClientFrame, ctx: &mut Context<Self>) {
        match (self.stage, frame.op) {
            (Stage::Closing { .. }, _) => {}
            (Stage::Leaving { .. }, op) => self.request_while_leaving(frame.id, op),
            (Stage::Hello { .. }, Some(client_frame::Op::Hello(hello))) => self.hello(frame.id, hello, ctx),
            (Stage::Hello { .. }, _) => self.wrong_order(frame.id, "the first frame is hello"),
            (Stage::Welcome { .. } | Stage::Live, Some(client_frame::Op::Hello(_))) => {
                self.wrong_order(frame.id, "hello comes once");
            }
            (Stage::Welcome { .. } | Stage::Live, None) => {
                self.error(frame.id, ErrorCode::UnknownOp, "operation is not known");
            }
            (Stage::Welcome { .. } | Stage::Live, Some(op)) => self.operation(frame.id, op),
        }
    }

    fn wrong_order(&mut self, op_id: OpId, text: &str) {
        self.error(op_id, ErrorCode::WrongOrder, text);
        self.close(CloseReason::BadFrame);
    }

    fn operation(&mut self, op_id: OpId, op: client_frame::Op) {
        // An ack may not be lost: the highest one is kept.
        if let client_frame::Op::Ack(ack) = &op {
            self.deliveries.acked(Seq::new(ack.inbox));
            return match self.limiter.allows(self.parts.clock.uptime()) {
                Ok(()) => self.settle(Deliveries::urgent),
                // A flood of acks costs its sender a second, not the mailbox.
                Err(_) => self.pulse.soon(),
            };
        }
        if op_id != 0 && self.unanswered.contains(op_id) {
            return self.error(op_id, ErrorCode::BadField, "id is that of an operation that still waits");
        }
        let rate = self.limiter.allows(self.parts.clock.uptime()).map_or_else(Rate::Over, |()| Rate::Within);
        match (op, rate) {
            (client_frame::Op::Send(send), rate) => self.send(op_id, &send, rate),
            (_, Rate::Over(wait_ms)) => self.error_later(op_id, ErrorCode::RateLimited, "too many frames", wait_ms),
            (client_frame::Op::Ping(ping), Rate::Within) => self.ping(op_id, ping),
            (client_frame::Op::Refresh(refresh), Rate::Within) => self.refresh(op_id, &refresh),
            (client_frame::Op::Typing(typing), Rate::Within) => self.typing(op_id, typing),
            (op, Rate::Within) => self.route(op_id, op),
        }
    }

    /// A send that the rate limit refuses holds back those after it, as any refused send does.
    fn send(&mut self, op_id: OpId, send: &wire::Send, rate: Rate) {
        if op_id == 0 {
            return self.error(0, ErrorCode::BadField, "id must be above 0 for send");
        }
        let draft = match Draft::new(send, self.parts.limits.body_bytes_max) {
            Ok(draft) => draft,
            Err(why) => return self.error(op_id, why.code(), why.to_string()),
        };
        let now = self.parts.clock.uptime();
        let (to, message_id) = (draft.to.clone(), draft.message_id);
        if let Rate::Over(wait_ms) = rate {
            self.order.refused_here(&to, message_id, now);
            return self.error_later(op_id, ErrorCode::RateLimited, "too many frames", wait_ms);
        }
        let after = match self.order.admit(&to, message_id, &self.unanswered, now) {
            Verdict::Go(after) => after,
            Verdict::Refuse => return self.error(op_id, ErrorCode::Busy, "an earlier send to this target was refused"),
        };
        let op = Op::Send(SendOp { draft, retry: send.retry, after });
        match self.command(op_id, op) {
            Offer::Taken => self.wait_for_answer(op_id, Kind::Send(to, message_id)),
            Offer::Full(_) | Offer::Closed(_) => self.send_not_taken(op_id, &to, message_id),
        }
    }

    fn send_not_taken(&mut self, op_id: OpId, to: &Uid, message_id: MessageId) {
        self.order.refused_here(to, message_id, self.parts.clock.uptime());
        self.error(op_id, ErrorCode::Busy, "mailbox is busy");
    }

    fn route(&mut self, op_id: OpId, op: client_frame::Op) {
        match self.translate(op) {
            Ok((op, Kind::Page)) if op_id != 0 => {
                self.wait_for_answer(op_id, Kind::Page);
                self.pages.push(op_id, op);
                self.ask_for_pages();
            }
            Ok((_, Kind::Page)) => self.error(0, ErrorCode::BadField, "id must be above 0 for a page"),
            Ok((op, kind)) => match self.command(op_id, op) {
                Offer::Taken => self.wait_for_answer(op_id, kind),
                Offer::Full(_) | Offer::Closed(_) => self.error(op_id, ErrorCode::Busy, "mailbox is busy"),
            },
            Err(Refusal(code, text)) => self.error(op_id, code, text),
        }
    }

    fn wait_for_answer(&mut self, op_id: OpId, kind: Kind) {
        if op_id == 0 {
            return;
        }
        let deadline = self.parts.clock.uptime().plus(self.parts.limits.op_deadline_ms);
        self.unanswered.push(Pending { op_id, deadline, kind });
        self.pulse.at_latest(deadline);
    }

    fn translate(&self, op: client_frame::Op) -> Result<(Op, Kind), Refusal> {
        let entries = |wanted| self.parts.limits.page_entries(wanted);
        Ok(match op {
            client_frame::Op::Read(read) => (Op::Read(peer(read.conversation)?, Seq::new(read.seq)), Kind::Other),
            client_frame::Op::Sync(sync) => (Op::Sync(Seq::new(sync.after), entries(sync.limit)), Kind::Page),
            client_frame::Op::History(history) => {
                let peer = peer(history.conversation)?;
                (Op::History(peer, Seq::new(history.before), entries(history.limit)), Kind::Page)
            }
            client_frame::Op::Conversations(list) => {
                (Op::Conversations(Seq::new(list.after), entries(list.limit)), Kind::Page)
            }
            client_frame::Op::Block(block) => (Op::Block(uid("uid", &block.uid)?), Kind::Other),
            client_frame::Op::Unblock(unblock) => (Op::Unblock(uid("uid", &unblock.uid)?), Kind::Other),
            client_frame::Op::Recall(recall) => (change::recall(recall)?, Kind::Other),
            client_frame::Op::Edit(edit) => (change::edit(edit, self.parts.limits.body_bytes_max)?, Kind::Other),
            client_frame::Op::React(react) => (change::react(react, self.uid()?)?, Kind::Other),
            client_frame::Op::DeleteForMe(delete) => (change::delete_for_me(delete)?, Kind::Other),
            client_frame::Op::DeleteConversation(delete) => (change::delete_conversation(delete)?, Kind::Other),
            client_frame::Op::SetConversation(set) => (change::set_conversation(set)?, Kind::Other),
            client_frame::Op::CreateGroup(_)
            | client_frame::Op::JoinGroup(_)
            | client_frame::Op::LeaveGroup(_)
            | client_frame::Op::AddMembers(_)
            | client_frame::Op::RemoveMember(_)
            | client_frame::Op::SetRole(_)
            | client_frame::Op::TransferGroup(_)
            | client_frame::Op::MuteMember(_)
            | client_frame::Op::MuteGroup(_)
            | client_frame::Op::UpdateGroup(_)
            | client_frame::Op::DismissGroup(_)
            | client_frame::Op::GroupInfo(_)
            | client_frame::Op::Members(_)
            | client_frame::Op::ReadBy(_)
            | client_frame::Op::SyncGroup(_) => return Err(not_served()),
            // Handled before they get here.
            client_frame::Op::Hello(_)
            | client_frame::Op::Ping(_)
            | client_frame::Op::Send(_)
            | client_frame::Op::Ack(_)
            | client_frame::Op::Typing(_)
            | client_frame::Op::Refresh(_) => return Err(not_served()),
        })
    }

    fn uid(&self) -> Result<&Uid, Refusal> {
        let uid = self.identity.as_ref().map(|identity| &identity.uid);
        uid.ok_or_else(|| Refusal(ErrorCode::WrongOrder, "the first frame is hello".into()))
    }
}

fn not_served() -> Refusal {
    Refusal(ErrorCode::UnknownOp, "operation is not known".into())
}

pub(super) fn peer(conversation: Option<wire::Conversation>) -> Result<Uid, Refusal> {
    match conversation.and_then(|conversation| conversation.conversation) {
        Some(wire::conversation::Conversation::Uid(text)) => uid("conversation.uid", &text),
        Some(wire::conversation::Conversation::Gid(_)) => Err(not_served()),
        None => Err(Refusal(ErrorCode::BadField, "conversation is missing".into())),
    }
}

pub(super) fn uid(field: &str, text: &str) -> Result<Uid, Refusal> {
    text.parse().map_err(|why: IdError| Refusal(ErrorCode::BadId, format!("{field} {why}")))
}
