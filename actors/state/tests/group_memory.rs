//! What a large group costs in memory, counted at the allocator. One test in a program of its own: nothing else allocates
//! meanwhile.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tidings_schema::{
    group::{Event, JOINED_UIDS_MAX, MemberRecord, Seat, Settings, Standing},
    id::{Seq, Uid},
};
use tidings_state::group::{Acked, Group, Marker, charter::Charter};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MEMBERS: usize = 100_000;
const BYTES_PER_MEMBER_MAX: usize = 120;

/// Ids of 16 bytes, in an order that is not theirs.
fn uid(number: usize) -> Uid {
    format!("user-{:011}", number * 7_919 % 100_003).parse().unwrap()
}

/// Heap that `make` leaves behind.
fn heap_of(make: impl FnOnce() -> Group) -> (Group, usize) {
    let region = Region::new(ALLOCATOR);
    let group = make();
    let change = region.change();
    (group, change.bytes_allocated - change.bytes_deallocated)
}

fn joined() -> Group {
    let mut group = Group::default();
    let mut at = Seq::ZERO;
    let mut append = |group: &mut Group, event: Event| {
        at = at.next();
        group.hand_over(at, &event);
        group.settle(at, &event);
    };
    append(&mut group, Event::Created { owner: uid(0), settings: Settings::default() });
    for first in (1..MEMBERS).step_by(JOINED_UIDS_MAX) {
        let uids: Vec<Uid> = (first..MEMBERS.min(first + JOINED_UIDS_MAX)).map(uid).collect();
        append(&mut group, Event::MembersJoined { by: None, uids });
    }
    for _ in 0..10 {
        append(&mut group, Event::Updated { by: uid(0), patch: Default::default() });
    }
    for number in 0..MEMBERS {
        assert_eq!(group.ack(&uid(number), at), Acked::Moved);
        let _ = group.set_read(&uid(number), Marker { upto: at, n: 0, counted: 0, counted_upto: Seq::ZERO });
    }
    group
}

fn loaded() -> Group {
    let seat = |number: u64| Seat {
        joined: Seq::new(number),
        last_ack: Seq::new(200_000),
        last_read: Seq::new(199_999),
        last_read_n: 7,
        ..Seat::default()
    };
    let upto = Seq::new(200_001);
    let record = |number: usize| MemberRecord { upto, standing: Standing::Member(seat(number as u64)) };
    let mut uids: Vec<Uid> = (0..MEMBERS).map(uid).collect();
    uids.sort();
    let charter = Charter { upto, n: 9, creator: Some(uid(0)), owner: Some(uid(0)), ..Charter::default() };
    Group::restore(charter, uids.into_iter().enumerate().map(|(number, uid)| (uid, record(number))))
}

fn half_left() -> Group {
    let mut group = loaded();
    let mut at = group.charter().upto;
    for number in (0..MEMBERS).filter(|number| number % 2 == 1) {
        at = at.next();
        let event = Event::MemberLeft { uid: uid(number), how: tidings_schema::group::Departure::Left };
        group.hand_over(at, &event);
        group.settle(at, &event);
        if number % 64 == 1 {
            group.take_changed();
            group.changed_durable(at);
        }
    }
    group
}

#[test]
fn a_member_of_a_large_group_costs_120_bytes() {
    for (how, make, members) in [
        ("joined", joined as fn() -> Group, MEMBERS),
        ("loaded", loaded, MEMBERS),
        ("half left", half_left, MEMBERS / 2),
    ] {
        let (group, heap) = heap_of(make);
        assert_eq!(group.members_count(), members);
        let each = heap / members;
        println!("{how}: {each} bytes of heap for each of {members} members");
        assert!(each <= BYTES_PER_MEMBER_MAX, "{how}: {each} bytes for each member");
    }
}
