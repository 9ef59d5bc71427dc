//! What tidings says: ids, the frames clients and servers exchange, the records a store keeps, and error codes.
//!
//! Values that come from outside are checked once, when they become a type of this crate; whoever holds a [`id::Uid`]
//! holds a valid one. The generated Protobuf types live in [`wire`] (clients) and [`record`] (stores).

pub mod change;
pub mod error_code;
pub mod field;
pub mod group;
pub mod id;
pub mod json;
pub mod message;
pub mod row;

/// Frames between clients and the server (`proto/client.proto`).
pub mod wire {
    #![allow(missing_docs, reason = "generated; the contract stands in client.proto")]
    #![allow(clippy::large_enum_variant, reason = "hello and welcome come once; boxing would burden every other frame")]
    include!(concat!(env!("OUT_DIR"), "/tidings.v1.rs"));
}

/// Records that a store keeps (`proto/record.proto`).
pub mod record {
    #![allow(missing_docs, reason = "generated; the contract stands in record.proto")]
    include!(concat!(env!("OUT_DIR"), "/tidings.record.v1.rs"));
}

/// The proto files in compiled form (`google.protobuf.FileDescriptorSet`), for whoever lists what there is.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
