//! Questions to the server and their frame ids: those of the app, and the pulls, lists and read markers of the client.

use tidings_schema::{
    id::{Millis, Seq, Uid},
    wire::{self, client_frame::Op},
};

use super::{Core, Output, Phase, RequestError, changes::changed_by, conversation_with, named_or};

/// An answer of the app's request that takes longer is not waited for.
pub const REQUEST_WITHIN_MS: u64 = 10_000;
/// Requests of the app that may wait at a time; more are refused with [`RequestError::TooMany`].
pub const REQUESTS_MAX: usize = 8;
/// Entries asked for at a time, when the server names no limit.
const PAGE_ENTRIES: u64 = 256;

/// What a frame id of ours waits for.
#[derive(Debug)]
pub(super) enum Asked {
    App { request: u64, due: Millis },
    Pull { due: Millis },
    Listing,
    Read { peer: String, seq: Seq },
    Refresh,
}

/// A read marker the server has not confirmed.
#[derive(Debug)]
pub(super) struct Marker {
    pub(super) seq: Seq,
    pub(super) asked: bool,
}

impl Core {
    /// Any operation that is answered; the answer comes as [`Output::Answer`] with the returned number. What changes
    /// messages or conversations waits for a connection, and is repeated until the server says what came of it; what
    /// asks for something is asked once, and only while connected.
    ///
    /// # Errors
    /// [`RequestError::Disconnected`] and [`RequestError::TooMany`]; nothing was asked.
    pub fn request(&mut self, op: Op, now: Millis) -> Result<u64, RequestError> {
        if let Some(peer) = changed_by(&op) {
            return self.change(peer, op, now);
        }
        if !matches!(self.phase, Phase::Live) {
            return Err(RequestError::Disconnected);
        }
        if self.asked.values().filter(|asked| matches!(asked, Asked::App { .. })).count() >= REQUESTS_MAX {
            return Err(RequestError::TooMany);
        }
        self.next_request += 1;
        let request = self.next_request;
        self.ask(op, Asked::App { request, due: now.plus(REQUEST_WITHIN_MS) });
        Ok(request)
    }

    /// Moves the read marker of the conversation with `peer`; repeated until the server has it.
    pub fn read(&mut self, peer: &Uid, seq: Seq) {
        let marker = self.markers.entry(peer.to_string()).or_insert(Marker { seq: Seq::ZERO, asked: false });
        if seq > marker.seq {
            *marker = Marker { seq, asked: false };
        }
        self.write_markers();
    }

    /// Asks for what comes after the last entry, unless that question is open already.
    pub(super) fn pull(&mut self, now: Millis) {
        if self.asked.values().any(|asked| matches!(asked, Asked::Pull { .. })) {
            return;
        }
        let op = Op::Sync(wire::Sync { after: self.inbox.received.get(), limit: self.page_entries() });
        self.ask(op, Asked::Pull { due: now.plus(REQUEST_WITHIN_MS) });
    }

    pub(super) fn ask_listing(&mut self) {
        let Phase::Resetting { found, .. } = &self.phase else { return };
        let after = found.last().and_then(|view| view.last.as_ref()).map_or(0, |entry| entry.seq);
        let op = Op::Conversations(wire::ListConversations { after, limit: self.page_entries() });
        self.ask(op, Asked::Listing);
    }

    pub(super) fn write_markers(&mut self) {
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        let waiting = self.asked.values().filter(|asked| matches!(asked, Asked::Read { .. })).count();
        let free = REQUESTS_MAX.saturating_sub(waiting.saturating_add(4));
        let due = self.markers.iter_mut().filter(|(_, marker)| !marker.asked).take(free);
        let due: Vec<(String, Seq)> = due
            .map(|(peer, marker)| {
                marker.asked = true;
                (peer.clone(), marker.seq)
            })
            .collect();
        for (peer, seq) in due {
            let conversation = Some(conversation_with(&peer));
            let op = Op::Read(wire::Read { conversation, seq: seq.get() });
            self.ask(op, Asked::Read { peer, seq });
        }
    }

    pub(super) fn expire_asked(&mut self, now: Millis) {
        let late = |asked: &Asked| asked.due().is_some_and(|due| due <= now);
        let ids: Vec<u64> = self.asked.iter().filter(|(_, asked)| late(asked)).map(|(&id, _)| id).collect();
        for id in ids {
            match self.asked.remove(&id) {
                Some(Asked::App { request, .. }) => self.answer(request, Err(RequestError::TimedOut)),
                Some(Asked::Pull { .. }) => self.pull(now),
                Some(Asked::Listing | Asked::Read { .. } | Asked::Refresh) | None => {}
            }
        }
    }

    pub(super) fn ask(&mut self, op: Op, asked: Asked) {
        let id = self.fresh_frame();
        self.asked.insert(id, asked);
        self.write(id, op);
    }

    pub(super) fn answer(&mut self, request: u64, answer: Result<wire::server_frame::Body, RequestError>) {
        self.outputs.push_back(Output::Answer(request, answer));
    }

    fn page_entries(&self) -> u32 {
        u32::try_from(named_or(self.limits.page_entries_max, PAGE_ENTRIES)).unwrap_or(u32::MAX)
    }
}

impl Asked {
    pub(super) fn due(&self) -> Option<Millis> {
        match self {
            Self::App { due, .. } | Self::Pull { due } => Some(*due),
            Self::Listing | Self::Read { .. } | Self::Refresh => None,
        }
    }
}
