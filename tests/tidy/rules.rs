//! The rules that concern one file each. A rule gets the file and says which lines break it, and why.

use crate::{
    imports,
    source::{Source, closing},
};

/// A rule and the name it is reported under.
pub struct Rule {
    pub name: &'static str,
    pub check: fn(&Source) -> Vec<(usize, String)>,
}

pub const RULES: &[Rule] = &[
    Rule { name: "promise", check: promise },
    Rule { name: "imports", check: imports::check },
    Rule { name: "sleep in tests", check: sleep_in_tests },
    Rule { name: "polling in tests", check: polling_in_tests },
    Rule { name: "do_send", check: unoffered },
    Rule { name: "unbounded", check: endless_queue },
    Rule { name: "clock", check: clock },
    Rule { name: "ignored test", check: ignored },
    Rule { name: "unfinished", check: unfinished },
    Rule { name: "allow without reason", check: allow_without_reason },
    Rule { name: "file name", check: file_name },
    Rule { name: "async in state", check: async_in_state },
];

fn has_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_word) && !line[at + word.len()..].starts_with(is_word))
}

fn find(file: &Source, why: &str, hit: impl Fn(usize, &str) -> bool) -> Vec<(usize, String)> {
    file.lines().filter(|(number, line)| hit(*number, line)).map(|(number, _)| (number, why.to_owned())).collect()
}

fn promise(file: &Source) -> Vec<(usize, String)> {
    let opens = file.text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 8);
    if opens { Vec::new() } else { vec![(1, "a file opens with `//!` and what it promises".into())] }
}

fn sleep_in_tests(file: &Source) -> Vec<(usize, String)> {
    const BANNED: [&str; 5] = ["sleep", "sleep_until", "sleep_ms", "park_timeout", "interval"];
    find(file, "a test waits for an event or advances time; it does not sleep", |number, line| {
        let sleeps = BANNED.iter().any(|word| has_word(line, word) && line.contains(&format!("{word}(")));
        file.is_test(number) && (sleeps || line.contains("::sleep;"))
    })
}

fn polling_in_tests(file: &Source) -> Vec<(usize, String)> {
    let mut wrong = Vec::new();
    for keyword in ["loop", "while"] {
        for (at, _) in file.code.match_indices(keyword) {
            let number = file.line_of(at);
            let Some(open) = file.code[at..].find('{').map(|open| at + open) else { continue };
            let body = &file.code[at..closing(&file.code, open)];
            let line = file.code.lines().nth(number - 1).unwrap_or_default();
            let polls = ["yield_now", "spin_loop", "try_recv"].iter().any(|word| has_word(body, word));
            if polls && has_word(line, keyword) && file.is_test(number) {
                wrong.push((number, "a test waits for an event; it does not ask again and again".into()));
            }
        }
    }
    wrong
}

fn unoffered(file: &Source) -> Vec<(usize, String)> {
    find(file, "do_send ignores the queue's bound; use offer()", |_, line| has_word(line, "do_send"))
}

fn endless_queue(file: &Source) -> Vec<(usize, String)> {
    const BANNED: [&str; 4] = ["unbounded_channel", "unbounded", "UnboundedSender", "UnboundedReceiver"];
    let std_mpsc = file.code.contains("std::sync::mpsc") || file.code.contains("sync::{mpsc");
    find(file, "every queue has a bound", |_, line| {
        let named = BANNED.iter().any(|word| has_word(line, word));
        // tokio's `mpsc::channel(n)` names a bound; `mpsc::channel()` of std has none. A oneshot holds one value.
        let std_channel = line.contains("mpsc::channel()") || line.contains("mpsc::channel::<") && line.contains(">()");
        named
            || std_channel
            || std_mpsc && has_word(line, "channel") && line.contains("channel()") && !line.contains("oneshot")
    })
}

fn clock(file: &Source) -> Vec<(usize, String)> {
    // Under paused time tokio's clock is the test's own; the doubles of the tests may read it.
    let doubles = file.path.contains("/testkit/");
    find(file, "only src/clock.rs reads a clock", |number, line| {
        let line = if doubles || file.is_test(number) {
            line.replace("tokio::time::Instant::now", "")
        } else {
            line.to_owned()
        };
        let reads =
            line.contains("Instant::now") || line.contains("SystemTime::now") || line.contains("UNIX_EPOCH.elapsed");
        // The client is a library of its own and has its own.
        reads && file.path != "src/clock.rs" && file.path != "clients/rust/src/clock.rs"
    })
}

fn ignored(file: &Source) -> Vec<(usize, String)> {
    find(file, "a test runs or is deleted", |_, line| line.contains("#[ignore") || line.contains(", ignore"))
}

fn unfinished(file: &Source) -> Vec<(usize, String)> {
    find(file, "what is here is finished", |_, line| has_word(line, "todo!") || has_word(line, "unimplemented!"))
}

fn allow_without_reason(file: &Source) -> Vec<(usize, String)> {
    let mut wrong = Vec::new();
    for mark in ["[allow(", "[expect(", ", allow(", ", expect("] {
        for (at, _) in file.code.match_indices(mark) {
            let attribute = &file.code[at..closing(&file.code, at + mark.len() - 1)];
            let line = file.code[..at].rsplit('\n').next().unwrap_or_default();
            let is_attribute = line.trim_start().starts_with('#') || mark.starts_with('[');
            if is_attribute && !has_word(attribute, "reason") {
                wrong.push((file.line_of(at), "an exception from a lint says its reason".into()));
            }
        }
    }
    wrong
}

fn file_name(file: &Source) -> Vec<(usize, String)> {
    const BANNED: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];
    let words = file.path.trim_end_matches(".rs").split(['/', '_']);
    let bad: Vec<&str> = words.filter(|word| BANNED.contains(word)).collect();
    bad.into_iter().map(|word| (1, format!("`{word}` says a role, not a meaning"))).collect()
}

fn async_in_state(file: &Source) -> Vec<(usize, String)> {
    let pure = file.path.starts_with("actors/state/src/");
    find(file, "a state machine does not wait", |number, line| {
        pure && !file.is_test(number) && (has_word(line, "async") || line.contains(".await"))
    })
}
