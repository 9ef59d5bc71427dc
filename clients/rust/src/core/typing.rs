//! Telling a peer that the user is writing: often enough to be seen, seldom enough to cost nothing.

use tidings_schema::{
    id::{Millis, Uid},
    wire::{self, client_frame::Op},
};

use super::{Core, Phase};

/// How long an app shows that a peer is writing, after it last heard so.
pub const TYPING_SHOWN_MS: u64 = 6_000;
/// A peer is not told more often; twice within the time it is shown.
const TYPING_EVERY_MS: u64 = 3_000;

/// Whom it was told last, and when.
#[derive(Debug, Default)]
pub(super) struct Typing {
    last: Option<(Uid, Millis)>,
}

impl Core {
    /// The user is writing to `peer`; call it for every key. Said only while connected, kept nowhere, answered never.
    pub fn typing(&mut self, peer: &Uid, now: Millis) {
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        let told = self.typing.last.as_ref().filter(|(told, _)| told == peer);
        if told.is_some_and(|(_, at)| now.since(*at) < TYPING_EVERY_MS) {
            return;
        }
        self.typing.last = Some((peer.clone(), now));
        let target = wire::target::Target::Uid(peer.to_string());
        self.write(0, Op::Typing(wire::Typing { to: Some(wire::Target { target: Some(target) }) }));
    }
}
