//! What the core does with each frame of the server.

use std::collections::BTreeMap;

use tidings_schema::{
    id::{LogId, MessageId, Millis, Seq},
    wire::{self, client_frame::Op, server_frame::Body},
};

use super::{
    Change, ConnectionState, Core, Event, Output, PULL_AGAIN_MS, Phase, Refused, RequestError, Sent, StopReason,
    ask::Asked, output::may_retry,
};

/// Close code: a newer connection of this device took over.
pub(super) const CLOSE_REPLACED: u16 = 4001;

impl Core {
    /// A frame arrived.
    pub fn frame(&mut self, frame: wire::ServerFrame, now: Millis) {
        if matches!(self.phase, Phase::Waiting { .. } | Phase::Connecting | Phase::Stopped) {
            return;
        }
        match frame.body {
            Some(Body::Welcome(welcome)) => self.welcomed(welcome, now),
            Some(Body::Error(error)) => self.refused(frame.re, error, now),
            Some(Body::Pong(pong)) => self.ponged(&pong, now),
            Some(Body::GoAway(go_away)) => self.sent_away(&go_away, now),
            Some(Body::SendAck(ack)) => self.acked(&ack, now),
            Some(Body::Entries(entries)) => self.pushed(entries, now),
            Some(body @ (Body::Ok(_) | Body::Page(_) | Body::Conversations(_))) => self.answered(frame.re, body, now),
            Some(Body::TypingEvent(typing)) => self.event(Event::Typing { peer: typing.from }),
            // A push of a later version, or of what this client never asks for.
            Some(Body::Behind(_) | Body::GroupInfo(_) | Body::Members(_) | Body::ReadBy(_)) | None => {}
        }
    }

    fn welcomed(&mut self, welcome: wire::Welcome, now: Millis) {
        if !matches!(self.phase, Phase::Greeting { .. }) {
            return;
        }
        let local = i64::try_from(now.get()).unwrap_or(i64::MAX);
        self.clock_ahead_ms = i64::try_from(welcome.server_time).unwrap_or(local).saturating_sub(local);
        self.limits = welcome.limits.unwrap_or_default();
        self.uid = welcome.uid;
        self.backoff.live(now);
        self.heartbeat.start(self.limits.heartbeat_ms_min, self.limits.heartbeat_ms_max, now);
        self.token_refused = false;
        self.fruitless_pulls = 0;
        let log_id = LogId::from_wire(&welcome.log_id).ok().flatten();
        let other_life = self.inbox.log_id.is_some() && log_id.is_some() && self.inbox.log_id != log_id;
        // What follows our place is not kept any more; only a client that knows nothing yet may go on after a hole.
        let behind = self.inbox.known && Seq::new(welcome.resume_after) > self.inbox.received;
        if welcome.reset.is_some() || behind || (other_life && self.inbox.known) {
            self.inbox.log_id = log_id;
            self.phase = Phase::Resetting { found: Vec::new(), as_of: None };
            self.ask_listing();
        } else {
            self.settle_in(log_id, Seq::new(welcome.resume_after));
            self.live(welcome.unread_total, now);
        }
        self.tick(now);
    }

    fn settle_in(&mut self, log_id: Option<LogId>, resume_after: Seq) {
        if !self.inbox.known {
            self.inbox.start_at(log_id, resume_after, BTreeMap::new());
            self.outputs.push_back(Output::Persist(Change::Place(self.inbox.place())));
        }
        self.inbox.log_id = self.inbox.log_id.or(log_id);
    }

    fn live(&mut self, unread_total: u64, now: Millis) {
        self.phase = Phase::Live;
        self.event(Event::Connection(ConnectionState::Live { uid: self.uid.clone(), unread_total }));
        if let Some(seq) = self.inbox.ack_again() {
            self.write(0, Op::Ack(wire::Ack { inbox: seq.get(), ..Default::default() }));
        }
        self.write_sends(now);
        self.write_changes(now);
        self.write_markers();
    }

    fn ponged(&mut self, pong: &wire::Pong, now: Millis) {
        self.heartbeat.pong();
        if matches!(self.phase, Phase::Live) && Seq::new(pong.inbox_head) > self.inbox.received {
            self.pull(now);
        }
    }

    fn sent_away(&mut self, go_away: &wire::GoAway, now: Millis) {
        if go_away.reason() == wire::GoAwayReason::SignIn {
            self.token_ends(go_away, now);
        } else if go_away.reason() == wire::GoAwayReason::Replaced {
            self.stop(StopReason::Replaced);
        } else if go_away.reconnect_after_ms == 0 {
            self.stop(StopReason::Dismissed);
        } else {
            self.asked_to_wait_ms = go_away.reconnect_after_ms;
        }
    }

    fn acked(&mut self, ack: &wire::SendAck, now: Millis) {
        if let Ok(message_id) = ack.message_id.parse::<MessageId>() {
            self.in_log(Sent { message_id, seq: Seq::new(ack.seq), time: ack.time });
        }
        self.write_sends(now);
    }

    fn refused(&mut self, re: u64, error: wire::Error, now: Millis) {
        if let Some(message_id) = self.outgoing.message_of(re) {
            return self.send_refused(re, message_id, error, now);
        }
        if matches!(self.phase, Phase::Greeting { .. }) || re == 0 {
            return self.connection_refused(error, now);
        }
        if self.changes.is_attempt(re) {
            return self.change_refused(re, error, now);
        }
        match self.asked.remove(&re) {
            Some(Asked::App { request, .. }) => {
                let refused = RequestError::Refused { code: error.code, text: error.text };
                self.answer(request, Err(refused));
            }
            Some(Asked::Pull { .. } | Asked::Listing) => {
                self.pull_at = Some(now.plus(error.retry_after_ms.max(PULL_AGAIN_MS)));
            }
            Some(Asked::Read { peer, seq }) => self.marker_refused(&peer, seq, error.code),
            // The connection goes on with the token it has; the next one brings another.
            Some(Asked::Refresh) | None => {}
        }
    }

    fn send_refused(&mut self, re: u64, message_id: MessageId, error: wire::Error, now: Millis) {
        if may_retry(error.code) {
            self.outgoing.refused(re, error.retry_after_ms, now);
        } else if self.outgoing.done(message_id).is_some() {
            self.outputs.push_back(Output::Persist(Change::Remove(message_id)));
            self.event(Event::Refused(Refused { message_id, code: error.code, text: error.text }));
        }
        self.write_sends(now);
    }

    fn change_refused(&mut self, re: u64, error: wire::Error, now: Millis) {
        if may_retry(error.code) {
            self.changes.put_off(re, error.retry_after_ms, now);
        } else if let Some(request) = self.changes.answered(re) {
            self.answer(request, Err(RequestError::Refused { code: error.code, text: error.text }));
        }
        self.write_changes(now);
    }

    /// An error about the connection itself: the code says whether to come back.
    fn connection_refused(&mut self, error: wire::Error, now: Millis) {
        if self.token_error(&error, now) {
            return;
        }
        self.asked_to_wait_ms = self.asked_to_wait_ms.max(error.retry_after_ms);
        if may_retry(error.code) {
            if matches!(self.phase, Phase::Greeting { .. }) {
                self.give_up(now);
            }
        } else if matches!(self.phase, Phase::Greeting { .. }) {
            self.stop(StopReason::Protocol(format!("{} {}", error.code, error.text)));
        }
    }

    /// A refused marker is dropped, unless it may be taken later: then with the next one, or the next connection.
    fn marker_refused(&mut self, peer: &str, seq: Seq, code: u32) {
        if !may_retry(code) && self.markers.get(peer).is_some_and(|marker| marker.seq == seq) {
            self.markers.remove(peer);
        }
    }

    fn answered(&mut self, re: u64, body: Body, now: Millis) {
        if let Some(request) = self.changes.answered(re) {
            self.answer(request, Ok(body));
            return self.write_changes(now);
        }
        match (self.asked.remove(&re), body) {
            (Some(Asked::App { request, .. }), body) => self.answer(request, Ok(body)),
            (Some(Asked::Pull { .. }), Body::Page(page)) => self.pulled(page, now),
            (Some(Asked::Listing), Body::Conversations(listing)) => self.listed(listing, now),
            (Some(Asked::Read { peer, seq }), _) => {
                if self.markers.get(&peer).is_some_and(|marker| marker.seq == seq) {
                    self.markers.remove(&peer);
                }
                self.write_markers();
            }
            (Some(Asked::Pull { .. } | Asked::Listing), _) => self.pull_at = Some(now.plus(PULL_AGAIN_MS)),
            (Some(Asked::Refresh) | None, _) => {}
        }
    }

    fn listed(&mut self, mut listing: wire::Conversations, now: Millis) {
        let Phase::Resetting { found, as_of } = &mut self.phase else { return };
        let first_as_of = *as_of.get_or_insert(listing.as_of);
        let progress = !listing.conversations.is_empty();
        found.append(&mut listing.conversations);
        if listing.more && progress {
            return self.ask_listing();
        }
        let conversations = std::mem::take(found);
        let peer = |view: &wire::ConversationView| peer_of_view(view).map(|peer| (peer, Seq::new(view.upto)));
        let listed_upto = conversations.iter().filter_map(peer).collect();
        let as_of = Seq::new(first_as_of);
        let unread_total = conversations.iter().map(|view| view.unread).sum();
        self.inbox.start_at(self.inbox.log_id, as_of, listed_upto);
        self.event(Event::ConversationsReset { conversations, as_of });
        self.outputs.push_back(Output::Persist(Change::Place(self.inbox.place())));
        self.live(unread_total, now);
        self.pull(now);
    }
}

fn peer_of_view(view: &wire::ConversationView) -> Option<String> {
    match view.conversation.as_ref()?.conversation.as_ref()? {
        wire::conversation::Conversation::Uid(uid) => Some(uid.clone()),
        wire::conversation::Conversation::Gid(_) => None,
    }
}
