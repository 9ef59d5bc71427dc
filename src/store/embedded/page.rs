//! Reading: pages of rows, lists, records. Every value is checked before it leaves; only what was synced is ever seen.

use std::{ops::Bound, str::FromStr};

use bytes::Bytes;
use fjall::Guard;
use tidings_actors::port::store::{
    GroupScan, GroupScanPage, HistoryRange, Key, MembersPage, Page, PageLimit, Row, Scan, ScanPage, StoreError,
    TimelineId,
};
use tidings_schema::id::{Gid, Seq, Uid};

use super::{
    engine::{Engine, store_error},
    key::{self, ListKeys},
    value,
};

type Result<T> = std::result::Result<T, StoreError>;

/// Values of records.
pub(super) fn get(engine: &Engine, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
    let mut stored_key = Vec::with_capacity(144);
    let mut get_one = |name: &Key| {
        key::record(&mut stored_key, name);
        let stored = engine.keyspace(name).get(&stored_key).map_err(|error| store_error(&error))?;
        stored.map(|stored| value::unpack(&stored).ok_or_else(|| corrupt(format!("{name:?}")))).transpose()
    };
    keys.iter().map(&mut get_one).collect()
}

/// A page of a list of users.
pub(super) fn scan(engine: &Engine, scan: &Scan, after: Option<&Uid>, limit: usize) -> Result<ScanPage> {
    let (uids, more) = listed(engine, key::list(scan, after), limit, || format!("{scan:?}"))?;
    Ok(ScanPage { uids, more })
}

/// A page of a list of groups.
pub(super) fn scan_groups(
    engine: &Engine,
    scan: &GroupScan,
    after: Option<&Gid>,
    limit: usize,
) -> Result<GroupScanPage> {
    let (gids, more) = listed(engine, key::list_groups(scan, after), limit, || format!("groups {scan:?}"))?;
    Ok(GroupScanPage { gids, more })
}

fn listed<I: FromStr>(
    engine: &Engine,
    ListKeys { range, prefix_bytes }: ListKeys,
    limit: usize,
    name: impl Fn() -> String,
) -> Result<(Vec<I>, bool)> {
    let mut ids = Vec::new();
    for guard in engine.record().range(range) {
        if ids.len() >= limit {
            return Ok((ids, true));
        }
        let stored = guard.key().map_err(|error| store_error(&error))?;
        ids.push(last_id(&stored, prefix_bytes).ok_or_else(|| corrupt(name()))?);
    }
    Ok((ids, false))
}

fn last_id<I: FromStr>(key: &[u8], prefix_bytes: usize) -> Option<I> {
    std::str::from_utf8(key.get(prefix_bytes..)?).ok()?.parse().ok()
}

/// Member records of a group, by uid.
pub(super) fn members(engine: &Engine, gid: &Gid, after: Option<&Uid>, limit: PageLimit) -> Result<MembersPage> {
    let ListKeys { range, prefix_bytes } = key::members(gid, after);
    let (mut page, mut bytes) = (MembersPage::default(), 0);
    for guard in engine.record().range(range) {
        let (stored_key, stored) = guard.into_inner().map_err(|error| store_error(&error))?;
        bytes += stored.len().saturating_sub(value::CHECKSUM_BYTES);
        if !page.members.is_empty() && (page.members.len() >= limit.rows || bytes > limit.bytes) {
            page.more = true;
            break;
        }
        let uid = last_id(&stored_key, prefix_bytes).ok_or_else(|| corrupt(format!("a member of group {gid}")))?;
        let value = value::unpack(&stored).ok_or_else(|| corrupt(format!("member {uid} of group {gid}")))?;
        page.members.push((uid, value));
    }
    Ok(page)
}

/// Rows of a timeline, oldest first, up to a gap.
pub(super) fn read(engine: &Engine, timeline: &TimelineId, after: Seq, ceiling: Seq, limit: PageLimit) -> Result<Page> {
    if after >= ceiling {
        return Ok(Page::default());
    }
    let (mut from, mut to) = (Vec::with_capacity(80), Vec::with_capacity(80));
    key::row(&mut from, timeline, after);
    key::row(&mut to, timeline, ceiling);
    let rows = engine.log().range((Bound::Excluded(from), Bound::Included(to)));
    let mut due = after;
    let in_order = |seq| {
        due = due.next();
        seq == due
    };
    collect(rows, limit, in_order, |seq| format!("{timeline:?} row {seq}"))
}

/// Rows of a timeline, newest first.
pub(super) fn read_back(engine: &Engine, timeline: &TimelineId, before: Seq, limit: PageLimit) -> Result<Page> {
    let (mut from, mut to) = (Vec::with_capacity(80), Vec::with_capacity(80));
    key::row(&mut from, timeline, Seq::ZERO);
    key::row(&mut to, timeline, before);
    let rows = engine.log().range((Bound::Included(from), Bound::Excluded(to))).rev();
    collect(rows, limit, |_| true, |seq| format!("{timeline:?} row {seq}"))
}

/// Rows of a conversation's history, newest first, of all buckets.
pub(super) fn read_history(engine: &Engine, range: &HistoryRange, limit: PageLimit) -> Result<Page> {
    let HistoryRange { owner, peer, bucket: _, before } = range;
    let (mut from, mut to) = (Vec::with_capacity(144), Vec::with_capacity(144));
    key::history(&mut from, owner, peer, Seq::ZERO);
    key::history(&mut to, owner, peer, *before);
    let rows = engine.history().range((Bound::Included(from), Bound::Excluded(to))).rev();
    collect(rows, limit, |_| true, |seq| format!("history of {owner} with {peer} row {seq}"))
}

fn collect(
    rows: impl Iterator<Item = Guard>,
    limit: PageLimit,
    mut follows: impl FnMut(Seq) -> bool,
    name: impl Fn(Seq) -> String,
) -> Result<Page> {
    let mut page = Page::default();
    let mut bytes = 0;
    for guard in rows {
        let (stored_key, stored) = guard.into_inner().map_err(|error| store_error(&error))?;
        let seq = key::seq_of(&stored_key).unwrap_or(Seq::ZERO);
        if !follows(seq) {
            break;
        }
        bytes += stored.len().saturating_sub(value::CHECKSUM_BYTES);
        if !page.rows.is_empty() && (page.rows.len() >= limit.rows || bytes > limit.bytes) {
            page.more = true;
            break;
        }
        let value = value::unpack(&stored).ok_or_else(|| corrupt(name(seq)))?;
        page.rows.push(Row { seq, value });
    }
    Ok(page)
}

fn corrupt(what: String) -> StoreError {
    metrics::counter!("tidings_store_corrupt_total").increment(1);
    tracing::error!(what, "stored record is damaged");
    StoreError::Corrupt(what)
}
