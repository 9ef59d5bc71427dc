//! Wrong values in every field of every operation, in both encodings. The fields are listed by the proto files, so an
//! operation that is added later is here by itself.

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};
use tidings_client::raw::Came;
use tidings_schema::{
    error_code::{ErrorCode, Reconnect},
    wire::{self, server_frame::Body},
};

use crate::{
    operations::talk::{Form, Talk},
    samples,
    server::Server,
};

/// Operations that are answered by nothing when they are right.
const UNANSWERED: [&str; 2] = ["ack", "typing"];

/// More of everything than this test can use up.
const NO_LIMITS: [(&str, &str); 3] = [
    ("TIDINGS_LISTEN_ACCEPTS_PER_S", "100000"),
    ("TIDINGS_LIMITS_CONNECTION_FRAMES_PER_S", "100000"),
    ("TIDINGS_LIMITS_USER_SENDS_PER_S", "100000"),
];

/// One field of a frame: the fields from the frame down to it.
#[derive(Clone)]
struct Place {
    frame: DynamicMessage,
    path: Vec<FieldDescriptor>,
}

impl Place {
    fn leaf(&self) -> &FieldDescriptor {
        self.path.last().unwrap()
    }

    fn name(&self) -> String {
        self.path.iter().map(FieldDescriptor::json_name).collect::<Vec<_>>().join(".")
    }

    fn operation(&self) -> &str {
        self.path[0].json_name()
    }

    /// What the fields of the operation are called.
    fn fields(&self) -> Vec<String> {
        let Kind::Message(operation) = self.path[0].kind() else { return Vec::new() };
        operation.fields().map(|field| field.json_name().to_owned()).collect()
    }

    /// The frame as JSON with this text as the field's value.
    fn json(&self, id: u64, text: &str) -> String {
        const MARK: &str = "@here@";
        let mut frame = serde_json::to_value(&self.frame).unwrap();
        frame["id"] = id.into();
        let mut at = &mut frame;
        for field in &self.path {
            if at.is_array() {
                at = &mut at[0];
            }
            at = &mut at[field.json_name()];
        }
        *at = MARK.into();
        frame.to_string().replace(&format!("\"{MARK}\""), text)
    }

    /// The frame as Protobuf with these bytes as the whole field, key and all.
    fn protobuf(&self, id: u64, field: &[u8]) -> Vec<u8> {
        let mut frame = self.frame.clone();
        frame.set_field_by_name("id", Value::U64(id));
        with_bytes(&frame, &self.path, field)
    }
}

/// A message without the first field of the path, and behind it that field again with `bytes` at the end of the path.
fn with_bytes(message: &DynamicMessage, path: &[FieldDescriptor], bytes: &[u8]) -> Vec<u8> {
    let (field, below) = path.split_first().unwrap();
    let mut rest = message.clone();
    rest.clear_field(field);
    let mut out = rest.encode_to_vec();
    if below.is_empty() {
        out.extend_from_slice(bytes);
        return out;
    }
    let value = message.get_field(field);
    let inner = match value.as_ref() {
        Value::Message(inner) => inner,
        Value::List(list) => list[0].as_message().unwrap(),
        other => panic!("{other:?} has no fields"),
    };
    out.extend(delimited(field.number(), &with_bytes(inner, below, bytes)));
    out
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn key(number: u32, wire_type: u64) -> Vec<u8> {
    varint(u64::from(number) << 3 | wire_type)
}

fn delimited(number: u32, payload: &[u8]) -> Vec<u8> {
    [key(number, 2), varint(payload.len() as u64), payload.to_vec()].concat()
}

/// Every field below the operation of every frame, each once.
fn places(token: &str) -> Vec<Place> {
    let mut seen = std::collections::BTreeSet::new();
    let mut places = Vec::new();
    for mut frame in samples::client_frames() {
        let operation =
            frame.descriptor().fields().find(|field| field.name() != "id" && frame.has_field(field)).unwrap();
        sign(&mut frame, &operation, token);
        let mut all = Vec::new();
        let inner = frame.get_field(&operation).as_message().unwrap().clone();
        below(&inner, &mut vec![operation], &mut all);
        for path in all {
            let place = Place { frame: frame.clone(), path };
            if seen.insert(place.name()) {
                places.push(place);
            }
        }
    }
    places
}

/// A token that is right, so that the other fields are looked at.
fn sign(frame: &mut DynamicMessage, operation: &FieldDescriptor, token: &str) {
    let Some(Value::Message(inner)) = frame.get_field_mut(operation).into() else { return };
    if let Some(field) = inner.descriptor().get_field_by_name("token") {
        inner.set_field(&field, Value::String(token.to_owned()));
    }
}

fn below(message: &DynamicMessage, path: &mut Vec<FieldDescriptor>, all: &mut Vec<Vec<FieldDescriptor>>) {
    for (field, value) in message.fields() {
        path.push(field);
        all.push(path.clone());
        match value {
            Value::Message(inner) => below(inner, path, all),
            Value::List(list) => list.iter().filter_map(Value::as_message).for_each(|inner| below(inner, path, all)),
            _ => {}
        }
        path.pop();
    }
}

/// JSON texts that cannot stand in this field.
fn wrong_json(field: &FieldDescriptor) -> Vec<String> {
    let deep = ["{\"a\":".repeat(1_000), "[".repeat(1_000)];
    let mut wrong = vec!["tru", "\"\\ud800\"", "\"\\x\"", "\"a\u{1}\"", "NaN", "01", "1e400"];
    wrong.extend(if field.is_list() {
        vec!["7", "\"x\"", "{}", "[{]", "[null]"]
    } else {
        match field.kind() {
            Kind::String => vec!["7", "true", "[]", "{}", "1.5"],
            Kind::Bytes => vec!["7", "\"!\"", "\"=\"", "[]", "{}"],
            Kind::Bool => vec!["1", "\"true\"", "[]", "{}"],
            Kind::Uint64 | Kind::Uint32 => {
                vec!["-1", "1.5", "18446744073709551616", "\"x\"", "\" 1\"", "true", "[]", "{}", "\"NaN\""]
            }
            Kind::Double => vec!["\"x\"", "true", "[]", "{}", "\"1e400\""],
            Kind::Enum(_) => vec!["1.5", "true", "[]", "{}"],
            _ => vec!["7", "\"x\"", "[]", "true"],
        }
    });
    wrong.into_iter().map(str::to_owned).chain(deep).collect()
}

/// JSON texts that may stand there, but that an operation need not like.
fn odd_json(field: &FieldDescriptor) -> Vec<String> {
    let odd: &[&str] = if field.is_list() {
        &["[]", "null"]
    } else {
        match field.kind() {
            Kind::String => &["\"\"", "null", "\"\\u0000\\u001b[2J\"", "\"a b\"", "\"\\u202e\""],
            Kind::Bytes => &["\"\"", "null", "\"AA\"", "\"////\""],
            Kind::Bool => &["false", "null"],
            Kind::Uint64 => &["0", "null", "18446744073709551615", "\"18446744073709551615\"", "1e3"],
            Kind::Uint32 => &["0", "null", "4294967295", "\"4294967295\""],
            Kind::Double => &["0", "\"NaN\"", "\"Infinity\"", "-1e308"],
            Kind::Enum(_) => &["null", "99", "\"LATER\""],
            _ => &["{}", "null", "{\"later\":[1,{}]}"],
        }
    };
    let mut odd: Vec<String> = odd.iter().map(|text| (*text).to_owned()).collect();
    if field.kind() == Kind::String {
        odd.push(format!("\"{}\"", "x".repeat(10_000)));
    }
    odd
}

/// Fields that no Protobuf decoder may take.
fn wrong_protobuf(field: &FieldDescriptor) -> Vec<Vec<u8>> {
    let number = field.number();
    let other = match field.kind() {
        Kind::String | Kind::Bytes | Kind::Message(_) => [key(number, 0), vec![1]].concat(),
        Kind::Double => [key(number, 0), vec![1]].concat(),
        _ => [key(number, 5), vec![1, 0, 0, 0]].concat(),
    };
    let mut wrong = vec![
        other,
        [key(number, 2), varint(u64::from(u32::MAX))].concat(),
        [key(number, 2), vec![0xff; 11]].concat(),
        [key(number, 3), vec![0x08, 1]].concat(),
        key(number, 4),
        key(number, 7),
        // Groups in groups of a field nobody knows.
        key(1_000, 3).repeat(1_000),
    ];
    match field.kind() {
        Kind::String => wrong.extend(NO_TEXT.map(|bytes| delimited(number, bytes))),
        Kind::Message(_) => wrong.push(delimited(number, b"\xff")),
        _ => {}
    }
    wrong
}

const NO_TEXT: [&[u8]; 5] = [b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"abc\xe2\x82"];

/// Fields that a decoder takes, but that an operation need not like.
fn odd_protobuf(field: &FieldDescriptor) -> Vec<Vec<u8>> {
    let number = field.number();
    let double = |value: f64| [key(number, 1), value.to_le_bytes().to_vec()].concat();
    let mut odd = vec![Vec::new()];
    odd.extend(match field.kind() {
        Kind::String => {
            vec![delimited(number, b""), delimited(number, b"\0\x1b[2J"), delimited(number, &[b'x'; 10_000])]
        }
        Kind::Bytes => vec![delimited(number, b""), delimited(number, &[0xff; 15]), delimited(number, &[0xff; 10_000])],
        Kind::Message(_) => vec![delimited(number, b""), delimited(number, b"\xa2\x06\x01x")],
        Kind::Double => vec![double(f64::NAN), double(f64::NEG_INFINITY), double(f64::MAX)],
        _ => vec![[key(number, 0), varint(u64::MAX)].concat(), [key(number, 0), varint(0)].concat()],
    });
    odd
}

/// What a client saw of one frame.
#[derive(Debug)]
enum Outcome {
    /// The answer.
    Answered(Box<Body>),
    /// Nothing but the pong behind it.
    Silent,
    /// An error, and the close frame.
    Closed(wire::Error, u16),
}

async fn outcome(talk: &mut Talk, place: &Place, id: u64) -> Outcome {
    // A token that is refused later leaves the connection the one it has.
    let closes = |error: &wire::Error| place.operation() != "refresh" && error_closes(error);
    let mut said = None;
    loop {
        match talk.next().await {
            Came::Frame(frame) => match frame.body.unwrap() {
                Body::Pong(_) if frame.re == id + 1 => return Outcome::Silent,
                Body::Error(error) if frame.re == 0 || closes(&error) => said = Some(error),
                body if frame.re == id => return Outcome::Answered(Box::new(body)),
                _ => {}
            },
            Came::Closed(code, _) => return Outcome::Closed(said.expect("an error before the close"), code),
            other => panic!("{other:?} instead of an answer or a close"),
        }
    }
}

fn error_closes(error: &wire::Error) -> bool {
    ErrorCode::from_number(error.code).is_some_and(|code| code.advice().reconnect != Reconnect::Stays)
}

/// Whether the last name of a path stands in a text, as JSON or as Protobuf calls it; Protobuf may know no more than the
/// `oneof` it stands in.
fn names(text: &str, place: &Place) -> bool {
    let leaf = place.leaf();
    let one = leaf.containing_oneof().is_some_and(|one| text.contains(one.name()));
    one || text.contains(leaf.json_name()) || text.contains(leaf.name())
}

#[derive(Clone, Copy)]
enum Connection {
    Silent,
    Live,
}

async fn connect(server: &Server, form: Form, uid: &str, connection: Connection) -> Talk {
    match connection {
        Connection::Silent => Talk::silent(server, form).await,
        Connection::Live => Talk::hello(server, form, uid, "d").await.0,
    }
}

/// Writes one frame in either form.
async fn write(talk: &mut Talk, frame: &Written) {
    match frame {
        Written::Json(text) => talk.write_text(text).await,
        Written::Protobuf(bytes) => talk.write_binary(bytes).await,
    }
}

enum Written {
    Json(String),
    Protobuf(Vec<u8>),
}

fn wrong(place: &Place, form: Form, id: u64) -> Vec<Written> {
    match form {
        Form::Json => wrong_json(place.leaf()).iter().map(|text| Written::Json(place.json(id, text))).collect(),
        Form::Protobuf => {
            wrong_protobuf(place.leaf()).iter().map(|f| Written::Protobuf(place.protobuf(id, f))).collect()
        }
    }
}

fn odd(place: &Place, form: Form, id: u64) -> Vec<Written> {
    match form {
        Form::Json => odd_json(place.leaf()).iter().map(|text| Written::Json(place.json(id, text))).collect(),
        Form::Protobuf => odd_protobuf(place.leaf()).iter().map(|f| Written::Protobuf(place.protobuf(id, f))).collect(),
    }
}

/// The first one on a live connection, the others on connections that said nothing before.
async fn refuse_all(server: &Server, place: &Place, form: Form, uid: &str) -> usize {
    let all = wrong(place, form, 1_000);
    for (at, frame) in all.iter().enumerate() {
        let connection = if at == 0 { Connection::Live } else { Connection::Silent };
        let mut talk = connect(server, form, uid, connection).await;
        write(&mut talk, frame).await;
        let what = format!("{form:?} {} wrong value {at}", place.name());
        match outcome(&mut talk, place, 1_000).await {
            Outcome::Closed(error, code) => {
                assert_eq!((error.code, code), (ErrorCode::BadFrame.number(), 1007), "{what}: {}", error.text);
                assert!(at > 0 || names(&error.text, place), "{what}: {}", error.text);
                assert!(form == Form::Protobuf || names(&error.text, place), "{what}: {}", error.text);
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    all.len()
}

/// Each is answered, or refused by an error that is documented and, when it is about a field, names it.
async fn answer_all(server: &Server, place: &Place, form: Form, uid: &str) -> usize {
    let first = if place.operation() == "hello" { Connection::Silent } else { Connection::Live };
    let mut talk = connect(server, form, uid, first).await;
    let all = odd(place, form, 1_000);
    for (at, frame) in all.iter().enumerate() {
        write(&mut talk, frame).await;
        if UNANSWERED.contains(&place.operation()) {
            write(&mut talk, &ping(form, 1_001)).await;
        }
        let what = format!("{form:?} {} odd value {at}", place.name());
        let ended = match outcome(&mut talk, place, 1_000).await {
            Outcome::Silent => false,
            Outcome::Answered(body) => {
                if let Body::Error(error) = *body {
                    judge(&error, place, &what);
                }
                place.operation() == "hello"
            }
            Outcome::Closed(error, code) => {
                judge(&error, place, &what);
                assert!(matches!(code, 1002 | 1007 | 4004), "{what}: closed with {code}");
                true
            }
        };
        if ended || UNANSWERED.contains(&place.operation()) {
            talk = connect(server, form, uid, first).await;
        }
    }
    all.len()
}

fn ping(form: Form, id: u64) -> Written {
    match form {
        Form::Json => Written::Json(format!("{{\"id\":{id},\"ping\":{{}}}}")),
        Form::Protobuf => Written::Protobuf([key(1, 0), varint(id), delimited(4, b"")].concat()),
    }
}

/// An error is known, is not the server's, and says which field of the operation it is about.
fn judge(error: &wire::Error, place: &Place, what: &str) {
    let code = ErrorCode::from_number(error.code).expect("a known code");
    assert!(error.code < 5_000, "{what}: {code:?} {}", error.text);
    if matches!(code, ErrorCode::BadId | ErrorCode::BadField) {
        assert!(place.fields().iter().any(|field| error.text.contains(field)), "{what}: {}", error.text);
    }
    assert!(!error.text.is_empty() && error.text.len() < 500, "{what}: {}", error.text);
    assert!(!error.text.chars().any(char::is_control), "{what}: {:?}", error.text);
    assert!(!error.text.contains("xxxxxxxx"), "{what}: a value is repeated: {}", error.text);
}

#[tokio::test]
async fn every_field_refuses_what_it_cannot_hold_and_nobody_else_notices() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &NO_LIMITS).await;
    let token = server.token("alice").await;
    let (mut witness, _) = Talk::hello(&server, Form::Json, "witness", "w").await;
    let places = places(&token);
    assert!(places.len() > 80, "{} fields", places.len());
    let (mut refused, mut answered, mut operations) = (0, 0, std::collections::BTreeSet::new());
    for (at, place) in places.iter().enumerate() {
        let uid = format!("user-{at}");
        for form in [Form::Json, Form::Protobuf] {
            refused += refuse_all(&server, place, form, &uid).await;
            answered += answer_all(&server, place, form, &uid).await;
        }
        if operations.insert(place.operation().to_owned()) {
            let sent = witness.send("witness", place.operation()).await;
            assert_eq!(sent.seq, operations.len() as u64);
            witness.ack(sent.seq).await;
        }
    }
    let known = samples::descriptor("tidings.v1.ClientFrame").fields().count() - 1;
    assert_eq!(operations.len(), known, "operations that were tried: {operations:?}");
    println!("{} fields of {known} operations: {refused} wrong values, {answered} odd ones", places.len());
    let log = server.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}
