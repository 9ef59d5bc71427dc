//! Tests of cursors, read counts and what a member is told at connect.

use tidings_schema::group::{OWN_ROWS_MAX, Standing};

use super::*;
use crate::group::{Acked, HeadLine, Marker, ReadBy, head_line};

fn three() -> (Owner, [Uid; 3]) {
    let users = ["a", "b", "c"].map(uid);
    (Owner::with(&users[0], &users[1..], Settings::default()), users)
}

impl Owner {
    fn says(&mut self, user: &Uid, rows: u64) {
        for number in 0..rows {
            self.append(message(user, number, true));
        }
        self.commit(usize::MAX);
    }
}

#[test]
fn a_cursor_rises_up_to_the_committed_head() {
    let (mut owner, [a, b, _]) = three();
    owner.says(&a, 3);
    owner.append(message(&a, 9, true));
    assert_eq!(owner.group.ack(&b, seq(6)), Acked::AboveHead);
    assert_eq!(owner.group.ack(&b, seq(5)), Acked::Moved);
    assert_eq!(owner.group.ack(&b, seq(4)), Acked::Unchanged);
    assert_eq!(owner.group.ack(&uid("x"), seq(1)), Acked::NotMember);
    assert_eq!(owner.group.seat(&b).unwrap().last_ack, seq(5));
}

#[test]
fn who_joins_has_nothing_unread() {
    let (mut owner, [a, ..]) = three();
    owner.says(&a, 3);
    let d = uid("d");
    owner.done(&a, Op::AddMembers(vec![d.clone()]));
    let joined = HeadLine::Member { head: seq(6), last_ack: seq(6), last_read: seq(6), unread: 0 };
    assert_eq!(owner.group.head_line(&d), joined);
    owner.says(&a, 2);
    assert_eq!(owner.group.unread(&d), Some(2));
}

#[test]
fn who_joins_again_starts_anew() {
    let (mut owner, [a, b, _]) = three();
    owner.says(&b, 2);
    owner.says(&a, 2);
    owner.done(&b, Op::Leave);
    assert_eq!(owner.group.head_line(&b), HeadLine::Gone { seq: seq(7), how: Departure::Left });
    owner.done(&a, Op::AddMembers(vec![b.clone()]));
    let seat = owner.group.seat(&b).unwrap();
    assert_eq!((seat.joined, seat.last_read, seat.last_read_n, seat.own.count()), (seq(8), seq(8), 4, 0));
}

#[test]
fn own_messages_are_not_unread_and_do_not_move_the_marker() {
    let (mut owner, [a, b, _]) = three();
    owner.says(&a, 2);
    owner.says(&b, 2);
    owner.says(&a, 2);
    assert_eq!((owner.group.unread(&a), owner.group.unread(&b)), (Some(2), Some(4)));
    assert_eq!(owner.group.seat(&b).unwrap().last_read, seq(2));
}

#[test]
fn a_look_that_is_too_old_is_asked_for_again() {
    let (mut owner, [a, ..]) = three();
    owner.says(&a, OWN_ROWS_MAX as u64 + 1);
    let half = OWN_ROWS_MAX as u64 / 2;
    let (upto, folded) = (seq(10), seq(2 + half));
    let look = Reading::Look { upto, count_upto: Some(folded) };
    assert_eq!(owner.group.reading(&a, upto), look);
    let marker = Marker { upto, n: 8, counted: half - 8, counted_upto: folded };
    owner.says(&a, half);
    assert_eq!(owner.group.set_read(&a, marker), Reading::Look { upto, count_upto: Some(seq(2 + 2 * half)) });
    assert_eq!(owner.group.seat(&a).unwrap().last_read, seq(1), "nothing moved");
    owner.read(&a, upto);
    assert_eq!(owner.group.unread(&a), Some(0));
}

#[test]
fn those_who_could_read_a_message_are_counted() {
    let (mut owner, [a, b, c]) = three();
    owner.says(&a, 1);
    owner.done(&a, Op::AddMembers(vec![uid("d")]));
    owner.read(&b, seq(3));
    let read_by = |owner: &Owner, after: Option<&Uid>, limit| owner.group.read_by(seq(3), &a, after, limit);
    assert_eq!(read_by(&owner, None, 9), ReadBy { count: 1, of: 2, uids: vec![b.clone()] });
    owner.read(&c, seq(4));
    assert_eq!(read_by(&owner, None, 1), ReadBy { count: 2, of: 2, uids: vec![b.clone()] });
    assert_eq!(read_by(&owner, Some(&b), 1), ReadBy { count: 2, of: 2, uids: vec![c] });
}

#[test]
fn a_group_out_of_memory_says_the_same() {
    let (mut owner, [a, b, c]) = three();
    owner.says(&a, 3);
    owner.says(&b, 1);
    owner.read(&b, seq(4));
    owner.done(&c, Op::Leave);
    owner.write_checkpoint();
    let same = |owner: &Owner, user: &Uid| {
        let (told, stored) = (owner.group.head_line(user), head_line(&owner.checkpoint, owner.records.get(user)));
        assert_eq!(told, stored);
        told
    };
    for user in [&a, &uid("x")] {
        same(&owner, user);
    }
    assert_eq!(same(&owner, &b), HeadLine::Member { head: seq(7), last_ack: seq(2), last_read: seq(4), unread: 1 });
    assert_eq!(same(&owner, &c), HeadLine::Gone { seq: seq(7), how: Departure::Left });
    owner.done(&a, Op::Dismiss);
    owner.write_checkpoint();
    assert!(matches!(owner.records[&a].standing, Standing::Member(_)), "one row says it for all");
    assert_eq!(same(&owner, &b), HeadLine::Gone { seq: seq(8), how: Departure::Dismissed });
}
