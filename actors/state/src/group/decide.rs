//! What becomes of an operation: the rows it makes, or why it is refused.
//!
//! An operation whose result stands already makes no rows and is not refused, so that a retry is answered as the first
//! time. It is answered when everything handed over before it is committed.

use std::collections::BTreeSet;

use tidings_schema::{
    change::Change,
    group::{
        ADD_MEMBERS_MAX, Departure, Event, GROUP_MEMBERS_MAX, JOINED_UIDS_MAX, JoinPolicy, Mention, Role, Settings,
        SettingsPatch,
    },
    id::{Millis, Uid},
};

use super::{
    Group,
    rights::{Caller, Deed, Rank, Refusal, may},
    stands,
};

/// What somebody asks of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The caller becomes the owner of a new group with these members. The one who created it may ask again: the group
    /// stays as it is, and members who were not added yet are. The server says it in the name of the owner to be.
    Create {
        /// How it is shown and what holds in it.
        settings: Settings,
        /// Who else is in it.
        members: Vec<Uid>,
    },
    /// The caller becomes a member.
    Join,
    /// The caller is a member no more. The owner leaves only an otherwise empty group; that has no owner then.
    Leave,
    /// These become members.
    AddMembers(Vec<Uid>),
    /// This one is a member no more.
    RemoveMember(Uid),
    /// A member becomes an admin, or an admin a member. [`Role::Owner`] hands the group over: the owner before is an admin.
    SetRole(Uid, Role),
    /// A member may not send before this time (zero: may send).
    MuteMember(Uid, Millis),
    /// Only admins and the owner may send, or everybody again.
    MuteGroup(bool),
    /// Settings change.
    Update(SettingsPatch),
    /// The group ends for everybody.
    Dismiss,
}

impl Group {
    /// The rows that an operation makes, in this order.
    ///
    /// # Errors
    /// [`Refusal`]: nothing changes.
    pub fn decide(&self, caller: Caller<'_>, op: &Op) -> Result<Vec<Event>, Refusal> {
        if let Op::Create { settings, members } = op {
            return self.create(caller, settings, members);
        }
        if let (Caller::Server(_), Op::Join) = (caller, op) {
            return Err(Refusal::NotAllowed);
        }
        let by = caller.uid();
        if let (Op::Dismiss, Some(tombstone)) = (op, &self.live.charter.tombstone)
            && tombstone.by == *by
        {
            return Ok(Vec::new());
        }
        stands(&self.live.charter)?;
        let event = match op {
            Op::Join => return self.join(std::slice::from_ref(by)),
            Op::Leave => return self.leave(caller),
            Op::AddMembers(uids) => return self.add(caller, uids),
            Op::RemoveMember(uid) => return self.remove(caller, uid),
            Op::SetRole(uid, role) => self.set_role(caller, uid, *role)?,
            Op::MuteMember(uid, until) => self.mute_member(caller, uid, *until)?,
            Op::MuteGroup(muted) => {
                may(self.rank(caller), Deed::MuteGroup, Rank::Outsider)?;
                let news = self.live.charter.settings.muted != *muted;
                news.then(|| Event::GroupMuted { by: by.clone(), muted: *muted })
            }
            Op::Update(patch) => self.update(caller, patch)?,
            Op::Dismiss => {
                may(self.rank(caller), Deed::Dismiss, Rank::Outsider)?;
                Some(Event::Dismissed { by: by.clone() })
            }
            Op::Create { .. } => None,
        };
        Ok(event.into_iter().collect())
    }

    /// Users who join by themselves, in one row as far as it takes them. Those who are members already are passed over.
    ///
    /// # Errors
    /// [`Refusal`]: none of them joins.
    pub fn join(&self, uids: &[Uid]) -> Result<Vec<Event>, Refusal> {
        stands(&self.live.charter)?;
        let new = self.not_in(uids);
        if new.is_empty() {
            return Ok(Vec::new());
        }
        if self.live.charter.settings.join == JoinPolicy::Invite {
            return Err(Refusal::InviteOnly);
        }
        self.joined(None, new)
    }

    /// Whether a message may be sent.
    ///
    /// # Errors
    /// [`Refusal`]: it may not.
    pub fn may_send(&self, caller: Caller<'_>, mentions: &[Mention], now: Millis) -> Result<(), Refusal> {
        self.may_speak(caller, now)?;
        if mentions.contains(&Mention::All) {
            may(self.rank(caller), Deed::MentionAll, Rank::Outsider)?;
        }
        Ok(())
    }

    /// Whether a message of `author`, sent at `sent`, may be recalled, edited or reacted to. Own ones are recalled and
    /// edited for `recall_ms_max` (0: for ever); others are recalled by admins at any time.
    ///
    /// # Errors
    /// [`Refusal`]: it may not.
    pub fn may_change(
        &self,
        caller: Caller<'_>,
        change: &Change,
        author: &Uid,
        sent: Millis,
        now: Millis,
        recall_ms_max: u64,
    ) -> Result<(), Refusal> {
        let own = author == caller.uid();
        let late = recall_ms_max > 0 && now.since(sent) > recall_ms_max;
        match change {
            Change::Recall => {
                stands(&self.live.charter)?;
                may(self.rank(caller), Deed::Read, Rank::Outsider)?;
                match may(self.rank(caller), Deed::RecallOthers, Rank::Outsider) {
                    Ok(()) => Ok(()),
                    Err(_) if own && late => Err(Refusal::TooLate),
                    Err(_) if own => Ok(()),
                    Err(refusal) => Err(refusal),
                }
            }
            Change::Edit { .. } => {
                self.may_speak(caller, now)?;
                match (own, late) {
                    (false, _) => Err(Refusal::NotAuthor),
                    (true, true) => Err(Refusal::TooLate),
                    (true, false) => Ok(()),
                }
            }
            Change::React { .. } => self.may_speak(caller, now),
        }
    }

    /// Whether the caller may say anything now: messages, edits, reactions, typing.
    ///
    /// # Errors
    /// [`Refusal`]: it may not.
    pub fn may_speak(&self, caller: Caller<'_>, now: Millis) -> Result<(), Refusal> {
        stands(&self.live.charter)?;
        let rank = self.rank(caller);
        may(rank, Deed::Speak, Rank::Outsider)?;
        if let Caller::User(uid) = caller {
            let stand = self.live.stand(uid, &self.members);
            let until = stand.map_or(Millis::default(), |stand| stand.muted_until);
            if now < until {
                return Err(Refusal::Muted(until));
            }
        }
        if self.live.charter.settings.muted {
            may(rank, Deed::SpeakInMuted, Rank::Outsider).map_err(|_| Refusal::GroupMuted)?;
        }
        Ok(())
    }

    fn create(&self, caller: Caller<'_>, settings: &Settings, members: &[Uid]) -> Result<Vec<Event>, Refusal> {
        if let Caller::Server(_) = caller {
            return Err(Refusal::NotAllowed);
        }
        if members.len() > ADD_MEMBERS_MAX {
            return Err(Refusal::TooMany);
        }
        let (charter, owner) = (&self.live.charter, caller.uid());
        match &charter.creator {
            None => {
                let created = Event::Created { owner: owner.clone(), settings: settings.clone() };
                let others: BTreeSet<Uid> = members.iter().filter(|uid| *uid != owner).cloned().collect();
                let joined = self.joined(Some(owner), others.into_iter().collect())?;
                Ok(std::iter::once(created).chain(joined).collect())
            }
            Some(_) if charter.tombstone.is_some() => Err(Refusal::Dismissed),
            Some(creator) if creator != owner => Err(Refusal::Taken),
            Some(_) if may(self.rank(caller), Deed::Add, Rank::Outsider).is_err() => Ok(Vec::new()),
            Some(_) => {
                let mut missing = self.not_in(members);
                missing.retain(|uid| self.members.gone(uid).is_none());
                self.joined(Some(owner), missing)
            }
        }
    }

    fn leave(&self, caller: Caller<'_>) -> Result<Vec<Event>, Refusal> {
        let uid = caller.uid();
        if self.rank(Caller::User(uid)) == Rank::Outsider {
            return Ok(Vec::new());
        }
        self.owner_may_go(uid)?;
        Ok(vec![Event::MemberLeft { uid: uid.clone(), how: Departure::Left }])
    }

    fn add(&self, caller: Caller<'_>, uids: &[Uid]) -> Result<Vec<Event>, Refusal> {
        if uids.len() > ADD_MEMBERS_MAX {
            return Err(Refusal::TooMany);
        }
        let deed = match self.live.charter.settings.join {
            JoinPolicy::Invite => Deed::Add,
            JoinPolicy::Open => Deed::AddToOpen,
        };
        may(self.rank(caller), deed, Rank::Outsider)?;
        self.joined(Some(caller.uid()), self.not_in(uids))
    }

    fn remove(&self, caller: Caller<'_>, uid: &Uid) -> Result<Vec<Event>, Refusal> {
        let target = self.rank(Caller::User(uid));
        match may(self.rank(caller), Deed::Remove, target) {
            Err(Refusal::TargetNotMember) => return Ok(Vec::new()),
            other => other?,
        }
        self.owner_may_go(uid)?;
        let how = Departure::Removed { by: caller.uid().clone() };
        Ok(vec![Event::MemberLeft { uid: uid.clone(), how }])
    }

    fn set_role(&self, caller: Caller<'_>, uid: &Uid, role: Role) -> Result<Option<Event>, Refusal> {
        let target = self.rank(Caller::User(uid));
        let deed = if role == Role::Owner { Deed::Transfer } else { Deed::GiveRole };
        // Who handed the group over is an admin when the retry comes.
        let stands_already = target == Rank::from(Some(role)) && (role == Role::Owner || target < self.rank(caller));
        if stands_already && self.rank(caller) > Rank::Member {
            return Ok(None);
        }
        may(self.rank(caller), deed, target)?;
        // Only the server gets here: nobody else is above the owner.
        if target == Rank::Owner {
            return Err(Refusal::OwnerStays);
        }
        Ok(Some(Event::RoleSet { by: caller.uid().clone(), uid: uid.clone(), role }))
    }

    fn mute_member(&self, caller: Caller<'_>, uid: &Uid, until: Millis) -> Result<Option<Event>, Refusal> {
        may(self.rank(caller), Deed::MuteMember, self.rank(Caller::User(uid)))?;
        let stands = self.live.stand(uid, &self.members).is_some_and(|stand| stand.muted_until == until);
        let (by, uid) = (caller.uid().clone(), uid.clone());
        Ok((!stands).then_some(Event::MemberMuted { by, uid, until }))
    }

    fn update(&self, caller: Caller<'_>, patch: &SettingsPatch) -> Result<Option<Event>, Refusal> {
        let rules = patch.join.is_some() || patch.history_for_new.is_some();
        may(self.rank(caller), if rules { Deed::UpdateRules } else { Deed::Update }, Rank::Outsider)?;
        let mut settings = self.live.charter.settings.clone();
        settings.patch(patch);
        let news = settings != self.live.charter.settings;
        Ok(news.then(|| Event::Updated { by: caller.uid().clone(), patch: patch.clone() }))
    }

    /// An owner goes only when nobody is left who would be without one.
    fn owner_may_go(&self, uid: &Uid) -> Result<(), Refusal> {
        let owns = self.live.charter.owner.as_ref() == Some(uid);
        if owns && self.live.members(&self.members) > 1 { Err(Refusal::OwnerStays) } else { Ok(()) }
    }

    /// Those who are no members, each once, in the order they are named.
    fn not_in(&self, uids: &[Uid]) -> Vec<Uid> {
        let mut seen = BTreeSet::new();
        let new = |uid: &&Uid| self.live.stand(uid, &self.members).is_none() && seen.insert((*uid).clone());
        uids.iter().filter(new).cloned().collect()
    }

    fn joined(&self, by: Option<&Uid>, new: Vec<Uid>) -> Result<Vec<Event>, Refusal> {
        has_room(self.live.members(&self.members), new.len())?;
        let row = |uids: &[Uid]| Event::MembersJoined { by: by.cloned(), uids: uids.to_vec() };
        Ok(new.chunks(JOINED_UIDS_MAX).map(row).collect())
    }
}

fn has_room(members: usize, new: usize) -> Result<(), Refusal> {
    if members + new > GROUP_MEMBERS_MAX { Err(Refusal::Full) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_group_takes_nobody() {
        assert_eq!(has_room(GROUP_MEMBERS_MAX - 1, 1), Ok(()));
        assert_eq!(has_room(GROUP_MEMBERS_MAX - 1, 2), Err(Refusal::Full));
    }
}
