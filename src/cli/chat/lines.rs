//! How the chat writes down what it knows, and what happened: one line each.

use tidings_client::core::{Edited, Message, Reacted, ReactionState, Recalled};

use super::{
    view::{Talk, View, tick},
    words::{self, clock, harmless},
};

/// A narrower window shows no times.
const COLUMNS_WITH_TIME: usize = 40;

impl View {
    /// One line per conversation, pinned ones first.
    pub(super) fn list(&self) -> Vec<String> {
        let mut talks: Vec<_> = self.talks.iter().collect();
        talks.sort_by_key(|(_, talk)| !talk.pinned);
        let line = |(peer, talk): (&String, &Talk)| {
            let marks = [(talk.pinned, ", pinned"), (talk.muted, ", muted"), (talk.blocked, ", blocked")];
            let marks: String = marks.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark).collect();
            format!("  {peer}: {} unread{marks}", talk.unread)
        };
        talks.into_iter().map(line).collect()
    }

    pub(super) fn blocked(&self) -> Vec<&str> {
        self.talks.iter().filter(|(_, talk)| talk.blocked).map(|(peer, _)| peer.as_str()).collect()
    }

    /// A message as one line, with the number it is named by and the tick of what is known of it.
    pub(super) fn line(&mut self, message: &Message, columns: usize) -> String {
        let number = self.shown.note(message);
        let tick = if message.message.from == self.me {
            self.talks.get(&message.peer).map_or(" ✓", |talk| tick(talk, message.seq))
        } else {
            ""
        };
        let time = if columns < COLUMNS_WITH_TIME { String::new() } else { clock(message.time) + " " };
        let answers = message.answers().map(|to| format!(" (to {})", self.shown.call(&to))).unwrap_or_default();
        format!(
            "{number} {time}{}{answers}: {}{tick}",
            self.who(&message.message.from),
            words::message(&message.message, &self.me)
        )
    }

    /// What happened to a message that may be on the screen.
    pub(super) fn recalled(&mut self, recalled: &Recalled) -> String {
        let which = self.shown.number_of(&recalled.message);
        self.shown.changed(&recalled.message, None);
        let which = which.map_or_else(|| "an earlier message".into(), |number| format!("message {number}"));
        format!("* {} took {which} back", self.who(&recalled.message.author))
    }

    /// The same; `None` when a later change says it.
    pub(super) fn edited(&mut self, edited: &Edited) -> Option<String> {
        let new = edited.content.as_ref()?;
        let which = self.shown.call(&edited.message);
        self.shown.changed(&edited.message, Some(new));
        Some(format!("* {} edited {which}, now: {}", self.who(&edited.message.author), words::content(Some(new))))
    }

    pub(super) fn reacted(&self, reacted: &Reacted) -> String {
        let (who, reaction) = (self.who(&reacted.from), harmless(&reacted.reaction));
        let which = self.shown.call(&reacted.message);
        match reacted.now {
            ReactionState::Given => format!("* {who} reacted {reaction} to {which}"),
            ReactionState::TakenBack => format!("* {who} took {reaction} back from {which}"),
        }
    }

    fn who<'a>(&self, uid: &'a str) -> &'a str {
        if uid == self.me { "you" } else { uid }
    }
}

#[cfg(test)]
mod tests {
    use tidings_client::core::plain_text;
    use tidings_schema::{id::Seq, wire};

    use super::*;
    use crate::cli::chat::view::Own;

    fn message(seq: u64, from: &str, words: &str) -> Message {
        let message = wire::Message { from: from.into(), content: Some(plain_text(words)), ..wire::Message::default() };
        Message { seq: Seq::new(seq), time: 0, peer: "bob".into(), message }
    }

    #[test]
    fn what_happens_to_a_message_is_said_by_its_number_and_never_with_words_that_were_taken_back() {
        let mut view = View { me: "alice".into(), ..View::default() };
        let first = message(1, "bob", "a secret");
        assert_eq!(view.line(&first, 80), "1 00:00 bob: a secret");
        assert_eq!(view.line(&first, 20), "1 bob: a secret");
        let (seq, time, named) = (Seq::new(2), 0, first.reference());
        let content = Some(plain_text("nothing"));
        let edited = Edited { seq, time, message: named.clone(), content };
        assert_eq!(view.edited(&edited).unwrap(), "* bob edited 1 \"a secret\", now: nothing");
        assert_eq!(view.edited(&Edited { content: None, ..edited }), None);
        let (from, reaction, now) = ("alice".into(), "👍".into(), ReactionState::Given);
        let reacted = Reacted { seq, time, message: named.clone(), from, reaction, now };
        assert_eq!(view.reacted(&reacted), "* you reacted 👍 to 1 \"nothing\"");
        assert_eq!(view.recalled(&Recalled { seq, time, message: named.clone() }), "* bob took message 1 back");
        assert_eq!(view.reacted(&reacted), "* you reacted 👍 to 1");
        let mut answer = message(3, "alice", "what?");
        answer.message.reply_to = Some(named.into());
        assert_eq!(view.line(&answer, 80), "2 00:00 you (to 1): what? ✓");
        assert_eq!(view.newest("bob", Own::No).map(|named| named.seq), Some(Seq::new(1)));
        assert_eq!(view.newest("bob", Own::Yes).map(|named| named.seq), Some(Seq::new(3)));
    }
}
