//! Histories in which a user deleted messages for itself, and set how a conversation is shown.

use super::{
    super::{Asked, Change, Fate, History, Path, Reading, Rule, Setting, Sighting, What},
    View, good, judged, other, show_newest, user,
};

fn asked(what: Asked, seq: u64) -> Change {
    Change { by: "a".into(), peer: "b".into(), what, tries: 1, fate: Fate::Acked(seq), answered: 10 }
}

fn deleted(seqs: &[u64], upto: u64, whole: bool) -> What {
    What::Deleted { peer: "b".into(), seqs: seqs.to_vec(), upto, whole }
}

/// A good history in which A asked for this and it became that; the history A reads has what is left.
fn after(what: Asked, made: What) -> History {
    let mut history = good();
    show_newest(&mut history);
    history.changes.push(asked(what, 4));
    let a = user(&mut history, "a");
    let gone = |seq: u64| match &made {
        What::Deleted { seqs, upto, .. } => seqs.contains(&seq) || seq <= *upto,
        _ => false,
    };
    let left: Vec<_> = a.inbox.iter().rev().filter(|kept| !gone(kept.entry.seq)).cloned().collect();
    let view = &mut a.conversations[0];
    view.last = left.first().cloned();
    a.histories.insert("b".into(), left);
    match &made {
        What::Deleted { seqs, upto, whole, .. } => {
            view.deleted = seqs.iter().map(|seq| (*seq, *seq)).chain((*upto > 0).then_some((1, *upto))).collect();
            view.last_read = *upto;
            if *upto > 1 {
                view.unread = 0;
                a.unread_total = 0;
            }
            if *whole {
                a.conversations.clear();
            }
        }
        What::Set { shown, .. } => {
            view.shown = *shown;
            if shown.muted {
                a.unread_total = 0;
            }
        }
        _ => {}
    }
    a.inbox.push(other(4, made));
    history
}

/// The newest message, which is A's own, is gone.
fn one() -> History {
    after(Asked::Delete { seqs: vec![3], upto: 0 }, deleted(&[3], 0, false))
}

fn upto() -> History {
    after(Asked::Delete { seqs: vec![], upto: 2 }, deleted(&[], 2, false))
}

fn all() -> History {
    after(Asked::DeleteAll, deleted(&[], 3, true))
}

fn muted() -> History {
    let shown = Setting { pinned: false, muted: true };
    after(Asked::Set { pinned: None, muted: Some(true) }, What::Set { peer: "b".into(), shown })
}

fn with(mut history: History, how: impl FnOnce(&mut History)) -> Vec<Rule> {
    how(&mut history);
    judged(&history)
}

#[test]
fn good_histories_of_deletions_and_settings_pass() {
    for good in [one(), upto(), all(), muted()] {
        assert_eq!(judged(&good), []);
    }
}

#[test]
fn a_deletion_or_a_setting_that_is_missing_or_invented_is_found() {
    for good in [one(), upto(), all(), muted()] {
        let missing = with(good.clone(), |history| drop(user(history, "a").inbox.pop()));
        assert!(missing.contains(&Rule::Lost), "{missing:?}");
        assert_eq!(with(good.clone(), |history| history.changes.clear()), [Rule::Invented]);
        assert_eq!(with(good, |history| history.changes[0].fate = Fate::Refused), [Rule::Invented]);
    }
    let other_seq = with(one(), |history| history.changes[0].what = Asked::Delete { seqs: vec![2], upto: 0 });
    assert_eq!(other_seq, [Rule::Lost, Rule::Invented]);
}

#[test]
fn a_deleted_message_that_history_or_list_shows_is_found() {
    for good in [one(), upto()] {
        let in_history = with(good.clone(), |history| {
            let a = user(history, "a");
            let all = a.inbox[..3].iter().rev().cloned().collect();
            a.histories.insert("b".into(), all);
        });
        assert_eq!(in_history, [Rule::Shown]);
        assert_eq!(with(good, |history| user(history, "a").conversations[0].deleted.clear()), [Rule::Shown]);
    }
    let in_list = with(one(), |history| {
        let a = user(history, "a");
        a.conversations[0].last = Some(a.inbox[2].clone());
    });
    assert_eq!(in_list, [Rule::Shown]);
    let listed = with(all(), |history| {
        let view = View { peer: "b".into(), last_read: 3, deleted: vec![(1, 3)], ..View::default() };
        user(history, "a").conversations.push(view);
    });
    assert_eq!(listed, [Rule::Shown]);
}

#[test]
fn a_message_that_nobody_deleted_and_that_is_not_shown_is_found() {
    let short = with(one(), |history| drop(user(history, "a").histories.get_mut("b").unwrap().pop()));
    assert_eq!(short, [Rule::Shown]);
    assert_eq!(with(one(), |history| user(history, "a").conversations[0].last = None), [Rule::Shown]);
    let too_much = with(one(), |history| user(history, "a").conversations[0].deleted.push((2, 2)));
    assert_eq!(too_much, [Rule::Shown]);
}

#[test]
fn a_deletion_moves_the_read_marker_only_with_upto() {
    let unread = with(upto(), |history| user(history, "a").conversations[0].unread = 1);
    assert_eq!(unread, [Rule::Unread]);
    let single = with(after(Asked::Delete { seqs: vec![2], upto: 0 }, deleted(&[2], 0, false)), |history| {
        user(history, "a").conversations[0].unread = 0;
        user(history, "a").unread_total = 0;
    });
    assert_eq!(single, [Rule::Unread]);
}

#[test]
fn a_deleted_message_may_be_read_only_by_who_does_not_know() {
    let reads = |asked, path, sighting: Option<u64>| {
        with(one(), |history| {
            history.changes[0].answered = if sighting.is_some() { 1_000 } else { 10 };
            history.sightings.extend(sighting.map(|moment| Sighting { uid: "a".into(), seq: 4, moment }));
            let What::Message(message) = user(history, "a").inbox[2].entry.what.clone() else { panic!() };
            history.readings.push(Reading { uid: "a".into(), asked, path, seq: 3, message });
        })
    };
    assert_eq!(reads(10, Path::History, None), []);
    assert_eq!(reads(11, Path::History, None), [Rule::Shown]);
    assert_eq!(reads(11, Path::List, None), [Rule::Shown]);
    assert_eq!(reads(11, Path::Sync, None), [], "the inbox keeps it");
    assert_eq!(reads(20, Path::History, Some(20)), []);
    assert_eq!(reads(21, Path::History, Some(20)), [Rule::Shown]);
}

#[test]
fn a_conversation_that_is_not_shown_as_was_set_is_found() {
    let loud = with(muted(), |history| user(history, "a").unread_total = 1);
    assert_eq!(loud, [Rule::Unread]);
    let forgotten = with(muted(), |history| user(history, "a").conversations[0].shown = Setting::default());
    assert_eq!(forgotten, [Rule::Setting]);
    let nothing_new = with(muted(), |history| {
        let shown = Setting { pinned: false, muted: true };
        user(history, "a").inbox.push(other(5, What::Set { peer: "b".into(), shown }));
        history.changes[0].fate = Fate::Open;
    });
    assert_eq!(nothing_new, [Rule::Twice]);
}
