//! Tests of what becomes of operations, those above all that must not do anything.

use tidings_schema::{
    change::Change,
    group::{ADD_MEMBERS_MAX, HistoryForNew, JOINED_UIDS_MAX, JoinPolicy, Mention, SettingsPatch},
};

use super::*;

fn open() -> Settings {
    Settings { join: JoinPolicy::Open, ..Settings::default() }
}

/// An owner, an admin, a member, and who is not in.
fn four(settings: Settings) -> (Owner, [Uid; 4]) {
    let users = ["o", "a", "m", "x"].map(uid);
    let mut owner = Owner::with(&users[0], &users[1..3], settings);
    owner.done(&users[0], Op::SetRole(users[1].clone(), Role::Admin));
    (owner, users)
}

#[test]
fn a_group_that_nobody_created_takes_nothing() {
    let group = Group::default();
    let x = uid("x");
    assert_eq!(group.decide(Caller::User(&x), &Op::Join), Err(Refusal::NoSuchGroup));
    assert_eq!(group.may_send(Caller::User(&x), &[], at(0)), Err(Refusal::NoSuchGroup));
    assert_eq!(group.first_readable(Caller::User(&x)), Err(Refusal::NoSuchGroup));
    let create = Op::Create { settings: open(), members: Vec::new() };
    assert_eq!(group.decide(Caller::Server(&uid("@app")), &create), Err(Refusal::NotAllowed));
}

#[test]
fn a_group_is_created_once_and_its_creator_may_ask_again() {
    let users: Vec<Uid> = (0..250).map(|at| uid(format!("u{at}"))).collect();
    let create = |members: &[Uid]| Op::Create { settings: Settings::default(), members: members.to_vec() };
    let mut owner = Owner::default();
    assert_eq!(owner.asked(&users[0], create(&users)), Ok(4), "one row for the group, three for its members");
    assert_eq!(owner.asked(&users[0], create(&users)), Ok(0));
    assert_eq!(owner.asked(&users[1], create(&users)), Err(Refusal::Taken));
    // The members' rows were lost.
    owner.commit(1);
    owner.crash(0);
    owner.done(&users[0], create(&users));
    assert_eq!(owner.group.members_count(), 250);
    owner.done(&users[3], Op::Leave);
    assert_eq!(owner.asked(&users[0], create(&users)), Ok(0), "who left is not taken back");
    owner.done(&users[0], Op::Dismiss);
    assert_eq!(owner.asked(&users[0], create(&users)), Err(Refusal::Dismissed), "a gid is never used again");
}

#[test]
fn joining_twice_is_joining_once() {
    let (mut owner, [_, _, m, x]) = four(open());
    assert_eq!(owner.asked(&m, Op::Join), Ok(0));
    assert_eq!(owner.asked(&x, Op::Join), Ok(1));
    assert_eq!(owner.asked(&x, Op::Join), Ok(0), "it is handed over");
    let two = owner.group.join(&[uid("y"), uid("y"), x, uid("z")]).unwrap();
    assert_eq!(two, [Event::MembersJoined { by: None, uids: vec![uid("y"), uid("z")] }]);
}

#[test]
fn who_is_not_invited_does_not_come_in() {
    let (mut owner, [_, a, m, x]) = four(Settings::default());
    assert_eq!(owner.asked(&x, Op::Join), Err(Refusal::InviteOnly));
    assert_eq!(owner.asked(&m, Op::AddMembers(vec![x.clone()])), Err(Refusal::NotAllowed));
    assert_eq!(owner.asked(&x, Op::AddMembers(vec![x.clone()])), Err(Refusal::NotMember));
    assert_eq!(owner.asked(&a, Op::AddMembers(vec![x.clone(), m])), Ok(1));
    let (mut owner, [_, _, m, _]) = four(open());
    assert_eq!(owner.asked(&m, Op::AddMembers(vec![x])), Ok(1), "an open group");
}

#[test]
fn one_call_names_so_many_users_and_a_row_fewer() {
    let (mut owner, [_, a, ..]) = four(Settings::default());
    let uids: Vec<Uid> = (0..=ADD_MEMBERS_MAX).map(|at| uid(format!("u{at}"))).collect();
    assert_eq!(owner.asked(&a, Op::AddMembers(uids.clone())), Err(Refusal::TooMany));
    assert_eq!(owner.asked(&a, Op::AddMembers(uids[1..].to_vec())), Ok(ADD_MEMBERS_MAX / JOINED_UIDS_MAX));
}

#[test]
fn an_owner_cannot_be_removed_and_leaves_only_an_empty_group() {
    let (mut owner, [o, a, m, x]) = four(open());
    for by in [&a, &m] {
        assert_eq!(owner.asked(by, Op::RemoveMember(o.clone())), Err(Refusal::NotAllowed));
    }
    assert_eq!(owner.ask(Caller::Server(&uid("@app")), &Op::RemoveMember(o.clone())), Err(Refusal::OwnerStays));
    assert_eq!(owner.asked(&o, Op::Leave), Err(Refusal::OwnerStays));
    owner.asked(&a, Op::Leave).unwrap();
    owner.asked(&m, Op::Leave).unwrap();
    assert_eq!(owner.done(&o, Op::Leave), 1);
    assert_eq!((owner.group.members_count(), owner.group.charter().owner.as_ref()), (0, None));
    assert_eq!(owner.asked(&o, Op::Leave), Ok(0), "a retry");
    // Nobody owns what is left until the server says who does.
    assert_eq!(owner.done(&x, Op::Join), 1);
    assert_eq!(owner.asked(&x, Op::Dismiss), Err(Refusal::NotAllowed));
    assert_eq!(owner.ask(Caller::Server(&uid("@app")), &Op::SetRole(x.clone(), Role::Owner)), Ok(1));
    assert_eq!(owner.asked(&x, Op::Dismiss), Ok(1));
}

#[test]
fn handing_over_makes_the_owner_an_admin() {
    let (mut owner, [o, a, m, x]) = four(Settings::default());
    assert_eq!(owner.asked(&a, Op::SetRole(m.clone(), Role::Owner)), Err(Refusal::NotAllowed));
    assert_eq!(owner.asked(&o, Op::SetRole(x, Role::Owner)), Err(Refusal::TargetNotMember));
    assert_eq!(owner.done(&o, Op::SetRole(m.clone(), Role::Owner)), 1);
    assert_eq!((owner.group.role(&o), owner.group.role(&m)), (Some(Role::Admin), Some(Role::Owner)));
    assert_eq!(owner.asked(&o, Op::SetRole(m, Role::Owner)), Ok(0), "a retry");
    assert_eq!(owner.asked(&o, Op::SetRole(a, Role::Member)), Err(Refusal::NotAllowed));
}

#[test]
fn who_is_muted_says_nothing_until_it_is_over() {
    let (mut owner, [o, a, m, x]) = four(Settings::default());
    assert_eq!(owner.asked(&m, Op::MuteMember(a.clone(), at(9))), Err(Refusal::NotAllowed));
    assert_eq!(owner.asked(&a, Op::MuteMember(o, at(9))), Err(Refusal::NotAllowed));
    assert_eq!(owner.asked(&a, Op::MuteMember(x.clone(), at(9))), Err(Refusal::TargetNotMember));
    owner.asked(&a, Op::MuteMember(m.clone(), at(9))).unwrap();
    let can = |owner: &Owner, user: &Uid, now| owner.group.may_send(Caller::User(user), &[], at(now));
    assert_eq!(can(&owner, &m, 8), Err(Refusal::Muted(at(9))));
    assert_eq!(can(&owner, &m, 9), Ok(()));
    owner.asked(&a, Op::MuteGroup(true)).unwrap();
    assert_eq!(can(&owner, &m, 9), Err(Refusal::GroupMuted));
    assert_eq!((can(&owner, &a, 9), can(&owner, &x, 9)), (Ok(()), Err(Refusal::NotMember)));
    assert_eq!(owner.group.may_send(Caller::Server(&uid("@app")), &[], at(0)), Ok(()));
    owner.commit(usize::MAX);
    assert_eq!(owner.group.seat(&m).unwrap().muted_until, at(9));
    owner.done(&a, Op::MuteMember(m.clone(), at(0)));
    assert_eq!(owner.group.seat(&m).unwrap().muted_until, at(0));
}

#[test]
fn everybody_is_mentioned_by_admins_only() {
    let (owner, [_, a, m, _]) = four(Settings::default());
    let all = [Mention::User(a.clone()), Mention::All];
    assert_eq!(owner.group.may_send(Caller::User(&m), &all, at(0)), Err(Refusal::NotAllowed));
    assert_eq!(owner.group.may_send(Caller::User(&a), &all, at(0)), Ok(()));
    assert_eq!(owner.group.may_send(Caller::User(&m), &[Mention::Role(Role::Admin)], at(0)), Ok(()));
}

#[test]
fn own_messages_are_recalled_in_time_and_others_by_admins() {
    let (mut owner, [o, a, m, x]) = four(Settings::default());
    let may = |owner: &Owner, by: &Uid, change: &Change, author: &Uid, now| {
        owner.group.may_change(Caller::User(by), change, author, at(0), at(now), 100)
    };
    let edit = Change::Edit { content: Bytes::new() };
    let react = Change::React { from: m.clone(), reaction: "+1".into(), removed: false };
    assert_eq!(may(&owner, &m, &Change::Recall, &m, 100), Ok(()));
    assert_eq!(may(&owner, &m, &Change::Recall, &m, 101), Err(Refusal::TooLate));
    assert_eq!(may(&owner, &m, &Change::Recall, &a, 1), Err(Refusal::NotAllowed));
    assert_eq!(may(&owner, &a, &Change::Recall, &o, 101), Ok(()));
    assert_eq!(may(&owner, &a, &edit, &m, 1), Err(Refusal::NotAuthor));
    assert_eq!((may(&owner, &m, &edit, &m, 1), may(&owner, &m, &edit, &m, 101)), (Ok(()), Err(Refusal::TooLate)));
    assert_eq!((may(&owner, &m, &react, &a, 999), may(&owner, &x, &react, &a, 1)), (Ok(()), Err(Refusal::NotMember)));
    owner.done(&a, Op::MuteMember(m.clone(), at(50)));
    assert_eq!(may(&owner, &m, &edit, &m, 1), Err(Refusal::Muted(at(50))));
    assert_eq!(may(&owner, &m, &react, &a, 1), Err(Refusal::Muted(at(50))));
    assert_eq!(may(&owner, &m, &Change::Recall, &m, 1), Ok(()), "who is muted takes back what it said");
    assert_eq!(may(&owner, &x, &Change::Recall, &x, 1), Err(Refusal::NotMember));
}

#[test]
fn what_is_seen_of_the_time_before_is_what_held_at_the_joining() {
    let (mut owner, [o, _, m, x]) = four(Settings::default());
    let first = |owner: &Owner, user: &Uid| owner.group.first_readable(Caller::User(user));
    assert_eq!(
        (first(&owner, &o), first(&owner, &m), first(&owner, &x)),
        (Ok(seq(1)), Ok(seq(2)), Err(Refusal::NotMember))
    );
    let all = SettingsPatch { history_for_new: Some(HistoryForNew::All), ..Default::default() };
    owner.done(&o, Op::Update(all.clone()));
    owner.asked(&o, Op::AddMembers(vec![x.clone()])).unwrap();
    assert_eq!(first(&owner, &x), Err(Refusal::NotMember), "it is not committed");
    owner.commit(usize::MAX);
    assert_eq!((first(&owner, &x), first(&owner, &m)), (Ok(seq(1)), Ok(seq(2))));
    assert_eq!(owner.done(&o, Op::Update(all)), 0, "nothing new");
}

#[test]
fn a_dismissed_group_takes_nothing() {
    let (mut owner, [o, a, m, x]) = four(open());
    assert_eq!(owner.asked(&a, Op::Dismiss), Err(Refusal::NotAllowed));
    assert_eq!(owner.asked(&o, Op::Dismiss), Ok(1));
    assert_eq!(owner.asked(&o, Op::Dismiss), Ok(0), "a retry");
    for (user, op) in [(&x, Op::Join), (&m, Op::Leave), (&a, Op::MuteGroup(true)), (&a, Op::Dismiss)] {
        assert_eq!(owner.asked(user, op), Err(Refusal::Dismissed));
    }
    assert_eq!(owner.group.may_send(Caller::User(&m), &[], at(0)), Err(Refusal::Dismissed));
    owner.commit(usize::MAX);
    assert_eq!(
        (owner.group.members_count(), owner.group.first_readable(Caller::User(&m))),
        (0, Err(Refusal::Dismissed))
    );
}
