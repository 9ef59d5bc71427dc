//! Tests of the window of recent sends.

use std::collections::HashMap;

use proptest::prelude::*;
use tidings_schema::{
    id::{IdError, Uid},
    record,
};

use super::*;
use crate::sent_window::{CHECKPOINT_NEWEST, KEEP_NEWEST, Lookup, SentWindow};

fn filled(sends: u64) -> SentWindow {
    let mut window = SentWindow::new();
    for send in 1..=sends {
        window.insert(id(send), hash(0), seq(send), at(send));
    }
    window
}

#[test]
fn what_was_never_sent_is_new() {
    assert_eq!(SentWindow::new().look_up(id(1), hash(0)), Lookup::New);
}

#[test]
fn a_repetition_gets_the_first_place() {
    assert_eq!(filled(3).look_up(id(2), hash(0)), Lookup::Duplicate { seq: seq(2), time: at(2) });
}

#[test]
fn an_id_with_another_payload_is_a_conflict() {
    assert_eq!(filled(3).look_up(id(2), hash(1)), Lookup::Conflict);
}

#[test]
fn the_same_id_of_a_system_sender_is_another_message() {
    let system: Uid = "@news".parse().unwrap();
    let mut window = filled(1);
    assert_eq!(window.look_up((Some(system.clone()), id(1)), hash(1)), Lookup::New);
    window.insert((Some(system.clone()), id(1)), hash(1), seq(2), at(2));
    assert_eq!(window.look_up((Some(system), id(1)), hash(1)), Lookup::Duplicate { seq: seq(2), time: at(2) });
    assert_eq!(window.look_up(id(1), hash(0)), Lookup::Duplicate { seq: seq(1), time: at(1) });
}

#[test]
fn nothing_above_the_checkpoint_falls_out() {
    let sends = KEEP_NEWEST as u64 + 500;
    let mut window = filled(sends);
    assert_eq!(window.len() as u64, sends);
    window.release(seq(sends));
    assert_eq!(window.len(), KEEP_NEWEST);
    assert_eq!(window.look_up(id(500), hash(0)), Lookup::Beyond);
    assert_eq!(window.look_up(id(501), hash(0)), Lookup::Duplicate { seq: seq(501), time: at(501) });
}

#[test]
fn a_window_that_is_not_complete_never_says_new() {
    let mut window = filled(KEEP_NEWEST as u64 + 1);
    assert_eq!(window.look_up(id(9_999), hash(0)), Lookup::New);
    window.release(seq(KEEP_NEWEST as u64 + 1));
    assert_eq!(window.look_up(id(9_999), hash(0)), Lookup::Beyond);
}

#[test]
fn a_checkpoint_carries_the_newest_up_to_its_place() {
    let newest = filled(300).newest(seq(250));
    assert_eq!(newest.len(), CHECKPOINT_NEWEST);
    assert_eq!((newest[0].seq, newest[CHECKPOINT_NEWEST - 1].seq), (151, 250));
}

#[test]
fn a_short_checkpoint_restores_to_a_complete_window_and_a_full_one_does_not() {
    let short = filled(CHECKPOINT_NEWEST as u64 - 1);
    let restored = SentWindow::restore(&short.newest(seq(99)), seq(99)).unwrap();
    assert_eq!(restored.look_up(id(9_999), hash(0)), Lookup::New);
    assert_eq!(restored.look_up(id(1), hash(0)), Lookup::Duplicate { seq: seq(1), time: at(1) });
    let full = filled(CHECKPOINT_NEWEST as u64);
    let restored = SentWindow::restore(&full.newest(seq(100)), seq(100)).unwrap();
    assert_eq!(restored.look_up(id(9_999), hash(0)), Lookup::Beyond);
}

#[test]
fn a_checkpoint_with_a_malformed_id_is_refused() {
    assert_eq!(SentWindow::restore(&[record::Sent::default()], seq(1)).unwrap_err(), IdError::NotUuid);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    /// Against a map of everything ever sent: the window may not know, but what it says is true, and it knows all that
    /// it promises to keep. Activations end at any moment and go on from the checkpoint and the rows above it.
    #[test]
    fn the_window_never_lies(
        steps in prop::collection::vec((1_u64..400, 0_u64..500, any::<bool>()), 1..20), probes in prop::collection::vec(0_u64..6_000, 30),
    ) {
        let (mut window, mut sent) = (SentWindow::new(), HashMap::new());
        let (mut last, mut checkpoint, mut carried) = (0, 0, Vec::new());
        for (sends, behind, restarts) in steps {
            for _ in 0..sends {
                last += 1;
                window.insert(id(last), hash(0), seq(last), at(last));
                sent.insert(last, last);
            }
            checkpoint = checkpoint.max(last.saturating_sub(behind));
            carried = if window.newest(seq(checkpoint)).is_empty() { carried } else { window.newest(seq(checkpoint)) };
            window.release(seq(checkpoint));
            prop_assert_eq!(carried.len() as u64, checkpoint.min(CHECKPOINT_NEWEST as u64));
            if restarts {
                window = SentWindow::restore(&carried, seq(checkpoint)).unwrap();
                for above in checkpoint + 1..=last {
                    window.insert(id(above), hash(0), seq(above), at(above));
                }
            }
            let kept = checkpoint.saturating_sub(CHECKPOINT_NEWEST as u64);
            for probe in probes.iter().copied() {
                let place = Lookup::Duplicate { seq: seq(probe), time: at(probe) };
                match window.look_up(id(probe), hash(0)) {
                    Lookup::New => prop_assert!(!sent.contains_key(&probe)),
                    Lookup::Beyond => prop_assert!(probe <= kept || probe > last),
                    found => prop_assert!(found == place && sent.contains_key(&probe)),
                }
            }
        }
    }
}
