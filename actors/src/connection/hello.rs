//! The first frame: who is it, which device, and what has it applied? Then the mailbox is asked to attach it.

use actix::prelude::*;
use tidings_schema::{
    error_code::ErrorCode,
    id::{DeviceId, LogId, Seq},
    wire,
};

use super::{
    Attached, Connection, Identity, Stage,
    refresh::{Validity, code_of, text_of},
    to_connection::refusal_of,
};
use crate::{
    offer::Offer,
    port::{
        edge::CloseReason,
        link::{Attach, Op, OpId, ResumePoint},
        token::Claims,
    },
};

/// Longest `platform` in bytes.
const PLATFORM_BYTES_MAX: usize = 64;

/// Why a `hello` is refused while its connection stays.
struct BadHello(ErrorCode, String);

impl Connection {
    pub(super) fn hello(&mut self, op_id: OpId, hello: wire::Hello, ctx: &mut Context<Self>) {
        let claims = match self.parts.tokens.verify(&hello.token, self.parts.clock.now()) {
            Ok(claims) => claims,
            Err(why) => return self.turn_away(op_id, code_of(why), text_of(why)),
        };
        let names_other = |device: &DeviceId| !hello.device_id.is_empty() && hello.device_id != device.as_str();
        if claims.device.as_ref().is_some_and(names_other) {
            return self.turn_away(op_id, ErrorCode::BadToken, "token is for another device");
        }
        match attach(hello, &claims) {
            Ok(attach) => self.attach(op_id, attach, claims, ctx),
            Err(BadHello(code, text)) => self.error(op_id, code, text),
        }
    }

    fn turn_away(&mut self, op_id: OpId, code: ErrorCode, text: &str) {
        self.error(op_id, code, text);
        self.close(CloseReason::Unauthorized);
    }

    fn attach(&mut self, op_id: OpId, attach: Attach, claims: Claims, ctx: &mut Context<Self>) {
        let shard = claims.uid.shard(self.parts.shards);
        if self.identity.is_none() {
            self.parts.registry.register(self.at, ctx.address());
        }
        let device = attach.device.clone();
        let token = Validity::new(&claims, self.parts.clock.now());
        self.identity = Some(Identity { uid: claims.uid, shard, device, token });
        match self.command(op_id, Op::Attach(attach)) {
            Offer::Taken => self.wait_for_welcome(op_id),
            // The client says hello again; until then nobody is attached.
            Offer::Full(_) | Offer::Closed(_) => self.error(op_id, ErrorCode::Busy, "mailbox is busy"),
        }
    }

    fn wait_for_welcome(&mut self, op_id: OpId) {
        let limits = self.parts.limits;
        let until = self.parts.clock.uptime().plus(limits.hello_ms_max);
        self.attached = Attached::Yes;
        self.place.authenticated();
        self.source.set_frame_bytes_max(limits.frame_bytes_max);
        self.stage = Stage::Welcome { op_id, until };
        self.pulse.at_latest(until);
    }

    /// The mailbox has attached this connection: pushes follow.
    pub(super) fn welcome(&mut self, op_id: OpId, mut welcome: Box<wire::Welcome>) {
        if !matches!(self.stage, Stage::Welcome { op_id: waiting, .. } if waiting == op_id) {
            return;
        }
        let Some(identity) = &self.identity else { return };
        identity.uid.as_str().clone_into(&mut welcome.uid);
        identity.device.as_str().clone_into(&mut welcome.device_id);
        welcome.connection_id = self.at.to_string();
        welcome.server_time = self.parts.clock.now().get();
        welcome.limits = Some(self.parts.limits.to_wire());
        self.deliveries.begin(Seq::new(welcome.resume_after), Seq::new(welcome.inbox_head));
        self.stage = Stage::Live;
        self.pulse.soon();
        self.say(op_id, wire::server_frame::Body::Welcome(*welcome));
    }

    /// The mailbox refused to attach; the client may say hello again.
    pub(super) fn not_welcome(&mut self, op_id: OpId, body: wire::server_frame::Body) {
        let until = self.parts.clock.uptime().plus(self.parts.limits.hello_ms_max);
        // Still attached as far as the end goes: the detach frees what was kept to tell this connection.
        self.stage = Stage::Hello { until };
        self.pulse.at_latest(until);
        let signed_out = refusal_of(&body) == Some(ErrorCode::TokenRevoked.number());
        self.say(op_id, body);
        if signed_out {
            self.close(CloseReason::Unauthorized);
        }
    }
}

fn attach(hello: wire::Hello, claims: &Claims) -> Result<Attach, BadHello> {
    let device = match &claims.device {
        Some(device) => device.clone(),
        None => {
            let bad = |why| BadHello(ErrorCode::BadId, format!("deviceId {why}"));
            hello.device_id.parse().map_err(bad)?
        }
    };
    if hello.platform.len() > PLATFORM_BYTES_MAX {
        return Err(BadHello(ErrorCode::BadField, format!("platform is longer than {PLATFORM_BYTES_MAX} bytes")));
    }
    let resume = hello.resume.map(resume_point).transpose()?.flatten();
    Ok(Attach { device, platform: hello.platform, issued: claims.issued, resume })
}

/// A resume that names no seq asks for the device's stored cursor, as if it were absent.
fn resume_point(resume: wire::Resume) -> Result<Option<ResumePoint>, BadHello> {
    let bad = |why| BadHello(ErrorCode::BadId, format!("resume.logId {why}"));
    let log_id = LogId::from_wire(&resume.log_id).map_err(bad)?;
    Ok(resume.inbox.map(|inbox| ResumePoint { inbox: Seq::new(inbox), log_id }))
}
