//! JSON form of the client protocol: proto3's JSON mapping, except that 64-bit integers are written as numbers.
//!
//! Source: <https://protobuf.dev/programming-guides/json/>. `value` reads and writes what stands in a field, `object`
//! has the tables of messages. The tests hold both against prost-reflect, which knows only the proto file. An error never
//! repeats a value of the text, so that it may be logged.

mod object;
#[cfg(test)]
mod tests;
mod value;

use self::value::{In, Out, Value};
use crate::wire;

/// Why a text frame is no frame of the protocol: the path of the field and what was expected there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

/// Reads a client frame from JSON.
///
/// # Errors
/// When the text is no JSON object, a field has the wrong type or stands twice, or two keys of one `oneof` are set;
/// unknown fields are ignored, and `null` is the same as absent.
pub fn decode_client(text: &str) -> Result<wire::ClientFrame, JsonError> {
    decode(text)
}

/// Writes a client frame as JSON.
#[must_use]
pub fn encode_client(frame: &wire::ClientFrame) -> String {
    encode(frame)
}

/// Reads a server frame from JSON.
///
/// # Errors
/// As [`decode_client`].
pub fn decode_server(text: &str) -> Result<wire::ServerFrame, JsonError> {
    decode(text)
}

/// Writes a server frame as JSON.
#[must_use]
pub fn encode_server(frame: &wire::ServerFrame) -> String {
    encode(frame)
}

fn decode<T: Value>(text: &str) -> Result<T, JsonError> {
    serde_json::from_str::<In<T>>(text).map(|read| read.0).map_err(|why| JsonError(why.to_string()))
}

fn encode<T: Value>(frame: &T) -> String {
    // Cannot fail: every key is text, every value has a JSON form, and a String takes whatever is written.
    serde_json::to_string(&Out(frame)).unwrap_or_default()
}
