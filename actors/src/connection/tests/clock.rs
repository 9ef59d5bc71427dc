//! The clock of the machine is set by hours, both ways: only the ends of tokens follow it.

use super::*;

const HOUR_MS: u64 = 3_600_000;

#[actix::test]
async fn neither_heartbeats_nor_operations_follow_a_wall_clock_that_is_set() {
    let mut bench = Bench::live_with(&format!("alice 0 {}", 24 * HOUR_MS)).await;
    bench.put(2, send("bob", 1));
    bench.asked().await;
    bench.clock.1.fetch_sub(5 * HOUR_MS, Relaxed);
    bench.pass(1_000).await;
    bench.settle().await;
    bench.clock.1.fetch_add(10 * HOUR_MS, Relaxed);
    bench.pass(1_000).await;
    bench.settle().await;
    bench.tell(vec![ok_answer(2)]).await;
    assert_eq!(bench.frame().await.re, 2, "it was not given up before");
}

#[actix::test]
async fn a_wall_clock_set_forward_ends_tokens_at_the_next_sweep() {
    tokio::time::pause();
    let mut bench = Bench::live_with(&format!("alice 0 {HOUR_MS}")).await;
    // By its own reckoning the connection is not due for minutes.
    bench.pass(0).await;
    let _hub = Hub::new(Rc::clone(&bench.roster), Rc::clone(&bench.parts)).start();
    bench.clock.1.fetch_add(HOUR_MS, Relaxed);
    let waited = tokio::time::timeout(SWEEP_INTERVAL * 2, bench.error(ErrorCode::TokenExpired)).await;
    assert_eq!(waited, Ok(0));
    bench.closed(CloseReason::Unauthorized).await;
}

#[actix::test]
async fn a_wall_clock_set_back_lets_tokens_live_by_what_it_says() {
    let mut bench = Bench::live_with(&format!("alice 0 {HOUR_MS}")).await;
    bench.clock.1.fetch_sub(2 * HOUR_MS, Relaxed);
    bench.pass(HOUR_MS / 12).await;
    bench.settle().await;
    bench.clock.1.fetch_add(3 * HOUR_MS, Relaxed);
    bench.pass(0).await;
    assert_eq!(bench.error(ErrorCode::TokenExpired).await, 0);
}
