//! What clients ask of groups, checked field by field. What is asked for twice in one list is asked for once.

use std::collections::BTreeSet;

use super::{ADD_MEMBERS_MAX, HistoryForNew, JoinPolicy, Role, Settings, SettingsPatch};
use crate::{
    field::FieldError,
    id::{Gid, Millis, Seq, Uid},
    wire,
};

/// Groups that one `ack` may name.
pub const ACK_GROUPS_MAX: usize = 1_000;

/// Reads the id of a group from the field `gid`.
///
/// # Errors
/// [`FieldError`] says what is wrong with it.
pub fn gid(text: &str) -> Result<Gid, FieldError> {
    text.parse().map_err(|why| FieldError::Id("gid", why))
}

/// Reads the id of a group and of one of its members.
///
/// # Errors
/// [`FieldError`] names the field.
pub fn gid_and_uid(gid_text: &str, uid_text: &str) -> Result<(Gid, Uid), FieldError> {
    Ok((gid(gid_text)?, uid("uid", uid_text)?))
}

/// `create_group`: the group, how it is shown, and who is in it beside the caller.
///
/// # Errors
/// [`FieldError`] names the field.
pub fn create(asked: wire::CreateGroup) -> Result<(Gid, Settings, Vec<Uid>), FieldError> {
    let gid = gid(&asked.gid)?;
    if gid.is_system() {
        return Err(FieldError::Value("gid", "is the system's"));
    }
    let patch = SettingsPatch {
        name: Some(asked.name),
        avatar: Some(asked.avatar),
        notice: Some(asked.notice),
        join: join(asked.join)?,
        history_for_new: history(asked.history_for_new)?,
    };
    patch.check()?;
    let mut settings = Settings::default();
    settings.patch(&patch);
    Ok((gid, settings, uids("members", &asked.members)?))
}

/// `add_members`: the group, and who is to be in it.
///
/// # Errors
/// [`FieldError`] names the field.
pub fn add_members(asked: &wire::AddMembers) -> Result<(Gid, Vec<Uid>), FieldError> {
    let gid = gid(&asked.gid)?;
    if asked.uids.is_empty() {
        return Err(FieldError::Missing("uids"));
    }
    Ok((gid, uids("uids", &asked.uids)?))
}

/// `set_role`: the group, the member, and what it becomes.
///
/// # Errors
/// [`FieldError`] names the field.
pub fn set_role(asked: &wire::SetRole) -> Result<(Gid, Uid, Role), FieldError> {
    let (gid, uid) = gid_and_uid(&asked.gid, &asked.uid)?;
    match (asked.role, Role::from_number(asked.role)) {
        (0, _) => Err(FieldError::Missing("role")),
        (_, Some(role @ (Role::Member | Role::Admin))) => Ok((gid, uid, role)),
        (_, Some(Role::Owner)) => Err(FieldError::Value("role", "is given by transferGroup")),
        (_, None) => Err(FieldError::Value("role", "is not known")),
    }
}

/// `mute_member`: the group, the member, and until when (zero: not any more).
///
/// # Errors
/// [`FieldError`] names the field.
pub fn mute_member(asked: &wire::MuteMember) -> Result<(Gid, Uid, Millis), FieldError> {
    let (gid, uid) = gid_and_uid(&asked.gid, &asked.uid)?;
    Ok((gid, uid, Millis::new(asked.until)))
}

/// `update_group`: the group, and what changes.
///
/// # Errors
/// [`FieldError`] names the field.
pub fn update(asked: wire::UpdateGroup) -> Result<(Gid, SettingsPatch), FieldError> {
    let gid = gid(&asked.gid)?;
    let patch = SettingsPatch {
        name: asked.name,
        avatar: asked.avatar,
        notice: asked.notice,
        join: join(asked.join)?,
        history_for_new: history(asked.history_for_new)?,
    };
    if patch == SettingsPatch::default() {
        return Err(FieldError::Missing("name, avatar, notice, join or historyForNew"));
    }
    patch.check()?;
    Ok((gid, patch))
}

/// `members`: the group, and after whom.
///
/// # Errors
/// [`FieldError`] names the field.
pub fn members(asked: &wire::ListMembers) -> Result<(Gid, Option<Uid>), FieldError> {
    Ok((gid(&asked.gid)?, after(&asked.after)?))
}

/// `read_by`: the group, the message, and after whom.
///
/// # Errors
/// [`FieldError`] names the field.
pub fn read_by(asked: &wire::ListReaders) -> Result<(Gid, Seq, Option<Uid>), FieldError> {
    let gid = gid(&asked.gid)?;
    if asked.seq == 0 {
        return Err(FieldError::Missing("seq"));
    }
    Ok((gid, Seq::new(asked.seq), after(&asked.after)?))
}

/// `ack.groups`: up to where the device has everything of each group.
///
/// # Errors
/// [`FieldError`] names the field.
pub fn acks(asked: &[wire::GroupAck]) -> Result<Vec<(Gid, Seq)>, FieldError> {
    if asked.len() > ACK_GROUPS_MAX {
        return Err(FieldError::TooMany("groups", ACK_GROUPS_MAX));
    }
    let one = |ack: &wire::GroupAck| {
        let gid = ack.gid.parse().map_err(|why| FieldError::Id("groups.gid", why))?;
        Ok((gid, Seq::new(ack.seq)))
    };
    asked.iter().map(one).collect()
}

fn uid(field: &'static str, text: &str) -> Result<Uid, FieldError> {
    text.parse().map_err(|why| FieldError::Id(field, why))
}

fn after(text: &str) -> Result<Option<Uid>, FieldError> {
    if text.is_empty() { Ok(None) } else { uid("after", text).map(Some) }
}

fn uids(field: &'static str, texts: &[String]) -> Result<Vec<Uid>, FieldError> {
    if texts.len() > ADD_MEMBERS_MAX {
        return Err(FieldError::TooMany(field, ADD_MEMBERS_MAX));
    }
    let mut seen = BTreeSet::new();
    let mut uids = Vec::with_capacity(texts.len());
    for text in texts {
        let uid = uid(field, text)?;
        if uid.is_system() {
            return Err(FieldError::Value(field, "names the system"));
        }
        if seen.insert(uid.clone()) {
            uids.push(uid);
        }
    }
    Ok(uids)
}

fn join(number: i32) -> Result<Option<JoinPolicy>, FieldError> {
    specified("join", number, JoinPolicy::from_number(number))
}

fn history(number: i32) -> Result<Option<HistoryForNew>, FieldError> {
    specified("historyForNew", number, HistoryForNew::from_number(number))
}

fn specified<T>(field: &'static str, number: i32, read: Option<T>) -> Result<Option<T>, FieldError> {
    match (number, read) {
        (0, _) => Ok(None),
        (_, None) => Err(FieldError::Value(field, "is not known")),
        (_, read) => Ok(read),
    }
}
