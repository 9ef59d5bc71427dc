//! Memory that was freed goes back to the system, also when the thread that had it went quiet.
//!
//! The allocator looks after the freed memory of a thread while that thread allocates. After a burst a quiet thread would
//! keep everything: measured, all that the mailboxes of the burst had used. So every thread that serves users asks it to
//! look, now and then.

use std::{hint::black_box, time::Duration};

use tokio::time::MissedTickBehavior;

/// Time between two looks. What a busy thread gives back it takes again at the price of page faults, so not often.
const EVERY: Duration = Duration::from_secs(10);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_allocator_has_so_much() {
        assert!(Vec::<u8>::new().try_reserve_exact(black_box(isize::MAX.unsigned_abs())).is_err());
        give_back();
    }
}
