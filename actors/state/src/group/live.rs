//! What rows say that are handed over and not committed yet: decisions rest on it, nobody is shown it.

use std::collections::BTreeMap;

use tidings_schema::{
    group::{Event, Role},
    id::{Millis, Seq, Uid},
};

use super::{charter::Charter, members::Members};

/// A member as far as decisions need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) role: Role,
    pub(super) muted_until: Millis,
}

/// A user whom rows on their way concern.
#[derive(Clone, Debug)]
struct Touched {
    stand: Option<Stand>,
    /// The newest of these rows.
    by: Seq,
}

/// The group with every row that has a place.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    pub(super) charter: Charter,
    touched: BTreeMap<Uid, Touched>,
    /// Members that rows on their way add, less those they take.
    added: isize,
}

impl Live {
    pub(super) fn restore(charter: Charter) -> Self {
        Self { charter, ..Self::default() }
    }

    /// Where a user stands.
    pub(super) fn stand(&self, uid: &Uid, settled: &Members) -> Option<Stand> {
        if let Some(touched) = self.touched.get(uid) {
            return touched.stand;
        }
        settled.get(uid).map(|seat| Stand { role: seat.role, muted_until: seat.muted_until() })
    }

    pub(super) fn members(&self, settled: &Members) -> usize {
        settled.len().saturating_add_signed(self.added)
    }

    /// A row got its place.
    pub(super) fn hand_over(&mut self, seq: Seq, event: &Event, settled: &Members) {
        self.added += added_by(event);
        let new = |role| Some(Stand { role, muted_until: Millis::default() });
        match event {
            Event::Created { owner, .. } => self.touch(seq, owner, new(Role::Owner)),
            Event::MembersJoined { uids, .. } => uids.iter().for_each(|uid| self.touch(seq, uid, new(Role::Member))),
            Event::MemberLeft { uid, .. } => self.touch(seq, uid, None),
            Event::RoleSet { uid, role, .. } => {
                if let Some(owner) = self.charter.owner.clone().filter(|_| *role == Role::Owner) {
                    self.change(seq, &owner, settled, |stand| stand.role = Role::Admin);
                }
                self.change(seq, uid, settled, |stand| stand.role = *role);
            }
            Event::MemberMuted { uid, until, .. } => {
                self.change(seq, uid, settled, |stand| stand.muted_until = *until);
            }
            Event::GroupMuted { .. }
            | Event::Updated { .. }
            | Event::Message { .. }
            | Event::Changed { .. }
            | Event::Dismissed { .. } => {}
        }
        self.charter.apply(seq, event);
    }

    fn touch(&mut self, by: Seq, uid: &Uid, stand: Option<Stand>) {
        self.touched.insert(uid.clone(), Touched { stand, by });
    }

    fn change(&mut self, by: Seq, uid: &Uid, settled: &Members, change: impl FnOnce(&mut Stand)) {
        let mut stand = self.stand(uid, settled);
        if let Some(stand) = &mut stand {
            change(stand);
        }
        self.touch(by, uid, stand);
    }

    /// A row is committed, and its event is in what is settled.
    pub(super) fn settled(&mut self, seq: Seq, event: &Event) {
        self.added -= added_by(event);
        match event {
            Event::Created { owner: uid, .. } | Event::MemberLeft { uid, .. } | Event::MemberMuted { uid, .. } => {
                self.forget(seq, uid);
            }
            Event::MembersJoined { uids, .. } => uids.iter().for_each(|uid| self.forget(seq, uid)),
            // Also the owner before.
            Event::RoleSet { .. } => self.touched.retain(|_, touched| touched.by > seq),
            Event::GroupMuted { .. }
            | Event::Updated { .. }
            | Event::Message { .. }
            | Event::Changed { .. }
            | Event::Dismissed { .. } => {}
        }
    }

    fn forget(&mut self, seq: Seq, uid: &Uid) {
        if self.touched.get(uid).is_some_and(|touched| touched.by <= seq) {
            self.touched.remove(uid);
        }
    }
}

fn added_by(event: &Event) -> isize {
    match event {
        Event::Created { .. } => 1,
        // At most JOINED_UIDS_MAX.
        Event::MembersJoined { uids, .. } => isize::try_from(uids.len()).unwrap_or(isize::MAX),
        Event::MemberLeft { .. } => -1,
        Event::RoleSet { .. }
        | Event::MemberMuted { .. }
        | Event::GroupMuted { .. }
        | Event::Updated { .. }
        | Event::Message { .. }
        | Event::Changed { .. }
        | Event::Dismissed { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use tidings_schema::group::Settings;

    use super::*;

    #[test]
    fn what_is_committed_is_kept_once() {
        let (a, b): (Uid, Uid) = ("a".parse().unwrap(), "b".parse().unwrap());
        let role = |uid: &Uid, role| Event::RoleSet { by: a.clone(), uid: uid.clone(), role };
        let rows = [
            Event::Created { owner: a.clone(), settings: Settings::default() },
            Event::MembersJoined { by: Some(a.clone()), uids: vec![b.clone()] },
            Event::MemberMuted { by: a.clone(), uid: b.clone(), until: Millis::new(5) },
            role(&b, Role::Admin),
            role(&b, Role::Owner),
        ];
        let mut live = Live::default();
        let (none, mut at) = (Members::default(), Seq::ZERO);
        for row in &rows {
            at = at.next();
            live.hand_over(at, row, &none);
        }
        assert_eq!(live.stand(&a, &none).map(|stand| stand.role), Some(Role::Admin));
        assert_eq!(live.stand(&b, &none), Some(Stand { role: Role::Owner, muted_until: Millis::new(5) }));
        let mut at = Seq::ZERO;
        for row in &rows {
            assert!(!live.touched.is_empty());
            at = at.next();
            live.settled(at, row);
        }
        assert_eq!((live.touched.len(), live.added), (0, 0));
    }
}
