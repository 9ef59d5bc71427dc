//! What values must be to each other, to the machine, and to whoever could reach them. Each rule names its settings, so
//! that the mistake is shown where somebody set one of them.

use std::net::SocketAddr;

use super::{Config, key_file, machine::Machine};

const MIB: u64 = 1024 * 1024;
/// Most memtables at a time: four keyspaces have one each, and one more while it is written out.
const MEMTABLES: u64 = 8;

/// What a rule looks at.
pub(super) struct Looked<'a> {
    pub(super) config: &'a Config,
    pub(super) machine: &'a Machine,
    /// Everyone gets a token.
    pub(super) dev: bool,
}

/// A rule between settings.
pub(super) struct Relation {
    /// Which settings; the first that somebody set is where the mistake is shown.
    pub(super) between: &'static [&'static str],
    /// What is wrong, if something is.
    pub(super) fault: fn(&Looked<'_>) -> Option<String>,
}

pub(super) const RELATIONS: &[Relation] = &[
    Relation { between: &["listen.address", "listen.behind_proxy"], fault: open_to_the_world },
    Relation { between: &["listen.behind_proxy"], fault: dev_behind_a_proxy },
    Relation { between: &["listen.admin", "listen.admin_public"], fault: admin_open_to_the_world },
    Relation { between: &["listen.admin", "listen.address"], fault: one_address_for_both },
    Relation { between: &["listen.out_mb"], fault: out_and_memory },
    Relation { between: &["listen.out_mb", "limits.frame_bytes_max"], fault: out_and_frame },
    Relation { between: &["store.disk_reserve_mb", "store.memtable_mb"], fault: reserve_and_memtables },
    Relation { between: &["store.cache_mb", "store.memtable_mb"], fault: store_and_memory },
    Relation { between: &["auth.key_file", "auth.secret"], fault: two_keys },
    Relation { between: &["auth.key_file"], fault: key_that_is_none },
    Relation { between: &["auth.secret"], fault: secret_too_short },
    Relation { between: &["limits.frame_bytes_max", "limits.body_bytes_max"], fault: frame_and_body },
    Relation { between: &["limits.recall_s", "store.inbox_days"], fault: recall_and_inbox },
];

fn open_to_the_world(at: &Looked<'_>) -> Option<String> {
    let listen = &at.config.listen;
    let open = !listen.address.ip().is_loopback();
    match (open, at.dev, listen.behind_proxy) {
        (true, true, _) => {
            Some("--dev hands a token to everyone who can connect, so it serves loopback only".to_owned())
        }
        (true, false, false) => Some(
            "this address is not loopback and tokens would travel in clear: put a proxy with TLS in front and set \
             listen.behind_proxy = true"
                .to_owned(),
        ),
        _ => None,
    }
}

fn dev_behind_a_proxy(at: &Looked<'_>) -> Option<String> {
    let open = at.dev && at.config.listen.behind_proxy;
    open.then(|| "--dev hands a token to everyone whom the proxy lets through: leave one of them out".to_owned())
}

fn admin_open_to_the_world(at: &Looked<'_>) -> Option<String> {
    let listen = &at.config.listen;
    let open = listen.admin.is_some_and(|admin| !admin.ip().is_loopback());
    (open && !listen.admin_public).then(|| {
        "this address is not loopback and the operators' listener has no passwords: use a loopback address, or set \
         listen.admin_public = true if a firewall decides who reaches it"
            .to_owned()
    })
}

fn one_address_for_both(at: &Looked<'_>) -> Option<String> {
    let listen = &at.config.listen;
    if listen.admin.is_none() && listen.address.port() == u16::MAX {
        return Some("there is no port after 65535: set listen.admin as well".to_owned());
    }
    let both = overlap(listen.address, at.config.admin_address());
    both.then(|| "clients and operators need addresses of their own, of different ports".to_owned())
}

/// Whether both cannot be listened on. Port 0: the system chooses.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (any || one.ip() == other.ip())
}

fn out_and_memory(at: &Looked<'_>) -> Option<String> {
    let half_mb = at.machine.memory_bytes? / 2 / MIB;
    let over = at.config.listen.out_mb as u64 > half_mb;
    over.then(|| format!("at most half of the memory, here {half_mb}; 0 takes a quarter"))
}

fn out_and_frame(at: &Looked<'_>) -> Option<String> {
    let (out_mb, frame) = (at.config.listen.out_mb as u64, at.config.limits.frame_bytes_max as u64);
    let least_mb = frame.div_ceil(MIB);
    (out_mb != 0 && out_mb < least_mb).then(|| format!("must hold one frame at least, so listen.out_mb >= {least_mb}"))
}

fn reserve_and_memtables(at: &Looked<'_>) -> Option<String> {
    let store = &at.config.store;
    let least = at.config.memtable_mb(at.machine).saturating_mul(4);
    (store.disk_reserve_mb < least)
        .then(|| format!("store.disk_reserve_mb must be at least 4 * store.memtable_mb, here {least}"))
}

fn store_and_memory(at: &Looked<'_>) -> Option<String> {
    let half_mb = at.machine.memory_bytes? / 2 / MIB;
    let store = &at.config.store;
    let used = store.cache_mb.saturating_add(at.config.memtable_mb(at.machine).saturating_mul(MEMTABLES));
    (used > half_mb).then(|| {
        format!("store.cache_mb + {MEMTABLES} * store.memtable_mb is {used}, it must be at most half of the memory, here {half_mb}")
    })
}

fn two_keys(at: &Looked<'_>) -> Option<String> {
    let auth = &at.config.auth;
    (auth.key_file.is_some() && auth.secret.is_some())
        .then(|| "there is a key file and a secret in the environment: which one signs? Leave one out".to_owned())
}

fn key_that_is_none(at: &Looked<'_>) -> Option<String> {
    let path = at.config.auth.key_file.as_deref()?;
    key_file::fault(path).map(|fault| format!("{} {fault}", path.display()))
}

fn secret_too_short(at: &Looked<'_>) -> Option<String> {
    let secret = at.config.auth.secret.as_ref()?;
    key_file::too_short(secret.expose()).map(|fault| format!("the secret {fault}"))
}

fn frame_and_body(at: &Looked<'_>) -> Option<String> {
    let limits = &at.config.limits;
    // A legal body may grow sixfold when JSON escapes it.
    let least = limits.body_bytes_max.saturating_mul(6).saturating_add(4_096);
    (limits.frame_bytes_max < least)
        .then(|| format!("limits.frame_bytes_max must be at least 6 * limits.body_bytes_max + 4096, here {least}"))
}

fn recall_and_inbox(at: &Looked<'_>) -> Option<String> {
    let kept = at.config.store.inbox_days.saturating_mul(86_400);
    (at.config.limits.recall_s > kept).then(|| {
        format!("limits.recall_s must be at most store.inbox_days, here {kept} s: what is not kept cannot be recalled")
    })
}
