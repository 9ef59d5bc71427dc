//! The process is about to end: mailboxes and groups leave memory as soon as nothing is owed, so that the next start finds them clean.

use actix::{Context, Handler, Message};

use super::Shard;

/// No mailbox or group stays in memory any more; the shard reports when none is.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Retire;

impl Handler<Retire> for Shard {
    type Result = ();

    fn handle(&mut self, _: Retire, _: &mut Context<Self>) {
        self.parts.directory.borrow_mut().retire();
        self.parts.groups.borrow_mut().retire();
        self.report_empty();
    }
}

impl Shard {
    pub(super) fn report_empty(&mut self) {
        let (directory, groups) = (self.parts.directory.borrow(), self.parts.groups.borrow());
        if directory.is_retiring() && directory.is_empty() && groups.is_empty() {
            self.entry.empty();
        }
    }
}
