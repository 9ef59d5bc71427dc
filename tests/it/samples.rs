//! Frames that a client may send, made from the proto files alone, so that an operation that is added later is here by
//! itself: one for every operation and for every kind of every `oneof` below it, with every field set.

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// A message id that is one.
pub const MESSAGE_ID: &str = "0198e0c2-0000-4000-8000-000000000001";

/// Messages in each other that are followed.
const DEPTH_MAX: usize = 8;

/// A message of the protocol by its name.
pub fn descriptor(name: &str) -> MessageDescriptor {
    DescriptorPool::decode(tidings_schema::DESCRIPTORS).unwrap().get_message_by_name(name).unwrap()
}

/// Frames of clients; `id` is 1.
pub fn client_frames() -> Vec<DynamicMessage> {
    variants(&descriptor("tidings.v1.ClientFrame"), DEPTH_MAX)
}

/// Every message of this type that differs in what its `oneof`s hold.
pub fn variants(of: &MessageDescriptor, depth: usize) -> Vec<DynamicMessage> {
    if depth == 0 {
        return vec![DynamicMessage::new(of.clone())];
    }
    let mut made = vec![DynamicMessage::new(of.clone())];
    for field in of.fields().filter(|field| !chosen(field)) {
        made = with_field(&made, &field, depth);
    }
    let choices: Vec<FieldDescriptor> = of.fields().filter(chosen).collect();
    if choices.is_empty() {
        return made;
    }
    choices.iter().flat_map(|field| with_field(&made[..1], field, depth)).chain(made[1..].to_vec()).collect()
}

/// Whether it is one of several of which one is set. (`optional` is a `oneof` of one.)
fn chosen(field: &FieldDescriptor) -> bool {
    field.containing_oneof().is_some_and(|one| !one.is_synthetic())
}

/// The first with the first value; the others are the first again with another value.
fn with_field(made: &[DynamicMessage], field: &FieldDescriptor, depth: usize) -> Vec<DynamicMessage> {
    let values = values(field, depth);
    let set = |message: &DynamicMessage, value: &Value| {
        let mut message = message.clone();
        message.set_field(field, value.clone());
        message
    };
    let all = made.iter().map(|message| set(message, &values[0]));
    all.chain(values[1..].iter().map(|value| set(&made[0], value))).collect()
}

fn values(field: &FieldDescriptor, depth: usize) -> Vec<Value> {
    let one: Vec<Value> = match field.kind() {
        Kind::Message(of) => variants(&of, depth - 1).into_iter().map(Value::Message).collect(),
        kind => vec![scalar(field.name(), &kind)],
    };
    if field.is_list() { one.into_iter().map(|value| Value::List(vec![value])).collect() } else { one }
}

/// A value that the server can do something with, where the name of the field tells.
fn scalar(name: &str, kind: &Kind) -> Value {
    match kind {
        Kind::String => Value::String(
            match name {
                "message_id" => MESSAGE_ID,
                "uid" | "uids" | "members" | "after" => "bob",
                "author" | "from" | "by" => "alice",
                "gid" => "g1",
                "device_id" => "d1",
                _ => "words",
            }
            .to_owned(),
        ),
        Kind::Bytes => Value::Bytes(if name == "log_id" { vec![7; 16] } else { b"bytes".to_vec() }.into()),
        Kind::Bool => Value::Bool(true),
        Kind::Uint64 => Value::U64(1),
        Kind::Uint32 => Value::U32(1),
        Kind::Double => Value::F64(1.5),
        Kind::Enum(of) => Value::EnumNumber(of.values().last().map_or(0, |value| value.number())),
        other => panic!("no sample of {other:?}"),
    }
}
