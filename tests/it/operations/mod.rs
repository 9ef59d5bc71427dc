//! Every operation of docs/protocol.md, in both encodings, against the real process.

mod devices;
mod messages;
mod pages;
mod places;
mod reading;
pub mod talk;
