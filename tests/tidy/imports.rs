//! Who may name whom: the import table of the architecture, row by row.

use crate::source::Source;

/// A folder or crate and what its production code may not name.
pub struct Row {
    /// Beginning of the paths it is about.
    pub folder: &'static str,
    pub law: Law,
}

pub enum Law {
    /// First segments of paths that are allowed; any other crate is not.
    Only(&'static [&'static str]),
    /// Paths that are forbidden.
    Never(&'static [&'static str]),
}

/// The pure crates list what they may use; the others what they may never.
pub const TABLE: &[Row] = &[
    Row {
        folder: "schema/src/",
        law: Law::Only(&["prost", "serde", "serde_json", "base64", "uuid", "bytes", "thiserror", "xxhash_rust"]),
    },
    Row { folder: "schema/src/", law: Law::Never(&["std::net", "std::fs", "std::thread"]) },
    Row { folder: "actors/state/src/", law: Law::Only(&["tidings_schema", "thiserror", "bytes"]) },
    Row {
        folder: "actors/state/src/",
        law: Law::Never(&["std::time", "std::net", "std::fs", "std::thread", "std::sync"]),
    },
    Row {
        folder: "actors/src/",
        law: Law::Never(&[
            "scylla",
            "fjall",
            "actix_web",
            "actix_http",
            "actix_server",
            "tonic",
            "tidings",
            "tidings_client",
            "tokio::net",
            "tokio::fs",
            "std::net",
            "std::fs",
            "socket2",
            "jsonwebtoken",
            "clap",
            "toml",
        ]),
    },
    Row {
        folder: "src/store",
        law: Law::Never(&[
            "crate::link",
            "crate::transport",
            "crate::push",
            "crate::api",
            "crate::cli",
            "crate::bench",
            "crate::wiring",
            "tidings_state",
            "tidings_client",
            "actix_web",
            "actix_http",
            "actix_server",
        ]),
    },
    Row {
        folder: "src/link",
        law: Law::Never(&[
            "crate::store",
            "crate::transport",
            "crate::push",
            "crate::api",
            "crate::cli",
            "crate::bench",
            "crate::wiring",
            "tidings_state",
            "tidings_client",
            "fjall",
            "scylla",
            "actix_web",
        ]),
    },
    Row {
        folder: "src/transport",
        law: Law::Never(&[
            "crate::store",
            "crate::link",
            "crate::push",
            "crate::cli",
            "crate::bench",
            "crate::wiring",
            "crate::api",
            "tidings_state",
            "tidings_client",
            "fjall",
            "scylla",
        ]),
    },
    Row {
        folder: "src/push",
        law: Law::Never(&[
            "crate::store",
            "crate::link",
            "crate::transport",
            "crate::api",
            "crate::cli",
            "crate::bench",
            "crate::wiring",
            "tidings_state",
            "tidings_client",
            "fjall",
            "scylla",
        ]),
    },
    Row {
        folder: "src/api",
        law: Law::Never(&[
            "crate::store",
            "crate::link",
            "crate::transport",
            "crate::push",
            "crate::cli",
            "crate::bench",
            "crate::wiring",
            "tidings_state",
            "tidings_client",
            "fjall",
            "scylla",
        ]),
    },
    Row {
        folder: "clients/rust/src/",
        law: Law::Never(&[
            "tidings_actors",
            "tidings_state",
            "tidings",
            "actix",
            "actix_web",
            "actix_http",
            "fjall",
            "scylla",
        ]),
    },
    Row {
        folder: "src/cli",
        law: Law::Never(&[
            "tidings_actors",
            "tidings_state",
            "crate::store",
            "crate::link",
            "crate::transport",
            "crate::api",
            "fjall",
            "scylla",
        ]),
    },
    // Measures the store itself, below the public protocol that the other benches keep to; so it may name the store and its
    // port, and nothing more of the server.
    Row {
        folder: "src/bench/store",
        law: Law::Never(&[
            "tidings_state",
            "crate::link",
            "crate::transport",
            "crate::api",
            "crate::cli",
            "crate::wiring",
            "fjall",
            "scylla",
        ]),
    },
    Row {
        folder: "src/bench",
        law: Law::Never(&[
            "tidings_actors",
            "tidings_state",
            "crate::store",
            "crate::link",
            "crate::transport",
            "crate::api",
            "crate::wiring",
            "fjall",
            "scylla",
        ]),
    },
];

/// Words that begin a path without naming a crate.
const NO_CRATES: &[&str] = &["std", "core", "alloc", "crate", "self", "super"];

/// What a file names against the table. Rows of the innermost folder count; what an outer one says is for the rest of it.
pub fn check(file: &Source) -> Vec<(usize, String)> {
    let covering = || TABLE.iter().filter(|row| covers(row, &file.path));
    let innermost = covering().map(|row| row.folder.len()).max().unwrap_or_default();
    let rows = covering().filter(|row| row.folder.len() == innermost);
    let mut wrong = Vec::new();
    for row in rows {
        for (line, path) in paths(file) {
            let bad = match row.law {
                Law::Only(allowed) => is_foreign(file, &path, allowed),
                Law::Never(never) => never.iter().any(|no| path == *no || path.starts_with(&format!("{no}::"))),
            };
            if bad && !file.is_test(line) {
                wrong.push((line, format!("{} may not name {path}", row.folder)));
            }
        }
    }
    wrong
}

/// `src/store` is both the file `src/store.rs` and the folder.
fn covers(row: &Row, path: &str) -> bool {
    path.strip_prefix(row.folder).is_some_and(|rest| row.folder.ends_with('/') || rest.starts_with(['/', '.']))
}

/// Whether a path that stands in a `use` begins with a crate that is not allowed. Elsewhere a first segment may be a
/// local module or a type, so only imports tell.
fn is_foreign(file: &Source, path: &str, allowed: &[&str]) -> bool {
    let first = path.split("::").next().unwrap_or_default();
    let known = NO_CRATES.contains(&first) || allowed.contains(&first);
    let local = is_imported_name(file, first)
        || file.code.contains(&format!("mod {first};"))
        || file.code.contains(&format!("mod {first} "));
    let type_name = first.starts_with(|c: char| c.is_uppercase());
    let imported = file.code.contains(&format!("use {first}::"));
    !known && !local && !type_name && (imported || KNOWN_CRATES.contains(&first))
}

/// Whether a `use` brings this name into scope, so that a path beginning with it names no crate.
fn is_imported_name(file: &Source, name: &str) -> bool {
    let mut imports = file.code.split("use ").skip(1).filter_map(|rest| rest.split(';').next());
    imports.any(|import| import.split(|c: char| !c.is_alphanumeric() && c != '_').skip(1).any(|word| word == name))
}

/// Crates that are recognised when a path begins with them without an import.
const KNOWN_CRATES: &[&str] = &[
    "actix",
    "actix_rt",
    "tokio",
    "tracing",
    "metrics",
    "rand",
    "scylla",
    "fjall",
    "tidings_actors",
    "futures_util",
    "anyhow",
];

/// Every path of the file with its line; a group `a::{b, c::d}` is unfolded one level.
fn paths(file: &Source) -> Vec<(usize, String)> {
    let code = &file.code;
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(at) = code[rest..].find("::").map(|at| rest + at) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let start = code[..at].rfind(|c| !is_word(c)).map_or(0, |before| before + 1);
        let end = code[at..].find(|c| !is_word(c) && c != ':').map_or(code.len(), |end| at + end);
        let path = code[start..end].trim_end_matches(':').to_owned();
        let line = file.line_of(at);
        if code[end..].starts_with('{') {
            let group = &code[end + 1..crate::source::closing(code, end).max(end + 2) - 1];
            found.extend(members(group).into_iter().map(|member| (line, format!("{path}::{member}"))));
        }
        if !path.is_empty() && start < at {
            // Siblings are reached by `super` as well.
            let sibling = path.trim_start_matches("super::");
            if sibling != path {
                found.push((line, format!("crate::{sibling}")));
            }
            found.push((line, path));
        }
        rest = end.max(at + 2);
    }
    found
}

/// The members of a group, without what they are grouped over in turn.
fn members(group: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut flat = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 => flat.push(c),
            _ => {}
        }
    }
    flat.split(',').map(|member| member.trim().trim_end_matches(':').to_owned()).filter(|m| !m.is_empty()).collect()
}
