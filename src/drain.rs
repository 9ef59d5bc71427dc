//! How a server stops: it takes nobody any more, clients get their answers and a time to come back, and mailboxes write
//! what the next start would have to fold again. All of it within one deadline; nothing that was acked depends on it.

use std::{sync::Arc, time::Duration};

use tidings_actors::shard::Standing;
use tidings_schema::id::ShardCount;
use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

use crate::{link::local::LocalLink, transport::listener::Farewell};

/// Clients come back between this and twice this after a stop.
const RECONNECT_AFTER_MS: u64 = 1_000;

/// What a server was asked for so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// To serve.
    #[default]
    No,
    /// To let its clients go, then end.
    Drain,
    /// To end at once.
    Now,
}

/// Resolves when at least this was asked for; never, when nobody is left to ask.
pub(crate) async fn asked(stop: &mut watch::Receiver<Stop>, least: Stop) {
    if stop.wait_for(|asked| *asked >= least).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What is to be let go.
pub(crate) struct Drain {
    pub(crate) farewell: Farewell,
    pub(crate) link: Arc<LocalLink>,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) shards: ShardCount,
    /// How long all of it may take.
    pub(crate) patience: Duration,
}

impl Drain {
    /// Clients first, then mailboxes.
    pub(crate) async fn all(self) {
        let patience = self.patience;
        if timeout(patience, self.in_order()).await.is_err() {
            warn!("not everything was let go in time; nothing that was acked is lost");
        }
    }

    /// Clients alone, who get no more answers: the store or a shard is gone.
    pub(crate) async fn clients(self) {
        // Whoever has not gone by then learns from the end of the socket.
        let _late = timeout(self.patience, self.farewell.drain(RECONNECT_AFTER_MS, 0)).await.is_err();
    }

    async fn in_order(mut self) {
        // The other half is for the close of each connection, and for the mailboxes.
        let answers_ms = u64::try_from(self.patience.as_millis() / 2).unwrap_or(u64::MAX);
        info!(connections = self.farewell.connections(), "clients are sent away");
        self.farewell.drain(RECONNECT_AFTER_MS, answers_ms).await;
        self.link.retire();
        let all = self.shards.get();
        // An error: no shard is left, so none holds a mailbox.
        let _gone = self.standing.wait_for(|standing| standing.empty >= all).await.is_err();
        info!("clients have gone and mailboxes are written");
    }
}
