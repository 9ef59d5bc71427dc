//! Rules about messages: nothing acked is lost, nothing is doubled, reordered or invented, and a block holds.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fate, History, Kept, Message, Rule, Sending, User, Violation, What, report, stories::Stories};

/// A message that was on its way when its sender was blocked may still be dropped; none is on its way longer.
const ON_ITS_WAY_MS: u64 = 30_000;

/// `(id, place in the inbox, entry, message)` of every message of an inbox.
fn messages(user: &User) -> impl Iterator<Item = (&str, usize, &Kept, &Message)> {
    user.inbox.iter().enumerate().filter_map(|(at, kept)| match &kept.entry.what {
        What::Message(message) => Some((message.id.as_str(), at, kept, message)),
        _ => None,
    })
}

fn places(user: &User) -> BTreeMap<&str, usize> {
    messages(user).map(|(id, at, ..)| (id, at)).collect()
}

pub fn lost(history: &History, found: &mut Vec<Violation>) {
    let places: BTreeMap<&str, BTreeMap<&str, usize>> =
        history.users.iter().map(|(uid, user)| (uid.as_str(), places(user))).collect();
    for sending in &history.sendings {
        let Fate::Acked(seq) = sending.fate else { continue };
        let (Some(sender), Some(recipient)) = (history.users.get(&sending.from), history.users.get(&sending.to)) else {
            continue;
        };
        let at = places[sending.from.as_str()].get(sending.id.as_str());
        let Some(kept) = at.map(|at| &sender.inbox[*at]).filter(|kept| kept.entry.seq == seq) else {
            report(found, Rule::Lost, format!("{} acked at {seq} is not there in its sender's inbox", say(sending)));
            continue;
        };
        let arrived = places[sending.to.as_str()].contains_key(sending.id.as_str());
        if !arrived && !may_be_dropped(recipient, &sending.from, kept.time) {
            report(found, Rule::Lost, format!("{} acked at {seq} did not arrive", say(sending)));
        }
    }
}

fn say(sending: &Sending) -> String {
    format!("{} from {} to {}", sending.id, sending.from, sending.to)
}

/// Begin and end of every block of `peer`, in the time of the owner's rows.
pub fn blocks(user: &User, peer: &str) -> Vec<(u64, u64)> {
    let mut blocks: Vec<(u64, u64)> = Vec::new();
    for kept in &user.inbox {
        match &kept.entry.what {
            What::Blocked { peer: blocked } if blocked == peer => blocks.push((kept.time, u64::MAX)),
            What::Unblocked { peer: unblocked } if unblocked == peer => {
                if let Some(last) = blocks.last_mut() {
                    last.1 = kept.time;
                }
            }
            _ => {}
        }
    }
    blocks
}

pub fn may_be_dropped(recipient: &User, from: &str, time: u64) -> bool {
    blocks(recipient, from).iter().any(|(begin, end)| begin.saturating_sub(ON_ITS_WAY_MS) <= time && time <= *end)
}

pub fn blocked(history: &History, found: &mut Vec<Violation>) {
    for (uid, user) in &history.users {
        let mut known = BTreeMap::new();
        for kept in &user.inbox {
            let Some((from, _)) = kept.entry.what.said().filter(|(from, _)| from != uid) else { continue };
            let blocks = known.entry(from).or_insert_with(|| blocks(user, from));
            // A recall takes something away, so it is taken even then.
            let recalls = matches!(&kept.entry.what, What::Recalled { target, .. } if target.seq > 0);
            if !recalls && blocks.iter().any(|(begin, end)| *begin < kept.time && kept.time < *end) {
                let seq = kept.entry.seq;
                report(found, Rule::Blocked, format!("what {from} said shows at {seq} of {uid}, who had blocked them"));
            }
        }
    }
}

pub fn twice(history: &History, found: &mut Vec<Violation>) {
    for (uid, user) in &history.users {
        let mut seen = BTreeSet::new();
        for (id, _, kept, Message { from, .. }) in messages(user) {
            if !seen.insert((from, id)) {
                report(found, Rule::Twice, format!("{id} from {from} is again at {} of {uid}", kept.entry.seq));
            }
        }
    }
}

pub fn invented(history: &History, stories: &Stories<'_>, found: &mut Vec<Violation>) {
    for (uid, user) in &history.users {
        for (id, _, _, message) in messages(user) {
            let (from, peer) = (&message.from, &message.peer);
            let Some(story) = stories.get(message.name()) else {
                report(found, Rule::Invented, format!("{id} of {uid} was never sent by {from}"));
                continue;
            };
            let sending = story.sending;
            let other = if from == uid { &sending.to } else { &sending.from };
            let mine = from == uid || sending.to == *uid;
            let refused = sending.fate == Fate::Refused;
            if refused || !mine || other != peer || !story.may_say(message.says(), None) {
                report(found, Rule::Invented, format!("{id} of {uid} is not what {from} sent, or was refused"));
            }
        }
    }
}

pub fn order(history: &History, found: &mut Vec<Violation>) {
    let places: BTreeMap<&str, BTreeMap<&str, usize>> =
        history.users.iter().map(|(uid, user)| (uid.as_str(), places(user))).collect();
    handed_over(history, &places, found);
    for (uid, user) in &history.users {
        let mut newest: BTreeMap<&str, Newest> = BTreeMap::new();
        for (id, _, _, Message { from, peer, .. }) in messages(user) {
            let Some(there) = places.get(peer.as_str()).and_then(|theirs| theirs.get(id)) else { continue };
            let newest = newest.entry(peer).or_default();
            if from == uid {
                if newest.out.is_some_and(|out| *there < out) || newest.incoming.is_some_and(|seen| *there < seen) {
                    report(found, Rule::Order, format!("{id} from {uid} is too early at {peer}"));
                }
                newest.out = newest.out.max(Some(*there));
            } else {
                newest.incoming = newest.incoming.max(Some(*there));
            }
        }
    }
}

/// Newest places in the peer's inbox of what was seen so far here.
#[derive(Default)]
struct Newest {
    out: Option<usize>,
    incoming: Option<usize>,
}

/// What one device handed over for one user is in its sender's inbox in that order. Not asked of a sender who ever
/// blocked that user: a message refused for the block is sent again when the refusal got lost, and is then taken after
/// what followed it.
fn handed_over(history: &History, places: &BTreeMap<&str, BTreeMap<&str, usize>>, found: &mut Vec<Violation>) {
    let mut newest: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for sending in &history.sendings {
        let at = places.get(sending.from.as_str()).and_then(|mine| mine.get(sending.id.as_str()));
        let Some(at) = at.filter(|_| blocks(&history.users[&sending.from], &sending.to).is_empty()) else { continue };
        let newest = newest.entry((&sending.from, &sending.device, &sending.to)).or_insert(*at);
        if at < newest {
            report(found, Rule::Order, format!("{} is before what was sent before it", say(sending)));
        }
        *newest = (*newest).max(*at);
    }
}
