//! Cases of the suite: logs of groups, their records, and the lists that name groups. A uid and a gid are often the same
//! text here, on purpose.

use std::{collections::BTreeSet, ops::RangeInclusive};

use bytes::Bytes;
use tidings_schema::id::{Gid, Seq, ShardId, Uid};

use super::{
    STAMP, Tested, append_of, appends::cases, everything, gid, group, inbox, message_id, read_all, rows, rows_at_most,
    seqs, set, text_of, uid,
};
use crate::port::store::{Append, Change, GroupScan, Key, PageLimit, Row, Scan, StoreError, TimelineId};

/// An append to a group whose rows say that they are a group's.
fn group_append(name: &str, seqs: RangeInclusive<u64>) -> Append {
    Append { timeline: group(name), rows: group_rows(name, seqs), with: Vec::new(), stamp: STAMP }
}

fn group_rows(name: &str, seqs: RangeInclusive<u64>) -> Vec<Row> {
    seqs.map(|seq| Row { seq: Seq::new(seq), value: Bytes::from(format!("{name} {seq}")) }).collect()
}

async fn read_group(store: &Tested, name: &str, after: u64) -> Vec<Row> {
    store.read(group(name), Seq::new(after), Seq::new(u64::MAX), everything()).await.unwrap().rows
}

async fn put_one(store: &Tested, key: Key, text: &'static str) {
    store.put(vec![set(key, text)], STAMP).await.unwrap();
}

async fn put_members(store: &Tested, group: &str, uids: &[&str]) {
    let member = |user: &&str| Change {
        key: Key::Member(gid(group), uid(user)),
        value: Some(Bytes::from(format!("{user} in {group}"))),
    };
    store.put(uids.iter().map(member).collect(), STAMP).await.unwrap();
}

async fn members(store: &Tested, group: &str) -> Vec<(String, String)> {
    let page = store.members(gid(group), None, everything()).await.unwrap();
    assert!(!page.more);
    let shown = |(uid, value): (Uid, Bytes)| (uid.to_string(), String::from_utf8(value.to_vec()).unwrap());
    page.members.into_iter().map(shown).collect()
}

async fn groups_of(store: &Tested, scan: GroupScan) -> Vec<Gid> {
    let page = store.scan_groups(scan, None, 1_000).await.unwrap();
    assert!(!page.more);
    page.gids
}

async fn users_of(store: &Tested, scan: Scan) -> Vec<Uid> {
    store.scan(scan, None, 1_000).await.unwrap().uids
}

fn gids(texts: &[&str]) -> Vec<Gid> {
    texts.iter().map(|text| gid(text)).collect()
}

cases! {
    a_group_and_an_inbox_of_the_same_id_are_two(store) {
        store.append(append_of("a", 1..=3)).await.unwrap();
        store.append(group_append("a", 1..=5)).await.unwrap();
        assert_eq!(read_all(&store, "a").await, rows(1..=3));
        assert_eq!(read_group(&store, "a", 0).await, group_rows("a", 1..=5));
        let page = store.read_back(inbox("a"), Seq::new(u64::MAX), everything()).await.unwrap();
        assert_eq!(seqs(&page), [3, 2, 1]);
        let page = store.read_back(group("a"), Seq::new(u64::MAX), everything()).await.unwrap();
        assert_eq!(seqs(&page), [5, 4, 3, 2, 1]);
    }

    a_group_row_is_redacted_in_its_own_timeline(store) {
        store.append(append_of("a", 1..=2)).await.unwrap();
        store.append(group_append("a", 1..=1)).await.unwrap();
        let row = |seq| Row { seq: Seq::new(seq), value: Bytes::from_static(b"redacted") };
        store.redact(group("a"), row(1), STAMP).await.unwrap();
        let refused = store.redact(group("a"), row(2), STAMP).await;
        assert!(matches!(refused, Err(StoreError::Rejected(_))), "only the inbox has a row 2");
        assert_eq!(read_group(&store, "a", 0).await, [row(1)]);
        assert_eq!(read_all(&store, "a").await, rows(1..=2));
    }

    a_sweep_of_a_group_touches_no_inbox(store) {
        store.append(append_of("a", 1..=5)).await.unwrap();
        store.append(group_append("a", 1..=5)).await.unwrap();
        put_members(&store, "a", &["b"]).await;
        store.sweep(group("a"), Seq::new(1), Seq::new(3)).await.unwrap();
        assert_eq!(read_all(&store, "a").await, rows(1..=5));
        assert!(read_group(&store, "a", 0).await.is_empty());
        assert_eq!(read_group(&store, "a", 2).await, group_rows("a", 3..=5));
        store.sweep(inbox("a"), Seq::new(1), Seq::new(5)).await.unwrap();
        assert_eq!(read_group(&store, "a", 2).await, group_rows("a", 3..=5));
        assert_eq!(members(&store, "a").await.len(), 1);
    }

    a_group_is_read_in_pages_both_ways(store) {
        store.append(group_append("a", 1..=6)).await.unwrap();
        let page = store.read(group("a"), Seq::new(1), Seq::new(5), rows_at_most(3)).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![2, 3, 4], true));
        let page = store.read(group("a"), Seq::new(4), Seq::new(5), rows_at_most(3)).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![5], false));
        let page = store.read_back(group("a"), Seq::new(6), rows_at_most(2)).await.unwrap();
        assert_eq!((seqs(&page), page.more), (vec![5, 4], true));
    }

    groups_whose_ids_are_prefixes_do_not_mix(store) {
        let long = "x".repeat(64);
        for (count, name) in ["a", "ab", "a.", "@x", &long].iter().enumerate() {
            store.append(group_append(name, 1..=count as u64 + 1)).await.unwrap();
        }
        for (count, name) in ["a", "ab", "a.", "@x", &long].iter().enumerate() {
            assert_eq!(read_group(&store, name, 0).await, group_rows(name, 1..=count as u64 + 1), "{name}");
        }
    }

    records_of_a_group_are_durable_with_its_rows(store) {
        let mut append = group_append("a", 1..=1);
        let mark = Key::Mark(ShardId::new(1), group("a"));
        append.with = vec![set(Key::Head(group("a")), "head"), set(mark.clone(), "")];
        store.append(append).await.unwrap();
        assert_eq!(text_of(&store, Key::Head(group("a"))).await.unwrap(), "head");
        assert_eq!(text_of(&store, mark).await.unwrap(), "");
        assert_eq!(text_of(&store, Key::Head(inbox("a"))).await, None);
    }

    every_key_of_a_group_is_its_own_record(store) {
        let shard = ShardId::new(0);
        let pairs = [
            (Key::Head(inbox("a")), "head"),
            (Key::Head(group("a")), "head of the group"),
            (Key::Mark(shard, inbox("a")), "mark"),
            (Key::Mark(shard, group("a")), "mark of the group"),
            (Key::Checkpoint(uid("a")), "checkpoint"),
            (Key::GroupCheckpoint(gid("a")), "checkpoint of the group"),
            (Key::Conversation(uid("a"), uid("a")), "conversation"),
            (Key::GroupView(uid("a"), gid("a")), "view of the group"),
            (Key::Peer(uid("a"), uid("a")), "peer"),
            (Key::GroupPeer(uid("a"), gid("a")), "peer that is a group"),
            (Key::Member(gid("a"), uid("a")), "member"),
            (Key::MessageId(inbox("a"), uid("a"), message_id(1)), "message id"),
            (Key::MessageId(group("a"), uid("a"), message_id(1)), "message id in the group"),
        ];
        for (key, text) in &pairs {
            assert_eq!(text_of(&store, key.clone()).await, None, "{key:?}");
            put_one(&store, key.clone(), text).await;
        }
        for (key, text) in &pairs {
            assert_eq!(text_of(&store, key.clone()).await.unwrap(), *text);
        }
        for (at, (key, text)) in pairs.iter().enumerate() {
            store.put(vec![Change { key: key.clone(), value: None }], STAMP).await.unwrap();
            let keys = pairs.iter().map(|(key, _)| key.clone()).collect();
            let left = store.get(keys).await.unwrap().iter().flatten().count();
            assert_eq!(left, pairs.len() - at - 1, "removed {text}");
        }
    }

    a_put_for_a_user_and_a_group_of_the_same_id_is_refused(store) {
        let (one, two) = (Key::Checkpoint(uid("a")), Key::GroupCheckpoint(gid("a")));
        let refused = store.put(vec![set(one.clone(), "1"), set(two.clone(), "2")], STAMP).await;
        assert!(matches!(refused, Err(StoreError::Rejected(_))));
        assert_eq!((text_of(&store, one).await, text_of(&store, two.clone()).await), (None, None));
        let refused = store.put(vec![set(two, "1"), set(Key::Member(gid("b"), uid("a")), "2")], STAMP).await;
        assert!(matches!(refused, Err(StoreError::Rejected(_))), "two groups");
        let whole = vec![
            set(Key::GroupCheckpoint(gid("a")), "1"),
            set(Key::Member(gid("a"), uid("a")), "2"),
            set(Key::Member(gid("a"), uid("b")), "3"),
            set(Key::Head(group("a")), "4"),
            set(Key::MessageId(group("a"), uid("b"), message_id(1)), "5"),
            set(Key::Mark(ShardId::new(0), group("a")), ""),
        ];
        store.put(whole, STAMP).await.unwrap();
    }

    a_message_id_is_another_in_each_timeline(store) {
        let key = |timeline: TimelineId, from: &str| Key::MessageId(timeline, uid(from), message_id(7));
        let places =
            [(group("a"), "x"), (group("b"), "x"), (group("a"), "y"), (inbox("a"), "x"), (group("ax"), "x")];
        for ((timeline, from), text) in places.iter().zip(["1", "2", "3", "4", "5"]) {
            assert_eq!(text_of(&store, key(timeline.clone(), from)).await, None, "{timeline} {from}");
            put_one(&store, key(timeline.clone(), from), text).await;
        }
        for ((timeline, from), text) in places.iter().zip(["1", "2", "3", "4", "5"]) {
            assert_eq!(text_of(&store, key(timeline.clone(), from)).await.unwrap(), text, "{timeline} {from}");
        }
    }

    members_come_in_pages_with_their_values(store) {
        put_members(&store, "g", &["b", "aa", "@x", "c", "ab", "a"]).await;
        let (mut after, mut joined) = (None, Vec::new());
        loop {
            let page = store.members(gid("g"), after, rows_at_most(4)).await.unwrap();
            assert!(page.members.len() <= 4);
            after = page.members.last().map(|(uid, _)| uid.clone());
            joined.extend(page.members);
            if !page.more {
                break;
            }
        }
        let value = |user: &str| (uid(user), Bytes::from(format!("{user} in g")));
        assert_eq!(joined, ["@x", "a", "aa", "ab", "b", "c"].map(value));
        let page = store.members(gid("g"), Some(uid("aaa")), rows_at_most(1)).await.unwrap();
        assert_eq!((page.members, page.more), (vec![value("ab")], true));
    }

    a_page_of_members_ends_at_its_bytes_and_has_at_least_one(store) {
        put_members(&store, "g", &["a", "b", "c"]).await;
        let bytes = "a in g".len();
        for (limit, count) in [(0, 1), (bytes, 1), (2 * bytes, 2), (3 * bytes - 1, 2)] {
            let page = store.members(gid("g"), None, PageLimit { rows: 100, bytes: limit }).await.unwrap();
            assert_eq!((page.members.len(), page.more), (count, true), "{limit}");
        }
        let page = store.members(gid("g"), None, PageLimit { rows: 0, bytes: 100 }).await.unwrap();
        assert_eq!((page.members.len(), page.more), (1, true));
        let page = store.members(gid("empty"), None, everything()).await.unwrap();
        assert_eq!((page.members.len(), page.more), (0, false));
    }

    members_of_other_groups_do_not_mix(store) {
        let long = "z".repeat(64);
        for (group, user) in [("a", "bc"), ("ab", "c"), ("abc", "a"), (&long, "z"), ("z", &long)] {
            put_members(&store, group, &[user]).await;
        }
        for (group, user) in [("a", "bc"), ("ab", "c"), ("abc", "a"), (&long, "z"), ("z", &long)] {
            assert_eq!(members(&store, group).await, [(user.to_owned(), format!("{user} in {group}"))]);
        }
    }

    a_removed_member_is_not_read(store) {
        put_members(&store, "g", &["a", "b", "c"]).await;
        store.put(vec![Change { key: Key::Member(gid("g"), uid("b")), value: None }], STAMP).await.unwrap();
        let left: Vec<String> = members(&store, "g").await.into_iter().map(|(uid, _)| uid).collect();
        assert_eq!(left, ["a", "c"]);
    }

    marks_of_users_and_groups_are_two_lists(store) {
        let (one, other) = (ShardId::new(1), ShardId::new(256));
        for (shard, timeline) in
            [(one, inbox("a")), (one, group("a")), (one, group("b")), (other, inbox("c")), (other, group("d"))]
        {
            put_one(&store, Key::Mark(shard, timeline), "").await;
        }
        assert_eq!(users_of(&store, Scan::Marks(one)).await, [uid("a")]);
        assert_eq!(groups_of(&store, GroupScan::Marks(one)).await, gids(&["a", "b"]));
        assert_eq!(users_of(&store, Scan::Marks(other)).await, [uid("c")]);
        assert_eq!(groups_of(&store, GroupScan::Marks(other)).await, gids(&["d"]));
        store.put(vec![Change { key: Key::Mark(one, group("a")), value: None }], STAMP).await.unwrap();
        assert_eq!(users_of(&store, Scan::Marks(one)).await, [uid("a")]);
        assert_eq!(groups_of(&store, GroupScan::Marks(one)).await, gids(&["b"]));
    }

    peers_of_a_user_are_users_or_groups(store) {
        for (owner, peer) in [("a", "b"), ("ab", "c")] {
            put_one(&store, Key::Peer(uid(owner), uid(peer)), "").await;
            put_one(&store, Key::GroupPeer(uid(owner), gid(&format!("g{peer}"))), "").await;
            put_one(&store, Key::GroupView(uid(owner), gid("unlisted")), "").await;
        }
        assert_eq!(users_of(&store, Scan::Peers(uid("a"))).await, [uid("b")]);
        assert_eq!(groups_of(&store, GroupScan::Peers(uid("a"))).await, gids(&["gb"]));
        assert_eq!(groups_of(&store, GroupScan::Peers(uid("ab"))).await, gids(&["gc"]));
        assert!(groups_of(&store, GroupScan::Peers(uid("b"))).await.is_empty());
    }

    groups_are_listed_once_each(store) {
        let long = "x".repeat(64);
        let all: BTreeSet<Gid> = ["b", "aa", "@x", "ab", "a", &long].map(gid).into();
        for gid in &all {
            put_one(&store, Key::Head(TimelineId::Group(gid.clone())), "1").await;
            put_one(&store, Key::GroupCheckpoint(gid.clone()), "1").await;
        }
        put_one(&store, Key::Head(inbox("user")), "1").await;
        store.append(group_append("headless", 1..=1)).await.unwrap();
        let (mut after, mut listed) = (None, Vec::new());
        loop {
            let page = store.scan_groups(GroupScan::Logs, after, 4).await.unwrap();
            assert!(page.gids.len() <= 4);
            after = page.gids.last().cloned();
            listed.extend(page.gids);
            if !page.more {
                break;
            }
        }
        assert_eq!(listed.len(), all.len(), "none twice");
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), all);
        assert_eq!(users_of(&store, Scan::Inboxes).await, [uid("user")]);
    }

    a_scan_of_groups_is_ascending_and_paged(store) {
        for name in ["b", "aa", "@x", "c", "a"] {
            put_one(&store, Key::GroupPeer(uid("o"), gid(name)), "").await;
        }
        let peers = GroupScan::Peers(uid("o"));
        assert_eq!(groups_of(&store, peers.clone()).await, gids(&["@x", "a", "aa", "b", "c"]));
        let page = store.scan_groups(peers.clone(), Some(gid("aaa")), 1).await.unwrap();
        assert_eq!((page.gids, page.more), (gids(&["b"]), true));
        let page = store.scan_groups(peers, Some(gid("b")), 1).await.unwrap();
        assert_eq!((page.gids, page.more), (gids(&["c"]), false));
    }
}
