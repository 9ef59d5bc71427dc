//! Cases of the suite: appends, their records, redaction.

use bytes::Bytes;
use tidings_schema::id::Seq;

use super::{STAMP, Tested, append_of, assert_rejected, inbox, read_all, rows, set, text_of, uid};
use crate::port::store::{APPEND_BYTES_MAX, APPEND_ROWS_MAX, BUCKET_ROWS, Key, Row, StoreError};

macro_rules! cases {
    ($($name:ident($store:ident) $body:block)+) => {
        $(
            #[doc = concat!("Case `", stringify!($name), "`.")]
            pub async fn $name($store: Tested) $body
        )+
    };
}
pub(super) use cases;

fn sized(seq: u64, bytes: usize) -> Row {
    Row { seq: Seq::new(seq), value: Bytes::from(vec![7; bytes]) }
}

cases! {
    appended_rows_are_read_back_as_they_were(store) {
        store.append(append_of("a", 1..=3)).await.unwrap();
        store.append(append_of("a", 4..=4)).await.unwrap();
        assert_eq!(read_all(&store, "a").await, rows(1..=4));
    }

    the_same_append_again_changes_nothing(store) {
        for _ in 0..3 {
            store.append(append_of("a", 1..=3)).await.unwrap();
        }
        assert_eq!(read_all(&store, "a").await, rows(1..=3));
    }

    an_overlapping_append_is_fine(store) {
        store.append(append_of("a", 1..=3)).await.unwrap();
        store.append(append_of("a", 2..=5)).await.unwrap();
        assert_eq!(read_all(&store, "a").await, rows(1..=5));
    }

    records_of_an_append_are_durable_with_its_rows(store) {
        let key = Key::Conversation(uid("a"), uid("b"));
        let mut append = append_of("a", 1..=1);
        append.with = vec![set(key.clone(), "state"), set(Key::Peer(uid("a"), uid("b")), "")];
        store.append(append).await.unwrap();
        assert_eq!(text_of(&store, key.clone()).await.unwrap(), "state");
        let mut append = append_of("a", 2..=2);
        append.with = vec![crate::port::store::Change { key: key.clone(), value: None }];
        store.append(append).await.unwrap();
        assert_eq!(text_of(&store, key).await, None);
        assert!(text_of(&store, Key::Peer(uid("a"), uid("b"))).await.is_some());
    }

    a_refused_append_leaves_nothing(store) {
        let mut append = append_of("a", 1..=2);
        append.rows[1].seq = Seq::new(7);
        append.with = vec![set(Key::Checkpoint(uid("a")), "x")];
        assert_rejected(&store, append).await;
        assert!(read_all(&store, "a").await.is_empty());
        assert_eq!(text_of(&store, Key::Checkpoint(uid("a"))).await, None);
    }

    rows_that_are_not_contiguous_are_refused(store) {
        for second in [1, 3, 0] {
            let mut append = append_of("a", 1..=2);
            append.rows[1].seq = Seq::new(second);
            assert_rejected(&store, append).await;
        }
    }

    seq_zero_is_refused(store) {
        assert_rejected(&store, append_of("a", 0..=0)).await;
    }

    an_append_without_rows_is_refused(store) {
        let mut append = append_of("a", 1..=1);
        append.rows.clear();
        assert_rejected(&store, append).await;
    }

    too_many_rows_are_refused(store) {
        let max = APPEND_ROWS_MAX as u64;
        assert_rejected(&store, append_of("a", 1..=max + 1)).await;
        store.append(append_of("a", 1..=max)).await.unwrap();
    }

    too_many_bytes_are_refused_but_not_in_a_single_row(store) {
        let mut append = append_of("a", 1..=2);
        append.rows = vec![sized(1, APPEND_BYTES_MAX), sized(2, 1)];
        assert_rejected(&store, append.clone()).await;
        append.rows = vec![sized(1, APPEND_BYTES_MAX - 1), sized(2, 1)];
        store.append(append.clone()).await.unwrap();
        append.rows = vec![sized(3, 5 * APPEND_BYTES_MAX)];
        store.append(append).await.unwrap();
        let stored = read_all(&store, "a").await;
        assert_eq!(stored.iter().map(|row| row.value.len()).collect::<Vec<_>>(), [16_383, 1, 81_920]);
    }

    an_append_across_a_bucket_is_refused(store) {
        assert_rejected(&store, append_of("a", BUCKET_ROWS..=BUCKET_ROWS + 1)).await;
        store.append(append_of("a", BUCKET_ROWS - 1..=BUCKET_ROWS)).await.unwrap();
        store.append(append_of("a", BUCKET_ROWS + 1..=BUCKET_ROWS + 2)).await.unwrap();
        let page = store.read(inbox("a"), Seq::new(BUCKET_ROWS - 2), Seq::new(u64::MAX), super::everything());
        assert_eq!(page.await.unwrap().rows, rows(BUCKET_ROWS - 1..=BUCKET_ROWS + 2));
    }

    many_appends_at_once_all_become_durable(store) {
        let names: Vec<String> = (0..200).map(|number| format!("u{number}")).collect();
        let replies: Vec<_> = names.iter().map(|name| store.append(append_of(name, 1..=2))).collect();
        for reply in replies {
            reply.await.unwrap();
        }
        for name in &names {
            assert_eq!(read_all(&store, name).await, rows(1..=2));
        }
    }

    a_redacted_row_is_read_in_its_new_form(store) {
        store.append(append_of("a", 1..=3)).await.unwrap();
        let row = Row { seq: Seq::new(2), value: Bytes::from_static(b"redacted") };
        store.redact(inbox("a"), row.clone(), STAMP).await.unwrap();
        store.redact(inbox("a"), row.clone(), STAMP).await.unwrap();
        let mut expected = rows(1..=3);
        expected[1] = row;
        assert_eq!(read_all(&store, "a").await, expected);
    }

    a_row_that_is_not_there_cannot_be_redacted(store) {
        store.append(append_of("a", 1..=3)).await.unwrap();
        for (user, seq) in [("a", 4), ("ab", 1)] {
            let row = Row { seq: Seq::new(seq), value: Bytes::from_static(b"redacted") };
            let refused = store.redact(inbox(user), row, STAMP).await;
            assert!(matches!(refused, Err(StoreError::Rejected(_))));
        }
        assert_eq!(read_all(&store, "a").await, rows(1..=3));
        assert!(read_all(&store, "ab").await.is_empty());
    }

    a_dropped_reply_harms_nobody(store) {
        drop(store.append(append_of("a", 1..=1)));
        drop(store.read(inbox("a"), Seq::ZERO, Seq::new(1), super::everything()));
        store.append(append_of("a", 1..=2)).await.unwrap();
        assert_eq!(read_all(&store, "a").await, rows(1..=2));
    }
}
