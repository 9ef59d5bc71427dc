//! The node stops: what waits is answered, nothing new is taken, and no client holds the node up.

use super::*;

async fn told_to_leave(bench: &mut Bench) {
    bench.connection.send(Leave { reconnect_after_ms: 1_500, answers_ms: 3_000 }).await.unwrap();
    let Body::GoAway(go_away) = bench.body().await else { panic!("no good-bye") };
    assert_eq!((go_away.reason(), go_away.reconnect_after_ms), (wire::GoAwayReason::Drain, 1_500));
}

#[actix::test]
async fn what_waits_is_answered_before_the_connection_of_a_stopping_node_closes() {
    let mut bench = Bench::live().await;
    bench.put(2, send("bob", 1));
    bench.put(3, client_frame::Op::Sync(wire::Sync { after: 0, limit: 0 }));
    bench.put(4, client_frame::Op::Sync(wire::Sync { after: 0, limit: 0 }));
    bench.asked().await;
    bench.asked().await;
    told_to_leave(&mut bench).await;

    bench.tell(vec![push(5, 6, 1)]).await;
    bench.put(5, send("bob", 2));
    assert_eq!(bench.error(ErrorCode::Unavailable).await, 5, "nothing new is taken, and nothing was pushed before");
    bench.put(0, client_frame::Op::Ack(wire::Ack { inbox: 5, ..Default::default() }));
    assert!(matches!(bench.asked().await.op, Op::Ack(seq) if seq == Seq::new(5)), "acks still count");
    bench.settle().await;

    bench.tell(vec![ok_answer(2)]).await;
    assert_eq!(bench.frame().await.re, 2);
    for page in [3, 4] {
        bench.tell(vec![ToConnection::Answer(page, Body::Page(wire::Page::default()))]).await;
        assert_eq!(bench.frame().await.re, page);
    }
    bench.closed(CloseReason::Drain).await;
}

#[actix::test]
async fn an_answer_that_does_not_come_holds_up_a_stop_for_a_bounded_time() {
    let mut bench = Bench::live().await;
    bench.put(2, send("bob", 1));
    bench.asked().await;
    told_to_leave(&mut bench).await;
    bench.pass(2_999).await;
    bench.settle().await;
    bench.pass(1).await;
    bench.closed(CloseReason::Drain).await;
}

#[actix::test]
async fn who_waits_for_nothing_leaves_at_once_and_who_never_says_good_bye_is_cut() {
    let mut bench = Bench::live().await;
    told_to_leave(&mut bench).await;
    bench.closed(CloseReason::Drain).await;
    bench.pass(ConnectionLimits::default().close_wait_ms).await;
    bench.census.empty().await;
}
