//! Rules about one inbox by itself, and about what the devices of its owner saw of it.

use super::{Entry, History, Rule, Setting, User, Violation, What, report};

pub fn contiguous(history: &History, found: &mut Vec<Violation>) {
    for (uid, user) in &history.users {
        let wrong = user.inbox.iter().zip(1_u64..).find(|(kept, expected)| kept.entry.seq != *expected);
        if let Some((kept, expected)) = wrong {
            report(found, Rule::Contiguous, format!("{uid} has seq {} where {expected} belongs", kept.entry.seq));
        }
    }
}

pub fn unread(history: &History, found: &mut Vec<Violation>) {
    for (uid, user) in &history.users {
        for view in &user.conversations {
            let (unread, last_read) = recount(uid, user, &view.peer);
            if (view.unread, view.last_read) != (unread, last_read) {
                let what = format!(
                    "{uid} has {} unread of {} after {}, recounted {unread} after {last_read}",
                    view.unread, view.peer, view.last_read
                );
                report(found, Rule::Unread, what);
            }
        }
        let peers = peers(user);
        let view = |peer: &&str| user.conversations.iter().find(|view| view.peer == **peer);
        for missing in peers.iter().filter(|peer| view(peer).is_none() && !hidden(user, peer)) {
            report(found, Rule::Unread, format!("{uid} has no conversation with {missing}"));
        }
        let loud = peers.iter().filter(|peer| !setting(user, peer).muted);
        let total: u64 = loud.map(|peer| recount(uid, user, peer).0).sum();
        if user.unread_total != total {
            report(
                found,
                Rule::Unread,
                format!("{uid} is told {} unread in all, recounted {total}", user.unread_total),
            );
        }
    }
}

/// Incoming messages after the read marker, and the marker. Deleting everything up to a message reads it; deleting single
/// messages and recalling them changes nothing.
fn recount(uid: &str, user: &User, with: &str) -> (u64, u64) {
    let marker = user.inbox.iter().filter_map(|kept| match &kept.entry.what {
        What::Read { peer, upto } | What::Deleted { peer, upto, .. } if peer == with => Some(*upto),
        _ => None,
    });
    let marker = marker.max().unwrap_or(0);
    let incoming = user
        .messages()
        .filter(|(kept, message)| message.peer == with && message.from != uid && kept.entry.seq > marker);
    (incoming.count() as u64, marker)
}

/// Everyone the user exchanged messages with.
pub fn peers(user: &User) -> Vec<&str> {
    let mut peers: Vec<&str> = user.messages().map(|(_, message)| message.peer.as_str()).collect();
    peers.sort_unstable();
    peers.dedup();
    peers
}

/// How the user wants the conversation shown.
pub fn setting(user: &User, with: &str) -> Setting {
    let set = user.inbox.iter().rev().find_map(|kept| match &kept.entry.what {
        What::Set { peer, shown } if peer == with => Some(*shown),
        _ => None,
    });
    set.unwrap_or_default()
}

/// Whether the conversation was deleted, no message came after that, and its peer is not blocked: who is blocked is listed.
pub fn hidden(user: &User, with: &str) -> bool {
    let upto = user.inbox.iter().rev().find_map(|kept| match &kept.entry.what {
        What::Deleted { peer, upto, whole: true, .. } if peer == with => Some(*upto),
        _ => None,
    });
    let newest = user.messages().filter(|(_, message)| message.peer == with).map(|(kept, _)| kept.entry.seq).max();
    let blocked = user.inbox.iter().rev().find_map(|kept| match &kept.entry.what {
        What::Blocked { peer } if peer == with => Some(true),
        What::Unblocked { peer } if peer == with => Some(false),
        _ => None,
    });
    upto >= newest && blocked != Some(true)
}

pub fn streams(history: &History, found: &mut Vec<Violation>) {
    for (uid, user) in &history.users {
        for (device, lives) in &user.streams {
            if let Err(what) = stream(user, lives) {
                report(found, Rule::Stream, format!("{uid} on {device}: {what}"));
            }
        }
    }
}

/// Within one life of the app entries follow each other; the next life may repeat, but skips nothing.
fn stream(user: &User, lives: &[Vec<Entry>]) -> Result<(), String> {
    let mut reached: Option<u64> = None;
    for life in lives {
        let mut last: Option<u64> = None;
        for entry in life {
            let fits = match (last, reached) {
                (Some(last), _) => entry.seq == last + 1,
                (None, Some(reached)) => entry.seq <= reached + 1,
                (None, None) => true,
            };
            if !fits {
                return Err(format!("saw {} after {last:?}, lives before had reached {reached:?}", entry.seq));
            }
            match user.at(entry.seq) {
                Some(kept) if same(&kept.entry.what, &entry.what) => {}
                Some(kept) => return Err(format!("saw {entry:?} where {:?} is kept", kept.entry)),
                None => return Err(format!("saw {entry:?}, which is not kept")),
            }
            last = Some(entry.seq);
        }
        reached = reached.max(last);
    }
    let head = user.inbox.len() as u64;
    if reached.unwrap_or(0) == head { Ok(()) } else { Err(format!("reached {reached:?} of {head}")) }
}

/// Whether what is kept now may have been seen as this: a message may say something else since, and an edit may have lost
/// what it said.
fn same(kept: &What, saw: &What) -> bool {
    match (kept, saw) {
        (What::Message(kept), What::Message(saw)) => kept.name() == saw.name() && kept.peer == saw.peer,
        (What::Edited { peer, target, text }, What::Edited { peer: at, target: of, text: said }) => {
            (peer, target) == (at, of) && (text.is_none() || text == said)
        }
        _ => kept == saw,
    }
}
