//! The table of the run as a page of the documentation.

use std::{fmt::Write as _, fs, path::PathBuf};

use super::{
    Group,
    case::OWN,
    run::{Row, Verdict},
};

/// Offers of the groups that are not run.
pub const COMPRESSION_OFFERS: [&str; 5] = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=15",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=15, permessage-deflate",
];

/// Groups that are not run, and the cases in each.
const NOT_RUN: [(&str, &str); 12] = [
    ("12.1", "compression of JSON"),
    ("12.2", "compression of a picture"),
    ("12.3", "compression of a text"),
    ("12.4", "compression of HTML"),
    ("12.5", "compression of a PDF"),
    ("13.1", "compression, no parameters"),
    ("13.2", "compression, no context takeover"),
    ("13.3", "compression, window of 9 bits"),
    ("13.4", "compression, window of 15 bits"),
    ("13.5", "compression, no context takeover, window of 9 bits"),
    ("13.6", "compression, no context takeover, window of 15 bits"),
    ("13.7", "compression, several offers"),
];
const NOT_RUN_CASES: usize = 18;

const HEAD: &str = "\
# RFC 6455, case by case

Every case of the Autobahn test suite (crossbario/autobahn-testsuite 25.10.1, mode `fuzzingclient`: the server is tested), run
against the transport of tidings over a real socket, or named with its reason. This page is written by the test that runs them, which
fails when it is not what came:

```
cargo test --test it rfc6455 -- --nocapture            # runs them, prints this page, compares
WRITE_PAGE=1 cargo test --test it rfc6455              # writes it
```

The cases are in `tests/it/rfc6455`, written after the list; nothing of the suite is needed. The server is the handshake, the reader
and the writer of the product with an echo on top, and a limit of 16 MiB in place of 1 MiB. The judge is stricter than the suite's `OK`:
a code must come where the suite also takes a connection that is cut, an echo must be equal byte by byte and not only in length, 6.4 must
fail without seeing the rest of the message, and the server must end the stream, without a reset. A wait of the suite for some seconds is
a wait for an event here.

";

pub fn write(groups: &[Group], rows: &[(&str, Row)]) -> String {
    let mut page = HEAD.to_owned();
    counts(&mut page, groups, rows);
    for group in groups {
        let _ = write!(page, "\n## {} {}\n\n| case | sent | came |\n|---|---|---|\n", group.id, group.title);
        for (_, row) in rows.iter().filter(|(id, _)| *id == group.id) {
            let came = match &row.verdict {
                Verdict::Ok(came) => came.clone(),
                Verdict::Informational(came) => format!("{came} (informational: the RFC leaves it open)"),
                Verdict::Failed(why) => format!("**failed**: {why}"),
            };
            let _ = writeln!(page, "| {} | {} | {came} |", row.id, row.sent);
        }
    }
    not_run(&mut page);
    page
}

fn counts(page: &mut String, groups: &[Group], rows: &[(&str, Row)]) {
    page.push_str("| group | what | cases | ok | informational | failed | not run |\n|---|---|---|---|---|---|---|\n");
    let mut total = [0_usize; 3];
    for group in groups {
        let mut of = [0_usize; 3];
        for (_, row) in rows.iter().filter(|(id, _)| *id == group.id) {
            of[match row.verdict {
                Verdict::Ok(_) => 0,
                Verdict::Informational(_) => 1,
                Verdict::Failed(_) => 2,
            }] += 1;
        }
        let [ok, informational, failed] = of;
        let cases = group.cases.len();
        let _ = writeln!(page, "| {} | {} | {cases} | {ok} | {informational} | {failed} | 0 |", group.id, group.title);
        if group.id != OWN {
            total = std::array::from_fn(|at| total[at] + of[at]);
        }
    }
    for (id, title) in NOT_RUN {
        let _ = writeln!(page, "| {id} | {title} | {NOT_RUN_CASES} | 0 | 0 | 0 | {NOT_RUN_CASES} |");
    }
    let [ok, informational, failed] = total;
    let not_run = NOT_RUN.len() * NOT_RUN_CASES;
    let all = total.iter().sum::<usize>() + not_run;
    let _ = writeln!(page, "| all of the list | | {all} | {ok} | {informational} | {failed} | {not_run} |");
}

fn not_run(page: &mut String) {
    page.push_str(
        "\n## Not run\n\nAll of these compress messages. permessage-deflate is not offered: the bodies are small, and the memory of one \
         compressor per\nconnection is many times what a connection costs. A test offers it in every form and sees it declined.\n\n\
         | cases | reason |\n|---|---|\n",
    );
    for (id, title) in NOT_RUN {
        let _ = writeln!(page, "| {id}.1 to {id}.{NOT_RUN_CASES} ({title}) | permessage-deflate is not offered |");
    }
}

/// Holds the page of the documentation against this one, or writes it.
pub fn compare(page: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/rfc6455.md");
    if std::env::var_os("WRITE_PAGE").is_some() {
        fs::write(&path, page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let first = page.lines().zip(written.lines()).find(|(new, old)| new != old);
    assert!(page == written, "docs/rfc6455.md is not this run; the first line that differs: {first:?}");
}
