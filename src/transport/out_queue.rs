//! What waits to be written to one socket: whole frames, first in, first out, bounded in bytes.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tidings_actors::port::edge::{OUT_BYTES_MAX, Progress};

/// Frames handed to the kernel in one write.
const WRITE_FRAMES_MAX: usize = 32;

/// A lone frame up to this size is copied into one piece: to the kernel that is cheaper than two.
const JOINED_BYTES_MAX: usize = 256;

/// Longest header of a frame (RFC 6455, 5.2, unmasked).
pub(crate) const HEADER_BYTES_MAX: usize = 10;

/// Bytes that may wait for all clients of this process together. Beyond it a client with anything queued gets no more,
/// and is closed as slow.
#[derive(Debug)]
pub struct OutBudget {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl OutBudget {
    /// A budget nothing of which is used.
    #[must_use]
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, bytes: AtomicUsize::new(0) })
    }

    /// Bytes that wait now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.bytes().saturating_add(bytes) <= self.bytes_max
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn sub(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

/// The transport's part of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameHeader {
    pub(crate) bytes: [u8; HEADER_BYTES_MAX],
    pub(crate) len: u8,
}

/// Whether a frame counts in [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A frame of the protocol.
    Frame,
    /// The transport's own (pong, close).
    Control,
}

#[derive(Debug)]
struct Item {
    header: FrameHeader,
    payload: Bytes,
    class: Class,
}

impl Item {
    fn header(&self) -> &[u8] {
        &self.header.bytes[..usize::from(self.header.len)]
    }

    fn len(&self) -> usize {
        usize::from(self.header.len) + self.payload.len()
    }
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left.
    All,
    /// The kernel takes no more now.
    Blocked,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct OutQueue {
    items: VecDeque<Item>,
    bytes: usize,
    /// Bytes of the first item that were written.
    sent: usize,
    progress: Progress,
    budget: Arc<OutBudget>,
}

impl OutQueue {
    pub(crate) fn new(budget: Arc<OutBudget>) -> Self {
        Self { items: VecDeque::new(), bytes: 0, sent: 0, progress: Progress::default(), budget }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether so much fits. Into an empty queue everything does.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let own = self.bytes.saturating_add(bytes) <= OUT_BYTES_MAX && self.budget.has_room(bytes);
        let room = own || self.bytes == 0;
        if !room {
            metrics::counter!("tidings_out_refused_total").increment(1);
        }
        room
    }

    pub(crate) fn push(&mut self, header: FrameHeader, payload: Bytes, class: Class) {
        let item = Item { header, payload, class };
        self.bytes += item.len();
        self.budget.add(item.len());
        self.progress.taken += u64::from(class == Class::Frame);
        self.items.push_back(item);
    }

    /// Writes until nothing is left or `write` would block.
    ///
    /// # Errors
    /// Those of `write`, but for `WouldBlock`; a write of nothing is `WriteZero`.
    pub(crate) fn flush(&mut self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<Flushed> {
        while !self.items.is_empty() {
            match self.write_some(&mut write) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        // An idle connection keeps nothing.
        self.items = VecDeque::new();
        Ok(Flushed::All)
    }

    fn write_some(&self, write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<usize> {
        if self.items.len() == 1
            && let Some(item) = self.items.front().filter(|item| item.len() <= JOINED_BYTES_MAX)
        {
            let mut joined = [0; JOINED_BYTES_MAX];
            let (header, rest) = joined.split_at_mut(usize::from(item.header.len));
            header.copy_from_slice(item.header());
            rest[..item.payload.len()].copy_from_slice(&item.payload);
            return write(&[IoSlice::new(&joined[self.sent..item.len()])]);
        }
        let mut slices = [IoSlice::new(&[]); WRITE_FRAMES_MAX * 2];
        let mut count = 0;
        let mut skip = self.sent;
        for item in self.items.iter().take(WRITE_FRAMES_MAX) {
            for part in [item.header(), &item.payload] {
                let rest = &part[skip.min(part.len())..];
                skip -= part.len() - rest.len();
                if !rest.is_empty() {
                    slices[count] = IoSlice::new(rest);
                    count += 1;
                }
            }
        }
        write(&slices[..count])
    }

    fn advance(&mut self, written: usize) {
        self.bytes -= written;
        self.budget.sub(written);
        self.progress.drained_bytes += written as u64;
        self.sent += written;
        while let Some(item) = self.items.front().filter(|item| item.len() <= self.sent) {
            self.sent -= item.len();
            self.progress.drained += u64::from(item.class == Class::Frame);
            self.items.pop_front();
        }
    }

    /// Throws away what is queued.
    pub(crate) fn clear(&mut self) {
        self.budget.sub(self.bytes);
        self.bytes = 0;
        self.sent = 0;
        self.items = VecDeque::new();
    }
}

impl Drop for OutQueue {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: &[u8]) -> FrameHeader {
        let mut header = FrameHeader { bytes: [0; HEADER_BYTES_MAX], len: bytes.len() as u8 };
        header.bytes[..bytes.len()].copy_from_slice(bytes);
        header
    }

    fn queue(budget: usize) -> OutQueue {
        OutQueue::new(OutBudget::new(budget))
    }

    /// A kernel that takes `per_write` bytes a write, `total` in all.
    fn kernel(out: &mut Vec<u8>, per_write: usize, total: usize) -> impl FnMut(&[IoSlice<'_>]) -> io::Result<usize> {
        move |slices| {
            let room = per_write.min(total - out.len());
            if room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(room).collect();
            out.extend_from_slice(&all);
            Ok(all.len())
        }
    }

    #[test]
    fn frames_leave_whole_and_in_order_however_little_a_write_takes() {
        let mut expected = Vec::new();
        for per_write in [1, 2, 3, 7, 1000] {
            let mut queue = queue(usize::MAX);
            expected.clear();
            for n in 0..100_u8 {
                queue.push(header(&[0x82, n]), Bytes::from(vec![n; usize::from(n)]), Class::Frame);
                expected.extend_from_slice(&[0x82, n]);
                expected.extend(vec![n; usize::from(n)]);
            }
            let mut out = Vec::new();
            assert_eq!(queue.flush(kernel(&mut out, per_write, usize::MAX)).unwrap(), Flushed::All);
            assert_eq!(out, expected);
            let all = Progress { taken: 100, drained: 100, drained_bytes: expected.len() as u64 };
            assert_eq!((queue.bytes(), queue.progress()), (0, all));
        }
    }

    #[test]
    fn a_frame_counts_as_drained_only_when_its_last_byte_left() {
        let mut queue = queue(usize::MAX);
        queue.push(header(&[1, 2]), Bytes::from_static(b"abc"), Class::Frame);
        queue.push(header(&[3, 4]), Bytes::from_static(b"def"), Class::Control);
        let mut out = Vec::new();
        assert_eq!(queue.flush(kernel(&mut out, 9, 4)).unwrap(), Flushed::Blocked);
        assert_eq!((queue.progress().drained, queue.bytes()), (0, 6));
        assert_eq!(queue.flush(kernel(&mut out, 9, 5)).unwrap(), Flushed::Blocked);
        assert_eq!((queue.progress().drained, queue.bytes()), (1, 5));
    }

    #[test]
    fn an_empty_queue_takes_any_frame_and_a_full_one_none() {
        let mut queue = queue(usize::MAX);
        assert!(queue.has_room(10 * OUT_BYTES_MAX));
        queue.push(header(&[1]), Bytes::from(vec![0; OUT_BYTES_MAX - 1]), Class::Frame);
        assert!(!queue.has_room(1));
    }

    #[test]
    fn a_spent_budget_leaves_each_client_one_frame_and_is_given_back() {
        let budget = OutBudget::new(10);
        let (mut first, mut second) = (OutQueue::new(Arc::clone(&budget)), OutQueue::new(Arc::clone(&budget)));
        first.push(header(&[1]), Bytes::from(vec![0; 9]), Class::Frame);
        assert!(!first.has_room(1));
        assert!(second.has_room(1));
        second.push(header(&[1]), Bytes::new(), Class::Frame);
        first.clear();
        assert_eq!(budget.bytes(), 1);
        drop(second);
        assert_eq!(budget.bytes(), 0);
    }
}
