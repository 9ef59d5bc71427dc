//! The messages a person can name: their short numbers, and how each began. Forgets the words of what is taken back.

use std::collections::BTreeMap;

use tidings_client::core::{Deleted, Message, MessageRef};
use tidings_schema::{id::Seq, wire};

use super::words;

/// Messages that have a number; the oldest lose theirs.
const NUMBERED_MAX: usize = 2_000;

/// A message that was on the screen.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) message: MessageRef,
    /// How it begins; empty when it was taken back.
    pub(super) excerpt: String,
}

/// All of them. A number means the same message until the chat ends.
#[derive(Debug, Default)]
pub(super) struct Shown {
    last: u32,
    by_number: BTreeMap<u32, Named>,
    by_place: BTreeMap<(String, Seq), u32>,
}

impl Shown {
    /// The number of a message, as it is now.
    pub(super) fn note(&mut self, message: &Message) -> u32 {
        let place = (message.peer.clone(), message.seq);
        let number = *self.by_place.entry(place).or_insert_with(|| {
            self.last += 1;
            self.last
        });
        self.by_number.insert(number, Named { message: message.reference(), excerpt: words::excerpt(message) });
        if self.by_number.len() > NUMBERED_MAX
            && let Some((_, oldest)) = self.by_number.pop_first()
        {
            self.by_place.remove(&(oldest.message.peer, oldest.message.seq));
        }
        number
    }

    pub(super) fn named(&self, number: u32) -> Option<&Named> {
        self.by_number.get(&number)
    }

    /// The number of a message that somebody says something about.
    pub(super) fn number_of(&self, message: &MessageRef) -> Option<u32> {
        self.by_place.get(&(message.peer.clone(), message.seq)).copied()
    }

    /// The newest message of a conversation that `whose` accepts.
    pub(super) fn newest(&self, peer: &str, whose: impl Fn(&MessageRef) -> bool) -> Option<&Named> {
        let places = self.by_place.range((peer.to_owned(), Seq::ZERO)..=(peer.to_owned(), Seq::new(u64::MAX)));
        let named = places.rev().filter_map(|(_, number)| self.by_number.get(number));
        named.into_iter().find(|named| whose(&named.message))
    }

    /// A message says something else now, or nothing any more.
    pub(super) fn changed(&mut self, message: &MessageRef, new: Option<&wire::Content>) {
        let number = self.number_of(message);
        if let Some(named) = number.and_then(|number| self.by_number.get_mut(&number)) {
            named.excerpt = new.map(|new| words::excerpt_of(Some(new))).unwrap_or_default();
        }
    }

    /// Messages are gone: their numbers mean nothing any more.
    pub(super) fn deleted(&mut self, deleted: &Deleted) {
        let gone = |message: &MessageRef| message.peer == deleted.peer && deleted.contains(message.seq);
        self.by_number.retain(|_, named| !gone(&named.message));
        self.by_place.retain(|(peer, seq), _| *peer != deleted.peer || !deleted.contains(*seq));
    }

    /// How a line calls a message: its number and how it begins.
    pub(super) fn call(&self, message: &MessageRef) -> String {
        let number = self.number_of(message);
        match number.and_then(|number| self.by_number.get(&number).map(|named| (number, &named.excerpt))) {
            Some((number, excerpt)) if excerpt.is_empty() => number.to_string(),
            Some((number, excerpt)) => format!("{number} \"{excerpt}\""),
            None => "an earlier message".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seq: u64, from: &str, words: &str) -> Message {
        let content = Some(tidings_client::core::plain_text(words));
        let message = wire::Message { from: from.into(), content, ..wire::Message::default() };
        Message { seq: Seq::new(seq), time: 0, peer: "bob".into(), message }
    }

    #[test]
    fn a_message_keeps_its_number_and_what_is_taken_back_or_edited_is_not_quoted_any_more() {
        let mut shown = Shown::default();
        let (first, second) = (message(5, "me", "a secret"), message(9, "bob", "hello"));
        assert_eq!((shown.note(&first), shown.note(&second), shown.note(&first)), (1, 2, 1));
        assert_eq!(shown.call(&first.reference()), "1 \"a secret\"");
        shown.changed(&first.reference(), Some(&tidings_client::core::plain_text("nothing")));
        assert_eq!(shown.call(&first.reference()), "1 \"nothing\"");
        shown.changed(&first.reference(), None);
        assert_eq!(shown.call(&first.reference()), "1");
        let mine = |message: &MessageRef| message.author == "me";
        assert_eq!(shown.newest("bob", mine).map(|named| named.message.seq), Some(Seq::new(5)));
        assert!(shown.newest("carol", mine).is_none());
    }

    #[test]
    fn numbers_of_deleted_messages_and_of_very_old_ones_mean_nothing() {
        let mut shown = Shown::default();
        for seq in 1..=2_001 {
            let _ = shown.note(&message(seq, "bob", "hi"));
        }
        assert!(shown.named(1).is_none() && shown.named(2_001).is_some());
        let upto = Seq::new(10);
        shown.deleted(&Deleted { seq: upto, peer: "bob".into(), seqs: vec![Seq::new(20)], upto, whole: false });
        assert!(shown.named(10).is_none() && shown.named(20).is_none() && shown.named(11).is_some());
        assert_eq!(shown.call(&message(20, "bob", "").reference()), "an earlier message");
    }
}
