//! Group 6: text that is UTF-8 and text that is not, whole, in fragments, and found out before it is complete.

use super::case::{CONTINUATION, Case, Do, Event, Frame, Group, OWN, TEXT, answered, no_text, part, ping, whole};

const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
const EDITED: &[u8] = b"edited";
const WORDS: [&str; 2] = ["Hello-µ@ßöä", "üàá-UTF-8!!"];

pub fn groups() -> Vec<Group> {
    let mut groups = vec![
        Group { id: "6.1", title: "text of length 0", cases: empty() },
        Group { id: "6.2", title: "text in fragments", cases: fragmented() },
        Group { id: "6.3", title: "no UTF-8, in fragments", cases: invalid() },
        Group { id: "6.4", title: "no UTF-8, found out at once", cases: fail_fast() },
    ];
    for ((id, title, right), sequences) in TITLES.into_iter().zip(sequences()) {
        let case = |(at, bytes): (usize, &Vec<u8>)| sequence(format!("{id}.{at}"), bytes, right.has(at));
        groups.push(Group { id, title, cases: (1..).zip(&sequences).map(case).collect() });
    }
    groups.push(Group { id: OWN, title: "not of the list", cases: vec![right_end()] });
    groups
}

fn empty() -> Vec<Case> {
    let three = |middle: &str| {
        vec![Do::Write(part(TEXT, "")), Do::Write(part(CONTINUATION, middle)), Do::Write(whole(CONTINUATION, ""))]
    };
    let middle = "middle frame payload";
    vec![
        answered("6.1.1", "a text of length 0", vec![Do::Write(whole(TEXT, ""))], vec![Event::text("")]),
        answered("6.1.2", "a text in three fragments of length 0", three(""), vec![Event::text("")]),
        answered("6.1.3", "three fragments, first and last of length 0", three(middle), vec![Event::text(middle)]),
    ]
}

fn fragmented() -> Vec<Case> {
    let words = WORDS.concat();
    let message = whole(TEXT, &words);
    let echo = || vec![Event::text(&words)];
    let two = vec![Do::Write(part(TEXT, WORDS[0])), Do::Write(whole(CONTINUATION, WORDS[1]))];
    let kosme = whole(TEXT, KOSME);
    vec![
        answered("6.2.1", "text with letters of two bytes", vec![Do::Write(message.clone())], echo()),
        answered("6.2.2", "the same in two fragments, cut between letters", two, echo()),
        answered("6.2.3", "the same in fragments of one byte", vec![Do::Fragments(message, 1)], echo()),
        answered(
            "6.2.4",
            "Greek in fragments of one byte",
            vec![Do::Fragments(kosme.clone(), 1)],
            vec![Event::echo(&kosme)],
        ),
    ]
}

fn invalid() -> Vec<Case> {
    let message = whole(TEXT, &[KOSME, b"\xed\xa0\x80", EDITED].concat());
    vec![
        no_text("6.3.1", "text with a surrogate in it", vec![Do::Write(message.clone())]),
        no_text("6.3.2", "the same in fragments of one byte", vec![Do::Fragments(message, 1)]),
    ]
}

/// The rest of the message is never sent: what came is enough. The pong proves that the part before was taken.
fn fail_fast() -> Vec<Case> {
    let bad: &[u8] = b"\xf4\x90\x80\x80";
    let all = [KOSME, bad, EDITED].concat();
    let frames = |id: &str, sent: &str, first: &[u8], second: &[u8]| {
        let part_one = vec![Do::Write(part(TEXT, first)), Do::Write(ping("taken")), Do::Await(1)];
        let script = [part_one, vec![Do::Write(part(CONTINUATION, second))]].concat();
        Case { events: vec![Event::echo(&ping("taken"))], ..no_text(id, sent, script) }
    };
    let chops = |id: &str, sent: &str, first: &[u8], second: &[u8]| {
        no_text(id, sent, vec![Do::Begin(all.len(), first.to_vec()), Do::Leave, Do::More(second.to_vec())])
    };
    vec![
        frames("6.4.1", "a good fragment, then one above U+10FFFF; the last is not sent", KOSME, bad),
        frames("6.4.2", "the same, up to the byte that makes it wrong", &all[..12], &all[12..13]),
        chops("6.4.3", "the same in one frame, the end of which is not sent", KOSME, bad),
        chops("6.4.4", "the same, up to the byte that makes it wrong", &all[..12], &all[12..13]),
    ]
}

/// Not of the list: the part before the wrong byte of 6.4.3 and 6.4.4 is no reason to fail.
fn right_end() -> Case {
    let begin = &[KOSME, b"\xf4"].concat();
    let end = b"\x8f\x80\x80edited";
    answered(
        "6.4.3 (right)",
        "as 6.4.3, with an end that makes it a text",
        vec![Do::Begin(begin.len() + end.len(), begin.clone()), Do::Leave, Do::More(end.to_vec())],
        vec![Event::Text((&[begin, &end[..]].concat()).into())],
    )
}

/// One payload in one frame.
fn sequence(id: String, bytes: &[u8], right: bool) -> Case {
    let frame: Frame = whole(TEXT, bytes);
    let sent = format!("`{}`", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    if right {
        let events = vec![Event::echo(&frame)];
        return answered(id, sent, vec![Do::Write(frame)], events);
    }
    no_text(id, sent, vec![Do::Write(frame)])
}

/// Which payloads of a group are texts.
enum Right {
    All,
    None,
    These(&'static [usize]),
}

impl Right {
    fn has(&self, at: usize) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::These(these) => these.contains(&at),
        }
    }
}

const TITLES: [(&str, &str, Right); 19] = [
    ("6.5", "valid sequences", Right::All),
    ("6.6", "prefixes of a text with letters of several bytes", Right::These(&[2, 5, 7, 9, 11])),
    ("6.7", "first sequence of each length", Right::All),
    ("6.8", "first sequence of lengths 5 and 6", Right::None),
    ("6.9", "last sequence of each length", Right::All),
    ("6.10", "last sequence of lengths 4, 5 and 6 beyond U+10FFFF", Right::None),
    ("6.11", "other boundaries", Right::These(&[1, 2, 3, 4])),
    ("6.12", "continuation bytes without a start", Right::None),
    ("6.13", "starts without continuation", Right::None),
    ("6.14", "last continuation byte missing", Right::None),
    ("6.15", "incomplete sequences in a row", Right::None),
    ("6.16", "impossible bytes", Right::None),
    ("6.17", "overlong slash", Right::None),
    ("6.18", "overlong as far as possible", Right::None),
    ("6.19", "overlong NUL", Right::None),
    ("6.20", "single surrogates", Right::None),
    ("6.21", "paired surrogates", Right::None),
    ("6.22", "code points that are no characters", Right::All),
    ("6.23", "specials", Right::All),
];

/// Payloads of 6.5 to 6.23, after Markus Kuhn's UTF-8 decoder test.
fn sequences() -> Vec<Vec<Vec<u8>>> {
    let of = |all: &[&[u8]]| all.iter().map(|bytes| bytes.to_vec()).collect::<Vec<_>>();
    let lacking: [&[u8]; 10] = [
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfb\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ];
    vec![
        of(&[
            b"hello\x24world",
            b"hello\xc2\xa2world",
            b"hello\xe2\x82\xacworld",
            b"hello\xf0\xa4\xad\xa2world",
            KOSME,
        ]),
        (1..=KOSME.len()).map(|end| KOSME[..end].to_vec()).collect(),
        of(&[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
        of(&[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
        of(&[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
        of(&[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
        of(&[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"]),
        continuations(),
        lonely_starts(),
        of(&lacking),
        vec![lacking.concat()],
        of(&[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
        of(&[b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"]),
        of(&[b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"]),
        of(&[b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"]),
        of(&SURROGATES),
        PAIRS.iter().map(|(high, low)| [&high[..], &low[..]].concat()).collect(),
        no_characters(),
        (0xb9..=0xbf).map(|end| vec![0xef, 0xbf, end]).collect(),
    ]
}

const SURROGATES: [&[u8]; 7] = [
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbe\x80",
    b"\xed\xbf\xbf",
];

const PAIRS: [(&[u8; 3], &[u8; 3]); 8] = [
    (b"\xed\xa0\x80", b"\xed\xb0\x80"),
    (b"\xed\xa0\x80", b"\xed\xbf\xbf"),
    (b"\xed\xad\xbf", b"\xed\xb0\x80"),
    (b"\xed\xad\xbf", b"\xed\xbf\xbf"),
    (b"\xed\xae\x80", b"\xed\xb0\x80"),
    (b"\xed\xae\x80", b"\xed\xbf\xbf"),
    (b"\xed\xaf\xbf", b"\xed\xb0\x80"),
    (b"\xed\xaf\xbf", b"\xed\xbf\xbf"),
];

fn continuations() -> Vec<Vec<u8>> {
    let alternating = |bytes: usize| [0x80, 0xbf].into_iter().cycle().take(bytes).collect::<Vec<u8>>();
    let mut all = vec![vec![0x80], vec![0xbf]];
    all.extend((2..=6).map(alternating));
    all.push((0x80..0xbf).collect());
    all
}

/// Each start but the last of its length, followed by a space.
fn lonely_starts() -> Vec<Vec<u8>> {
    [(0xc0, 0xdf), (0xe0, 0xef), (0xf0, 0xf7), (0xf8, 0xfb), (0xfc, 0xfd)]
        .into_iter()
        .map(|(from, to): (u8, u8)| (from..to).flat_map(|start| [start, b' ']).collect())
        .collect()
}

/// U+FFFE and U+FFFF, and the last two code points of some planes.
fn no_characters() -> Vec<Vec<u8>> {
    let mut all = vec![b"\xef\xbf\xbe".to_vec(), b"\xef\xbf\xbf".to_vec()];
    for plane in 0xf0..=0xf4_u8 {
        for second in [0x8f, 0x9f, 0xaf, 0xbf_u8] {
            let overlong = plane == 0xf0 && second == 0x8f;
            let beyond = plane == 0xf4 && second != 0x8f;
            if !overlong && !beyond {
                all.extend([0xbe, 0xbf].map(|end| vec![plane, second, 0xbf, end]));
            }
        }
    }
    all
}
