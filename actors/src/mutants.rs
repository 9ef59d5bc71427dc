//! Deliberate bugs and faults that prove the checkers: `TIDINGS_MUTANT` names those that are active, and only a build
//! with the feature `mutants` looks. Without it every question here is answered "no" at compile time.

use tidings_state::deliver::Verdict;

use crate::port::{link::Say, store::TimelineId};

/// Whether this build can be broken on purpose.
pub const COMPILED_IN: bool = cfg!(feature = "mutants");

/// A bug that some checker must catch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A send is acked when its row is handed to the Appender.
    AckWhenHandedOver,
    /// Every message id is taken for a new one.
    NoDedupe,
    /// Every `Deliver` is taken whole, whatever it is chained to.
    DeliverOutOfChain,
    /// `accepted` is said of rows that are not durable.
    AcceptedBeforeDurable,
    /// The mark that brings a mailbox back after a crash is gone before its work is done.
    MarkRemovedTooEarly,
    /// A device's cursor moves when an entry is pushed, not when it is acknowledged.
    CursorBeforePush,
    /// The `ok` of a recall or an edit leaves when its row is committed, and pages are not looked through.
    OkBeforeRedacted,
    /// A peer's recall or edit is accepted when its row is committed, and pages are not looked through for it.
    AcceptedBeforeRedacted,
    /// The history keeps what a changed message said before.
    HistoryForgetsRedaction,
    /// A deletion is forgotten by a replay.
    DeletionLostInReplay,
}

/// Something bad that the world does, and that no promise may break under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No `Deliver` arrives.
    DropDeliver,
    /// The first `Deliver` of the process does not arrive; what follows does.
    DropFirstDeliver,
    /// Every other `accepted` does not arrive.
    LoseAccepted,
    /// Every append takes [`SLOW_APPEND_MS`] longer.
    SlowStore,
    /// Appends to inboxes of users whose id begins with [`HELD_PREFIX`] never happen.
    HeldInboxes,
    /// Messages of the same users are never written anew.
    HeldRedactions,
}

/// How much longer an append takes under [`Fault::SlowStore`].
pub const SLOW_APPEND_MS: u64 = 150;
/// Whose writes [`Fault::HeldInboxes`] and [`Fault::HeldRedactions`] hold.
pub const HELD_PREFIX: &str = "held-";

#[cfg(feature = "mutants")]
mod chosen {
    use std::sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    };

    use super::{Fault, Mutant};

    static CHOSEN: LazyLock<Vec<String>> = LazyLock::new(|| {
        let names = std::env::var("TIDINGS_MUTANT").unwrap_or_default();
        if !names.is_empty() {
            tracing::warn!(names, "this server is broken on purpose");
        }
        names.split(',').map(str::to_owned).collect()
    });
    static ACCEPTED: AtomicUsize = AtomicUsize::new(0);
    static DELIVERS: AtomicUsize = AtomicUsize::new(0);

    fn is_chosen(name: &str) -> bool {
        CHOSEN.iter().any(|chosen| chosen == name)
    }

    pub(super) fn active(mutant: Mutant) -> bool {
        is_chosen(match mutant {
            Mutant::AckWhenHandedOver => "ack_when_handed_over",
            Mutant::NoDedupe => "no_dedupe",
            Mutant::DeliverOutOfChain => "deliver_out_of_chain",
            Mutant::AcceptedBeforeDurable => "accepted_before_durable",
            Mutant::MarkRemovedTooEarly => "mark_removed_too_early",
            Mutant::CursorBeforePush => "cursor_before_push",
            Mutant::OkBeforeRedacted => "ok_before_redacted",
            Mutant::AcceptedBeforeRedacted => "accepted_before_redacted",
            Mutant::HistoryForgetsRedaction => "history_forgets_redaction",
            Mutant::DeletionLostInReplay => "deletion_lost_in_replay",
        })
    }

    pub(super) fn happens(fault: Fault) -> bool {
        match fault {
            Fault::DropDeliver => is_chosen("drop_deliver"),
            Fault::DropFirstDeliver => is_chosen("drop_first_deliver") && DELIVERS.fetch_add(1, Ordering::Relaxed) == 0,
            Fault::LoseAccepted => {
                is_chosen("lose_accepted") && ACCEPTED.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
            }
            Fault::SlowStore => is_chosen("slow_store"),
            Fault::HeldInboxes => is_chosen("held_inboxes"),
            Fault::HeldRedactions => is_chosen("held_redactions"),
        }
    }
}

#[cfg(not(feature = "mutants"))]
mod chosen {
    use super::{Fault, Mutant};

    pub(super) const fn active(_: Mutant) -> bool {
        false
    }

    pub(super) const fn happens(_: Fault) -> bool {
        false
    }
}

/// Whether this bug was asked for.
#[must_use]
#[inline]
pub fn active(mutant: Mutant) -> bool {
    chosen::active(mutant)
}

/// Whether words from mailbox to mailbox get lost here.
#[must_use]
#[inline]
pub fn loses(say: &Say) -> bool {
    match say {
        Say::Deliver(_) => chosen::happens(Fault::DropDeliver) || chosen::happens(Fault::DropFirstDeliver),
        Say::Accepted(_) => chosen::happens(Fault::LoseAccepted),
        Say::Gap(_) | Say::Delivered(_) | Say::Typing => false,
    }
}

/// The receiver's judgement, or that of a receiver that does not look.
#[inline]
pub fn judged(verdict: Verdict) -> Verdict {
    if active(Mutant::DeliverOutOfChain) { Verdict::Take { skip: 0 } } else { verdict }
}

/// What a store with faults does before an append.
#[inline]
pub async fn before_append(timeline: &TimelineId) {
    if chosen::happens(Fault::HeldInboxes) && is_held(timeline) {
        std::future::pending::<()>().await;
    }
    if chosen::happens(Fault::SlowStore) {
        tokio::time::sleep(std::time::Duration::from_millis(SLOW_APPEND_MS)).await;
    }
}

/// What a store with faults does before it writes a message anew.
#[inline]
pub async fn before_redaction(timeline: &TimelineId) {
    if chosen::happens(Fault::HeldRedactions) && is_held(timeline) {
        std::future::pending::<()>().await;
    }
}

fn is_held(timeline: &TimelineId) -> bool {
    matches!(timeline, TimelineId::Inbox(uid) if uid.as_str().starts_with(HELD_PREFIX))
}
