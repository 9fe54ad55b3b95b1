//! Sweeps, verification, figures, the end.

use super::prelude::*;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

fn count(items: &[SnapshotItem], of: fn(&SnapshotItem) -> bool) -> usize {
    items.iter().filter(|item| of(item)).count()
}

pub(crate) async fn maintenance_sweep_forgets_what_is_due(cx: Arc<Context>) -> Outcome {
    let mut alice = cx.repo("alice").await?;
    let mut bob = cx.repo("bob").await?;
    cx.write(&mut alice, &[put("1", "a"), put("2", "b")]).await?;
    cx.write(&mut alice, &[Write::Delete(path("com.example.note/1"))]).await?;
    cx.apply(&bob.did, vec![Op::PutBlob { cid: blob_cid("b"), mime: "a/b".into(), bytes: 1 }]).await?;
    cx.write(&mut bob, &[put("1", "c")]).await?;
    cx.apply(&bob.did, vec![Op::DeleteAccount]).await?;
    // Events have a retention of their own.
    let but_events = |items: Vec<SnapshotItem>| {
        items.into_iter().filter(|item| !matches!(item, SnapshotItem::Event(_))).collect::<Vec<_>>()
    };
    let full = but_events(cx.snapshot().await?);
    cx.advance(cx.options().history_window_micros - 1);
    cx.sweep().await?;
    assert_eq!(digest::difference(&full, &but_events(cx.snapshot().await?)), None, "nothing is due yet");
    cx.advance(1);
    let report = cx.db().sweep(100_000).await?;
    assert!(report.done && report.blocks > 0 && report.entries > 0, "{report:?}");
    let left = cx.snapshot().await?;
    assert_eq!(count(&left, |item| matches!(item, SnapshotItem::Block { .. })), alice.recount().len());
    assert_eq!(count(&left, |item| matches!(item, SnapshotItem::Block { refs: 0, .. })), 0);
    for (what, of, expected) in [
        ("accounts", (|item| matches!(item, SnapshotItem::Account(_))) as fn(&SnapshotItem) -> bool, 1),
        ("repos", |item| matches!(item, SnapshotItem::Repo(_)), 1),
        ("records", |item| matches!(item, SnapshotItem::Record(..)), 1),
        ("commits", |item| matches!(item, SnapshotItem::Commit(..)), 1),
        ("blobs", |item| matches!(item, SnapshotItem::Blob(..)), 0),
        ("receipts", |item| matches!(item, SnapshotItem::Receipt(..)), 0),
        ("sweeps", |item| matches!(item, SnapshotItem::Sweep(..)), 0),
    ] {
        assert_eq!(count(&left, of), expected, "{what}");
    }
    assert_eq!(cx.db().sweep(100_000).await?, SweepReport { done: true, ..SweepReport::default() }, "nothing is left");
    Ok(())
}

pub(crate) async fn maintenance_small_budgets_come_to_the_same(cx: Arc<Context>) -> Outcome {
    let mut alice = cx.repo("alice").await?;
    for i in 0..10 {
        cx.write(&mut alice, &[put("1", &format!("{i}")), put(&format!("n{i}"), "n")]).await?;
    }
    let mut bob = cx.repo("bob").await?;
    cx.write(&mut bob, &[put("1", "x"), put("2", "y")]).await?;
    let blobs = ["a", "b"].map(|name| Op::PutBlob { cid: blob_cid(name), mime: "a/b".into(), bytes: 1 });
    cx.apply(&bob.did, blobs.into()).await?;
    cx.apply(&bob.did, vec![Op::DeleteAccount]).await?;
    let expires = |i: u64| Row { expires_at: Some(Micros(START.0 + i)), ..row(&format!("k{i}"), "v") };
    cx.apply(&alice.did, (1..9).map(expires).map(put_row).collect()).await?;
    cx.pass_window();
    assert!(!cx.db().sweep(0).await?.done, "a budget of nothing forgets nothing, and says that there is more");
    let mut forgotten = 0;
    // The smallest budget there is: no entry may count and stay.
    for step in 0.. {
        let report = cx.db().sweep(1).await?;
        let now = report.blocks + report.entries + report.rows + report.events;
        assert!(now <= 1, "{report:?}");
        forgotten += now;
        if report.done {
            break;
        }
        assert!(now > 0 && step < 10_000, "a sweep without end");
        // What is live is readable between the steps.
        assert!(cx.db().record(&alice.did, &path("com.example.note/1")).await?.is_some());
    }
    assert!(forgotten > 20);
    let left = cx.snapshot().await?;
    assert_eq!(count(&left, |item| matches!(item, SnapshotItem::Block { .. })), alice.recount().len());
    assert_eq!(count(&left, |item| matches!(item, SnapshotItem::Repo(_))), 1);
    assert_eq!(count(&left, |item| matches!(item, SnapshotItem::Row(_))), 0);
    Ok(())
}

pub(crate) async fn maintenance_purge_shortens_the_window(cx: Arc<Context>) -> Outcome {
    let mut alice = cx.repo("alice").await?;
    let mut bob = cx.repo("bob").await?;
    for repo in [&mut alice, &mut bob] {
        cx.write(repo, &[put("1", "secret"), put("2", "kept")]).await?;
        cx.write(repo, &[Write::Delete(path("com.example.note/1"))]).await?;
    }
    cx.apply(&alice.did, vec![Op::Purge]).await?;
    // Removed after the purge: has its window.
    cx.write(&mut alice, &[put("2", "changed")]).await?;
    cx.sweep().await?;
    let secret = content("secret").cid();
    assert_eq!(cx.db().blocks(&alice.did, &[secret], Blocks::History).await?, [None], "gone at once");
    assert!(cx.db().blocks(&bob.did, &[secret], Blocks::History).await?[0].is_some(), "of one account only");
    assert!(cx.db().blocks(&alice.did, &[content("kept").cid()], Blocks::History).await?[0].is_some());
    assert_eq!(cx.db().history(&alice.did, None, 10).await?.items.len(), 2, "what was replaced since has its window");
    assert_eq!(cx.db().history(&bob.did, None, 10).await?.items.len(), 3);
    let left = cx.snapshot().await?;
    assert_eq!(count(&left, |item| matches!(item, SnapshotItem::Sweep(..))), 0);
    Ok(())
}

pub(crate) async fn maintenance_purge_with_the_deletion(cx: Arc<Context>) -> Outcome {
    let mut alice = cx.repo("alice").await?;
    cx.write(&mut alice, &[put("1", "secret")]).await?;
    let draft = alice.draft(&[Write::Delete(path("com.example.note/1"))]);
    let ops = vec![draft.op(), Op::Purge];
    cx.db().apply(cx.mutation(&alice.did, ops, draft.blocks.clone())).await?;
    cx.sweep().await?;
    let blocks = cx.db().blocks(&alice.did, &[content("secret").cid()], Blocks::History).await?;
    assert_eq!(blocks, [None]);
    Ok(())
}

pub(crate) async fn maintenance_purge_without_a_repo(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![Op::Purge]).await?;
    cx.refused(&did("nobody"), vec![Op::Purge], Reason::AccountMissing).await?;
    assert!(cx.db().sweep(10).await?.done);
    Ok(())
}

pub(crate) async fn maintenance_receipts_outlive_the_window(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mutation = cx.mutation(&alice, vec![Op::Emit(Announce::Account)], Vec::new());
    let first = cx.db().apply(mutation.clone()).await?;
    cx.advance(cx.options().history_window_micros - 1);
    cx.sweep().await?;
    assert_eq!(cx.db().apply(mutation.clone()).await?, first, "kept for the window");
    cx.advance(1);
    cx.sweep().await?;
    assert_eq!(cx.db().apply(mutation).await?.pos.0, first.pos.0 + 1, "and taken anew after it");
    Ok(())
}

pub(crate) async fn maintenance_events_end_with_their_retention(cx: Arc<Context>) -> Outcome {
    let retention = cx.options().event_retention_micros;
    let alice = cx.account("alice").await?;
    for _ in 0..5 {
        cx.apply(&alice, vec![Op::Emit(Announce::Account)]).await?;
        cx.advance(10);
    }
    cx.set_time(Micros(START.0 + retention));
    cx.sweep().await?;
    assert_eq!(cx.db().event_window().await?.oldest, Seq::new(1)?);
    cx.advance(11);
    cx.sweep().await?;
    assert_eq!(cx.db().event_window().await?.oldest, Seq::new(3)?, "those of 0 and 10, at 11 past the retention");
    cx.reopen().await;
    assert_eq!(cx.db().event_window().await?, EventWindow { oldest: Seq::new(3)?, head: Seq::new(5)? });
    cx.advance(10 * retention);
    cx.sweep().await?;
    let window = cx.db().event_window().await?;
    assert_eq!(window, EventWindow { oldest: Seq::new(5)?, head: Seq::new(5)? }, "the newest is always kept");
    cx.reopen().await;
    let receipt = cx.apply(&alice, vec![Op::Emit(Announce::Account)]).await?;
    assert_eq!(receipt.first_seq, Seq::new(6)?, "no number is used again");
    Ok(())
}

pub(crate) async fn maintenance_verify_finds_a_sound_store_sound(cx: Arc<Context>) -> Outcome {
    let mut alice = cx.repo("alice").await?;
    for i in 0..30 {
        cx.write(&mut alice, &[put(&format!("{i}"), &format!("{}", i % 7))]).await?;
    }
    cx.repo("bob").await?;
    for level in [VerifyLevel::Quick, VerifyLevel::Deep, VerifyLevel::Repair] {
        let report = cx.db().verify(level).await?;
        assert_eq!((report.problems, report.healed), (Vec::new(), Vec::new()), "{level:?}");
        assert_eq!(report.repos, 2, "{level:?}");
    }
    let report = cx.db().verify(VerifyLevel::Deep).await?;
    assert!(report.records >= 30 && report.blocks >= 30 && report.bytes > 1_000 && report.events >= 30, "{report:?}");
    Ok(())
}

pub(crate) async fn maintenance_stats_add_up(cx: Arc<Context>) -> Outcome {
    let mut alice = cx.repo("alice").await?;
    let mut bob = cx.repo("bob").await?;
    cx.account("carol").await?;
    cx.write(&mut alice, &[put("1", "a"), put("2", "a")]).await?;
    cx.write(&mut bob, &[put("1", "b")]).await?;
    cx.write(&mut alice, &[Write::Delete(path("com.example.note/1"))]).await?;
    let mut expected = (0, 0, 0);
    for repo in [&alice, &bob] {
        let counters = cx.db().repo(&repo.did, At::Head).await?.expect("a repo").counters;
        expected = (expected.0 + counters.records, expected.1 + counters.refs, expected.2 + counters.bytes);
    }
    for reopened in [false, true] {
        let stats = cx.db().stats().await?;
        assert_eq!((stats.accounts, stats.repos), (3, 2), "reopened: {reopened}");
        assert_eq!((stats.records, stats.refs, stats.bytes), expected);
        assert_eq!((stats.pos, stats.head), (cx.db().position().await?, cx.db().event_window().await?.head));
        assert_eq!(stats.stopped, None);
        cx.reopen().await;
    }
    cx.apply(&alice.did, vec![Op::DeleteAccount]).await?;
    let stats = cx.db().stats().await?;
    assert_eq!((stats.accounts, stats.repos, stats.records), (2, 1, 1), "a deleted repo is not served");
    Ok(())
}

pub(crate) async fn maintenance_checkpoint_changes_nothing(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    for i in 0..10 {
        cx.write(&mut repo, &[put(&format!("{i}"), "x")]).await?;
        let before = cx.snapshot().await?;
        cx.db().checkpoint().await?;
        assert_eq!(digest::difference(&before, &cx.snapshot().await?), None);
        if i % 4 == 0 {
            cx.reopen().await;
        }
    }
    Ok(())
}

pub(crate) async fn maintenance_close_keeps_everything(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    for i in 0..20 {
        cx.write(&mut repo, &[put(&format!("{i}"), &format!("{i}"))]).await?;
    }
    let before = cx.snapshot().await?;
    cx.db().close().await?;
    cx.reopen().await;
    assert_eq!(digest::difference(&before, &cx.snapshot().await?), None);
    assert_eq!(cx.write(&mut repo, &[put("after", "x")]).await?.pos, Pos(23));
    Ok(())
}

pub(crate) async fn maintenance_closed_refuses_writes(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let db = cx.db();
    let waiter = {
        let db = db.clone();
        tokio::spawn(async move { db.wait_events(Seq::ZERO).await })
    };
    tokio::task::yield_now().await;
    db.close().await?;
    let waited = waiter.await.expect("the waiter does not panic");
    assert_eq!(waited.map_err(|e| e.reason()), Err(Reason::Closed), "who waits is answered");
    let late = cx.mutation(&alice, vec![put_row(row("k", "v"))], Vec::new());
    assert_eq!(db.apply(late.clone()).await.map_err(|e| e.reason()), Err(Reason::Closed));
    let many = db.apply_many(vec![late.clone(), late.clone()]).await;
    assert!(many.len() == 2 && many.iter().all(|a| a.as_ref().is_err_and(|e| e.reason() == Reason::Closed)));
    assert_eq!(db.wait_events(Seq::ZERO).await.map_err(|e| e.reason()), Err(Reason::Closed));
    db.close().await?;
    cx.reopen().await;
    assert_eq!(cx.db().position().await?, Pos(1));
    assert_eq!(cx.db().apply(late).await?.pos, Pos(2));
    Ok(())
}
