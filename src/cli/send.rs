//! `tidings send`: succeeds only when the server keeps the message, and says what is known when it does not.

use std::time::Duration;

use anyhow::bail;
use tidings_client::{
    Client, Config, Events, Outcome,
    core::{ConnectionState, Draft, Event, Sent, StopReason},
};
use tokio::time::timeout;

use super::{
    SendArgs,
    identity::{self, Mint},
};

/// Sends one message and prints its place and time.
///
/// # Errors
/// When it was refused, or its fate is unknown after the time-out; the text says which and what to do.
pub async fn run(args: SendArgs, mint: Mint) -> anyhow::Result<()> {
    let home = identity::open_home(&args.user, &args.server)?;
    let token = identity::token_source(&args.user, &args.server, mint);
    let mut config = Config::new(args.server.server.clone(), token, home.device);
    config.queue = Box::new(home.queue);
    config.platform = "tidings send".into();
    let (client, mut events) = Client::connect(config)?;
    let sending = client.send(Draft::text(args.to.clone(), args.text.clone())).await?;
    let id = sending.message_id();
    let settled = async {
        tokio::select! {
            outcome = sending.outcome() => Ok(outcome),
            reason = stopped(&mut events) => Err(reason),
        }
    };
    let settled = timeout(Duration::from_secs(args.timeout), settled).await;
    client.close().await;
    let waits =
        format!("{id} waits in the queue and is sent by the next `tidings send` or `tidings chat` of this user");
    match settled {
        Ok(Ok(Outcome::Sent(Sent { seq, time, .. }))) => {
            println!("sent {id} seq {seq} time {time}");
            Ok(())
        }
        Ok(Ok(Outcome::Refused(refused))) => bail!("not sent, refused with {}: {}", refused.code, refused.text),
        Ok(Ok(Outcome::Ended)) => bail!("the client ended; {waits}"),
        Ok(Err(reason)) => bail!("not sent: {}; {waits}", say(&reason)),
        Err(_) => bail!(
            "no ack from {} within {} s: is the server running? Outcome unknown; {waits}",
            args.server.server,
            args.timeout
        ),
    }
}

async fn stopped(events: &mut Events) -> StopReason {
    while let Some(event) = events.next().await {
        if let Event::Connection(ConnectionState::Stopped(reason)) = event {
            return reason;
        }
    }
    StopReason::Dismissed
}

/// A reason in words that say what to do.
pub(super) fn say(reason: &StopReason) -> String {
    match reason {
        StopReason::Replaced => "the same device signed in elsewhere".into(),
        StopReason::Unauthorized(why) => format!("the token is not accepted ({why}); pass another with --token"),
        StopReason::Dismissed => "the server asked not to come back".into(),
        StopReason::NotKept(why) => format!("messages cannot be kept: {why}"),
        StopReason::Protocol(why) => format!("client and server do not understand each other ({why})"),
    }
}
