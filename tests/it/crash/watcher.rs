//! A device that leaves it to the server where to go on, and writes down what it is pushed and what it acknowledges.

use std::sync::Arc;

use tidings_schema::wire::{self, client_frame::Op};
use tokio::sync::watch;

use super::{
    book::Book,
    chance::Chance,
    deeds::{note_sighting, reading_of},
    raw::RawDevice,
};
use crate::checker::{Connection, Kept, Path, Step};

/// One such device.
pub struct Watcher {
    pub uid: String,
    pub url: String,
    pub token: String,
    pub chance: Chance,
    pub book: Arc<Book>,
}

const DEVICE: &str = "watch";

impl Watcher {
    /// Runs until `life`, which counts the lives of the server while it is up, is closed.
    pub async fn run(mut self, mut life: watch::Receiver<Option<usize>>) {
        loop {
            let Ok(up) = life.wait_for(Option::is_some).await.map(|up| *up) else { return };
            let (opened_ms, asked) = (self.book.now_ms(), self.book.moment());
            let Ok(device) = RawDevice::connect(&self.url, &self.token, DEVICE, None).await else {
                if life.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let connection = Connection {
                uid: self.uid.clone(),
                device: DEVICE.into(),
                life: up.unwrap_or_default(),
                opened_ms,
                resume_after: device.welcome.resume_after,
                steps: Vec::new(),
            };
            let connection = self.watch(device, connection, asked, &mut life).await;
            self.book.pages().connections.push(connection);
        }
    }

    /// Takes pushes until the server is gone, or a while.
    async fn watch(
        &mut self,
        mut device: RawDevice,
        mut connection: Connection,
        asked: u64,
        life: &mut watch::Receiver<Option<usize>>,
    ) -> Connection {
        let (mut last, mut unacked) = (connection.resume_after, 0);
        for _ in 0..self.chance.between(5, 200) {
            let entries = tokio::select! {
                entries = device.push() => entries,
                _ = life.changed() => break,
            };
            let Ok(entries) = entries else { break };
            for entry in &entries.entries {
                connection.steps.push(Step::Pushed { seq: entry.seq, redelivery: entries.redelivery });
                last = last.max(entry.seq);
                unacked += 1;
                self.note(asked, Kept::of_wire(entry));
            }
            if unacked >= self.chance.between(1, 100) {
                connection.steps.push(Step::Acked { seq: last, at_ms: self.book.now_ms() });
                unacked = 0;
                if device.say(Op::Ack(wire::Ack { inbox: last, ..Default::default() })).await.is_err() {
                    break;
                }
            }
        }
        connection
    }

    /// What was pushed by a connection that was opened after the moment.
    fn note(&self, asked: u64, Kept { entry, .. }: Kept) {
        note_sighting(&self.book, &self.uid, &entry);
        self.book.read(reading_of(&self.uid, asked, Path::Pushed, entry));
    }
}
