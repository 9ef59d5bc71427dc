//! Every error a client can get: a number, and what to do about it. docs/errors.md is this table in prose.
//!
//! Ranges: 1xxx the frame, 2xxx who you are, 3xxx what you may, 4xxx what you ask does not fit the state, 5xxx try again.

/// An error of the protocol. The number is the discriminant and is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum ErrorCode {
    /// The frame could not be parsed; the connection is closed.
    BadFrame = 1001,
    /// The frame is larger than `frame_bytes_max`; the connection is closed.
    FrameTooLarge = 1002,
    /// An id is empty, too long or has a character outside the alphabet; the text names the field.
    BadId = 1003,
    /// A field that must be set is not, or has no legal value; the text names the field.
    BadField = 1004,
    /// The content is larger than `body_bytes_max`.
    BodyTooLarge = 1005,
    /// The first frame was not `hello`, or `hello` came twice.
    WrongOrder = 1006,
    /// The operation is not known to this server.
    UnknownOp = 1007,
    /// The token is malformed, forged, of another algorithm, not valid yet, or of another user or device.
    BadToken = 2001,
    /// The token is not valid any more.
    TokenExpired = 2002,
    /// No `hello` came in time.
    HelloTimeout = 2003,
    /// The token was issued before the user or the device was signed out; the connection is closed.
    TokenRevoked = 2004,
    /// The recipient does not exist for this sender.
    NotAllowed = 3001,
    /// The caller has blocked this user; unblock first.
    PeerBlocked = 3002,
    /// Only the author of a message may recall or edit it.
    NotAuthor = 3003,
    /// The caller is no member of the group.
    NotMember = 3004,
    /// The caller's role in the group does not allow it.
    RoleTooLow = 3005,
    /// The group is joined by invitation only.
    InviteOnly = 3006,
    /// The caller may not send in the group for some time; `retry_after_ms` says for how long.
    Muted = 3007,
    /// Only the owner and admins may send in the group.
    GroupMuted = 3008,
    /// This message id was used before with another payload.
    MessageIdConflict = 4001,
    /// The message id was made more than 13 days ago, beyond the window of idempotency.
    MessageIdTooOld = 4002,
    /// The acknowledged seq is above the head of the timeline.
    AckAboveHead = 4003,
    /// The seq is no row of that conversation.
    NoSuchSeq = 4004,
    /// There is no conversation with that user, or in that group.
    NoSuchConversation = 4005,
    /// The timeline is stopped because a stored row is damaged; an operator has to look.
    Corrupt = 4006,
    /// The conversation has more single deletions than are kept; delete everything up to a message instead.
    TooManyDeletions = 4007,
    /// The message was recalled: it cannot be edited or reacted to any more.
    MessageRecalled = 4008,
    /// The message is older than messages that may be recalled or edited.
    TooLate = 4009,
    /// The message has as many reactions of the caller as it may.
    TooManyReactions = 4010,
    /// No group has this id.
    NoSuchGroup = 4011,
    /// The group was dismissed. Its id is never used again.
    GroupDismissed = 4012,
    /// Somebody else made a group of this id.
    GroupTaken = 4013,
    /// The group has as many members as it may.
    GroupFull = 4014,
    /// The user it is about is no member of the group.
    NoSuchMember = 4015,
    /// The owner hands the group over or dismisses it first.
    OwnerStays = 4016,
    /// Outcome unknown: resend the same message id with `retry`.
    OutcomeUnknown = 5001,
    /// The store cannot be written now, or the node stops; nothing was taken.
    Unavailable = 5002,
    /// A queue is full, or an earlier frame to the same target was refused; nothing was taken.
    Busy = 5003,
    /// More frames per second than allowed; nothing was taken.
    RateLimited = 5004,
    /// The node has as many connections as it may.
    TooManyConnections = 5005,
    /// More first messages to new people per hour than allowed; nothing was taken.
    NewPeersLimited = 5006,
}

/// What a client does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The connection is (to be) closed; come back with a new one.
    pub reconnect: Reconnect,
    /// The same operation may succeed later.
    pub retry: Retry,
}

/// Whether an error ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// The connection stays.
    Stays,
    /// The connection is closed; reconnect with backoff.
    Closed,
    /// The connection is closed, and another one would be too until something is changed.
    ClosedForGood,
}

/// Whether to repeat an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It would be refused again.
    No,
    /// Repeat it unchanged, after `retry_after_ms` or with backoff.
    Same,
}

impl ErrorCode {
    /// Every code, in order of number.
    pub const ALL: &'static [Self] = &[
        Self::BadFrame,
        Self::FrameTooLarge,
        Self::BadId,
        Self::BadField,
        Self::BodyTooLarge,
        Self::WrongOrder,
        Self::UnknownOp,
        Self::BadToken,
        Self::TokenExpired,
        Self::HelloTimeout,
        Self::TokenRevoked,
        Self::NotAllowed,
        Self::PeerBlocked,
        Self::NotAuthor,
        Self::NotMember,
        Self::RoleTooLow,
        Self::InviteOnly,
        Self::Muted,
        Self::GroupMuted,
        Self::MessageIdConflict,
        Self::MessageIdTooOld,
        Self::AckAboveHead,
        Self::NoSuchSeq,
        Self::NoSuchConversation,
        Self::Corrupt,
        Self::TooManyDeletions,
        Self::MessageRecalled,
        Self::TooLate,
        Self::TooManyReactions,
        Self::NoSuchGroup,
        Self::GroupDismissed,
        Self::GroupTaken,
        Self::GroupFull,
        Self::NoSuchMember,
        Self::OwnerStays,
        Self::OutcomeUnknown,
        Self::Unavailable,
        Self::Busy,
        Self::RateLimited,
        Self::TooManyConnections,
        Self::NewPeersLimited,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The code with that number; `None` for one this version does not know (treat it by its range).
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }

    /// What the client does about it.
    #[must_use]
    pub const fn advice(self) -> Advice {
        let (reconnect, retry) = match self {
            Self::BadFrame | Self::FrameTooLarge | Self::WrongOrder => (Reconnect::ClosedForGood, Retry::No),
            Self::BadToken | Self::TokenExpired | Self::TokenRevoked => (Reconnect::ClosedForGood, Retry::No),
            Self::HelloTimeout | Self::TooManyConnections => (Reconnect::Closed, Retry::Same),
            Self::BadId | Self::BadField | Self::BodyTooLarge | Self::UnknownOp => (Reconnect::Stays, Retry::No),
            Self::NotAllowed | Self::PeerBlocked | Self::NotAuthor => (Reconnect::Stays, Retry::No),
            Self::NotMember | Self::RoleTooLow | Self::InviteOnly => (Reconnect::Stays, Retry::No),
            Self::Muted | Self::GroupMuted | Self::NoSuchMember | Self::OwnerStays => (Reconnect::Stays, Retry::No),
            Self::NoSuchGroup | Self::GroupDismissed | Self::GroupTaken | Self::GroupFull => {
                (Reconnect::Stays, Retry::No)
            }
            Self::MessageIdConflict | Self::MessageIdTooOld | Self::AckAboveHead => (Reconnect::Stays, Retry::No),
            Self::NoSuchSeq | Self::NoSuchConversation | Self::Corrupt => (Reconnect::Stays, Retry::No),
            Self::TooManyDeletions | Self::MessageRecalled | Self::TooLate | Self::TooManyReactions => {
                (Reconnect::Stays, Retry::No)
            }
            Self::OutcomeUnknown | Self::Unavailable | Self::Busy | Self::RateLimited | Self::NewPeersLimited => {
                (Reconnect::Stays, Retry::Same)
            }
        };
        Advice { reconnect, retry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_unique_and_finds_its_code_again() {
        for pair in ErrorCode::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number());
        }
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), Some(code));
        }
        assert_eq!(ErrorCode::from_number(9999), None);
    }

    #[test]
    fn only_the_5xxx_range_and_connection_errors_may_be_retried() {
        for &code in ErrorCode::ALL {
            let retry = code.advice().retry == Retry::Same;
            assert_eq!(retry, code.number() >= 5000 || code == ErrorCode::HelloTimeout, "{code:?}");
        }
    }
}
