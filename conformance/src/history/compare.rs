//! Everything that can be read from two stores, side by side.

use backend_api::{
    AccountName, At, Backend, Blocks, Cid, Did, Micros, Pos, RecordQuery, RowKind, RowScope, Seq, VerifyLevel,
};

use super::run::same;
use super::world::{Person, World, blob};
use crate::context::snapshot;
use crate::digest::difference;
use crate::scene;

/// Of how many commits of a repo the past state is asked for.
const COMMITS_ASKED: usize = 6;

/// How many of the newest changes are read again at each comparison: more than what is written between two.
const CHANGES_READ: u64 = 400;

/// Of how many blocks of a repo the bytes and counts are asked for by name, where a comparison asks for a part of them.
const BLOCKS_NAMED: usize = 300;

/// Alike, or in what not.
pub type Compared = Result<(), String>;

/// Of whom everything is asked that can be asked of one. What is stored is compared of all, each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Of everybody.
    All,
    /// Of the one whose turn it is, by this number: a comparison is thousands of calls, most of them about people.
    InTurn(usize),
}

/// Compares every answer of two stores, and the first with what the people of a history know.
///
/// # Errors
/// The first difference.
pub async fn everything(a: &dyn Backend, b: &dyn Backend, world: &World, whom: Whom) -> Compared {
    stored(a, b).await?;
    feeds(a, b).await?;
    accounts(a, b).await?;
    rows(a, b).await?;
    // The snapshots hold all blocks with their counts; of the ways to ask for one by name a part will do.
    let cids: Vec<Cid> = world.cids().iter().copied().step_by(1 + world.cids().len() / BLOCKS_NAMED).collect();
    let is_asked = |n: usize| match whom {
        Whom::All => true,
        Whom::InTurn(turn) => n == turn % world.people().count(),
    };
    for (_, person) in world.people().enumerate().filter(|(n, _)| is_asked(*n)) {
        repo(a, b, &person.repo.did).await?;
        records(a, b, &person.repo.did).await?;
        blobs(a, b, &person.repo.did).await?;
        blocks(a, b, &person.repo.did, &cids).await?;
        expected(a, person).await?;
    }
    Ok(())
}

async fn stored(a: &dyn Backend, b: &dyn Backend) -> Compared {
    let items = (snapshot(a).await, snapshot(b).await);
    let (Ok(left), Ok(right)) = items else {
        return Err(format!("a snapshot failed: {:?}, {:?}", items.0.err(), items.1.err()));
    };
    if let Some(difference) = difference(&left, &right) {
        return Err(format!("the snapshots differ: {difference}"));
    }
    for (side, store) in [("left", a), ("right", b)] {
        let report = store.verify(VerifyLevel::Deep).await.map_err(|e| format!("verify of the {side}: {e}"))?;
        if !report.problems.is_empty() {
            return Err(format!("the {side} finds itself unsound: {:?}", report.problems));
        }
    }
    let counted = |stats: backend_api::Stats| {
        (stats.pos, stats.head, stats.accounts, stats.repos, stats.records, stats.refs, stats.bytes)
    };
    same("stats", a.stats().await.map(counted), b.stats().await.map(counted))
}

async fn feeds(a: &dyn Backend, b: &dyn Backend) -> Compared {
    same("position", a.position().await, b.position().await)?;
    same("event window", a.event_window().await, b.event_window().await)?;
    let window = a.event_window().await.map_err(|e| e.to_string())?;
    let head = window.head.get();
    for after in
        [0, window.oldest.get().saturating_sub(2), window.oldest.get() - 1, head.saturating_sub(3), head, head + 1]
    {
        let after = Seq::new(after).map_err(|e| e.to_string())?;
        for (limit, bytes_max) in [(40, usize::MAX), (3, usize::MAX), (100, 2_000), (1, 0)] {
            let what = format!("events after {after}, {limit} of {bytes_max} bytes");
            same(what, a.events(after, limit, bytes_max).await, b.events(after, limit, bytes_max).await)?;
        }
    }
    let newest = a.position().await.map_err(|e| e.to_string())?;
    let mut after = Pos(newest.0.saturating_sub(CHANGES_READ));
    loop {
        let mut both = (a.changes(after, 100, usize::MAX).await, b.changes(after, 100, usize::MAX).await);
        // Of a mutation without events the first number is of no meaning.
        for change in [&mut both.0, &mut both.1].into_iter().flatten().flatten() {
            change.stamp.first_seq = Seq::ZERO;
        }
        let Some(last) = both.0.as_ref().ok().and_then(|changes| changes.last()).map(|last| last.stamp.pos) else {
            return same(format!("changes after {after}"), both.0, both.1);
        };
        same(format!("changes after {after}"), both.0, both.1)?;
        after = last;
    }
}

async fn accounts(a: &dyn Backend, b: &dyn Backend) -> Compared {
    let mut names: Vec<AccountName> = (0..6).map(|n| AccountName::Did(World::did(n))).collect();
    names.extend((0..5).map(|n| AccountName::Handle(World::handle(n))));
    names.extend((0..5).map(|n| AccountName::Email(World::email(n))));
    for name in names {
        same(format!("{name:?}"), a.account(&name).await, b.account(&name).await)?;
    }
    for limit in [1, 2, 5, 100] {
        for after in [None, Some(World::did(1)), Some(World::did(9))] {
            let after = after.as_ref();
            let what = format!("accounts after {after:?}, {limit}");
            same(what, a.accounts(after, limit).await, b.accounts(after, limit).await)?;
            let what = format!("repos after {after:?}, {limit}");
            same(what, a.repos(after, limit).await, b.repos(after, limit).await)?;
        }
    }
    Ok(())
}

async fn rows(a: &dyn Backend, b: &dyn Backend) -> Compared {
    let kind = RowKind::Custom;
    for n in 0..9 {
        let key = scene::row_key(&format!("row{n}"));
        same(format!("row {n}"), a.row(&key).await, b.row(&key).await)?;
        let value = n.to_string().into_bytes();
        let found = (a.row_unique(kind, 0, &value).await, b.row_unique(kind, 0, &value).await);
        same(format!("row with the unique value {n}"), found.0, found.1)?;
    }
    let mut scopes =
        vec![RowScope::Kind(kind), RowScope::Prefix(kind, b"row".to_vec()), RowScope::Kind(RowKind::Session)];
    scopes.extend((0..5).map(|n| RowScope::Owner(World::did(n))));
    scopes.extend((0..4u8).map(|n| RowScope::Lookup { kind, index: 0, value: vec![b'0' + n] }));
    for scope in scopes {
        for (limit, after) in [(100, None), (2, None), (1, Some("row3")), (3, Some("row2"))] {
            let after = after.map(scene::row_key);
            let what = format!("rows of {scope:?} after {after:?}, {limit}");
            let found = (a.rows(&scope, after.as_ref(), limit).await, b.rows(&scope, after.as_ref(), limit).await);
            same(what, found.0, found.1)?;
        }
    }
    Ok(())
}

async fn repo(a: &dyn Backend, b: &dyn Backend, did: &Did) -> Compared {
    let history = a.history(did, None, 10_000).await;
    same(format!("history of {did}"), history.clone(), b.history(did, None, 10_000).await)?;
    let page = history.map_err(|e| e.to_string())?;
    let mut states = vec![At::Head, At::Time(Micros(0)), At::Time(Micros(u64::MAX))];
    // All of them are in the snapshots that were compared; of the ways to ask for one a few will do, the newest among them.
    for (rev, row) in page.items.iter().step_by(1 + page.items.len() / COMMITS_ASKED) {
        states.extend([At::Rev(*rev), At::Time(row.at), At::Time(Micros(row.at.0 - 1))]);
        let found = (a.history(did, Some(*rev), 2).await, b.history(did, Some(*rev), 2).await);
        same(format!("history of {did} before {rev}"), found.0, found.1)?;
    }
    for at in states {
        same(format!("repo of {did} at {at:?}"), a.repo(did, at).await, b.repo(did, at).await)?;
    }
    Ok(())
}

async fn records(a: &dyn Backend, b: &dyn Backend, did: &Did) -> Compared {
    same(format!("collections of {did}"), a.collections(did).await, b.collections(did).await)?;
    for collection in ["com.example.note", "com.example.note.sub", "com.example.other", "com.example.none"] {
        let collection = scene::nsid(collection);
        for reverse in [false, true] {
            for (limit, after) in [(1_000, None), (2, None), (1, Some("012")), (3, Some("imported")), (5, Some("000"))]
            {
                let after = after.map(scene::rkey);
                let query = RecordQuery { collection: collection.clone(), after, limit, reverse };
                let what = format!("records of {did}: {query:?}");
                same(what, a.records(did, &query).await, b.records(did, &query).await)?;
            }
        }
        for n in 0..4 {
            let link = scene::link("subject", World::did(n).as_str());
            for limit in [1, 100] {
                let what = format!("{collection} of {did} linking {link:?}, {limit}");
                let found =
                    (a.linking(did, &collection, &link, limit).await, b.linking(did, &collection, &link, limit).await);
                same(what, found.0, found.1)?;
            }
        }
    }
    Ok(())
}

async fn blobs(a: &dyn Backend, b: &dyn Backend, did: &Did) -> Compared {
    for n in 0..6 {
        let cid = blob(n);
        same(format!("blob {n} of {did}"), a.blob(did, &cid).await, b.blob(did, &cid).await)?;
        for limit in [1, 100] {
            let what = format!("{limit} uses of blob {n} of {did}");
            same(what, a.blob_uses(did, &cid, limit).await, b.blob_uses(did, &cid, limit).await)?;
        }
    }
    for (limit, after) in [(100, None), (1, None), (2, Some(blob(3)))] {
        let after = after.as_ref();
        same(format!("blobs of {did}"), a.blobs(did, after, limit).await, b.blobs(did, after, limit).await)?;
        let found = (a.blobs_missing(did, after, limit).await, b.blobs_missing(did, after, limit).await);
        same(format!("missing blobs of {did}"), found.0, found.1)?;
        let ever = Micros(u64::MAX);
        let found = (a.blobs_unused(did, ever, limit).await, b.blobs_unused(did, ever, limit).await);
        same(format!("unused blobs of {did}"), found.0, found.1)?;
    }
    Ok(())
}

async fn blocks(a: &dyn Backend, b: &dyn Backend, did: &Did, cids: &[Cid]) -> Compared {
    for which in [Blocks::Live, Blocks::History, Blocks::Import] {
        for some in cids.chunks(5_000) {
            let found = (a.blocks(did, some, which).await, b.blocks(did, some, which).await);
            same(format!("blocks of {did}, {which:?}"), found.0, found.1)?;
            let found = (a.block_refs(did, some, which).await, b.block_refs(did, some, which).await);
            same(format!("references of {did}, {which:?}"), found.0, found.1)?;
        }
    }
    Ok(())
}

/// What the person wrote is there: the one comparison that does not ask two stores, but the writer.
async fn expected(a: &dyn Backend, person: &Person) -> Compared {
    let did = &person.repo.did;
    let state = a.repo(did, At::Head).await.map_err(|e| e.to_string())?;
    if state.as_ref().map(|state| state.head) != person.repo.head {
        return Err(format!("the head of {did} is {state:?}, and {:?} was taken", person.repo.head));
    }
    if state.is_none() {
        return Ok(());
    }
    let recount = person.repo.recount();
    let cids: Vec<Cid> = recount.keys().copied().collect();
    let refs = a.block_refs(did, &cids, Blocks::Live).await.map_err(|e| e.to_string())?;
    for ((cid, expected), found) in recount.iter().zip(refs) {
        if found.map(|found| found.refs) != Some(*expected) {
            return Err(format!("{cid} of {did} has {expected} references, {found:?} are counted"));
        }
    }
    for (path, content) in &person.repo.records {
        let record = a.record(did, path).await.map_err(|e| e.to_string())?;
        if record.as_ref().map(|record| &record.bytes) != Some(&content.bytes) {
            return Err(format!("{path} of {did} is {record:?}"));
        }
    }
    Ok(())
}
