//! Marks: which users and groups may owe something. A shard reads them when it starts and brings those actors back, a few at
//! a time, so that what was acked reaches its recipient also when the sender never returns.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
    time::Duration,
};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use metrics::gauge;
use tidings_schema::id::Uid;
use tracing::{info, warn};

use super::{RETRY_MS, Shard, ShardParts, guarded, resident::Kept};

/// Marked actors of one kind that a shard loads at the same time.
pub const RECOVERING_MAX: usize = 64;
/// Marks read in one page.
const MARKS_PAGE: usize = 256;

/// The marks of one kind of actor.
pub(super) struct Marks<Id> {
    pub(super) all_read: bool,
    waiting: VecDeque<Id>,
    recovering: HashSet<Id>,
}

impl<Id> Default for Marks<Id> {
    fn default() -> Self {
        Self { all_read: false, waiting: VecDeque::new(), recovering: HashSet::new() }
    }
}

impl Marks<Uid> {
    /// Whether the store may hold a mark for this user (before all marks are read: anyone's).
    pub(super) fn may_be_marked(&self, uid: &Uid, parts: &ShardParts) -> bool {
        !self.all_read || parts.directory.borrow().is_marked(uid)
    }
}

impl<Id: Eq + Hash> Marks<Id> {
    pub(super) fn settled(&mut self, id: &Id, recovering: &'static str) {
        if self.recovering.remove(id) {
            gauge!(recovering).decrement(1.0);
        }
    }
}

impl Shard {
    /// Reads the marks after `after`, page by page, for as long as it takes.
    pub(super) fn read_marks<A: Kept>(&mut self, ctx: &mut Context<Self>, after: Option<A::Id>) {
        let (id, from) = (self.parts.id, after.clone());
        let page = guarded(self.parts.store.clone(), move |store| A::scan_marks(store, id, from, MARKS_PAGE));
        let answer = page.into_actor(self).map(move |page, shard, ctx| match page {
            Ok((ids, more)) => {
                let last = ids.last().cloned();
                shard.take_marks::<A>(ids);
                if more {
                    shard.read_marks::<A>(ctx, last);
                } else {
                    A::marks(shard).all_read = true;
                    shard.report_ready();
                }
                shard.start_marked::<A>();
            }
            Err(why) => {
                warn!(shard = %shard.parts.id, kind = A::KIND, %why, "marks cannot be read yet, trying again");
                let pause = tokio::time::sleep(Duration::from_millis(RETRY_MS)).into_actor(shard);
                ctx.spawn(pause.map(move |(), shard, ctx| shard.read_marks::<A>(ctx, after)));
            }
        });
        ctx.spawn(answer);
    }

    fn report_ready(&mut self) {
        if self.marks.all_read && self.group_marks.all_read {
            self.entry.ready();
        }
    }

    fn take_marks<A: Kept>(&mut self, ids: Vec<A::Id>) {
        if ids.is_empty() {
            return;
        }
        info!(shard = %self.parts.id, kind = A::KIND, marks = ids.len(), "actors may owe something");
        for id in ids {
            A::directory(&self.parts).borrow_mut().mark(&id);
            A::marks(self).waiting.push_back(id);
        }
    }

    /// Starts marked actors while there is room for more.
    pub(super) fn start_marked<A: Kept>(&mut self) {
        while A::marks(self).recovering.len() < RECOVERING_MAX {
            let Some(id) = A::marks(self).waiting.pop_front() else { return };
            let wanted = {
                let directory = A::directory(&self.parts).borrow();
                directory.is_marked(&id) && !directory.is_active(&id) && !directory.is_broken(&id)
            };
            if !wanted {
                continue;
            }
            gauge!(A::RECOVERING).increment(1.0);
            A::marks(self).recovering.insert(id.clone());
            self.start_actor::<A>(&id, Vec::new());
        }
    }
}
