//! Every operation of docs/protocol.md, in both encodings, against the real process.

mod changes;
mod devices;
mod messages;
mod outage;
mod pages;
mod places;
mod reading;
mod slow;
pub mod talk;
