//! Histories in which somebody read messages while they were recalled and edited.

use super::{
    super::{History, Path, Reading, Rule, Sighting},
    changes::{edits, recall, said, with},
};

/// `uid` asks at `asked` and reads this.
fn read(history: &mut History, uid: &str, asked: u64, text: Option<&str>) {
    let mut message = said(history, uid).clone();
    (message.text, message.recalled) = (text.unwrap_or_default().into(), text.is_none());
    history.readings.push(Reading { uid: uid.into(), asked, path: Path::History, seq: 1, message });
}

fn reads(history: History, uid: &str, asked: u64, text: Option<&str>) -> Vec<Rule> {
    with(history, |history| read(history, uid, asked, text))
}

#[test]
fn what_was_recalled_or_replaced_may_be_read_only_by_those_who_do_not_know() {
    for text in ["text of m1", "one", "two"] {
        assert_eq!(reads(recall(), "a", 30, Some(text)), if text == "two" { vec![] } else { vec![Rule::Redacted] });
        assert_eq!(reads(recall(), "a", 31, Some(text)), [Rule::Redacted], "{text}");
        assert_eq!(reads(recall(), "b", 31, Some(text)), [], "{text}");
    }
    assert_eq!(reads(recall(), "a", 5, None), [], "the answer may come later than the recall");
    assert_eq!(reads(edits(), "a", 11, Some("text of m1")), [Rule::Redacted]);
    assert_eq!(reads(edits(), "a", 11, Some("two")), []);
    assert_eq!(reads(edits(), "a", 21, Some("one")), [Rule::Redacted]);
    assert_eq!(reads(edits(), "a", 1, Some("three")), [Rule::Invented]);
    assert_eq!(reads(edits(), "a", 1, None), [Rule::Invented]);
}

#[test]
fn a_peer_that_has_seen_the_change_knows_of_it() {
    let sighting = |seq, moment| Sighting { uid: "b".into(), seq, moment };
    let seen = |good: History, seq, text| {
        with(good, |history| {
            history.sightings.push(sighting(seq, 50));
            read(history, "b", 40, Some("text of m1"));
            read(history, "b", 60, text);
        })
    };
    assert_eq!(seen(recall(), 4, Some("two")), [Rule::Redacted]);
    assert_eq!(seen(recall(), 4, None), []);
    assert_eq!(seen(edits(), 2, Some("text of m1")), [Rule::Redacted]);
    assert_eq!(seen(edits(), 2, Some("one")), []);
    assert_eq!(seen(edits(), 3, Some("one")), [Rule::Redacted]);
}
