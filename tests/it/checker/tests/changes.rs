//! Histories in which messages were recalled, edited and reacted to.

use super::{
    super::{Asked, Change, Fate, Given, History, Kept, Rule, Target, User, What},
    message, other, rules, sent, user, view,
};

fn target(seq: u64) -> Target {
    Target { seq, author: "a".into(), id: "m1".into() }
}

fn recalled(seq: u64, peer: &str) -> Kept {
    other(seq, What::Recalled { peer: peer.into(), target: target(1) })
}

fn edited(seq: u64, peer: &str, text: Option<&str>) -> Kept {
    other(seq, What::Edited { peer: peer.into(), target: target(1), text: text.map(str::to_owned) })
}

fn reaction(seq: u64, peer: &str, from: &str, removed: bool) -> Kept {
    let given = Given { from: from.into(), reaction: "+1".into() };
    other(seq, What::Reaction { peer: peer.into(), target: target(1), given, removed })
}

fn asked(what: Asked, fate: Fate, answered: u64) -> Change {
    Change { by: "a".into(), peer: "b".into(), what, tries: 1, fate, answered }
}

fn edit(text: &str) -> Asked {
    Asked::Edit { target: target(1), text: text.into() }
}

fn react(removed: bool) -> Asked {
    Asked::React { target: target(1), reaction: "+1".into(), removed }
}

/// A's message m1 as it is at both, after these changes.
fn history(changes: Vec<Change>, entries: impl Fn(&str) -> Vec<Kept>, now: impl Fn(&mut super::Message)) -> History {
    let mut history = History { sendings: vec![sent("m1", "a", "b", Fate::Acked(1))], changes, ..History::default() };
    for (uid, peer, unread) in [("a", "b", 0), ("b", "a", 1)] {
        let mut first = message(1, "m1", "a", peer);
        if let What::Message(message) = &mut first.entry.what {
            now(message);
        }
        let mut inbox = vec![first];
        inbox.extend(entries(peer));
        let conversations = vec![view(peer, unread, 0)];
        let user = User { inbox, conversations, unread_total: unread, ..User::default() };
        history.users.insert(uid.into(), user);
    }
    history
}

/// Edited twice, then recalled.
pub fn recall() -> History {
    let changes = vec![
        asked(edit("one"), Fate::Acked(2), 10),
        asked(edit("two"), Fate::Acked(3), 20),
        asked(Asked::Recall(target(1)), Fate::Acked(4), 30),
    ];
    let entries = |peer: &str| vec![edited(2, peer, None), edited(3, peer, None), recalled(4, peer)];
    history(changes, entries, |message| {
        message.text.clear();
        message.recalled = true;
    })
}

/// Recalled as it was.
fn only_recalled() -> History {
    let changes = vec![asked(Asked::Recall(target(1)), Fate::Acked(2), 30)];
    history(
        changes,
        |peer| vec![recalled(2, peer)],
        |message| {
            message.text.clear();
            message.recalled = true;
        },
    )
}

/// Edited twice.
pub fn edits() -> History {
    let changes = vec![asked(edit("one"), Fate::Acked(2), 10), asked(edit("two"), Fate::Acked(3), 20)];
    let entries = |peer: &str| vec![edited(2, peer, None), edited(3, peer, Some("two"))];
    history(changes, entries, |message| {
        message.text = "two".into();
        message.edited_time = 300;
    })
}

/// Reacted to, not any more, and again.
fn reactions() -> History {
    let changes = vec![
        asked(react(false), Fate::Acked(2), 10),
        asked(react(true), Fate::Acked(3), 20),
        asked(react(false), Fate::Acked(4), 30),
    ];
    let entries =
        |peer: &str| [(2, false), (3, true), (4, false)].map(|(seq, back)| reaction(seq, peer, "a", back)).into();
    history(changes, entries, |message| message.reactions.push(Given { from: "a".into(), reaction: "+1".into() }))
}

pub fn with(mut history: History, how: impl FnOnce(&mut History)) -> Vec<Rule> {
    how(&mut history);
    rules(&history)
}

pub fn said<'a>(history: &'a mut History, uid: &str) -> &'a mut super::Message {
    match &mut user(history, uid).inbox[0].entry.what {
        What::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn good_histories_of_changes_pass() {
    for good in [recall(), edits(), reactions()] {
        assert_eq!(rules(&good), []);
    }
}

#[test]
fn an_acked_change_that_is_missing_is_found_on_either_side() {
    for (uid, also) in [("a", Rule::Lost), ("b", Rule::Lost)] {
        for good in [recall(), edits(), reactions()] {
            let found = with(good, |history| drop(user(history, uid).inbox.pop()));
            assert!(found.contains(&also), "{uid}: {found:?}");
        }
    }
    let elsewhere = with(edits(), |history| history.changes[1].fate = Fate::Acked(2));
    assert!(elsewhere.contains(&Rule::Invented), "{elsewhere:?}");
}

#[test]
fn a_change_without_an_answer_may_be_there_or_not() {
    assert_eq!(with(recall(), |history| history.changes[2].fate = Fate::Open), []);
    let open = asked(edit("three"), Fate::Open, 0);
    assert_eq!(with(edits(), |history| history.changes.push(open)), []);
}

#[test]
fn a_change_that_is_there_twice_or_changes_nothing_is_found() {
    for uid in ["a", "b"] {
        let found = with(recall(), |history| {
            let peer = if uid == "a" { "b" } else { "a" };
            user(history, uid).inbox.push(recalled(5, peer));
        });
        assert!(found.contains(&Rule::Twice), "{found:?}");
    }
    let again = with(reactions(), |history| user(history, "b").inbox.push(reaction(5, "a", "a", false)));
    assert_eq!(again, [Rule::Twice]);
    let same_text = with(edits(), |history| {
        history.changes[0].what = edit("two");
        user(history, "b").inbox.truncate(3);
    });
    assert!(same_text.contains(&Rule::Twice), "{same_text:?}");
    let edited_again = with(edits(), |history| user(history, "b").inbox.insert(2, edited(3, "a", None)));
    assert!(edited_again.contains(&Rule::Twice), "{edited_again:?}");
}

#[test]
fn changes_that_reach_the_peer_in_another_order_are_found() {
    let found = with(reactions(), |history| {
        let b = user(history, "b");
        b.inbox[1] = reaction(2, "a", "a", true);
        b.inbox[2] = reaction(3, "a", "a", false);
    });
    assert!(found.contains(&Rule::Order) || found.contains(&Rule::Twice), "{found:?}");
    let swapped = with(recall(), |history| {
        let b = user(history, "b");
        b.inbox[2] = recalled(3, "a");
        b.inbox[3] = edited(4, "a", None);
    });
    assert!(swapped.contains(&Rule::Order), "{swapped:?}");
}

#[test]
fn what_nobody_asked_for_or_what_was_refused_is_found() {
    assert_eq!(with(recall(), |history| drop(history.changes.remove(0))), [Rule::Invented]);
    assert_eq!(with(reactions(), |history| history.changes[0].fate = Fate::Refused), [Rule::Invented]);
    let repeated = with(reactions(), |history| {
        history.changes[0].fate = Fate::Refused;
        history.changes[0].tries = 2;
    });
    assert_eq!(repeated, [], "the first try may have been taken");
    let other_text = with(edits(), |history| history.changes[1].what = edit("three"));
    assert!(other_text.contains(&Rule::Invented), "{other_text:?}");
    let of_a_stranger = with(edits(), |history| {
        history.changes[1].by = "b".into();
        history.changes[1].peer = "a".into();
    });
    assert!(of_a_stranger.contains(&Rule::Invented), "{of_a_stranger:?}");
}

#[test]
fn a_change_that_names_another_message_or_a_later_one_is_found() {
    for seq in [0, 2, 7] {
        let found = with(recall(), |history| {
            user(history, "b").inbox[3] = other(4, What::Recalled { peer: "a".into(), target: target(seq) });
        });
        assert_eq!(found, [Rule::Named], "{seq}");
    }
    let of_nothing = with(edits(), |history| {
        let b = user(history, "b");
        b.inbox.remove(0);
        b.conversations.clear();
        b.unread_total = 0;
        for kept in &mut b.inbox {
            if let What::Edited { target, .. } = &mut kept.entry.what {
                target.seq = 0;
            }
        }
        super::renumber(b);
        history.sendings[0].fate = Fate::Open;
    });
    assert_eq!(of_nothing, [Rule::Redacted], "an edit shows what the message never did");
    let before = with(recall(), |history| {
        let b = user(history, "b");
        b.inbox.swap(0, 1);
        super::renumber(b);
    });
    assert!(before.contains(&Rule::Named), "{before:?}");
}

#[test]
fn a_message_that_is_not_as_its_changes_left_it_is_found() {
    for uid in ["a", "b"] {
        let shown = with(recall(), |history| said(history, uid).text = "two".into());
        assert_eq!(shown, [Rule::Changed], "the recall left its text");
        assert_eq!(with(recall(), |history| said(history, uid).recalled = false), [Rule::Invented, Rule::Changed]);
        assert_eq!(with(edits(), |history| said(history, uid).text = "one".into()), [Rule::Changed]);
        assert_eq!(with(edits(), |history| said(history, uid).text = "text of m1".into()), [Rule::Changed]);
        assert_eq!(with(edits(), |history| said(history, uid).edited_time = 200), [Rule::Changed]);
        assert_eq!(with(reactions(), |history| said(history, uid).reactions.clear()), [Rule::Changed]);
        let kept = with(edits(), |history| {
            let peer = if uid == "a" { "b" } else { "a" };
            user(history, uid).inbox[1] = edited(2, peer, Some("one"));
        });
        assert_eq!(kept, [Rule::Redacted], "the first edit still says it");
        let after = with(recall(), |history| {
            let peer = if uid == "a" { "b" } else { "a" };
            user(history, uid).inbox[3] = recalled(4, peer);
            user(history, uid).inbox.push(edited(5, peer, None));
        });
        assert!(after.contains(&Rule::Changed), "{after:?}");
    }
}

#[test]
fn a_change_of_a_blocked_sender_may_be_missing_and_must_not_show() {
    let block = |history: &mut History, begin: u64| {
        let mut blocked = other(0, What::Blocked { peer: "a".into() });
        blocked.time = begin;
        user(history, "b").inbox.insert(1, blocked);
        super::renumber(user(history, "b"));
    };
    assert_eq!(with(edits(), |history| block(history, 150)), [Rule::Blocked]);
    assert_eq!(with(reactions(), |history| block(history, 150)), [Rule::Blocked]);
    let missing = with(edits(), |history| {
        user(history, "b").inbox.truncate(1);
        block(history, 150);
        (said(history, "b").text, said(history, "b").edited_time) = ("text of m1".into(), 0);
    });
    assert_eq!(missing, []);
    assert_eq!(with(only_recalled(), |history| block(history, 150)), [], "a recall takes something away");
    let not_recalled = with(only_recalled(), |history| {
        user(history, "b").inbox.truncate(1);
        block(history, 150);
        (said(history, "b").text, said(history, "b").recalled) = ("text of m1".into(), false);
    });
    assert_eq!(not_recalled, [Rule::Lost]);
}
