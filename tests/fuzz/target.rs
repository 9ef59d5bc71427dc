//! One decoder under test: its inputs, what is asked of it, and what it answered.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use stats_alloc::Region;

use crate::{ALLOCATOR, chance::Chance, corpus, mutate};

/// A decoder may allocate so much for any input, and so much for each byte of it.
const MEMORY_BYTES: usize = 1024;
const MEMORY_PER_BYTE: usize = 96;

/// What a decoder made of an input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// It was right; says of what kind it was.
    Read(String),
    /// It was refused; says why.
    Refused(String),
}

#[derive(Clone)]
pub struct Target {
    pub name: &'static str,
    pub cases: u64,
    /// Inputs beside those of the corpus on disk.
    pub born: fn() -> Vec<Vec<u8>>,
    /// Pieces that mean something to this decoder.
    pub words: &'static [&'static [u8]],
    /// Reads an input and panics where a property does not hold.
    pub check: fn(&[u8]) -> Answer,
}

/// What became of a target.
#[derive(Default)]
pub struct Run {
    pub corpus: usize,
    pub read: u64,
    pub answers: BTreeSet<Answer>,
    /// Most bytes that one decoder allocated for one byte of input, above the fixed part.
    pub memory_factor: usize,
}

impl Target {
    /// All cases; the corpus itself first.
    pub fn run(&self, seed: u64) -> Run {
        let corpus = self.corpus();
        let mut run = Run { corpus: corpus.len(), ..Run::default() };
        for (number, input) in corpus.iter().enumerate() {
            self.note(&mut run, self.ask(input, &format!("corpus input {number}")));
        }
        let known = run.answers.clone();
        run.read = 0;
        for number in 0..self.cases {
            let input = self.input(&corpus, seed, number);
            let answer = self.ask(&input, &format!("SEED={seed} CASE={}:{number}", self.name));
            if !known.contains(&answer) && !run.answers.contains(&answer) {
                corpus::keep(self.name, &input);
            }
            self.note(&mut run, answer);
        }
        run.memory_factor = MEMORY_WORST.take();
        run
    }

    /// One case, shown.
    pub fn run_one(&self, seed: u64, number: u64) {
        let input = self.input(&self.corpus(), seed, number);
        println!("{} bytes: {}", input.len(), input.escape_ascii());
        println!("{:?}", self.ask(&input, "this case"));
    }

    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut inputs = corpus::read(self.name);
        inputs.extend((self.born)());
        assert!(!inputs.is_empty(), "{} has no corpus", self.name);
        inputs
    }

    fn input(&self, corpus: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
        let name = self.name.bytes().fold(seed, |mixed, byte| mixed.rotate_left(7) ^ u64::from(byte));
        let mut chance = Chance::new(name ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        mutate::mutated(&mut chance, corpus, self.words)
    }

    /// What is wrong says which input it was.
    fn ask(&self, input: &[u8], which: &str) -> Answer {
        let answer = catch_unwind(AssertUnwindSafe(|| (self.check)(input)));
        answer.unwrap_or_else(|panic| {
            println!("{}: {which}: {} bytes: {}", self.name, input.len(), input.escape_ascii());
            resume_unwind(panic)
        })
    }

    fn note(&self, run: &mut Run, answer: Answer) {
        run.read += u64::from(matches!(answer, Answer::Read(_)));
        run.answers.insert(answer);
    }
}

thread_local! {
    static MEMORY_WORST: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Decodes within the bound of memory for an input of so many bytes.
pub fn bounded<T>(input_bytes: usize, decode: impl FnOnce() -> T) -> T {
    let region = Region::new(ALLOCATOR);
    let decoded = decode();
    let bytes = region.change().bytes_allocated;
    let bound = MEMORY_BYTES + MEMORY_PER_BYTE * input_bytes;
    assert!(bytes <= bound, "{bytes} bytes were allocated for {input_bytes}");
    let factor = bytes.saturating_sub(MEMORY_BYTES) / input_bytes.max(1);
    MEMORY_WORST.set(MEMORY_WORST.get().max(factor));
    decoded
}

/// Why something was refused, without the numbers in it.
pub fn refused(why: impl std::fmt::Display) -> Answer {
    Answer::Refused(why.to_string().chars().filter(|c| !c.is_ascii_digit()).take(120).collect())
}
