//! The rules that concern several files at once: every store runs the suite, every error code is documented.

use crate::source::{Source, closing};

/// Stores without a line of the conformance suite. A store is a type that implements the port without being generic
/// over another one (a generic one is a decorator); its line is a call of something named `suite` that names the type.
/// What a bench compares stores with is none: a server never runs on it.
pub fn stores_without_suite(files: &[Source]) -> Vec<String> {
    let stores = files.iter().filter(|file| !file.path.starts_with("src/bench/")).flat_map(store_types);
    stores.filter(|store| !files.iter().any(|file| runs_suite(file, store))).collect()
}

fn store_types(file: &Source) -> Vec<String> {
    let production = file.lines().filter(|(number, _)| !file.is_test(*number));
    production
        .filter_map(|(_, line)| line.trim().strip_prefix("impl Store for "))
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned())
        .collect()
}

fn runs_suite(file: &Source, store: &str) -> bool {
    file.code.match_indices("suite").any(|(at, _)| {
        let Some(open) = file.code[at..].find(['(', '{', ';']).map(|open| at + open) else { return false };
        let call = &file.code[at..closing(&file.code, open)];
        !file.code[open..].starts_with(';')
            && call.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == store)
    })
}

/// Error codes whose number and name are no row of the page.
pub fn undocumented_codes(codes: &str, page: &str) -> Vec<String> {
    variants(codes)
        .into_iter()
        .filter(|(name, number)| !page.contains(&format!("| {number} | {name} |")))
        .map(|(name, _)| name)
        .collect()
}

/// `Name = 1234,` lines of the enum.
pub fn variants(codes: &str) -> Vec<(String, String)> {
    let lines = codes.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
    let numbered = lines.filter(|(_, number)| number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit()));
    numbered.map(|(name, number)| (name.to_owned(), number.to_owned())).collect()
}
