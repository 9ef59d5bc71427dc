//! What a data directory says about itself: format version, shard count, and the epoch, one higher with each start.

use std::path::Path;

use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};
use prost::Message as _;
use tidings_schema::{id::Epoch, record::Meta};

use super::{OpenError, OpenOptions, engine::open_error, value};

/// The format this version writes, and the newest it reads.
pub(super) const FORMAT: u32 = 1;

const META_KEY: &[u8] = b"meta";

/// Checks the directory against the options and makes the next epoch durable.
pub(super) fn begin_epoch(db: &Database, meta: &Keyspace, options: &OpenOptions) -> Result<Epoch, OpenError> {
    let corrupt = |what: &str| OpenError::Corrupt { dir: options.dir.clone(), what: what.to_owned() };
    let stored = meta.get(META_KEY).map_err(|error| open_error(&options.dir, error))?;
    let before = match stored {
        None => {
            Meta { format: FORMAT, epoch: 0, shards: u32::from(options.shards.get()), memtable_mb: options.memtable_mb }
        }
        Some(stored) => {
            let record = value::unpack(&stored).ok_or_else(|| corrupt("the meta record"))?;
            Meta::decode(record).map_err(|_| corrupt("the meta record"))?
        }
    };
    check(&before, options)?;
    if before.memtable_mb != options.memtable_mb {
        let (made_with, wanted) = (before.memtable_mb, options.memtable_mb);
        tracing::warn!(
            made_with,
            wanted,
            "store.memtable_mb counts when a data directory is made: this one keeps what it has"
        );
    }
    let epoch = Epoch::new(before.epoch).next().ok_or_else(|| corrupt("the epoch"))?;
    let mut packed = Vec::new();
    value::pack(&mut packed, &Meta { epoch: epoch.get(), format: FORMAT, ..before }.encode_to_vec());
    let mut batch = OwnedWriteBatch::with_capacity(db.clone(), 1).durability(Some(PersistMode::SyncAll));
    batch.insert(meta, META_KEY, &packed[..]);
    batch.commit().map_err(|error| open_error(&options.dir, error))?;
    Ok(epoch)
}

/// What the directory says about itself, if this version knows its format.
pub(super) fn stored(meta: &Keyspace, dir: &Path) -> Result<Option<Meta>, OpenError> {
    let Some(stored) = meta.get(META_KEY).map_err(|error| open_error(dir, error))? else { return Ok(None) };
    let damaged = || OpenError::Corrupt { dir: dir.to_owned(), what: "the meta record".to_owned() };
    let meta = value::unpack(&stored).and_then(|record| Meta::decode(record).ok()).ok_or_else(damaged)?;
    if meta.format > FORMAT {
        return Err(OpenError::NewerFormat { dir: dir.to_owned(), found: meta.format, known: FORMAT });
    }
    Ok(Some(meta))
}

fn check(stored: &Meta, options: &OpenOptions) -> Result<(), OpenError> {
    if stored.format > FORMAT {
        return Err(OpenError::NewerFormat { dir: options.dir.clone(), found: stored.format, known: FORMAT });
    }
    if stored.shards != u32::from(options.shards.get()) {
        let (dir, asked) = (options.dir.clone(), options.shards.get());
        return Err(OpenError::OtherShards { dir, stored: stored.shards, asked });
    }
    Ok(())
}

#[cfg(test)]
pub(super) fn overwrite(db: &Database, meta: &Keyspace, record: &Meta) {
    let mut packed = Vec::new();
    value::pack(&mut packed, &record.encode_to_vec());
    meta.insert(META_KEY, &packed[..]).unwrap();
    db.persist(PersistMode::SyncAll).unwrap();
}
