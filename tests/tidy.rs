//! Keeps the rules that a machine can keep: who may import whom, and what may not stand in a file. Needs only std.
//!
//! Every rule is proved by a fixture that breaks it and one that does not.

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/whole.rs"]
mod whole;

use std::{collections::BTreeSet, fs, io, path::Path};

use imports::{Law, TABLE};
use rules::RULES;
use source::Source;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn repository() -> io::Result<Vec<Source>> {
    source::read_all(root(), ".rs")
}

/// `rule: path:line: why` for everything that breaks a rule.
fn broken(file: &Source) -> Vec<String> {
    let all = RULES.iter().flat_map(|rule| {
        let wrong = (rule.check)(file);
        wrong.into_iter().map(|(line, why)| format!("{}: {}:{line}: {why}", rule.name, file.path))
    });
    all.collect()
}

#[test]
fn every_file_keeps_every_rule() {
    let files = repository().unwrap();
    assert!(files.len() > 15, "the files were not found");
    let wrong: Vec<String> = files.iter().flat_map(broken).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_store_runs_the_conformance_suite() {
    assert_eq!(whole::stores_without_suite(&repository().unwrap()), Vec::<String>::new());
}

#[test]
fn every_error_code_is_documented() {
    let codes = fs::read_to_string(root().join("schema/src/error_code.rs")).unwrap();
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    assert!(whole::variants(&codes).len() > 20, "the codes were not found");
    assert_eq!(whole::undocumented_codes(&codes, &page), Vec::<String>::new());
}

/// (rule, path, text that breaks the rule, text that keeps it)
const FIXTURES: &[(&str, &str, &str, &str)] = &[
    ("promise", "src/a.rs", "use std::fmt;\n", "//! Promises something.\n"),
    ("promise", "build.rs", "", "//! Promises something.\n"),
    ("imports", "actors/state/src/a.rs", "use tokio::sync;", "use tidings_schema::id::Uid;"),
    ("imports", "actors/state/src/a.rs", "use std::{fmt, time::Duration};", "use std::{fmt, num};"),
    ("imports", "actors/state/src/a.rs", "fn f() { actix::spawn(x) }", "fn f() { let tokio = 1; }"),
    ("imports", "schema/src/a.rs", "use scylla::Session;", "use bytes::Bytes; use crate::wire; use wire::entry::Body;"),
    ("imports", "actors/src/a.rs", "fn f(s: tokio::net::TcpStream) {}", "use tokio::{sync, time}; // tokio::net"),
    ("imports", "actors/src/a.rs", "use tokio::{net::TcpStream, time};", "use actix::Actor;"),
    ("imports", "src/store/embedded/mod.rs", "use crate::{clock, link::Local};", "use crate::clock;"),
    ("imports", "src/store.rs", "use super::link;\nfn f() { super::link::g() }", "use super::clock::Now;"),
    ("imports", "src/bench/load.rs", "use crate::store::embedded;", "use tidings_client::Client;"),
    ("imports", "src/bench/store/mod.rs", "use fjall::Database;", "use crate::store::embedded;"),
    ("imports", "src/cli/chat.rs", "use tidings_actors::port;", "use tidings_client::Client;"),
    ("sleep in tests", "tests/a.rs", "fn f() { std::thread::sleep(d); }", "fn f() { \"sleep(1)\"; } // sleep(1)"),
    (
        "sleep in tests",
        "src/a.rs",
        "#[cfg(test)]\nmod tests {\n tokio::time::sleep(d).await;\n}",
        "fn f() { sleep(d).await }",
    ),
    (
        "sleep in tests",
        "src/a/tests.rs",
        "tokio::time::interval(d)",
        "tokio::time::advance(d).await; timeout(d, f).await;",
    ),
    ("sleep in tests", "tests/it/a.rs", "use tokio::time::sleep;", "use tokio::time::advance;"),
    ("polling in tests", "tests/a.rs", "loop { if done() { break; } yield_now().await; }", "loop { x.recv().await; }"),
    ("polling in tests", "tests/a.rs", "while rx.try_recv().is_err() {}", "assert!(rx.try_recv().is_err());"),
    ("do_send", "src/a.rs", "addr.do_send(X);", "addr.try_send(X); // do_send"),
    ("unbounded", "src/a.rs", "let (a, b) = mpsc::unbounded_channel();", "let (a, b) = mpsc::channel(LIMIT);"),
    ("unbounded", "src/a.rs", "futures::channel::mpsc::unbounded();", "oneshot::channel();"),
    ("unbounded", "src/a.rs", "std::sync::mpsc::channel();", "std::sync::mpsc::sync_channel(LIMIT);"),
    (
        "unbounded",
        "src/a.rs",
        "use std::sync::mpsc::channel;\nfn f() { channel() }",
        "fn f() { broadcast::channel(1) }",
    ),
    ("unbounded", "src/a.rs", "mpsc::channel::<u8>()", "mpsc::channel::<u8>(4)"),
    ("clock", "src/a.rs", "let now = Instant::now();", "let now = clock.now();"),
    ("clock", "actors/src/a.rs", "tokio::time::Instant::now()", "// Instant::now()"),
    ("clock", "tests/a.rs", "std::time::SystemTime::now()", "tokio::time::Instant::now()"),
    ("ignored test", "tests/a.rs", "#[test]\n#[ignore]\nfn f() {}", "#[test]\nfn f() {}"),
    ("ignored test", "tests/a.rs", "#[ignore = \"slow\"]", "let ignored = 1;"),
    ("unfinished", "src/a.rs", "fn f() { todo!() }", "fn f() { /* todo!() */ }"),
    ("unfinished", "src/a.rs", "fn f() { unimplemented!(\"x\") }", "fn f() { \"unimplemented!()\" }"),
    ("allow without reason", "src/a.rs", "#[allow(dead_code)]", "#[allow(dead_code, reason = \"x\")]"),
    ("allow without reason", "src/a.rs", "#![expect(\n    unused\n)]", "fn f() { g(x, allow(y)) }"),
    (
        "allow without reason",
        "src/a.rs",
        "#[cfg_attr(test, allow(unused))]",
        "#[cfg_attr(test, allow(unused, reason = \"x\"))]",
    ),
    ("file name", "src/utils.rs", "", ""),
    ("file name", "tests/it/common/mod.rs", "", ""),
    ("file name", "src/session_manager.rs", "", ""),
    ("async in state", "actors/state/src/a.rs", "async fn f() {}", "fn f() {} // async"),
    ("async in state", "actors/state/src/a.rs", "x.await", "#[cfg(test)]\nmod tests {\n async fn f() {}\n}"),
];

fn names(file: &Source) -> BTreeSet<&'static str> {
    RULES.iter().filter(|rule| !(rule.check)(file).is_empty()).map(|rule| rule.name).collect()
}

#[test]
fn a_fixture_that_breaks_a_rule_is_caught_and_one_that_keeps_it_is_not() {
    for (rule, path, bad, good) in FIXTURES {
        assert!(names(&Source::new(path, bad)).contains(rule), "{rule} misses {path}: {bad}");
        let path = if *rule == "file name" { "src/places.rs" } else { path };
        assert!(!names(&Source::new(path, good)).contains(rule), "{rule} refuses {path}: {good}");
    }
}

#[test]
fn every_rule_has_a_fixture() {
    let proved: BTreeSet<&str> = FIXTURES.iter().map(|fixture| fixture.0).collect();
    assert_eq!(proved, RULES.iter().map(|rule| rule.name).collect());
}

#[test]
fn every_ban_of_the_import_table_is_effective_in_every_form() {
    for row in TABLE {
        let Law::Never(never) = row.law else { continue };
        let path =
            if row.folder.ends_with('/') { format!("{}a.rs", row.folder) } else { format!("{}/a.rs", row.folder) };
        for no in never {
            for text in [format!("use {no}::X;"), format!("fn f() {{ {no}::x() }}"), format!("use {no}::{{X, Y}};")] {
                assert!(!imports::check(&Source::new(&path, &text)).is_empty(), "{path}: {text}");
            }
            let in_test = format!("#[cfg(test)]\nmod tests {{\n use {no}::X;\n}}\n");
            let only_never = TABLE.iter().filter(|other| other.folder == row.folder).count() == 1;
            assert!(!only_never || imports::check(&Source::new(&path, &in_test)).is_empty(), "{path}: {in_test}");
        }
    }
}

#[test]
fn a_store_without_a_suite_line_is_caught_and_a_decorator_needs_none() {
    let store = Source::new("src/store/x.rs", "impl Store for Disk {}\nimpl<S: Store> Store for Slow<S> {}\n");
    let named = Source::new("tests/a.rs", "use store::suite;\nuse x::Disk;\n");
    assert_eq!(whole::stores_without_suite(&[store, named]), ["Disk"]);
    let baseline = Source::new("src/bench/store/raw.rs", "impl Store for RawStore {}\n");
    assert!(whole::stores_without_suite(&[baseline]).is_empty());
    let store = Source::new("src/store/x.rs", "impl Store for Disk {}\n");
    let line = Source::new("tests/a.rs", "store_suite!(disk, || Disk::open(dir()));\n");
    assert!(whole::stores_without_suite(&[store, line]).is_empty());
}

#[test]
fn a_code_without_a_row_is_caught() {
    let codes = "    BadFrame = 1001,\n    Busy = 5003,\n";
    assert_eq!(whole::undocumented_codes(codes, "| 1001 | BadFrame | x |\n5003"), ["Busy"]);
}

#[test]
fn texts_and_comments_are_not_code() {
    let text = "a(\"b\\\"c\", r#\"d\"e\"#, '\"', 'f', &'g h, b\"i\"); /* j /* k */ l */ // m\nn";
    let code = Source::new("x.rs", text).code;
    assert_eq!(code.lines().count(), 2);
    for hidden in ['c', 'd', 'e', 'f', 'i', 'j', 'k', 'l', 'm'] {
        assert!(!code.contains(hidden), "{hidden} in {code}");
    }
    assert!(code.contains("'g h") && code.ends_with('n'), "{code}");
}
