//! What clients pull: `sync` (the inbox after a seq), `history` (one conversation, newest first) and `conversations`
//! (recent contacts). Always committed rows only; projections plus what they do not cover yet.

use std::sync::Arc;

use actix::Context;
use bytes::Bytes;
use prost::Message as _;
use tidings_schema::{
    error_code::ErrorCode,
    id::{Place, Seq, Uid},
    message::conversation_with,
    record,
    row::{InboxRow, place_from_record},
    wire,
};
use tidings_state::{conversation::Conversation, deletions::Range};

use super::{Mailbox, gate::corrupt, push::decode_page};
use crate::{
    limits::{PAGE_BYTES_MAX, PAGE_ENTRIES_MAX},
    port::{
        link::{ConnectionRef, OpId},
        store::{HistoryRange, Page, PageLimit, Store, StoreError},
    },
};

/// Bytes of a conversation in a page, beside its newest message.
const CONVERSATION_BYTES: usize = 160;

/// Bytes of one deleted range in a page.
const DELETED_RANGE_BYTES: usize = 32;

impl Mailbox {
    pub(super) fn sync(&mut self, from: ConnectionRef, op_id: OpId, after: Seq, limit: usize, ctx: &mut Context<Self>) {
        let committed = self.timeline.committed();
        // What is below the floor is gone: the page begins at it.
        let after = after.max(self.checkpoint.kept.floor.prev());
        if after >= committed {
            return self.answer_page(from, op_id, Vec::new(), committed, More::No);
        }
        let limit = page_limit(limit);
        if let Some(mut rows) = self.rows.page(after, committed, limit.rows) {
            let page = cut(rows.iter().map(|row| (row.seq, self.shown(row.entry.clone()))), limit);
            rows.truncate(page.len());
            self.devices.note_pushed(rows.iter());
            return self.answer_entries(from, op_id, page, committed);
        }
        let page = self.parts.store.read(self.timeline_id.clone(), after, committed, limit);
        self.read_then(ctx, page, move |page, mailbox, ctx| {
            match page.and_then(decode_page) {
                // They were swept while the page was read.
                Ok(rows) if rows.is_empty() && mailbox.checkpoint.kept.is_gone_after(after) => {
                    mailbox.sync(from, op_id, after, limit.rows, ctx);
                }
                Ok(rows) => {
                    mailbox.devices.note_pushed(rows.iter());
                    let page = rows.into_iter().map(|row| (row.seq, mailbox.shown(row.entry))).collect();
                    mailbox.answer_entries(from, op_id, page, committed);
                }
                Err(why) => mailbox.answer_failed_read(from, op_id, why, ctx),
            }
            mailbox.flush();
        });
    }

    fn answer_entries(&mut self, from: ConnectionRef, op_id: OpId, page: Vec<(Seq, Bytes)>, committed: Seq) {
        let more = page.last().is_some_and(|(seq, _)| *seq < committed);
        let entries = page.into_iter().map(|(_, entry)| entry).collect();
        self.answer_page(from, op_id, entries, committed, if more { More::Yes } else { More::No });
    }

    fn answer_page(&mut self, from: ConnectionRef, op_id: OpId, entries: Vec<Bytes>, head: Seq, more: More) {
        let entries: Vec<wire::Entry> =
            entries.into_iter().filter_map(|entry| wire::Entry::decode(entry).ok()).collect();
        let first = entries.iter().any(|entry| entry.seq == 1);
        let log_id = self.log_id().filter(|_| first);
        let page = wire::Page {
            entries,
            head: head.get(),
            more: more == More::Yes,
            log_id: log_id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
        };
        self.answer(from, op_id, wire::server_frame::Body::Page(page));
    }

    fn answer_failed_read(&mut self, from: ConnectionRef, op_id: OpId, why: StoreError, ctx: &mut Context<Self>) {
        match why {
            StoreError::Corrupt(why) => {
                self.refuse(from, op_id, ErrorCode::Corrupt, "the inbox is stopped, an operator has to look", 0);
                self.stop_corrupt(&why, ctx);
            }
            StoreError::Unavailable(_) | StoreError::Rejected(_) => {
                self.refuse(from, op_id, ErrorCode::Unavailable, "the store cannot be read now", 1_000);
            }
        }
    }

    pub(super) fn history(
        &mut self,
        from: ConnectionRef,
        op_id: OpId,
        uid: &Uid,
        before: Seq,
        limit: usize,
        ctx: &mut Context<Self>,
    ) {
        let committed = self.timeline.committed();
        let Some(settled) = self.peers.get(uid).map(|peer| peer.settled.clone()).filter(|settled| settled.h > 0) else {
            return self.answer_page(from, op_id, Vec::new(), committed, More::No);
        };
        let before = if before == Seq::ZERO { committed.next() } else { before.min(committed.next()) };
        let limit = page_limit(limit);
        let of_peer = |row: &&InboxRow| {
            row.seq < before
                && row.with.as_ref() == Some(uid)
                && row.body.is_message()
                && !settled.deleted.contains(row.seq)
        };
        let rows = self.rows.newest_first().filter(of_peer).map(|row| (row.seq, self.shown(row.entry.clone())));
        let newest = cut(rows, limit);
        let first_kept = self.rows.first().unwrap_or(committed.next());
        let first_of_all = settled.first_shown();
        let oldest = newest.last().map_or(before, |(seq, _)| *seq);
        let full = newest.len() >= limit.rows || bytes_of(&newest) >= limit.bytes;
        if full || oldest <= first_of_all || first_kept <= first_of_all {
            let more = if oldest > first_of_all && !newest.is_empty() { More::Yes } else { More::No };
            return self.answer_page(
                from,
                op_id,
                newest.into_iter().map(|(_, entry)| entry).collect(),
                committed,
                more,
            );
        }
        let older =
            Older { owner: self.uid.clone(), peer: uid.clone(), before: before.min(first_kept), settled, limit };
        let read = older.read(self.parts.store.clone(), newest);
        self.read_then(ctx, read, move |page, mailbox, ctx| {
            match page {
                Ok((page, more)) => {
                    let entries = page.into_iter().map(|(_, entry)| mailbox.shown(entry)).collect();
                    mailbox.answer_page(from, op_id, entries, committed, more);
                }
                Err(why) => mailbox.answer_failed_read(from, op_id, why, ctx),
            }
            mailbox.flush();
        });
    }

    pub(super) fn conversations(&mut self, from: ConnectionRef, op_id: OpId, after: Seq, limit: usize) {
        let as_of = self.timeline.committed();
        let mut all: Vec<(&Uid, &Conversation)> = self
            .peers
            .map
            .iter()
            .map(|(uid, peer)| (uid, &peer.settled))
            .filter(|(_, settled)| settled.is_listed())
            .collect();
        all.sort_by_key(|(uid, settled)| (std::cmp::Reverse(settled.last_seq), (*uid).clone()));
        let older = all.into_iter().filter(|(_, c)| after == Seq::ZERO || c.last_seq < after);
        let limit = page_limit(limit);
        let (mut bytes, mut more, mut conversations) = (0, false, Vec::new());
        for (uid, settled) in older {
            bytes += settled.last.len() + CONVERSATION_BYTES + settled.deleted.ranges().len() * DELETED_RANGE_BYTES;
            let full = conversations.len() >= limit.rows || bytes > limit.bytes;
            // Users that were only blocked have no seq that a page could go on after: they come all at once.
            more = !conversations.is_empty() && full && settled.last_seq > Seq::ZERO;
            if more {
                break;
            }
            conversations.push(view(uid, settled, as_of));
        }
        let answer = wire::Conversations { conversations, as_of: as_of.get(), more };
        self.answer(from, op_id, wire::server_frame::Body::Conversations(answer));
    }
}

/// Whether a page is not the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

/// The part of a history that is not in memory.
struct Older {
    owner: Uid,
    peer: Uid,
    before: Seq,
    settled: Conversation,
    limit: PageLimit,
}

impl Older {
    /// Fills the page from the store, bucket by bucket.
    async fn read(
        mut self,
        store: Arc<dyn Store>,
        mut page: Vec<(Seq, Bytes)>,
    ) -> Result<(Vec<(Seq, Bytes)>, More), StoreError> {
        let first = self.settled.first_shown();
        while self.before > first {
            let limit = PageLimit {
                rows: self.limit.rows.saturating_sub(page.len()),
                bytes: self.limit.bytes.saturating_sub(bytes_of(&page)),
            };
            if limit.rows == 0 || limit.bytes == 0 {
                return Ok((page, More::Yes));
            }
            let bucket = self.settled.bucket_before(self.before);
            let (owner, peer, before) = (self.owner.clone(), self.peer.clone(), self.before);
            let rows = store.read_history(HistoryRange { owner, peer, bucket, before }, limit).await?;
            let more = rows.more;
            let rows = read_rows_of_history(rows)?;
            let Some(last) = rows.last().map(|row| row.seq) else {
                // A bucket that has nothing below `before`: the next older one.
                let starts = usize::try_from(bucket).ok().and_then(|at| self.settled.bucket_first_seqs.get(at));
                self.before = starts.copied().unwrap_or_default().min(self.before.prev());
                continue;
            };
            self.before = self.settled.deleted.skip(last);
            let shown = rows.into_iter().filter(|row| !self.settled.deleted.contains(row.seq));
            page.extend(shown.map(|row| (row.seq, row.entry)));
            if more && !page.is_empty() {
                return Ok((page, More::Yes));
            }
        }
        Ok((page, More::No))
    }
}

/// One stored row of a history.
pub(super) struct HistoryItem {
    pub(super) seq: Seq,
    pub(super) entry: Bytes,
    pub(super) n: u64,
    pub(super) place: Option<Place>,
}

/// Decodes a page of history.
pub(super) fn read_rows_of_history(page: Page) -> Result<Vec<HistoryItem>, StoreError> {
    let item = |row: crate::port::store::Row| {
        let stored = record::HistoryRow::decode(row.value).map_err(|_| corrupt("history"))?;
        let place = stored.peer.as_ref().map(place_from_record).transpose().map_err(|_| corrupt("history"))?;
        Ok(HistoryItem { seq: row.seq, entry: stored.entry, n: stored.n, place })
    };
    page.rows.into_iter().map(item).collect()
}

fn view(uid: &Uid, settled: &Conversation, as_of: Seq) -> wire::ConversationView {
    wire::ConversationView {
        conversation: Some(conversation_with(uid)),
        last: Some(settled.last.clone())
            .filter(|last| !last.is_empty())
            .and_then(|last| wire::Entry::decode(last).ok()),
        unread: settled.unread(),
        last_read: settled.last_read.get(),
        upto: as_of.get(),
        pinned: settled.pinned,
        muted: settled.muted,
        blocked: settled.blocked,
        deleted: settled.deleted.ranges().iter().map(range).collect(),
        delivered_upto: settled.got_delivered_upto.get(),
        read_upto: settled.got_read_upto.get(),
        place: 0,
    }
}

fn range(range: &Range) -> wire::DeletedRange {
    wire::DeletedRange { from: range.from.get(), upto: range.upto.get() }
}

fn page_limit(limit: usize) -> PageLimit {
    let rows = if limit == 0 { PAGE_ENTRIES_MAX } else { limit.min(PAGE_ENTRIES_MAX) };
    PageLimit { rows, bytes: PAGE_BYTES_MAX }
}

fn bytes_of(page: &[(Seq, Bytes)]) -> usize {
    page.iter().map(|(_, entry)| entry.len()).sum()
}

/// The first rows that fit; at least one.
fn cut(rows: impl Iterator<Item = (Seq, Bytes)>, limit: PageLimit) -> Vec<(Seq, Bytes)> {
    let mut bytes = 0;
    let fits = |(at, (_, entry)): &(usize, (Seq, Bytes))| {
        bytes += entry.len();
        *at == 0 || (*at < limit.rows && bytes <= limit.bytes)
    };
    rows.enumerate().take_while(fits).map(|(_, row)| row).collect()
}
