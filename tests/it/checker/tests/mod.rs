//! Bad histories that must be refused, one or more per rule, and a good one that must not.

mod changes;
mod deletions;
mod readings;

use super::{Connection, Entry, Fate, History, Kept, Message, Rule, Sending, Step, User, View, What, check};

fn message(seq: u64, id: &str, from: &str, peer: &str) -> Kept {
    let (id, from, peer, text) = (id.into(), from.into(), peer.into(), format!("text of {id}"));
    other(seq, What::Message(Message { id, from, peer, text, ..Message::default() }))
}

fn other(seq: u64, what: What) -> Kept {
    Kept { time: seq * 100, entry: Entry { seq, what } }
}

fn sent(id: &str, from: &str, to: &str, fate: Fate) -> Sending {
    let text = format!("text of {id}");
    Sending { id: id.into(), from: from.into(), device: "phone".into(), to: to.into(), text, fate }
}

fn view(peer: &str, unread: u64, last_read: u64) -> View {
    View { peer: peer.into(), unread, last_read, ..View::default() }
}

/// A asks, B reads it and answers, A says more.
fn good() -> History {
    let mut history = History {
        sendings: vec![
            sent("m1", "a", "b", Fate::Acked(1)),
            sent("m2", "b", "a", Fate::Acked(3)),
            sent("m3", "a", "b", Fate::Acked(3)),
        ],
        ..History::default()
    };
    let a = vec![message(1, "m1", "a", "b"), message(2, "m2", "b", "b"), message(3, "m3", "a", "b")];
    let read = other(2, What::Read { peer: "a".into(), upto: 1 });
    let b = vec![message(1, "m1", "a", "a"), read, message(3, "m2", "b", "a"), message(4, "m3", "a", "a")];
    history.users.insert(
        "a".into(),
        User { inbox: a, conversations: vec![view("b", 1, 0)], unread_total: 1, ..User::default() },
    );
    history.users.insert(
        "b".into(),
        User { inbox: b, conversations: vec![view("a", 1, 1)], unread_total: 1, ..User::default() },
    );
    history
}

/// Lets the lists show what is the newest message in each inbox.
fn show_newest(history: &mut History) {
    for user in history.users.values_mut() {
        for view in &mut user.conversations {
            let newest = user.inbox.iter().rev().find(|kept| match &kept.entry.what {
                What::Message(message) => message.peer == view.peer,
                _ => false,
            });
            view.last = newest.cloned();
        }
    }
}

fn user<'a>(history: &'a mut History, uid: &str) -> &'a mut User {
    history.users.get_mut(uid).unwrap()
}

/// Renumbers, so that one rule at a time is broken.
fn renumber(user: &mut User) {
    for (kept, seq) in user.inbox.iter_mut().zip(1..) {
        kept.entry.seq = seq;
    }
}

fn rules(history: &History) -> Vec<Rule> {
    let mut history = history.clone();
    show_newest(&mut history);
    judged(&history)
}

/// The rules that the history breaks as it is.
fn judged(history: &History) -> Vec<Rule> {
    let mut rules: Vec<Rule> = check(history).into_iter().map(|violation| violation.rule).collect();
    rules.dedup();
    rules
}

/// Breaks a good history and returns which rules that breaks.
fn broken(how: impl FnOnce(&mut History)) -> Vec<Rule> {
    let mut history = good();
    how(&mut history);
    rules(&history)
}

#[test]
fn a_good_history_passes() {
    assert_eq!(rules(&good()), []);
}

#[test]
fn a_hole_in_an_inbox_is_found() {
    let found = broken(|history| user(history, "b").inbox[3].entry.seq = 5);
    assert_eq!(found, [Rule::Contiguous]);
}

#[test]
fn an_acked_message_that_is_missing_is_found_on_either_side() {
    let at_recipient = broken(|history| {
        user(history, "b").inbox.pop();
        user(history, "b").conversations[0].unread = 0;
        user(history, "b").unread_total = 0;
    });
    assert_eq!(at_recipient, [Rule::Lost]);
    assert_eq!(broken(|history| drop(user(history, "a").inbox.pop())), [Rule::Lost]);
    assert_eq!(broken(|history| history.sendings[2].fate = Fate::Acked(2)), [Rule::Lost]);
}

#[test]
fn a_message_without_an_answer_may_be_there_or_not() {
    assert_eq!(broken(|history| history.sendings[2].fate = Fate::Open), []);
    let nowhere = broken(|history| history.sendings.push(sent("m4", "a", "b", Fate::Open)));
    assert_eq!(nowhere, []);
}

#[test]
fn a_message_that_is_there_twice_is_found() {
    let found = broken(|history| {
        user(history, "b").inbox.push(message(5, "m3", "a", "a"));
        user(history, "b").conversations[0].unread = 2;
        user(history, "b").unread_total = 2;
    });
    assert_eq!(found, [Rule::Twice]);
}

#[test]
fn messages_in_another_order_than_sent_are_found() {
    let found = broken(|history| {
        history.sendings[0].fate = Fate::Acked(2);
        history.sendings.swap(0, 2);
        history.sendings[0].fate = Fate::Acked(1);
        let a = user(history, "a");
        a.inbox = vec![message(1, "m3", "a", "b"), message(2, "m1", "a", "b"), message(3, "m2", "b", "b")];
    });
    assert_eq!(found, [Rule::Order]);
    let handed_over = broken(|history| history.sendings.swap(0, 2));
    assert_eq!(handed_over, [Rule::Order]);
}

#[test]
fn an_answer_before_what_it_answers_is_found() {
    // B's answer m2 is before the m1 it answers, at A.
    let found = broken(|history| {
        let a = user(history, "a");
        a.inbox.swap(0, 1);
        renumber(a);
        history.sendings[0].fate = Fate::Acked(2);
    });
    assert_eq!(found, [Rule::Order]);
}

#[test]
fn what_no_one_sent_or_what_was_refused_is_found() {
    assert_eq!(broken(|history| drop(history.sendings.pop())), [Rule::Invented]);
    assert_eq!(broken(|history| history.sendings[2].fate = Fate::Refused), [Rule::Invented]);
    let said_else = broken(|history| history.sendings[2].text = "else".into());
    assert_eq!(said_else, [Rule::Invented, Rule::Changed]);
}

/// B blocked A from 2 to 4 and has `m` of that time, or not.
fn with_block(shown: Option<Kept>) -> History {
    let mut history = History { sendings: vec![sent("m", "a", "b", Fate::Acked(1))], ..History::default() };
    let mut mine = message(1, "m", "a", "b");
    mine.time = 300;
    let mut b = vec![other(1, What::Blocked { peer: "a".into() }), other(2, What::Unblocked { peer: "a".into() })];
    (b[0].time, b[1].time) = (200, 400);
    let shows = shown.is_some();
    b.extend(shown);
    history
        .users
        .insert("a".into(), User { inbox: vec![mine], conversations: vec![view("b", 0, 0)], ..User::default() });
    let conversations = if shows { vec![view("a", 1, 0)] } else { Vec::new() };
    history
        .users
        .insert("b".into(), User { inbox: b, conversations, unread_total: u64::from(shows), ..User::default() });
    history
}

#[test]
fn what_was_blocked_may_be_missing_and_must_not_show() {
    assert_eq!(rules(&with_block(None)), []);
    let mut shown = message(3, "m", "a", "a");
    shown.time = 300;
    assert_eq!(rules(&with_block(Some(shown))), [Rule::Blocked]);
    let mut late = with_block(None);
    user(&mut late, "a").inbox[0].time = 500;
    assert_eq!(rules(&late), [Rule::Lost]);
}

#[test]
fn unread_counts_that_are_wrong_are_found() {
    assert_eq!(broken(|history| user(history, "b").conversations[0].unread = 2), [Rule::Unread]);
    assert_eq!(broken(|history| user(history, "b").conversations[0].last_read = 0), [Rule::Unread]);
    assert_eq!(broken(|history| user(history, "b").unread_total = 0), [Rule::Unread]);
    assert_eq!(broken(|history| user(history, "b").conversations.clear()), [Rule::Unread]);
}

/// What a device of A saw, as lives of seqs.
fn saw(lives: &[&[u64]]) -> Vec<Rule> {
    broken(|history| {
        let a = user(history, "a");
        let entry = |seq: &u64| a.inbox[usize::try_from(seq - 1).unwrap()].entry.clone();
        let lives = lives.iter().map(|life| life.iter().map(entry).collect()).collect();
        a.streams.insert("phone".into(), lives);
    })
}

#[test]
fn a_device_that_saw_something_else_than_the_inbox_is_found() {
    assert_eq!(saw(&[&[1, 2, 3]]), []);
    assert_eq!(saw(&[&[1, 2], &[2, 3]]), []);
    assert_eq!(saw(&[&[1], &[], &[2, 3]]), []);
    for wrong in [&[&[1, 3][..]][..], &[&[1, 2, 2, 3]], &[&[2, 1, 3]], &[&[1], &[3]], &[&[1, 2]]] {
        assert_eq!(saw(wrong), [Rule::Stream], "{wrong:?}");
    }
    let lost = broken(|history| {
        let mut entry = message(3, "m3", "a", "b").entry;
        entry.what = What::Nothing;
        user(history, "a").streams.insert("phone".into(), vec![vec![entry]]);
    });
    assert_eq!(lost, [Rule::Stream]);
}

/// A device that began at 0 and acknowledged 5 at `at_ms`; then it comes back after `place`.
fn came_back(at_ms: u64, life: usize, place: u64, steps: Vec<Step>) -> Vec<Rule> {
    broken(|history| {
        history.cursor_flush_ms = 1_000;
        history.deaths = vec![20_000];
        let device = Connection { uid: "a".into(), device: "watch".into(), ..Connection::default() };
        let pushed = (1..=8).map(|seq| Step::Pushed { seq, redelivery: false });
        let first = pushed.chain([Step::Acked { seq: 5, at_ms }]).collect();
        history.connections.push(Connection { steps: first, ..device.clone() });
        history.connections.push(Connection { life, opened_ms: 30_000, resume_after: place, steps, ..device });
    })
}

#[test]
fn a_device_that_goes_on_elsewhere_than_it_acknowledged_is_found() {
    assert_eq!(came_back(1_000, 1, 5, Vec::new()), []);
    assert_eq!(came_back(19_000, 1, 0, Vec::new()), [], "the ack was too young to survive the kill");
    assert_eq!(came_back(1_000, 1, 8, Vec::new()), [Rule::Cursor], "pushed is not acknowledged");
    assert_eq!(came_back(1_000, 1, 4, Vec::new()), [Rule::Cursor], "the ack was old enough");
    assert_eq!(came_back(19_000, 0, 4, Vec::new()), [Rule::Cursor], "nothing was killed");
}

#[test]
fn a_device_that_is_pushed_a_hole_or_what_it_acknowledged_is_found() {
    let pushed = |seq, redelivery| Step::Pushed { seq, redelivery };
    let acked = Step::Acked { seq: 6, at_ms: 31_000 };
    assert_eq!(came_back(1_000, 1, 5, vec![pushed(6, false), pushed(6, true), acked, pushed(7, false)]), []);
    assert_eq!(came_back(1_000, 1, 5, vec![pushed(7, false)]), [Rule::Cursor]);
    assert_eq!(came_back(1_000, 1, 5, vec![pushed(6, false), pushed(6, false)]), [Rule::Cursor]);
    assert_eq!(came_back(1_000, 1, 5, vec![pushed(6, false), acked, pushed(6, true)]), [Rule::Cursor]);
}
