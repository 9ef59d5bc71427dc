//! The connections of one worker that want one group: what each of them has, and what it is offered of the next frame.

use tidings_schema::id::Seq;

use super::subscriptions::{Offer, Registered, Slot, What};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not registered: gets nothing.
    Waiting,
    /// Not registered, and the membership has ended at `at`.
    Revoked,
    /// Has everything up to `at`, or was told of it.
    Live,
    /// Has not all there is.
    Behind,
}

#[derive(Clone, Copy, Debug)]
struct Sub {
    at: Seq,
    // The parts of a slot, for its size: there are as many of these as connections have groups.
    place: u32,
    life: u16,
    state: State,
    /// Questions to the owner that are not answered.
    asked: u8,
}

impl Sub {
    fn slot(&self) -> Slot {
        Slot { at: self.place, life: self.life }
    }

    fn is_registered(&self) -> bool {
        matches!(self.state, State::Live | State::Behind)
    }
}

/// The connections that want one group.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Newest row that was heard of here.
    head: Seq,
    /// Answers that do not reflect this row are too old.
    trusted_from: Seq,
    /// By slot.
    subs: Vec<Sub>,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        self.subs.is_empty()
    }

    /// The owner is asked for a connection. Who is registered stays so.
    pub(super) fn ask(&mut self, slot: Slot) {
        match self.place(slot) {
            Ok(at) => {
                if let Some(sub) = self.subs.get_mut(at) {
                    sub.asked = sub.asked.saturating_add(1);
                }
            }
            Err(at) => {
                let Slot { at: place, life } = slot;
                self.subs.insert(at, Sub { at: Seq::ZERO, place, life, state: State::Waiting, asked: 1 });
            }
        }
    }

    /// The answer for a connection: its user is a member, and the head is `head`.
    pub(super) fn register(&mut self, slot: Slot, head: Seq) -> Registered {
        let (seen, trusted_from) = (self.head, self.trusted_from);
        let Some(sub) = self.answered(slot) else { return Registered::NotWanted };
        if head < trusted_from {
            return Registered::TooOld;
        }
        if sub.state == State::Revoked && sub.at >= head {
            let by = sub.at;
            self.drop_if_done(slot);
            return Registered::Revoked(by);
        }
        let told = if sub.is_registered() { sub.at.max(head) } else { head };
        let behind = seen > told || (sub.state == State::Behind && seen > head);
        sub.at = told;
        sub.state = if behind { State::Behind } else { State::Live };
        if behind { Registered::Behind } else { Registered::Live }
    }

    /// The answer for a connection: its user is no member.
    pub(super) fn refuse(&mut self, slot: Slot) {
        if self.answered(slot).is_some_and(|sub| sub.asked == 0) {
            self.remove(slot);
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        if let Ok(at) = self.place(slot) {
            self.subs.remove(at);
        }
    }

    pub(super) fn has(&self, slot: Slot) -> bool {
        self.place(slot).is_ok()
    }

    pub(super) fn is_registered(&self, slot: Slot) -> bool {
        self.place(slot).ok().and_then(|at| self.subs.get(at)).is_some_and(Sub::is_registered)
    }

    fn answered(&mut self, slot: Slot) -> Option<&mut Sub> {
        let sub = self.sub(slot)?;
        sub.asked = sub.asked.saturating_sub(1);
        Some(sub)
    }

    fn drop_if_done(&mut self, slot: Slot) {
        if self.sub(slot).is_some_and(|sub| sub.asked == 0) {
            self.remove(slot);
        }
    }

    /// What everybody is offered of the frame of rows `prev < seq <= upto`; `ends`: whose membership ends with it.
    pub(super) fn frame(&mut self, prev: Seq, upto: Seq, ends: impl Fn(Slot) -> bool, offers: &mut Vec<Offer>) {
        self.head = self.head.max(upto);
        for sub in &mut self.subs {
            let continues = sub.state == State::Live && prev <= sub.at;
            let what = match sub.state {
                State::Waiting | State::Revoked => continue,
                State::Live | State::Behind if upto <= sub.at => continue,
                State::Live | State::Behind if continues => What::Frame,
                // It could not pull any more.
                State::Live | State::Behind if ends(sub.slot()) => continue,
                State::Live | State::Behind => What::Head,
            };
            (sub.at, sub.state) = (upto, State::Live);
            offers.push(Offer { slot: sub.slot(), what });
        }
    }

    /// Rows up to `head` were not seen here.
    pub(super) fn lost(&mut self, head: Seq) {
        self.head = self.head.max(head);
        for sub in self.subs.iter_mut().filter(|sub| sub.state == State::Live && sub.at < head) {
            sub.state = State::Behind;
        }
    }

    /// A connection did not take what it was offered last.
    pub(super) fn refused(&mut self, slot: Slot) {
        if let Some(sub) = self.sub(slot).filter(|sub| sub.state == State::Live) {
            sub.state = State::Behind;
        }
    }

    /// The head, if a connection has to be told of it; it counts as told.
    pub(super) fn tell(&mut self, slot: Slot) -> Option<Seq> {
        let head = self.head;
        let sub = self.sub(slot).filter(|sub| sub.state == State::Behind)?;
        (sub.at, sub.state) = (head, State::Live);
        Some(head)
    }

    /// The row at `seq` ends the membership of those whom `whom` names, unless they became members after it. Those who were
    /// registered are given. Who has a question on its way is remembered until it is answered.
    pub(super) fn revoke(&mut self, seq: Seq, whom: impl Fn(Slot) -> bool) -> Vec<Slot> {
        let mut revoked = Vec::new();
        self.subs.retain_mut(|sub| {
            // Registered at a later row; or a frame was just offered that ends at this very one.
            if (sub.is_registered() && sub.at > seq) || !whom(sub.slot()) {
                return true;
            }
            if sub.is_registered() {
                revoked.push(sub.slot());
                sub.at = seq;
            }
            (sub.at, sub.state) = (sub.at.max(seq), State::Revoked);
            sub.asked > 0
        });
        revoked
    }

    /// Rows up to `head` may have ended any membership: nobody is registered any more, and no answer counts that does not
    /// reflect them. Gives everybody.
    pub(super) fn wait_again(&mut self, head: Seq) -> Vec<Slot> {
        self.head = self.head.max(head);
        self.trusted_from = self.trusted_from.max(head);
        for sub in &mut self.subs {
            (sub.at, sub.state) = (Seq::ZERO, State::Waiting);
        }
        self.subs.iter().map(Sub::slot).collect()
    }

    fn place(&self, slot: Slot) -> Result<usize, usize> {
        self.subs.binary_search_by_key(&slot, Sub::slot)
    }

    fn sub(&mut self, slot: Slot) -> Option<&mut Sub> {
        let at = self.place(slot).ok()?;
        self.subs.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_small() {
        assert_eq!(size_of::<Sub>(), 16);
    }
}
