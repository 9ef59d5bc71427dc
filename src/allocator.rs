//! Memory that was freed goes back to the system, also when the thread that had it went quiet.
//!
//! The allocator looks after the freed memory of a thread while that thread allocates. After a burst a quiet thread would
//! keep everything: measured, all that the mailboxes of the burst had used. So every thread that serves users asks it to
//! look, now and then. And while there is little to do the kernel must not fill up with huge pages what was given back.

use std::{hint::black_box, time::Duration};

use tokio::time::MissedTickBehavior;

use crate::clock::cpu_used;

/// Time between two looks. What a busy thread gives back it takes again at the price of page faults, so not often.
const EVERY: Duration = Duration::from_secs(10);

/// Time over which load is looked at.
const LOAD_OVER: Duration = Duration::from_secs(1);
/// CPU in that time from which on the process counts as busy: a quarter of a core.
const BUSY: Duration = Duration::from_millis(250);
/// So many times in a row it was not: it is quiet. Less than the time after which a mailbox leaves memory.
const QUIET_AFTER: u32 = 10;

/// Lets the allocator collect what this thread has freed, and give free pages back.
///
/// There is no safe call that says so, but one that means it: before an allocation is refused everything is collected. One
/// of half the address space is always refused.
fn give_back() {
    let too_much = black_box(isize::MAX.unsigned_abs());
    let _refused = black_box(Vec::<u8>::new()).try_reserve_exact(too_much).is_err();
}

/// Does so on this thread for ever.
pub async fn keep_giving_back() {
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        give_back();
    }
}

/// Huge pages make allocating cheaper, which a busy process needs, and a quiet one larger than what it holds: allows them
/// while there is work, for ever.
pub async fn keep_following_load() {
    let mut turns = tokio::time::interval(LOAD_OVER);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut load, mut before) = (Load::default(), Duration::ZERO);
    loop {
        turns.tick().await;
        let used = cpu_used();
        let news = load.note(used.saturating_sub(before));
        before = used;
        if let Some(allowed) = news {
            allow_huge_pages(allowed);
        }
    }
}

/// Of the whole process, whatever thread asks.
fn allow_huge_pages(allowed: bool) {
    #[cfg(target_os = "linux")]
    {
        // A kernel without them has nothing to disable.
        let _none = rustix::thread::disable_transparent_huge_pages(!allowed).is_err();
    }
    #[cfg(not(target_os = "linux"))]
    let _ = allowed;
}

/// How much there was to do lately.
#[derive(Default)]
struct Load {
    /// How many times in a row the process was not busy.
    quiet: u32,
}

impl Load {
    /// So much CPU was used since the last time. Whether huge pages are allowed from now on, when that changes.
    fn note(&mut self, used: Duration) -> Option<bool> {
        let was_quiet = self.quiet >= QUIET_AFTER;
        self.quiet = if used >= BUSY { 0 } else { self.quiet.saturating_add(1) };
        let is_quiet = self.quiet >= QUIET_AFTER;
        (is_quiet != was_quiet).then_some(!is_quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_allocator_has_so_much() {
        assert!(Vec::<u8>::new().try_reserve_exact(black_box(isize::MAX.unsigned_abs())).is_err());
        give_back();
    }

    #[test]
    fn huge_pages_go_when_it_was_quiet_for_a_while_and_come_with_the_first_load() {
        let (little, much) = (BUSY - Duration::from_millis(1), BUSY);
        let mut load = Load::default();
        for _ in 1..QUIET_AFTER {
            assert_eq!(load.note(little), None);
        }
        assert_eq!(load.note(much), None);
        for _ in 1..QUIET_AFTER {
            assert_eq!(load.note(little), None);
        }
        assert_eq!((load.note(little), load.note(little)), (Some(false), None));
        assert_eq!((load.note(much), load.note(much)), (Some(true), None));
    }
}
