//! Looks through the engine's journals before it does: cuts a batch that was being written when the power went, reports
//! it, and refuses to go on when a batch that had been synced is damaged.
//!
//! The committer syncs each batch before it writes the next, so only the last one can be torn. The engine itself would
//! cut at any damage, without a word, and drop the synced batches behind it.
//! Format (engine 3.1): start = 1 | items u32 | seqno u64; item = 2 | type u8 | compression u8 | keyspace u64 | key
//! length u16 | value length u32 | stored length u32 | key | stored value; clear = 4 | keyspace u64; end = 3 | xxh3-64 of
//! all items u64 | magic. Little endian. Files are allocated in advance and end in zeros.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::OpenError;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: &[u8] = b"FJL\x03";
/// Bytes of an item between its tag and its key.
const ITEM_HEAD_BYTES: usize = 1 + 1 + 8 + 2 + 4 + 4;
/// A batch further ahead than this is no batch of this journal, but bytes of a message that look like one.
const SEQNO_AHEAD_MAX: u64 = 1 << 20;

/// What was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Bytes that were no complete batch, without the zeros behind them.
    pub bytes: u64,
}

/// Checks all journals of an engine directory that need not exist yet, and cuts the newest after its last batch.
pub(super) fn cut_torn_tail(data: &Path, dir: &Path) -> Result<Option<TornTail>, OpenError> {
    let not_usable = |source| OpenError::NotUsable { dir: dir.to_owned(), source };
    let journals = journals(data).map_err(not_usable)?;
    for (number, path) in &journals {
        let corrupt =
            || OpenError::Corrupt { dir: dir.to_owned(), what: format!("a synced batch of journal {number}") };
        let bytes = fs::read(path).map_err(not_usable)?;
        let Some(torn) = check(&bytes).map_err(|Damaged| corrupt())? else { continue };
        if journals.last().is_none_or(|(newest, _)| newest != number) {
            return Err(corrupt());
        }
        cut(path, torn.at).map_err(not_usable)?;
        tracing::warn!(journal = number, bytes = torn.bytes, "torn tail of the journal was cut");
        metrics::counter!("tidings_store_torn_bytes_total").increment(torn.bytes);
        return Ok(Some(TornTail { bytes: torn.bytes }));
    }
    Ok(None)
}

/// Paths of the journals by number, oldest first.
pub(super) fn journals(data: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    if !data.try_exists()? {
        return Ok(Vec::new());
    }
    let mut journals = Vec::new();
    for file in fs::read_dir(data)? {
        let path = file?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(number) = name.and_then(|name| name.strip_suffix(".jnl")).and_then(|n| n.parse().ok()) {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals)
}

fn cut(path: &Path, at: u64) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(at)?;
    file.sync_all()
}

/// Bytes that are neither a batch nor zeros stand at the end.
#[derive(Debug, PartialEq, Eq)]
struct Torn {
    at: u64,
    bytes: u64,
}

/// A complete batch stands behind bytes that are none.
#[derive(Debug, PartialEq, Eq)]
struct Damaged;

fn check(journal: &[u8]) -> Result<Option<Torn>, Damaged> {
    let (at, newest) = batches_end(journal);
    let rest = journal.get(at..).unwrap_or_default();
    let Some(last) = rest.iter().rposition(|byte| *byte != 0) else { return Ok(None) };
    let follows = |batch: BatchAt| newest.is_none_or(|seqno| batch.seqno.wrapping_sub(seqno) <= SEQNO_AHEAD_MAX);
    let starts = (1..=last).filter(|start| rest.get(*start) == Some(&START));
    if starts.filter_map(|start| batch(rest.get(start..)?)).any(follows) {
        return Err(Damaged);
    }
    Ok(Some(Torn { at: at as u64, bytes: last as u64 + 1 }))
}

/// Where the complete batches from the beginning on end, and the seqno of the last one.
pub(super) fn batches_end(journal: &[u8]) -> (usize, Option<u64>) {
    let (mut at, mut newest) = (0, None);
    while let Some(batch) = journal.get(at..).and_then(batch) {
        at += batch.bytes;
        newest = Some(batch.seqno);
    }
    (at, newest)
}

struct BatchAt {
    bytes: usize,
    seqno: u64,
}

/// The complete batch with which `journal` begins.
fn batch(journal: &[u8]) -> Option<BatchAt> {
    let mut at = Reader { bytes: journal, at: 0 };
    if at.u8()? != START {
        return None;
    }
    let (items, seqno) = (at.u32()?, at.u64()?);
    let begin = at.at;
    for _ in 0..items {
        at.item()?;
    }
    let checksum = xxh3_64(journal.get(begin..at.at)?);
    let ends = at.u8()? == END && at.u64()? == checksum && at.take(MAGIC.len())? == MAGIC;
    ends.then_some(BatchAt { bytes: at.at, seqno })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn item(&mut self) -> Option<()> {
        match self.u8()? {
            ITEM => {
                let head: [u8; ITEM_HEAD_BYTES] = self.array()?;
                let key = u16::from_le_bytes([head[10], head[11]]);
                let stored = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
                self.take(usize::from(key).checked_add(usize::try_from(stored).ok()?)?)?;
            }
            CLEAR => {
                self.u64()?;
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_batch(seqno: u64, value: &[u8]) -> Vec<u8> {
        let mut items = vec![ITEM, 0, 0];
        items.extend_from_slice(&1_u64.to_le_bytes());
        items.extend_from_slice(&1_u16.to_le_bytes());
        let length = u32::try_from(value.len()).unwrap().to_le_bytes();
        items.extend_from_slice(&[&length[..], &length, b"k", value].concat());
        let mut batch = vec![START];
        batch.extend_from_slice(&1_u32.to_le_bytes());
        batch.extend_from_slice(&seqno.to_le_bytes());
        batch.extend_from_slice(&items);
        batch.push(END);
        batch.extend_from_slice(&xxh3_64(&items).to_le_bytes());
        batch.extend_from_slice(MAGIC);
        batch
    }

    #[test]
    fn batches_and_zeros_are_whole() {
        let journal = [a_batch(1, b"a"), a_batch(2, b"bb"), vec![0; 100]].concat();
        assert_eq!(check(&journal), Ok(None));
        assert_eq!(check(&[]), Ok(None));
    }

    #[test]
    fn a_batch_cut_anywhere_is_torn() {
        let (first, second) = (a_batch(1, b"a"), a_batch(2, b"bb"));
        for cut in 1..second.len() {
            let journal = [&first[..], &second[..cut], &[0; 64]].concat();
            let torn = check(&journal).unwrap().unwrap();
            assert_eq!(torn.at, first.len() as u64, "{cut}");
        }
    }

    #[test]
    fn a_damaged_batch_before_a_whole_one_is_no_torn_tail() {
        let mut journal = [a_batch(1, b"a"), a_batch(2, b"bb"), a_batch(3, b"c")].concat();
        let middle = a_batch(1, b"a").len() + 30;
        journal[middle] ^= 1;
        assert_eq!(check(&journal), Err(Damaged));
    }

    #[test]
    fn a_torn_message_that_looks_like_a_batch_is_a_torn_tail() {
        let forged = a_batch(u64::MAX / 2, b"x");
        let whole = a_batch(2, &forged);
        let journal = [&a_batch(1, b"a")[..], &whole[..whole.len() - 3]].concat();
        assert!(check(&journal).unwrap().is_some());
    }
}
