//! `ack` and `read`: cursors of members. They are no rows; they move at once, never go back, and are written a little later.
//! None stands above what is committed.

use std::sync::Arc;

use actix::Context;
use tidings_schema::{
    error_code::ErrorCode,
    group::Event,
    id::{Seq, Uid},
    row::GroupRow,
};
use tidings_state::group::{
    Acked, Marker, Reading,
    rights::{Caller, Refusal},
};

use super::{
    Group,
    gate::{decode_page, read_row},
    ok,
};
use crate::port::{
    link::{ConnectionRef, OpId},
    store::{PageLimit, Store, StoreError, TimelineId},
};

/// Rows of one read when own rows are counted.
const COUNT_ROWS: PageLimit = PageLimit { rows: 256, bytes: 256 * 1024 };
/// Looks for one marker at most: each but the first because its user sent or read meanwhile.
const LOOKS_MAX: usize = 4;

impl Group {
    /// Nothing is answered but a refusal.
    pub(super) fn ack(&mut self, to: ConnectionRef, op_id: OpId, uid: &Uid, upto: Seq) {
        if let Err(refusal) = self.state.first_readable(Caller::User(uid)) {
            return self.refuse_by_rule(to, op_id, refusal);
        }
        match self.state.ack(uid, upto) {
            Acked::Moved => self.checkpoint.members_changed(self.parts.clock.uptime()),
            Acked::Unchanged => {}
            Acked::AboveHead => {
                let text = format!("the group ends at {}", self.timeline.committed());
                self.refuse(to, op_id, ErrorCode::AckAboveHead, &text, 0);
            }
            Acked::NotMember => self.refuse_by_rule(to, op_id, Refusal::NotMember),
        }
    }

    pub(super) fn read(&mut self, to: ConnectionRef, op_id: OpId, uid: Uid, seq: Seq, ctx: &mut Context<Self>) {
        if let Err(refusal) = self.state.first_readable(Caller::User(&uid)) {
            return self.refuse_by_rule(to, op_id, refusal);
        }
        let reading = self.state.reading(&uid, seq);
        self.go_on_reading(Reader { to, op_id, uid, looks: 0 }, reading, ctx);
    }

    fn go_on_reading(&mut self, mut reader: Reader, mut reading: Reading, ctx: &mut Context<Self>) {
        loop {
            match reading {
                Reading::Unchanged { .. } => {
                    self.checkpoint.members_changed(self.parts.clock.uptime());
                    return self.answer(reader.to, reader.op_id, ok(Seq::ZERO));
                }
                Reading::NotMember => return self.refuse_by_rule(reader.to, reader.op_id, Refusal::NotMember),
                Reading::Ready(marker) => reading = self.state.set_read(&reader.uid, marker),
                Reading::Look { upto, count_upto } => match (self.rows.get(upto), count_upto) {
                    (Some(row), None) => {
                        let marker = Marker { upto, n: row.n, counted: 0, counted_upto: Seq::ZERO };
                        reading = self.state.set_read(&reader.uid, marker);
                    }
                    _ => {
                        reader.looks += 1;
                        return self.look(reader, upto, count_upto, ctx);
                    }
                },
            }
        }
    }

    /// What a marker needs to know of rows that are in the store.
    fn look(&mut self, reader: Reader, upto: Seq, count_upto: Option<Seq>, ctx: &mut Context<Self>) {
        if reader.looks > LOOKS_MAX || !self.pulls.look() {
            let text = "too many pages of this group are being read";
            return self.refuse(reader.to, reader.op_id, ErrorCode::Busy, text, 200);
        }
        let (store, timeline) = (Arc::clone(&self.parts.store), self.timeline_id.clone());
        let (uid, committed) = (reader.uid.clone(), self.timeline.committed());
        let read = async move {
            let row = read_row(&store, timeline.clone(), upto, committed).await?;
            let n = row.ok_or_else(|| StoreError::Corrupt(format!("row {upto} is not in the log")))?.n;
            let counted_upto = count_upto.unwrap_or_default();
            let counted = count_own(&store, timeline, &uid, upto, counted_upto).await?;
            Ok(Marker { upto, n, counted, counted_upto })
        };
        self.read_then(ctx, read, move |marker: Result<Marker, StoreError>, group, ctx| {
            group.pulls.looked();
            match marker {
                Ok(marker) => {
                    let reading = group.state.set_read(&reader.uid, marker);
                    group.go_on_reading(reader, reading, ctx);
                    group.flush();
                }
                Err(why) => {
                    group.refuse_unread(reader.to, reader.op_id, &why);
                    group.end_read(why, ctx);
                }
            }
        });
    }
}

/// Who moves a marker.
struct Reader {
    to: ConnectionRef,
    op_id: OpId,
    uid: Uid,
    looks: usize,
}

/// Counting rows of a user with `after < seq <= upto`.
async fn count_own(
    store: &Arc<dyn Store>,
    timeline: TimelineId,
    uid: &Uid,
    mut after: Seq,
    upto: Seq,
) -> Result<u64, StoreError> {
    let mut count = 0;
    while after < upto {
        let rows = decode_page(store.read(timeline.clone(), after, upto, COUNT_ROWS).await?)?;
        let own = |row: &&GroupRow| matches!(&row.event, Event::Message { from, counting: true, .. } if from == uid);
        count += rows.iter().filter(own).count() as u64;
        let last = rows.last().map(|row| row.seq);
        after = last.ok_or_else(|| StoreError::Corrupt(format!("row {} is not in the log", after.next())))?;
    }
    Ok(count)
}
