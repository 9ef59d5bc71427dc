//! A server and the few who use it, for one short story that the checker judges at its end.

use tidings_schema::wire::{self, client_frame::Op, server_frame::Body};

use super::{
    SETTINGS,
    deeds::{may_be_repeated, op_of, readings},
    raw::{RawDevice, conversation_with, fresh_id, text_send},
};
use crate::{
    checker::{self, Asked, Change, Fate, History, Kept, Path, Rule, Sending, Sighting, User, What},
    server::Server,
};

/// The place of a device that has nothing yet.
pub const FROM_THE_START: Option<wire::Resume> = Some(wire::Resume { inbox: Some(0), log_id: bytes::Bytes::new() });

/// A server and the few who use it, one raw device each.
pub struct Scene {
    pub server: Server,
    pub history: History,
    moments: u64,
    _dir: tempfile::TempDir,
}

impl Scene {
    /// `broken` names mutants and faults, separated by commas.
    pub async fn new(broken: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = SETTINGS.to_vec();
        settings.push(("TIDINGS_MUTANT", broken));
        let server = Server::start(dir.path(), &settings).await;
        let history = History { cursor_flush_ms: super::CURSOR_FLUSH_MS, ..History::default() };
        Self { server, history, moments: 0, _dir: dir }
    }

    /// A device that leaves its place to the server.
    pub async fn device(&self, uid: &str, device: &str) -> RawDevice {
        self.resumed(uid, device, None).await
    }

    pub async fn resumed(&self, uid: &str, device: &str, resume: Option<wire::Resume>) -> RawDevice {
        let token = self.server.token(uid).await;
        RawDevice::connect(&self.server.url(), &token, device, resume).await.unwrap()
    }

    /// `kill -9`, then a start with other mutants and faults.
    pub async fn kill(&mut self, broken: &str) {
        self.server.kill().await;
        self.server.set("TIDINGS_MUTANT", Some(broken));
        self.server.restart().await;
    }

    /// Writes down that `from` hands over a message to `to`.
    pub fn note(&mut self, id: &str, from: &str, to: &str, fate: Fate) {
        let (id, from, to) = (id.to_owned(), from.to_owned(), to.to_owned());
        let text = format!("text of {id}");
        self.history.sendings.push(Sending { id, from, device: "raw".into(), to, text, fate });
    }

    /// Sends and waits for the ack; the seq.
    pub async fn send(&mut self, by: &mut RawDevice, to: &str) -> u64 {
        let id = fresh_id();
        self.send_again(by, &id, to, Retry::No).await
    }

    /// Sends under this id, and writes down what it was acked with the first time.
    pub async fn send_again(&mut self, by: &mut RawDevice, id: &str, to: &str, retry: Retry) -> u64 {
        let from = by.welcome.uid.clone();
        let answer = by.ask(text_send(id, to, &format!("text of {id}"), retry == Retry::Yes)).await.unwrap();
        let Body::SendAck(ack) = answer else { panic!("not acked: {answer:?}") };
        if !self.history.sendings.iter().any(|known| known.id == id) {
            self.note(id, &from, to, Fate::Acked(ack.seq));
        }
        ack.seq
    }

    /// Asks for a change, waits for the answer and writes it down.
    pub async fn change(&mut self, by: &mut RawDevice, peer: &str, what: Asked) -> Body {
        let number = self.note_change(by, peer, what);
        self.try_change(by, number).await
    }

    /// Writes down that a change is going to be asked for; its number.
    pub fn note_change(&mut self, by: &RawDevice, peer: &str, what: Asked) -> usize {
        let (by, peer) = (by.welcome.uid.clone(), peer.to_owned());
        self.history.changes.push(Change { by, peer, what, tries: 0, fate: Fate::Open, answered: 0 });
        self.history.changes.len() - 1
    }

    /// Asks for it, maybe not for the first time.
    pub async fn try_change(&mut self, by: &mut RawDevice, number: usize) -> Body {
        let op = op_of(self.tried(number));
        let answer = by.ask(op).await.unwrap();
        self.note_answer(number, answer)
    }

    /// Asks for all of them before the first is answered.
    pub async fn change_at_once(&mut self, by: &mut RawDevice, peer: &str, whats: Vec<Asked>) {
        let mut waiting = Vec::new();
        for what in whats {
            let number = self.note_change(by, peer, what);
            let op = op_of(self.tried(number));
            waiting.push((number, by.start(op).await.unwrap()));
        }
        for (number, frame) in waiting {
            let answer = by.answer(frame).await.unwrap();
            self.note_answer(number, answer);
        }
    }

    fn note_answer(&mut self, number: usize, answer: Body) -> Body {
        let answered = self.moment();
        let change = &mut self.history.changes[number];
        (change.fate, change.answered) = match &answer {
            Body::Ok(ok) => (Fate::Acked(ok.seq), answered),
            Body::Error(error) if may_be_repeated(error.code) => (Fate::Open, 0),
            Body::Error(_) => (Fate::Refused, answered),
            other => panic!("no answer to a change: {other:?}"),
        };
        answer
    }

    /// Counts a try; what is tried.
    pub fn tried(&mut self, number: usize) -> &Change {
        let change = &mut self.history.changes[number];
        change.tries += 1;
        change
    }

    /// This moment, as the checker counts them.
    pub fn moment(&mut self) -> u64 {
        self.moments += 1;
        self.moments
    }

    /// Reads on all paths what a user has with somebody, and writes it down.
    pub async fn look(&mut self, by: &mut RawDevice, peer: &str) {
        let (uid, asked) = (by.welcome.uid.clone(), self.moment());
        let conversation = Some(conversation_with(peer));
        let looks = [
            (Path::Sync, Op::Sync(wire::Sync { after: 0, limit: 200 })),
            (Path::History, Op::History(wire::History { conversation, before: 0, limit: 200 })),
            (Path::List, Op::Conversations(wire::ListConversations { after: 0, limit: 200 })),
        ];
        for (path, op) in looks {
            let answer = by.ask(op).await.unwrap();
            self.history.readings.extend(readings(&uid, asked, path, answer));
        }
    }

    /// Waits until a device is pushed an entry like this, and writes down that it has seen it.
    pub async fn see(&mut self, device: &mut RawDevice, fits: impl Fn(&What) -> bool) -> Kept {
        loop {
            for entry in device.push().await.unwrap().entries {
                let kept = Kept::of_wire(&entry);
                if fits(&kept.entry.what) {
                    let (uid, moment) = (device.welcome.uid.clone(), self.moment());
                    self.history.sightings.push(Sighting { uid, seq: kept.entry.seq, moment });
                    return kept;
                }
            }
        }
    }

    /// What everybody has, judged.
    pub async fn judge(mut self, users: &[&str]) -> Vec<Rule> {
        for uid in users {
            let user = self.device(uid, "auditor").await.audit().await.unwrap();
            self.history.users.insert((*uid).to_owned(), user);
        }
        let violations = checker::check(&self.history);
        let mut rules: Vec<Rule> = violations.iter().map(|violation| violation.rule).collect();
        println!("{violations:#?}");
        rules.dedup();
        rules
    }

    /// Waits until the server's clock has moved on, by asking it to keep messages of an otherwise silent user.
    pub async fn pass_time(&self, ms: u64) {
        let mut clock = self.device("clock", "raw").await;
        let begin = clock.welcome.server_time;
        let mut now = begin;
        while now < begin + ms {
            let id = fresh_id();
            let answer = clock.ask(text_send(&id, "clock", "tick", false)).await.unwrap();
            let Body::SendAck(ack) = answer else { panic!("not acked: {answer:?}") };
            now = ack.time;
        }
    }
}

/// Whether a send says that it is a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Yes,
    No,
}

/// The next message pushed to a device.
pub async fn next_message(device: &mut RawDevice) -> wire::Message {
    loop {
        for entry in device.push().await.unwrap().entries {
            if let Some(wire::entry::Body::Message(message)) = entry.body {
                return message;
            }
        }
    }
}

/// Ids of the messages of an inbox.
pub fn messages(user: &User) -> Vec<&str> {
    user.messages().map(|(_, message)| message.id.as_str()).collect()
}

/// Skips what was pushed before.
pub async fn next_message_named(device: &mut RawDevice, id: &str) -> wire::Message {
    loop {
        let message = next_message(device).await;
        if message.message_id == id {
            return message;
        }
    }
}
