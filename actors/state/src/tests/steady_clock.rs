//! Tests of the clock to forget by: jumps forward are not believed for a day, jumps back at once.

use super::*;
use crate::steady_clock::{DOUBT_MS, SETTLE_MS, SteadyClock};

const HOUR_MS: u64 = 3_600 * 1_000;
const YEAR_MS: u64 = 365 * 24 * HOUR_MS;
/// What the wall clock is ahead of the uptime when it is right.
const LEAD_MS: u64 = 50 * YEAR_MS;

/// Runs the clock for `hours` from `from` on, looked at every ten minutes, with the wall clock ahead by `ahead`; what it
/// said last.
fn run(clock: &mut SteadyClock, from: &mut u64, hours: u64, ahead: u64) -> Option<Millis> {
    let mut said = None;
    for _ in 0..hours * 6 {
        *from += HOUR_MS / 6;
        said = clock.believe(at(*from + LEAD_MS + ahead), at(*from));
    }
    said
}

#[test]
fn nothing_is_believed_before_the_clock_has_settled() {
    let mut clock = SteadyClock::default();
    assert_eq!(clock.believe(at(LEAD_MS), at(0)), None);
    assert_eq!(clock.believe(at(LEAD_MS + SETTLE_MS - 1), at(SETTLE_MS - 1)), None);
    assert_eq!(clock.believe(at(LEAD_MS + SETTLE_MS), at(SETTLE_MS)), Some(at(LEAD_MS + SETTLE_MS)));
}

#[test]
fn a_right_clock_is_believed_to_the_millisecond() {
    let (mut clock, mut uptime) = (SteadyClock::default(), 5);
    assert_eq!(run(&mut clock, &mut uptime, 100, 0), Some(at(uptime + LEAD_MS)));
}

#[test]
fn a_jump_forward_is_not_believed_for_a_day_and_then_it_is() {
    let (mut clock, mut uptime) = (SteadyClock::default(), 0);
    let _ = run(&mut clock, &mut uptime, 30, 0);
    assert_eq!(run(&mut clock, &mut uptime, DOUBT_MS / HOUR_MS - 1, YEAR_MS), Some(at(uptime + LEAD_MS)));
    assert_eq!(run(&mut clock, &mut uptime, 2, YEAR_MS), Some(at(uptime + LEAD_MS + YEAR_MS)));
}

#[test]
fn a_jump_that_is_taken_back_within_a_day_leaves_no_trace() {
    let (mut clock, mut uptime) = (SteadyClock::default(), 0);
    let _ = run(&mut clock, &mut uptime, 30, 0);
    for _ in 0..5 {
        assert_eq!(run(&mut clock, &mut uptime, 20, YEAR_MS), Some(at(uptime + LEAD_MS)));
        assert_eq!(run(&mut clock, &mut uptime, 1, 0), Some(at(uptime + LEAD_MS)));
    }
}

#[test]
fn a_jump_back_is_believed_at_once() {
    let (mut clock, mut uptime) = (SteadyClock::default(), 0);
    let _ = run(&mut clock, &mut uptime, 30, YEAR_MS);
    let now = at(uptime + LEAD_MS);
    assert_eq!(clock.believe(now, at(uptime)), Some(now));
}

#[test]
fn a_long_pause_between_two_looks_leaves_no_old_hour() {
    let mut clock = SteadyClock::default();
    let _ = clock.believe(at(LEAD_MS), at(0));
    let later = 90 * 24 * HOUR_MS;
    assert_eq!(clock.believe(at(later + LEAD_MS + YEAR_MS), at(later)), Some(at(later + LEAD_MS + YEAR_MS)));
}
