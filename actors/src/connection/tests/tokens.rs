//! The token of a live connection: replaced, announced, ended, revoked.

use super::*;

const SHORT_MS: u64 = 10_000;

/// A connection whose token was issued at 50 and is good for ten seconds.
async fn short_lived() -> Bench {
    Bench::live_with(&format!("alice 50 {SHORT_MS}")).await
}

fn refresh(token: &str) -> client_frame::Op {
    client_frame::Op::Refresh(wire::Refresh { token: token.into() })
}

async fn told_to_sign_in(bench: &mut Bench) -> u64 {
    let Body::GoAway(go_away) = bench.body().await else { panic!("no good-bye") };
    assert_eq!(go_away.reason(), wire::GoAwayReason::SignIn);
    go_away.reconnect_after_ms
}

#[actix::test]
async fn the_end_of_a_token_is_announced_once_and_then_ends_the_connection() {
    let mut bench = short_lived().await;
    bench.pass(SHORT_MS / 2 - 1).await;
    bench.settle().await;
    bench.pass(1).await;
    assert!(told_to_sign_in(&mut bench).await > 0, "it may come back");
    bench.pass(1_000).await;
    bench.settle().await;
    bench.pass(SHORT_MS / 2 - 1_000).await;
    assert_eq!(bench.error(ErrorCode::TokenExpired).await, 0);
    bench.closed(CloseReason::Unauthorized).await;
}

#[actix::test]
async fn a_newer_token_takes_the_place_of_the_one_that_ends() {
    let mut bench = short_lived().await;
    bench.pass(SHORT_MS / 2).await;
    told_to_sign_in(&mut bench).await;
    bench.put(7, refresh("alice 51 3600000"));
    assert_eq!(bench.frame().await, wire::ServerFrame { re: 7, body: Some(Body::Ok(wire::Ok { seq: 0 })) });
    bench.pass(SHORT_MS).await;
    bench.settle().await;
    assert!(bench.asked.is_empty(), "no mailbox is woken for a token");
}

#[actix::test]
async fn a_refused_token_changes_nothing() {
    let mut bench = short_lived().await;
    for (id, token, code) in [
        (2, "bob 60 3600000", ErrorCode::BadToken),
        (3, "alice 49 3600000", ErrorCode::BadToken),
        (4, "forged", ErrorCode::BadToken),
        (5, "expired", ErrorCode::TokenExpired),
    ] {
        bench.put(id, refresh(token));
        assert_eq!(bench.error(code).await, id, "{token}");
    }
    bench.settle().await;
    bench.pass(SHORT_MS).await;
    assert_eq!(bench.error(ErrorCode::TokenExpired).await, 0);
    bench.closed(CloseReason::Unauthorized).await;
}

#[actix::test]
async fn a_sign_out_ends_what_came_with_an_older_token_and_nothing_else() {
    let mut bench = short_lived().await;
    bench.tell(vec![ToConnection::SignOut(Millis::new(50))]).await;
    bench.settle().await;
    bench.put(2, refresh("alice 60"));
    bench.frame().await;
    bench.tell(vec![ToConnection::SignOut(Millis::new(60))]).await;
    bench.settle().await;
    bench.tell(vec![ToConnection::SignOut(Millis::new(61))]).await;
    assert_eq!(told_to_sign_in(&mut bench).await, 0, "not with this token");
    bench.closed(CloseReason::Unauthorized).await;
}

#[actix::test]
async fn a_token_from_before_a_sign_out_is_turned_away() {
    let mut bench = Bench::new();
    bench.put(1, hello("alice 50"));
    let Op::Attach(attach) = bench.asked().await.op else { panic!("no attach") };
    assert_eq!(attach.issued, Millis::new(50));
    bench.tell(vec![error_answer(1, ErrorCode::TokenRevoked)]).await;
    assert_eq!(bench.error(ErrorCode::TokenRevoked).await, 1);
    bench.closed(CloseReason::Unauthorized).await;
}
