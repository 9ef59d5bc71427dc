//! Tests of the owner's side of fan-out, of what a full queue leaves behind, and of the ring.

use proptest::prelude::*;
use tidings_schema::id::Gid;

use super::*;
use crate::{
    group::{
        audience::{Audience, FRAME_BYTES_MAX, FRAME_ROWS_MAX, OWED_PAGE_MAX, Owed, Revoked, cut},
        missed::{MissedFrames, REVOKED_KEPT_MAX},
        ring::{RING_BYTES_MAX, RING_ROWS_MAX, Ring},
    },
    sent_window::{Lookup, SentWindow},
};

fn gid(name: impl ToString) -> Gid {
    name.to_string().parse().unwrap()
}

#[test]
fn a_frame_ends_with_the_row_that_ends_a_membership() {
    let (a, b) = (uid("a"), uid("b"));
    let events = [message(&a, 1, true), left(&b), message(&a, 2, true), Event::Dismissed { by: a }];
    let cuts = cut(events.iter().enumerate().map(|(at, event)| (seq(at as u64 + 5), event, 1)));
    let said: Vec<_> = cuts.into_iter().map(|cut| (cut.prev, cut.upto, cut.revoked)).collect();
    assert_eq!(said, [(seq(4), seq(6), Revoked::User(b)), (seq(6), seq(8), Revoked::Everyone)]);
}

#[test]
fn a_frame_is_bounded_in_rows_and_bytes() {
    let row = message(&uid("a"), 1, true);
    let sizes = |count: u64, bytes: usize| -> Vec<u64> {
        cut((1..=count).map(|at| (seq(at), &row, bytes))).iter().map(|cut| cut.upto.since(cut.prev)).collect()
    };
    assert_eq!(sizes(FRAME_ROWS_MAX as u64 + 1, 1), [FRAME_ROWS_MAX as u64, 1]);
    assert_eq!(sizes(3, FRAME_BYTES_MAX / 2), [2, 1]);
    assert_eq!(sizes(2, FRAME_BYTES_MAX + 1), [1, 1]);
}

#[test]
fn an_older_word_of_a_relay_does_not_undo_a_newer_one() {
    let mut audience = Audience::default();
    audience.subscribe(7, 1);
    audience.subscribe(8, 1);
    audience.subscribe(7, 3);
    audience.unsubscribe(7, 2);
    assert!(audience.nodes().eq([7, 8]));
    audience.unsubscribe(7, 3);
    audience.forget(8);
    assert!(audience.is_empty());
}

#[test]
fn a_head_is_owed_until_the_node_has_it() {
    let mut owed = Owed::default();
    owed.owe(1, &gid("g"), seq(5));
    owed.owe(1, &gid("g"), seq(4));
    owed.owe(1, &gid("h"), seq(9));
    owed.took(1, &gid("g"), seq(4));
    owed.took(1, &gid("h"), seq(10));
    assert_eq!(owed.page(1), [(gid("g"), seq(5))]);
    assert_eq!(owed.page(1).len(), 1, "until it is taken");
    owed.took(1, &gid("g"), seq(5));
    assert_eq!(owed.nodes().count(), 0);
    (0..=OWED_PAGE_MAX).for_each(|at| owed.owe(2, &gid(at), seq(1)));
    assert_eq!(owed.page(2).len(), OWED_PAGE_MAX);
    owed.forget(2);
    assert_eq!(owed.page(2), []);
}

#[test]
fn what_a_worker_missed_is_one_note_for_each_group() {
    let mut missed = MissedFrames::default();
    missed.note(&gid("g"), seq(3), Revoked::User(uid("a")));
    missed.note(&gid("g"), seq(5), Revoked::Nobody);
    let (of, note) = missed.take().unwrap();
    assert_eq!((note.head, note.revoked.clone()), (seq(5), Some(vec![(seq(3), Revoked::User(uid("a")))])));
    missed.put_back(of, note);
    assert!(missed.has(&gid("g")) && !missed.has(&gid("h")));
    (0..=REVOKED_KEPT_MAX as u64).for_each(|at| missed.note(&gid("g"), seq(6 + at), Revoked::User(uid("b"))));
    assert_eq!(missed.take().unwrap().1.revoked, None);
    assert!(missed.is_empty());
}

#[test]
fn a_message_id_is_its_senders_own_in_each_group() {
    let (mut window, mut other) = (SentWindow::new(), SentWindow::new());
    let key = |name: &str| (Some(uid(name)), message_id(1));
    window.insert(key("a"), hash(0), seq(1), at(1));
    other.insert(key("a"), hash(1), seq(7), at(1));
    assert_eq!(window.look_up(key("a"), hash(0)), Lookup::Duplicate { seq: seq(1), time: at(1) });
    assert_eq!(window.look_up(key("a"), hash(1)), Lookup::Conflict);
    assert_eq!(window.look_up(key("b"), hash(1)), Lookup::New);
    let restored = SentWindow::restore(&window.newest(seq(1)), seq(1)).unwrap();
    assert_eq!(restored.look_up(key("a"), hash(1)), Lookup::Conflict);
}

proptest! {
    /// Against a list with the same bounds, and the whole log behind it.
    #[test]
    fn a_ring_is_the_end_of_the_log(
        head in 0_u64..5, largest in prop_oneof![Just(50_usize), Just(600), Just(RING_BYTES_MAX * 2)],
        sizes in prop::collection::vec(1_usize..1_000, 0..400), probes in prop::collection::vec(0_u64..420, 10),
    ) {
        let mut ring = Ring::after(seq(head));
        let mut rows: Vec<(u64, usize)> = Vec::new();
        let mut last = head;
        for size in sizes {
            last += 1;
            let size = 1 + size * largest / 1_000;
            ring.push(last, size);
            rows.push((last, size));
            let bytes = |rows: &[(u64, usize)]| rows.iter().map(|row| row.1).sum::<usize>();
            while rows.len() > RING_ROWS_MAX || (bytes(&rows) > RING_BYTES_MAX && rows.len() > 1) {
                rows.remove(0);
            }
            if let Some(changed) = rows.iter_mut().rev().nth(3).filter(|_| last.is_multiple_of(3)) {
                changed.1 = 1;
                ring.replace(seq(changed.0), changed.0, 1);
            }
            prop_assert_eq!(ring.first(), seq(rows[0].0));
        }
        for probe in probes {
            let kept = probe >= ring.first().get() && probe <= last;
            prop_assert_eq!(ring.get(seq(probe)), kept.then_some(&probe));
            let after = ring.page(seq(probe)).map(|rows| rows.copied().collect::<Vec<u64>>());
            prop_assert_eq!(after, (probe + 1 >= ring.first().get()).then(|| (probe + 1..=last).collect()));
            let before = ring.before(seq(probe)).map(|rows| rows.copied().collect::<Vec<u64>>());
            let there = probe > ring.first().get() && probe <= last + 1;
            prop_assert_eq!(before, there.then(|| (ring.first().get()..probe).rev().collect()));
        }
    }
}
