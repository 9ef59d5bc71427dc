//! Cases of the suite: small records and scans.

use tidings_schema::id::{Seq, ShardId, Uid};

use super::{STAMP, Tested, append_of, appends::cases, device, inbox, message_id, set, text_of, uid};
use crate::port::store::{Change, Key, Scan, StoreError};

fn remove(key: Key) -> Change {
    Change { key, value: None }
}

fn history(owner: &str, peer: &str, seq: u64) -> Key {
    Key::History { owner: uid(owner), peer: uid(peer), bucket: 0, seq: Seq::new(seq) }
}

async fn put_one(store: &Tested, key: Key, text: &'static str) {
    store.put(vec![set(key, text)], STAMP).await.unwrap();
}

async fn scan_all(store: &Tested, scan: Scan) -> Vec<Uid> {
    let page = store.scan(scan, None, 1_000).await.unwrap();
    assert!(!page.more);
    page.uids
}

fn uids(texts: &[&str]) -> Vec<Uid> {
    texts.iter().map(|text| uid(text)).collect()
}

cases! {
    values_come_in_the_order_of_the_keys(store) {
        put_one(&store, Key::Checkpoint(uid("a")), "1").await;
        put_one(&store, Key::Checkpoint(uid("b")), "2").await;
        let keys = ["b", "c", "a", "b"].map(|name| Key::Checkpoint(uid(name)));
        let values = store.get(keys.to_vec()).await.unwrap();
        let values: Vec<_> = values.iter().map(Option::as_deref).collect();
        assert_eq!(values, [Some(&b"2"[..]), None, Some(b"1"), Some(b"2")]);
    }

    a_put_overwrites_and_removes(store) {
        let key = Key::Device(uid("a"), device("phone"));
        put_one(&store, key.clone(), "1").await;
        put_one(&store, key.clone(), "2").await;
        assert_eq!(text_of(&store, key.clone()).await.unwrap(), "2");
        store.put(vec![remove(key.clone())], STAMP).await.unwrap();
        assert_eq!(text_of(&store, key.clone()).await, None);
        store.put(vec![remove(key.clone())], STAMP).await.unwrap();
        put_one(&store, key.clone(), "3").await;
        assert_eq!(text_of(&store, key).await.unwrap(), "3");
    }

    an_empty_value_is_a_value(store) {
        let key = Key::Mark(ShardId::new(3), inbox("a"));
        put_one(&store, key.clone(), "").await;
        assert_eq!(text_of(&store, key).await.unwrap(), "");
    }

    empty_calls_are_fine(store) {
        store.put(vec![], STAMP).await.unwrap();
        assert!(store.get(vec![]).await.unwrap().is_empty());
        let page = store.scan(Scan::Peers(uid("a")), None, 10).await.unwrap();
        assert!(page.uids.is_empty() && !page.more);
    }

    a_put_for_two_owners_is_refused(store) {
        let (one, two) = (Key::Checkpoint(uid("a")), Key::Checkpoint(uid("b")));
        let refused = store.put(vec![set(one.clone(), "1"), set(two.clone(), "2")], STAMP).await;
        assert!(matches!(refused, Err(StoreError::Rejected(_))));
        assert_eq!((text_of(&store, one).await, text_of(&store, two).await), (None, None));
    }

    a_later_change_of_the_same_key_wins(store) {
        let key = Key::Checkpoint(uid("a"));
        store.put(vec![set(key.clone(), "1"), set(key.clone(), "2")], STAMP).await.unwrap();
        assert_eq!(text_of(&store, key.clone()).await.unwrap(), "2");
        store.put(vec![set(key.clone(), "3"), remove(key.clone())], STAMP).await.unwrap();
        assert_eq!(text_of(&store, key).await, None);
    }

    every_kind_of_key_is_its_own_record(store) {
        let keys = [
            Key::Head(inbox("a")),
            Key::Mark(ShardId::new(0), inbox("a")),
            Key::Checkpoint(uid("a")),
            Key::Conversation(uid("a"), uid("b")),
            Key::Peer(uid("a"), uid("b")),
            Key::Device(uid("a"), device("b")),
            Key::MessageId(inbox("a"), uid("b"), message_id(1)),
            history("a", "b", 1),
        ];
        let texts = ["head", "mark", "checkpoint", "conversation", "peer", "device", "message id", "history"];
        let changes = keys.iter().zip(texts).map(|(key, text)| set(key.clone(), text)).collect();
        store.put(changes, STAMP).await.unwrap();
        store.append(append_of("a", 1..=1)).await.unwrap();
        for (at, (key, text)) in keys.iter().zip(texts).enumerate() {
            assert_eq!(text_of(&store, key.clone()).await.unwrap(), text);
            store.put(vec![remove(key.clone())], STAMP).await.unwrap();
            let left = store.get(keys.to_vec()).await.unwrap().iter().flatten().count();
            assert_eq!(left, keys.len() - at - 1, "removed {text}");
        }
    }

    keys_that_are_prefixes_of_each_other_do_not_mix(store) {
        let long = "z".repeat(64);
        let pairs = [("a", "bc"), ("ab", "c"), ("abc", "a"), ("a", "b"), (&long, "z"), ("z", &long), ("@x", "a")];
        for (owner, peer) in pairs {
            let text: &'static str = match peer {
                "bc" => "bc",
                "c" => "c",
                "a" => "a",
                "b" => "b",
                "z" => "z",
                _ => "long",
            };
            let keys = [
                Key::Conversation(uid(owner), uid(peer)),
                Key::Device(uid(owner), device(peer)),
                Key::MessageId(inbox(owner), uid(peer), message_id(1)),
                history(owner, peer, 1),
            ];
            for key in keys {
                assert_eq!(text_of(&store, key.clone()).await, None, "{key:?}");
                put_one(&store, key.clone(), text).await;
                assert_eq!(text_of(&store, key).await.unwrap(), text);
            }
        }
        let other = Key::MessageId(inbox("a"), uid("b"), message_id(2));
        assert_eq!(text_of(&store, other).await, None);
    }

    a_scan_is_ascending_and_paged(store) {
        let owner = uid("o");
        for peer in ["b", "aa", "@x", "c", "ab", "a"] {
            put_one(&store, Key::Peer(owner.clone(), uid(peer)), "").await;
        }
        let all = uids(&["@x", "a", "aa", "ab", "b", "c"]);
        assert_eq!(scan_all(&store, Scan::Peers(owner.clone())).await, all);
        let (mut after, mut joined) = (None, Vec::new());
        loop {
            let page = store.scan(Scan::Peers(owner.clone()), after, 4).await.unwrap();
            assert!(page.uids.len() <= 4);
            after = page.uids.last().cloned();
            joined.extend(page.uids);
            if !page.more {
                break;
            }
        }
        assert_eq!(joined, all);
        let page = store.scan(Scan::Peers(owner), Some(uid("aaa")), 2).await.unwrap();
        assert_eq!((page.uids, page.more), (uids(&["ab", "b"]), true));
    }

    a_scan_sees_only_its_own_list(store) {
        put_one(&store, Key::Peer(uid("a"), uid("b")), "").await;
        put_one(&store, Key::Peer(uid("ab"), uid("c")), "").await;
        put_one(&store, Key::Conversation(uid("a"), uid("d")), "").await;
        put_one(&store, Key::Mark(ShardId::new(1), inbox("e")), "").await;
        put_one(&store, Key::Mark(ShardId::new(256), inbox("f")), "").await;
        assert_eq!(scan_all(&store, Scan::Peers(uid("a"))).await, uids(&["b"]));
        assert_eq!(scan_all(&store, Scan::Peers(uid("ab"))).await, uids(&["c"]));
        assert_eq!(scan_all(&store, Scan::Marks(ShardId::new(1))).await, uids(&["e"]));
        assert_eq!(scan_all(&store, Scan::Marks(ShardId::new(256))).await, uids(&["f"]));
        assert_eq!(scan_all(&store, Scan::Marks(ShardId::new(0))).await, uids(&[]));
    }

    a_removed_key_is_not_scanned(store) {
        let shard = ShardId::new(9);
        for name in ["a", "b", "c"] {
            put_one(&store, Key::Mark(shard, inbox(name)), "").await;
        }
        store.put(vec![remove(Key::Mark(shard, inbox("b")))], STAMP).await.unwrap();
        assert_eq!(scan_all(&store, Scan::Marks(shard)).await, uids(&["a", "c"]));
    }

    a_mark_goes_with_records_of_any_owner(store) {
        let changes = vec![
            set(Key::Mark(ShardId::new(1), inbox("a")), ""),
            set(Key::Mark(ShardId::new(1), inbox("b")), ""),
            set(Key::Checkpoint(uid("a")), "1"),
        ];
        store.put(changes, STAMP).await.unwrap();
        assert_eq!(scan_all(&store, Scan::Marks(ShardId::new(1))).await, uids(&["a", "b"]));
    }
}
