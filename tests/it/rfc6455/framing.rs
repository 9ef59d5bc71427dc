//! Groups 1 and 2: messages of every form of length, pings and pongs.

use super::case::End;
use super::case::{
    BINARY, Case, Chops, Do, Event, Frame, Group, PING, PONG, Payload, TEXT, answered, breaks, close, ping, whole,
};

/// Bytes of the payloads of 1.1 and 1.2, and the size of the writes they leave in.
const SIZES: [(usize, Option<usize>); 8] = [
    (0, None),
    (125, None),
    (126, None),
    (127, None),
    (128, None),
    (65_535, None),
    (65_536, None),
    (65_536, Some(997)),
];

pub fn groups() -> Vec<Group> {
    vec![
        Group { id: "1.1", title: "text messages", cases: messages("1.1", TEXT, b"*") },
        Group { id: "1.2", title: "binary messages", cases: messages("1.2", BINARY, b"\xfe") },
        Group { id: "2", title: "pings and pongs", cases: pings() },
    ]
}

fn messages(group: &str, opcode: u8, unit: &[u8]) -> Vec<Case> {
    let case = |(at, (bytes, chop)): (usize, (usize, Option<usize>))| {
        let frame = whole(opcode, Payload::filled(unit, bytes));
        let events = vec![Event::echo(&frame)];
        let (words, script) = match chop {
            None => (String::new(), vec![Do::Write(frame)]),
            Some(chop) => (format!(", in writes of {chop} bytes"), vec![Do::Chop(frame, chop)]),
        };
        answered(format!("{group}.{}", at + 1), format!("a message of {bytes} bytes{words}"), script, events)
    };
    SIZES.into_iter().enumerate().map(case).collect()
}

fn pings() -> Vec<Case> {
    let one = |id: &str, sent: &str, frame: Frame| {
        let events = vec![Event::echo(&frame)];
        answered(id, sent, vec![Do::Write(frame)], events)
    };
    let unsolicited = |payload: &str| whole(PONG, payload);
    let largest = whole(PING, Payload::filled(b"\xfe", 125));
    let pong_then_close = |payload: &str| vec![Do::Write(unsolicited(payload)), Do::Write(close(1000))];
    let silent = |id: &str, sent: &str, payload: &str| Case {
        end: End::Answered(&[1000]),
        ..answered(id, sent, pong_then_close(payload), Vec::new())
    };
    vec![
        one("2.1", "a ping without payload", ping("")),
        one("2.2", "a ping with a text", ping("Hello, world!")),
        one("2.3", "a ping with bytes that are no UTF-8", whole(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")),
        one("2.4", "a ping of 125 bytes", largest.clone()),
        breaks("2.5", "a ping of 126 bytes", vec![Do::Write(whole(PING, Payload::filled(b"\xfe", 126)))], Vec::new()),
        answered(
            "2.6",
            "a ping of 125 bytes, byte by byte",
            vec![Do::Chop(largest.clone(), 1)],
            vec![Event::echo(&largest)],
        ),
        silent("2.7", "a pong nobody asked for, a close", ""),
        silent("2.8", "a pong with payload nobody asked for, a close", "unsolicited pong payload"),
        answered(
            "2.9",
            "a pong nobody asked for, then a ping",
            vec![Do::Write(unsolicited("unsolicited pong payload")), Do::Write(ping("ping payload"))],
            vec![Event::echo(&ping("ping payload"))],
        ),
        ten_pings("2.10", Chops::None),
        ten_pings("2.11", Chops::Bytes),
    ]
}

fn ten_pings(id: &str, chops: Chops) -> Case {
    let pings: Vec<Frame> = (0..10).map(|n| ping(&format!("payload-{n}"))).collect();
    answered(id, format!("ten pings{}", chops.words()), chops.of(&pings), pings.iter().map(Event::echo).collect())
}
