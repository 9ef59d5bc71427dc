//! What is stored of a group beside its log: members, the checkpoint, and how a group looks from one inbox. Checked when
//! it is read, as rows are.

use bytes::Bytes;
use prost::Message as _;

use super::{Departure, HistoryForNew, JoinPolicy, MemberRecord, OwnRows, Role, Seat, Settings, Standing};
use crate::{
    id::{Epoch, LogId, Millis, Seq, Uid},
    record::{self, group_view, member},
    row::RowError,
};

impl MemberRecord {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let standing = match &self.standing {
            Standing::Member(seat) => member::Standing::Seat(seat_to_record(seat)),
            Standing::Gone { seq, how } => member::Standing::Gone(gone_to_record(*seq, how)),
        };
        record::Member { upto: self.upto.get(), standing: Some(standing) }.encode_to_vec().into()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`RowError`]: the bytes were not written by [`MemberRecord::encode`].
    pub fn decode(value: Bytes) -> Result<Self, RowError> {
        let stored = record::Member::decode(value).map_err(|_| RowError::Malformed)?;
        let standing = match stored.standing.ok_or(RowError::Field("standing"))? {
            member::Standing::Seat(seat) => Standing::Member(seat_from_record(seat)?),
            member::Standing::Gone(gone) => {
                let (seq, how) = gone_from_record(&gone)?;
                Standing::Gone { seq, how }
            }
        };
        Ok(Self { upto: Seq::new(stored.upto), standing })
    }
}

fn seat_to_record(seat: &Seat) -> record::Seat {
    record::Seat {
        role: seat.role.number(),
        muted_until: seat.muted_until.get(),
        joined: seat.joined.get(),
        history: seat.history.number(),
        last_ack: seat.last_ack.get(),
        last_read: seat.last_read.get(),
        last_read_n: seat.last_read_n,
        own_folded: seat.own.folded,
        own_folded_upto: seat.own.folded_upto.get(),
        own_seqs: seat.own.seqs.iter().map(|seq| seq.get()).collect(),
    }
}

fn seat_from_record(seat: record::Seat) -> Result<Seat, RowError> {
    let seqs: Vec<Seq> = seat.own_seqs.into_iter().map(Seq::new).collect();
    if !seqs.is_sorted_by(|a, b| a < b) {
        return Err(RowError::Field("own_seqs"));
    }
    Ok(Seat {
        role: Role::from_number(seat.role).ok_or(RowError::Field("role"))?,
        muted_until: Millis::new(seat.muted_until),
        joined: Seq::new(seat.joined),
        history: HistoryForNew::from_number(seat.history).ok_or(RowError::Field("history"))?,
        last_ack: Seq::new(seat.last_ack),
        last_read: Seq::new(seat.last_read),
        last_read_n: seat.last_read_n,
        own: OwnRows { folded: seat.own_folded, folded_upto: Seq::new(seat.own_folded_upto), seqs },
    })
}

fn gone_to_record(seq: Seq, how: &Departure) -> record::Gone {
    record::Gone { seq: seq.get(), reason: how.number(), by: how.by().to_owned() }
}

fn gone_from_record(gone: &record::Gone) -> Result<(Seq, Departure), RowError> {
    let how = Departure::from_parts(gone.reason, &gone.by).ok_or(RowError::Field("reason"))?;
    Ok((Seq::new(gone.seq), how))
}

/// Where recovery of a group starts: every member record and every projection reflects the log up to `upto`.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupCheckpoint {
    /// Last row that is reflected.
    pub upto: Seq,
    /// Epoch of row `upto`: the chain of the replay starts there.
    pub ep: Epoch,
    /// `n` of row `upto`.
    pub n: u64,
    /// Time of row `upto`.
    pub time: Millis,
    /// The log.
    pub log_id: LogId,
    /// The inboxes of all who joined in rows up to here know of it.
    pub effects_upto: Seq,
    /// The newest messages up to `upto`, oldest first; `from` is the author.
    pub newest: Vec<record::Sent>,
    /// As they are after row `upto`.
    pub settings: Settings,
    /// Time of row 1.
    pub created: Millis,
    /// Who made it.
    pub creator: Uid,
    /// Who owns it.
    pub owner: Option<Uid>,
    /// The row that dismissed the group, and who did it. It stays for ever: the id is never used again.
    pub dismissed: Option<(Seq, Uid)>,
    /// Ids of messages below this row are not kept any more.
    pub ids_floor: Seq,
}

impl GroupCheckpoint {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let stored = record::GroupCheckpoint {
            upto: self.upto.get(),
            ep: self.ep.get(),
            n: self.n,
            time: self.time.get(),
            log_id: Bytes::copy_from_slice(self.log_id.as_bytes()),
            effects_upto: self.effects_upto.get(),
            newest: self.newest.clone(),
            settings: Some(settings_to_record(&self.settings)),
            created: self.created.get(),
            creator: self.creator.to_string(),
            owner: self.owner.as_ref().map_or_else(String::new, Uid::to_string),
            dismissed_seq: self.dismissed.as_ref().map_or(0, |(seq, _)| seq.get()),
            dismissed_by: self.dismissed.as_ref().map_or_else(String::new, |(_, by)| by.to_string()),
            ids_floor: self.ids_floor.get(),
        };
        stored.encode_to_vec().into()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`RowError`]: the bytes were not written by [`GroupCheckpoint::encode`].
    pub fn decode(value: Bytes) -> Result<Self, RowError> {
        let stored = record::GroupCheckpoint::decode(value).map_err(|_| RowError::Malformed)?;
        let log_id = LogId::from_wire(&stored.log_id).ok().flatten().ok_or(RowError::Field("log_id"))?;
        let settings = stored.settings.ok_or(RowError::Field("settings"))?;
        Ok(Self {
            upto: Seq::new(stored.upto),
            ep: Epoch::new(stored.ep),
            n: stored.n,
            time: Millis::new(stored.time),
            log_id,
            effects_upto: Seq::new(stored.effects_upto),
            newest: stored.newest,
            settings: settings_from_record(settings)?,
            created: Millis::new(stored.created),
            creator: stored.creator.parse().map_err(|_| RowError::Field("creator"))?,
            owner: match stored.owner.as_str() {
                "" => None,
                owner => Some(owner.parse().map_err(|_| RowError::Field("owner"))?),
            },
            dismissed: match stored.dismissed_seq {
                0 => None,
                seq => Some((Seq::new(seq), stored.dismissed_by.parse().map_err(|_| RowError::Field("dismissed_by"))?)),
            },
            ids_floor: Seq::new(stored.ids_floor),
        })
    }
}

fn settings_to_record(settings: &Settings) -> record::GroupSettings {
    record::GroupSettings {
        name: settings.name.clone(),
        avatar: settings.avatar.clone(),
        notice: settings.notice.clone(),
        join: settings.join.number(),
        history_for_new: settings.history_for_new.number(),
        muted: settings.muted,
    }
}

fn settings_from_record(stored: record::GroupSettings) -> Result<Settings, RowError> {
    Ok(Settings {
        name: stored.name,
        avatar: stored.avatar,
        notice: stored.notice,
        join: JoinPolicy::from_number(stored.join).ok_or(RowError::Field("join"))?,
        history_for_new: HistoryForNew::from_number(stored.history_for_new)
            .ok_or(RowError::Field("history_for_new"))?,
        muted: stored.muted,
    })
}

/// One group as one inbox knows it; true for the inbox up to `upto`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupView {
    /// Last inbox row that is reflected.
    pub upto: Seq,
    /// The newest inbox row that concerns the group.
    pub place: Seq,
    /// Whether the user is a member, as far as the inbox was told; `None`: it was not told yet.
    pub membership: Option<Membership>,
    /// The read marker, in the group's log.
    pub last_read: Seq,
    /// Deleted messages in the group's log, oldest first, disjoint.
    pub deleted: Vec<record::SeqRange>,
    /// The user deleted the conversation when this was its newest message: it is not listed until there is a newer one.
    pub hidden_upto: Seq,
    /// Above the others.
    pub pinned: bool,
    /// Its unread messages are not in the total.
    pub muted: bool,
}

/// What an inbox was told of a membership. Of two, that with the higher seq counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The user is a member.
    Joined {
        /// The row of the group's log that made it one.
        seq: Seq,
    },
    /// It is not any more.
    Gone {
        /// The row of the group's log that ended it.
        seq: Seq,
        /// How.
        how: Departure,
    },
}

impl Membership {
    /// The row of the group's log that says so.
    #[must_use]
    pub fn seq(&self) -> Seq {
        match self {
            Self::Joined { seq } | Self::Gone { seq, .. } => *seq,
        }
    }
}

impl GroupView {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let standing = self.membership.as_ref().map(|membership| match membership {
            Membership::Joined { seq } => group_view::Standing::Joined(seq.get()),
            Membership::Gone { seq, how } => group_view::Standing::Gone(gone_to_record(*seq, how)),
        });
        let stored = record::GroupView {
            upto: self.upto.get(),
            place: self.place.get(),
            standing,
            last_read: self.last_read.get(),
            deleted: self.deleted.clone(),
            hidden_upto: self.hidden_upto.get(),
            pinned: self.pinned,
            muted: self.muted,
        };
        stored.encode_to_vec().into()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`RowError`]: the bytes were not written by [`GroupView::encode`].
    pub fn decode(value: Bytes) -> Result<Self, RowError> {
        let stored = record::GroupView::decode(value).map_err(|_| RowError::Malformed)?;
        let membership = match stored.standing {
            None => None,
            Some(group_view::Standing::Joined(seq)) => Some(Membership::Joined { seq: Seq::new(seq) }),
            Some(group_view::Standing::Gone(gone)) => {
                let (seq, how) = gone_from_record(&gone)?;
                Some(Membership::Gone { seq, how })
            }
        };
        Ok(Self {
            upto: Seq::new(stored.upto),
            place: Seq::new(stored.place),
            membership,
            last_read: Seq::new(stored.last_read),
            deleted: stored.deleted,
            hidden_upto: Seq::new(stored.hidden_upto),
            pinned: stored.pinned,
            muted: stored.muted,
        })
    }
}
