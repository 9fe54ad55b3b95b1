//! What a purge takes, and what it leaves.

use super::imports::{begin, fill, finish, foreign, state_is};
use super::prelude::*;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

fn delete(rkey: &str) -> Write {
    Write::Delete(path(&format!("com.example.note/{rkey}")))
}

async fn has(cx: &Context, did: &Did, text: &str) -> Result<bool> {
    Ok(cx.db().blocks(did, &[content(text).cid()], Blocks::History).await?[0].is_some())
}

/// The head and all that it needs stay, and the repo is written on.
pub(crate) async fn purges_leave_the_head(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    for i in 0..5 {
        cx.write(&mut repo, &[put("1", &format!("{i}")), put(&format!("n{i}"), "same")]).await?;
    }
    cx.apply(&repo.did, vec![Op::Purge]).await?;
    cx.sweep().await?;
    assert_eq!(cx.db().history(&repo.did, None, 10).await?.items.len(), 1);
    let blocks = cx.snapshot().await?.into_iter().filter(|item| matches!(item, SnapshotItem::Block { .. })).count();
    assert_eq!(blocks, repo.recount().len(), "nothing but what the head needs");
    cx.write(&mut repo, &[put("1", "after")]).await?;
    state_is(&cx, &repo).await
}

/// One mutation with a commit reaches the commit that this replaced, and what it took away.
pub(crate) async fn purges_reach_what_their_mutation_replaced(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "x")]).await?;
    let draft = repo.draft(&[delete("1")]);
    let mut mutation = draft.mutation(cx.key());
    mutation.ops.push(Op::Purge);
    cx.db().apply(mutation).await?;
    cx.sweep().await?;
    assert!(!has(&cx, &repo.did, "x").await?);
    assert_eq!(cx.db().history(&repo.did, None, 10).await?.items.len(), 1);
    state_is(&cx, &draft.after).await
}

/// Content that was purged and comes again is content, and content that came again before the sweep was never gone.
pub(crate) async fn purges_spare_what_is_live_again(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "early"), put("2", "late")]).await?;
    cx.write(&mut repo, &[delete("1"), delete("2")]).await?;
    cx.apply(&repo.did, vec![Op::Purge]).await?;
    cx.write(&mut repo, &[put("3", "early")]).await?;
    cx.sweep().await?;
    assert_eq!((has(&cx, &repo.did, "early").await?, has(&cx, &repo.did, "late").await?), (true, false));
    cx.write(&mut repo, &[put("4", "late")]).await?;
    cx.reopen().await;
    cx.sweep().await?;
    state_is(&cx, &repo).await
}

/// Content that was purged, came again and went again has a window of its own.
pub(crate) async fn purges_do_not_reach_later_removals(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "x")]).await?;
    cx.write(&mut repo, &[delete("1")]).await?;
    cx.apply(&repo.did, vec![Op::Purge]).await?;
    cx.write(&mut repo, &[put("1", "x")]).await?;
    cx.write(&mut repo, &[delete("1")]).await?;
    cx.sweep().await?;
    assert!(has(&cx, &repo.did, "x").await?, "removed after the purge");
    cx.apply(&repo.did, vec![Op::Purge]).await?;
    cx.sweep().await?;
    assert!(!has(&cx, &repo.did, "x").await?);
    Ok(())
}

/// A purge is remembered until a sweep has carried it out, also over a reopen.
pub(crate) async fn purges_wait_for_the_sweep_over_a_reopen(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "x")]).await?;
    cx.write(&mut repo, &[delete("1")]).await?;
    let first = cx.db().history(&repo.did, None, 10).await?.items.len();
    cx.apply(&repo.did, vec![Op::Purge]).await?;
    assert!(has(&cx, &repo.did, "x").await?, "a sweep forgets, not a purge");
    assert_eq!(cx.db().history(&repo.did, None, 10).await?.items.len(), first);
    cx.reopen().await;
    let due = cx.snapshot().await?.into_iter().filter(|item| matches!(item, SnapshotItem::Sweep(Sweep::Purge(..), _)));
    assert_eq!(due.count(), 1);
    let report = cx.db().sweep(1_000).await?;
    assert!(report.done && report.blocks > 0, "{report:?}");
    assert!(!has(&cx, &repo.did, "x").await?);
    Ok(())
}

/// The generation that an import fills has no past, and keeps what it was brought.
pub(crate) async fn purges_leave_an_import_alone(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "new 1")]).await?;
    let other = foreign(&repo, 10, "new");
    let import = begin(&cx, &repo.did).await?;
    for some in other.blocks().chunks(5) {
        cx.db().apply(cx.mutation(&repo.did, vec![Op::ImportBlocks { import }], some.to_vec())).await?;
        cx.apply(&repo.did, vec![Op::Purge]).await?;
        cx.sweep().await?;
    }
    fill(&cx, import, &other).await?;
    cx.apply(&repo.did, vec![Op::Purge]).await?;
    cx.sweep().await?;
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    state_is(&cx, &other).await
}

/// A purge shortens the past of a repo. Receipts, events and the change feed have their own times.
pub(crate) async fn purges_leave_receipts_events_and_changes(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let draft = repo.draft(&[put("1", "x")]);
    let mutation = draft.mutation(cx.key());
    let first = cx.db().apply(mutation.clone()).await?;
    repo = draft.after;
    cx.write(&mut repo, &[delete("1")]).await?;
    let events = cx.db().events(Seq::ZERO, 100, usize::MAX).await?;
    let changes = cx.db().changes(Pos(0), 100, usize::MAX).await?;
    cx.apply(&repo.did, vec![Op::Purge]).await?;
    cx.sweep().await?;
    assert_eq!(cx.db().apply(mutation).await?, first);
    assert_eq!(cx.db().events(Seq::ZERO, 100, usize::MAX).await?, events);
    assert_eq!(cx.db().changes(Pos(0), changes.len(), usize::MAX).await?, changes);
    Ok(())
}

/// Purged in small steps, of many accounts at once: each step within its budget, and in the end only heads are left.
pub(crate) async fn purges_are_carried_out_in_steps(cx: Arc<Context>) -> Outcome {
    let mut repos = Vec::new();
    for word in ["alice", "bob", "carol"] {
        let mut repo = cx.repo(word).await?;
        for i in 0..4 {
            cx.write(&mut repo, &[put("1", &format!("{word} {i}"))]).await?;
        }
        repos.push(repo);
    }
    for repo in &repos[..2] {
        cx.apply(&repo.did, vec![Op::Purge]).await?;
    }
    loop {
        let report = cx.db().sweep(2).await?;
        assert!(report.blocks + report.entries <= 2, "{report:?}");
        if report.done {
            break;
        }
        assert!(report.blocks + report.entries > 0, "a step without end");
    }
    for (repo, commits) in repos.iter().zip([1, 1, 5]) {
        assert_eq!(cx.db().history(&repo.did, None, 10).await?.items.len(), commits, "{}", repo.did);
        state_is(&cx, repo).await?;
    }
    Ok(())
}
