//! Rules about one inbox by itself, and about what the devices of its owner saw of it.

use super::{Entry, History, Rule, User, Violation, What, report};

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
        let listed: Vec<&str> = user.conversations.iter().map(|view| view.peer.as_str()).collect();
        for missing in peers.iter().filter(|peer| !listed.contains(peer)) {
            report(found, Rule::Unread, format!("{uid} has no conversation with {missing}"));
        }
        let total: u64 = peers.iter().map(|peer| recount(uid, user, peer).0).sum();
        if user.unread_total != total {
            report(
                found,
                Rule::Unread,
                format!("{uid} is told {} unread in all, recounted {total}", user.unread_total),
            );
        }
    }
}

/// Incoming messages after the read marker, and the marker.
fn recount(uid: &str, user: &User, with: &str) -> (u64, u64) {
    let marker = user.inbox.iter().filter_map(|kept| match &kept.entry.what {
        What::Read { peer, upto } if peer == with => Some(*upto),
        _ => None,
    });
    let marker = marker.max().unwrap_or(0);
    let incoming = user.inbox.iter().filter(|kept| {
        let incoming = matches!(&kept.entry.what, What::Message { from, peer, .. } if peer == with && from != uid);
        incoming && kept.entry.seq > marker
    });
    (incoming.count() as u64, marker)
}

/// Everyone the user exchanged messages with.
fn peers(user: &User) -> Vec<&str> {
    let mut peers: Vec<&str> = Vec::new();
    for kept in &user.inbox {
        if let What::Message { peer, .. } = &kept.entry.what {
            peers.push(peer);
        }
    }
    peers.sort_unstable();
    peers.dedup();
    peers
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
            let kept = usize::try_from(entry.seq).ok().and_then(|seq| user.inbox.get(seq.checked_sub(1)?));
            match kept {
                Some(kept) if kept.entry == *entry => {}
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
