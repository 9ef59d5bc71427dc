//! Unread against a recount, over random histories with crashes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidings_schema::{
    change::{Change, MessageName},
    group::OWN_ROWS_MAX,
};

use super::*;

const USERS: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Step {
    Join(usize),
    Leave(usize),
    Remove(usize),
    Send(usize, usize, bool),
    /// Recall, edit, reaction: rows that are no messages.
    Change(usize),
    /// Reads a place, the given part of the log; a deletion up to there is the same.
    Read(usize, u64),
    ReadHead(usize),
    Ack(usize, u64),
    Commit(usize),
    WriteMembers,
    Checkpoint,
    Crash(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let user = || 0..USERS;
    let step = prop_oneof![
        3 => user().prop_map(Step::Join),
        1 => user().prop_map(Step::Leave),
        1 => user().prop_map(Step::Remove),
        6 => (user(), 1_usize..4, any::<bool>()).prop_map(|(user, rows, counting)| Step::Send(user, rows, counting)),
        1 => (user(), 1..OWN_ROWS_MAX * 2).prop_map(|(user, rows)| Step::Send(user, rows, true)),
        1 => user().prop_map(Step::Change),
        5 => (user(), 0_u64..=100).prop_map(|(user, part)| Step::Read(user, part)),
        1 => user().prop_map(Step::ReadHead),
        2 => (user(), 0_u64..=110).prop_map(|(user, part)| Step::Ack(user, part)),
        6 => (1_usize..40).prop_map(Step::Commit),
        2 => Just(Step::WriteMembers),
        1 => Just(Step::Checkpoint),
        1 => (0_usize..30).prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..120)
}

/// What a member has read and got, as nobody forgets it.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    read: Seq,
    acked: Seq,
}

struct World {
    owner: Owner,
    users: Vec<Uid>,
    kept: BTreeMap<Uid, Kept>,
}

impl World {
    fn new() -> Self {
        let users: Vec<Uid> = (0..USERS).map(|at| uid(format!("u{at}"))).collect();
        Self { owner: Owner::with(&uid("owner"), &users[..2], Settings::default()), users, kept: BTreeMap::new() }
    }

    fn part(&self, part: u64) -> Seq {
        seq(self.owner.committed as u64 * part / 100)
    }

    fn step(&mut self, step: Step) {
        let creator = uid("owner");
        match step {
            Step::Join(user) => {
                let _ = self.owner.asked(&creator, Op::AddMembers(vec![self.users[user].clone()]));
            }
            Step::Leave(user) => {
                let _ = self.owner.asked(&self.users[user].clone(), Op::Leave);
            }
            Step::Remove(user) => {
                let _ = self.owner.asked(&creator, Op::RemoveMember(self.users[user].clone()));
            }
            Step::Send(user, rows, counting) => self.send(user, rows, counting),
            Step::Change(user) => {
                let (by, name) = (&self.users[user], MessageName { author: creator, message_id: message_id(1) });
                let change = Event::Changed { by: by.clone(), target: seq(1), name, change: Change::Recall };
                self.owner.append(change);
            }
            Step::Read(user, part) => self.read(user, self.part(part)),
            Step::ReadHead(user) => self.read(user, seq(u64::MAX)),
            Step::Ack(user, part) => {
                let (user, upto) = (self.users[user].clone(), self.part(part));
                if self.owner.group.ack(&user, upto) == crate::group::Acked::Moved {
                    self.kept.entry(user).or_default().acked = upto;
                }
            }
            Step::Commit(rows) => self.owner.commit(rows),
            Step::WriteMembers => self.owner.write_members(1),
            Step::Checkpoint => self.owner.write_checkpoint(),
            Step::Crash(survive) => self.crash(survive),
        }
    }

    fn send(&mut self, user: usize, rows: usize, counting: bool) {
        let user = self.users[user].clone();
        for _ in 0..rows {
            if self.owner.group.may_send(Caller::User(&user), &[], at(0)).is_ok() {
                self.owner.append(message(&user, 1, counting));
            }
        }
    }

    fn read(&mut self, user: usize, upto: Seq) {
        let user = self.users[user].clone();
        self.owner.read(&user, upto);
        if let Some(seat) = self.owner.group.seat(&user) {
            let head = seq(self.owner.committed as u64);
            let kept = self.kept.entry(user).or_default();
            kept.read = kept.read.max(upto.min(head)).max(seat.joined);
        }
    }

    /// What was written stays; the rest is told again, as mailboxes and clients do.
    fn crash(&mut self, survive: usize) {
        let written = self.owner.records.clone();
        self.owner.crash(survive);
        for user in self.users.clone() {
            let Some(seat) = self.owner.group.seat(&user) else { continue };
            if let Some(tidings_schema::group::Standing::Member(before)) = written.get(&user).map(|it| &it.standing) {
                assert!(
                    seat.last_read >= before.last_read && seat.last_ack >= before.last_ack,
                    "{user}: a cursor went back"
                );
            }
            assert_eq!(
                self.owner.group.unread(&user),
                Some(self.owner.recount(&user, seat.last_read)),
                "{user} after a crash"
            );
            let kept = self.kept.get(&user).copied().unwrap_or_default();
            self.owner.read(&user, kept.read);
            let _ = self.owner.group.ack(&user, kept.acked);
        }
        let (group, rows) = (&self.owner.group, self.owner.replayed());
        assert_eq!(group.charter(), rows.charter());
        assert!(group.members(None, usize::MAX).eq(rows.members(None, usize::MAX)));
    }

    fn check(&self) {
        for user in &self.users {
            let Some(seat) = self.owner.group.seat(user) else {
                assert_eq!(self.owner.group.unread(user), None);
                continue;
            };
            let kept = self.kept.get(user).copied().unwrap_or_default();
            assert_eq!(seat.last_read, kept.read.max(seat.joined), "{user}: the marker");
            assert_eq!(seat.last_ack, kept.acked.max(seat.joined), "{user}: the cursor");
            assert_eq!(self.owner.group.unread(user), Some(self.owner.recount(user, seat.last_read)), "{user}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn unread_is_what_a_recount_says(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
        world.owner.commit(usize::MAX);
        world.check();
    }
}
