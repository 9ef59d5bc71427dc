//! Where a message belongs: to a peer or to a group. Checked when a client names it.

use super::entry::{conversation_of, conversation_with};
use crate::{
    field::FieldError,
    id::{Gid, Uid},
    wire,
};

/// A conversation, as one user names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConversationId {
    /// With this peer.
    User(Uid),
    /// In this group.
    Group(Gid),
}

impl ConversationId {
    /// Reads the field `conversation`.
    ///
    /// # Errors
    /// [`FieldError`] names what is wrong with it.
    pub fn from_wire(conversation: Option<&wire::Conversation>) -> Result<Self, FieldError> {
        use wire::conversation::Conversation;
        match conversation.and_then(|conversation| conversation.conversation.as_ref()) {
            Some(Conversation::Uid(text)) => user("conversation.uid", text),
            Some(Conversation::Gid(text)) => group("conversation.gid", text),
            None => Err(FieldError::Missing("conversation")),
        }
    }

    /// Reads the field `to`.
    ///
    /// # Errors
    /// [`FieldError`] names what is wrong with it.
    pub fn from_target(to: Option<&wire::Target>) -> Result<Self, FieldError> {
        use wire::target::Target;
        match to.and_then(|to| to.target.as_ref()) {
            Some(Target::Uid(text)) => user("to.uid", text),
            Some(Target::Gid(text)) => group("to.gid", text),
            None => Err(FieldError::Missing("to")),
        }
    }

    /// As said on the wire.
    #[must_use]
    pub fn to_wire(&self) -> wire::Conversation {
        match self {
            Self::User(uid) => conversation_with(uid),
            Self::Group(gid) => conversation_of(gid),
        }
    }
}

fn user(field: &'static str, text: &str) -> Result<ConversationId, FieldError> {
    text.parse().map(ConversationId::User).map_err(|why| FieldError::Id(field, why))
}

fn group(field: &'static str, text: &str) -> Result<ConversationId, FieldError> {
    text.parse().map(ConversationId::Group).map_err(|why| FieldError::Id(field, why))
}
