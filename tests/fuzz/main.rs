//! A million inputs, each wrong in another way, for everything that reads what comes from outside or from the disk.
//!
//! An input is one of the corpus (`tests/corpus/TARGET`, or made from the proto files) with some bytes changed. It follows
//! from the seed, the target and its number alone: `SEED=.. CASE=target:number` runs it again. With `KEEP=1`, inputs that
//! a decoder answers as it answered no other are added to the corpus.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails there")]

#[path = "../it/crash/chance.rs"]
mod chance;
mod corpus;
mod edge;
mod frames;
mod groups;
mod mutate;
mod rows;
#[path = "../it/samples.rs"]
mod samples;
mod target;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use chance::Chance;
use target::{Answer, Target, bounded};

/// Counts what is allocated. One test, so that one thread allocates.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Cases that all targets have together, at least.
const CASES_MIN: u64 = 1_000_000;

fn targets() -> Vec<Target> {
    [frames::targets(), groups::targets(), rows::targets(), edge::targets()].concat()
}

// The HTTP codec keeps its date in a task of its own, which needs a runtime.
#[actix::test]
async fn a_million_inputs_break_no_decoder() {
    bugs_are_found();
    let seed = Chance::seed();
    let targets = targets();
    let cases: u64 = targets.iter().map(|target| target.cases).sum();
    assert!(cases >= CASES_MIN, "{cases} cases");
    if let Ok(case) = std::env::var("CASE") {
        let (name, number) = case.split_once(':').expect("target:number");
        let target = targets.iter().find(|target| target.name == name).expect("a target of that name");
        target.run_one(seed, number.parse().unwrap());
        return;
    }
    println!("{:<18} {:>8} {:>8} {:>8} {:>9} {:>12}", "target", "corpus", "cases", "read", "answers", "largest");
    for target in &targets {
        let run = target.run(seed);
        println!(
            "{:<18} {:>8} {:>8} {:>8} {:>9} {:>6} x",
            target.name,
            run.corpus,
            target.cases,
            run.read,
            run.answers.len(),
            run.memory_factor
        );
        assert!(run.read > 0 && run.read < target.cases, "{}: {} inputs were right", target.name, run.read);
    }
    println!("{:<18} {:>8} {cases:>8}", "all", "");
}

/// A run that finds nothing proves nothing: decoders with a bug each.
fn bugs_are_found() {
    let buggy: [fn(&[u8]) -> Answer; 3] = [
        |input| bounded(input.len(), || Answer::Read(format!("{:?}", vec![0_u8; 1 << 20].last()))),
        |input| Answer::Read(format!("{}", input[2])),
        |input| Answer::Read(std::str::from_utf8(input).unwrap().to_owned()),
    ];
    for check in buggy {
        let target = Target { name: "buggy", cases: 10_000, born: || vec![b"four".to_vec()], words: &[], check };
        assert!(std::panic::catch_unwind(|| target.run(1)).is_err(), "a bug was not found");
    }
}
