//! Runs a case and judges what came.

use std::net::SocketAddr;

use super::{
    case::{Case, Do, End, Event, Group, TEXT, Weight, answered, breaks, close, text},
    peer::{Peer, Seen},
};

/// One line of the table.
pub struct Row {
    pub id: String,
    pub sent: String,
    pub verdict: Verdict,
}

/// Text is what came.
#[derive(Debug)]
pub enum Verdict {
    Ok(String),
    Informational(String),
    Failed(String),
}

/// The rows of a group, with its id.
pub async fn run_all(echo: SocketAddr, group: Group) -> Vec<(&'static str, Row)> {
    let mut rows = Vec::new();
    for case in &group.cases {
        rows.push((group.id, run(echo, case).await));
    }
    rows
}

pub async fn run(echo: SocketAddr, case: &Case) -> Row {
    let mut run = Run { peer: Peer::connect(echo).await, events: Vec::new(), over: None };
    for step in &case.script {
        run.step(step).await;
    }
    run.peer.leave().await;
    let verdict = match run.judge(case).await {
        Ok(came) if case.weight == Weight::Informational => Verdict::Informational(came),
        Ok(came) => Verdict::Ok(came),
        Err(why) => Verdict::Failed(why),
    };
    Row { id: case.id.clone(), sent: case.sent.clone(), verdict }
}

struct Run {
    peer: Peer,
    events: Vec<Event>,
    /// What ended the connection.
    over: Option<Seen>,
}

impl Run {
    async fn step(&mut self, step: &Do) {
        match step {
            Do::Write(frame) => self.peer.frame(frame),
            Do::Leave => self.peer.leave().await,
            Do::Chop(frame, size) => {
                self.peer.frame(frame);
                self.peer.leave_chopped(*size).await;
            }
            Do::Fragments(frame, size) => self.peer.fragments(frame, *size),
            Do::Begin(declared, bytes) => {
                self.peer.begin(0x80 | TEXT, *declared);
                self.peer.more(bytes);
            }
            Do::More(bytes) => self.peer.more(bytes),
            Do::Await(events) => {
                self.peer.leave().await;
                self.listen(*events).await;
            }
            Do::RoundTrips(frame, times) => {
                for _ in 0..*times {
                    self.peer.frame(frame);
                    self.peer.leave().await;
                    self.listen(1).await;
                    if self.events.pop() != Some(Event::echo(frame)) {
                        return;
                    }
                }
            }
        }
    }

    /// Until so many events have come, or the end.
    async fn listen(&mut self, events: usize) {
        while self.events.len() < events && self.over.is_none() {
            match self.peer.next().await {
                Seen::Text(bytes) => self.events.push(Event::Text((&bytes).into())),
                Seen::Binary(bytes) => self.events.push(Event::Binary((&bytes).into())),
                Seen::Pong(bytes) => self.events.push(Event::Pong((&bytes).into())),
                end @ (Seen::Close(_) | Seen::End | Seen::Broken(_)) => self.over = Some(end),
            }
        }
    }

    async fn judge(&mut self, case: &Case) -> Result<String, String> {
        let (codes, by) = match case.end {
            End::Peer => {
                self.listen(case.events.len()).await;
                if self.over.is_none() {
                    self.peer.frame(&close(1000));
                    self.peer.leave().await;
                }
                (&[1000][..], "answered")
            }
            End::Answered(codes) => (codes, "answered"),
            End::Fails(codes) => (codes, "closed"),
        };
        self.listen(usize::MAX).await;
        let same = self.events.len() == case.events.len()
            && self.events.iter().zip(&case.events).all(|(came, wanted)| same(came, wanted));
        if !same {
            return Err(format!("events {} instead of {}", words(&self.events), words(&case.events)));
        }
        let code = match self.over.take() {
            Some(Seen::Close(None)) if codes.is_empty() => "no code".to_owned(),
            Some(Seen::Close(Some(code))) if codes.contains(&code) => code.to_string(),
            Some(Seen::Broken(why)) => return Err(format!("{why} instead of a close with {codes:?}")),
            other => return Err(format!("{other:?} instead of a close with {codes:?}")),
        };
        // The server is the one who ends the stream.
        match self.peer.next().await {
            Seen::End => Ok(format!("{}{by} {code}", words(&self.events))),
            other => Err(format!("{other:?} instead of the end")),
        }
    }
}

fn same(came: &Event, wanted: &Event) -> bool {
    match (came, wanted) {
        (Event::Text(came), Event::Text(wanted))
        | (Event::Binary(came), Event::Binary(wanted))
        | (Event::Pong(came), Event::Pong(wanted)) => came.to_bytes() == wanted.to_bytes(),
        _ => false,
    }
}

/// What came, for the table.
fn words(events: &[Event]) -> String {
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    let pongs = count(|event| matches!(event, Event::Pong(_)));
    let some = |count: usize, word: &str| match count {
        0 => String::new(),
        1 => format!("{word}, "),
        many => format!("{many} {word}s, "),
    };
    some(pongs, "pong") + &some(events.len() - pongs, "echo")
}

/// Cases that a right server fails, because they expect the wrong thing: the judge must say so.
pub fn wrong_expectations() -> Vec<Case> {
    let sent = || vec![Do::Write(text("a"))];
    let reserved = || vec![Do::Write(super::case::Frame { rsv: 1, ..text("a") })];
    vec![
        answered("another text", "", sent(), vec![Event::text("b")]),
        answered("another kind", "", sent(), vec![Event::Binary("a".into())]),
        answered("nothing", "", sent(), Vec::new()),
        answered("a broken rule is fine", "", reserved(), Vec::new()),
        breaks("a message after it", "", reserved(), vec![Event::text("a")]),
        Case { end: End::Fails(&[1007]), ..breaks("another code", "", reserved(), Vec::new()) },
        Case {
            end: End::Answered(&[1001]),
            ..answered("another answer", "", vec![Do::Write(close(1000))], Vec::new())
        },
    ]
}
