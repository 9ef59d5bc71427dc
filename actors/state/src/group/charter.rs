//! What a group is apart from its members: settings, owner, whether it still exists, and how far its log is reflected.

use tidings_schema::{
    group::{Event, GroupCheckpoint, Role, Settings},
    id::{Seq, Uid},
};

/// The end of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The row that says so.
    pub seq: Seq,
    /// Who did it.
    pub by: Uid,
}

/// True for the group's log up to `upto`; what a checkpoint keeps. The default is a group that nobody has created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charter {
    /// Last row that is reflected.
    pub upto: Seq,
    /// Counting messages so far.
    pub n: u64,
    /// As they are.
    pub settings: Settings,
    /// Who created it; `None`: nobody yet.
    pub creator: Option<Uid>,
    /// None when the last owner left an empty group: who joins later has no rights of an owner until the server gives
    /// them.
    pub owner: Option<Uid>,
    /// The group has ended. Its id is never used again, so this stays for ever.
    pub tombstone: Option<Tombstone>,
}

impl From<GroupCheckpoint> for Charter {
    fn from(checkpoint: GroupCheckpoint) -> Self {
        let GroupCheckpoint { upto, n, settings, creator, owner, dismissed, .. } = checkpoint;
        let tombstone = dismissed.map(|(seq, by)| Tombstone { seq, by });
        Self { upto, n, settings, creator: Some(creator), owner, tombstone }
    }
}

impl Charter {
    /// The one fold, live and in recovery alike: rows in the order of the log. Rows that are reflected already change
    /// nothing.
    pub fn apply(&mut self, seq: Seq, event: &Event) {
        if seq <= self.upto {
            return;
        }
        self.upto = seq;
        self.n = self.n_after(event);
        match event {
            Event::Created { owner, settings } => {
                self.creator = Some(owner.clone());
                self.owner = Some(owner.clone());
                self.settings.clone_from(settings);
            }
            Event::MemberLeft { uid, .. } => {
                self.owner.take_if(|owner| owner == uid);
            }
            Event::RoleSet { uid, role: Role::Owner, .. } => self.owner = Some(uid.clone()),
            Event::GroupMuted { muted, .. } => self.settings.muted = *muted,
            Event::Updated { patch, .. } => self.settings.patch(patch),
            Event::Dismissed { by } => self.tombstone = Some(Tombstone { seq, by: by.clone() }),
            Event::RoleSet { .. }
            | Event::MembersJoined { .. }
            | Event::MemberMuted { .. }
            | Event::Message { .. }
            | Event::Changed { .. } => {}
        }
    }

    /// `n` of a new row that says `event`.
    #[must_use]
    pub fn n_after(&self, event: &Event) -> u64 {
        self.n + u64::from(matches!(event, Event::Message { counting: true, .. }))
    }

    /// Whether somebody has created the group; also when it has ended since.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.creator.is_some()
    }
}
