//! From other mailboxes: what is taken, what leaves no row because its sender is blocked, and what is accepted when.

use actix::Context;
use metrics::counter;
use tidings_schema::id::{Place, Uid};
use tidings_state::deliver::{Verdict, judge, judge_adopting};

use super::{
    Mailbox,
    append::{Incoming, NewRow},
    checkpoint::conversation_change,
    peers::NotedPlace,
};
use crate::{
    mutants::{self, Mutant},
    port::link::{Accepted, Deliver, DeliverBody, DeliverEntry, DeliverMessage, Gap, PeerMessage, Say},
};

impl Mailbox {
    pub(super) fn hear(&mut self, message: PeerMessage, ctx: &mut Context<Self>) {
        let from = message.from;
        match message.say {
            Say::Deliver(deliver) => self.on_deliver(&from, deliver),
            Say::Accepted(accepted) => self.on_accepted(&from, accepted, ctx),
            Say::Gap(gap) => self.on_gap(&from, gap, ctx),
            Say::Delivered(place) => self.on_delivered(&from, place),
            Say::Typing => self.on_typing(&from),
        }
    }

    fn on_deliver(&mut self, from: &Uid, deliver: Deliver) {
        let seqs: Vec<_> = deliver.entries.iter().map(|entry| entry.seq).collect();
        let have = self.peers.entry(from).live.peer;
        let judge = if deliver.adopt { judge_adopting } else { judge };
        match mutants::judged(judge(have, deliver.log_id, deliver.prev, &seqs)) {
            Verdict::Gap { have } => {
                counter!("tidings_deliver_gaps_total").increment(1);
                self.say(from, Say::Gap(Gap { log_id: deliver.log_id, have }));
                return;
            }
            Verdict::Nothing => {
                counter!("tidings_deliver_repeats_total").increment(1);
                self.accept(from);
            }
            Verdict::Take { skip } => {
                self.take(from, &deliver, skip);
                if mutants::active(Mutant::AcceptedBeforeDurable) {
                    self.accept(from);
                }
            }
            Verdict::Adopt { place } => {
                self.peers.entry(from).live.note_place(place);
                self.take(from, &deliver, 0);
            }
        }
        if let Some(marker) = deliver.read {
            self.on_read_by(from, marker, deliver.log_id);
        }
    }

    /// Takes entries in order, up to the first that cannot be taken now; the sender repeats that one.
    fn take(&mut self, from: &Uid, deliver: &Deliver, skip: usize) {
        for entry in deliver.entries.iter().skip(skip) {
            let place = Place { log_id: deliver.log_id, seq: entry.seq };
            let taken = self.take_one(from, entry, place);
            if taken == Taken::No {
                break;
            }
        }
    }

    fn take_one(&mut self, from: &Uid, entry: &DeliverEntry, place: Place) -> Taken {
        match &entry.body {
            DeliverBody::Change(of, change) => self.take_change(from, entry, place, of, change),
            DeliverBody::Message(message) => self.take_message(from, entry, place, message),
        }
    }

    fn take_message(&mut self, from: &Uid, entry: &DeliverEntry, place: Place, message: &DeliverMessage) -> Taken {
        if self.peers.entry(from).live.was_blocked_at(entry.time) {
            return self.leave_no_row(from, place);
        }
        let target = message.reply_to.as_ref().and_then(|reply_to| self.resolve(from, reply_to));
        let incoming = Incoming { entry, place, target: target.unwrap_or_default() };
        match self.append(from, &NewRow::In(incoming, message)) {
            Ok(_) => Taken::Yes,
            Err(_) => Taken::No,
        }
    }

    /// What somebody who is blocked says: only its place is noted.
    pub(super) fn leave_no_row(&mut self, from: &Uid, place: Place) -> Taken {
        counter!("tidings_messages_blocked_total").increment(1);
        self.note(from, place);
        Taken::Yes
    }

    /// A place that leaves no row: it becomes durable by a record, after every row that came before it.
    fn note(&mut self, from: &Uid, place: Place) {
        let after = self.timeline.head();
        let peer = self.peers.entry(from);
        peer.live.note_place(place);
        peer.noted = Some(NotedPlace { place, after, put: None });
        self.peers.noting.insert(from.clone());
        self.put_noted_places();
    }

    /// Writes the noted places whose turn has come.
    pub(super) fn put_noted_places(&mut self) {
        let committed = self.timeline.committed();
        for uid in &self.peers.noting {
            let Some(peer) = self.peers.map.get_mut(uid) else { continue };
            if !peer.noted.is_some_and(|noted| noted.put.is_none() && noted.after <= committed) {
                continue;
            }
            let change = conversation_change(&self.uid, uid, peer, committed);
            let put = self.parts.appender.put(&self.timeline_id, vec![change]);
            if let Some(noted) = peer.noted.as_mut() {
                noted.put = Some(put);
            }
        }
    }

    /// Noted places that are durable now are accepted.
    pub(super) fn noted_flushed(&mut self) {
        let flushed = self.checkpoint.flushed;
        let durable = |peer: &super::peers::Peer| {
            peer.noted.filter(|noted| noted.put.is_some_and(|put| put <= flushed)).map(|noted| noted.place)
        };
        let all: Vec<(Uid, Place)> =
            self.peers.noting.iter().filter_map(|uid| Some((uid.clone(), durable(self.peers.get(uid)?)?))).collect();
        for (uid, place) in all {
            let peer = self.peers.entry(&uid);
            peer.settled.note_place(place);
            peer.noted = None;
            self.peers.noting.remove(&uid);
            self.accept(&uid);
        }
    }

    /// A place of the peer as it may be accepted: before the first change whose message is not written anew.
    pub(super) fn finished(&self, from: &Uid, place: Place) -> Place {
        match self.redactions.held(from, place.log_id) {
            Some(held) if !mutants::active(Mutant::AcceptedBeforeRedacted) => {
                Place { seq: place.seq.min(held.prev()), ..place }
            }
            Some(_) | None => place,
        }
    }

    /// Says what is durable of this peer's rows and of its read marker.
    pub(super) fn accept(&mut self, from: &Uid) {
        let log_id = self.log_id();
        let Some(peer) = self.peers.get(from) else { return };
        let known = if mutants::active(Mutant::AcceptedBeforeDurable) { &peer.live } else { &peer.settled };
        let Some(place) = known.peer.map(|place| self.finished(from, place)) else { return };
        let read = log_id.map(|log_id| Place { log_id, seq: peer.settled.got_read_upto });
        let accepted = Accepted { log_id: place.log_id, upto: place.seq, read };
        self.say(from, Say::Accepted(accepted));
    }
}

/// Whether an entry was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    No,
}
