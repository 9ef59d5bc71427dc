//! Tests of groups. [`Owner`] does what the actor does: it hands rows over, commits some, writes records behind, and
//! starts again from what is durable.

mod cursors;
mod decide;
mod fan_out;
mod recovery;
mod roles;
mod subscriptions;
mod unread;

use std::collections::BTreeMap;

use tidings_schema::{
    group::{Departure, Event, MemberRecord, Role, Settings},
    id::{MessageId, Uid},
};

use super::*;
use crate::group::{
    Group, Op, Reading,
    charter::Charter,
    rights::{Caller, Refusal},
};

fn uid(name: impl ToString) -> Uid {
    name.to_string().parse().unwrap()
}

fn message(from: &Uid, number: u64, counting: bool) -> Event {
    Event::Message { from: from.clone(), message_id: id(number), hash: hash(0), counting }
}

fn message_id(number: u64) -> MessageId {
    id(number)
}

/// The owner of one group with its store.
#[derive(Default)]
struct Owner {
    group: Group,
    /// Every row, with its `n`; durable up to `committed`.
    rows: Vec<(Event, u64)>,
    committed: usize,
    checkpoint: Charter,
    records: BTreeMap<Uid, MemberRecord>,
}

impl Owner {
    /// A group of `owner` with these members, committed.
    fn with(owner: &Uid, members: &[Uid], settings: Settings) -> Self {
        let mut new = Self::default();
        new.done(owner, Op::Create { settings, members: members.to_vec() });
        new
    }

    fn append(&mut self, event: Event) -> Seq {
        let n = self.group.next_n(&event);
        let seq = seq(self.rows.len() as u64 + 1);
        self.group.hand_over(seq, &event);
        self.rows.push((event, n));
        seq
    }

    /// Decides and hands over; gives how many rows that made.
    fn ask(&mut self, caller: Caller<'_>, op: &Op) -> Result<usize, Refusal> {
        let events = self.group.decide(caller, op)?;
        let rows = events.len();
        events.into_iter().for_each(|event| {
            self.append(event);
        });
        Ok(rows)
    }

    fn asked(&mut self, user: &Uid, op: Op) -> Result<usize, Refusal> {
        self.ask(Caller::User(user), &op)
    }

    /// The same, committed.
    fn done(&mut self, user: &Uid, op: Op) -> usize {
        let rows = self.asked(user, op).unwrap();
        self.commit(usize::MAX);
        rows
    }

    fn commit(&mut self, rows: usize) {
        let upto = self.committed.saturating_add(rows).min(self.rows.len());
        for at in self.committed..upto {
            self.group.settle(seq(at as u64 + 1), &self.rows[at].0);
        }
        self.committed = upto;
    }

    /// Moves a marker, and looks up in the log what has to be.
    fn read(&mut self, user: &Uid, upto: Seq) {
        let mut step = self.group.reading(user, upto);
        while let Some(marker) = self.look(user, step) {
            step = self.group.set_read(user, marker);
        }
    }

    fn look(&self, user: &Uid, step: Reading) -> Option<crate::group::Marker> {
        match step {
            Reading::Unchanged { .. } | Reading::NotMember => None,
            Reading::Ready(marker) => Some(marker),
            Reading::Look { upto, count_upto } => {
                let counted_upto = count_upto.unwrap_or_default();
                let own = |(from, counting): (&Uid, bool)| from == user && counting;
                let counted = self.messages(upto, counted_upto).filter(|message| own(*message)).count() as u64;
                let n = self.rows[upto.get() as usize - 1].1;
                Some(crate::group::Marker { upto, n, counted, counted_upto })
            }
        }
    }

    /// Messages above `after`, up to `upto`.
    fn messages(&self, after: Seq, upto: Seq) -> impl Iterator<Item = (&Uid, bool)> {
        let upto = upto.get() as usize;
        let rows = self.rows.iter().take(upto).skip(after.get() as usize);
        rows.filter_map(|(event, _)| match event {
            Event::Message { from, counting, .. } => Some((from, *counting)),
            _ => None,
        })
    }

    /// Unread of a member by counting.
    fn recount(&self, user: &Uid, last_read: Seq) -> u64 {
        let head = seq(self.committed as u64);
        self.messages(last_read, head).filter(|(from, counting)| *counting && *from != user).count() as u64
    }

    /// Writes changed members, one page or all.
    fn write_members(&mut self, pages: usize) {
        for _ in 0..pages {
            let page = self.group.take_changed();
            if page.is_empty() {
                break;
            }
            self.records.extend(page);
        }
    }

    fn write_checkpoint(&mut self) {
        self.write_members(usize::MAX);
        assert!(!self.group.have_changed());
        self.checkpoint = self.group.charter().clone();
        self.group.changed_durable(self.checkpoint.upto);
    }

    /// Of the rows in flight the first `survive` turn out to be durable.
    fn crash(&mut self, survive: usize) {
        self.rows.truncate(self.committed + survive);
        self.committed = self.rows.len();
        self.group = Group::restore(self.checkpoint.clone(), self.records.clone());
        let skip = self.checkpoint.upto.get() as usize;
        for (at, (event, _)) in self.rows.iter().enumerate().skip(skip) {
            self.group.replay(seq(at as u64 + 1), event);
        }
    }

    /// What the rows alone say.
    fn replayed(&self) -> Group {
        let mut group = Group::default();
        for (at, (event, _)) in self.rows[..self.committed].iter().enumerate() {
            group.replay(seq(at as u64 + 1), event);
        }
        group
    }
}

fn left(uid: &Uid) -> Event {
    Event::MemberLeft { uid: uid.clone(), how: Departure::Left }
}

fn roles(group: &Group) -> BTreeMap<Uid, Role> {
    group.members(None, usize::MAX).map(|member| (member.uid, member.role)).collect()
}
