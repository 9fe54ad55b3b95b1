//! File descriptors, which connections and the store's files share.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the store's files, the control socket and the rest are left: the embedded engine keeps up to 1,500 files open.
const RESERVED: u64 = 2_048;

/// Raises this process's bound to what the system lets it have.
pub(super) fn raise() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the bound of open files cannot be raised");
    }
}

/// How many connections may be open, of those that the configuration allows.
pub(super) fn connections(wanted: u32) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let bound = bound(wanted, limit);
    if bound < u64::from(wanted) {
        tracing::warn!(
            "connections_max: {wanted}, but with {} open files (ulimit -n) there is room for {bound}",
            limit.unwrap_or(u64::MAX)
        );
    }
    usize::try_from(bound).unwrap_or(usize::MAX)
}

/// Where there are few descriptors the store has half of them. There is no bound of them if `limit` is `None`.
fn bound(wanted: u32, limit: Option<u64>) -> u64 {
    let limit = limit.unwrap_or(u64::MAX);
    u64::from(wanted).min(limit - RESERVED.min(limit / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_keeps_descriptors_for_its_files() {
        assert_eq!(bound(4_096, None), 4_096);
        assert_eq!(bound(4_096, Some(1 << 20)), 4_096);
        assert_eq!(bound(4_096, Some(5_000)), 5_000 - RESERVED);
        assert_eq!(bound(4_096, Some(1_024)), 512);
        assert_eq!(bound(100, Some(1_024)), 100);
        assert_eq!((bound(0, None), bound(9, Some(1))), (1, 1));
    }
}
