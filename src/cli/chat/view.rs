//! What the chat knows of its conversations; no terminal, no network.

use std::collections::BTreeMap;

use tidings_client::core::{Deleted, Message, MessageRef};
use tidings_schema::{id::Seq, wire};

use super::{command::Setting, shown::Shown};

/// Seconds that "is typing" is shown.
const TYPING_SECONDS: u64 = tidings_client::core::TYPING_SHOWN_MS / 1_000;

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
    pub(super) pinned: bool,
    pub(super) muted: bool,
    /// Seconds that the peer is still shown as typing.
    pub(super) typing_for: u64,
    /// Messages up to here are on the screen (or were counted in the list at the start).
    pub(super) shown_upto: Seq,
}

/// All conversations.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) me: String,
    pub(super) talks: BTreeMap<String, Talk>,
    pub(super) shown: Shown,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// It is on the screen already, or nobody wants to be told of it.
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
            (talk.blocked, talk.pinned, talk.muted) = (listed.blocked, listed.pinned, listed.muted);
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
        } else {
            talk.typing_for = 0;
        }
        if message.seq <= talk.shown_upto {
            return Show::Nothing;
        }
        talk.shown_upto = message.seq;
        if open == Some(message.peer.as_str()) {
            return Show::Here;
        }
        talk.unread += u64::from(!own && !quiet);
        if talk.muted { Show::Nothing } else { Show::Elsewhere }
    }

    /// Notes a message of a page, which is shown in any case.
    pub(super) fn note_old(&mut self, message: &Message) {
        let own = message.message.from == self.me;
        let talk = self.talk(&message.peer);
        talk.last = talk.last.max(message.seq);
        talk.shown_upto = talk.shown_upto.max(message.seq);
        if own {
            talk.last_own = talk.last_own.max(message.seq);
        }
    }

    /// The user read a conversation, here or on another device.
    pub(super) fn read(&mut self, peer: &str) {
        if let Some(talk) = self.talks.get_mut(peer) {
            talk.unread = 0;
        }
    }

    /// What a peer has of ours.
    pub(super) fn receipt(&mut self, peer: &str, delivered_upto: Seq, read_upto: Seq) {
        if let Some(talk) = self.talks.get_mut(peer) {
            talk.delivered_upto = talk.delivered_upto.max(delivered_upto);
            talk.read_upto = talk.read_upto.max(read_upto);
        }
    }

    /// Messages are gone on the user's side; a whole conversation leaves the list, unless it is a blocked one.
    pub(super) fn deleted(&mut self, deleted: &Deleted) {
        self.shown.deleted(deleted);
        let Some(talk) = self.talks.get_mut(&deleted.peer) else { return };
        if deleted.upto >= talk.last {
            talk.unread = 0;
        }
        if deleted.whole && !talk.blocked {
            self.talks.remove(&deleted.peer);
        }
    }

    /// How the user wants a conversation.
    pub(super) fn set(&mut self, peer: &str, setting: Setting) {
        let talk = self.talk(peer);
        match setting {
            Setting::Pinned => talk.pinned = true,
            Setting::Unpinned => talk.pinned = false,
            Setting::Muted => talk.muted = true,
            Setting::Unmuted => talk.muted = false,
            Setting::Blocked => talk.blocked = true,
            Setting::Unblocked => talk.blocked = false,
        }
    }

    /// The peer is writing. True when that was not known.
    pub(super) fn typing(&mut self, peer: &str) -> bool {
        let talk = self.talk(peer);
        std::mem::replace(&mut talk.typing_for, TYPING_SECONDS) == 0
    }

    /// A second passed. True when somebody is still typing.
    pub(super) fn second(&mut self) -> bool {
        self.talks.values_mut().for_each(|talk| talk.typing_for = talk.typing_for.saturating_sub(1));
        self.talks.values().any(|talk| talk.typing_for > 0)
    }

    /// How far the newest own message to a peer has come.
    pub(super) fn ticks(&self, peer: &str) -> &'static str {
        match self.talks.get(peer) {
            Some(talk) if talk.last_own > Seq::ZERO => tick(talk, talk.last_own),
            Some(_) | None => "",
        }
    }

    /// Unread messages outside the open conversation; those of muted ones wait in silence.
    pub(super) fn unread_elsewhere(&self, open: Option<&str>) -> u64 {
        let others = self.talks.iter().filter(|(peer, talk)| open != Some(peer.as_str()) && !talk.muted);
        others.map(|(_, talk)| talk.unread).sum()
    }

    /// The newest message in a conversation that is the user's own, or that is not.
    pub(super) fn newest(&self, peer: &str, own: Own) -> Option<MessageRef> {
        let whose = |message: &MessageRef| (message.author == self.me) == (own == Own::Yes);
        self.shown.newest(peer, whose).map(|named| named.message.clone())
    }
}

/// Whose message is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Yes,
    No,
}

/// How far an own message has come.
pub(super) fn tick(talk: &Talk, seq: Seq) -> &'static str {
    if talk.read_upto >= seq {
        " ✓✓ read"
    } else if talk.delivered_upto >= seq {
        " ✓✓"
    } else {
        " ✓"
    }
}

pub(super) fn peer_of(conversation: Option<&wire::Conversation>) -> Option<&str> {
    match conversation?.conversation.as_ref()? {
        wire::conversation::Conversation::Uid(uid) => Some(uid),
        wire::conversation::Conversation::Gid(_) => None,
    }
}

fn message_of(entry: &wire::Entry) -> Option<&wire::Message> {
    match entry.body.as_ref()? {
        wire::entry::Body::Message(message) => Some(message),
        _ => None,
    }
}

fn counts(message: &wire::Message) -> bool {
    let notice = matches!(message.content.as_ref().and_then(|c| c.kind.as_ref()), Some(wire::content::Kind::Notice(_)));
    !notice && !message.push.as_ref().is_some_and(|push| push.silent)
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
    fn a_muted_conversation_counts_in_silence_and_a_pinned_one_stands_first() {
        let mut view = View { me: "alice".into(), ..View::default() };
        view.set("bob", Setting::Muted);
        assert_eq!(view.note(&message(1, "bob", "hi"), None), Show::Nothing);
        assert_eq!((view.talk("bob").unread, view.unread_elsewhere(None)), (1, 0));
        view.set("zoe", Setting::Pinned);
        view.set("mallory", Setting::Blocked);
        assert_eq!(view.list(), ["  zoe: 0 unread, pinned", "  bob: 1 unread, muted", "  mallory: 0 unread, blocked"]);
        assert_eq!(view.blocked(), ["mallory"]);
    }

    #[test]
    fn typing_is_shown_for_some_seconds_or_until_the_message_is_there() {
        let mut view = View { me: "alice".into(), ..View::default() };
        assert!(view.typing("bob") && !view.typing("bob"));
        let seconds = (1..).take_while(|_| view.second()).count();
        assert_eq!(seconds, 5);
        assert!(view.typing("bob"));
        let _ = view.note(&message(1, "bob", "hi"), Some("bob"));
        assert!(!view.second());
    }
}
