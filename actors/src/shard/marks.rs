//! Marks: which users may be owed something. A shard reads them when it starts and brings those mailboxes back, a few at
//! a time, so that what was acked reaches its recipient also when the sender never returns.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use metrics::gauge;
use tidings_schema::id::Uid;
use tracing::{info, warn};

use super::{RETRY_MS, Shard, ShardParts, guarded};
use crate::port::store::Scan;

/// Marked mailboxes one shard loads at the same time.
pub const RECOVERING_MAX: usize = 64;
/// Marks read in one page.
const MARKS_PAGE: usize = 256;

#[derive(Default)]
pub(super) struct Marks {
    all_read: bool,
    waiting: VecDeque<Uid>,
    recovering: HashSet<Uid>,
}

impl Marks {
    /// Whether the store may hold a mark for this user (before all marks are read: anyone's).
    pub(super) fn may_be_marked(&self, uid: &Uid, parts: &ShardParts) -> bool {
        !self.all_read || parts.directory.borrow().is_marked(uid)
    }

    pub(super) fn settled(&mut self, uid: &Uid) {
        if self.recovering.remove(uid) {
            gauge!("tidings_mailboxes_recovering").decrement(1.0);
        }
    }
}

impl Shard {
    /// Reads the marks after `after`, page by page, for as long as it takes.
    pub(super) fn read_marks(&mut self, ctx: &mut Context<Self>, after: Option<Uid>) {
        let (id, from) = (self.parts.id, after.clone());
        let page = guarded(self.parts.store.clone(), move |store| store.scan(Scan::Marks(id), from, MARKS_PAGE));
        let answer = page.into_actor(self).map(move |page, shard, ctx| match page {
            Ok(page) => {
                let last = page.uids.last().cloned();
                shard.take_marks(page.uids);
                if page.more {
                    shard.read_marks(ctx, last);
                } else {
                    shard.marks.all_read = true;
                    shard.entry.ready();
                }
                shard.start_marked();
            }
            Err(why) => {
                warn!(shard = %shard.parts.id, %why, "marks cannot be read yet, trying again");
                let pause = tokio::time::sleep(Duration::from_millis(RETRY_MS)).into_actor(shard);
                ctx.spawn(pause.map(move |(), shard, ctx| shard.read_marks(ctx, after)));
            }
        });
        ctx.spawn(answer);
    }

    fn take_marks(&mut self, uids: Vec<Uid>) {
        if uids.is_empty() {
            return;
        }
        info!(shard = %self.parts.id, marks = uids.len(), "mailboxes may owe something");
        for uid in uids {
            self.parts.directory.borrow_mut().mark(&uid);
            self.marks.waiting.push_back(uid);
        }
    }

    /// Starts marked mailboxes while there is room for more.
    pub(super) fn start_marked(&mut self) {
        while self.marks.recovering.len() < RECOVERING_MAX {
            let Some(uid) = self.marks.waiting.pop_front() else { return };
            let wanted = {
                let directory = self.parts.directory.borrow();
                directory.is_marked(&uid) && !directory.is_active(&uid) && !directory.is_broken(&uid)
            };
            if !wanted {
                continue;
            }
            gauge!("tidings_mailboxes_recovering").increment(1.0);
            self.marks.recovering.insert(uid.clone());
            self.start_mailbox(&uid, Vec::new());
        }
    }
}
