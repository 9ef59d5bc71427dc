//! What a shard asks of the actors that it keeps by id: mailboxes and groups are found, started, stopped and brought back in
//! one way. They are different kinds, so that a user and a group of the same name never meet.

use std::{cell::RefCell, fmt, hash::Hash, rc::Rc};

use actix::{Actor, Addr, Context, Handler, Message};
use tidings_schema::{
    error_code::ErrorCode,
    id::{Gid, ShardId, Uid},
};

use super::{Directory, Shard, ShardParts, marks::Marks, roll::Roll};
use crate::{
    group::Group,
    mailbox::{Mailbox, Work},
    port::{
        link::GroupCommand,
        store::{GroupScan, Reply, Scan, Store},
    },
};

/// A page of ids, and whether more follow.
pub(super) type Ids<Id> = (Vec<Id>, bool);

/// An actor that is started when there is work for its id, and leaves memory when there is none.
pub trait Resident: Actor<Context = Context<Self>> + Handler<Self::Work> {
    /// Names it.
    type Id: Clone + Eq + Hash + fmt::Display + 'static;
    /// What it is asked to do.
    type Work: Message<Result = ()> + Send + fmt::Debug + 'static;

    /// What it is called in log lines.
    const KIND: &'static str;
    /// What its timeline is called.
    const TIMELINE: &'static str;
    /// Metric: actors in memory.
    const ACTIVE: &'static str;
    /// Metric: actors started.
    const ACTIVATIONS: &'static str;
    /// Metric: actors that panicked.
    const PANICS: &'static str;
    /// Metric: marked actors that are loaded at this moment.
    const RECOVERING: &'static str;

    /// Starts it with the work it is started for.
    fn start_for(id: Self::Id, parts: Rc<ShardParts>, works: Vec<Self::Work>) -> Addr<Self>;

    /// Whether whoever has said it will not say it again: it passes the bounds of queues.
    fn is_owed(work: &Self::Work) -> bool;

    /// Says that nothing was taken, where somebody waits for an answer.
    fn refuse(parts: &ShardParts, work: Self::Work, code: ErrorCode, text: &str, retry_after_ms: u64);

    /// Notes that it is stopped for the rest of this process.
    fn report_stopped(roll: &Roll, id: &Self::Id);
}

/// The shard's side of a kind.
pub(super) trait Kept: Resident {
    /// Those that are in memory.
    fn directory(parts: &ShardParts) -> &RefCell<Directory<Self>>;

    /// Those that are marked.
    fn marks(shard: &mut Shard) -> &mut Marks<Self::Id>;

    /// Marks after one, at most so many.
    fn scan_marks(store: &dyn Store, shard: ShardId, after: Option<Self::Id>, limit: usize) -> Reply<Ids<Self::Id>>;

    /// It comes into memory: what the shard knew of it is its own from now on.
    fn starts(parts: &ShardParts, id: &Self::Id);

    /// Whether somebody would miss it.
    fn is_missed(parts: &ShardParts, id: &Self::Id) -> bool;

    /// Work for one that is not in memory.
    fn route_quiet(shard: &mut Shard, id: &Self::Id, work: Self::Work, ctx: &mut Context<Shard>);
}

impl Resident for Mailbox {
    type Id = Uid;
    type Work = Work;

    const KIND: &'static str = "mailbox";
    const TIMELINE: &'static str = "inbox";
    const ACTIVE: &'static str = "tidings_mailboxes_active";
    const ACTIVATIONS: &'static str = "tidings_mailbox_activations_total";
    const PANICS: &'static str = "tidings_mailbox_panics_total";
    const RECOVERING: &'static str = "tidings_mailboxes_recovering";

    fn start_for(id: Uid, parts: Rc<ShardParts>, works: Vec<Work>) -> Addr<Self> {
        Self::start_for(id, parts, works)
    }

    fn is_owed(work: &Work) -> bool {
        work.is_owed()
    }

    /// Work between mailboxes is repeated by the one who sent it.
    fn refuse(parts: &ShardParts, work: Work, code: ErrorCode, text: &str, retry_after_ms: u64) {
        if let Work::Command(command) = work {
            parts.refuse(command.from, command.op_id, code, text, retry_after_ms);
        }
    }

    fn report_stopped(roll: &Roll, id: &Uid) {
        roll.stop(id);
    }
}

impl Kept for Mailbox {
    fn directory(parts: &ShardParts) -> &RefCell<Directory<Self>> {
        &parts.directory
    }

    fn marks(shard: &mut Shard) -> &mut Marks<Uid> {
        &mut shard.marks
    }

    fn scan_marks(store: &dyn Store, shard: ShardId, after: Option<Uid>, limit: usize) -> Reply<Ids<Uid>> {
        let page = store.scan(Scan::Marks(shard), after, limit);
        Box::pin(async move { page.await.map(|page| (page.uids, page.more)) })
    }

    fn starts(parts: &ShardParts, id: &Uid) {
        parts.online.borrow_mut().forget_quiet(id);
    }

    fn is_missed(parts: &ShardParts, id: &Uid) -> bool {
        !parts.online.borrow().registrations(id).is_empty()
    }

    fn route_quiet(shard: &mut Shard, id: &Uid, work: Work, ctx: &mut Context<Shard>) {
        shard.route_to_quiet_user(id, work, ctx);
    }
}

impl Resident for Group {
    type Id = Gid;
    type Work = GroupCommand;

    const KIND: &'static str = "group";
    const TIMELINE: &'static str = "group";
    const ACTIVE: &'static str = "tidings_groups_active";
    const ACTIVATIONS: &'static str = "tidings_group_activations_total";
    const PANICS: &'static str = "tidings_group_panics_total";
    const RECOVERING: &'static str = "tidings_groups_recovering";

    fn start_for(id: Gid, parts: Rc<ShardParts>, works: Vec<GroupCommand>) -> Addr<Self> {
        Self::start_for(id, parts, works)
    }

    fn is_owed(_: &GroupCommand) -> bool {
        false
    }

    fn refuse(parts: &ShardParts, work: GroupCommand, code: ErrorCode, text: &str, retry_after_ms: u64) {
        if work.op_id > 0 {
            parts.refuse(work.from, work.op_id, code, text, retry_after_ms);
        }
    }

    fn report_stopped(roll: &Roll, id: &Gid) {
        roll.stop_group(id);
    }
}

impl Kept for Group {
    fn directory(parts: &ShardParts) -> &RefCell<Directory<Self>> {
        &parts.groups
    }

    fn marks(shard: &mut Shard) -> &mut Marks<Gid> {
        &mut shard.group_marks
    }

    fn scan_marks(store: &dyn Store, shard: ShardId, after: Option<Gid>, limit: usize) -> Reply<Ids<Gid>> {
        let page = store.scan_groups(GroupScan::Marks(shard), after, limit);
        Box::pin(async move { page.await.map(|page| (page.gids, page.more)) })
    }

    fn starts(_: &ShardParts, _: &Gid) {}

    fn is_missed(_: &ShardParts, _: &Gid) -> bool {
        false
    }

    fn route_quiet(shard: &mut Shard, id: &Gid, work: GroupCommand, _: &mut Context<Shard>) {
        shard.start_actor::<Self>(id, vec![work]);
    }
}
