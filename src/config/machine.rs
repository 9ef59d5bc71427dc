//! What the settings are compared with: the memory this process may use, and the files it may open.

use std::fs;

/// What this machine gives the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Memory in bytes, a container's limit included; `None`: not known, nothing is compared with it.
    pub memory_bytes: Option<u64>,
    /// Files this process may have open; `None`: as many as it likes.
    pub open_files_max: Option<u64>,
}

impl Machine {
    /// Asks the system.
    #[must_use]
    pub fn read() -> Self {
        let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        let of_container = limits.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
        let of_machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_bytes(&text));
        Self {
            memory_bytes: of_container.chain(of_machine).min(),
            open_files_max: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        }
    }
}

/// `MemTotal` of `/proc/meminfo`.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_found_in_what_the_system_says() {
        assert_eq!(total_bytes("MemTotal:       16316412 kB\nMemFree: 1 kB\n"), Some(16_316_412 * 1024));
        assert_eq!(total_bytes("MemFree: 1 kB\n"), None);
    }
}
