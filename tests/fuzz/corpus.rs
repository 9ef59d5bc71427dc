//! The inputs that are kept: small files, one input each, in a folder for each target.

use std::{fs, path::PathBuf};

use xxhash_rust::xxh3::xxh3_64;

/// Inputs of one target that are kept at most, and bytes of each.
const INPUTS_MAX: usize = 24;
const INPUT_BYTES_MAX: usize = 512;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target)
}

/// In order of their names, so that a case is the same again.
pub fn read(target: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder(target)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Adds an input, if inputs are to be kept and there is room.
pub fn keep(target: &str, input: &[u8]) {
    if std::env::var_os("KEEP").is_none() || input.len() > INPUT_BYTES_MAX || read(target).len() >= INPUTS_MAX {
        return;
    }
    fs::create_dir_all(folder(target)).unwrap();
    fs::write(folder(target).join(format!("{:016x}", xxh3_64(input))), input).unwrap();
}
