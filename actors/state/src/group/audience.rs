//! The owner's side of fan-out: which nodes have members of a group online, how committed rows become frames, and the heads
//! that a node still has to be told.

use std::collections::BTreeMap;

use tidings_schema::{
    group::Event,
    id::{Gid, Seq, Uid},
};

/// Rows of one frame at most.
pub const FRAME_ROWS_MAX: usize = 64;
/// Bytes of the entries of one frame at most, unless it is a single row.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Heads told to a node in one message at most.
pub const OWED_PAGE_MAX: usize = 1_000;

/// Whose membership a row ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Revoked {
    /// Nobody's.
    #[default]
    Nobody,
    /// This user's.
    User(Uid),
    /// The whole group ended.
    Everyone,
}

impl From<&Event> for Revoked {
    fn from(event: &Event) -> Self {
        match event {
            Event::MemberLeft { uid, .. } => Self::User(uid.clone()),
            Event::Dismissed { .. } => Self::Everyone,
            Event::Created { .. }
            | Event::MembersJoined { .. }
            | Event::RoleSet { .. }
            | Event::MemberMuted { .. }
            | Event::GroupMuted { .. }
            | Event::Updated { .. }
            | Event::Message { .. }
            | Event::Changed { .. } => Self::Nobody,
        }
    }
}

/// One frame of contiguous rows: `prev < seq <= upto`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The row before the first one.
    pub prev: Seq,
    /// The last row.
    pub upto: Seq,
    /// Who gets nothing after this frame. The row that says so is its last, so that nothing behind it is in it.
    pub revoked: Revoked,
}

/// How committed rows become frames: rows with the bytes of their entries, in order.
#[must_use]
pub fn cut<'a>(rows: impl IntoIterator<Item = (Seq, &'a Event, usize)>) -> Vec<Cut> {
    let mut cuts: Vec<Cut> = Vec::new();
    let (mut count, mut size) = (0, 0);
    for (seq, event, bytes) in rows {
        let revoked = Revoked::from(event);
        match cuts.last_mut() {
            Some(last)
                if last.revoked == Revoked::Nobody
                    && last.upto.next() == seq
                    && count < FRAME_ROWS_MAX
                    && size + bytes <= FRAME_BYTES_MAX =>
            {
                (count, size) = (count + 1, size + bytes);
                last.upto = seq;
                last.revoked = revoked;
            }
            Some(_) | None => {
                (count, size) = (1, bytes);
                cuts.push(Cut { prev: seq.prev(), upto: seq, revoked });
            }
        }
    }
    cuts
}

/// The nodes that have members of one group online, as far as their relays said. Bounded by the nodes there are.
#[derive(Clone, Debug)]
pub struct Audience<N> {
    nodes: BTreeMap<N, u64>,
}

impl<N> Default for Audience<N> {
    fn default() -> Self {
        Self { nodes: BTreeMap::new() }
    }
}

impl<N: Ord + Copy> Audience<N> {
    /// A relay has members of the group. Its subscriptions are numbered, so that an older word never undoes a newer one.
    /// It is answered the committed head of this turn: every frame from now on goes to it.
    pub fn subscribe(&mut self, node: N, number: u64) {
        let known = self.nodes.entry(node).or_insert(number);
        *known = number.max(*known);
    }

    /// A relay has none any more.
    pub fn unsubscribe(&mut self, node: N, number: u64) {
        if self.nodes.get(&node).is_some_and(|known| *known <= number) {
            self.nodes.remove(&node);
        }
    }

    /// The node is gone.
    pub fn forget(&mut self, node: N) {
        self.nodes.remove(&node);
    }

    /// Where frames go.
    pub fn nodes(&self) -> impl Iterator<Item = N> {
        self.nodes.keys().copied()
    }

    /// Whether nobody is online.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// Heads of groups whose newest frame a node did not take: the last frame may not be lost in silence. Kept until the node
/// takes the head, or a later frame, whose `prev` says it all. At most one for each group and node.
#[derive(Clone, Debug)]
pub struct Owed<N> {
    heads: BTreeMap<N, BTreeMap<Gid, Seq>>,
}

impl<N> Default for Owed<N> {
    fn default() -> Self {
        Self { heads: BTreeMap::new() }
    }
}

impl<N: Ord + Copy> Owed<N> {
    /// The node did not take a frame up to `head`.
    pub fn owe(&mut self, node: N, gid: &Gid, head: Seq) {
        let owed = self.heads.entry(node).or_default().entry(gid.clone()).or_default();
        *owed = head.max(*owed);
    }

    /// The node took a frame up to `upto`.
    pub fn took(&mut self, node: N, gid: &Gid, upto: Seq) {
        let Some(heads) = self.heads.get_mut(&node) else { return };
        if heads.get(gid).is_some_and(|head| *head <= upto) {
            heads.remove(gid);
        }
        if heads.is_empty() {
            self.heads.remove(&node);
        }
    }

    /// What to tell the node next, at most [`OWED_PAGE_MAX`]. Owed until [`Owed::took`].
    #[must_use]
    pub fn page(&self, node: N) -> Vec<(Gid, Seq)> {
        let heads = self.heads.get(&node).into_iter().flatten();
        heads.take(OWED_PAGE_MAX).map(|(gid, head)| (gid.clone(), *head)).collect()
    }

    /// Nodes that are owed something.
    pub fn nodes(&self) -> impl Iterator<Item = N> {
        self.heads.keys().copied()
    }

    /// The node is gone.
    pub fn forget(&mut self, node: N) {
        self.heads.remove(&node);
    }
}
