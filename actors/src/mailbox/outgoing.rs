//! Towards other mailboxes: one `Deliver` per peer under way, repeated until it is accepted, always from the first row
//! that is not, and only with committed rows.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use metrics::counter;
use prost::Message as _;
use tidings_schema::{
    change::{MessageName, from_entry_body},
    id::{Millis, Seq, Uid},
    message::RawEntry,
    row::{InboxRow, RowBody, Way},
    wire,
};
use tidings_state::outbox::{Back, DELIVER_BYTES_MAX, Flight};
use tracing::warn;

use super::{Mailbox, Phase, push::decode_page};
use crate::{
    mutants,
    port::{
        link::{Accepted, Deliver, DeliverBody, DeliverEntry, DeliverMessage, Gap, PeerMessage, Reference, Say},
        store::{PageLimit, StoreError},
    },
};

/// Rows read at a time when a row to be delivered is not in memory.
const READ_ROWS: usize = 256;

impl Mailbox {
    /// Sends what the peer should get next, if anything and if nothing is under way.
    pub(super) fn drive(&mut self, uid: &Uid, ctx: &mut Context<Self>) {
        if self.phase != Phase::Serving && self.phase != Phase::Stopping {
            return;
        }
        let (committed, now) = (self.timeline.committed(), self.parts.clock.uptime());
        let Some(peer) = self.peers.get_mut(uid) else { return };
        let Some(flight) = peer.outbox.next(committed, now) else { return };
        let mut entries = Vec::with_capacity(flight.seqs.len());
        for seq in &flight.seqs {
            match self.rows.get(*seq).and_then(|row| self.deliver_entry(row)) {
                Some(entry) => entries.push(entry),
                None => break,
            }
        }
        if entries.is_empty() && !flight.seqs.is_empty() {
            return self.fetch_flight(uid.clone(), flight, ctx);
        }
        self.deliver_to(uid, flight, entries);
    }

    /// The first rows of the flight are not in memory any more: bodies are read again from the log.
    fn fetch_flight(&mut self, uid: Uid, flight: Flight, ctx: &mut Context<Self>) {
        let Some(first) = flight.seqs.first().copied() else { return };
        let limit = PageLimit { rows: READ_ROWS, bytes: DELIVER_BYTES_MAX };
        let page = self.parts.store.read(self.timeline_id.clone(), first.prev(), self.timeline.committed(), limit);
        self.read_then(ctx, page, move |page, mailbox, ctx| {
            let rows = match page.and_then(decode_page) {
                Ok(rows) => rows,
                Err(StoreError::Corrupt(why)) => return mailbox.stop_corrupt(&why, ctx),
                // The outbox's own pause brings it back here.
                Err(why @ (StoreError::Unavailable(_) | StoreError::Rejected(_))) => {
                    return warn!(uid = %mailbox.uid, %why, "rows to deliver cannot be read yet");
                }
            };
            let wanted = rows.iter().filter(|row| flight.seqs.contains(&row.seq));
            // In the order of the chain, up to the first that is missing: none is ever passed over.
            let chained = wanted.zip(&flight.seqs).take_while(|(row, seq)| row.seq == **seq);
            let entries: Vec<DeliverEntry> = chained.map_while(|(row, _)| mailbox.deliver_entry(row)).collect();
            if entries.is_empty() && mailbox.checkpoint.kept.is_gone_after(first.prev()) {
                // Accepted and swept while they were read.
                return;
            }
            if entries.is_empty() {
                return mailbox.stop_corrupt("a row that was committed is not in the log", ctx);
            }
            mailbox.deliver_to(&uid, flight, entries);
            mailbox.flush();
        });
    }

    fn deliver_to(&mut self, uid: &Uid, mut flight: Flight, mut entries: Vec<DeliverEntry>) {
        let Some(log_id) = self.log_id() else { return };
        let mut bytes = 0;
        let mut fits = |entry: &DeliverEntry| {
            bytes += entry.bytes();
            bytes <= DELIVER_BYTES_MAX
        };
        let keep = entries.iter().take_while(|entry| fits(entry)).count().max(1);
        entries.truncate(keep);
        if let Some(peer) = self.peers.get_mut(uid).filter(|_| keep < flight.seqs.len()) {
            peer.outbox.trim(&mut flight, keep);
        }
        counter!("tidings_delivers_total").increment(1);
        let say = Say::Deliver(Deliver { log_id, prev: flight.prev, entries, read: flight.read, adopt: flight.adopt });
        if !self.say(uid, say) {
            let now = self.parts.clock.uptime();
            if let Some(peer) = self.peers.get_mut(uid) {
                peer.outbox.offer_failed(now);
            }
        }
    }

    /// To another mailbox; whether its shard took it. What it cannot take now is said again: by the outbox, or when it is
    /// asked again.
    pub(super) fn say(&mut self, to: &Uid, say: Say) -> bool {
        let shard = to.shard(self.parts.shards);
        let message = PeerMessage { from: self.uid.clone(), to: to.clone(), say };
        if mutants::loses(&message.say) {
            return true;
        }
        let taken = self.parts.link.peer(shard, message).is_taken();
        if !taken {
            counter!("tidings_peer_messages_refused_total").increment(1);
        }
        taken
    }

    /// The peer has, durably, rows of ours.
    pub(super) fn on_accepted(&mut self, from: &Uid, accepted: Accepted, ctx: &mut Context<Self>) {
        if Some(accepted.log_id) != self.log_id() {
            return;
        }
        let now = self.parts.clock.uptime();
        self.peers.accepted(from, accepted.upto, accepted.read, now);
        self.drive(from, ctx);
    }

    /// The peer misses rows before those it was sent.
    pub(super) fn on_gap(&mut self, from: &Uid, gap: Gap, ctx: &mut Context<Self>) {
        if Some(gap.log_id) != self.log_id() {
            return;
        }
        counter!("tidings_deliver_gaps_total").increment(1);
        let now = self.parts.clock.uptime();
        let Some(peer) = self.peers.get_mut(from) else { return };
        match peer.outbox.gap(gap.have, now) {
            Back::Covered => {}
            Back::Reload(have) => self.reload_chain(from.clone(), have, ctx),
        }
    }

    /// The peer lost rows that it had accepted (it was restored): the chain after `have` is read from the log again, as far
    /// back as the log goes.
    fn reload_chain(&mut self, uid: Uid, have: Seq, ctx: &mut Context<Self>) {
        counter!("tidings_chains_reloaded_total").increment(1);
        let (store, timeline, committed) =
            (self.parts.store.clone(), self.timeline_id.clone(), self.timeline.committed());
        let after = have.max(self.checkpoint.kept.floor.prev());
        let rows = async move { super::load::read_rows(&store, timeline, after, committed).await };
        ctx.spawn(rows.into_actor(self).map(move |rows, mailbox, ctx| {
            let rows = match rows {
                Ok(rows) => rows,
                Err(StoreError::Corrupt(why)) => return mailbox.stop_corrupt(&why, ctx),
                // The peer says again that it misses rows when it is delivered to again.
                Err(StoreError::Unavailable(_) | StoreError::Rejected(_)) => return,
            };
            let later = mailbox.rows.page(committed, mailbox.timeline.head(), usize::MAX);
            let swept = mailbox.checkpoint.kept.is_gone_after(after);
            let Some(later) = later.filter(|_| !swept) else {
                // They left memory while the log was read, and it has them now; or what was read is not kept any more.
                return mailbox.reload_chain(uid, have, ctx);
            };
            mailbox.restart_chain(&uid, have, rows.into_iter().chain(later));
            mailbox.drive(&uid, ctx);
        }));
    }

    /// The chain towards a peer goes on with these rows, the first of which may not follow what the peer has.
    fn restart_chain(&mut self, uid: &Uid, have: Seq, rows: impl Iterator<Item = InboxRow>) {
        let out = |row: InboxRow| Some((row.seq, row.body.prev_out().filter(|_| row.with.as_ref() == Some(uid))?));
        let chain: Vec<(Seq, Seq)> = rows.filter_map(out).collect();
        let newest = self.peers.get(uid).map_or(Seq::ZERO, |peer| peer.live.last_out);
        let base = chain.first().map_or(newest, |(_, prev)| *prev);
        if base > have {
            counter!("tidings_chains_adopted_total").increment(1);
            warn!(uid = %self.uid, peer = %uid, %have, %base, "rows that a peer misses are not kept any more");
        }
        self.peers.go_back_to_kept(uid, have, base, chain.into_iter().map(|(seq, _)| seq).collect());
    }

    /// A committed read marker is told to the peer whose messages it covers.
    pub(super) fn tell_read(&mut self, row: &InboxRow) {
        let Some(place) = row.body.marker() else { return };
        if let Some(uid) = row.with.as_ref().filter(|uid| **uid != self.uid) {
            self.peers.entry(uid).outbox.set_read(place, row.seq);
        }
    }
}

impl Mailbox {
    /// What a peer gets of a row of its chain, as it may be read now; `None` for any other row, or one that is damaged.
    fn deliver_entry(&self, row: &InboxRow) -> Option<DeliverEntry> {
        let entry = self.shown(row.entry.clone());
        let body = match &row.body {
            RowBody::Out { message_id, hash, counting, .. } => {
                let message = RawEntry::decode(entry).ok()?.message?;
                DeliverBody::Message(DeliverMessage {
                    message_id: *message_id,
                    hash: *hash,
                    counting: *counting,
                    content: message.content,
                    reply_to: message.reply_to.as_ref().and_then(|reply_to| self.reference(row, reply_to)),
                    push: message.push.unwrap_or_default(),
                    edited: Millis::new(message.edited_time),
                })
            }
            RowBody::Change { way: Way::Out { .. }, name, .. } => {
                let (_, _, change) = from_entry_body(wire::Entry::decode(entry).ok()?.body?)?;
                DeliverBody::Change(Reference { place: row.refers?, name: name.clone() }, change)
            }
            _ => return None,
        };
        Some(DeliverEntry { seq: row.seq, time: row.time, body })
    }

    fn reference(&self, row: &InboxRow, reply_to: &wire::MessageRef) -> Option<Reference> {
        let name = MessageName { author: reply_to.author.parse().ok()?, message_id: reply_to.message_id.parse().ok()? };
        Some(Reference { place: row.refers?, name })
    }
}
