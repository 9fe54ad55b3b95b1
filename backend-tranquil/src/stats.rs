//! Figures of a running store.

use backend_api::{Account, Pos, Result, SpaceUse, Stats};

use crate::core::Shared;
use crate::format::key::{self, Space};
use crate::format::value;
use crate::meta::Scan;

const STEP: usize = 1_024;

/// Collects them. Walks all accounts.
pub fn stats(shared: &Shared) -> Result<Stats> {
    let window = shared.events.window()?;
    let (event_bytes, ring_bytes) = shared.events.bytes();
    let memtable_bytes = {
        let tables = shared.tables();
        tables.active.bytes() + tables.frozen.as_ref().map_or(0, |f| f.table.bytes())
    };
    // Not within the value below: its lock would be held while files are asked for their sizes.
    let pos = Pos(shared.tables().mark.pos);
    let mut stats = Stats {
        backend: "tranquil".into(),
        pos,
        head: window.head,
        space: SpaceUse {
            parts: vec![
                ("log".into(), shared.log.disk_bytes()),
                ("events".into(), event_bytes),
                ("meta".into(), shared.kv.disk_bytes()),
            ],
        },
        counters: shared.counters.list(),
        stopped: shared.stopped().map(str::to_owned),
        ..Stats::default()
    };
    stats.counters.extend([
        ("full".into(), u64::from(shared.space.is_full())),
        ("reserve_bytes".into(), shared.space.reserve()),
        ("events_waiting_bytes".into(), shared.events.waiting_bytes() as u64),
        ("memtable_bytes".into(), memtable_bytes as u64),
        ("ring_bytes".into(), ring_bytes),
        ("hot_bytes".into(), shared.hot.weight()),
    ]);
    stats.counters.extend(shared.options.memory().map(|(name, bytes)| (name.to_owned(), bytes)));
    let mut after = None;
    loop {
        let (found, more) = shared.scan(&Scan::prefix(key::space(Space::Account), STEP).after(after))?;
        after = found.last().map(|(key, _)| key.to_vec());
        for (_, bytes) in &found {
            let account: Account = value::decode(bytes, "account")?;
            stats.accounts += 1;
            let repo = account.repo.map(|id| shared.repo_of(id)).transpose()?.flatten();
            if let Some(repo) = repo {
                stats.repos += 1;
                stats.records += repo.counters.records;
                stats.refs += repo.counters.refs;
                stats.bytes += repo.counters.bytes;
            }
        }
        if !more {
            return Ok(stats);
        }
    }
}
