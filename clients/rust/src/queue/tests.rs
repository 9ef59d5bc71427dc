//! The queue on a disk: torn, damaged, in use, compacted and scrubbed.

use super::*;

fn send(number: u64) -> wire::Send {
    let id = MessageId::v7(tidings_schema::id::Millis::new(number), [7; 10]);
    wire::Send { message_id: id.to_string(), ..wire::Send::default() }
}

fn id(number: u64) -> MessageId {
    MessageId::v7(tidings_schema::id::Millis::new(number), [7; 10])
}

fn place(seq: u64) -> Place {
    let listed_upto = [("bob".to_owned(), Seq::new(seq + 1))].into();
    Place { log_id: Some(LogId::new([9; 16])), seq: Seq::new(seq), listed_upto }
}

#[test]
fn what_was_noted_is_there_after_a_restart_in_order() {
    let home = tempfile::tempdir().unwrap();
    let mut queue = FileQueue::open(home.path()).unwrap();
    for number in 1..=3 {
        queue.note(&Change::Add(Box::new(send(number)))).unwrap();
    }
    queue.note(&Change::Remove(id(2))).unwrap();
    queue.note(&Change::Place(place(5))).unwrap();
    queue.sync().unwrap();
    drop(queue);
    let kept = FileQueue::open(home.path()).unwrap().load().unwrap();
    assert_eq!(kept.sends, [send(1), send(3)]);
    assert_eq!(kept.place, Some(place(5)));
}

#[test]
fn a_log_cut_anywhere_keeps_every_whole_record_before_the_cut() {
    let mut log = Vec::new();
    let mut ends = vec![0];
    for number in 1..=3 {
        put(&record_of_send(&send(number)), &mut log);
        ends.push(log.len());
    }
    for cut in 0..=log.len() {
        let whole = ends.iter().filter(|&&end| end <= cut).count() - 1;
        let (kept, at) = replay(&log[..cut]);
        assert_eq!((kept.sends.len(), at), (whole, ends[whole]), "cut at {cut}");
    }
}

#[test]
fn a_torn_tail_is_cut_and_the_queue_goes_on_behind_it() {
    let home = tempfile::tempdir().unwrap();
    let mut queue = FileQueue::open(home.path()).unwrap();
    queue.note(&Change::Add(Box::new(send(1)))).unwrap();
    drop(queue);
    let path = home.path().join("queue.log");
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&[40, 0, 0, 0, 1, 2]).unwrap();
    let mut queue = FileQueue::open(home.path()).unwrap();
    queue.note(&Change::Add(Box::new(send(2)))).unwrap();
    drop(queue);
    assert_eq!(FileQueue::open(home.path()).unwrap().load().unwrap().sends, [send(1), send(2)]);
}

#[test]
fn a_directory_in_use_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let _first = FileQueue::open(home.path()).unwrap();
    assert!(matches!(FileQueue::open(home.path()), Err(QueueError::InUse(_))));
}

#[test]
fn what_a_message_said_is_gone_from_the_disk_once_it_is_taken_back_and_at_every_start() {
    let home = tempfile::tempdir().unwrap();
    let holds = |words: &[u8]| {
        let log = std::fs::read(home.path().join("queue.log")).unwrap();
        log.windows(words.len()).any(|part| part == words)
    };
    let with_words = |number| wire::Send { content: Some(crate::core::plain_text("regret")), ..send(number) };
    let mut queue = FileQueue::open(home.path()).unwrap();
    for round in [1, 3] {
        queue.note(&Change::Add(Box::new(with_words(round)))).unwrap();
        queue.note(&Change::Add(Box::new(send(round + 1)))).unwrap();
        queue.note(&Change::Remove(id(round))).unwrap();
        queue.sync().unwrap();
        assert!(holds(b"regret"));
        if round == 1 {
            queue.note(&Change::Scrub).unwrap();
            queue.sync().unwrap();
        } else {
            drop(queue);
            queue = FileQueue::open(home.path()).unwrap();
        }
        assert!(!holds(b"regret"), "round {round}");
    }
    assert_eq!(queue.load().unwrap().sends, [send(2), send(4)]);
}

#[test]
fn history_is_compacted_away_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let mut queue = FileQueue::open(home.path()).unwrap();
    queue.note(&Change::Add(Box::new(send(1)))).unwrap();
    for seq in 0..20_000 {
        queue.note(&Change::Place(place(seq))).unwrap();
    }
    drop(queue);
    assert!(std::fs::metadata(home.path().join("queue.log")).unwrap().len() <= COMPACT_ABOVE_BYTES);
    let kept = FileQueue::open(home.path()).unwrap().load().unwrap();
    assert_eq!((kept.sends, kept.place), (vec![send(1)], Some(place(19_999))));
}
