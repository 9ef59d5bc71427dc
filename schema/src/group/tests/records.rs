//! Records of groups: what is written is read, and what is damaged says so.

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use crate::{
    group::{
        Departure, GroupCheckpoint, GroupView, HistoryForNew, JoinPolicy, MemberRecord, Membership, OWN_ROWS_MAX,
        OwnRows, Role, Seat, Settings, Standing,
    },
    id::{Epoch, LogId, Millis, Seq, Uid},
    record,
    row::RowError,
};

fn uid(name: &str) -> Uid {
    name.parse().unwrap()
}

fn any_departure() -> impl Strategy<Value = Departure> {
    prop_oneof![Just(Departure::Left), Just(Departure::Removed { by: uid("alice") }), Just(Departure::Dismissed)]
}

fn any_seq() -> impl Strategy<Value = Seq> {
    any::<u64>().prop_map(Seq::new)
}

fn any_own() -> impl Strategy<Value = OwnRows> {
    let seqs = proptest::collection::btree_set(any::<u64>(), 0..OWN_ROWS_MAX);
    (any::<u64>(), any_seq(), seqs).prop_map(|(folded, folded_upto, seqs)| OwnRows {
        folded,
        folded_upto,
        seqs: seqs.into_iter().map(Seq::new).collect(),
    })
}

fn any_seat() -> impl Strategy<Value = Seat> {
    let role = prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)];
    let history = prop_oneof![Just(HistoryForNew::None), Just(HistoryForNew::All)];
    let cursors = (any_seq(), any_seq(), any_seq(), any::<u64>());
    (role, history, any::<u64>(), cursors, any_own()).prop_map(
        |(role, history, muted_until, (joined, last_ack, last_read, last_read_n), own)| Seat {
            role,
            muted_until: Millis::new(muted_until),
            joined,
            history,
            last_ack,
            last_read,
            last_read_n,
            own,
        },
    )
}

fn any_member() -> impl Strategy<Value = MemberRecord> {
    let standing = prop_oneof![
        any_seat().prop_map(Standing::Member),
        (any_seq(), any_departure()).prop_map(|(seq, how)| Standing::Gone { seq, how }),
    ];
    (any_seq(), standing).prop_map(|(upto, standing)| MemberRecord { upto, standing })
}

fn any_view() -> impl Strategy<Value = GroupView> {
    let membership = prop_oneof![
        Just(None),
        any_seq().prop_map(|seq| Some(Membership::Joined { seq })),
        (any_seq(), any_departure()).prop_map(|(seq, how)| Some(Membership::Gone { seq, how })),
    ];
    let range = (any::<u64>(), any::<u64>()).prop_map(|(from, upto)| record::SeqRange { from, upto });
    let seqs = (any_seq(), any_seq(), any_seq(), any_seq());
    (seqs, membership, proptest::collection::vec(range, 0..9), any::<bool>(), any::<bool>()).prop_map(
        |((upto, place, last_read, hidden_upto), membership, deleted, pinned, muted)| GroupView {
            upto,
            place,
            membership,
            last_read,
            deleted,
            hidden_upto,
            pinned,
            muted,
        },
    )
}

fn checkpoint() -> GroupCheckpoint {
    let sent = record::Sent { message_id: vec![7; 16].into(), seq: 8, from: "bob".into(), ..Default::default() };
    GroupCheckpoint {
        upto: Seq::new(9),
        ep: Epoch::new(2),
        n: 5,
        time: Millis::new(77),
        log_id: LogId::new([3; 16]),
        effects_upto: Seq::new(4),
        newest: vec![sent],
        settings: Settings { name: "n".into(), join: JoinPolicy::Open, muted: true, ..Settings::default() },
        created: Millis::new(70),
        creator: uid("alice"),
        owner: Some(uid("bob")),
        dismissed: Some((Seq::new(9), uid("bob"))),
        ids_floor: Seq::new(1),
    }
}

proptest! {
    #[test]
    fn members_read_back_as_they_were_written(member in any_member()) {
        prop_assert_eq!(MemberRecord::decode(member.encode()), Ok(member));
    }

    #[test]
    fn views_read_back_as_they_were_written(view in any_view()) {
        prop_assert_eq!(GroupView::decode(view.encode()), Ok(view));
    }
}

#[test]
fn a_checkpoint_reads_back_as_it_was_written() {
    let here = GroupCheckpoint { owner: None, dismissed: None, ..checkpoint() };
    for checkpoint in [checkpoint(), here] {
        assert_eq!(GroupCheckpoint::decode(checkpoint.encode()), Ok(checkpoint));
    }
}

fn damaged<T>(stored: &T) -> Bytes
where
    T: prost::Message,
{
    stored.encode_to_vec().into()
}

#[test]
fn a_damaged_checkpoint_says_what_is_wrong_with_it() {
    let why = |damage: &dyn Fn(&mut record::GroupCheckpoint)| {
        let mut stored = record::GroupCheckpoint::decode(checkpoint().encode()).unwrap();
        damage(&mut stored);
        GroupCheckpoint::decode(damaged(&stored)).unwrap_err()
    };
    assert_eq!(GroupCheckpoint::decode(Bytes::from_static(&[0xff])), Err(RowError::Malformed));
    assert_eq!(why(&|it| it.log_id = Bytes::new()), RowError::Field("log_id"));
    assert_eq!(why(&|it| it.settings = None), RowError::Field("settings"));
    assert_eq!(why(&|it| it.settings = Some(record::GroupSettings::default())), RowError::Field("join"));
    assert_eq!(why(&|it| it.creator.clear()), RowError::Field("creator"));
    assert_eq!(why(&|it| it.owner = "b b".into()), RowError::Field("owner"));
    assert_eq!(why(&|it| it.dismissed_by.clear()), RowError::Field("dismissed_by"));
}

#[test]
fn a_damaged_member_says_what_is_wrong_with_it() {
    use record::member::Standing as Stored;
    let why =
        |standing: Option<Stored>| MemberRecord::decode(damaged(&record::Member { upto: 1, standing })).unwrap_err();
    let seat = record::Seat { role: Role::Member.number(), history: HistoryForNew::All.number(), ..Default::default() };
    assert_eq!(MemberRecord::decode(Bytes::from_static(&[0xff])), Err(RowError::Malformed));
    assert_eq!(why(None), RowError::Field("standing"));
    assert_eq!(why(Some(Stored::Seat(record::Seat { role: 0, ..seat.clone() }))), RowError::Field("role"));
    assert_eq!(why(Some(Stored::Seat(record::Seat { history: 9, ..seat.clone() }))), RowError::Field("history"));
    assert_eq!(why(Some(Stored::Seat(record::Seat { own_seqs: vec![2, 2], ..seat }))), RowError::Field("own_seqs"));
    assert_eq!(why(Some(Stored::Gone(record::Gone::default()))), RowError::Field("reason"));
}
