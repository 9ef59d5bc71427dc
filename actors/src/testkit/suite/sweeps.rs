//! Cases of the suite: retention, and the list of inboxes it walks.

use std::collections::BTreeSet;

use tidings_schema::id::{Seq, Uid};

use super::{
    STAMP, Tested, append_of, appends::cases, everything, inbox, read_all, rows, rows_at_most, set, text_of, uid,
};
use crate::port::store::{APPEND_ROWS_MAX, Key, Row, SWEEP_ROWS_MAX, Scan, StoreError};

async fn sweep(store: &Tested, user: &str, from: u64, below: u64) -> Result<(), StoreError> {
    store.sweep(inbox(user), Seq::new(from), Seq::new(below)).await
}

/// The rows after `after`.
async fn rows_after(store: &Tested, user: &str, after: u64) -> Vec<Row> {
    store.read(inbox(user), Seq::new(after), Seq::new(u64::MAX), everything()).await.unwrap().rows
}

cases! {
    a_swept_row_is_gone_and_the_others_stay(store) {
        store.append(append_of("a", 1..=9)).await.unwrap();
        sweep(&store, "a", 1, 4).await.unwrap();
        assert!(read_all(&store, "a").await.is_empty(), "a read does not begin behind a gap");
        assert!(rows_after(&store, "a", 2).await.is_empty());
        assert_eq!(rows_after(&store, "a", 3).await, rows(4..=9));
        let back = store.read_back(inbox("a"), Seq::new(u64::MAX), everything()).await.unwrap();
        assert_eq!(back.rows.into_iter().rev().collect::<Vec<_>>(), rows(4..=9));
    }

    a_sweep_again_changes_nothing(store) {
        store.append(append_of("a", 1..=9)).await.unwrap();
        for from in [1, 1, 2, 4] {
            sweep(&store, "a", from, 5).await.unwrap();
        }
        assert_eq!(rows_after(&store, "a", 4).await, rows(5..=9));
    }

    a_sweep_touches_no_other_inbox_and_no_record(store) {
        for user in ["a", "ab", "b"] {
            store.append(append_of(user, 1..=5)).await.unwrap();
        }
        let records = [
            Key::Head(inbox("a")),
            Key::Checkpoint(uid("a")),
            Key::History { owner: uid("a"), peer: uid("b"), bucket: 0, seq: Seq::new(2) },
        ];
        store.put(records.iter().map(|key| set(key.clone(), "kept")).collect(), STAMP).await.unwrap();
        sweep(&store, "a", 1, 5).await.unwrap();
        for user in ["ab", "b"] {
            assert_eq!(read_all(&store, user).await, rows(1..=5), "{user}");
        }
        for key in records {
            assert_eq!(text_of(&store, key).await.unwrap(), "kept");
        }
    }

    a_sweep_of_nothing_is_fine(store) {
        sweep(&store, "a", 1, 1).await.unwrap();
        sweep(&store, "a", 1, 5).await.unwrap();
        store.append(append_of("a", 1..=2)).await.unwrap();
        sweep(&store, "a", 2, 2).await.unwrap();
        assert_eq!(read_all(&store, "a").await, rows(1..=2));
    }

    too_many_swept_rows_are_refused(store) {
        store.append(append_of("a", 1..=2)).await.unwrap();
        for (from, below) in [(1, SWEEP_ROWS_MAX + 2), (2, 1), (0, u64::MAX)] {
            assert!(matches!(sweep(&store, "a", from, below).await, Err(StoreError::Rejected(_))), "{from} {below}");
        }
        assert_eq!(read_all(&store, "a").await, rows(1..=2));
        sweep(&store, "a", 1, SWEEP_ROWS_MAX + 1).await.unwrap();
        assert!(rows_after(&store, "a", 1).await.is_empty());
    }

    a_swept_timeline_goes_on(store) {
        store.append(append_of("a", 1..=3)).await.unwrap();
        sweep(&store, "a", 1, 3).await.unwrap();
        store.append(append_of("a", 4..=5)).await.unwrap();
        assert_eq!(rows_after(&store, "a", 2).await, rows(3..=5));
    }

    a_page_that_begins_at_the_first_kept_row_is_full(store) {
        let batch = APPEND_ROWS_MAX as u64;
        for first in (1..=4 * batch).step_by(APPEND_ROWS_MAX) {
            store.append(append_of("a", first..=first + batch - 1)).await.unwrap();
        }
        sweep(&store, "a", 1, 3 * batch).await.unwrap();
        let page = store.read(inbox("a"), Seq::new(3 * batch - 1), Seq::new(4 * batch), rows_at_most(5)).await.unwrap();
        assert_eq!((page.rows, page.more), (rows(3 * batch..=3 * batch + 4), true));
    }

    inboxes_are_listed_once_each(store) {
        let long = "x".repeat(64);
        let all: BTreeSet<Uid> = ["b", "aa", "@x", "ab", "a", "zz", &long].map(uid).into();
        for owner in &all {
            let head = Key::Head(inbox(owner.as_str()));
            for text in ["1", "2"] {
                store.put(vec![set(head.clone(), text), set(Key::Checkpoint(owner.clone()), text)], STAMP).await.unwrap();
            }
        }
        store.append(append_of("headless", 1..=1)).await.unwrap();
        for limit in [1, 3, 100] {
            let (mut after, mut listed) = (None, Vec::new());
            loop {
                let page = store.scan(Scan::Inboxes, after, limit).await.unwrap();
                assert!(page.uids.len() <= limit);
                after = page.uids.last().cloned();
                listed.extend(page.uids);
                if !page.more {
                    break;
                }
            }
            assert_eq!(listed.len(), all.len(), "none twice");
            assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), all);
        }
    }
}
