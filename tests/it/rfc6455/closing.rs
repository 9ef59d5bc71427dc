//! Group 7: the closing handshake, its codes and its reasons.

use super::case::{
    CLOSE, CONTINUATION, Case, Do, End, Event, Frame, Group, PING, Payload, TEXT, Weight, answered, breaks, close,
    close_with, part, text, whole,
};

const LEGAL: [u16; 13] = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
const ILLEGAL: [u16; 9] = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
const NO_UTF8: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
const WORDS: &str = "Hello World!";

pub fn groups() -> Vec<Group> {
    let illegal =
        (1..).zip(ILLEGAL).map(|(at, code)| refused(format!("7.9.{at}"), format!("a close with {code}"), close(code)));
    vec![
        Group { id: "7.1", title: "closing", cases: behaviour() },
        Group { id: "7.3", title: "length of close frames", cases: lengths() },
        Group { id: "7.5", title: "close reason that is no UTF-8", cases: vec![bad_reason()] },
        Group { id: "7.7", title: "legal close codes", cases: legal() },
        Group { id: "7.9", title: "illegal close codes", cases: illegal.collect() },
        Group { id: "7.13", title: "close codes above 4999", cases: above() },
    ]
}

/// The peer closes; nothing comes but the answer.
fn closes(id: impl Into<String>, sent: impl Into<String>, frames: Vec<Frame>, codes: &'static [u16]) -> Case {
    let script = frames.into_iter().map(Do::Write).collect();
    Case { end: End::Answered(codes), ..answered(id, sent, script, Vec::new()) }
}

fn refused(id: impl Into<String>, sent: impl Into<String>, frame: Frame) -> Case {
    breaks(id, sent, vec![Do::Write(frame)], Vec::new())
}

fn behaviour() -> Vec<Case> {
    let large = whole(TEXT, Payload::filled(b"BAsd7&jh23", 256 << 10));
    let events = vec![Event::echo(&large), Event::text(WORDS)];
    let largest = closes(
        "7.1.6",
        "256 KiB of text, a text, a close, a ping",
        vec![large, text(WORDS), close(1000), whole(PING, "")],
        &[1000],
    );
    vec![
        answered("7.1.1", "a text, then a close", vec![Do::Write(text(WORDS))], vec![Event::text(WORDS)]),
        closes("7.1.2", "a close twice", vec![close(1000), whole(CLOSE, "")], &[1000]),
        closes("7.1.3", "a close, then a ping", vec![close(1000), whole(PING, "")], &[1000]),
        closes("7.1.4", "a close, then a text", vec![close(1000), text(WORDS)], &[1000]),
        closes(
            "7.1.5",
            "a fragment, a close, the last fragment",
            vec![part(TEXT, "fragment1"), close(1000), whole(CONTINUATION, "fragment2")],
            &[1000],
        ),
        Case { events, weight: Weight::Informational, ..largest },
    ]
}

fn lengths() -> Vec<Case> {
    vec![
        closes("7.3.1", "a close without a code", vec![whole(CLOSE, "")], &[]),
        refused("7.3.2", "a close of one byte", whole(CLOSE, "a")),
        closes("7.3.3", "a close with a code", vec![close(1000)], &[1000]),
        closes("7.3.4", "a close with a reason", vec![close_with(1000, WORDS.as_bytes())], &[1000]),
        closes("7.3.5", "a close with a reason of 123 bytes", vec![close_with(1000, &[b'*'; 123])], &[1000]),
        refused("7.3.6", "a close with a reason of 124 bytes", close_with(1000, &[b'*'; 124])),
    ]
}

fn bad_reason() -> Case {
    let case = refused("7.5.1", "a close whose reason is no UTF-8", close_with(1000, NO_UTF8));
    Case { end: End::Fails(&[1002, 1007]), ..case }
}

fn legal() -> Vec<Case> {
    const CODES: [&[u16]; 13] = [
        &[1000],
        &[1001],
        &[1002],
        &[1003],
        &[1007],
        &[1008],
        &[1009],
        &[1010],
        &[1011],
        &[3000],
        &[3999],
        &[4000],
        &[4999],
    ];
    let case = |(at, (code, echoed)): (usize, (u16, &'static [u16]))| {
        closes(format!("7.7.{}", at + 1), format!("a close with {code}"), vec![close(code)], echoed)
    };
    LEGAL.into_iter().zip(CODES).enumerate().map(case).collect()
}

fn above() -> Vec<Case> {
    let case = |id: &str, code: u16| Case {
        weight: Weight::Informational,
        ..refused(id, format!("a close with {code}"), close(code))
    };
    vec![case("7.13.1", 5_000), case("7.13.2", 65_535)]
}
