//! Group 5: messages in fragments, with control frames between them, and fragments of nothing.

use super::case::{
    CONTINUATION, Case, Chops, Do, Event, Frame, Group, PING, PONG, TEXT, answered, breaks, part, ping, text, whole,
};

const WORDS: &str = "Hello, world!";
const NOTHING: &str = "non-continuation payload";

pub fn groups() -> Vec<Group> {
    let cases = [whole_messages(), nothing_to_continue(), broken_order(), vec![long("5.19", Chops::None)]].concat();
    let mut cases = [cases, vec![long("5.20", Chops::Frames)]].concat();
    cases.sort_by_key(|case| case.id[2..].parse::<u32>().unwrap_or(u32::MAX));
    vec![Group { id: "5", title: "fragmentation", cases }]
}

fn last(words: &str) -> Frame {
    whole(CONTINUATION, words)
}

fn middle(words: &str) -> Frame {
    part(CONTINUATION, words)
}

fn first(words: &str) -> Frame {
    part(TEXT, words)
}

fn whole_messages() -> Vec<Case> {
    let two = [first("fragment1"), last("fragment2")];
    let around = [first("fragment1"), ping("ping payload"), last("fragment2")];
    let echo = || Event::text("fragment1fragment2");
    let plain = |id: &str, chops: Chops| {
        answered(id, format!("a text in two fragments{}", chops.words()), chops.of(&two), vec![echo()])
    };
    let with_ping = |id: &str, chops: Chops| {
        let events = vec![Event::echo(&ping("ping payload")), echo()];
        answered(id, format!("a text in two fragments, a ping between{}", chops.words()), chops.of(&around), events)
    };
    vec![
        plain("5.3", Chops::None),
        plain("5.4", Chops::Frames),
        plain("5.5", Chops::Bytes),
        with_ping("5.6", Chops::None),
        with_ping("5.7", Chops::Frames),
        with_ping("5.8", Chops::Bytes),
    ]
}

fn nothing_to_continue() -> Vec<Case> {
    let case = |id: &str, words: &str, bad: Frame, chops: Chops| {
        let sent = format!("{words} of nothing, then a text{}", chops.words());
        breaks(id, sent, chops.of(&[bad, text(WORDS)]), Vec::new())
    };
    vec![
        case("5.9", "the last fragment", last(NOTHING), Chops::None),
        case("5.10", "the last fragment", last(NOTHING), Chops::Frames),
        case("5.11", "the last fragment", last(NOTHING), Chops::Bytes),
        case("5.12", "a fragment", middle(NOTHING), Chops::None),
        case("5.13", "a fragment", middle(NOTHING), Chops::Frames),
        case("5.14", "a fragment", middle(NOTHING), Chops::Bytes),
    ]
}

fn broken_order() -> Vec<Case> {
    let case = |id: &str, sent: &str, frames: &[Frame], before| breaks(id, sent, Chops::None.of(frames), before);
    let twice = |frames: [Frame; 3]| [frames.clone(), frames].concat();
    vec![
        case("5.1", "a ping in two fragments", &[part(PING, "fragment1"), last("fragment2")], Vec::new()),
        case("5.2", "a pong in two fragments", &[part(PONG, "fragment1"), last("fragment2")], Vec::new()),
        case(
            "5.15",
            "a text in two fragments, a fragment of nothing, a text",
            &[first("fragment1"), last("fragment2"), middle("fragment3"), text("fragment4")],
            vec![Event::text("fragment1fragment2")],
        ),
        case(
            "5.16",
            "twice: a fragment of nothing, a text in two fragments",
            &twice([middle("fragment1"), first("fragment2"), last("fragment3")]),
            Vec::new(),
        ),
        case(
            "5.17",
            "twice: the last fragment of nothing, a text in two fragments",
            &twice([last("fragment1"), first("fragment2"), last("fragment3")]),
            Vec::new(),
        ),
        case("5.18", "two fragments that both say text", &[first("fragment1"), text("fragment2")], Vec::new()),
    ]
}

/// The first pong comes while the message is open.
fn long(id: &str, chops: Chops) -> Case {
    let begin = chops.of(&[first("fragment1"), middle("fragment2"), ping("pongme 1!")]);
    let rest = chops.of(&[middle("fragment3"), middle("fragment4"), ping("pongme 2!"), last("fragment5")]);
    let events = vec![
        Event::echo(&ping("pongme 1!")),
        Event::echo(&ping("pongme 2!")),
        Event::text("fragment1fragment2fragment3fragment4fragment5"),
    ];
    let sent = format!("a text in five fragments, two pings, a wait for the first pong{}", chops.words());
    answered(id, sent, [begin, vec![Do::Await(1)], rest].concat(), events)
}
