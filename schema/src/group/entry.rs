//! Entries of a group's log: what an [`Event`] is to clients, and back. What a message says stays encoded.

use bytes::Bytes;
use prost::Message as _;

use super::{Departure, Event, HistoryForNew, JoinPolicy, Role, Settings, SettingsPatch};
use crate::{
    change::group_entry_body,
    id::{Gid, Millis, Seq, Uid},
    wire::{self, entry::Body},
};

/// Encodes the entry of an event that is no message, exactly as clients get it. `None` for a message: its entry is made of
/// its draft ([`encode_group_message_entry`](crate::message::encode_group_message_entry)).
#[must_use]
pub fn encode_event_entry(gid: &Gid, seq: Seq, time: Millis, event: &Event) -> Option<Bytes> {
    let body = Some(body(gid, event)?);
    Some(wire::Entry { seq: seq.get(), time: time.get(), body }.encode_to_vec().into())
}

fn body(gid: &Gid, event: &Event) -> Option<Body> {
    Some(match event {
        Event::Message { .. } => return None,
        Event::Created { owner, settings } => Body::GroupCreated(created(owner, settings)),
        Event::MembersJoined { by, uids } => Body::MembersJoined(wire::MembersJoined {
            uids: uids.iter().map(Uid::to_string).collect(),
            by: by.as_ref().map_or_else(String::new, Uid::to_string),
        }),
        Event::MemberLeft { uid, how } => {
            Body::MemberLeft(wire::MemberLeft { uid: uid.to_string(), reason: how.number(), by: how.by().to_owned() })
        }
        Event::RoleSet { by, uid, role } => {
            Body::RoleSet(wire::RoleSet { uid: uid.to_string(), role: role.number(), by: by.to_string() })
        }
        Event::MemberMuted { by, uid, until } => {
            Body::Muted(wire::Muted { uid: uid.to_string(), until: until.get(), muted: false, by: by.to_string() })
        }
        Event::GroupMuted { by, muted } => {
            Body::Muted(wire::Muted { uid: String::new(), until: 0, muted: *muted, by: by.to_string() })
        }
        Event::Updated { by, patch } => Body::GroupUpdated(updated(by, patch)),
        Event::Changed { by, target, name, change } => group_entry_body(gid, by, *target, name, change),
        Event::Dismissed { by } => Body::Dismissed(wire::Dismissed { by: by.to_string() }),
    })
}

fn created(owner: &Uid, settings: &Settings) -> wire::GroupCreated {
    wire::GroupCreated {
        by: owner.to_string(),
        name: settings.name.clone(),
        avatar: settings.avatar.clone(),
        notice: settings.notice.clone(),
        join: settings.join.number(),
        history_for_new: settings.history_for_new.number(),
    }
}

fn updated(by: &Uid, patch: &SettingsPatch) -> wire::GroupUpdated {
    wire::GroupUpdated {
        by: by.to_string(),
        name: patch.name.clone(),
        avatar: patch.avatar.clone(),
        notice: patch.notice.clone(),
        join: patch.join.map_or(0, JoinPolicy::number),
        history_for_new: patch.history_for_new.map_or(0, HistoryForNew::number),
    }
}

/// Reads the body of an entry of a group's log. `None` when it is none, is a message, or has a field that is not valid.
#[must_use]
pub fn event_of_body(body: Body) -> Option<Event> {
    Some(match body {
        Body::GroupCreated(it) => Event::Created { owner: it.by.parse().ok()?, settings: settings(&it)? },
        Body::MembersJoined(it) => {
            let uids: Result<Vec<Uid>, _> = it.uids.iter().map(|uid| uid.parse()).collect();
            Event::MembersJoined { by: uid_or_none(&it.by)?, uids: uids.ok()? }
        }
        Body::MemberLeft(it) => {
            Event::MemberLeft { uid: it.uid.parse().ok()?, how: Departure::from_parts(it.reason, &it.by)? }
        }
        Body::RoleSet(it) => {
            Event::RoleSet { by: it.by.parse().ok()?, uid: it.uid.parse().ok()?, role: Role::from_number(it.role)? }
        }
        Body::Muted(it) if it.uid.is_empty() => Event::GroupMuted { by: it.by.parse().ok()?, muted: it.muted },
        Body::Muted(it) => {
            let (by, uid) = (it.by.parse().ok()?, it.uid.parse().ok()?);
            Event::MemberMuted { by, uid, until: Millis::new(it.until) }
        }
        Body::GroupUpdated(it) => Event::Updated { by: it.by.parse().ok()?, patch: patch(it)? },
        Body::Dismissed(it) => Event::Dismissed { by: it.by.parse().ok()? },
        change @ (Body::Recalled(_) | Body::Edited(_) | Body::Reaction(_)) => changed(change)?,
        _ => return None,
    })
}

fn settings(created: &wire::GroupCreated) -> Option<Settings> {
    Some(Settings {
        name: created.name.clone(),
        avatar: created.avatar.clone(),
        notice: created.notice.clone(),
        join: JoinPolicy::from_number(created.join)?,
        history_for_new: HistoryForNew::from_number(created.history_for_new)?,
        muted: false,
    })
}

fn patch(updated: wire::GroupUpdated) -> Option<SettingsPatch> {
    Some(SettingsPatch {
        name: updated.name,
        avatar: updated.avatar,
        notice: updated.notice,
        join: specified(updated.join, JoinPolicy::from_number)?,
        history_for_new: specified(updated.history_for_new, HistoryForNew::from_number)?,
    })
}

/// Zero is nothing; any other number has to be known.
fn specified<T>(number: i32, read: impl Fn(i32) -> Option<T>) -> Option<Option<T>> {
    if number == 0 { Some(None) } else { read(number).map(Some) }
}

fn changed(body: Body) -> Option<Event> {
    let by = match &body {
        Body::Recalled(it) if !it.by.is_empty() => it.by.clone(),
        Body::Recalled(it) => it.author.clone(),
        Body::Edited(it) => it.author.clone(),
        Body::Reaction(it) => it.from.clone(),
        _ => return None,
    };
    let (target, name, change) = crate::change::from_entry_body(body)?;
    Some(Event::Changed { by: by.parse().ok()?, target, name, change })
}

fn uid_or_none(text: &str) -> Option<Option<Uid>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}
