//! What the server itself must know of a message: the checked draft, its payload hash, and how entries and frames are
//! built around contents that stay encoded.

mod conversation;
mod draft;
mod encoded;
mod entry;
mod group_draft;
#[cfg(test)]
mod tests;

pub use self::{
    conversation::ConversationId,
    draft::{Draft, DraftError, PayloadHash, ReplyTo, counts_as_unread, reference},
    encoded::{Redelivery, encode_group_entries, encode_inbox_entries},
    entry::{MessageParts, RawEntry, RawMessage, conversation_of, conversation_with, encode_message_entry, entry_seq},
    group_draft::{GroupDraft, encode_group_message_entry, mentioned_in},
};
