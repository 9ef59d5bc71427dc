//! Frames of clients and servers in both encodings, ids, and what a `send` must hold.

use prost::Message;
use tidings_schema::{
    id::{DeviceId, Gid, LogId, MessageId, ShardCount, Uid},
    json,
    message::{Draft, RawEntry},
    wire,
};

use crate::{
    samples,
    target::{Answer, Target, bounded, refused},
};

const JSON_WORDS: &[&[u8]] = &[
    b"null",
    b"true",
    b"-1",
    b"1.5",
    b"1e3",
    b"1e999",
    b"-0.0",
    b"\"\"",
    b"{}",
    b"[]",
    b"\"\\ud800\"",
    b"\\u0000",
    b"\\udc00",
    b"\\x",
    b"\"NaN\"",
    b"\"Infinity\"",
    b"NaN",
    b"\"1\"",
    b",\"id\":1",
    b"\"send\":",
    b"\"content\":{\"text\":{\"text\":\"x\"}}",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
    b"\"uid\":",
    b"/**/",
];

const PROTOBUF_WORDS: &[&[u8]] = &[
    b"\x0a\x00",
    b"\x0a\x01\xff",
    b"\x12\x02\x08\x01",
    b"\x0b\x0c",
    b"\x0b",
    b"\x0c",
    b"\x0d\x00\x00\x00\x00",
    b"\x00\x00",
    b"\x09\x00\x00\x00\x00\x00\x00\xf8\x7f",
    b"\x09\x00\x00\x00\x00\x00\x00\x00\x80",
    b"\xa2\x01\x02\x0a\x00",
    b"\x08\x01",
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\xf8\xff\xff\xff\x0f\x01",
    b"\x1a\x1a\x1a\x1a\x1a\x1a\x1a\x1a",
];

pub fn targets() -> Vec<Target> {
    let json = |name, cases, born, check| Target { name, cases, born, words: JSON_WORDS, check };
    let protobuf = |name, cases, born, check| Target { name, cases, born, words: PROTOBUF_WORDS, check };
    vec![
        json("client-json", 260_000, client_json, |input| from_json(input, json::decode_client, json::encode_client)),
        json("server-json", 110_000, server_json, |input| from_json(input, json::decode_server, json::encode_server)),
        protobuf("client-protobuf", 220_000, client_protobuf, |input| {
            from_protobuf(input, json::decode_client, json::encode_client)
        }),
        protobuf("server-protobuf", 90_000, server_protobuf, |input| {
            from_protobuf(input, json::decode_server, json::encode_server)
        }),
        protobuf("send", 60_000, sends, send),
        Target { name: "ids", cases: 60_000, born: id_texts, words: &[b"-", b"@", b"urn:uuid:", b"{"], check: ids },
    ]
}

fn server_frames() -> Vec<prost_reflect::DynamicMessage> {
    samples::variants(&samples::descriptor("tidings.v1.ServerFrame"), 8)
}

fn client_protobuf() -> Vec<Vec<u8>> {
    samples::client_frames().iter().map(Message::encode_to_vec).collect()
}

fn server_protobuf() -> Vec<Vec<u8>> {
    server_frames().iter().map(Message::encode_to_vec).collect()
}

fn client_json() -> Vec<Vec<u8>> {
    samples::client_frames().iter().map(|frame| serde_json::to_vec(frame).unwrap()).collect()
}

fn server_json() -> Vec<Vec<u8>> {
    server_frames().iter().map(|frame| serde_json::to_vec(frame).unwrap()).collect()
}

fn sends() -> Vec<Vec<u8>> {
    let all: Vec<wire::Send> = samples::variants(&samples::descriptor("tidings.v1.Send"), 6)
        .iter()
        .map(|send| wire::Send::decode(send.encode_to_vec().as_slice()).unwrap())
        .collect();
    // Only a group has members to mention.
    let private = all.iter().map(|send| wire::Send { mentions: Vec::new(), ..send.clone() }.encode_to_vec());
    all.iter().map(Message::encode_to_vec).chain(private).collect()
}

type FromJson<T> = fn(&str) -> Result<T, json::JsonError>;
type ToJson<T> = fn(&T) -> String;

/// What is read is written in both encodings and read again from both. (Bytes are compared: a NaN is not equal to itself.)
fn from_json<T: Message + Default>(input: &[u8], decode: FromJson<T>, encode: ToJson<T>) -> Answer {
    let text = String::from_utf8_lossy(input);
    let frame = match bounded(text.len(), || decode(&text)) {
        Ok(frame) => frame,
        Err(why) => return json_refused(&why),
    };
    let written = encode(&frame);
    let bytes = frame.encode_to_vec();
    let again = decode(&written).expect("what is written is read");
    assert_eq!(encode(&again), written, "JSON is stable");
    assert_eq!(again.encode_to_vec(), bytes, "JSON keeps everything");
    let other = T::decode(bytes.as_slice()).expect("what is written is read");
    assert_eq!(encode(&other), written, "Protobuf and JSON say the same");
    Answer::Read(kind(&written))
}

/// A refusal names the place in the text, and the field when there is one; it repeats nothing.
fn json_refused(why: &json::JsonError) -> Answer {
    let why = why.to_string();
    assert!(why.contains(" at line "), "{why}");
    assert!(why.len() < 400, "{why}");
    let semantic = why.contains("expected an") || why.contains("expected a ") || why.contains("base64");
    let names_field = why.contains(": ") || why.starts_with("expected an object");
    let syntax = why.contains("expected a value") || why.starts_with("expected `") || why.starts_with("EOF");
    assert!(!semantic || names_field || syntax, "no field: {why}");
    let (path, _) = why.split_once(" at line ").unwrap_or((&why, ""));
    refused(path)
}

fn from_protobuf<T: Message + Default>(input: &[u8], decode: FromJson<T>, encode: ToJson<T>) -> Answer {
    let frame = match bounded(input.len(), || T::decode(input)) {
        Ok(frame) => frame,
        Err(why) => return refused(why),
    };
    let bytes = frame.encode_to_vec();
    assert_eq!(
        T::decode(bytes.as_slice()).expect("what is written is read").encode_to_vec(),
        bytes,
        "Protobuf is stable"
    );
    let written = encode(&frame);
    let other = decode(&written).expect("what is written is read");
    assert_eq!(encode(&other), written, "JSON is stable");
    // JSON has one NaN, and a zero without its sign is nothing.
    if !written.contains("\"NaN\"") && !has_negative_zero(&bytes) {
        assert_eq!(other.encode_to_vec(), bytes, "Protobuf and JSON say the same");
    }
    Answer::Read(kind(&written))
}

fn has_negative_zero(bytes: &[u8]) -> bool {
    bytes.windows(8).any(|eight| eight == (-0.0_f64).to_le_bytes())
}

/// The keys of a frame down to the second level.
fn kind(written: &str) -> String {
    let Ok(serde_json::Value::Object(frame)) = serde_json::from_str(written) else { panic!("an object: {written}") };
    let keys = frame.iter().map(|(key, value)| match value.as_object() {
        Some(inner) => format!("{key}({})", inner.keys().cloned().collect::<Vec<_>>().join(" ")),
        None => key.clone(),
    });
    keys.collect::<Vec<_>>().join(" ")
}

/// A draft is what its entry says, and a refusal names its field.
fn send(input: &[u8]) -> Answer {
    const BODY_BYTES_MAX: usize = 1_000;
    let Ok(send) = wire::Send::decode(input) else { return Answer::Refused("no send".into()) };
    let draft = match bounded(input.len(), || Draft::new(&send, BODY_BYTES_MAX)) {
        Ok(draft) => draft,
        Err(why) => {
            let text = why.to_string();
            let names =
                ["messageId ", "to", "content ", "replyTo.", "mentions "].iter().any(|field| text.starts_with(field));
            assert!(names, "{text}");
            return refused(text);
        }
    };
    assert!(draft.content.len() + draft.push.len() <= BODY_BYTES_MAX);
    let content = wire::Content::decode(draft.content.clone()).expect("content is content");
    assert_eq!(content.encode_to_vec(), draft.content);
    let repeated = wire::Send { retry: !send.retry, ..send };
    assert_eq!(
        Draft::new(&repeated, BODY_BYTES_MAX).map(|draft| draft.hash),
        Ok(draft.hash),
        "a retry is the same message"
    );
    Answer::Read(format!("counting {}", draft.counting))
}

fn id_texts() -> Vec<Vec<u8>> {
    let texts =
        ["alice", "@system", "a.b_c:d@e-9", "0198e0c2-0000-7000-8000-000000000001", "0198E0C200007000800000000000001F"];
    let mut inputs: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    inputs.extend([vec![7; 16], vec![0; 16], vec![b'x'; 64]]);
    inputs
}

/// An id that is taken says itself.
fn ids(input: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(input);
    let mut read = Vec::new();
    if let Ok(uid) = bounded(text.len(), || text.parse::<Uid>()) {
        assert!(uid.as_str() == text && (1..=64).contains(&text.len()) && text.is_ascii());
        let shards = ShardCount::new(7).unwrap();
        assert!(uid.shard(shards).get() < 7);
        read.push("uid");
    }
    if let Ok(device) = text.parse::<DeviceId>() {
        assert_eq!(device.to_string(), text);
        read.push("device");
    }
    assert_eq!(text.parse::<Gid>().is_ok(), text.parse::<Uid>().is_ok(), "groups are named as users are");
    if let Ok(id) = bounded(text.len(), || text.parse::<MessageId>()) {
        assert_eq!(id.to_string().parse(), Ok(id));
        let _time = id.v7_time();
        read.push("message id");
    }
    if let Ok(id) = MessageId::from_slice(input) {
        assert_eq!(id.as_bytes(), input);
        read.push("stored message id");
    }
    if let Ok(Some(id)) = LogId::from_wire(input) {
        assert_eq!(id.as_bytes(), input);
        read.push("log id");
    }
    if let Ok(entry) = RawEntry::decode(input) {
        assert_eq!(RawEntry::decode(entry.encode_to_vec().as_slice()).as_ref(), Ok(&entry));
    }
    if read.is_empty() { refused("no id") } else { Answer::Read(read.join(", ")) }
}
