//! Every row and every record of a store that no server has open. Names damaged inboxes by their user; what a message
//! says is decoded and never shown.

use std::path::Path;

use bytes::Bytes;
use tidings_schema::id::{Millis, Seq, Uid};

use super::{Check, Damage, NAMED_MAX, inbox::Inbox};
use crate::store::embedded::inspect::{Found, Inspection, List, seq_of};

const NAME: &str = "stored inboxes";

/// What was counted on the way.
#[derive(Default)]
struct Seen {
    users: u64,
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
    let mut after = None;
    while let Some(uid) = next(&inspection, after.as_ref(), &mut seen) {
        user(&inspection, &uid, &mut seen);
        after = Some(uid);
    }
    let newest = (seen.users > 0).then_some(seen.newest);
    (verdict(&inspection, seen, shards), newest)
}

fn next(inspection: &Inspection, after: Option<&Uid>, seen: &mut Seen) -> Option<Uid> {
    inspection.next_user(after).unwrap_or_else(|(why, known)| {
        seen.unreadable.get_or_insert(why);
        known
    })
}

fn user(inspection: &Inspection, uid: &Uid, seen: &mut Seen) {
    let mut inbox = Inbox::default();
    let mut values = 0;
    // The rows first: records are held against them.
    let lists =
        [List::Rows, List::Head, List::Checkpoint, List::Conversations, List::Devices, List::Ids, List::History];
    for list in lists {
        inspection.each(list, uid, |key, found| {
            values += 1;
            let value = match found {
                Found::Whole(value) => Some(value),
                Found::Damaged => None,
                Found::Unreadable(why) => return inbox.unreadable(list_name(list), &why),
            };
            take(&mut inbox, list, Seq::new(seq_of(key)), value);
        });
    }
    seen.users += 1;
    seen.values += values;
    seen.newest = seen.newest.max(inbox.newest);
    let faults = inbox.faults.into_named();
    if !faults.is_empty() {
        seen.damaged += 1;
        if seen.named.len() < NAMED_MAX {
            seen.named.push(Damage { uid: uid.as_str().to_owned(), faults });
        }
    }
}

fn take(inbox: &mut Inbox, list: List, seq: Seq, value: Option<Bytes>) {
    match list {
        List::Rows => inbox.row(seq, value),
        List::History => inbox.history(seq, value),
        List::Ids => inbox.id(value),
        List::Head => inbox.head(value),
        List::Checkpoint => inbox.checkpoint(value),
        List::Conversations => inbox.conversation(value),
        List::Devices => inbox.device(value),
    }
}

fn list_name(list: List) -> &'static str {
    match list {
        List::Rows => "rows",
        List::History => "the history",
        List::Ids => "message ids",
        List::Head => "the head",
        List::Checkpoint => "the checkpoint",
        List::Conversations => "conversations",
        List::Devices => "devices",
    }
}

fn verdict(inspection: &Inspection, seen: Seen, shards: u16) -> Check {
    let Seen { users, values, damaged, named, unreadable, .. } = seen;
    let looked = format!("{users} inboxes, {values} values read");
    if let Some(why) = unreadable {
        let says =
            format!("a file is damaged ({why}), there may be users who are not found; {damaged} damaged of {looked}");
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
