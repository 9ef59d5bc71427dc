//! Signing out: tokens that were issued before a moment let nobody in any more, for all devices of the user or for one.
//! The moment is durable before the operator hears of it; then live connections that came with such a token are sent away.

use tidings_schema::{
    error_code::ErrorCode,
    id::{DeviceId, Millis, Seq},
    record,
};
use tracing::info;

use super::{Mailbox, checkpoint::encode, read::ok};
use crate::{
    appender::PutNumber,
    port::{
        link::{Attach, ConnectionRef, OpId, ToConnection},
        store::{Change, Key},
    },
};

/// A sign-out on its way into the store.
pub(super) struct Revocation {
    put: PutNumber,
    from: ConnectionRef,
    op_id: OpId,
    /// `None`: all of them.
    device: Option<DeviceId>,
    before: Millis,
}

impl Mailbox {
    /// Whether the token this device comes with was issued before a sign-out.
    pub(super) fn is_signed_out(&self, attach: &Attach) -> bool {
        attach.issued < self.checkpoint.not_before().max(self.device_not_before(&attach.device))
    }

    /// A device that is not known may have been signed out all the same; the gate has looked.
    pub(super) fn device_not_before(&self, device: &DeviceId) -> Millis {
        let known = self.devices.known.get(device).map(|known| known.not_before);
        known.or(self.gate.not_before(device)).unwrap_or_default()
    }

    pub(super) fn revoke(&mut self, from: ConnectionRef, op_id: OpId, device: Option<DeviceId>) {
        let now = self.parts.clock.now();
        let (before, change) = match &device {
            None => self.sign_out(now),
            Some(device) => self.sign_device_out(device, now),
        };
        let put = self.parts.appender.put(&self.timeline_id, vec![change]);
        self.devices.revocations.push(Revocation { put, from, op_id, device, before });
    }

    /// A clock that went back does not let in what was signed out before.
    fn sign_out(&mut self, now: Millis) -> (Millis, Change) {
        let before = now.max(self.checkpoint.not_before());
        self.checkpoint.set_not_before(before);
        (before, self.checkpoint_change())
    }

    fn sign_device_out(&mut self, device: &DeviceId, now: Millis) -> (Millis, Change) {
        let before = now.max(self.device_not_before(device));
        if let Some(known) = self.devices.known.get_mut(device) {
            known.not_before = before;
        }
        let known = self.device_record(device);
        (before, known.unwrap_or_else(|| self.device_left(device, before)))
    }

    /// What stays of a device that is not known: since when it must sign in again, if it must.
    pub(super) fn device_left(&self, device: &DeviceId, not_before: Millis) -> Change {
        let left = record::Device { not_before: not_before.get(), ..record::Device::default() };
        let value = (not_before > Millis::default()).then(|| encode(&left));
        Change { key: Key::Device(self.uid.clone(), device.clone()), value }
    }

    /// Sign-outs that are durable now: the operator is answered, and who is affected is sent away.
    pub(super) fn revocations_flushed(&mut self) {
        let flushed = self.checkpoint.flushed;
        let all = std::mem::take(&mut self.devices.revocations);
        let (done, waiting): (Vec<_>, Vec<_>) = all.into_iter().partition(|revocation| revocation.put <= flushed);
        self.devices.revocations = waiting;
        for revocation in done {
            self.revoked(&revocation);
        }
    }

    fn revoked(&mut self, revocation: &Revocation) {
        metrics::counter!("tidings_revocations_total").increment(1);
        let device = revocation.device.as_ref().map(tracing::field::display);
        info!(uid = %self.uid, device, before_ms = revocation.before.get(), "signed out, older tokens are refused");
        let is_meant = |device: &DeviceId| revocation.device.as_ref().is_none_or(|meant| meant == device);
        let online = self.devices.online.iter().filter(|(_, online)| is_meant(&online.device));
        let connections: Vec<ConnectionRef> = online.map(|(connection, _)| *connection).collect();
        for connection in connections {
            self.tell(connection, ToConnection::SignOut(revocation.before));
        }
        self.answer(revocation.from, revocation.op_id, ok(Seq::ZERO));
    }

    /// The refusal of a device whose token is from before a sign-out.
    pub(super) fn refuse_signed_out(&mut self, from: ConnectionRef, op_id: OpId) {
        self.refuse(from, op_id, ErrorCode::TokenRevoked, "signed out: sign in again", 0);
    }
}
