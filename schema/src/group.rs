//! What a group is made of, in values: roles, settings, what a row of its log says, and what is stored of a member. Whoever
//! holds [`Settings`] holds checked ones.

mod entry;
mod number;
mod record;
pub mod request;
#[cfg(test)]
mod tests;

pub use self::{
    entry::{encode_event_entry, event_of_body},
    record::{GroupCheckpoint, GroupView, Membership},
};
use crate::{
    change::{Change, MessageName},
    id::{MessageId, Millis, Seq, Uid},
    message::PayloadHash,
};

/// Longest name of a group in bytes.
pub const GROUP_NAME_BYTES_MAX: usize = 256;
/// Longest avatar (a URL) in bytes.
pub const GROUP_AVATAR_BYTES_MAX: usize = 2_048;
/// Longest notice in bytes.
pub const GROUP_NOTICE_BYTES_MAX: usize = 4_096;
/// Members of one group at most; a join above it is refused.
pub const GROUP_MEMBERS_MAX: usize = 1_000_000;
/// Users one `add_members` or `create_group` may name; more are refused.
pub const ADD_MEMBERS_MAX: usize = 1_000;
/// Users that one row `members_joined` names at most; more become several rows.
pub const JOINED_UIDS_MAX: usize = 100;
/// Mentions of one message at most; more are refused.
pub const MENTIONS_MAX: usize = 64;
/// Own counting rows after the read marker whose places are kept per member; of more only the number is kept.
pub const OWN_ROWS_MAX: usize = 128;

/// What a member is, from the least to the most rights. A group has at most one owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads and sends.
    #[default]
    Member,
    /// Also adds, removes and mutes members, and recalls messages.
    Admin,
    /// Also gives roles, sets the rules and dismisses the group.
    Owner,
}

/// How users come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JoinPolicy {
    /// An admin or the owner adds them.
    #[default]
    Invite,
    /// They join by themselves, or any member adds them.
    Open,
}

/// What members see of the time before they joined. What is set when they join counts, also when it is changed later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryForNew {
    /// Nothing.
    #[default]
    None,
    /// Everything.
    All,
}

/// How a group is shown and what holds in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// At most [`GROUP_NAME_BYTES_MAX`]; may be empty.
    pub name: String,
    /// A URL, at most [`GROUP_AVATAR_BYTES_MAX`]; empty = none.
    pub avatar: String,
    /// At most [`GROUP_NOTICE_BYTES_MAX`]; empty = none.
    pub notice: String,
    /// How users come in.
    pub join: JoinPolicy,
    /// What those who join from now on see of the time before.
    pub history_for_new: HistoryForNew,
    /// Only admins and the owner may send.
    pub muted: bool,
}

/// A change of settings: what is `None` stays. Muting is a row of its own ([`Event::GroupMuted`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsPatch {
    /// See [`Settings::name`].
    pub name: Option<String>,
    /// See [`Settings::avatar`].
    pub avatar: Option<String>,
    /// See [`Settings::notice`].
    pub notice: Option<String>,
    /// See [`Settings::join`].
    pub join: Option<JoinPolicy>,
    /// See [`Settings::history_for_new`].
    pub history_for_new: Option<HistoryForNew>,
}

/// A text of the settings is too long; names the field and the limit in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is longer than {1} bytes")]
pub struct SettingTooLong(pub &'static str, pub usize);

impl SettingsPatch {
    /// Checks the lengths.
    ///
    /// # Errors
    /// [`SettingTooLong`] names the field.
    pub fn check(&self) -> Result<(), SettingTooLong> {
        let fits = |field, text: &Option<String>, max| match text {
            Some(text) if text.len() > max => Err(SettingTooLong(field, max)),
            Some(_) | None => Ok(()),
        };
        fits("name", &self.name, GROUP_NAME_BYTES_MAX)?;
        fits("avatar", &self.avatar, GROUP_AVATAR_BYTES_MAX)?;
        fits("notice", &self.notice, GROUP_NOTICE_BYTES_MAX)
    }
}

impl Settings {
    /// Takes over what a patch sets.
    pub fn patch(&mut self, patch: &SettingsPatch) {
        let take = |to: &mut String, from: &Option<String>| {
            if let Some(text) = from {
                to.clone_from(text);
            }
        };
        take(&mut self.name, &patch.name);
        take(&mut self.avatar, &patch.avatar);
        take(&mut self.notice, &patch.notice);
        self.join = patch.join.unwrap_or(self.join);
        self.history_for_new = patch.history_for_new.unwrap_or(self.history_for_new);
    }
}

/// Who is to notice a message. They get it as everybody does; it is marked and pushed for them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mention {
    /// This user.
    User(Uid),
    /// Everybody in the group; for admins and the owner to say.
    All,
    /// Everybody with this role.
    Role(Role),
}

/// How a member ceased to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Departure {
    /// By itself.
    Left,
    /// By an admin, the owner or the server.
    Removed {
        /// Who did it.
        by: Uid,
    },
    /// The whole group ended. Never in a row `member_left`: one row `dismissed` says it for all.
    Dismissed,
}

/// What one committed row of a group log says. The state of a group is the fold of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Row 1 and no other: the group is there, with its creator as owner and only member.
    Created {
        /// Who created it.
        owner: Uid,
        /// As created.
        settings: Settings,
    },
    /// These became members, at most [`JOINED_UIDS_MAX`], none of whom was one.
    MembersJoined {
        /// Who added them; `None`: each joined by itself.
        by: Option<Uid>,
        /// The new members.
        uids: Vec<Uid>,
    },
    /// A member is none any more.
    MemberLeft {
        /// Who.
        uid: Uid,
        /// How.
        how: Departure,
    },
    /// A member has another role. [`Role::Owner`]: the group was handed over, and the owner before is an admin now.
    RoleSet {
        /// Who gave it.
        by: Uid,
        /// Who has it.
        uid: Uid,
        /// Which.
        role: Role,
    },
    /// A member may not send until some time.
    MemberMuted {
        /// Who did it.
        by: Uid,
        /// Who may not.
        uid: Uid,
        /// Until when; zero = may send again.
        until: Millis,
    },
    /// Only admins and the owner may send, or everybody again.
    GroupMuted {
        /// Who did it.
        by: Uid,
        /// [`Settings::muted`] from now on.
        muted: bool,
    },
    /// Settings changed.
    Updated {
        /// Who did it.
        by: Uid,
        /// What changed.
        patch: SettingsPatch,
    },
    /// A message.
    Message {
        /// Who sent it.
        from: Uid,
        /// The sender's id for it.
        message_id: MessageId,
        /// Identity of the payload.
        hash: PayloadHash,
        /// Whether it counts as unread for the others.
        counting: bool,
    },
    /// A message was recalled, edited or reacted to.
    Changed {
        /// Who did it.
        by: Uid,
        /// The message.
        target: Seq,
        /// Its author and id.
        name: MessageName,
        /// What becomes of it.
        change: Change,
    },
    /// The group ended for everybody. The last row that says anything.
    Dismissed {
        /// Who did it.
        by: Uid,
    },
}

/// A member as the group keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seat {
    /// What it may do.
    pub role: Role,
    /// May not send before this time; zero = not muted.
    pub muted_until: Millis,
    /// The row that made it a member.
    pub joined: Seq,
    /// What it sees of the time before `joined`.
    pub history: HistoryForNew,
    /// Its clients have applied everything up to here.
    pub last_ack: Seq,
    /// It has read up to here.
    pub last_read: Seq,
    /// `n` of the row `last_read`.
    pub last_read_n: u64,
    /// Its own counting rows after `last_read`.
    pub own: OwnRows,
}

/// The counting rows of one member after its read marker: they are not unread for itself. When the marker moves into
/// `folded`, whoever moves it counts the rows left in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnRows {
    /// How many there are up to `folded_upto`.
    pub folded: u64,
    /// The newest row in `folded`; zero = none.
    pub folded_upto: Seq,
    /// Those after `folded_upto`, rising, at most [`OWN_ROWS_MAX`].
    pub seqs: Vec<Seq>,
}

impl OwnRows {
    /// How many rows there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.folded + self.seqs.len() as u64
    }
}

/// The stored record of a member, true for the group's log up to `upto`: rows up to there are not applied to it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// Last row of the log that is reflected.
    pub upto: Seq,
    /// Where the user stands.
    pub standing: Standing,
}

/// Whether a user who once joined is a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Member(Seat),
    /// It is not, since the row `seq`.
    Gone {
        /// The row that says so.
        seq: Seq,
        /// How it came.
        how: Departure,
    },
}
