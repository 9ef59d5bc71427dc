//! What members pull: `sync` (entries after a seq) and `history` (messages, newest first). Committed rows only, and never one
//! below the first that the member may read.

use std::sync::Arc;

use actix::Context;
use bytes::Bytes;
use prost::Message as _;
use tidings_schema::{
    error_code::ErrorCode,
    group::Event,
    id::{Seq, Uid},
    row::GroupRow,
    wire::{self, server_frame::Body},
};

use super::{
    Group, STOPPED, caller,
    gate::decode_page,
    pulls::{Asked, Pull, Pulled, Way},
};
use crate::{
    limits::{PAGE_BYTES_MAX, PAGE_ENTRIES_MAX},
    port::{
        link::{ConnectionRef, OpId},
        store::{PageLimit, Store, StoreError, TimelineId},
    },
};

/// Rows of one read when messages are looked for.
const HISTORY_ROWS: PageLimit = PageLimit { rows: 256, bytes: 256 * 1024 };
/// Reads for one page of messages at most, once there is one: a page may be short where rows are mostly no messages.
const HISTORY_READS_MAX: usize = 16;

/// Whether a page is not the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

impl From<bool> for More {
    fn from(more: bool) -> Self {
        if more { Self::Yes } else { Self::No }
    }
}

/// Entries with their places, in the order of the page.
type Entries = Vec<(Seq, Bytes)>;

impl Group {
    pub(super) fn sync(
        &mut self,
        to: ConnectionRef,
        op_id: OpId,
        uid: &Uid,
        after: Seq,
        limit: usize,
        ctx: &mut Context<Self>,
    ) {
        let first = match self.state.first_readable(caller(uid)) {
            Ok(first) => first,
            Err(refusal) => return self.refuse_by_rule(to, op_id, refusal),
        };
        let (after, committed) = (after.max(first.prev()), self.timeline.committed());
        let limit = page_limit(limit);
        let in_memory = self.rows.ring().page(after);
        if let Some(page) = in_memory.map(|rows| cut(rows.map(|row| (row.seq, row.entry.clone())), limit)) {
            return self.answer_sync(to, op_id, page);
        }
        let asked = Asked { to, op_id, uid: uid.clone() };
        let pull = Pull { way: Way::Sync, from: after, first, limit: limit.rows };
        if !self.pull(pull, asked) {
            return;
        }
        let read = self.parts.store.read(self.timeline_id.clone(), after, committed, limit);
        self.read_then(ctx, read, move |page, group, ctx| match page.and_then(decode_page) {
            Ok(rows) if rows.is_empty() => group.stop_corrupt("a committed row is not in the log", ctx),
            Ok(rows) => {
                let page: Entries = rows.into_iter().map(|row| (row.seq, row.entry)).collect();
                for asked in group.still_allowed(&pull) {
                    group.answer_sync(asked.to, asked.op_id, page.clone());
                }
                group.flush();
            }
            Err(why) => group.refuse_pull(&pull, why, ctx),
        });
    }

    pub(super) fn history(
        &mut self,
        to: ConnectionRef,
        op_id: OpId,
        uid: &Uid,
        before: Seq,
        limit: usize,
        ctx: &mut Context<Self>,
    ) {
        let first = match self.state.first_readable(caller(uid)) {
            Ok(first) => first,
            Err(refusal) => return self.refuse_by_rule(to, op_id, refusal),
        };
        let above = self.timeline.committed().next();
        let before = if before == Seq::ZERO { above } else { before.min(above) };
        let limit = page_limit(limit);
        let mut newest = Messages::new(before, first, limit);
        if let Some(rows) = self.rows.ring().before(before) {
            newest.take(rows);
        }
        if newest.is_done() {
            return self.answer_history(to, op_id, newest);
        }
        let asked = Asked { to, op_id, uid: uid.clone() };
        let pull = Pull { way: Way::History, from: before, first, limit: limit.rows };
        if !self.pull(pull, asked) {
            return;
        }
        let read = newest.read_on(Arc::clone(&self.parts.store), self.timeline_id.clone());
        self.read_then(ctx, read, move |messages, group, ctx| match messages {
            Ok(messages) => {
                for asked in group.still_allowed(&pull) {
                    group.answer_history(asked.to, asked.op_id, messages.clone());
                }
                group.flush();
            }
            Err(why) => group.refuse_pull(&pull, why, ctx),
        });
    }

    /// Whether a page has to be read now.
    fn pull(&mut self, pull: Pull, asked: Asked) -> bool {
        let (to, op_id) = (asked.to, asked.op_id);
        match self.pulls.ask(pull, asked) {
            Pulled::First => true,
            Pulled::Shared => {
                metrics::counter!("tidings_group_pulls_shared_total").increment(1);
                false
            }
            Pulled::Full => {
                self.refuse(to, op_id, ErrorCode::Busy, "too many pages of this group are being read", 200);
                false
            }
        }
    }

    /// Those who asked for a page and may still read it; the others are told why not.
    fn still_allowed(&mut self, pull: &Pull) -> Vec<Asked> {
        let mut allowed = Vec::new();
        for asked in self.pulls.done(pull) {
            match self.state.first_readable(caller(&asked.uid)) {
                Ok(first) if first <= pull.first => allowed.push(asked),
                // It left and came back meanwhile: what was read is not for it.
                Ok(_) => self.refuse(asked.to, asked.op_id, ErrorCode::Busy, "membership changed, ask again", 0),
                Err(refusal) => self.refuse_by_rule(asked.to, asked.op_id, refusal),
            }
        }
        allowed
    }

    fn answer_sync(&mut self, to: ConnectionRef, op_id: OpId, page: Entries) {
        let head = self.timeline.committed();
        let more = page.last().is_some_and(|(seq, _)| *seq < head);
        self.answer_page(to, op_id, page, more.into());
    }

    fn answer_history(&mut self, to: ConnectionRef, op_id: OpId, messages: Messages) {
        let more = messages.before > messages.first;
        self.answer_page(to, op_id, messages.page, more.into());
    }

    fn answer_page(&mut self, to: ConnectionRef, op_id: OpId, page: Entries, more: More) {
        let entries = page.into_iter().map(|(_, entry)| self.shown(entry));
        let entries: Vec<wire::Entry> = entries.filter_map(|entry| wire::Entry::decode(entry).ok()).collect();
        let log_id = self.log_id().filter(|_| entries.iter().any(|entry| entry.seq == 1));
        let page = wire::Page {
            entries,
            head: self.timeline.committed().get(),
            more: more == More::Yes,
            log_id: log_id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
        };
        self.answer(to, op_id, Body::Page(page));
    }

    fn refuse_pull(&mut self, pull: &Pull, why: StoreError, ctx: &mut Context<Self>) {
        for asked in self.pulls.done(pull) {
            self.refuse_unread(asked.to, asked.op_id, &why);
        }
        self.end_read(why, ctx);
    }

    /// The store could not be read for an op.
    pub(super) fn refuse_unread(&mut self, to: ConnectionRef, op_id: OpId, why: &StoreError) {
        match why {
            StoreError::Corrupt(_) => self.refuse(to, op_id, ErrorCode::Corrupt, STOPPED, 0),
            StoreError::Unavailable(_) | StoreError::Rejected(_) => {
                self.refuse(to, op_id, ErrorCode::Unavailable, "the store cannot be read now", 1_000);
            }
        }
    }

    /// What a read that failed means for the group.
    pub(super) fn end_read(&mut self, why: StoreError, ctx: &mut Context<Self>) {
        match why {
            StoreError::Corrupt(why) => self.stop_corrupt(&why, ctx),
            StoreError::Unavailable(_) | StoreError::Rejected(_) => self.flush(),
        }
    }
}

/// Messages before some row, newest first, as far as they were collected.
#[derive(Clone)]
struct Messages {
    page: Entries,
    bytes: usize,
    /// Rows below this one were not looked at.
    before: Seq,
    first: Seq,
    limit: PageLimit,
    full: bool,
}

impl Messages {
    fn new(before: Seq, first: Seq, limit: PageLimit) -> Self {
        Self { page: Vec::new(), bytes: 0, before, first, limit, full: false }
    }

    fn is_done(&self) -> bool {
        self.full || self.before <= self.first
    }

    /// Takes the next rows, newest first.
    fn take<'a>(&mut self, rows: impl Iterator<Item = &'a GroupRow>) {
        for row in rows {
            if self.is_done() {
                return;
            }
            if matches!(row.event, Event::Message { .. }) {
                let bytes = self.bytes + row.entry.len();
                if !self.page.is_empty() && (self.page.len() >= self.limit.rows || bytes > self.limit.bytes) {
                    self.full = true;
                    return;
                }
                self.bytes = bytes;
                self.page.push((row.seq, row.entry.clone()));
            }
            self.before = row.seq;
        }
    }

    /// Goes on in the store.
    async fn read_on(mut self, store: Arc<dyn Store>, timeline: TimelineId) -> Result<Self, StoreError> {
        let mut reads = 0;
        while !self.is_done() && (reads < HISTORY_READS_MAX || self.page.is_empty()) {
            reads += 1;
            let rows = decode_page(store.read_back(timeline.clone(), self.before, HISTORY_ROWS).await?)?;
            if rows.is_empty() {
                return Err(StoreError::Corrupt(format!("row {} is not in the log", self.before.prev())));
            }
            self.take(rows.iter());
        }
        Ok(self)
    }
}

fn page_limit(limit: usize) -> PageLimit {
    let rows = if limit == 0 { PAGE_ENTRIES_MAX } else { limit.min(PAGE_ENTRIES_MAX) };
    PageLimit { rows, bytes: PAGE_BYTES_MAX }
}

/// The first rows that fit; at least one.
fn cut(rows: impl Iterator<Item = (Seq, Bytes)>, limit: PageLimit) -> Entries {
    let mut bytes = 0;
    let fits = |(at, (_, entry)): &(usize, (Seq, Bytes))| {
        bytes += entry.len();
        *at == 0 || (*at < limit.rows && bytes <= limit.bytes)
    };
    rows.enumerate().take_while(fits).map(|(_, row)| row).collect()
}
