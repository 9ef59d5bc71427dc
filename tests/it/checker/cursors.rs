//! The rule about cursors, seen from devices that leave it to the server where to go on.

use super::{Connection, History, Rule, Step, Violation, report};

/// An ack needs this long at most from the device into the mailbox and, once due, into the store.
const SETTLE_MS: u64 = 2_000;

pub fn cursors(history: &History, found: &mut Vec<Violation>) {
    for (at, connection) in history.connections.iter().enumerate() {
        let who = format!("{} on {}", connection.uid, connection.device);
        if let Err(what) = on_connection(connection) {
            report(found, Rule::Cursor, format!("{who}: {what}"));
        }
        let same = |other: &&Connection| (&other.uid, &other.device) == (&connection.uid, &connection.device);
        let before: Vec<&Connection> = history.connections[..at].iter().filter(same).collect();
        if before.is_empty() {
            continue;
        }
        let most = before.iter().flat_map(|old| acks(old).map(|(seq, _)| seq).chain([first_place(&before)])).max();
        let most = most.unwrap_or(0);
        let least = before.iter().map(|old| kept_for_sure(history, old, connection)).max().unwrap_or(0);
        let place = connection.resume_after;
        if place > most {
            report(found, Rule::Cursor, format!("{who}: goes on after {place}, acknowledged was {most}"));
        }
        if place < least {
            report(found, Rule::Cursor, format!("{who}: goes back to {place}, {least} was acknowledged long before"));
        }
    }
}

/// Where the device began: nothing before was ever owed to it.
fn first_place(connections: &[&Connection]) -> u64 {
    connections.first().map_or(0, |first| first.resume_after)
}

fn acks(connection: &Connection) -> impl Iterator<Item = (u64, u64)> {
    connection.steps.iter().filter_map(|step| match step {
        Step::Acked { seq, at_ms } => Some((*seq, *at_ms)),
        Step::Pushed { .. } => None,
    })
}

/// Highest ack of `old` that `new` must know of.
fn kept_for_sure(history: &History, old: &Connection, new: &Connection) -> u64 {
    let kept = acks(old).filter(|(_, at_ms)| {
        if old.life == new.life {
            return at_ms + SETTLE_MS <= new.opened_ms;
        }
        let death = history.deaths.get(old.life).copied().unwrap_or(0);
        at_ms + history.cursor_flush_ms + SETTLE_MS <= death
    });
    kept.map(|(seq, _)| seq).max().unwrap_or(0)
}

/// Pushes follow each other, and repeat only what is not acknowledged.
fn on_connection(connection: &Connection) -> Result<(), String> {
    let (mut last, mut acked) = (connection.resume_after, 0);
    for step in &connection.steps {
        match *step {
            Step::Pushed { seq, redelivery: true } if seq <= acked => {
                return Err(format!("{seq} came again, {acked} was acknowledged"));
            }
            Step::Pushed { redelivery: true, .. } => {}
            Step::Pushed { seq, redelivery: false } if seq != last + 1 => {
                return Err(format!("{seq} came after {last}"));
            }
            Step::Pushed { seq, redelivery: false } => last = seq,
            Step::Acked { seq, .. } => acked = seq,
        }
    }
    Ok(())
}
