//! Why a field of a frame cannot be taken: the field is named, what stood in it is not repeated.

use crate::{error_code::ErrorCode, group::SettingTooLong, id::IdError};

/// A field that is wrong, by the name it has in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// An id is malformed.
    #[error("{0} {1}")]
    Id(&'static str, IdError),
    /// It must be set and is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A text has more bytes than this.
    #[error("{0} is longer than {1} bytes")]
    TooLong(&'static str, usize),
    /// A list has more items than this.
    #[error("{0} has more than {1}")]
    TooMany(&'static str, usize),
    /// It has no legal value; says what is wrong with it.
    #[error("{0} {1}")]
    Value(&'static str, &'static str),
}

impl FieldError {
    /// The code a client gets.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Id(..) => ErrorCode::BadId,
            Self::Missing(_) | Self::TooLong(..) | Self::TooMany(..) | Self::Value(..) => ErrorCode::BadField,
        }
    }
}

impl From<SettingTooLong> for FieldError {
    fn from(SettingTooLong(field, bytes_max): SettingTooLong) -> Self {
        Self::TooLong(field, bytes_max)
    }
}
