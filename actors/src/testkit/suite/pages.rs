//! Cases of the suite: reading timelines and histories.

use tidings_schema::id::Seq;

use super::{
    STAMP, Tested, append_of, appends::cases, everything, inbox, read_all, rows, rows_at_most, seqs, uid, value,
};
use crate::port::store::{BUCKET_ROWS, Change, HistoryRange, Key, PageLimit};

async fn fill_history(store: &Tested, owner: &str, peer: &str, bucket: u64, seqs: std::ops::RangeInclusive<u64>) {
    let change = |seq| Change {
        key: Key::History { owner: uid(owner), peer: uid(peer), bucket, seq: Seq::new(seq) },
        value: Some(value(seq)),
    };
    store.put(seqs.map(change).collect(), STAMP).await.unwrap();
}

fn history(owner: &str, peer: &str, bucket: u64, before: u64) -> HistoryRange {
    HistoryRange { owner: uid(owner), peer: uid(peer), bucket, before: Seq::new(before) }
}

cases! {
    a_page_ends_at_its_rows(store) {
        store.append(append_of("a", 1..=5)).await.unwrap();
        let page = store.read(inbox("a"), Seq::new(1), Seq::new(9), rows_at_most(3)).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![2, 3, 4], true));
        let page = store.read(inbox("a"), Seq::new(1), Seq::new(9), rows_at_most(5)).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![2, 3, 4, 5], false));
    }

    a_page_ends_at_its_bytes(store) {
        store.append(append_of("a", 1..=5)).await.unwrap();
        let limit = PageLimit { rows: 100, bytes: 2 * value(1).len() + 1 };
        let page = store.read(inbox("a"), Seq::ZERO, Seq::new(9), limit).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![1, 2], true));
    }

    a_page_has_at_least_one_row(store) {
        store.append(append_of("a", 1..=2)).await.unwrap();
        let limit = PageLimit { rows: 0, bytes: 0 };
        let page = store.read(inbox("a"), Seq::ZERO, Seq::new(9), limit).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![1], true));
        let page = store.read_back(inbox("a"), Seq::new(9), limit).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![2], true));
        fill_history(&store, "a", "b", 0, 1..=2).await;
        let page = store.read_history(history("a", "b", 0, 9), limit).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![2], true));
    }

    pages_join_without_gap_or_repeat(store) {
        store.append(append_of("a", 1..=20)).await.unwrap();
        let (mut after, mut joined) = (Seq::ZERO, Vec::new());
        loop {
            let page = store.read(inbox("a"), after, Seq::new(20), rows_at_most(3)).await.unwrap();
            after = page.rows.last().map_or(after, |row| row.seq);
            joined.extend(page.rows);
            if !page.more {
                break;
            }
        }
        assert_eq!(joined, rows(1..=20));
    }

    a_read_stays_below_its_ceiling(store) {
        store.append(append_of("a", 1..=5)).await.unwrap();
        for (after, ceiling, expected) in [(0, 3, vec![1, 2, 3]), (2, 2, vec![]), (4, 2, vec![]), (0, 0, vec![])] {
            let page = store.read(inbox("a"), Seq::new(after), Seq::new(ceiling), everything()).await.unwrap();
            assert_eq!((seqs(&page), page.more), (expected, false));
        }
    }

    a_read_stops_before_a_gap(store) {
        store.append(append_of("a", 1..=3)).await.unwrap();
        store.append(append_of("a", 5..=6)).await.unwrap();
        let page = store.read(inbox("a"), Seq::ZERO, Seq::new(9), everything()).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![1, 2, 3], false));
    }

    a_read_does_not_start_behind_a_gap(store) {
        store.append(append_of("a", 5..=6)).await.unwrap();
        let page = store.read(inbox("a"), Seq::new(3), Seq::new(9), everything()).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![], false));
        let page = store.read(inbox("a"), Seq::new(4), Seq::new(9), everything()).await.unwrap();
        assert_eq!(seqs(&page), vec![5, 6]);
    }

    an_empty_timeline_reads_as_empty(store) {
        store.append(append_of("b", 1..=1)).await.unwrap();
        let page = store.read(inbox("a"), Seq::ZERO, Seq::new(u64::MAX), everything()).await.unwrap();
        assert_eq!((page.rows, page.more), (vec![], false));
        let page = store.read_back(inbox("a"), Seq::new(u64::MAX), everything()).await.unwrap();
        assert_eq!((page.rows, page.more), (vec![], false));
        let page = store.read_history(history("a", "b", 0, u64::MAX), everything()).await.unwrap();
        assert_eq!((page.rows, page.more), (vec![], false));
    }

    a_read_back_is_newest_first(store) {
        store.append(append_of("a", 1..=5)).await.unwrap();
        for (before, expected) in [(9, vec![5, 4, 3, 2, 1]), (5, vec![4, 3, 2, 1]), (1, vec![]), (0, vec![])] {
            let page = store.read_back(inbox("a"), Seq::new(before), everything()).await.unwrap();
            assert_eq!((seqs(&page), page.more), (expected, false));
        }
    }

    a_read_back_is_limited_like_a_read(store) {
        store.append(append_of("a", 1..=5)).await.unwrap();
        let page = store.read_back(inbox("a"), Seq::new(5), rows_at_most(2)).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![4, 3], true));
        let limit = PageLimit { rows: 100, bytes: 3 * value(1).len() };
        let page = store.read_back(inbox("a"), Seq::new(6), limit).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![5, 4, 3], true));
    }

    users_whose_ids_are_prefixes_do_not_mix(store) {
        let long = "x".repeat(64);
        let longer = format!("{}y", "x".repeat(63));
        for (count, user) in ["a", "ab", "a.", "@x", "@xa", &long, &longer, "b"].iter().enumerate() {
            store.append(append_of(user, 1..=count as u64 + 1)).await.unwrap();
        }
        for (count, user) in ["a", "ab", "a.", "@x", "@xa", &long, &longer, "b"].iter().enumerate() {
            assert_eq!(read_all(&store, user).await, rows(1..=count as u64 + 1), "{user}");
            let page = store.read_back(inbox(user), Seq::new(u64::MAX), everything()).await.unwrap();
            assert_eq!(page.rows.len(), count + 1, "{user}");
        }
    }

    a_history_page_is_newest_first(store) {
        fill_history(&store, "a", "b", 0, 3..=3).await;
        fill_history(&store, "a", "b", 0, 7..=9).await;
        let page = store.read_history(history("a", "b", 0, 9), everything()).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![8, 7, 3], false));
        assert_eq!(page.rows[2].value, value(3));
        let page = store.read_history(history("a", "b", 0, 99), rows_at_most(2)).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![9, 8], true));
    }

    a_history_is_read_bucket_by_bucket(store) {
        fill_history(&store, "a", "b", 0, 3..=4).await;
        fill_history(&store, "a", "b", 1, 20..=21).await;
        let page = store.read_history(history("a", "b", 1, 99), everything()).await.unwrap();
        assert!(seqs(&page) == [21, 20] || seqs(&page) == [21, 20, 4, 3], "{page:?}");
        let page = store.read_history(history("a", "b", 0, 20), everything()).await.unwrap();
        assert_eq!(seqs(&page), [4, 3]);
    }

    histories_of_other_pairs_do_not_mix(store) {
        fill_history(&store, "a", "bc", 0, 1..=1).await;
        fill_history(&store, "ab", "c", 0, 2..=2).await;
        fill_history(&store, "a", "b", 0, 3..=3).await;
        fill_history(&store, "b", "a", 0, 4..=4).await;
        store.append(append_of("a", 9..=9)).await.unwrap();
        for (owner, peer, expected) in [("a", "bc", 1), ("ab", "c", 2), ("a", "b", 3), ("b", "a", 4)] {
            let page = store.read_history(history(owner, peer, 0, u64::MAX), everything()).await.unwrap();
            assert_eq!(seqs(&page), [expected], "{owner} {peer}");
        }
    }

    the_last_seq_there_is_can_be_stored(store) {
        // No bucket border lies between the two.
        assert_ne!((u64::MAX - 1) % BUCKET_ROWS, 0);
        store.append(append_of("a", u64::MAX - 1..=u64::MAX)).await.unwrap();
        store.append(append_of("b", 1..=1)).await.unwrap();
        let page = store.read(inbox("a"), Seq::new(u64::MAX - 2), Seq::new(u64::MAX), everything()).await.unwrap();
        assert_eq!(seqs(&page), [u64::MAX - 1, u64::MAX]);
        let page = store.read_back(inbox("a"), Seq::new(u64::MAX), everything()).await.unwrap();
        assert_eq!(seqs(&page), [u64::MAX - 1]);
    }
}
