//! No sequence of operations gives anybody rights that no owner gave. The oracle knows nothing of rows: it replays who asked
//! what, by rules of its own.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidings_schema::group::{HistoryForNew, JoinPolicy, SettingsPatch};

use super::*;

const USERS: usize = 6;

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(usize, Ask),
    Commit(usize),
    Checkpoint,
    Crash(usize),
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Create,
    Join,
    Leave,
    Add(usize),
    Remove(usize),
    SetRole(usize, Role),
    Mute(usize, bool),
    MuteGroup(bool),
    Rename(u8),
    Rules(JoinPolicy),
    Dismiss,
}

fn asks() -> impl Strategy<Value = Ask> {
    let user = || 0..USERS;
    let role = prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)];
    prop_oneof![
        1 => Just(Ask::Create),
        4 => Just(Ask::Join),
        2 => Just(Ask::Leave),
        6 => user().prop_map(Ask::Add),
        3 => user().prop_map(Ask::Remove),
        10 => (user(), role).prop_map(|(user, role)| Ask::SetRole(user, role)),
        2 => (user(), any::<bool>()).prop_map(|(user, muted)| Ask::Mute(user, muted)),
        1 => any::<bool>().prop_map(Ask::MuteGroup),
        1 => any::<u8>().prop_map(Ask::Rename),
        1 => prop_oneof![Just(JoinPolicy::Invite), Just(JoinPolicy::Open)].prop_map(Ask::Rules),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // The last number is the server.
    let step = prop_oneof![
        20 => (0..=USERS, asks()).prop_map(|(by, ask)| Step::Ask(by, ask)),
        6 => (1_usize..5).prop_map(Step::Commit),
        1 => Just(Step::Checkpoint),
        1 => (0_usize..3).prop_map(Step::Crash),
    ];
    let end = (0..USERS).prop_map(|by| Step::Ask(by, Ask::Dismiss));
    (prop::collection::vec(step, 1..150), end).prop_map(|(mut steps, end)| {
        steps.push(end);
        steps
    })
}

/// Who has which rights, and from whom.
#[derive(Clone, Debug, Default, PartialEq)]
struct Oracle {
    exists: bool,
    owner: Option<usize>,
    /// Each with the one who was owner when it became admin; the server is [`USERS`].
    admins: BTreeMap<usize, usize>,
    members: BTreeSet<usize>,
    open: bool,
    muted: BTreeSet<usize>,
    group_muted: bool,
    name: u8,
    over: bool,
}

impl Oracle {
    fn is_admin(&self, user: usize) -> bool {
        user == USERS || self.owner == Some(user) || self.admins.contains_key(&user)
    }

    fn outranks(&self, by: usize, user: usize) -> bool {
        by == USERS || (self.owner == Some(by) && by != user) || (self.admins.contains_key(&by) && !self.is_admin(user))
    }

    /// What the group becomes; `None` when nothing does.
    fn asked(&self, by: usize, ask: Ask) -> Option<Self> {
        let mut new = self.clone();
        let (is_member, owns) = (self.members.contains(&by), by == USERS || self.owner == Some(by));
        if matches!(ask, Ask::Create) && !self.exists && by != USERS {
            (new.exists, new.owner) = (true, Some(by));
            new.members.insert(by);
            return Some(new);
        }
        if !self.exists || self.over {
            return None;
        }
        let allowed = match ask {
            Ask::Create => false,
            Ask::Join => by != USERS && self.open,
            Ask::Leave => is_member && (self.owner != Some(by) || self.members.len() == 1),
            Ask::Add(_) => self.is_admin(by) || (self.open && is_member),
            Ask::Remove(user) => {
                self.members.contains(&user)
                    && self.outranks(by, user)
                    && (self.owner != Some(user) || self.members.len() == 1)
            }
            Ask::SetRole(user, _) => owns && by != user && self.members.contains(&user) && self.owner != Some(user),
            Ask::Mute(user, _) => self.members.contains(&user) && self.outranks(by, user),
            Ask::MuteGroup(_) | Ask::Rename(_) => self.is_admin(by),
            Ask::Rules(_) | Ask::Dismiss => owns,
        };
        allowed.then(|| new.becomes(by, ask))?;
        (new != *self).then_some(new)
    }

    fn becomes(&mut self, by: usize, ask: Ask) {
        match ask {
            Ask::Create => {}
            Ask::Join => _ = self.members.insert(by),
            Ask::Add(user) => _ = self.members.insert(user),
            Ask::Leave => self.out(by),
            Ask::Remove(user) => self.out(user),
            Ask::SetRole(user, Role::Member) => _ = self.admins.remove(&user),
            Ask::SetRole(user, Role::Admin) => _ = self.admins.entry(user).or_insert(by),
            Ask::SetRole(user, Role::Owner) => {
                self.admins.remove(&user);
                let before = self.owner.replace(user);
                self.admins.extend(before.map(|before| (before, before)));
            }
            Ask::Mute(user, true) => _ = self.muted.insert(user),
            Ask::Mute(user, false) => _ = self.muted.remove(&user),
            Ask::MuteGroup(muted) => self.group_muted = muted,
            Ask::Rename(name) => self.name = name,
            Ask::Rules(join) => self.open = join == JoinPolicy::Open,
            Ask::Dismiss => {
                *self = Self { exists: true, over: true, ..Self::default() };
            }
        }
    }

    fn out(&mut self, user: usize) {
        self.members.remove(&user);
        self.admins.remove(&user);
        self.muted.remove(&user);
        self.owner.take_if(|owner| *owner == user);
    }

    fn roles(&self) -> BTreeMap<Uid, Role> {
        let role = |user: usize| match (self.owner == Some(user), self.admins.contains_key(&user)) {
            (true, _) => Role::Owner,
            (false, true) => Role::Admin,
            (false, false) => Role::Member,
        };
        self.members.iter().map(|user| (name(*user), role(*user))).collect()
    }
}

fn name(user: usize) -> Uid {
    if user == USERS { uid("@app") } else { uid(format!("u{user}")) }
}

fn op(ask: Ask) -> Op {
    match ask {
        Ask::Create => {
            Op::Create { settings: Settings { name: "0".into(), ..Settings::default() }, members: Vec::new() }
        }
        Ask::Join => Op::Join,
        Ask::Leave => Op::Leave,
        Ask::Add(user) => Op::AddMembers(vec![name(user)]),
        Ask::Remove(user) => Op::RemoveMember(name(user)),
        Ask::SetRole(user, role) => Op::SetRole(name(user), role),
        Ask::Mute(user, muted) => Op::MuteMember(name(user), at(if muted { 100 } else { 0 })),
        Ask::MuteGroup(muted) => Op::MuteGroup(muted),
        Ask::Rename(name) => Op::Update(SettingsPatch { name: Some(format!("{name}")), ..Default::default() }),
        Ask::Rules(join) => Op::Update(SettingsPatch { join: Some(join), ..Default::default() }),
        Ask::Dismiss => Op::Dismiss,
    }
}

/// The group beside the oracle: what it is after each row.
struct World {
    owner: Owner,
    after: Vec<Oracle>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { owner: Owner::default(), after: vec![Oracle::default()] };
        world.step(Step::Ask(0, Ask::Create));
        world
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask(by, ask) => self.ask(by, ask),
            Step::Commit(rows) => self.owner.commit(rows),
            Step::Checkpoint => self.owner.write_checkpoint(),
            Step::Crash(survive) => {
                self.owner.crash(survive);
                self.after.truncate(self.owner.rows.len() + 1);
            }
        }
    }

    fn ask(&mut self, by: usize, ask: Ask) {
        let before = self.after.last().unwrap().clone();
        let caller = name(by);
        let caller = if by == USERS { Caller::Server(&caller) } else { Caller::User(&caller) };
        let rows = self.owner.ask(caller, &op(ask)).unwrap_or(0);
        match before.asked(by, ask) {
            Some(new) => {
                assert_eq!(rows, 1, "{by} {ask:?} is allowed and does nothing: {before:?}");
                self.after.push(new);
            }
            None => assert_eq!(rows, 0, "{by} {ask:?} is not allowed, or nothing new: {before:?}"),
        }
    }

    fn check(&self) {
        let settled = &self.after[self.owner.committed];
        assert_eq!(roles(&self.owner.group), settled.roles());
        for user in 0..USERS {
            let live = self.after.last().unwrap();
            let can = |muted_at: u64| self.owner.group.may_speak(Caller::User(&name(user)), at(muted_at)).is_ok();
            let member = live.members.contains(&user);
            assert_eq!(can(100), member && (!live.group_muted || live.is_admin(user)), "u{user}");
            assert_eq!(can(99), can(100) && !live.muted.contains(&user), "u{user}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nobody_has_rights_that_no_owner_gave(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
        world.owner.commit(usize::MAX);
        world.owner.write_checkpoint();
        world.owner.crash(0);
        world.check();
        for pair in world.after.windows(2) {
            let (before, after) = (&pair[0], &pair[1]);
            for (admin, by) in after.admins.iter().filter(|(admin, _)| !before.admins.contains_key(admin)) {
                prop_assert!(before.members.contains(admin) && (*by == USERS || before.owner == Some(*by)));
            }
        }
    }
}

#[test]
fn what_holds_in_a_group_is_set_by_its_owner_alone() {
    let (owner, admin) = (uid("o"), uid("a"));
    let mut world = Owner::with(&owner, std::slice::from_ref(&admin), Settings::default());
    world.done(&owner, Op::SetRole(admin.clone(), Role::Admin));
    for patch in [
        SettingsPatch { join: Some(JoinPolicy::Open), ..Default::default() },
        SettingsPatch { history_for_new: Some(HistoryForNew::All), ..Default::default() },
    ] {
        assert_eq!(world.asked(&admin, Op::Update(patch.clone())), Err(Refusal::NotAllowed));
        assert_eq!(world.done(&owner, Op::Update(patch)), 1);
    }
}
