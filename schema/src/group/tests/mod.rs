//! Values of groups.

mod records;
mod requests;

use super::*;

#[test]
fn a_role_is_more_than_the_one_before() {
    assert!(Role::Member < Role::Admin && Role::Admin < Role::Owner);
}

#[test]
fn a_patch_changes_what_it_sets_and_nothing_else() {
    let mut settings = Settings { name: "a".into(), notice: "b".into(), muted: true, ..Settings::default() };
    let patch = SettingsPatch { notice: Some(String::new()), join: Some(JoinPolicy::Open), ..Default::default() };
    settings.patch(&patch);
    let expected = Settings { name: "a".into(), join: JoinPolicy::Open, muted: true, ..Settings::default() };
    assert_eq!(settings, expected);
}

#[test]
fn a_text_that_is_too_long_is_refused_by_name() {
    let long = |bytes: usize| Some("x".repeat(bytes));
    let checked = |patch: SettingsPatch| patch.check();
    let fits =
        SettingsPatch { name: long(GROUP_NAME_BYTES_MAX), notice: long(GROUP_NOTICE_BYTES_MAX), ..Default::default() };
    assert_eq!(checked(fits), Ok(()));
    let name = SettingsPatch { name: long(GROUP_NAME_BYTES_MAX + 1), ..Default::default() };
    assert_eq!(checked(name), Err(SettingTooLong("name", GROUP_NAME_BYTES_MAX)));
    let avatar = SettingsPatch { avatar: long(GROUP_AVATAR_BYTES_MAX + 1), ..Default::default() };
    assert_eq!(checked(avatar), Err(SettingTooLong("avatar", GROUP_AVATAR_BYTES_MAX)));
    let notice = SettingsPatch { notice: long(GROUP_NOTICE_BYTES_MAX + 1), ..Default::default() };
    assert_eq!(checked(notice), Err(SettingTooLong("notice", GROUP_NOTICE_BYTES_MAX)));
}
