//! The data directory: is it there, whose is it, who may look into it, and who has it locked.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::Check;
use crate::store::embedded::inspect;

const NAME: &str = "data directory";
/// Others than the owner and its group may do something, or the group may write.
const OPEN_TO_OTHERS: u32 = 0o027;

/// Who has the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// There is nothing to have.
    NoDirectory,
    /// It is free.
    Nobody,
    /// A running process, by its id where the system tells.
    Server(Option<u32>),
}

impl Owner {
    pub(super) fn pid(self) -> Option<u32> {
        match self {
            Self::Server(pid) => pid,
            Self::NoDirectory | Self::Nobody => None,
        }
    }
}

/// What was found.
pub(super) struct Access {
    pub(super) check: Check,
    pub(super) owner: Owner,
}

pub(super) fn look(dir: &Path) -> Access {
    let shown = dir.display();
    let none = |check| Access { check, owner: Owner::NoDirectory };
    let metadata = match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => return none(Check::failed(NAME, format!("{shown} is no directory"), "set store.dir")),
        Err(why) => {
            let advice = "the first start makes it; if there was one, set store.dir or --data";
            return none(Check::warning(NAME, format!("{shown}: {why}"), advice));
        }
    };
    if !inspect::is_used(dir) {
        let advice = "the first start fills it; if there was data, set store.dir or --data";
        return none(Check::warning(NAME, format!("{shown} has no data of a server"), advice));
    }
    let (check, owner) = taken(dir, &metadata);
    Access { check, owner }
}

fn taken(dir: &Path, metadata: &fs::Metadata) -> (Check, Owner) {
    let shown = dir.display();
    let owner = match inspect::is_locked(dir) {
        Ok(false) => Owner::Nobody,
        Ok(true) => Owner::Server(inspect::lock_owner(dir)),
        Err(why) => {
            let me = rustix::process::geteuid().as_raw();
            let says = format!("{shown} belongs to user {} and cannot be used by user {me}: {why}", metadata.uid());
            return (Check::failed(NAME, says, "run this as the user of the server"), Owner::NoDirectory);
        }
    };
    let by = match owner {
        Owner::Server(Some(pid)) => format!("locked by process {pid}: a server is running"),
        Owner::Server(None) => "locked: a server is running".to_owned(),
        Owner::Nobody | Owner::NoDirectory => "not locked: no server is running".to_owned(),
    };
    let mode = metadata.mode() & 0o777;
    if mode & OPEN_TO_OTHERS == 0 {
        return (Check::ok(NAME, format!("{shown}, mode {mode:04o}, {by}")), owner);
    }
    let says = format!("{shown} has mode {mode:04o}: other users may read messages; {by}");
    (Check::warning(NAME, says, format!("chmod 0700 {shown}")), owner)
}
