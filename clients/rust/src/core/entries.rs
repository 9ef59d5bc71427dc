//! Entries of the inbox on their way to the app: each once, in order, and pulled when some are missing.

use tidings_schema::{
    id::{LogId, MessageId, Millis, Seq},
    wire::{self, entry},
};

use super::{Change, Core, Event, Output, PULL_AGAIN_MS, Phase, Sent, inbox::Turn};

/// Pulls in a row that bring nothing although the head is higher; then a new connection lets the server decide.
const FRUITLESS_PULLS_MAX: u32 = 3;

impl Core {
    pub(super) fn pushed(&mut self, entries: wire::Entries, now: Millis) {
        if !matches!(self.phase, Phase::Live) || !self.same_log(&entries.log_id, now) {
            return;
        }
        if self.take_entries(entries.entries) == Turn::Gap {
            self.pull(now);
        }
        self.write_sends(now);
    }

    pub(super) fn pulled(&mut self, page: wire::Page, now: Millis) {
        if !self.same_log(&page.log_id, now) {
            return;
        }
        let before = self.inbox.received;
        let _ = self.take_entries(page.entries);
        let behind = self.inbox.received < Seq::new(page.head);
        if self.inbox.received > before {
            self.fruitless_pulls = 0;
            if page.more || behind {
                self.pull(now);
            }
        } else if behind {
            self.fruitless_pulls += 1;
            self.pull_at = Some(now.plus(PULL_AGAIN_MS));
        }
        if self.fruitless_pulls >= FRUITLESS_PULLS_MAX {
            self.give_up(now);
        }
        self.write_sends(now);
    }

    /// Seq 1 names the log it begins. Another one than ours: a new `hello` gets us a reset.
    fn same_log(&mut self, named: &[u8], now: Millis) -> bool {
        let named = LogId::from_wire(named).ok().flatten();
        let Some(named) = named else { return true };
        let same = *self.inbox.log_id.get_or_insert(named) == named;
        if !same {
            self.give_up(now);
        }
        same
    }

    /// Applies what is next and drops what is known; [`Turn::Gap`] when something between is missing.
    fn take_entries(&mut self, entries: Vec<wire::Entry>) -> Turn {
        for entry in entries {
            match self.inbox.turn(Seq::new(entry.seq)) {
                Turn::Old => {}
                Turn::Next => self.take_entry(entry),
                Turn::Gap => return Turn::Gap,
            }
        }
        Turn::Next
    }

    fn take_entry(&mut self, entry: wire::Entry) {
        let seq = Seq::new(entry.seq);
        let fresh = self.inbox.take(&entry);
        if let Some(entry::Body::Message(message)) = &entry.body
            && message.from == self.uid
            && let Ok(message_id) = message.message_id.parse::<MessageId>()
        {
            self.in_log(Sent { message_id, seq, time: entry.time });
        }
        if takes_back(&entry, &self.uid) {
            self.outputs.push_back(Output::Persist(Change::Scrub));
        }
        let event = if fresh { Event::of_entry(entry) } else { Event::Advanced { seq } };
        self.event(event);
    }

    /// The server keeps it. Told once, whether an ack or the entry itself says so first.
    pub(super) fn in_log(&mut self, sent: Sent) {
        if self.outgoing.done(sent.message_id).is_some() {
            self.outputs.push_back(Output::Persist(Change::Remove(sent.message_id)));
            self.event(Event::Sent(sent));
        }
    }
}

/// Whether the entry says that what `me` wrote is not to be read any more.
fn takes_back(entry: &wire::Entry, me: &str) -> bool {
    match &entry.body {
        Some(entry::Body::Recalled(recalled)) => recalled.author == me,
        Some(entry::Body::Edited(edited)) => edited.author == me,
        Some(_) | None => false,
    }
}
