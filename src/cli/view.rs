//! What the chat knows of its conversations and how it writes things down; no terminal, no network.

use std::collections::BTreeMap;

use tidings_client::core::Message;
use tidings_schema::{id::Seq, wire};

/// One conversation as the chat shows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Talk {
    pub(super) unread: u64,
    /// Newest entry seen, for the read marker.
    pub(super) last: Seq,
    /// Newest own message.
    pub(super) last_own: Seq,
    pub(super) delivered_upto: Seq,
    pub(super) read_upto: Seq,
    pub(super) blocked: bool,
    /// Messages up to here are on the screen (or were counted in the list at the start).
    pub(super) shown_upto: Seq,
}

/// All conversations.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) me: String,
    pub(super) talks: BTreeMap<String, Talk>,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// It is on the screen already.
    Nothing,
    /// It belongs to the open conversation.
    Here,
    /// It belongs to another one.
    Elsewhere,
}

impl View {
    pub(super) fn talk(&mut self, peer: &str) -> &mut Talk {
        self.talks.entry(peer.to_owned()).or_default()
    }

    /// Takes a list of conversations as the truth up to `as_of`.
    pub(super) fn load(&mut self, conversations: &[wire::ConversationView], as_of: Seq) {
        for listed in conversations {
            let Some(peer) = peer_of(listed.conversation.as_ref()) else { continue };
            let last = listed.last.as_ref();
            let own = last.and_then(message_of).is_some_and(|message| message.from == self.me);
            let seq = Seq::new(last.map_or(0, |entry| entry.seq));
            let talk = self.talks.entry(peer.to_owned()).or_default();
            talk.unread = listed.unread;
            talk.blocked = listed.blocked;
            talk.last = talk.last.max(seq);
            if own {
                talk.last_own = talk.last_own.max(seq);
            }
            talk.delivered_upto = talk.delivered_upto.max(Seq::new(listed.delivered_upto));
            talk.read_upto = talk.read_upto.max(Seq::new(listed.read_upto));
            talk.shown_upto = talk.shown_upto.max(as_of.max(Seq::new(listed.upto)));
        }
    }

    /// Notes a message; `open` is the conversation on the screen.
    pub(super) fn note(&mut self, message: &Message, open: Option<&str>) -> Show {
        let own = message.message.from == self.me;
        let quiet = !counts(&message.message);
        let talk = self.talks.entry(message.peer.clone()).or_default();
        talk.last = talk.last.max(message.seq);
        if own {
            talk.last_own = talk.last_own.max(message.seq);
        }
        if message.seq <= talk.shown_upto {
            return Show::Nothing;
        }
        talk.shown_upto = message.seq;
        if open == Some(message.peer.as_str()) {
            return Show::Here;
        }
        talk.unread += u64::from(!own && !quiet);
        Show::Elsewhere
    }

    /// How far the newest own message to a peer has come.
    pub(super) fn ticks(&self, peer: &str) -> &'static str {
        match self.talks.get(peer) {
            Some(talk) if talk.last_own == Seq::ZERO => "",
            Some(talk) if talk.read_upto >= talk.last_own => " ✓✓ read",
            Some(talk) if talk.delivered_upto >= talk.last_own => " ✓✓",
            Some(_) => " ✓",
            None => "",
        }
    }

    /// Unread messages outside the open conversation.
    pub(super) fn unread_elsewhere(&self, open: Option<&str>) -> u64 {
        self.talks.iter().filter(|(peer, _)| open != Some(peer.as_str())).map(|(_, talk)| talk.unread).sum()
    }

    /// A message as one line, with the tick of what is known of it.
    pub(super) fn line(&self, peer: &str, seq: Seq, time: u64, message: &wire::Message) -> String {
        let talk = self.talks.get(peer);
        let (who, tick) = if message.from == self.me {
            let tick = match talk {
                Some(talk) if talk.read_upto >= seq => " ✓✓ read",
                Some(talk) if talk.delivered_upto >= seq => " ✓✓",
                Some(_) | None => " ✓",
            };
            ("you", tick)
        } else {
            (message.from.as_str(), "")
        };
        format!("{} {who}: {}{tick}", clock(time), text(message))
    }
}

pub(super) fn peer_of(conversation: Option<&wire::Conversation>) -> Option<&str> {
    match conversation?.conversation.as_ref()? {
        wire::conversation::Conversation::Uid(uid) => Some(uid),
    }
}

pub(super) fn message_of(entry: &wire::Entry) -> Option<&wire::Message> {
    match entry.body.as_ref()? {
        wire::entry::Body::Message(message) => Some(message),
        _ => None,
    }
}

fn counts(message: &wire::Message) -> bool {
    let notice = matches!(message.content.as_ref().and_then(|c| c.kind.as_ref()), Some(wire::content::Kind::Notice(_)));
    !notice && !message.push.as_ref().is_some_and(|push| push.silent)
}

/// Hours and minutes, UTC.
fn clock(time: u64) -> String {
    let minutes = time / 60_000 % 1_440;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// The content in words, harmless for a terminal.
pub(super) fn text(message: &wire::Message) -> String {
    use wire::content::Kind;
    let words = match message.content.as_ref().and_then(|content| content.kind.as_ref()) {
        Some(Kind::Text(text)) => text.text.clone(),
        Some(Kind::Notice(notice)) => format!("* {}", notice.text),
        Some(Kind::Sticker(sticker)) => format!("[sticker {}]", sticker.id),
        Some(Kind::Image(image)) => format!("[image {}]", image.url),
        Some(Kind::Voice(voice)) => format!("[voice {}]", voice.url),
        Some(Kind::Video(video)) => format!("[video {}]", video.url),
        Some(Kind::File(file)) => format!("[file {} {}]", file.name, file.url),
        Some(Kind::Location(place)) => format!("[location {} {},{}]", place.title, place.lat, place.lon),
        Some(Kind::Card(card)) => format!("[card {}: {}]", card.title, card.text),
        Some(Kind::Custom(custom)) => format!("[{}]", custom.r#type),
        Some(Kind::Encrypted(_)) => "[encrypted]".into(),
        None => "[something this version does not know]".into(),
    };
    // Escape sequences of a stranger must not reach the terminal.
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seq: u64, from: &str, words: &str) -> Message {
        let kind = wire::content::Kind::Text(wire::Text { text: words.into() });
        let content = Some(wire::Content { kind: Some(kind) });
        let message = wire::Message { from: from.into(), content, ..wire::Message::default() };
        Message { seq: Seq::new(seq), time: 0, peer: "bob".into(), message }
    }

    #[test]
    fn a_message_is_shown_once_and_counts_only_where_nobody_looks() {
        let mut view = View { me: "alice".into(), ..View::default() };
        assert_eq!(view.note(&message(1, "bob", "hi"), None), Show::Elsewhere);
        assert_eq!(view.note(&message(1, "bob", "hi"), None), Show::Nothing);
        assert_eq!(view.note(&message(2, "bob", "hi"), Some("bob")), Show::Here);
        assert_eq!((view.talk("bob").unread, view.unread_elsewhere(Some("bob"))), (1, 0));
    }

    #[test]
    fn ticks_follow_the_receipts() {
        let mut view = View { me: "alice".into(), ..View::default() };
        assert_eq!(view.ticks("bob"), "");
        let _ = view.note(&message(5, "alice", "hi"), Some("bob"));
        assert_eq!(view.ticks("bob"), " ✓");
        view.talk("bob").delivered_upto = Seq::new(5);
        assert_eq!(view.ticks("bob"), " ✓✓");
        view.talk("bob").read_upto = Seq::new(6);
        assert_eq!(view.ticks("bob"), " ✓✓ read");
    }

    #[test]
    fn escape_sequences_of_a_stranger_do_not_reach_the_terminal() {
        assert!(!text(&message(1, "bob", "\u{1b}[2Jboo\r\n\u{7}").message).chars().any(char::is_control));
    }
}
