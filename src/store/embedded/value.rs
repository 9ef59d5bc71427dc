//! Values as stored: xxh3-64 of the record, little endian, before the record.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes before the record.
pub(super) const CHECKSUM_BYTES: usize = size_of::<u64>();

/// Overwrites `out` with the stored form of a record.
pub fn pack(out: &mut Vec<u8>, record: &[u8]) {
    out.clear();
    out.extend_from_slice(&xxh3_64(record).to_le_bytes());
    out.extend_from_slice(record);
}

/// The record, or `None` if its bytes are damaged.
#[must_use]
pub fn unpack(stored: &[u8]) -> Option<Bytes> {
    let (checksum, record) = stored.split_first_chunk::<CHECKSUM_BYTES>()?;
    (xxh3_64(record) == u64::from_le_bytes(*checksum)).then(|| Bytes::copy_from_slice(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_record_comes_back() {
        let mut stored = Vec::new();
        for record in [&b""[..], b"a", &[0; 5000]] {
            pack(&mut stored, record);
            assert_eq!(unpack(&stored).unwrap(), record);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut stored = Vec::new();
        pack(&mut stored, b"record");
        for bit in 0..stored.len() * 8 {
            stored[bit / 8] ^= 1 << (bit % 8);
            assert!(unpack(&stored).is_none());
            stored[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(unpack(&stored[..7]).is_none());
    }
}
