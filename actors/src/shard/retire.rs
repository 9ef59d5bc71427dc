//! The process is about to end: mailboxes leave memory as soon as nothing is owed, so that the next start finds them clean.

use actix::{Context, Handler, Message};

use super::Shard;

/// No mailbox stays in memory any more; the shard reports when none is.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Retire;

impl Handler<Retire> for Shard {
    type Result = ();

    fn handle(&mut self, _: Retire, _: &mut Context<Self>) {
        self.parts.directory.borrow_mut().retire();
        self.report_empty();
    }
}

impl Shard {
    pub(super) fn report_empty(&mut self) {
        let directory = self.parts.directory.borrow();
        if directory.is_retiring() && directory.is_empty() {
            self.entry.empty();
        }
    }
}
