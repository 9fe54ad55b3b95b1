//! An account of 100,000 records moves in, in chunks.

use std::collections::BTreeMap;

use super::imports::begin;
use super::prelude::*;
use super::repos::query;

const RECORDS: usize = 100_000;
/// Records, or blocks, of one step. Half of what a mutation may hold.
const STEP: usize = 10_000;

fn note(i: usize) -> RecordPath {
    path(&format!("com.example.note/{i:06}"))
}

/// A repository of many records, its blocks, and what an import says of them.
fn great(repo: &SceneRepo, records: usize) -> SceneRepo {
    let all: BTreeMap<RecordPath, Content> = (0..records).map(|i| (note(i), content(&format!("{i}")))).collect();
    let mut other = SceneRepo { records: all, head: None, data: None, ..repo.clone() };
    other.sign(b"imported", Tid::from_u64(repo.head.map_or(1, |head| head.rev.as_u64() + 1)));
    other
}

async fn bring(cx: &Context, import: RepoId, repo: &SceneRepo) -> Outcome {
    for some in repo.blocks().chunks(STEP) {
        cx.db().apply(cx.mutation(&repo.did, vec![Op::ImportBlocks { import }], some.to_vec())).await?;
    }
    Ok(())
}

async fn nothing_is_seen(cx: &Context, repo: &SceneRepo) -> Outcome {
    let state = cx.db().repo(&repo.did, At::Head).await?.expect("a repo");
    assert_eq!((Some(state.head), state.counters.records), (repo.head, 0));
    assert!(cx.db().records(&repo.did, &query("com.example.note", 10)).await?.items.is_empty());
    assert_eq!(cx.db().stats().await?.records, 0);
    Ok(())
}

/// Invisible until the end, then whole.
pub(crate) async fn great_imports_are_seen_at_once(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = great(&repo, RECORDS);
    let import = begin(&cx, &repo.did).await?;
    bring(&cx, import, &other).await?;
    nothing_is_seen(&cx, &repo).await?;
    for step in super::imports::steps(import, &other, STEP) {
        cx.apply(&repo.did, vec![step]).await?;
    }
    nothing_is_seen(&cx, &repo).await?;
    cx.db().apply(super::imports::finish(&cx, import, &other, repo.head)).await?;
    cx.reopen().await;
    let state = cx.db().repo(&repo.did, At::Head).await?.expect("a repo");
    assert_eq!((Some(state.head), Some(state.data)), (other.head, other.data));
    assert_eq!((state.counters.records, state.counters.refs), (RECORDS as u64, other.recount().values().sum()));
    let mut query = query("com.example.note", 10_000);
    let mut listed = 0;
    loop {
        let page = cx.db().records(&repo.did, &query).await?;
        for record in &page.items {
            assert_eq!(record.path, note(listed));
            listed += 1;
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(listed, RECORDS);
    for i in [0, 1, RECORDS / 2, RECORDS - 1] {
        let record = cx.db().record(&repo.did, &note(i)).await?;
        assert_eq!(record.map(|record| record.bytes), Some(content(&format!("{i}")).bytes));
    }
    Ok(())
}

/// Given up half-way: a sweep in bounded steps takes all of it, and the repo is what it was.
pub(crate) async fn great_imports_abandoned_half_way_leave_nothing(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let before = cx.snapshot().await?;
    let other = great(&repo, RECORDS / 2);
    let import = begin(&cx, &repo.did).await?;
    bring(&cx, import, &other).await?;
    let all = super::imports::steps(import, &other, STEP);
    for step in &all[..all.len() / 2 + 1] {
        cx.apply(&repo.did, vec![step.clone()]).await?;
    }
    cx.reopen().await;
    nothing_is_seen(&cx, &repo).await?;
    cx.apply(&repo.did, vec![Op::AbandonImport { import }]).await?;
    cx.pass_window();
    let mut forgotten = 0;
    loop {
        let report = cx.db().sweep(20_000).await?;
        let now = report.blocks + report.entries;
        assert!(now <= 20_000, "{report:?}");
        forgotten += now;
        if report.done {
            break;
        }
        nothing_is_seen(&cx, &repo).await?;
    }
    assert!(forgotten as usize > RECORDS / 2 + RECORDS / 4, "{forgotten} entries were forgotten");
    let but_receipts = |items: Vec<SnapshotItem>| {
        items
            .into_iter()
            .filter(|item| !matches!(item, SnapshotItem::Receipt(..) | SnapshotItem::Event(_)))
            .collect::<Vec<_>>()
    };
    assert_eq!(digest::difference(&but_receipts(before), &but_receipts(cx.snapshot().await?)), None);
    Ok(())
}
