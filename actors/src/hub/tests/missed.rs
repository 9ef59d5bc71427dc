//! A worker that is too busy for its lane: what it could not take it is told as heads and revocations.

use tidings_state::group::missed::REVOKED_KEPT_MAX;

use super::*;
use crate::{offer::Offer, relay::LANE_FRAMES_MAX};

const FULL: u64 = LANE_FRAMES_MAX as u64;

/// So many frames of `g` that nothing else finds room.
fn fill(relay: &Relay) {
    (1..=FULL).for_each(|seq| spread_out(relay, row("g", seq)));
}

#[test]
fn what_found_no_room_is_told_as_a_head_and_frames_go_on_behind_it() {
    let relay = Relay::default();
    let (mut busy, mut quick) = (Worker::new(&relay), Worker::new(&relay));
    let (mut member, mut elsewhere) = (busy.member("alice", "g", 0), quick.member("bob", "g", 0));
    let mut other = busy.member("carol", "h", 7);
    for seq in 1..=FULL + 5 {
        spread_out(&relay, row("g", seq));
        quick.work();
    }
    spread_out(&relay, row("h", 8));
    busy.work();
    spread_out(&relay, row("g", FULL + 6));
    spread_out(&relay, row("h", 9));
    busy.work();
    quick.work();
    let told = [rows(1..=FULL), vec![Told::Behind(FULL + 5)], rows([FULL + 6])].concat();
    assert_eq!(member.told(), told);
    assert_eq!(other.told(), [Told::Behind(8), Told::Row(9)], "the last frame is not lost in silence");
    assert_eq!(elsewhere.told(), rows(1..=FULL + 6), "a worker with room misses nothing");
}

#[test]
fn of_a_group_with_a_note_later_frames_wait_behind_it() {
    let relay = Relay::default();
    let mut busy = Worker::new(&relay);
    let mut member = busy.member("alice", "g", 0);
    fill(&relay);
    spread_out(&relay, row("g", FULL + 1));
    // It takes everything that waits, and is in the middle of it when more comes.
    assert!(!busy.turn());
    spread_out(&relay, row("g", FULL + 2));
    busy.work();
    let told = [rows(1..=FULL), vec![Told::Behind(FULL + 1)], rows([FULL + 2])].concat();
    assert_eq!(member.told(), told);
}

#[test]
fn who_was_kicked_by_a_frame_that_found_no_room_gets_nothing_after_it() {
    let relay = Relay::default();
    let mut busy = Worker::new(&relay);
    let (mut kicked, mut stays) = (busy.member("bob", "g", 0), busy.member("alice", "g", 0));
    fill(&relay);
    spread_out(&relay, kick("g", FULL + 1, "bob"));
    spread_out(&relay, row("g", FULL + 2));
    busy.work();
    spread_out(&relay, row("g", FULL + 3));
    busy.work();
    assert_eq!(kicked.told(), rows(1..=FULL), "it could not pull any more, so it is not told a head");
    assert_eq!(stays.told(), [rows(1..=FULL), vec![Told::Behind(FULL + 2)], rows([FULL + 3])].concat());
}

#[test]
fn when_too_many_were_kicked_to_know_whom_everybody_begins_again() {
    let relay = Relay::default();
    let mut busy = Worker::new(&relay);
    let mut member = busy.member("alice", "g", 0);
    fill(&relay);
    let last = FULL + REVOKED_KEPT_MAX as u64 + 1;
    (FULL + 1..=last).for_each(|seq| spread_out(&relay, kick("g", seq, "bob")));
    busy.work();
    assert_eq!(busy.roster.groups().owed(member.slot), Owed::Reset);
    spread_out(&relay, row("g", last + 1));
    busy.work();
    assert_eq!(member.told(), rows(1..=FULL), "nothing before its owner was asked again");
}

#[test]
fn a_hub_that_is_gone_is_not_written_to() {
    let relay = Relay::default();
    let worker = Worker::new(&relay);
    let _member = worker.member("alice", "g", 0);
    worker.roster.groups().lane().close();
    assert!(!relay.wants(&group("g")));
    assert!(matches!(relay.fan_out(row("g", 1)), Offer::Closed(frame) if frame.upto == Seq::new(1)));
    let (mut next, lane) = (Worker::new(&relay), Arc::clone(worker.roster.groups().lane()));
    assert_eq!(Arc::strong_count(&lane), 3, "the relay has forgotten it");
    let mut member = next.member("alice", "g", 1);
    spread_out(&relay, row("g", 2));
    next.work();
    assert_eq!(member.told(), rows([2]));
}
