//! Rows of the logs in their domain form, checked once when they are read, and what their records share.

mod group;
mod inbox;
mod inbox_codec;
#[cfg(test)]
mod tests;
mod view;

use bytes::Bytes;

pub use self::{
    group::GroupRow,
    inbox::{InboxRow, RowBody, Way, history_row},
    view::ViewChange,
};
use crate::{
    id::{IdError, LogId, Place, Seq},
    record,
};

/// Why stored bytes are no row. The timeline is corrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Not the Protobuf message it should be.
    #[error("row cannot be decoded")]
    Malformed,
    /// The row says it stands elsewhere than its key.
    #[error("row of key {key} says it is {entry}")]
    WrongSeq {
        /// From the key.
        key: Seq,
        /// From the entry.
        entry: Seq,
    },
    /// A kind this version does not know.
    #[error("row has an unknown kind")]
    Kind,
    /// A field that rows of this kind have is missing or not valid; names it.
    #[error("row field {0} is missing or not valid")]
    Field(&'static str),
}

/// The stored form of a place.
#[must_use]
pub fn place_to_record(place: &Place) -> record::Place {
    record::Place { log_id: Bytes::copy_from_slice(place.log_id.as_bytes()), seq: place.seq.get() }
}

/// Reads the stored form of a place.
///
/// # Errors
/// [`IdError::NotLogId`] unless it names a log.
pub fn place_from_record(place: &record::Place) -> Result<Place, IdError> {
    let log_id = LogId::from_wire(&place.log_id)?.ok_or(IdError::NotLogId)?;
    Ok(Place { log_id, seq: Seq::new(place.seq) })
}
