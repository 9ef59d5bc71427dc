//! A device comes online or leaves: where it goes on, what it is welcomed with, and which connection it replaces.

use actix::Context;
use bytes::Bytes;
use tidings_schema::{
    id::{DeviceId, Millis, Seq},
    record, wire,
};

use super::{
    Mailbox, checkpoint,
    devices::{Greeting, Known, Online},
    welcome,
};
use crate::{
    appender::PutNumber,
    port::{
        link::{Attach, ConnectionRef, OpId, ToConnection},
        store::{Change, Key},
    },
    shard::Registration,
};

impl Mailbox {
    pub(super) fn attach(&mut self, from: ConnectionRef, op_id: OpId, attach: Attach) {
        if self.is_signed_out(&attach) {
            return self.refuse_signed_out(from, op_id);
        }
        let (resume_after, lost) = (self.resume_after(&attach), self.is_lost(&attach));
        let now = self.parts.clock.now();
        if let Some(known) = self.devices.known.get_mut(&attach.device) {
            known.last_seen = now;
            known.platform.clone_from(&attach.platform);
            known.changed = true;
            let put = known.put;
            self.checkpoint.cursors_changed(self.parts.clock.uptime());
            if put > self.checkpoint.flushed {
                return self.devices.greetings.push(Greeting { put, from, op_id, attach, resume_after, lost });
            }
            return self.welcome(from, op_id, &attach, resume_after, lost);
        }
        // A device is known durably before it is welcomed: else its place would be forgotten by a crash, and what it
        // never got would count as seen.
        self.know(&attach, resume_after, now);
        let put = self.put_devices(&attach);
        if let Some(known) = self.devices.known.get_mut(&attach.device) {
            known.put = put;
        }
        self.devices.greetings.push(Greeting { put, from, op_id, attach, resume_after, lost });
    }

    fn know(&mut self, attach: &Attach, cursor: Seq, last_seen: Millis) {
        let (platform, not_before) = (attach.platform.clone(), self.device_not_before(&attach.device));
        let known = Known { cursor, platform, last_seen, not_before, changed: false, put: PutNumber::default() };
        self.devices.known.insert(attach.device.clone(), known);
    }

    fn put_devices(&mut self, attach: &Attach) -> PutNumber {
        let mut changes = Vec::new();
        while let Some(surplus) = self.devices.surplus(&attach.device) {
            let left = self.devices.known.remove(&surplus).map(|known| known.not_before);
            self.send_away(&surplus);
            changes.push(self.device_left(&surplus, left.unwrap_or_default()));
        }
        changes.extend(self.device_record(&attach.device));
        changes.push(self.checkpoint_with_devices());
        self.parts.appender.put(&self.timeline_id, changes)
    }

    /// A device that is not known any more leaves; when it comes back it is a new one.
    fn send_away(&mut self, device: &DeviceId) {
        let gone = self.devices.online.iter().find(|(_, online)| online.device == *device).map(|(at, _)| *at);
        if let Some(connection) = gone {
            self.tell(connection, ToConnection::Close(wire::GoAwayReason::Replaced));
        }
    }

    /// The record of one device, as it should be now.
    pub(super) fn device_record(&self, device: &DeviceId) -> Option<Change> {
        let known = self.devices.known.get(device)?;
        let stored = record::Device {
            cursor: known.cursor.get(),
            platform: known.platform.clone(),
            last_seen: known.last_seen.get(),
            not_before: known.not_before.get(),
            log_id: self.log_id().map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
        };
        let key = Key::Device(self.uid.clone(), device.clone());
        Some(Change { key, value: Some(checkpoint::encode(&stored)) })
    }

    /// Welcomes devices that are known durably now.
    pub(super) fn welcome_flushed(&mut self, ctx: &mut Context<Self>) {
        let flushed = self.checkpoint.flushed;
        let (ready, waiting) = std::mem::take(&mut self.devices.greetings).into_iter().partition(|g| g.put <= flushed);
        self.devices.greetings = waiting;
        let ready: Vec<Greeting> = ready;
        for greeting in ready {
            let Greeting { from, op_id, attach, resume_after, lost, .. } = greeting;
            self.welcome(from, op_id, &attach, resume_after, lost);
            self.feed(from, ctx);
        }
    }

    /// Where the device goes on: what the client says it has, else what it acknowledged, else the head. The beginning of
    /// the log means the first row that is kept. A device that was away for longer than rows are kept goes on from the
    /// head, and is told to start over.
    fn resume_after(&self, attach: &Attach) -> Seq {
        let head = self.timeline.committed();
        match &attach.resume {
            Some(resume) if self.is_place(resume.inbox, attach) => resume.inbox.max(self.checkpoint.kept.floor.prev()),
            Some(_) => head,
            None => self.cursor(attach).filter(|_| !self.is_lost(attach)).unwrap_or(head),
        }
    }

    /// What a device that says nothing acknowledged before.
    fn cursor(&self, attach: &Attach) -> Option<Seq> {
        let head = self.timeline.committed();
        self.devices.known.get(&attach.device).map(|known| known.cursor.min(head))
    }

    /// Whether what follows a place is still there. Zero is a place: all that is kept follows it.
    fn is_kept(&self, place: Seq) -> bool {
        place == Seq::ZERO || !self.checkpoint.kept.is_gone_after(place)
    }

    /// Whether what the device had is no place to go on from.
    fn is_lost(&self, attach: &Attach) -> bool {
        match &attach.resume {
            Some(resume) => !self.is_place(resume.inbox, attach),
            None => self.cursor(attach).is_some_and(|cursor| self.checkpoint.kept.is_gone_after(cursor)),
        }
    }

    /// Whether the client's place is one of this log.
    fn is_place(&self, inbox: Seq, attach: &Attach) -> bool {
        let same_log = match attach.resume.as_ref().and_then(|resume| resume.log_id) {
            Some(theirs) => Some(theirs) == self.log_id(),
            None => true,
        };
        same_log && inbox <= self.timeline.committed() && self.is_kept(inbox)
    }

    fn welcome(&mut self, from: ConnectionRef, op_id: OpId, attach: &Attach, resume_after: Seq, lost: bool) {
        let head = self.timeline.committed();
        let floor = self.checkpoint.kept.floor.get();
        let reset = lost.then(|| wire::Reset { floor, as_of: resume_after.get() });
        self.go_online(from, attach, resume_after);
        let facts =
            welcome::Facts { log_id: self.log_id(), head, unread_total: self.committed_unread, resume_after, reset };
        let frame = welcome::frame(&self.uid, &attach.device, from, &facts, &self.parts);
        self.tell(from, ToConnection::Welcome(op_id, Box::new(frame)));
        self.devices.to_feed.push(from);
    }

    fn go_online(&mut self, from: ConnectionRef, attach: &Attach, resume_after: Seq) {
        let acked_upto = self.devices.known.get(&attach.device).map_or(Seq::ZERO, |known| known.cursor);
        let registration =
            Registration { connection: from, device: attach.device.clone(), pushed_upto: resume_after, acked_upto };
        let replaced = self.parts.directory.borrow_mut().register(&self.uid, registration);
        if let Some(old) = replaced {
            self.devices.online.remove(&old);
            self.tell(old, ToConnection::Close(wire::GoAwayReason::Replaced));
        }
        self.devices.online.insert(from, Online::new(attach.device.clone(), resume_after));
    }

    /// The connection is gone; what is on its way to it is forgotten.
    pub(super) fn detach(&mut self, from: ConnectionRef) {
        self.devices.online.remove(&from);
        self.devices.greetings.retain(|greeting| greeting.from != from);
        self.answers.retain(|waiting| waiting.to != from);
        self.redactions.forget(from);
        self.parts.directory.borrow_mut().unregister(&self.uid, from);
        self.parts.link.forget(from);
    }
}
