//! A clock to forget by: the wall clock, without its jumps forward.
//!
//! A wall clock that is a year ahead for an hour must not cost a year of messages. The time since the process started
//! cannot jump, so the two together show a jump: how far the wall clock is ahead of it changes. What counts is the
//! smallest lead of the last [`DOUBT_MS`]; a jump forward is believed once it has lasted that long, one back at once.
//! A clock that is wrong when the process starts cannot be told from a right one; [`SETTLE_MS`] is time to correct it.

use std::collections::VecDeque;

use tidings_schema::id::Millis;

/// How long a jump forward is not believed.
pub const DOUBT_MS: u64 = 24 * HOUR_MS;
/// How long nothing is believed after the start.
pub const SETTLE_MS: u64 = HOUR_MS;

const HOUR_MS: u64 = 3_600 * 1_000;
/// Hours that are remembered: all of the doubt, and the one that has begun.
const HOURS_MAX: usize = (DOUBT_MS / HOUR_MS) as usize + 1;

/// The smallest lead of the wall clock in one hour of uptime.
#[derive(Clone, Copy, Debug)]
struct Hour {
    number: u64,
    lead: i64,
}

/// The clock. It is told the time, and tells a time at or before it.
#[derive(Clone, Debug, Default)]
pub struct SteadyClock {
    started: Option<Millis>,
    hours: VecDeque<Hour>,
}

impl SteadyClock {
    /// Takes what both clocks say, and answers the time that may be believed; `None` shortly after the start.
    pub fn believe(&mut self, now: Millis, uptime: Millis) -> Option<Millis> {
        let signed = |ms: Millis| i64::try_from(ms.get()).unwrap_or(i64::MAX);
        let (lead, number) = (signed(now).saturating_sub(signed(uptime)), uptime.get() / HOUR_MS);
        match self.hours.back_mut().filter(|hour| hour.number == number) {
            Some(hour) => hour.lead = hour.lead.min(lead),
            None => self.hours.push_back(Hour { number, lead }),
        }
        while self.hours.len() > HOURS_MAX
            || self.hours.front().is_some_and(|hour| hour.number + (HOURS_MAX as u64) <= number)
        {
            self.hours.pop_front();
        }
        let started = *self.started.get_or_insert(uptime);
        let smallest = self.hours.iter().map(|hour| hour.lead).min()?;
        let believed = u64::try_from(signed(uptime).saturating_add(smallest)).unwrap_or_default();
        (uptime.since(started) >= SETTLE_MS).then(|| Millis::new(believed))
    }
}
