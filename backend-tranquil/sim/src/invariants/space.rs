//! *Space is accounted for.* What the store says that it takes is what its files have; and when all that is due was swept,
//! what is left is what the roots need: generations of accounts, blocks that something refers to, files of known sorts.
//!
//! Why: every deletion leaves a row (a sweep, or the commit that it replaced) from which what became garbage is found, and
//! that row goes last. Files made aside have a name that ends in `tmp`, and are made again or removed by whoever makes the
//! next one of that name.

use std::collections::BTreeSet;

use backend_api::{RepoId, SnapshotItem, Stats};

use super::{Held, Violation};
use crate::world::DIRECTORY;

fn violation(what: String) -> Violation {
    Violation::new("space", what)
}

/// Bytes of the files in a directory of the store whose names end so.
fn bytes(files: &[(String, &[u8])], directory: &str, end: &str) -> u64 {
    let prefix = format!("{DIRECTORY}/{directory}/");
    let there = files.iter().filter(|(path, _)| path.starts_with(&prefix) && path.ends_with(end));
    there.map(|(_, bytes)| bytes.len() as u64).sum()
}

/// The figures against the files.
///
/// # Errors
/// If they differ.
pub fn figures(stats: &Stats, files: &[(String, &[u8])]) -> Held {
    for (name, there) in [("log", bytes(files, "log", ".log")), ("events", bytes(files, "events", ".segment"))] {
        let said = stats.space.parts.iter().find(|(part, _)| part == name).map(|(_, bytes)| *bytes);
        if said != Some(there) {
            return Err(violation(format!("{name}: the files have {there} bytes, the store says {said:?}")));
        }
    }
    Ok(())
}

/// Files of which none may be more than a few.
const LEFTOVERS_MAX: usize = 6;
/// Two copies of the metadata are kept; a power cut may bring others back, until the next one is written.
const SNAPSHOTS_MAX: usize = 6;

/// Every file is of a known sort, and none lies about for nothing.
///
/// # Errors
/// If one is not, or does.
pub fn files(files: &[(String, &[u8])]) -> Held {
    let names: BTreeSet<&str> = files.iter().filter_map(|(path, _)| path.strip_prefix(DIRECTORY)?.get(1..)).collect();
    let (mut leftovers, mut snapshots) = (Vec::new(), 0);
    for name in &names {
        let beside = |own: &str, other: &str| names.contains(name.replace(own, other).as_str());
        match *name {
            "STORE" | "STORE.copy" | "STORE.damaged" | "reserve" => {}
            name if name.ends_with("tmp") => leftovers.push(name),
            name if name.starts_with("log/torn-") || name.ends_with(".log") || name.ends_with(".segment") => {}
            name if name.ends_with(".hint") && beside(".hint", ".log") => {}
            name if name.ends_with(".index") && beside(".index", ".segment") => {}
            name if name.ends_with(".parity")
                && [".log", ".segment", ".snapshot"].iter().any(|of| beside(".parity", of)) => {}
            // What was healed is kept as it was.
            name if name.contains(".damaged-") => {}
            name if [".hint", ".index", ".parity"].iter().any(|end| name.ends_with(end)) => leftovers.push(name),
            name if name.ends_with(".snapshot") => snapshots += 1,
            name => return Err(violation(format!("nobody knows what {name} is for"))),
        }
    }
    if leftovers.len() > LEFTOVERS_MAX || snapshots > SNAPSHOTS_MAX {
        return Err(violation(format!("{snapshots} copies of the metadata, and these for nothing: {leftovers:?}")));
    }
    Ok(())
}

/// What is stored after a full sweep, long after the last write, is what the roots need.
///
/// # Errors
/// For anything that nothing leads to.
pub fn swept(items: &[SnapshotItem]) -> Held {
    let mut needed: BTreeSet<RepoId> = BTreeSet::new();
    let mut imports: BTreeSet<RepoId> = BTreeSet::new();
    for item in items {
        if let SnapshotItem::Account(account) = item {
            needed.extend(account.repo.iter().chain(&account.import));
            imports.extend(account.import);
        }
    }
    for item in items {
        let is_needed = match item {
            SnapshotItem::Repo(repo) => needed.contains(&repo.id),
            SnapshotItem::Block { repo, refs, .. } => needed.contains(repo) && (*refs > 0 || imports.contains(repo)),
            SnapshotItem::Record(repo, ..) | SnapshotItem::Commit(repo, ..) => needed.contains(repo),
            SnapshotItem::Sweep(..) | SnapshotItem::Receipt(..) => false,
            _ => true,
        };
        if !is_needed {
            let shown: String = format!("{item:?}").chars().take(300).collect();
            return Err(violation(format!("everything was swept, and this is left: {shown}")));
        }
    }
    Ok(())
}
