//! The conformance suite: every sentence of the store port as a case. Invoke [`crate::store_suite`] once per store.
//!
//! A case gets a store of its own, empty. What the port leaves open (buckets, a page that is exactly full) is left open.

pub mod appends;
pub mod groups;
pub mod pages;
pub mod records;
pub mod sweeps;

use std::{ops::RangeInclusive, sync::Arc};

use bytes::Bytes;
use tidings_schema::id::{DeviceId, Gid, MessageId, Seq, Uid};

use crate::port::{
    ownership::Stamp,
    store::{Append, Change, Key, Page, PageLimit, Row, Store, StoreError, TimelineId},
};

/// Makes one test per case. The argument is an expression that makes a future of `(Arc<dyn Store>, guard)`; the guard
/// lives as long as the case.
#[macro_export]
macro_rules! store_suite {
    ($make:expr) => {
        $crate::store_suite!(@cases $make, appends:
            appended_rows_are_read_back_as_they_were,
            the_same_append_again_changes_nothing,
            an_overlapping_append_is_fine,
            records_of_an_append_are_durable_with_its_rows,
            a_refused_append_leaves_nothing,
            rows_that_are_not_contiguous_are_refused,
            seq_zero_is_refused,
            an_append_without_rows_is_refused,
            too_many_rows_are_refused,
            too_many_bytes_are_refused_but_not_in_a_single_row,
            an_append_across_a_bucket_is_refused,
            many_appends_at_once_all_become_durable,
            a_redacted_row_is_read_in_its_new_form,
            a_row_that_is_not_there_cannot_be_redacted,
            a_dropped_reply_harms_nobody,
        );
        $crate::store_suite!(@cases $make, pages:
            a_page_ends_at_its_rows,
            a_page_ends_at_its_bytes,
            a_page_has_at_least_one_row,
            pages_join_without_gap_or_repeat,
            a_read_stays_below_its_ceiling,
            a_read_stops_before_a_gap,
            a_read_does_not_start_behind_a_gap,
            an_empty_timeline_reads_as_empty,
            a_read_back_is_newest_first,
            a_read_back_is_limited_like_a_read,
            users_whose_ids_are_prefixes_do_not_mix,
            a_history_page_is_newest_first,
            a_history_is_read_bucket_by_bucket,
            histories_of_other_pairs_do_not_mix,
            the_last_seq_there_is_can_be_stored,
        );
        $crate::store_suite!(@cases $make, records:
            values_come_in_the_order_of_the_keys,
            a_put_overwrites_and_removes,
            an_empty_value_is_a_value,
            empty_calls_are_fine,
            a_put_for_two_owners_is_refused,
            a_later_change_of_the_same_key_wins,
            every_kind_of_key_is_its_own_record,
            keys_that_are_prefixes_of_each_other_do_not_mix,
            a_scan_is_ascending_and_paged,
            a_scan_sees_only_its_own_list,
            a_removed_key_is_not_scanned,
            a_mark_goes_with_records_of_any_owner,
        );
        $crate::store_suite!(@cases $make, sweeps:
            a_swept_row_is_gone_and_the_others_stay,
            a_sweep_again_changes_nothing,
            a_sweep_touches_no_other_inbox_and_no_record,
            a_sweep_of_nothing_is_fine,
            too_many_swept_rows_are_refused,
            a_swept_timeline_goes_on,
            a_page_that_begins_at_the_first_kept_row_is_full,
            inboxes_are_listed_once_each,
        );
        $crate::store_suite!(@cases $make, groups:
            a_group_and_an_inbox_of_the_same_id_are_two,
            a_group_row_is_redacted_in_its_own_timeline,
            a_sweep_of_a_group_touches_no_inbox,
            a_group_is_read_in_pages_both_ways,
            groups_whose_ids_are_prefixes_do_not_mix,
            records_of_a_group_are_durable_with_its_rows,
            every_key_of_a_group_is_its_own_record,
            a_put_for_a_user_and_a_group_of_the_same_id_is_refused,
            a_message_id_is_another_in_each_timeline,
            members_come_in_pages_with_their_values,
            a_page_of_members_ends_at_its_bytes_and_has_at_least_one,
            members_of_other_groups_do_not_mix,
            a_removed_member_is_not_read,
            marks_of_users_and_groups_are_two_lists,
            peers_of_a_user_are_users_or_groups,
            groups_are_listed_once_each,
            a_scan_of_groups_is_ascending_and_paged,
        );
    };
    (@cases $make:expr, $group:ident: $($case:ident,)+) => {
        mod $group {
            #[allow(unused_imports, reason = "what the expression needs")]
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let (store, _guard) = $make.await;
                    $crate::testkit::suite::$group::$case(store).await;
                }
            )+
        }
    };
}

/// A store under test.
pub type Tested = Arc<dyn Store>;

/// A stamp; the suite never writes a key with an older one.
pub const STAMP: Stamp = Stamp(1);

/// A valid user id.
#[must_use]
pub fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

/// A valid device id.
#[must_use]
pub fn device(text: &str) -> DeviceId {
    text.parse().unwrap()
}

/// A message id of its own for each number.
#[must_use]
pub fn message_id(number: u8) -> MessageId {
    MessageId::from_slice(&[number.max(1); 16]).unwrap()
}

/// The inbox of a user.
#[must_use]
pub fn inbox(text: &str) -> TimelineId {
    TimelineId::Inbox(uid(text))
}

/// A valid group id.
#[must_use]
pub fn gid(text: &str) -> Gid {
    text.parse().unwrap()
}

/// The log of a group.
#[must_use]
pub fn group(text: &str) -> TimelineId {
    TimelineId::Group(gid(text))
}

/// A value that tells its seq.
#[must_use]
pub fn value(seq: u64) -> Bytes {
    Bytes::from(format!("row {seq}"))
}

/// Rows with these seqs.
#[must_use]
pub fn rows(seqs: RangeInclusive<u64>) -> Vec<Row> {
    seqs.map(|seq| Row { seq: Seq::new(seq), value: value(seq) }).collect()
}

/// An append of rows with these seqs to an inbox.
#[must_use]
pub fn append_of(user: &str, seqs: RangeInclusive<u64>) -> Append {
    Append { timeline: inbox(user), rows: rows(seqs), with: Vec::new(), stamp: STAMP }
}

/// A change that writes a text.
#[must_use]
pub fn set(key: Key, text: &'static str) -> Change {
    Change { key, value: Some(Bytes::from_static(text.as_bytes())) }
}

/// A limit that no case reaches.
#[must_use]
pub const fn everything() -> PageLimit {
    PageLimit { rows: 100_000, bytes: 100_000_000 }
}

/// A limit of so many rows.
#[must_use]
pub const fn rows_at_most(rows: usize) -> PageLimit {
    PageLimit { rows, bytes: 100_000_000 }
}

/// All rows of an inbox.
pub async fn read_all(store: &Tested, user: &str) -> Vec<Row> {
    store.read(inbox(user), Seq::ZERO, Seq::new(u64::MAX), everything()).await.unwrap().rows
}

fn seqs(page: &Page) -> Vec<u64> {
    page.rows.iter().map(|row| row.seq.get()).collect()
}

async fn text_of(store: &Tested, key: Key) -> Option<String> {
    let value = store.get(vec![key]).await.unwrap().pop().unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

async fn assert_rejected(store: &Tested, append: Append) {
    assert!(matches!(store.append(append).await, Err(StoreError::Rejected(_))));
}
