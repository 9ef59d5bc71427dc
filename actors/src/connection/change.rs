//! Frames that change messages or conversations, checked and translated into operations of the mailbox.

use bytes::Bytes;
use prost::Message as _;
use tidings_schema::{
    change::{Change, MessageName, REACTION_BYTES_MAX},
    error_code::ErrorCode,
    id::{IdError, Seq, Uid},
    wire,
};

use super::request::{Refusal, peer, uid};
use crate::{
    mailbox::delete::DELETE_SEQS_MAX,
    port::link::{ChangeOp, DeleteOp, Deletion, Op},
};

/// `recall`.
pub(super) fn recall(recall: wire::Recall) -> Result<Op, Refusal> {
    let wire::Recall { conversation, seq, author, message_id } = recall;
    change(conversation, seq, &author, &message_id, Change::Recall)
}

/// `edit`.
pub(super) fn edit(edit: wire::Edit, body_bytes_max: usize) -> Result<Op, Refusal> {
    let wire::Edit { conversation, seq, author, message_id, content } = edit;
    let content = content.filter(|content| content.kind.is_some()).ok_or_else(|| missing("content"))?;
    if content.encoded_len() > body_bytes_max {
        let text = format!("content is larger than {body_bytes_max} bytes");
        return Err(Refusal(ErrorCode::BodyTooLarge, text));
    }
    let content = Bytes::from(content.encode_to_vec());
    change(conversation, seq, &author, &message_id, Change::Edit { content })
}

/// `react`, by `from`.
pub(super) fn react(react: wire::React, from: &Uid) -> Result<Op, Refusal> {
    let wire::React { conversation, seq, author, message_id, reaction, removed } = react;
    if reaction.is_empty() || reaction.len() > REACTION_BYTES_MAX || reaction.chars().any(char::is_control) {
        let text = format!("reaction must be 1 to {REACTION_BYTES_MAX} bytes without control characters");
        return Err(Refusal(ErrorCode::BadField, text));
    }
    change(conversation, seq, &author, &message_id, Change::React { from: from.clone(), reaction, removed })
}

fn change(
    conversation: Option<wire::Conversation>,
    seq: u64,
    author: &str,
    message_id: &str,
    change: Change,
) -> Result<Op, Refusal> {
    let peer = peer(conversation)?;
    let author = uid("author", author)?;
    let message_id =
        message_id.parse().map_err(|why: IdError| Refusal(ErrorCode::BadId, format!("messageId {why}")))?;
    if seq == 0 {
        return Err(missing("seq"));
    }
    Ok(Op::Change(ChangeOp { peer, seq: Seq::new(seq), name: MessageName { author, message_id }, change }))
}

/// `delete_for_me`.
pub(super) fn delete_for_me(delete: wire::DeleteForMe) -> Result<Op, Refusal> {
    let peer = peer(delete.conversation)?;
    let what = match (delete.seqs.len(), delete.upto) {
        (0, 0) => return Err(Refusal(ErrorCode::BadField, "seqs or upto must be set".into())),
        (0, upto) => Deletion::Upto(Seq::new(upto)),
        (1..=DELETE_SEQS_MAX, 0) => Deletion::Seqs(delete.seqs.into_iter().map(Seq::new).collect()),
        (1..=DELETE_SEQS_MAX, _) => return Err(Refusal(ErrorCode::BadField, "seqs or upto, not both".into())),
        _ => return Err(Refusal(ErrorCode::BadField, format!("seqs has more than {DELETE_SEQS_MAX}"))),
    };
    Ok(Op::Delete(DeleteOp { peer, what }))
}

/// `delete_conversation`.
pub(super) fn delete_conversation(delete: wire::DeleteConversation) -> Result<Op, Refusal> {
    Ok(Op::Delete(DeleteOp { peer: peer(delete.conversation)?, what: Deletion::Whole }))
}

/// `set_conversation`.
pub(super) fn set_conversation(set: wire::SetConversation) -> Result<Op, Refusal> {
    let peer = peer(set.conversation)?;
    if set.pinned.is_none() && set.muted.is_none() {
        return Err(Refusal(ErrorCode::BadField, "pinned or muted must be set".into()));
    }
    Ok(Op::SetConversation { peer, pinned: set.pinned, muted: set.muted })
}

fn missing(field: &str) -> Refusal {
    Refusal(ErrorCode::BadField, format!("{field} is missing"))
}
