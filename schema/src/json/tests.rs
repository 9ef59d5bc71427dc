//! Our JSON against prost-reflect, which derives the mapping from the proto file alone; and against nonsense.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value as Dynamic,
};

use super::*;

const ROOTS: [&str; 2] = ["tidings.v1.ClientFrame", "tidings.v1.ServerFrame"];

fn pool() -> DescriptorPool {
    DescriptorPool::decode(crate::DESCRIPTORS).unwrap()
}

/// Makes values of a message out of bytes, so that proptest can shrink them. Out of bytes, everything is absent.
struct Maker<'a> {
    bytes: std::slice::Iter<'a, u8>,
    seen: BTreeSet<String>,
}

impl<'a> Maker<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter(), seen: BTreeSet::new() }
    }

    fn byte(&mut self) -> u8 {
        self.bytes.next().copied().unwrap_or(0)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    fn number(&mut self) -> u64 {
        let value = u64::from_le_bytes(std::array::from_fn(|_| self.byte()));
        // All magnitudes are equally likely.
        value >> self.below(64)
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 10] = ["", "a", "\"", "\\", "\u{0}", "\n", "é", "😀", "</", "0198e0c2"];
        (0..self.below(4)).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }

    fn message(&mut self, of: &MessageDescriptor) -> DynamicMessage {
        let mut made = DynamicMessage::new(of.clone());
        self.seen.insert(of.full_name().to_owned());
        for one in of.oneofs() {
            let fields: Vec<_> = one.fields().collect();
            let pick = self.below(fields.len() + 1);
            if pick > 0 {
                self.fill(&mut made, &fields[pick - 1]);
            }
        }
        for field in of.fields().filter(|field| field.containing_oneof().is_none()) {
            if self.below(4) > 0 {
                self.fill(&mut made, &field);
            }
        }
        made
    }

    fn fill(&mut self, made: &mut DynamicMessage, field: &FieldDescriptor) {
        self.seen.insert(field.full_name().to_owned());
        let value = if field.is_list() {
            Dynamic::List((0..self.below(4)).map(|_| self.value(&field.kind())).collect())
        } else {
            self.value(&field.kind())
        };
        made.set_field(field, value);
    }

    fn value(&mut self, kind: &Kind) -> Dynamic {
        match kind {
            Kind::Message(of) => Dynamic::Message(self.message(of)),
            Kind::Enum(of) => Dynamic::EnumNumber(of.values().nth(self.below(of.values().len())).unwrap().number()),
            Kind::String => Dynamic::String(self.text()),
            Kind::Bytes => Dynamic::Bytes((0..self.below(20)).map(|_| self.byte()).collect()),
            Kind::Bool => Dynamic::Bool(self.below(2) == 1),
            Kind::Uint64 => Dynamic::U64(self.number()),
            Kind::Uint32 => Dynamic::U32(u32::try_from(self.number() >> 32).unwrap()),
            Kind::Double => Dynamic::F64(Some(f64::from_bits(self.number())).filter(|v| v.is_finite()).unwrap_or(-1.5)),
            other => panic!("the maker does not know {other:?}"),
        }
    }
}

/// Every statement of equality about one frame; `T` is the generated type of `root`.
fn check<T: prost::Message + Default + PartialEq + Value + std::fmt::Debug>(root: &str, entropy: &[u8]) {
    let descriptor = pool().get_message_by_name(root).unwrap();
    let dynamic = Maker::new(entropy).message(&descriptor);
    let ours = T::decode(dynamic.encode_to_vec().as_slice()).unwrap();
    assert_eq!(T::decode(ours.encode_to_vec().as_slice()).unwrap(), ours, "protobuf");

    let json = encode(&ours);
    assert_eq!(decode::<T>(&json).unwrap(), ours, "json to ourselves: {json}");

    let mut parser = serde_json::Deserializer::from_str(&json);
    let strict = DeserializeOptions::new().deny_unknown_fields(true);
    let read = DynamicMessage::deserialize_with_options(descriptor, &mut parser, &strict).unwrap();
    assert_eq!(T::decode(read.encode_to_vec().as_slice()).unwrap(), ours, "ours to the oracle: {json}");

    let canonical = serde_json::to_string(&dynamic).unwrap();
    assert_eq!(decode::<T>(&canonical).unwrap(), ours, "the oracle's to ours: {canonical}");
}

fn entropy() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn client_frames_say_the_same_in_both_encodings_and_to_the_oracle(entropy in entropy()) {
        check::<wire::ClientFrame>(ROOTS[0], &entropy);
    }

    #[test]
    fn server_frames_say_the_same_in_both_encodings_and_to_the_oracle(entropy in entropy()) {
        check::<wire::ServerFrame>(ROOTS[1], &entropy);
    }

    #[test]
    fn nonsense_is_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = decode_client(&text);
        let _ = decode_server(&text);
    }

    #[test]
    fn damaged_frames_never_panic(entropy in entropy(), cuts in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8)) {
        let descriptor = pool().get_message_by_name(ROOTS[1]).unwrap();
        let mut bytes = serde_json::to_vec(&Maker::new(&entropy).message(&descriptor)).unwrap();
        for (at, byte) in cuts {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(frame) = decode_server(&text) {
            prop_assert_eq!(decode_server(&encode_server(&frame)).unwrap(), frame);
        }
    }
}

#[test]
fn the_properties_above_meet_every_message_and_field_of_the_client_protocol() {
    let pool = pool();
    let mut seen = BTreeSet::new();
    // A fixed sequence (Knuth's 64-bit generator), so that this test says the same every time.
    let mut state = 1_u64;
    for round in 0..4000 {
        let entropy: Vec<u8> = (0..400)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            })
            .collect();
        let mut maker = Maker::new(&entropy);
        maker.message(&pool.get_message_by_name(ROOTS[round % 2]).unwrap());
        seen.append(&mut maker.seen);
    }
    let messages = pool.all_messages().filter(|message| message.package_name() == "tidings.v1");
    let all: BTreeSet<String> = messages
        .flat_map(|message| {
            let fields: Vec<_> = message.fields().map(|field| field.full_name().to_owned()).collect();
            std::iter::once(message.full_name().to_owned()).chain(fields)
        })
        .collect();
    assert!(all.len() > 100);
    assert_eq!(all.difference(&seen).collect::<Vec<_>>(), Vec::<&String>::new());
}

fn op(text: &str) -> wire::client_frame::Op {
    decode_client(text).unwrap().op.unwrap()
}

fn why(text: &str) -> String {
    decode_client(text).unwrap_err().to_string()
}

#[test]
fn integers_are_written_as_numbers_and_read_as_numbers_strings_and_integral_floats() {
    let frame = decode_client(r#"{"id":"18446744073709551615","ack":{"inbox":1e3}}"#).unwrap();
    assert_eq!(encode_client(&frame), r#"{"id":18446744073709551615,"ack":{"inbox":1000}}"#);
    for bad in ["-1", "1.5", "\"+1\"", "\"\"", "\" 1\"", "18446744073709551616", "true", "[]", "{}"] {
        assert!(decode_client(&format!(r#"{{"id":{bad}}}"#)).is_err(), "{bad}");
    }
    assert!(decode_client(r#"{"sync":{"limit":4294967296}}"#).is_err());
}

#[test]
fn bytes_are_read_in_every_base64_of_proto3() {
    let log_id = Bytes::from_static(&[0xfb, 0xff, 0xfe, 0x01]);
    for text in ["+//+AQ==", "+//+AQ", "-__-AQ==", "-__-AQ"] {
        let wire::client_frame::Op::Hello(hello) = op(&format!(r#"{{"hello":{{"resume":{{"logId":"{text}"}}}}}}"#))
        else {
            panic!("hello")
        };
        assert_eq!(hello.resume.unwrap().log_id, log_id);
    }
    assert!(decode_client(r#"{"hello":{"resume":{"logId":"!"}}}"#).is_err());
}

#[test]
fn a_zero_that_was_said_stays_apart_from_one_that_was_not() {
    let resume = |text| match op(text) {
        wire::client_frame::Op::Hello(hello) => hello.resume,
        _ => None,
    };
    assert_eq!(resume(r#"{"hello":{}}"#), None);
    assert_eq!(resume(r#"{"hello":{"resume":null}}"#), None);
    assert_eq!(resume(r#"{"hello":{"resume":{}}}"#).unwrap().inbox, None);
    assert_eq!(resume(r#"{"hello":{"resume":{"inbox":null}}}"#).unwrap().inbox, None);
    assert_eq!(resume(r#"{"hello":{"resume":{"inbox":0}}}"#).unwrap().inbox, Some(0));
    let zero = r#"{"hello":{"resume":{"inbox":0}}}"#;
    assert_eq!(encode_client(&decode_client(zero).unwrap()), zero);
}

#[test]
fn null_is_absent_for_every_kind_of_field() {
    let text = r#"{"id":null,"hello":null,"send":{"messageId":null,"to":{"uid":null},"retry":null,"push":null}}"#;
    assert_eq!(encode_client(&decode_client(text).unwrap()), r#"{"send":{"to":{}}}"#);
    assert_eq!(decode_server(r#"{"entries":{"entries":null}}"#).unwrap(), decode_server(r#"{"entries":{}}"#).unwrap());
}

#[test]
fn unknown_fields_are_ignored_and_names_of_the_proto_file_are_read() {
    let text = r#"{"id":1,"later":{"a":[1,{"b":null}]},"hello":{"device_id":"d","caps":[1]}}"#;
    assert_eq!(encode_client(&decode_client(text).unwrap()), r#"{"id":1,"hello":{"deviceId":"d"}}"#);
    let text = r#"{"go_away":{"reason":"GO_AWAY_REASON_DRAIN","reconnect_after_ms":"5"}}"#;
    let canonical = r#"{"goAway":{"reconnectAfterMs":5,"reason":"GO_AWAY_REASON_DRAIN"}}"#;
    assert_eq!(encode_server(&decode_server(text).unwrap()), canonical);
}

#[test]
fn enum_values_are_read_by_name_and_number_and_later_names_are_unspecified() {
    let reason = |value: &str| match decode_server(&format!(r#"{{"goAway":{{"reason":{value}}}}}"#)).unwrap().body {
        Some(wire::server_frame::Body::GoAway(away)) => away.reason,
        _ => -1,
    };
    assert_eq!(reason("\"GO_AWAY_REASON_SLOW\""), 3);
    assert_eq!(reason("3"), 3);
    assert_eq!(reason("77"), 77);
    assert_eq!(reason("\"GO_AWAY_REASON_OF_TOMORROW\""), 0);
    assert!(decode_server(r#"{"goAway":{"reason":[]}}"#).is_err());
}

#[test]
fn two_operations_in_one_frame_and_a_field_twice_are_refused() {
    assert!(why(r#"{"ping":{},"ack":{}}"#).contains("ack: another kind is set already"));
    assert!(why(r#"{"ping":{},"ping":{}}"#).contains("ping"));
    assert!(why(r#"{"id":1,"id":2}"#).contains("duplicate field `id`"));
}

#[test]
fn an_error_names_the_path_of_the_field_and_no_value() {
    let text = why(r#"{"send":{"to":{"uid":7}}}"#);
    assert!(text.starts_with("send: to: uid: expected a string"), "{text}");
    for secret in [
        r#"{"hello":"s3cret"}"#,
        r#"{"id":"s3cret"}"#,
        r#"{"hello":{"resume":"s3cret"}}"#,
        r#"{"hello":{"resume":{"logId":"s3cret!"}}}"#,
        r#"{"send":{"retry":"s3cret"}}"#,
        r#"{"send":{"content":{"card":{"fields":"s3cret"}}}}"#,
        r#"{"send":{"content":{"location":{"lat":"s3cret"}}}}"#,
        r#"{"s3cret":tru}"#,
        r#""s3cret""#,
    ] {
        assert!(!why(secret).contains("s3cret"), "{}", why(secret));
    }
}

#[test]
fn only_an_object_is_a_frame() {
    for text in ["", "null", "1", "[]", "\"x\"", "{", "{}x", "{\"id\":1,}"] {
        assert!(decode_client(text).is_err(), "{text}");
    }
    assert_eq!(decode_client(" {} ").unwrap(), wire::ClientFrame::default());
}

#[test]
fn deep_nesting_ends_in_an_error_or_is_skipped_but_never_in_a_stack_overflow() {
    const DEPTH: usize = 200_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!("{}1{}", open.repeat(DEPTH), close.repeat(DEPTH));
        let _ = decode_client(&format!(r#"{{"later":{nested}}}"#));
        assert!(decode_client(&format!(r#"{{"hello":{nested}}}"#)).is_err() || open != "[");
        assert!(decode_client(&format!(r#"{{"send":{{"to":{{"uid":{nested}}}}}}}"#)).is_err());
    }
}

#[test]
fn floats_that_are_no_numbers_have_names() {
    let location = |lat: f64| wire::Location { lat, ..Default::default() };
    for (lat, name) in [(f64::INFINITY, "Infinity"), (f64::NEG_INFINITY, "-Infinity")] {
        let json = encode(&location(lat));
        assert_eq!(json, format!(r#"{{"lat":"{name}"}}"#));
        assert_eq!(decode::<wire::Location>(&json).unwrap(), location(lat));
    }
    assert_eq!(encode(&location(f64::NAN)), r#"{"lat":"NaN"}"#);
    assert!(decode::<wire::Location>(r#"{"lat":"NaN"}"#).unwrap().lat.is_nan());
    assert!(decode::<wire::Location>(r#"{"lat":"inf"}"#).is_err());
}

#[test]
fn the_examples_of_the_protocol_page_are_frames() {
    const PAGE: &str = include_str!("../../../docs/protocol.md");
    let (mut client, mut server) = (0, 0);
    for line in PAGE.lines() {
        if let Some(text) = line.strip_prefix("> {") {
            let frame = decode_client(&format!("{{{text}")).unwrap();
            assert!(frame.op.is_some(), "{line}");
            client += 1;
        } else if let Some(text) = line.strip_prefix("< {") {
            let frame = decode_server(&format!("{{{text}")).unwrap();
            assert!(frame.body.is_some(), "{line}");
            // What the page shows is what the server writes, key by key.
            let written: serde_json::Value = serde_json::from_str(&encode_server(&frame)).unwrap();
            let shown: serde_json::Value = serde_json::from_str(&format!("{{{text}")).unwrap();
            assert_eq!(written, shown);
            server += 1;
        }
    }
    assert!(client >= 10 && server >= 9, "{client} and {server} examples");
}
