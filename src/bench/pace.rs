//! Says when messages are due, at an even rate, from a thread of its own: the timers of the load's thread are too coarse
//! for latencies of a millisecond.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::mpsc;

use crate::clock::Stopwatch;

/// Messages of one user that are due and not sent. When full the pace waits; what is late still counts from when it was
/// due.
const DUE_MAX: usize = 256;

/// The end of a user's orders that is written.
pub(super) type Order = mpsc::Sender<u64>;

/// Orders for one user.
pub(super) fn orders() -> (Order, mpsc::Receiver<u64>) {
    mpsc::channel(DUE_MAX)
}

/// A running pace.
pub(super) struct Pace {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pace {
    /// Orders `rate` messages per second, from the users in turn.
    pub(super) fn start(watch: Stopwatch, rate: u64, users: Vec<Order>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("bench-pace".into()).spawn(move || {
            let begun = watch.micros();
            for (number, user) in (0_u64..).zip(users.iter().cycle()) {
                let due = begun + due_after(number, rate);
                if !wait_until(watch, due, &stopped) || user.blocking_send(due).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Orders nothing more. The users must go on taking orders until this returns.
    pub(super) async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It ends between two messages.
            let _ended = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Microseconds from the start until message `number` is due.
fn due_after(number: u64, rate: u64) -> u64 {
    let micros = u128::from(number) * 1_000_000 / u128::from(rate.max(1));
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// False when told to stop.
fn wait_until(watch: Stopwatch, due: u64, stop: &AtomicBool) -> bool {
    while !stop.load(Ordering::Relaxed) {
        match due.saturating_sub(watch.micros()) {
            0 => return true,
            left => thread::park_timeout(Duration::from_micros(left)),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_even_and_does_not_drift() {
        assert_eq!(
            [0, 1, 2, 3, 3_000_000].map(|number| due_after(number, 3)),
            [0, 333_333, 666_666, 1_000_000, 1_000_000_000_000]
        );
    }
}
