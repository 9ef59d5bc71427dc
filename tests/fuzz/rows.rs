//! What comes from the disk: rows, records, and the checksum around them.

use bytes::Bytes;
use prost::Message;
use tidings::store::embedded::value;
use tidings_schema::{
    group::{GroupCheckpoint, GroupView, MemberRecord},
    id::Seq,
    record,
    row::{GroupRow, InboxRow, RowError},
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    samples,
    target::{Answer, Target, bounded, refused},
};

const WORDS: &[&[u8]] = &[
    b"\x50\x01",
    b"\x50\x02",
    b"\x50\x63",
    b"\x7a\x04\x08\x05\x10\x07",
    b"\x08\x05",
    b"\x42\x00",
    b"\x4a\x03bob",
    b"\x5a\x10",
];

/// Place of every row.
const SEQ: Seq = Seq::new(5);

pub fn targets() -> Vec<Target> {
    vec![
        Target { name: "rows", cases: 90_000, born: rows, words: WORDS, check: row },
        Target { name: "group-rows", cases: 60_000, born: group_rows, words: WORDS, check: group_row },
        Target { name: "records", cases: 70_000, born: records, words: WORDS, check: record },
        Target { name: "values", cases: 60_000, born: values, words: &[], check: value },
    ]
}

/// Wrong rows among the inputs that are changed: one of so many.
const WRONG_ROWS: usize = 20;

/// Rows of every kind around entries of every kind: those that fit, and some that do not.
fn rows() -> Vec<Vec<u8>> {
    let entries = samples::variants(&samples::descriptor("tidings.v1.Entry"), 6);
    let kinds = samples::descriptor("tidings.record.v1.InboxRow").get_field_by_name("kind").unwrap();
    let prost_reflect::Kind::Enum(kinds) = kinds.kind() else { panic!("kind is an enum") };
    let numbers: Vec<i32> = kinds.values().map(|kind| kind.number()).collect();
    let of = |message: &prost_reflect::DynamicMessage, kind: i32| {
        let mut message = message.clone();
        message.set_field_by_name("seq", prost_reflect::Value::U64(SEQ.get()));
        let place = record::Place { log_id: vec![3; 16].into(), seq: 9 };
        record::InboxRow {
            ep: 2,
            pe: 1,
            c: 4,
            n: 1,
            h: 1,
            with: "bob".into(),
            kind,
            payload_hash: vec![7; 16].into(),
            peer: Some(place),
            entry: message.encode_to_vec().into(),
            ..Default::default()
        }
        .encode_to_vec()
    };
    let all: Vec<Vec<u8>> = entries.iter().flat_map(|entry| numbers.iter().map(move |&kind| of(entry, kind))).collect();
    let fits = |stored: &Vec<u8>| InboxRow::decode(SEQ, Bytes::copy_from_slice(stored)).is_ok();
    let (right, wrong): (Vec<_>, Vec<_>) = all.into_iter().partition(fits);
    right.into_iter().chain(wrong.into_iter().step_by(WRONG_ROWS)).collect()
}

/// A row is what its stored form says: it is written as it was read.
fn row(input: &[u8]) -> Answer {
    let stored = Bytes::copy_from_slice(input);
    match bounded(input.len(), || InboxRow::decode(SEQ, stored)) {
        Ok(row) => {
            assert_eq!(row.seq, SEQ);
            assert_eq!(InboxRow::decode(SEQ, row.encode()).as_ref(), Ok(&row));
            let kind = format!("{:?}", row.body);
            Answer::Read(kind.split([' ', '{']).next().unwrap_or_default().to_owned())
        }
        Err(why) => refused(why),
    }
}

/// The same for a group's log.
fn group_rows() -> Vec<Vec<u8>> {
    let entries = samples::variants(&samples::descriptor("tidings.v1.Entry"), 6);
    let kinds = samples::descriptor("tidings.record.v1.GroupRow").get_field_by_name("kind").unwrap();
    let prost_reflect::Kind::Enum(kinds) = kinds.kind() else { panic!("kind is an enum") };
    let numbers: Vec<i32> = kinds.values().map(|kind| kind.number()).collect();
    let of = |message: &prost_reflect::DynamicMessage, kind: i32| {
        let mut message = message.clone();
        message.set_field_by_name("seq", prost_reflect::Value::U64(SEQ.get()));
        let entry = message.encode_to_vec().into();
        let payload_hash = vec![7; 16].into();
        let row = record::GroupRow { ep: 2, pe: 1, c: 4, n: 1, kind, payload_hash, entry, ..Default::default() };
        row.encode_to_vec()
    };
    let all: Vec<Vec<u8>> = entries.iter().flat_map(|entry| numbers.iter().map(move |&kind| of(entry, kind))).collect();
    let fits = |stored: &Vec<u8>| GroupRow::decode(SEQ, Bytes::copy_from_slice(stored)).is_ok();
    let (right, wrong): (Vec<_>, Vec<_>) = all.into_iter().partition(fits);
    right.into_iter().chain(wrong.into_iter().step_by(WRONG_ROWS)).collect()
}

/// A row is what its stored form says, and once it is redacted it stays so.
fn group_row(input: &[u8]) -> Answer {
    let stored = Bytes::copy_from_slice(input);
    match bounded(input.len(), || GroupRow::decode(SEQ, stored)) {
        Ok(row) => {
            assert_eq!(GroupRow::decode(SEQ, row.encode()).as_ref(), Ok(&row));
            let silent = row.clone().without_content();
            assert_eq!(silent.clone().without_content(), silent);
            let kind = format!("{:?}", row.event);
            Answer::Read(kind.split([' ', '{']).next().unwrap_or_default().to_owned())
        }
        Err(why) => refused(why),
    }
}

/// The number of the type, then the record.
fn records() -> Vec<Vec<u8>> {
    let sample = |(at, name): (usize, &&str)| {
        let full = format!("tidings.record.v1.{name}");
        let number = u8::try_from(at).unwrap();
        samples::variants(&samples::descriptor(&full), 6).into_iter().map(move |message| {
            let mut input = vec![number];
            message.encode(&mut input).unwrap();
            input
        })
    };
    RECORDS.iter().enumerate().flat_map(sample).collect()
}

const RECORDS: [&str; 12] = [
    "InboxRow",
    "HistoryRow",
    "Head",
    "MailboxCheckpoint",
    "Device",
    "Conversation",
    "MessageId",
    "Meta",
    "Place",
    "GroupCheckpoint",
    "Member",
    "GroupView",
];

fn record(input: &[u8]) -> Answer {
    let Some((&number, stored)) = input.split_first() else { return refused("nothing") };
    match number {
        0 => stable::<record::InboxRow>(stored),
        1 => stable::<record::HistoryRow>(stored),
        2 => stable::<record::Head>(stored),
        3 => stable::<record::MailboxCheckpoint>(stored),
        4 => stable::<record::Device>(stored),
        5 => stable::<record::Conversation>(stored),
        6 => stable::<record::MessageId>(stored),
        7 => stable::<record::Meta>(stored),
        8 => stable::<record::Place>(stored),
        9 => checked(stored, GroupCheckpoint::decode, GroupCheckpoint::encode),
        10 => checked(stored, MemberRecord::decode, MemberRecord::encode),
        11 => checked(stored, GroupView::decode, GroupView::encode),
        _ => refused("no record"),
    }
}

fn stable<T: Message + Default>(stored: &[u8]) -> Answer {
    match bounded(stored.len(), || T::decode(stored)) {
        Ok(record) => {
            let bytes = record.encode_to_vec();
            assert_eq!(T::decode(bytes.as_slice()).expect("what is written is read").encode_to_vec(), bytes);
            Answer::Read(std::any::type_name::<T>().to_owned())
        }
        Err(why) => refused(why),
    }
}

/// The same for records that are checked when they are read.
fn checked<T: PartialEq + std::fmt::Debug>(
    stored: &[u8],
    decode: fn(Bytes) -> Result<T, RowError>,
    encode: fn(&T) -> Bytes,
) -> Answer {
    let bytes = Bytes::copy_from_slice(stored);
    match bounded(stored.len(), || decode(bytes)) {
        Ok(record) => {
            assert_eq!(decode(encode(&record)).as_ref(), Ok(&record));
            Answer::Read(std::any::type_name::<T>().to_owned())
        }
        Err(why) => refused(why),
    }
}

fn values() -> Vec<Vec<u8>> {
    let packed = |record: &[u8]| {
        let mut packed = Vec::new();
        value::pack(&mut packed, record);
        packed
    };
    vec![packed(b""), packed(b"record"), packed(&[0; 300])]
}

/// What comes out of a value has its checksum, and goes in again.
fn value(input: &[u8]) -> Answer {
    let mut packed = Vec::new();
    value::pack(&mut packed, input);
    assert_eq!(value::unpack(&packed).as_deref(), Some(input));
    match bounded(input.len(), || value::unpack(input)) {
        Some(record) => {
            assert_eq!(input[..8], xxh3_64(&record).to_le_bytes());
            Answer::Read("record".into())
        }
        None => refused("damaged"),
    }
}
