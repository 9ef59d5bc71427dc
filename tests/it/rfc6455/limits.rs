//! Groups 9 and 10: large messages, in one frame, in fragments and in small writes; many small ones; fragments of 1300.

use super::case::{BINARY, Case, Do, Event, Group, Payload, TEXT, answered, whole};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const TEXT_UNIT: &[u8] = b"BAsd7&jh23";
const BINARY_UNIT: &[u8] = b"\x00\xfe\x23\xfa\xf0";

/// Messages of 9.7 and 9.8 each.
const ROUND_TRIPS: usize = 1_000;

pub fn groups() -> Vec<Group> {
    let stars = Payload::filled(b"*", 65_536);
    let autofragment = answered(
        "10.1.1",
        "65536 bytes of text in fragments of 1300",
        vec![Do::Fragments(whole(TEXT, stars.clone()), 1_300)],
        vec![Event::Text(stars)],
    );
    vec![
        Group { id: "9.1", title: "large text", cases: large("9.1", TEXT, TEXT_UNIT) },
        Group { id: "9.2", title: "large bytes", cases: large("9.2", BINARY, BINARY_UNIT) },
        Group { id: "9.3", title: "4 MiB of text in fragments", cases: fragmented("9.3", TEXT, b"*") },
        Group { id: "9.4", title: "4 MiB of bytes in fragments", cases: fragmented("9.4", BINARY, b"\xfe") },
        Group { id: "9.5", title: "1 MiB of text in small writes", cases: chopped("9.5", TEXT, TEXT_UNIT) },
        Group { id: "9.6", title: "1 MiB of bytes in small writes", cases: chopped("9.6", BINARY, BINARY_UNIT) },
        Group { id: "9.7", title: "round trips of text", cases: round_trips("9.7", TEXT, b"*") },
        Group { id: "9.8", title: "round trips of bytes", cases: round_trips("9.8", BINARY, b"\xfe") },
        Group { id: "10.1", title: "fragments of 1300 bytes", cases: vec![autofragment] },
    ]
}

fn large(group: &str, opcode: u8, unit: &[u8]) -> Vec<Case> {
    let case = |(at, bytes): (usize, usize)| {
        let frame = whole(opcode, Payload::filled(unit, bytes));
        let events = vec![Event::echo(&frame)];
        answered(format!("{group}.{}", at + 1), format!("{} KiB", bytes / KIB), vec![Do::Write(frame)], events)
    };
    [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB].into_iter().enumerate().map(case).collect()
}

fn fragmented(group: &str, opcode: u8, unit: &[u8]) -> Vec<Case> {
    let case = |at: u32| {
        let size = 64 * 4_usize.pow(at);
        let frame = whole(opcode, Payload::filled(unit, 4 * MIB));
        let events = vec![Event::echo(&frame)];
        let sent = format!("fragments of {size} bytes");
        answered(format!("{group}.{}", at + 1), sent, vec![Do::Fragments(frame, size)], events)
    };
    (0..9).map(case).collect()
}

fn chopped(group: &str, opcode: u8, unit: &[u8]) -> Vec<Case> {
    let case = |at: u32| {
        let size = 64 * 2_usize.pow(at);
        let frame = whole(opcode, Payload::filled(unit, MIB));
        let events = vec![Event::echo(&frame)];
        answered(format!("{group}.{}", at + 1), format!("writes of {size} bytes"), vec![Do::Chop(frame, size)], events)
    };
    (0..6).map(case).collect()
}

fn round_trips(group: &str, opcode: u8, unit: &[u8]) -> Vec<Case> {
    let case = |(at, bytes): (usize, usize)| {
        let frame = whole(opcode, Payload::filled(unit, bytes));
        let sent = format!("{ROUND_TRIPS} messages of {bytes} bytes, each after the echo of the one before");
        answered(format!("{group}.{}", at + 1), sent, vec![Do::RoundTrips(frame, ROUND_TRIPS)], Vec::new())
    };
    [0, 16, 64, 256, KIB, 4 * KIB].into_iter().enumerate().map(case).collect()
}
