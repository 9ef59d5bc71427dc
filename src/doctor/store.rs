//! Every row and every record of a store that no server has open. Names a damaged inbox by its user and a damaged group
//! by its id; what a message says is decoded and never shown.

use std::path::Path;

use bytes::Bytes;
use tidings_schema::id::{Millis, Seq};

use super::{Check, Damage, NAMED_MAX, Whose, group::Group, inbox::Inbox, log::Log};
use crate::store::embedded::inspect::{Found, Inspection, List, Next, seq_of};

const NAME: &str = "stored timelines";

/// What was counted on the way.
#[derive(Default)]
struct Seen {
    users: u64,
    groups: u64,
    values: u64,
    newest: Millis,
    damaged: u64,
    named: Vec<Damage>,
    unreadable: Option<String>,
}

/// Reads all; also the newest time that is stored.
pub(super) fn look(dir: &Path, shards: u16) -> (Check, Option<Millis>) {
    let inspection = match Inspection::open(dir) {
        Ok(inspection) => inspection,
        Err(why) => {
            return (Check::failed(NAME, why.to_string(), "see \"It does not start\" in docs/operations.md"), None);
        }
    };
    let mut seen = Seen::default();
    users(&inspection, &mut seen);
    groups(&inspection, &mut seen);
    let newest = (seen.users + seen.groups > 0).then_some(seen.newest);
    (verdict(&inspection, seen, shards), newest)
}

fn users(inspection: &Inspection, seen: &mut Seen) {
    let mut after = None;
    while let Some(uid) = seen.readable(inspection.next_user(after.as_ref())) {
        let mut inbox = Inbox::default();
        for list in Inbox::LISTS {
            seen.values += each(inspection, list, uid.as_str(), |item| match item {
                Item::Value(seq, value) => inbox.take(list, seq, value),
                Item::Unreadable(why) => inbox.log.unreadable(list_name(list), &why),
            });
        }
        seen.users += 1;
        seen.found(Whose::User(uid.as_str().to_owned()), inbox.log);
        after = Some(uid);
    }
}

fn groups(inspection: &Inspection, seen: &mut Seen) {
    let mut after = None;
    while let Some(gid) = seen.readable(inspection.next_group(after.as_ref())) {
        let mut group = Group::default();
        for list in Group::LISTS {
            seen.values += each(inspection, list, gid.as_str(), |item| match item {
                Item::Value(seq, value) => group.take(list, seq, value),
                Item::Unreadable(why) => group.log.unreadable(list_name(list), &why),
            });
        }
        seen.groups += 1;
        seen.found(Whose::Group(gid.as_str().to_owned()), group.log);
        after = Some(gid);
    }
}

enum Item {
    /// `None`: its checksum is wrong.
    Value(Seq, Option<Bytes>),
    Unreadable(String),
}

/// Hands over what lies in a list; how many values.
fn each(inspection: &Inspection, list: List, owner: &str, mut take: impl FnMut(Item)) -> u64 {
    let mut values = 0;
    inspection.each(list, owner, |key, found| {
        values += 1;
        let seq = Seq::new(seq_of(key));
        take(match found {
            Found::Whole(value) => Item::Value(seq, Some(value)),
            Found::Damaged => Item::Value(seq, None),
            Found::Unreadable(why) => Item::Unreadable(why),
        });
    });
    values
}

impl Seen {
    fn readable<I>(&mut self, next: Next<I>) -> Option<I> {
        next.unwrap_or_else(|(why, known)| {
            self.unreadable.get_or_insert(why);
            known
        })
    }

    fn found(&mut self, whose: Whose, log: Log) {
        self.newest = self.newest.max(log.newest);
        let faults = log.faults.into_named();
        if faults.is_empty() {
            return;
        }
        self.damaged += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(Damage { whose, faults });
        }
    }
}

fn list_name(list: List) -> &'static str {
    match list {
        List::Rows | List::GroupRows => "rows",
        List::History => "the history",
        List::Ids | List::GroupIds => "message ids",
        List::Head | List::GroupHead => "the head",
        List::Checkpoint | List::GroupCheckpoint => "the checkpoint",
        List::Conversations => "conversations",
        List::GroupViews => "views of groups",
        List::Devices => "devices",
        List::Members => "members",
    }
}

fn verdict(inspection: &Inspection, seen: Seen, shards: u16) -> Check {
    let Seen { users, groups, values, damaged, named, unreadable, .. } = seen;
    let looked = format!("{users} inboxes, {groups} groups, {values} values read");
    if let Some(why) = unreadable {
        let says = format!(
            "a file is damaged ({why}), there may be users and groups that are not found; {damaged} damaged of {looked}"
        );
        return Check {
            damaged: named,
            ..Check::failed(NAME, says, "copy the directory away, then restore the last backup")
        };
    }
    if damaged > 0 {
        let advice = "see \"One inbox is damaged\" in docs/operations.md; all others are served";
        return Check { damaged: named, ..Check::failed(NAME, format!("{damaged} damaged of {looked}"), advice) };
    }
    let stored = inspection.meta().map(|meta| (meta.shards, meta.format));
    if let Some((stored, _)) = stored.filter(|(stored, _)| *stored != u32::from(shards)) {
        let says = format!("made with {stored} shards, the settings say {shards}; {looked}, none is damaged");
        return Check::failed(NAME, says, format!("set node.shards = {stored}"));
    }
    if let Some(torn) = inspection.torn_tail() {
        let says =
            format!("{} bytes at the end of the journal were no whole write and are cut off; {looked}", torn.bytes);
        return Check::warning(
            NAME,
            says,
            "after a kill or a loss of power this is as it should be: nothing acked is lost",
        );
    }
    let format = stored.map_or_else(String::new, |(_, format)| format!(", format {format}"));
    Check::ok(NAME, format!("{looked}, none is damaged{format}"))
}
