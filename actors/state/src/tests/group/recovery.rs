//! Tests of recovery: records that are older or newer than the checkpoint, and what is forgotten.

use tidings_schema::group::Standing;

use super::*;
use crate::group::{Acked, HeadLine, members::GONE_KEPT};

#[test]
fn rows_that_a_record_reflects_are_not_applied_again() {
    let (a, b) = (uid("a"), uid("b"));
    let mut owner = Owner::with(&a, std::slice::from_ref(&b), Settings::default());
    owner.write_checkpoint();
    owner.done(&b, Op::Leave);
    owner.done(&a, Op::AddMembers(vec![b.clone()]));
    owner.append(message(&b, 1, true));
    owner.append(message(&b, 2, true));
    owner.commit(usize::MAX);
    assert_eq!(owner.group.ack(&b, seq(5)), Acked::Moved);
    owner.write_members(1);
    owner.crash(0);
    let seat = owner.group.seat(&b).unwrap();
    assert_eq!((seat.joined, seat.last_ack, seat.own.count()), (seq(4), seq(5), 2));
}

#[test]
fn who_left_before_a_record_was_written_stays_out() {
    let (a, b) = (uid("a"), uid("b"));
    let mut owner = Owner::with(&a, std::slice::from_ref(&b), Settings::default());
    owner.done(&b, Op::Leave);
    owner.write_members(1);
    owner.crash(0);
    assert_eq!(roles(&owner.group), roles(&owner.replayed()));
    assert_eq!(owner.group.head_line(&b), HeadLine::Gone { seq: seq(3), how: Departure::Left });
}

#[test]
fn what_was_not_durable_never_happened() {
    let (a, b) = (uid("a"), uid("b"));
    let mut owner = Owner::with(&a, std::slice::from_ref(&b), Settings::default());
    owner.asked(&a, Op::SetRole(b.clone(), Role::Owner)).unwrap();
    assert_eq!(owner.asked(&a, Op::Dismiss), Err(Refusal::NotAllowed), "it is handed over");
    assert_eq!(owner.group.role(&a), Some(Role::Owner), "and not shown");
    owner.crash(0);
    assert_eq!(owner.asked(&a, Op::Dismiss), Ok(1));
}

#[test]
fn of_those_who_left_the_newest_stay_in_memory_once_they_are_written() {
    let a = uid("a");
    let mut owner = Owner::with(&a, &[], Settings::default());
    let uids: Vec<Uid> = (0..GONE_KEPT + 2).map(|at| uid(format!("u{at}"))).collect();
    for some in uids.chunks(500) {
        owner.done(&a, Op::AddMembers(some.to_vec()));
    }
    for user in &uids {
        owner.append(left(user));
    }
    owner.commit(usize::MAX);
    owner.group.changed_durable(seq(owner.committed as u64));
    let known = |owner: &Owner| uids.iter().filter(|user| owner.group.head_line(user) != HeadLine::Unknown).count();
    assert_eq!(known(&owner), uids.len(), "they are not written");
    owner.write_checkpoint();
    assert_eq!(known(&owner), GONE_KEPT);
    owner.done(&a, Op::AddMembers(vec![uid("last")]));
    owner.done(&uid("last"), Op::Leave);
    owner.write_members(1);
    owner.group.changed_durable(Seq::ZERO);
    assert_eq!(known(&owner), GONE_KEPT, "the newest records are on their way");
    assert_eq!(owner.group.head_line(&uids[1]), HeadLine::Unknown);
    assert!(matches!(owner.records[&uids[1]].standing, Standing::Gone { .. }));
}

#[test]
fn every_changed_member_is_written_once_however_many_there_are() {
    let a = uid("a");
    let mut owner = Owner::with(&a, &[], Settings::default());
    let uids: Vec<Uid> = (0..20_000).map(|at| uid(format!("u{at}"))).collect();
    for some in uids.chunks(1_000) {
        owner.done(&a, Op::AddMembers(some.to_vec()));
    }
    let mut taken = 0;
    loop {
        let page = owner.group.take_changed();
        taken += page.len();
        assert!(page.len() < 10_000, "a page is bounded");
        if page.is_empty() {
            break;
        }
    }
    assert_eq!((taken, owner.group.have_changed()), (uids.len() + 1, false));
    assert_eq!(owner.group.ack(&uids[7], seq(20)), Acked::Moved);
    assert_eq!(owner.group.take_changed().len(), 1);
}
