//! What may become of a message and of a conversation, in both encodings: recall, edit, react, delete, pin, mute, typing.

use tidings_schema::{
    error_code::ErrorCode,
    wire::{self, client_frame::Op, entry, server_frame::Body},
};

use super::talk::{FORMS, Form, Talk, is, new_id, ok, send_as, text, with, words};
use crate::server::Server;

/// Two users who talk.
struct Pair {
    alice: Talk,
    bob: Talk,
    names: (String, String),
}

impl Pair {
    async fn of(server: &Server, form: Form) -> Self {
        let names = (format!("alice-{form:?}"), format!("bob-{form:?}"));
        let (alice, _) = Talk::hello(server, form, &names.0, "d1").await;
        let (bob, _) = Talk::hello(server, form, &names.1, "d1").await;
        Self { alice, bob, names }
    }

    /// Alice says something: its id, and its seq in both inboxes.
    async fn say(&mut self, said: &str) -> (String, u64, u64) {
        let id = new_id();
        let seq = match self.alice.ask(send_as(&id, &self.names.1, said)).await {
            Body::SendAck(ack) => ack.seq,
            other => panic!("{other:?}"),
        };
        let at_bob = self.bob.entry_with(|entry| (words(entry)? == said).then_some(entry.seq)).await;
        (id, seq, at_bob)
    }

    fn recall(&self, id: &str, seq: u64) -> Op {
        let (author, peer) = (self.names.0.clone(), &self.names.1);
        Op::Recall(wire::Recall { conversation: with(peer), seq, author, message_id: id.into() })
    }

    fn edit(&self, id: &str, seq: u64, to: &str) -> Op {
        let (author, peer) = (self.names.0.clone(), &self.names.1);
        Op::Edit(wire::Edit { conversation: with(peer), seq, author, message_id: id.into(), content: text(to) })
    }

    /// By bob, of a message of alice.
    fn react(&self, id: &str, seq: u64, reaction: &str) -> Op {
        let author = self.names.0.clone();
        let (message_id, reaction) = (id.into(), reaction.into());
        Op::React(wire::React { conversation: with(&author), seq, author, message_id, reaction, removed: false })
    }
}

fn message(entry: &wire::Entry) -> Option<&wire::Message> {
    match &entry.body {
        Some(entry::Body::Message(message)) => Some(message),
        _ => None,
    }
}

/// Everything that reads answer to this user, as text.
async fn everything(talk: &mut Talk, peer: &str) -> String {
    let (inbox, history) = (talk.sync(0, 200).await, talk.history(peer, 0, 200).await);
    format!("{inbox:?} {history:?} {:?}", talk.conversations(0, 200).await)
}

#[tokio::test]
async fn nobody_reads_what_was_recalled_or_edited_away_also_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let mut pair = Pair::of(&server, form).await;
        let (first, seq, _) = pair.say("SECRET-1").await;
        let (second, other, _) = pair.say("SECRET-2").await;
        let recalled = ok(pair.alice.ask(pair.recall(&first, seq)).await);
        assert!(recalled > other);
        assert_eq!(ok(pair.alice.ask(pair.recall(&first, seq)).await), 0);
        assert!(ok(pair.alice.ask(pair.edit(&second, other, "better")).await) > recalled);
        let by_author = everything(&mut pair.alice, &pair.names.1).await;
        assert!(!by_author.contains("SECRET") && by_author.contains("better"), "{by_author}");
        let edited = |entry: &wire::Entry| matches!(&entry.body, Some(entry::Body::Edited(_))).then_some(());
        pair.bob.entry_with(edited).await;
        let names = pair.names.clone();
        server.kill().await;
        server.restart().await;
        for (user, peer) in [(&names.0, &names.1), (&names.1, &names.0)] {
            let (mut again, _) = Talk::hello(&server, form, user, "new").await;
            // What was accepted before the kill is written anew at the latest when it is delivered again.
            let mut said = everything(&mut again, peer).await;
            while said.contains("SECRET") {
                again.listen(std::time::Duration::from_millis(100)).await;
                said = everything(&mut again, peer).await;
            }
            assert!(said.contains("better"), "{said}");
            let history = again.history(peer, 0, 200).await.entries;
            assert_eq!(history.len(), 2);
            assert!(message(&history[1]).unwrap().recalled && message(&history[0]).unwrap().edited_time > 0);
        }
    }
}

#[tokio::test]
async fn changes_that_may_not_be_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let mut pair = Pair::of(&server, form).await;
        let (id, seq, at_bob) = pair.say("one").await;
        let author = pair.names.0.clone();
        let theirs = wire::Recall { conversation: with(&author), seq: at_bob, author, message_id: id.clone() };
        is(&pair.bob.refused(Op::Recall(theirs.clone())).await, ErrorCode::NotAuthor);
        is(&pair.alice.refused(pair.recall(&new_id(), seq)).await, ErrorCode::NoSuchSeq);
        is(&pair.alice.refused(pair.recall(&id, seq + 99)).await, ErrorCode::NoSuchSeq);
        is(&pair.alice.refused(pair.recall(&id, 0)).await, ErrorCode::BadField);
        is(&pair.alice.refused(pair.recall("x", seq)).await, ErrorCode::BadId);
        is(
            &pair.bob.refused(Op::Recall(wire::Recall { conversation: None, ..theirs.clone() })).await,
            ErrorCode::BadField,
        );
        is(&pair.bob.refused(Op::Recall(wire::Recall { author: "a b".into(), ..theirs })).await, ErrorCode::BadId);
        is(&pair.bob.refused(pair.react(&id, at_bob, "")).await, ErrorCode::BadField);
        is(&pair.bob.refused(pair.react(&id, at_bob, &"x".repeat(65))).await, ErrorCode::BadField);
        is(&pair.alice.refused(pair.edit(&id, seq, &"x".repeat(70_000))).await, ErrorCode::BodyTooLarge);
        assert!(ok(pair.bob.ask(pair.react(&id, at_bob, "+1")).await) > 0);
        assert_eq!(ok(pair.bob.ask(pair.react(&id, at_bob, "+1")).await), 0);
        let given = pair.alice.entry_with(|entry| match &entry.body {
            Some(entry::Body::Reaction(reaction)) => {
                Some((reaction.seq, reaction.from.clone(), reaction.reaction.clone()))
            }
            _ => None,
        });
        assert_eq!(given.await, (seq, pair.names.1.clone(), "+1".into()));
        assert!(ok(pair.alice.ask(pair.recall(&id, seq)).await) > 0);
        is(&pair.alice.refused(pair.edit(&id, seq, "again")).await, ErrorCode::MessageRecalled);
    }
}

#[tokio::test]
async fn a_side_deletes_pins_and_mutes_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let mut pair = Pair::of(&server, form).await;
        let (_, _, first) = pair.say("one").await;
        let (_, _, second) = pair.say("two").await;
        let conversation = || with(&format!("alice-{form:?}"));
        let delete =
            |seqs: Vec<u64>, upto| Op::DeleteForMe(wire::DeleteForMe { conversation: conversation(), seqs, upto });
        is(&pair.bob.refused(delete(vec![], 0)).await, ErrorCode::BadField);
        is(&pair.bob.refused(delete(vec![first], second)).await, ErrorCode::BadField);
        is(&pair.bob.refused(delete((1..=101).collect(), 0)).await, ErrorCode::BadField);
        is(&pair.bob.refused(delete(vec![second + 50], 0)).await, ErrorCode::NoSuchSeq);
        let set =
            |pinned, muted| Op::SetConversation(wire::SetConversation { conversation: conversation(), pinned, muted });
        is(&pair.bob.refused(set(None, None)).await, ErrorCode::BadField);
        assert!(ok(pair.bob.ask(set(Some(true), Some(true))).await) > 0);
        assert!(ok(pair.bob.ask(delete(vec![second], 0)).await) > 0);
        let list = pair.bob.conversations(0, 10).await.conversations;
        assert_eq!((list[0].pinned, list[0].muted, list[0].unread), (true, true, 2));
        assert_eq!(list[0].last.as_ref().unwrap().seq, first);
        assert_eq!(list[0].deleted, [wire::DeletedRange { from: second, upto: second }]);
        let (_, welcome) = Talk::hello(&server, form, &pair.names.1, "other").await;
        assert_eq!(welcome.unread_total, 0, "muted");
        let whole = Op::DeleteConversation(wire::DeleteConversation { conversation: conversation() });
        assert!(ok(pair.bob.ask(whole).await) > 0);
        assert_eq!(pair.bob.conversations(0, 10).await.conversations, []);
        assert_eq!(pair.bob.history(&pair.names.0, 0, 10).await.entries, []);
        assert_eq!(pair.alice.history(&pair.names.1, 0, 10).await.entries.len(), 2);
        let (_, _, third) = pair.say("three").await;
        assert_eq!(pair.bob.conversations(0, 10).await.conversations[0].last.as_ref().unwrap().seq, third);
    }
}

#[tokio::test]
async fn typing_reaches_who_is_online_and_knows_the_writer_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let mut pair = Pair::of(&server, form).await;
        let names = pair.names.clone();
        let typing = |to: &str| {
            Op::Typing(wire::Typing { to: Some(wire::Target { target: Some(wire::target::Target::Uid(to.into())) }) })
        };
        // Nobody bob talks with yet: what alice types is not shown, what she then says is.
        pair.alice.put(typing(&names.1)).await;
        pair.alice.settle().await;
        pair.say("hello").await;
        let (mut again, _) = Talk::hello(&server, form, &names.0, "d2").await;
        again.put(typing(&names.1)).await;
        assert_eq!(
            pair.bob.push().await,
            Body::TypingEvent(wire::TypingEvent { conversation: with(&names.0), from: names.0.clone() })
        );
        is(&again.refused(Op::Typing(wire::Typing { to: None })).await, ErrorCode::BadField);
    }
}
