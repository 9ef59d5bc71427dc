//! Somebody is writing to this user: told to the devices that are online and kept nowhere.

use std::sync::Arc;

use prost::Message as _;
use tidings_schema::{id::Uid, message::conversation_with, wire};

use super::Mailbox;
use crate::port::link::{EntryFrame, ToConnection};

impl Mailbox {
    /// Only people this user talks with are shown, and none it has blocked.
    pub(super) fn on_typing(&mut self, from: &Uid) {
        let known = self.peers.get(from).is_some_and(|peer| peer.settled.h > 0 && !peer.live.blocked);
        if !known {
            return;
        }
        let typing = wire::TypingEvent { conversation: Some(conversation_with(from)), from: from.to_string() };
        let frame = wire::ServerFrame { re: 0, body: Some(wire::server_frame::Body::TypingEvent(typing)) };
        let frame = Arc::new(EntryFrame::new(frame.encode_to_vec().into()));
        let online: Vec<_> = self.devices.online.keys().copied().collect();
        for connection in online {
            self.tell(connection, ToConnection::Event(frame.clone()));
        }
    }
}
