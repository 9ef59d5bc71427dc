//! Requests: what is taken is within its bounds, and every field that is wrong is named.

use crate::{
    error_code::ErrorCode,
    field::FieldError,
    group::{
        ADD_MEMBERS_MAX, GROUP_NAME_BYTES_MAX, GROUP_NOTICE_BYTES_MAX, HistoryForNew, JoinPolicy, Role, SettingsPatch,
        request::*,
    },
    id::{IdError, Millis, Seq},
    wire,
};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user-{n}")).collect()
}

fn create_group() -> wire::CreateGroup {
    wire::CreateGroup { gid: "g1".into(), name: "Group".into(), members: names(2), ..Default::default() }
}

#[test]
fn a_group_is_created_with_what_was_said_and_the_rest_as_it_is_by_default() {
    let (gid, settings, members) = create(create_group()).unwrap();
    assert_eq!((gid.as_str(), settings.name.as_str(), members.len()), ("g1", "Group", 2));
    assert_eq!((settings.join, settings.history_for_new), (JoinPolicy::Invite, HistoryForNew::None));
    let open = wire::CreateGroup {
        join: wire::JoinPolicy::Open.into(),
        history_for_new: wire::HistoryForNew::All.into(),
        ..create_group()
    };
    let (_, settings, _) = create(open).unwrap();
    assert_eq!((settings.join, settings.history_for_new), (JoinPolicy::Open, HistoryForNew::All));
}

#[test]
fn create_names_the_field_that_is_wrong() {
    let good = create_group;
    let why = |asked: wire::CreateGroup| create(asked).unwrap_err();
    assert_eq!(why(wire::CreateGroup { gid: String::new(), ..good() }), FieldError::Id("gid", IdError::Empty));
    assert_eq!(why(wire::CreateGroup { gid: "@g".into(), ..good() }), FieldError::Value("gid", "is the system's"));
    let name = "x".repeat(GROUP_NAME_BYTES_MAX + 1);
    assert_eq!(why(wire::CreateGroup { name, ..good() }), FieldError::TooLong("name", GROUP_NAME_BYTES_MAX));
    let members = names(ADD_MEMBERS_MAX + 1);
    assert_eq!(why(wire::CreateGroup { members, ..good() }), FieldError::TooMany("members", ADD_MEMBERS_MAX));
    assert_eq!(why(wire::CreateGroup { join: 9, ..good() }), FieldError::Value("join", "is not known"));
    assert_eq!(
        why(wire::CreateGroup { history_for_new: -1, ..good() }),
        FieldError::Value("historyForNew", "is not known")
    );
    assert_eq!(why(wire::CreateGroup { gid: "g g".into(), ..good() }).code(), ErrorCode::BadId);
    assert_eq!(why(wire::CreateGroup { join: 9, ..good() }).code(), ErrorCode::BadField);
}

#[test]
fn who_is_named_twice_is_added_once() {
    let twice = [names(3), names(3)].concat();
    let (_, uids) = add_members(&wire::AddMembers { gid: "g1".into(), uids: twice }).unwrap();
    assert_eq!(uids.iter().map(|uid| uid.as_str()).collect::<Vec<_>>(), names(3));
    let all = names(ADD_MEMBERS_MAX);
    assert_eq!(add_members(&wire::AddMembers { gid: "g1".into(), uids: all }).unwrap().1.len(), ADD_MEMBERS_MAX);
}

#[test]
fn add_members_names_what_is_wrong() {
    let why = |uids: Vec<String>| add_members(&wire::AddMembers { gid: "g1".into(), uids }).unwrap_err();
    assert_eq!(why(Vec::new()), FieldError::Missing("uids"));
    assert_eq!(why(vec!["bob".into(), "b b".into()]), FieldError::Id("uids", IdError::Alphabet));
    assert_eq!(why(vec!["@system".into()]), FieldError::Value("uids", "names the system"));
    assert_eq!(why(names(ADD_MEMBERS_MAX + 1)), FieldError::TooMany("uids", ADD_MEMBERS_MAX));
}

#[test]
fn a_role_is_member_or_admin() {
    let set = |role: i32| set_role(&wire::SetRole { gid: "g1".into(), uid: "bob".into(), role });
    assert_eq!(set(wire::Role::Admin.into()).unwrap().2, Role::Admin);
    assert_eq!(set(wire::Role::Member.into()).unwrap().2, Role::Member);
    assert_eq!(set(0), Err(FieldError::Missing("role")));
    assert_eq!(set(wire::Role::Owner.into()), Err(FieldError::Value("role", "is given by transferGroup")));
    assert_eq!(set(7), Err(FieldError::Value("role", "is not known")));
}

#[test]
fn an_update_changes_something_and_only_what_it_says() {
    let update = |asked| update(wire::UpdateGroup { gid: "g1".into(), ..asked });
    let (_, patch) = update(wire::UpdateGroup { name: Some(String::new()), ..Default::default() }).unwrap();
    assert_eq!(patch, SettingsPatch { name: Some(String::new()), ..Default::default() });
    assert!(matches!(update(wire::UpdateGroup::default()), Err(FieldError::Missing(_))));
    let notice = Some("x".repeat(GROUP_NOTICE_BYTES_MAX + 1));
    let long = update(wire::UpdateGroup { notice, ..Default::default() });
    assert_eq!(long, Err(FieldError::TooLong("notice", GROUP_NOTICE_BYTES_MAX)));
    let odd = update(wire::UpdateGroup { join: 3, ..Default::default() });
    assert_eq!(odd, Err(FieldError::Value("join", "is not known")));
}

#[test]
fn the_others_read_their_fields() {
    let (gid, bob) = ("g1".to_owned(), "bob".to_owned());
    let mute = wire::MuteMember { gid: gid.clone(), uid: bob.clone(), until: 5 };
    assert_eq!(mute_member(&mute).unwrap().2, Millis::new(5));
    assert_eq!(gid_and_uid(&gid, ""), Err(FieldError::Id("uid", IdError::Empty)));
    let list = wire::ListMembers { gid: gid.clone(), after: bob.clone(), limit: 3 };
    assert_eq!(members(&list).unwrap().1.unwrap().as_str(), "bob");
    assert_eq!(members(&wire::ListMembers { after: String::new(), ..list }).unwrap().1, None);
    let readers = wire::ListReaders { gid: gid.clone(), seq: 4, limit: 0, after: "b b".into() };
    assert_eq!(read_by(&readers), Err(FieldError::Id("after", IdError::Alphabet)));
    assert_eq!(read_by(&wire::ListReaders { seq: 0, ..readers.clone() }), Err(FieldError::Missing("seq")));
    assert_eq!(read_by(&wire::ListReaders { after: bob, ..readers }).unwrap().1, Seq::new(4));
    let ack = wire::GroupAck { gid, seq: 7 };
    assert_eq!(acks(std::slice::from_ref(&ack)).unwrap()[0].1, Seq::new(7));
    let many = vec![ack; ACK_GROUPS_MAX + 1];
    assert_eq!(acks(&many), Err(FieldError::TooMany("groups", ACK_GROUPS_MAX)));
    assert_eq!(acks(&[wire::GroupAck::default()]), Err(FieldError::Id("groups.gid", IdError::Empty)));
}
