//! Greets a user who has nothing to fetch and whose mailbox is not in memory, from what is known of it or else from the
//! records alone: a connected but quiet user costs a registration, not an actor. Whatever is not exactly that starts the
//! mailbox.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::Bytes;
use metrics::counter;
use prost::Message as _;
use tidings_schema::{
    id::{LogId, Millis, Seq, Uid},
    record, wire,
};

use super::{Quiet, QuietDevice, Registration, Shard, guarded};
use crate::{
    mailbox::{Work, welcome},
    port::{
        link::{Attach, Command, ConnectionRef, Op, OpId, ToConnection},
        store::{Key, StoreError, TimelineId},
    },
};

impl Shard {
    /// Work for this user waits until the greeting is decided.
    pub(super) fn greet(&mut self, uid: &Uid, work: Work, ctx: &mut Context<Self>) {
        let Work::Command(command @ Command { op: Op::Attach(attach), .. }) = &work else {
            return self.start_mailbox(uid, vec![work]);
        };
        // What the store would say now may be old in a moment, or is not to be trusted.
        let inbox = TimelineId::Inbox(uid.clone());
        if self.parts.appender.in_flight(&inbox) || self.parts.directory.borrow().is_broken(uid) {
            return self.start_mailbox(uid, vec![work]);
        }
        let known = self.parts.directory.borrow().quiet(uid).cloned();
        if let Some((quiet, device)) = known.as_ref().and_then(|quiet| Some((quiet, quiet.greets(attach)?))) {
            return self.welcome_quiet(uid, command.from, command.op_id, quiet, device);
        }
        let keys =
            vec![Key::Head(inbox), Key::Checkpoint(uid.clone()), Key::Device(uid.clone(), attach.device.clone())];
        self.parts.directory.borrow_mut().greeting(uid);
        let uid = uid.clone();
        let read = guarded(self.parts.store.clone(), move |store| store.get(keys)).into_actor(self);
        ctx.spawn(read.map(move |records, shard, ctx| shard.greet_by(records, &uid, work, ctx)));
    }

    /// Work that came meanwhile follows.
    fn greet_by(
        &mut self,
        records: Result<Vec<Option<Bytes>>, StoreError>,
        uid: &Uid,
        work: Work,
        ctx: &mut Context<Self>,
    ) {
        let waiting = self.parts.directory.borrow_mut().greeted(uid);
        let Work::Command(Command { from, op_id, op: Op::Attach(attach), .. }) = &work else {
            return self.start_mailbox(uid, vec![work]);
        };
        let quiet = records.ok().and_then(|records| read(records, attach));
        match quiet.as_ref().and_then(|quiet| Some((quiet, quiet.greets(attach)?))) {
            Some((quiet, device)) => {
                self.welcome_quiet(uid, *from, *op_id, quiet, device);
                self.parts.directory.borrow_mut().know_too(uid, quiet.clone());
            }
            None => self.start_mailbox(uid, vec![work]),
        }
        for work in waiting {
            self.route(uid, work, ctx);
        }
    }

    fn welcome_quiet(&mut self, uid: &Uid, from: ConnectionRef, op_id: OpId, quiet: &Quiet, device: &QuietDevice) {
        counter!("tidings_greetings_without_mailbox_total").increment(1);
        let registration = Registration {
            connection: from,
            device: device.device.clone(),
            pushed_upto: quiet.head,
            acked_upto: device.cursor,
        };
        let replaced = self.parts.directory.borrow_mut().register(uid, registration);
        if let Some(old) = replaced {
            let _ = self.parts.tell(old, vec![ToConnection::Close(wire::GoAwayReason::Replaced)]);
        }
        let facts = welcome::Facts {
            log_id: quiet.log_id,
            head: quiet.head,
            unread_total: quiet.unread_total,
            resume_after: quiet.head,
            reset: None,
        };
        let frame = welcome::frame(uid, &device.device, from, &facts, &self.parts);
        // A connection that is gone by now detaches by itself.
        let _ = self.parts.tell(from, vec![ToConnection::Welcome(op_id, Box::new(frame))]);
        // Nothing is told to a quiet user's connection until a mailbox starts.
        self.parts.link.forget(from);
    }
}

/// What the records say, if the inbox is clean and they know the device.
fn read(records: Vec<Option<Bytes>>, attach: &Attach) -> Option<Quiet> {
    let [head, checkpoint, device] = <[Option<Bytes>; 3]>::try_from(records).ok()?;
    // A user who has got nothing yet has no log; the checkpoint then only lists devices.
    let head = head.map_or_else(|| Ok(record::Head::default()), record::Head::decode).ok()?;
    let checkpoint = record::MailboxCheckpoint::decode(checkpoint?).ok()?;
    let device = record::Device::decode(device?).ok()?;
    // What stays of a device that is not listed is no device.
    let listed = checkpoint.devices.iter().any(|entry| entry.device_id == attach.device.as_str());
    let clean = checkpoint.upto == head.seq;
    let known = QuietDevice {
        device: attach.device.clone(),
        cursor: Seq::new(device.cursor),
        not_before: Millis::new(checkpoint.not_before.max(device.not_before)),
    };
    (listed && clean).then_some(Quiet {
        log_id: LogId::from_wire(&head.log_id).ok()?,
        head: Seq::new(head.seq),
        unread_total: head.t,
        devices: [known].into(),
    })
}
