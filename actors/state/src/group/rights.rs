//! Who may do what in a group: one table.

use tidings_schema::{
    error_code::ErrorCode,
    group::Role,
    id::{Millis, Uid},
};

/// Where somebody stands, from the least to the most rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// No member.
    Outsider,
    /// A member.
    Member,
    /// An admin.
    Admin,
    /// The owner.
    Owner,
    /// The app's own server, with an `adm` token. It is in no group and may act in all.
    Server,
}

impl From<Option<Role>> for Rank {
    fn from(role: Option<Role>) -> Self {
        match role {
            None => Self::Outsider,
            Some(Role::Member) => Self::Member,
            Some(Role::Admin) => Self::Admin,
            Some(Role::Owner) => Self::Owner,
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller<'a> {
    /// This user.
    User(&'a Uid),
    /// The app's own server, under a name that begins with `@`.
    Server(&'a Uid),
}

impl Caller<'_> {
    /// The name that rows carry.
    #[must_use]
    pub fn uid(&self) -> &Uid {
        match self {
            Self::User(uid) | Self::Server(uid) => uid,
        }
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Read entries, history, settings and members.
    Read,
    /// Send a message, edit an own one, react, type.
    Speak,
    /// The same while the whole group is muted.
    SpeakInMuted,
    /// Mention everybody.
    MentionAll,
    /// Add members to a group that is open.
    AddToOpen,
    /// Add members to any other group.
    Add,
    /// Remove a member.
    Remove,
    /// Make a member an admin, or an admin a member.
    GiveRole,
    /// Make another member the owner.
    Transfer,
    /// Mute a member, or let it speak again.
    MuteMember,
    /// Mute the group, or let it speak again.
    MuteGroup,
    /// Change name, avatar or notice.
    Update,
    /// Change who may join and what new members see.
    UpdateRules,
    /// Recall messages of others.
    RecallOthers,
    /// End the group.
    Dismiss,
}

/// Whom a deed is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// Nobody in particular.
    Nobody,
    /// A member with fewer rights than the caller.
    Lower,
}

/// The rights: a deed, the least rank that may do it, and to whom.
const RIGHTS: [(Deed, Rank, Over); 15] = [
    (Deed::Read, Rank::Member, Over::Nobody),
    (Deed::Speak, Rank::Member, Over::Nobody),
    (Deed::SpeakInMuted, Rank::Admin, Over::Nobody),
    (Deed::MentionAll, Rank::Admin, Over::Nobody),
    (Deed::AddToOpen, Rank::Member, Over::Nobody),
    (Deed::Add, Rank::Admin, Over::Nobody),
    (Deed::Remove, Rank::Admin, Over::Lower),
    (Deed::GiveRole, Rank::Owner, Over::Lower),
    (Deed::Transfer, Rank::Owner, Over::Lower),
    (Deed::MuteMember, Rank::Admin, Over::Lower),
    (Deed::MuteGroup, Rank::Admin, Over::Nobody),
    (Deed::Update, Rank::Admin, Over::Nobody),
    (Deed::UpdateRules, Rank::Owner, Over::Nobody),
    (Deed::RecallOthers, Rank::Admin, Over::Nobody),
    (Deed::Dismiss, Rank::Owner, Over::Nobody),
];

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No group has this id.
    #[error("there is no such group")]
    NoSuchGroup,
    /// The group has ended. Its id is never used again.
    #[error("the group was dismissed")]
    Dismissed,
    /// Somebody else has created a group with this id.
    #[error("the group id is taken")]
    Taken,
    /// The caller is no member.
    #[error("not a member of the group")]
    NotMember,
    /// The user it is about is no member.
    #[error("the user is not a member of the group")]
    TargetNotMember,
    /// The caller's role does not allow it.
    #[error("the role in the group does not allow this")]
    NotAllowed,
    /// Members are added, they do not join.
    #[error("the group is joined by invitation only")]
    InviteOnly,
    /// The owner hands the group over or dismisses it first.
    #[error("the owner must transfer or dismiss the group first")]
    OwnerStays,
    /// The caller may not send before this time.
    #[error("muted in the group")]
    Muted(Millis),
    /// Only admins and the owner may send.
    #[error("the group is muted")]
    GroupMuted,
    /// The group has as many members as it may.
    #[error("the group is full")]
    Full,
    /// More users than one call may name.
    #[error("too many users in one call")]
    TooMany,
    /// Only the author edits a message.
    #[error("only the author may change the message")]
    NotAuthor,
    /// The message is too old for that.
    #[error("the message is too old to be recalled or edited")]
    TooLate,
}

impl Refusal {
    /// The code a client gets.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::NoSuchGroup => ErrorCode::NoSuchGroup,
            Self::Dismissed => ErrorCode::GroupDismissed,
            Self::Taken => ErrorCode::GroupTaken,
            Self::NotMember => ErrorCode::NotMember,
            Self::TargetNotMember => ErrorCode::NoSuchMember,
            Self::NotAllowed => ErrorCode::RoleTooLow,
            Self::InviteOnly => ErrorCode::InviteOnly,
            Self::OwnerStays => ErrorCode::OwnerStays,
            Self::Muted(_) => ErrorCode::Muted,
            Self::GroupMuted => ErrorCode::GroupMuted,
            Self::Full => ErrorCode::GroupFull,
            Self::TooMany => ErrorCode::BadField,
            Self::NotAuthor => ErrorCode::NotAuthor,
            Self::TooLate => ErrorCode::TooLate,
        }
    }
}

/// Whether `caller` may do `deed` to `target` (for deeds that are done to nobody: any).
///
/// # Errors
/// [`Refusal::NotMember`], [`Refusal::TargetNotMember`] or [`Refusal::NotAllowed`].
pub fn may(caller: Rank, deed: Deed, target: Rank) -> Result<(), Refusal> {
    let (least, over) = RIGHTS
        .iter()
        .find(|(of, ..)| *of == deed)
        .map_or((Rank::Server, Over::Nobody), |(_, least, over)| (*least, *over));
    if caller == Rank::Outsider {
        return Err(Refusal::NotMember);
    }
    if caller < least {
        return Err(Refusal::NotAllowed);
    }
    match over {
        Over::Nobody => Ok(()),
        Over::Lower if target == Rank::Outsider => Err(Refusal::TargetNotMember),
        Over::Lower if target < caller => Ok(()),
        Over::Lower => Err(Refusal::NotAllowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANKS: [Rank; 5] = [Rank::Outsider, Rank::Member, Rank::Admin, Rank::Owner, Rank::Server];

    #[test]
    fn every_deed_is_in_the_table_once() {
        for (at, (deed, ..)) in RIGHTS.iter().enumerate() {
            assert_eq!(RIGHTS.iter().position(|(of, ..)| of == deed), Some(at));
        }
        // The last one declared has the highest number.
        assert_eq!(Deed::Dismiss as usize + 1, RIGHTS.len());
    }

    #[test]
    fn who_is_no_member_may_nothing() {
        for (deed, ..) in RIGHTS {
            assert!(RANKS.iter().all(|target| may(Rank::Outsider, deed, *target) == Err(Refusal::NotMember)));
        }
    }

    #[test]
    fn more_rank_is_never_less_right() {
        for (deed, ..) in RIGHTS {
            for target in RANKS {
                let allowed: Vec<bool> = RANKS.iter().map(|caller| may(*caller, deed, target).is_ok()).collect();
                assert!(allowed.is_sorted(), "{deed:?} {target:?} {allowed:?}");
            }
        }
    }

    #[test]
    fn nothing_is_done_to_an_equal_or_to_the_owner() {
        for deed in [Deed::Remove, Deed::GiveRole, Deed::Transfer, Deed::MuteMember] {
            for rank in RANKS {
                assert!(may(rank, deed, rank).is_err(), "{deed:?} {rank:?}");
            }
            assert_eq!(may(Rank::Admin, deed, Rank::Owner), Err(Refusal::NotAllowed));
            assert_eq!(may(Rank::Owner, deed, Rank::Outsider), Err(Refusal::TargetNotMember));
        }
    }

    #[test]
    fn the_table_is_what_the_documentation_says() {
        let least = |deed: Deed| RANKS.iter().find(|caller| may(**caller, deed, Rank::Member).is_ok()).copied();
        for deed in [Deed::Read, Deed::Speak, Deed::AddToOpen] {
            assert_eq!(least(deed), Some(Rank::Member), "{deed:?}");
        }
        for deed in [Deed::Add, Deed::Remove, Deed::MuteMember, Deed::MuteGroup, Deed::RecallOthers, Deed::MentionAll] {
            assert_eq!(least(deed), Some(Rank::Admin), "{deed:?}");
        }
        for deed in [Deed::GiveRole, Deed::Transfer, Deed::UpdateRules, Deed::Dismiss] {
            assert_eq!(least(deed), Some(Rank::Owner), "{deed:?}");
        }
    }
}
