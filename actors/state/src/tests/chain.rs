//! The crash test of a chain: a sender's timeline and outbox against a receiver's rule, over a network that drops,
//! doubles and reorders, while either side crashes and forgets what was not durable, the sender sweeps rows that were
//! accepted, and the receiver blocks at times.
//! Every committed row that was not blocked arrives exactly once, in order.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tidings_schema::{id::Epoch, record, row::InboxRow};

use super::*;
use crate::{
    conversation::Conversation,
    deliver::{Verdict, judge, judge_adopting},
    outbox::{Back, Outbox},
    timeline::{Replay, Timeline},
};

#[derive(Clone, Debug)]
enum Packet {
    Deliver { log_id: LogId, prev: Seq, rows: Vec<(Seq, Millis)>, adopt: bool },
    Accepted(Place),
    Gap(Place),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    SendElsewhere,
    CommitSender(u64),
    CommitReceiver(u64),
    Drive,
    Arrive(usize),
    Lose(usize),
    Double(usize),
    SaveSender,
    SweepSender,
    SaveReceiver,
    CrashSender(usize),
    CrashReceiver(usize),
    Block,
    Unblock,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Send),
        2 => Just(Step::SendElsewhere),
        5 => (1_u64..6).prop_map(Step::CommitSender),
        5 => (1_u64..6).prop_map(Step::CommitReceiver),
        8 => Just(Step::Drive),
        10 => (0_usize..8).prop_map(Step::Arrive),
        2 => (0_usize..8).prop_map(Step::Lose),
        5 => (0_usize..8).prop_map(Step::Double),
        1 => Just(Step::SaveSender),
        2 => Just(Step::SweepSender),
        1 => Just(Step::SaveReceiver),
        2 => (0_usize..4).prop_map(Step::CrashSender),
        2 => (0_usize..4).prop_map(Step::CrashReceiver),
        1 => Just(Step::Block),
        1 => Just(Step::Unblock),
        4 => (0_u64..400).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..250)
}

/// A log of which a prefix is durable.
struct Log {
    rows: Vec<InboxRow>,
    timeline: Timeline,
}

impl Log {
    fn new() -> Self {
        Self { rows: Vec::new(), timeline: Timeline::empty(Epoch::new(1)) }
    }

    fn append(&mut self, now: Millis, fresh: LogId, body: RowBody) -> InboxRow {
        let slot = self.timeline.append(now, fresh).unwrap();
        self.rows.push(row(slot, body));
        self.rows.last().unwrap().clone()
    }

    fn commit(&mut self, rows: u64) {
        self.timeline.commit(seq(self.timeline.committed().get() + rows));
    }

    fn committed(&self) -> &[InboxRow] {
        &self.rows[..self.timeline.committed().get() as usize]
    }

    /// Of what was in flight the first `survive` rows turn out to be durable.
    fn crash(&mut self, survive: usize) {
        self.rows.truncate(self.timeline.committed().get() as usize + survive);
        self.timeline = Timeline::empty(Epoch::new(self.timeline.epoch().get() + 1));
        for row in &self.rows {
            assert_eq!(self.timeline.replay(row), Replay::Accepted);
        }
    }
}

struct Sender {
    log: Log,
    outbox: Outbox,
    saved_accepted: Seq,
    /// Rows below it are gone.
    floor: Seq,
}

impl Sender {
    fn chain(&self) -> impl Iterator<Item = Seq> {
        self.log.rows.iter().filter(|row| row.body.is_message()).map(|row| row.seq)
    }

    fn kept_chain(&self) -> Vec<Seq> {
        self.chain().filter(|row| *row >= self.floor).collect()
    }

    /// Rows whose effects are durably known to be accepted go.
    fn sweep(&mut self) {
        let owed = self.outbox.oldest_unaccepted().unwrap_or(Seq::new(u64::MAX));
        self.floor = self.floor.max(self.saved_accepted.next().min(owed));
    }

    /// The peer has less than was accepted: what is kept of the chain after `have` is sent again.
    fn reload(&mut self, have: Seq) {
        let kept: Vec<Seq> = self.kept_chain().into_iter().filter(|row| *row > have).collect();
        let end = kept.first().copied().unwrap_or(Seq::new(u64::MAX));
        let base = self.chain().filter(|row| *row < end).last().unwrap_or_default();
        self.outbox.go_back_to_kept(have, base, kept);
    }

    fn restart(&mut self, survive: usize) {
        self.log.crash(survive);
        self.outbox = Outbox::restore(self.saved_accepted, self.kept_chain());
    }

    fn drive(&mut self, now: Millis) -> Option<Packet> {
        let committed = self.log.timeline.committed();
        let mut flight = self.outbox.next(committed, now)?;
        self.outbox.trim(&mut flight, 3);
        assert!(flight.seqs.iter().all(|row| *row >= self.floor), "a row that is gone cannot be sent");
        let rows = flight.seqs.iter().map(|at_seq| (*at_seq, self.log.rows[at_seq.get() as usize - 1].time)).collect();
        Some(Packet::Deliver { log_id: self.log.timeline.log_id()?, prev: flight.prev, rows, adopt: flight.adopt })
    }
}

struct Receiver {
    log: Log,
    /// With and without what is not committed.
    tail: Conversation,
    firm: Conversation,
    saved: record::Conversation,
    /// Places without a row, each with the head that must be committed before it may be durable.
    noted: Vec<(Place, Seq)>,
    /// Rows that were decided to be blocked, and of those the ones whose place became durable.
    judged_blocked: BTreeSet<Seq>,
    firmly_blocked: BTreeSet<Seq>,
}

impl Receiver {
    fn take(&mut self, log_id: LogId, prev: Seq, rows: &[(Seq, Millis)], adopt: bool) -> Vec<Packet> {
        let seqs: Vec<Seq> = rows.iter().map(|row| row.0).collect();
        let judge = if adopt { judge_adopting } else { judge };
        let skip = match judge(self.tail.peer, log_id, prev, &seqs) {
            Verdict::Take { skip } => skip,
            Verdict::Adopt { place } => {
                self.tail.note_place(place);
                0
            }
            Verdict::Gap { have } => return vec![Packet::Gap(Place { log_id, seq: have })],
            Verdict::Nothing => return self.accepted(),
        };
        for &(at_seq, time) in &rows[skip..] {
            let place = Place { log_id, seq: at_seq };
            if self.tail.was_blocked_at(time) {
                self.tail.note_place(place);
                self.noted.push((place, self.log.timeline.head()));
                self.judged_blocked.insert(at_seq);
            } else {
                let row = self.log.append(time, OTHER_LOG, incoming(place, true));
                self.tail.apply(&row);
            }
        }
        self.firm_up()
    }

    fn commit(&mut self, rows: u64) -> Vec<Packet> {
        self.log.commit(rows);
        self.firm_up()
    }

    /// What is committed becomes part of the firm state; a place without a row follows the rows before it, and is stored.
    fn firm_up(&mut self) -> Vec<Packet> {
        let before = self.firm.peer;
        let committed = self.log.timeline.committed();
        self.log.committed().iter().for_each(|row| self.firm.apply(row));
        while self.noted.first().is_some_and(|(_, after)| *after <= committed) {
            let (place, _) = self.noted.remove(0);
            self.firm.note_place(place);
            self.firmly_blocked.insert(place.seq);
            self.saved = self.firm.to_record(committed);
        }
        if self.firm.peer == before { Vec::new() } else { self.accepted() }
    }

    fn accepted(&self) -> Vec<Packet> {
        self.firm.peer.map(Packet::Accepted).into_iter().collect()
    }

    fn set_block(&mut self, body: RowBody, now: Millis) {
        let row = self.log.append(now, OTHER_LOG, body);
        self.tail.apply(&row);
        // The caller is answered when the row is committed, which ends the step.
        self.log.commit(u64::MAX / 2);
        let _ = self.firm_up();
    }

    fn restart(&mut self, survive: usize) {
        self.log.crash(survive);
        self.firm = Conversation::from_record(self.saved.clone()).unwrap();
        self.log.rows.iter().for_each(|row| self.firm.apply(row));
        self.tail = self.firm.clone();
        self.noted.clear();
    }
}

struct World {
    now: u64,
    sender: Sender,
    receiver: Receiver,
    network: Vec<Packet>,
}

impl World {
    fn new() -> Self {
        let sender =
            Sender { log: Log::new(), outbox: Outbox::default(), saved_accepted: Seq::ZERO, floor: Seq::new(1) };
        let receiver = Receiver {
            log: Log::new(),
            tail: Conversation::default(),
            firm: Conversation::default(),
            saved: record::Conversation::default(),
            noted: Vec::new(),
            judged_blocked: BTreeSet::new(),
            firmly_blocked: BTreeSet::new(),
        };
        Self { now: 1, sender, receiver, network: Vec::new() }
    }

    fn step(&mut self, step: Step) {
        self.now += 1;
        let now = at(self.now);
        match step {
            Step::Send => {
                let sent = self.sender.log.append(now, LOG, out(0)).seq;
                self.sender.outbox.push(sent);
            }
            Step::SendElsewhere => {
                let _ = self.sender.log.append(now, LOG, RowBody::Unblocked);
            }
            Step::CommitSender(rows) => self.sender.log.commit(rows),
            Step::CommitReceiver(rows) => self.network.extend(self.receiver.commit(rows)),
            Step::Drive => self.network.extend(self.sender.drive(now)),
            Step::Arrive(pick) => self.arrive(pick, now),
            Step::Lose(pick) => drop(self.pick(pick)),
            Step::Double(pick) => {
                let doubled = self.network.get(pick % self.network.len().max(1)).cloned();
                self.network.extend(doubled);
            }
            Step::SaveSender => self.sender.saved_accepted = self.sender.outbox.accepted_upto(),
            Step::SweepSender => self.sender.sweep(),
            Step::SaveReceiver => {
                self.receiver.saved = self.receiver.firm.to_record(self.receiver.log.timeline.committed())
            }
            Step::CrashSender(survive) => self.sender.restart(survive),
            Step::CrashReceiver(survive) => self.receiver.restart(survive),
            Step::Block => self.receiver.set_block(RowBody::Blocked, now),
            Step::Unblock => self.receiver.set_block(RowBody::Unblocked, now),
            Step::Wait(ms) => self.now += ms,
        }
    }

    fn pick(&mut self, pick: usize) -> Option<Packet> {
        (!self.network.is_empty()).then(|| self.network.remove(pick % self.network.len()))
    }

    fn arrive(&mut self, pick: usize, now: Millis) {
        let Some(packet) = self.pick(pick) else { return };
        let outbox = &mut self.sender.outbox;
        match packet {
            Packet::Deliver { log_id, prev, rows, adopt } => {
                self.network.extend(self.receiver.take(log_id, prev, &rows, adopt));
            }
            Packet::Accepted(place) => {
                assert_eq!(Some(place.log_id), self.sender.log.timeline.log_id());
                outbox.accepted(place.seq, None, now);
            }
            Packet::Gap(place) => match outbox.gap(place.seq, now) {
                Back::Covered => {}
                // Nothing that was accepted is ever lost here, so only a stale gap can name less.
                Back::Reload(have) => self.sender.reload(have),
            },
        }
    }

    /// The network heals and both sides work on, until nothing is owed.
    fn settle(&mut self) {
        self.step(Step::Unblock);
        for _ in 0..1_000 {
            for step in [Step::CommitSender(9), Step::Drive, Step::Arrive(0), Step::CommitReceiver(9), Step::Arrive(0)]
            {
                self.step(step);
            }
            if self.sender.outbox.is_idle() && self.network.is_empty() {
                break;
            }
            self.step(Step::Wait(100));
        }
        assert!(self.sender.outbox.is_idle(), "the outbox empties once the network heals");
        self.step(Step::CommitReceiver(u64::MAX / 2));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn every_committed_row_that_was_not_blocked_arrives_exactly_once_and_in_order(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            prop_assert!(world.receiver.firm.peer.map(|place| place.seq) <= Some(world.sender.log.timeline.committed()));
        }
        world.settle();
        let arrived: Vec<Seq> = world.receiver.log.rows.iter().filter_map(|row| match row.body {
            RowBody::In { peer, .. } => Some(peer.seq),
            _ => None,
        }).collect();
        prop_assert!(arrived.is_sorted_by(|a, b| a < b), "in order, none twice: {arrived:?}");
        for sent in world.sender.chain() {
            let shown = arrived.contains(&sent);
            prop_assert!(shown || world.receiver.judged_blocked.contains(&sent), "{sent} is lost");
            prop_assert!(!shown || !world.receiver.firmly_blocked.contains(&sent), "{sent} was blocked and shows");
        }
        prop_assert!(arrived.iter().all(|seq| world.sender.chain().any(|sent| sent == *seq)), "something no one sent");
    }
}
