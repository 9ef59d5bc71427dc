//! Many connections, slow ones, and those that come and go in the middle of a frame.

use super::*;

#[test]
fn one_that_does_not_read_is_told_that_it_is_behind_and_disturbs_nobody() {
    let relay = Relay::default();
    let mut worker = Worker::new(&relay);
    let (mut slow, mut other) = (worker.member("bob", "g", 0), worker.member("alice", "g", 0));
    slow.client.stop_reading();
    for seq in 1..=100 {
        spread_out(&relay, frame_of("g", seq - 1, seq, 8_000));
        worker.work();
        assert_eq!(other.told(), rows([seq]));
        let queued = slow.outlet.queued_bytes();
        assert!(queued <= GROUP_ROOM_BYTES, "{queued} bytes wait: the rest of the queue is not for groups");
    }
    assert!(slow.outlet.queued_bytes() > GROUP_ROOM_BYTES / 2, "it has room");
    assert_eq!(worker.roster.groups().owed(slow.slot), Owed::Heads);

    slow.client.read_again();
    slow.outlet.flush_now();
    let mut told = slow.told();
    spread_out(&relay, row("g", 101));
    worker.work();
    assert!(slow.outlet.queued_bytes() > HEAD_ROOM_BYTES, "it has read only a part");
    slow.outlet.flush_now();
    told.extend(slow.told());
    assert_eq!(told, rows(1..=told.len() as u64), "while it could not pull it is told nothing");
    for seq in 102..=104 {
        spread_out(&relay, row("g", seq));
        worker.work();
    }
    assert_eq!(slow.told(), [Told::Behind(102), Told::Row(103), Told::Row(104)]);
    assert_eq!(other.told(), rows(101..=104));
}

#[test]
fn a_frame_that_fits_nowhere_else_goes_into_an_empty_queue() {
    let relay = Relay::default();
    let mut worker = Worker::new(&relay);
    let mut member = worker.member("alice", "g", 0);
    let large = |seq| frame_of("g", seq - 1, seq, GROUP_ROOM_BYTES + 1);
    spread_out(&relay, large(1));
    worker.work();
    assert_eq!(member.told(), rows([1]));
    member.client.stop_reading();
    spread_out(&relay, row("g", 2));
    spread_out(&relay, large(3));
    worker.work();
    member.client.read_again();
    spread_out(&relay, row("g", 4));
    worker.work();
    assert_eq!(member.told(), [Told::Row(2), Told::Behind(4)]);
}

#[test]
fn in_a_round_a_connection_is_written_before_too_much_waits_for_it() {
    let relay = Relay::default();
    let mut worker = Worker::new(&relay);
    let mut member = worker.member("alice", "g", 0);
    for seq in 1..=5 {
        spread_out(&relay, frame_of("g", seq - 1, seq, ROUND_BYTES_MAX / 4 - 100));
    }
    worker.work();
    assert_eq!(member.client.writes(), 2);
    assert_eq!(member.told(), rows(1..=5));
}

#[test]
fn a_large_group_is_served_in_slices_and_whoever_leaves_in_between_hurts_nobody() {
    let relay = Relay::default();
    let mut worker = Worker::new(&relay);
    let mut members: Vec<Member> = (0..3 * TURN_STEPS_MAX).map(|_| worker.member("alice", "g", 0)).collect();
    spread_out(&relay, row("g", 1));
    assert!(!worker.turn(), "one slice, then the others of this worker get their turn");
    assert!(members[0].outlet.queued_bytes() > 0 && members[2 * TURN_STEPS_MAX].outlet.queued_bytes() == 0);

    // One that was offered the frame and not written, and one that was not offered it yet; their places are taken again.
    // Of the last one it is not.
    let mut gone = [members.remove(2 * TURN_STEPS_MAX), members.remove(1), members.remove(0)];
    gone.iter().rev().for_each(|member| worker.disconnect(member));
    let mut new = [worker.member("bob", "g", 1), worker.member("carol", "g", 1)];
    let mut places = [new[0].slot.at, new[1].slot.at];
    places.sort_unstable();
    assert_eq!(places, [1, 2 * TURN_STEPS_MAX as u32]);
    spread_out(&relay, row("g", 2));
    worker.work();
    for member in &mut members {
        assert_eq!(member.told(), rows([1, 2]));
    }
    for member in &mut new {
        assert_eq!(member.told(), rows([2]), "it begins where it was registered");
    }
    for member in &mut gone {
        assert_eq!(member.told(), []);
        assert_eq!(Rc::strong_count(&member.outlet), 1, "nobody keeps what it would write to");
    }
}

#[test]
fn whoever_was_offered_many_frames_waits_once_to_be_written() {
    let relay = Relay::default();
    let worker = Worker::new(&relay);
    let member = worker.member("alice", "g", 0);
    let mut groups = worker.roster.groups();
    for seq in 1..=3 {
        let (frame, mut offers) = (row("g", seq), Vec::new());
        groups.frame(&frame, &mut offers);
        offers.into_iter().for_each(|offer| groups.offer(offer, &frame.gid, |_| frame.frame.protobuf()));
    }
    assert!(groups.write_next() && !groups.write_next());
    assert_eq!(member.outlet.progress().drained, 3);
}

#[test]
fn a_round_ends_before_those_who_were_offered_something_first_wait_for_long() {
    let relay = Relay::default();
    let mut worker = Worker::new(&relay);
    let members: Vec<Member> = (0..100).map(|_| worker.member("alice", "g", 0)).collect();
    let frames = (ROUND_OFFERS_MAX / members.len() + 10) as u64;
    for seq in 1..=frames {
        spread_out(&relay, row("g", seq));
    }
    worker.work();
    for mut member in members {
        assert_eq!(member.client.writes(), 2);
        assert_eq!(member.told(), rows(1..=frames));
    }
}
