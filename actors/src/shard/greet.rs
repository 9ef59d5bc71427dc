//! Greets a user who has nothing to fetch and whose mailbox is not in memory, from the records alone: a connected but
//! quiet user costs a registration, not an actor. Whatever is not exactly that starts the mailbox.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::Bytes;
use metrics::counter;
use prost::Message as _;
use tidings_schema::{
    id::{LogId, Millis, Seq, Uid},
    record, wire,
};

use super::{Registration, Shard, guarded};
use crate::{
    mailbox::{Mailbox, Work, welcome},
    port::{
        link::{Attach, Command, Op, ToConnection},
        store::{Key, TimelineId},
    },
};

impl Shard {
    /// Work for this user waits until the greeting is decided.
    pub(super) fn greet(&mut self, uid: &Uid, work: Work, ctx: &mut Context<Self>) {
        let Work::Command(Command { op: Op::Attach(attach), .. }) = &work else {
            return self.start_actor::<Mailbox>(uid, vec![work]);
        };
        let keys = vec![
            Key::Head(TimelineId::Inbox(uid.clone())),
            Key::Checkpoint(uid.clone()),
            Key::Device(uid.clone(), attach.device.clone()),
        ];
        self.parts.directory.borrow_mut().greeting(uid);
        let uid = uid.clone();
        let decided = guarded(self.parts.store.clone(), move |store| store.get(keys)).into_actor(self).map(
            move |records, shard, ctx| {
                let waiting = shard.parts.directory.borrow_mut().greeted(&uid);
                let quiet = records.ok().and_then(|records| Quiet::of(records, &work));
                match (quiet, work) {
                    (Some(quiet), Work::Command(command)) => shard.welcome_quiet(&uid, &command, &quiet),
                    (_, work) => shard.start_actor::<Mailbox>(&uid, vec![work]),
                }
                for work in waiting {
                    shard.route::<Mailbox>(&uid, work, ctx);
                }
            },
        );
        ctx.spawn(decided);
    }

    fn welcome_quiet(&mut self, uid: &Uid, command: &Command, quiet: &Quiet) {
        let Op::Attach(attach) = &command.op else { return };
        counter!("tidings_greetings_without_mailbox_total").increment(1);
        let registration = Registration {
            connection: command.from,
            device: attach.device.clone(),
            pushed_upto: quiet.head,
            acked_upto: quiet.acked_upto,
        };
        let replaced = self.parts.online.borrow_mut().register(uid, registration);
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
        let frame = welcome::frame(uid, &attach.device, command.from, &facts, &self.parts);
        // A connection that is gone by now detaches by itself.
        let _ = self.parts.tell(command.from, vec![ToConnection::Welcome(command.op_id, Box::new(frame))]);
        // Nothing is told to a quiet user's connection until a mailbox starts.
        self.parts.link.forget(command.from);
    }
}

/// A clean inbox whose device has nothing to fetch.
struct Quiet {
    log_id: Option<LogId>,
    head: Seq,
    unread_total: u64,
    acked_upto: Seq,
}

impl Quiet {
    /// `None` whenever anything needs the mailbox: a device that is new, behind, in another log, or signed out.
    fn of(records: Vec<Option<Bytes>>, work: &Work) -> Option<Self> {
        let Work::Command(Command { op: Op::Attach(attach), .. }) = work else { return None };
        let [head, checkpoint, device] = <[Option<Bytes>; 3]>::try_from(records).ok()?;
        // A user who has got nothing yet has no log; the checkpoint then only lists devices.
        let head = head.map_or_else(|| Ok(record::Head::default()), record::Head::decode).ok()?;
        let checkpoint = record::MailboxCheckpoint::decode(checkpoint?).ok()?;
        let device = record::Device::decode(device?).ok()?;
        let log_id = LogId::from_wire(&head.log_id).ok()?;
        let quiet =
            Self { log_id, head: Seq::new(head.seq), unread_total: head.t, acked_upto: Seq::new(device.cursor) };
        // What stays of a device that is not known is no device.
        let known = checkpoint.devices.iter().any(|entry| entry.device_id == attach.device.as_str());
        let signed_in = attach.issued >= Millis::new(checkpoint.not_before.max(device.not_before));
        (known && signed_in && checkpoint.upto == head.seq && quiet.is_where(attach)).then_some(quiet)
    }

    fn is_where(&self, attach: &Attach) -> bool {
        match attach.resume {
            Some(resume) => resume.inbox == self.head && (resume.log_id.is_none() || resume.log_id == self.log_id),
            None => self.acked_upto == self.head,
        }
    }
}
