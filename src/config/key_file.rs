//! What a file with a secret must be: there, a file, closed to other users, and long enough.

use std::{fs, io::Read as _, os::unix::fs::PermissionsExt as _, path::Path};

use crate::auth::SECRET_BYTES_MIN;

/// A key that is longer is no key.
const KEY_BYTES_MAX: u64 = 64 * 1024;
/// Others may do something, or the group may write.
const OPEN_TO_OTHERS: u32 = 0o027;

/// What is wrong with a key file, and what to do.
pub(super) fn fault(path: &Path) -> Option<String> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(why) => return Some(format!("cannot be read: {why}")),
    };
    if !metadata.is_file() {
        return Some("is no file".to_owned());
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OPEN_TO_OTHERS != 0 {
        return Some(format!("has mode {mode:04o}, other users may use it: chmod 0400 (or 0440 for a group)"));
    }
    let mut key = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(KEY_BYTES_MAX).read_to_end(&mut key)) {
        Ok(_) => too_short(&key),
        Err(why) => Some(format!("cannot be read: {why}")),
    }
}

/// What is wrong with the bytes of a secret.
pub(super) fn too_short(key: &[u8]) -> Option<String> {
    let bytes = key.trim_ascii().len();
    (bytes < SECRET_BYTES_MIN).then(|| {
        format!("has {bytes} bytes, it needs at least {SECRET_BYTES_MIN}: generate one with `openssl rand -hex 32`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_long_file_that_others_cannot_use() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        let fault_of = |bytes: &[u8], mode| {
            fs::write(&key, bytes).unwrap();
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            let fault = fault(&key);
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
            fault.unwrap_or_default()
        };
        assert_eq!(fault_of(&[b'x'; 32], 0o600), "");
        assert_eq!(fault_of(&[b'x'; 32], 0o440), "");
        assert!(fault_of(&[b'x'; 31], 0o400).contains("has 31 bytes"));
        assert!(fault_of(b"\n                                          \n", 0o600).contains("has 0 bytes"));
        for open in [0o644, 0o604, 0o620, 0o601] {
            assert!(fault_of(&[b'x'; 32], open).contains("other users"), "{open:o}");
        }
        assert!(fault(dir.path()).unwrap().contains("no file"));
        assert!(fault(&dir.path().join("none")).unwrap().contains("cannot be read"));
    }
}
