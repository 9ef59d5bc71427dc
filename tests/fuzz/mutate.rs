//! An input made of another one.

use crate::chance::Chance;

/// Longest input.
const INPUT_BYTES_MAX: usize = 4 * 1024;

/// Changes to one input.
const CHANGES_MAX: u64 = 6;

/// Bytes that begin or end something in one of the formats.
const BYTES: &[u8] = b"\x00\x01\x7f\x80\xff\xc0\xc2\xe0\xed\xf4\xf8\x0a\x0d\x20\"\\{}[]:,.-+eE0129=#";

/// Pieces that are wrong, or at a limit, in any format.
const PIECES: &[&[u8]] = &[
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\x00\x00\x00\x00",
    b"18446744073709551616",
    b"9007199254740993",
    b"-9223372036854775809",
    b"4294967296",
    b"1e400",
    b"\n",
];

/// One input of the corpus, changed.
pub fn mutated(chance: &mut Chance, corpus: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut input = chance.pick(corpus).clone();
    // Few changes are more likely than many: they get further.
    let most = chance.between(2, CHANGES_MAX + 2);
    for _ in 0..chance.between(1, most) {
        change(chance, &mut input, corpus, words);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn change(chance: &mut Chance, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]]) {
    let at = below(chance, input.len() + 1);
    let end = at + below(chance, input.len() - at + 1).min(32);
    match chance.between(0, 10) {
        0 if at < input.len() => input[at] ^= 1 << chance.between(0, 8),
        1 if at < input.len() => input[at] = *chance.pick(BYTES),
        2 => input.insert(at, u8::try_from(chance.between(0, 256)).unwrap_or_default()),
        3 => drop(input.drain(at..end)),
        4 => {
            let twice = input[at..end].repeat(2);
            insert(input, at, &twice);
        }
        5 => insert(input, at, PIECES[below(chance, PIECES.len())]),
        6 | 7 if !words.is_empty() => insert(input, at, words[below(chance, words.len())]),
        8 => {
            let other = chance.pick(corpus);
            let from = below(chance, other.len() + 1);
            let to = from + below(chance, other.len() - from + 1);
            input.splice(at..end, other[from..to].iter().copied());
        }
        9 if chance.once_in(4) => input.truncate(at),
        _ => insert(input, at, &[*chance.pick(BYTES)]),
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

fn below(chance: &mut Chance, end: usize) -> usize {
    usize::try_from(chance.between(0, end as u64)).unwrap_or_default()
}
