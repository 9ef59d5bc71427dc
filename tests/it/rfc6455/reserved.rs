//! Groups 3 and 4: reserved bits and reserved opcodes.

use super::case::{BINARY, CLOSE, Case, Chops, Event, Frame, Group, breaks, ping, text, whole};

const WORDS: &str = "Hello, world!";
const BYTES: &[u8] = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";

pub fn groups() -> Vec<Group> {
    vec![
        Group { id: "3", title: "reserved bits", cases: bits() },
        Group { id: "4.1", title: "reserved data opcodes", cases: opcodes("4.1", 3) },
        Group { id: "4.2", title: "reserved control opcodes", cases: opcodes("4.2", 11) },
    ]
}

/// Frames of which the first one is fine, in `chops`; its echo comes, and no pong.
fn after_a_message(id: String, sent: &str, bad: Frame, chops: Chops) -> Case {
    let sent = format!("a text, {sent}, a ping{}", chops.words());
    breaks(id, sent, chops.of(&[text(WORDS), bad, ping("")]), vec![Event::text(WORDS)])
}

fn bits() -> Vec<Case> {
    let marked = |rsv: u8, frame: Frame| Frame { rsv, ..frame };
    let alone = |id: &str, sent: &str, frame: Frame| breaks(id, sent, Chops::None.of(&[frame]), Vec::new());
    let after = |id: &str, rsv: u8, chops| {
        after_a_message(id.to_owned(), &format!("a text with RSV {rsv}"), marked(rsv, text(WORDS)), chops)
    };
    vec![
        alone("3.1", "a text with RSV 1", marked(1, text(WORDS))),
        after("3.2", 2, Chops::None),
        after("3.3", 3, Chops::Frames),
        after("3.4", 4, Chops::Bytes),
        alone("3.5", "bytes with RSV 5", marked(5, whole(BINARY, BYTES))),
        // The list says ping and sends this.
        alone("3.6", "bytes with RSV 6", marked(6, whole(BINARY, WORDS))),
        alone("3.7", "a close with RSV 7", marked(7, whole(CLOSE, ""))),
    ]
}

/// Five reserved opcodes from `first` on.
fn opcodes(group: &str, first: u8) -> Vec<Case> {
    let id = |n: u8| format!("{group}.{n}");
    let bad = |n: u8, payload: &str| whole(first + n - 1, payload);
    let alone = |n: u8, words: &str, payload: &str| {
        let sent = format!("opcode {}{words}", first + n - 1);
        breaks(id(n), sent, Chops::None.of(&[bad(n, payload)]), Vec::new())
    };
    let after = |n: u8, words: &str, payload: &str, chops| {
        after_a_message(id(n), &format!("opcode {}{words}", first + n - 1), bad(n, payload), chops)
    };
    vec![
        alone(1, "", ""),
        alone(2, " with payload", "reserved opcode payload"),
        after(3, "", "", Chops::None),
        after(4, " with payload", WORDS, Chops::None),
        after(5, " with payload", WORDS, Chops::Bytes),
    ]
}
