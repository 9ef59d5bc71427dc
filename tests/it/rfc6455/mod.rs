//! RFC 6455 as the case list of the Autobahn test suite (crossbario/autobahn-testsuite 25.10.1) asks for it: every case
//! is run against the transport over a real socket, or named with its reason. docs/rfc6455.md is the table of the run.
//!
//! The cases are ours, written after the list; nothing of the suite is needed to run them.

mod case;
mod closing;
mod echo;
mod fragments;
mod framing;
mod limits;
mod page;
mod peer;
mod reserved;
mod run;
mod utf8;

use case::Group;
use echo::Echo;
use peer::{Peer, Seen};
use run::Verdict;

/// Cases that must be run at least.
const RUN_MIN: usize = 300;

/// Every group of the list that is run.
fn groups() -> Vec<Group> {
    [framing::groups(), reserved::groups(), fragments::groups(), utf8::groups(), closing::groups(), limits::groups()]
        .concat()
}

#[tokio::test]
async fn the_whole_case_list_is_run_or_named() {
    let echo = Echo::start();
    let address = echo.address();
    // The groups run side by side: most of their time is waiting for the other side.
    let running: Vec<_> = groups().into_iter().map(|group| tokio::spawn(run::run_all(address, group))).collect();
    let mut rows = Vec::new();
    for group in running {
        rows.extend(group.await.unwrap());
    }
    echo.stop().await;
    let ids: std::collections::BTreeSet<&str> = rows.iter().map(|(_, row)| row.id.as_str()).collect();
    assert_eq!(ids.len(), rows.len(), "an id stands for one case");
    assert!(rows.len() >= RUN_MIN, "{} cases", rows.len());
    let page = page::write(&groups(), &rows);
    println!("{page}");
    let failed: Vec<String> = rows
        .iter()
        .filter_map(|(_, row)| match &row.verdict {
            Verdict::Failed(why) => Some(format!("{}: {why}", row.id)),
            Verdict::Ok(_) | Verdict::Informational(_) => None,
        })
        .collect();
    assert_eq!(failed, Vec::<String>::new());
    page::compare(&page);
}

#[tokio::test]
async fn a_checker_of_cases_that_finds_nothing_proves_nothing() {
    let echo = Echo::start();
    for wrong in run::wrong_expectations() {
        let row = run::run(echo.address(), &wrong).await;
        assert!(matches!(row.verdict, Verdict::Failed(_)), "{}: {:?}", row.id, row.verdict);
    }
    echo.stop().await;
}

#[tokio::test]
async fn compression_is_offered_and_declined() {
    let echo = Echo::start();
    for offer in page::COMPRESSION_OFFERS {
        let header = format!("sec-websocket-extensions: {offer}\r\n");
        let (mut peer, head) = Peer::connect_with(echo.address(), &header).await;
        assert!(!head.to_ascii_lowercase().contains("sec-websocket-extensions"), "{head}");
        peer.frame(&case::text("not compressed"));
        peer.leave().await;
        assert!(matches!(peer.next().await, Seen::Text(text) if text == b"not compressed"));
        // A compressed frame breaks the agreement.
        peer.frame(&case::Frame { rsv: 4, ..case::text("compressed") });
        peer.leave().await;
        assert!(matches!(peer.next().await, Seen::Close(Some(1002))));
    }
    echo.stop().await;
}
