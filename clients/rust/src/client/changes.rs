//! Changes of messages and conversations.
//!
//! Each waits for a connection and is repeated until the server has said what came of it, in order within a
//! conversation; without a server that may take for ever, so put a time limit around it if the user should not wait.
//! Dropping the future does not take the change back. They live as long as the client: one that had no answer when the
//! client ended was made or was not. The seq in an answer is that of the entry in the own inbox, 0 when nothing had to
//! change.

use tidings_schema::{
    id::{Seq, Uid},
    wire::{self, client_frame::Op, server_frame::Body},
};

use super::Client;
use crate::core::{MessageRef, RequestError, conversation_with};

/// How a conversation is to be shown; what is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Before all others.
    pub pinned: Option<bool>,
    /// Without notifications, and left out of the total of unread messages.
    pub muted: Option<bool>,
}

impl Client {
    /// Takes a message of one's own back, for everybody.
    ///
    /// # Errors
    /// [`RequestError`]: not one's own, too old, or not there.
    pub async fn recall(&self, message: &MessageRef) -> Result<Seq, RequestError> {
        let MessageRef { peer, seq, author, message_id } = message.clone();
        let conversation = Some(conversation_with(&peer));
        self.ok(Op::Recall(wire::Recall { conversation, seq: seq.get(), author, message_id })).await
    }

    /// Puts other content in place of a message of one's own.
    ///
    /// # Errors
    /// [`RequestError`]: not one's own, too old, recalled, or not there.
    pub async fn edit(&self, message: &MessageRef, content: wire::Content) -> Result<Seq, RequestError> {
        let MessageRef { peer, seq, author, message_id } = message.clone();
        let conversation = Some(conversation_with(&peer));
        let (seq, content) = (seq.get(), Some(content));
        self.ok(Op::Edit(wire::Edit { conversation, seq, author, message_id, content })).await
    }

    /// Adds a reaction: an emoji, or a name of the app's own of at most 64 bytes.
    ///
    /// # Errors
    /// [`RequestError`]: recalled, too many, or not there.
    pub async fn react(&self, message: &MessageRef, reaction: &str) -> Result<Seq, RequestError> {
        self.ok(reaction_to(message, reaction, false)).await
    }

    /// Takes a reaction of one's own back.
    ///
    /// # Errors
    /// [`RequestError`]: the message was recalled, or is not there.
    pub async fn unreact(&self, message: &MessageRef, reaction: &str) -> Result<Seq, RequestError> {
        self.ok(reaction_to(message, reaction, true)).await
    }

    /// Deletes messages on the user's own side, at most 100 at a time; the peer keeps them.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn delete(&self, peer: &Uid, seqs: &[Seq]) -> Result<Seq, RequestError> {
        let conversation = Some(conversation_with(peer.as_str()));
        let seqs = seqs.iter().map(|seq| seq.get()).collect();
        self.ok(Op::DeleteForMe(wire::DeleteForMe { conversation, seqs, upto: 0 })).await
    }

    /// Deletes all messages up to a place on the user's own side.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn delete_upto(&self, peer: &Uid, upto: Seq) -> Result<Seq, RequestError> {
        let conversation = Some(conversation_with(peer.as_str()));
        self.ok(Op::DeleteForMe(wire::DeleteForMe { conversation, seqs: Vec::new(), upto: upto.get() })).await
    }

    /// Deletes all messages on the user's own side, and takes the conversation off the list until its next message.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn delete_conversation(&self, peer: &Uid) -> Result<Seq, RequestError> {
        let conversation = Some(conversation_with(peer.as_str()));
        self.ok(Op::DeleteConversation(wire::DeleteConversation { conversation })).await
    }

    /// Sets how a conversation is shown, on all devices of the user.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn set_conversation(&self, peer: &Uid, settings: Settings) -> Result<Seq, RequestError> {
        let conversation = Some(conversation_with(peer.as_str()));
        let Settings { pinned, muted } = settings;
        self.ok(Op::SetConversation(wire::SetConversation { conversation, pinned, muted })).await
    }

    /// Blocks a peer: the user hears nothing more of it, and it learns nothing of that.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn block(&self, peer: &Uid) -> Result<Seq, RequestError> {
        self.ok(Op::Block(wire::Block { uid: peer.to_string() })).await
    }

    /// Takes a block back.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn unblock(&self, peer: &Uid) -> Result<Seq, RequestError> {
        self.ok(Op::Unblock(wire::Unblock { uid: peer.to_string() })).await
    }

    async fn ok(&self, op: Op) -> Result<Seq, RequestError> {
        match self.request(op).await? {
            Body::Ok(ok) => Ok(Seq::new(ok.seq)),
            _ => Err(RequestError::Unexpected),
        }
    }
}

fn reaction_to(message: &MessageRef, reaction: &str, removed: bool) -> Op {
    let MessageRef { peer, seq, author, message_id } = message.clone();
    let (conversation, reaction) = (Some(conversation_with(&peer)), reaction.to_owned());
    Op::React(wire::React { conversation, seq: seq.get(), author, message_id, reaction, removed })
}
