//! What can become of a message after it was sent: recalled, edited, reacted to. A change is a row of its own; beside it
//! the message's stored row is written anew, so that nobody reads what it said before. Doing that twice is doing it once.

use bytes::Bytes;
use prost::Message as _;

use crate::{
    id::{Gid, MessageId, Millis, Seq, Uid},
    message::{RawEntry, conversation_of, conversation_with},
    wire,
};

/// Bytes of one reaction at most.
pub const REACTION_BYTES_MAX: usize = 64;
/// Reactions of one user on one message at most; more are refused (4010).
pub const REACTIONS_MAX: usize = 8;

/// Whose message, and which of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageName {
    /// Who wrote it.
    pub author: Uid,
    /// The author's id for it.
    pub message_id: MessageId,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its author takes it back.
    Recall,
    /// Its author says it differently.
    Edit {
        /// Encoded `wire::Content`; empty in a stored row once a later change has replaced it.
        content: Bytes,
    },
    /// Somebody reacts to it.
    React {
        /// Who.
        from: Uid,
        /// An emoji or a name of the app's own.
        reaction: String,
        /// Takes the reaction back.
        removed: bool,
    },
}

/// A change as its row in the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The row.
    pub seq: Seq,
    /// When.
    pub time: Millis,
    /// What.
    pub change: Change,
}

/// What a change needs to know of a stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The encoded `wire::Entry`.
    pub entry: Bytes,
    /// The newest row that edited it; zero = none.
    pub edited_by: Seq,
}

impl Stored {
    /// The message after a change, and the older edit whose row must not say its content any more (zero = none). `None`
    /// when nothing changes: the entry is no message, or was recalled, or this or a later edit is in it already.
    #[must_use]
    pub fn changed(&self, made: &Made) -> Option<(Self, Seq)> {
        let mut entry = RawEntry::decode(self.entry.clone()).ok()?;
        let message = entry.message.as_mut().filter(|message| !message.recalled)?;
        let mut edited_by = self.edited_by;
        let mut strip = Seq::ZERO;
        match &made.change {
            Change::Recall => {
                message.recalled = true;
                message.content = Bytes::new();
                message.push = None;
                message.edited_time = 0;
                message.reactions.clear();
                strip = edited_by;
            }
            Change::Edit { content } if made.seq > edited_by && !content.is_empty() => {
                message.content = content.clone();
                message.push = None;
                message.edited_time = made.time.get();
                strip = std::mem::replace(&mut edited_by, made.seq);
            }
            Change::Edit { .. } => return None,
            Change::React { from, reaction, removed } => {
                let given = wire::GivenReaction { from: from.to_string(), reaction: reaction.clone() };
                let given = Bytes::from(given.encode_to_vec());
                let stands = message.reactions.contains(&given);
                match (stands, *removed) {
                    (false, false) => message.reactions.push(given),
                    (true, true) => message.reactions.retain(|known| *known != given),
                    (true, false) | (false, true) => return None,
                }
            }
        }
        Some((Self { entry: entry.encode_to_vec().into(), edited_by }, strip))
    }

    fn is_recalled(&self) -> bool {
        let entry = RawEntry::decode(self.entry.clone()).ok();
        entry.and_then(|entry| entry.message).is_some_and(|message| message.recalled)
    }

    /// The row that a change may leave behind: that of the newest edit, when the message is recalled.
    #[must_use]
    pub fn stale_edit(&self, made: &Made) -> Seq {
        match made.change {
            // Also when the recall is in the message already: a crash may have come before the edit was stripped.
            Change::Recall => self.edited_by,
            // A message that was recalled takes no edit, and the edit shows nothing either.
            Change::Edit { .. } if made.seq < self.edited_by || self.is_recalled() => made.seq,
            Change::Edit { .. } | Change::React { .. } => Seq::ZERO,
        }
    }
}

/// How many reactions of `from` stand on the message, and whether this one does.
#[must_use]
pub fn reactions_of(entry: &wire::Message, from: &Uid, reaction: &str) -> (usize, bool) {
    let own = || entry.reactions.iter().filter(|given| given.from == from.as_str());
    (own().count(), own().any(|given| given.reaction == reaction))
}

/// The entry of an edit without what it said; other entries come back as they are.
#[must_use]
pub fn without_content(entry: &Bytes) -> Bytes {
    match wire::Entry::decode(entry.clone()) {
        Ok(wire::Entry { seq, time, body: Some(wire::entry::Body::Edited(edited)) }) => {
            let edited = wire::Edited { content: None, ..edited };
            wire::Entry { seq, time, body: Some(wire::entry::Body::Edited(edited)) }.encode_to_vec().into()
        }
        Ok(_) | Err(_) => entry.clone(),
    }
}

/// The body of a change's entry, as the owner of the inbox sees it: `target` is the message's seq there.
#[must_use]
pub fn entry_body(peer: &Uid, target: Seq, name: &MessageName, change: &Change) -> wire::entry::Body {
    body_in(conversation_with(peer), String::new(), target, name, change)
}

/// The body of a change's entry in a group's log, made by `by`.
#[must_use]
pub fn group_entry_body(gid: &Gid, by: &Uid, target: Seq, name: &MessageName, change: &Change) -> wire::entry::Body {
    let by = if *by == name.author { String::new() } else { by.to_string() };
    body_in(conversation_of(gid), by, target, name, change)
}

fn body_in(
    conversation: wire::Conversation,
    by: String,
    target: Seq,
    name: &MessageName,
    change: &Change,
) -> wire::entry::Body {
    let conversation = Some(conversation);
    let (seq, author, message_id) = (target.get(), name.author.to_string(), name.message_id.to_string());
    match change {
        Change::Recall => wire::entry::Body::Recalled(wire::Recalled { conversation, seq, author, message_id, by }),
        Change::Edit { content } => {
            // It was decoded when it was taken; an empty one has none.
            let content = wire::Content::decode(content.clone()).ok().filter(|content| content.kind.is_some());
            wire::entry::Body::Edited(wire::Edited { conversation, seq, author, message_id, content })
        }
        Change::React { from, reaction, removed } => wire::entry::Body::Reaction(wire::Reaction {
            conversation,
            seq,
            author,
            message_id,
            from: from.to_string(),
            reaction: reaction.clone(),
            removed: *removed,
        }),
    }
}

/// Reads what [`entry_body`] made: the message's seq, its name, and the change.
#[must_use]
pub fn from_entry_body(body: wire::entry::Body) -> Option<(Seq, MessageName, Change)> {
    let (seq, author, message_id, change) = match body {
        wire::entry::Body::Recalled(it) => (it.seq, it.author, it.message_id, Change::Recall),
        wire::entry::Body::Edited(it) => {
            let content = it.content.map_or_else(Bytes::new, |content| content.encode_to_vec().into());
            (it.seq, it.author, it.message_id, Change::Edit { content })
        }
        wire::entry::Body::Reaction(it) => {
            let from = it.from.parse().ok()?;
            (it.seq, it.author, it.message_id, Change::React { from, reaction: it.reaction, removed: it.removed })
        }
        _ => return None,
    };
    let name = MessageName { author: author.parse().ok()?, message_id: message_id.parse().ok()? };
    Some((Seq::new(seq), name, change))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(name: &str) -> Uid {
        name.parse().unwrap()
    }

    fn content(text: &str) -> wire::Content {
        wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: text.into() })) }
    }

    fn message(text: &str) -> Stored {
        let message = wire::Message {
            message_id: "0198e0c2-0000-7000-8000-000000000001".into(),
            from: "alice".into(),
            content: Some(content(text)),
            push: Some(wire::PushHint { body: text.into(), ..Default::default() }),
            ..Default::default()
        };
        let entry = wire::Entry { seq: 3, time: 7, body: Some(wire::entry::Body::Message(message)) };
        Stored { entry: entry.encode_to_vec().into(), edited_by: Seq::ZERO }
    }

    fn made(seq: u64, change: Change) -> Made {
        Made { seq: Seq::new(seq), time: Millis::new(seq * 10), change }
    }

    fn edit(seq: u64, text: &str) -> Made {
        made(seq, Change::Edit { content: content(text).encode_to_vec().into() })
    }

    fn react(seq: u64, reaction: &str, removed: bool) -> Made {
        made(seq, Change::React { from: uid("alice"), reaction: reaction.into(), removed })
    }

    fn said(stored: &Stored) -> wire::Message {
        match wire::Entry::decode(stored.entry.clone()).unwrap().body.unwrap() {
            wire::entry::Body::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_recalled_message_says_nothing_any_more_and_keeps_its_name() {
        let (edited, _) = message("secret").changed(&edit(5, "other secret")).unwrap();
        let (recalled, strip) = edited.changed(&made(6, Change::Recall)).unwrap();
        let now = said(&recalled);
        assert_eq!((now.content, now.push, now.edited_time, now.recalled), (None, None, 0, true));
        assert_eq!((now.message_id, now.from), (said(&edited).message_id, "alice".to_owned()));
        assert_eq!(strip, Seq::new(5), "the edit must not say it either");
        assert!(!recalled.entry.windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(recalled.changed(&edit(7, "again")), None);
        assert_eq!(recalled.stale_edit(&made(6, Change::Recall)), Seq::new(5), "a replay strips it once more");
    }

    #[test]
    fn the_newest_edit_is_what_a_message_says_however_often_edits_are_replayed() {
        let (first, strip) = message("a").changed(&edit(5, "b")).unwrap();
        assert_eq!(strip, Seq::ZERO);
        let (second, strip) = first.changed(&edit(6, "c")).unwrap();
        assert_eq!((strip, said(&second).content, said(&second).edited_time), (Seq::new(5), Some(content("c")), 60));
        assert_eq!(second.changed(&edit(5, "b")), None);
        assert_eq!(second.changed(&edit(6, "c")), None);
        assert_eq!(second.stale_edit(&edit(5, "b")), Seq::new(5));
        assert_eq!(
            first.changed(&made(6, Change::Edit { content: Bytes::new() })),
            None,
            "a stripped edit says nothing"
        );
    }

    #[test]
    fn a_reaction_stands_once_until_it_is_taken_back() {
        let (one, _) = message("a").changed(&react(5, "+1", false)).unwrap();
        assert_eq!(one.changed(&react(5, "+1", false)), None);
        assert_eq!(reactions_of(&said(&one), &uid("alice"), "+1"), (1, true));
        assert_eq!(reactions_of(&said(&one), &uid("bob"), "+1"), (0, false));
        let (none, _) = one.changed(&react(6, "+1", true)).unwrap();
        assert_eq!(said(&none).reactions, []);
        assert_eq!(none.changed(&react(6, "+1", true)), None);
    }

    #[test]
    fn a_change_reads_back_from_its_entry() {
        let name = MessageName { author: uid("alice"), message_id: said(&message("a")).message_id.parse().unwrap() };
        for change in [Change::Recall, edit(5, "b").change, react(5, "+1", true).change] {
            let body = entry_body(&uid("bob"), Seq::new(3), &name, &change);
            assert_eq!(from_entry_body(body), Some((Seq::new(3), name.clone(), change)));
        }
    }

    #[test]
    fn a_stripped_edit_keeps_everything_but_its_content() {
        let name = MessageName { author: uid("alice"), message_id: said(&message("a")).message_id.parse().unwrap() };
        let body = entry_body(&uid("bob"), Seq::new(3), &name, &edit(5, "secret").change);
        let entry = wire::Entry { seq: 5, time: 50, body: Some(body) }.encode_to_vec().into();
        let stripped = wire::Entry::decode(without_content(&entry)).unwrap();
        assert_eq!((stripped.seq, stripped.time), (5, 50));
        let (seq, named, change) = from_entry_body(stripped.body.unwrap()).unwrap();
        assert_eq!((seq, named, change), (Seq::new(3), name, Change::Edit { content: Bytes::new() }));
        assert_eq!(without_content(&message("a").entry), message("a").entry);
    }
}
