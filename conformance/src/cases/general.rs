//! What holds for all methods.

use futures::future::join_all;

use super::prelude::*;
use super::repos::query;

fn put(i: u64) -> Write {
    Write::Put(path(&format!("com.example.note/{i}")), content(&format!("note {i}")))
}

pub(crate) async fn general_reads_see_acknowledged_writes(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    for i in 0..50 {
        let receipt = cx.write(&mut repo, &[put(i)]).await?;
        cx.apply(&repo.did, vec![put_row(row("k", &i.to_string()))]).await?;
        assert_eq!(cx.db().repo(&repo.did, At::Head).await?.map(|state| Some(state.head)), Some(repo.head));
        assert!(cx.db().record(&repo.did, &path(&format!("com.example.note/{i}"))).await?.is_some());
        assert_eq!(cx.db().row(&row_key("k")).await?, Some(row("k", &i.to_string())));
        assert_eq!(cx.db().event_window().await?.head, receipt.first_seq);
    }
    Ok(())
}

/// Two rows and a record that always change together are never seen apart in a page or a snapshot.
pub(crate) async fn general_no_read_sees_a_part(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let pair = |i: u32| vec![put_row(row("a", &i.to_string())), put_row(row("b", &i.to_string()))];
    cx.apply(&repo.did, pair(0)).await?;
    let writer = {
        let (cx, did) = (cx.clone(), repo.did.clone());
        tokio::spawn(async move {
            for i in 1..200 {
                cx.apply(&did, pair(i)).await?;
            }
            Outcome::Ok(())
        })
    };
    let mut reads = 0;
    while !writer.is_finished() || reads == 0 {
        let page = cx.db().rows(&RowScope::Kind(RowKind::Custom), None, 10).await?;
        assert_eq!(page.items[0].body, page.items[1].body, "a page shows half of a mutation");
        reads += 1;
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer does not panic")?;
    cx.write(&mut repo, &[put(1)]).await?;
    Ok(())
}

pub(crate) async fn general_missing_is_not_an_error(cx: Arc<Context>) -> Outcome {
    let db = cx.db();
    let with_repo = cx.repo("alice").await?.did;
    let bare = cx.account("bob").await?;
    let cid = content("nowhere").cid();
    for did in [did("nobody"), bare, with_repo] {
        for at in [At::Rev(Tid::from_u64(1)), At::Time(Micros(1))] {
            assert_eq!(db.repo(&did, at).await?, None);
        }
        assert_eq!(db.record(&did, &path("com.example.note/1")).await?, None);
        assert!(db.records(&did, &query("com.example.note", 10)).await?.items.is_empty());
        assert!(db.collections(&did).await?.is_empty());
        assert!(db.linking(&did, &nsid("com.example.note"), &link("f", "t"), 10).await?.is_empty());
        for which in [Blocks::Live, Blocks::History, Blocks::Import] {
            assert_eq!(db.blocks(&did, &[cid, cid], which).await?, [None, None]);
            assert_eq!(db.block_refs(&did, &[cid], which).await?, [None]);
        }
        assert_eq!(db.blob(&did, &cid).await?, None);
        assert_eq!(db.blobs(&did, None, 10).await?, Page { items: Vec::new(), next: None });
        assert!(db.blob_uses(&did, &cid, 10).await?.is_empty());
        assert!(db.blobs_missing(&did, None, 10).await?.items.is_empty());
        assert!(db.blobs_unused(&did, Micros(u64::MAX), 10).await?.is_empty());
        assert!(db.rows(&RowScope::Owner(did.clone()), None, 10).await?.items.is_empty());
        assert!(db.history(&did, Some(Tid::from_u64(0)), 10).await?.items.is_empty());
    }
    assert_eq!(db.repo(&did("nobody"), At::Head).await?, None);
    assert!(db.history(&did("nobody"), None, 10).await?.items.is_empty());
    assert_eq!(db.row(&row_key("k")).await?, None);
    assert_eq!(db.row_unique(RowKind::Custom, 0, b"u").await?, None);
    for name in
        [AccountName::Did(did("nobody")), AccountName::Handle(handle("nobody")), AccountName::Email(email("nobody"))]
    {
        assert_eq!(db.account(&name).await?, None);
    }
    Ok(())
}

pub(crate) async fn general_empty_store_answers_everything(cx: Arc<Context>) -> Outcome {
    let db = cx.db();
    assert_eq!(db.position().await?, Pos(0));
    assert!(db.changes(Pos(0), 10, 1_000).await?.is_empty());
    assert_eq!(db.event_window().await?, EventWindow { oldest: Seq::new(1)?, head: Seq::ZERO });
    assert!(db.events(Seq::ZERO, 10, 1_000).await?.is_empty());
    assert!(db.accounts(None, 10).await?.items.is_empty());
    assert!(db.repos(None, 10).await?.items.is_empty());
    assert!(db.rows(&RowScope::Kind(RowKind::Session), None, 10).await?.items.is_empty());
    assert!(cx.snapshot().await?.is_empty());
    let report = db.sweep(10).await?;
    assert_eq!(report, SweepReport { done: true, ..SweepReport::default() });
    assert!(db.verify(VerifyLevel::Quick).await?.problems.is_empty());
    db.checkpoint().await?;
    Ok(())
}

/// A page that ends with the last item names no next one, whatever the limit.
pub(crate) async fn general_pages_end_exactly(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.repo("bob").await?;
    cx.repo("carol").await?;
    cx.write(&mut repo, &[put(1), put(2), put(3)]).await?;
    cx.write(&mut repo, &[]).await?;
    let blob = |text| Op::PutBlob { cid: blob_cid(text), mime: "a/b".into(), bytes: 1 };
    let mut ops: Vec<Op> = ["a", "b", "c"].map(blob).into();
    ops.extend(["a", "b", "c"].map(|key| put_row(row(key, "v"))));
    cx.apply(&repo.did, ops).await?;
    let missing = content("x").with_blob(blob_cid("m1")).with_blob(blob_cid("m2")).with_blob(blob_cid("m3"));
    let db = cx.db();
    let did = &repo.did.clone();
    let rows = RowScope::Kind(RowKind::Custom);
    // History has three commits now, and one more after the last write.
    for (limit, ends) in [(1, false), (2, false), (3, true), (4, true)] {
        let is_end = |next: bool, what: &str| assert_eq!(next, !ends, "{what} in a page of {limit}");
        is_end(db.accounts(None, limit).await?.next.is_some(), "accounts");
        is_end(db.repos(None, limit).await?.next.is_some(), "repos");
        is_end(db.history(did, None, limit).await?.next.is_some(), "history");
        is_end(db.blobs(did, None, limit).await?.next.is_some(), "blobs");
        is_end(db.rows(&rows, None, limit).await?.next.is_some(), "rows");
        for reverse in [false, true] {
            let query = RecordQuery { reverse, ..query("com.example.note", limit) };
            is_end(db.records(did, &query).await?.next.is_some(), "records");
        }
    }
    cx.write(&mut repo, &[Write::Put(path("com.example.blob/1"), missing)]).await?;
    for (limit, ends) in [(2, false), (3, true), (4, true)] {
        let next = db.blobs_missing(did, None, limit).await?.next;
        assert_eq!(next.is_none(), ends, "missing blobs in a page of {limit}");
    }
    Ok(())
}

pub(crate) async fn general_limit_of_zero_is_refused(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let (db, did, cid) = (cx.db(), &repo.did, content("x").cid());
    let answers = [
        db.accounts(None, 0).await.err(),
        db.repos(None, 0).await.err(),
        db.history(did, None, 0).await.err(),
        db.records(did, &query("com.example.note", 0)).await.err(),
        db.linking(did, &nsid("com.example.note"), &link("f", "t"), 0).await.err(),
        db.blobs(did, None, 0).await.err(),
        db.blob_uses(did, &cid, 0).await.err(),
        db.blobs_missing(did, None, 0).await.err(),
        db.blobs_unused(did, START, 0).await.err(),
        db.rows(&RowScope::Kind(RowKind::Custom), None, 0).await.err(),
        db.events(Seq::ZERO, 0, 1_000).await.err(),
        db.changes(Pos(0), 0, 1_000).await.err(),
    ];
    for (i, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.map(|e| e.reason()), Some(Reason::BadRequest), "listing {i}");
    }
    Ok(())
}

pub(crate) async fn general_great_limits_are_lowered(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let count = limits::PAGE_ITEMS_MAX + 1;
    let rows: Vec<Op> = (0..count).map(|i| put_row(row(&format!("{i:05}"), ""))).collect();
    for some in rows.chunks(limits::MUTATION_OPS_MAX) {
        cx.apply(&alice, some.to_vec()).await?;
    }
    let scope = RowScope::Kind(RowKind::Custom);
    for limit in [limits::PAGE_ITEMS_MAX, limits::PAGE_ITEMS_MAX + 1, usize::MAX] {
        let page = cx.db().rows(&scope, None, limit).await?;
        assert_eq!(page.items.len(), limits::PAGE_ITEMS_MAX);
        let rest = cx.db().rows(&scope, page.next.as_ref(), limit).await?;
        assert_eq!((rest.items.len(), rest.next), (1, None));
    }
    Ok(())
}

pub(crate) async fn general_dropped_write_is_whole_or_absent(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    for i in 0..50 {
        let ops = vec![put_row(row(&format!("a{i}"), "x")), put_row(row(&format!("b{i}"), "x"))];
        let (db, mutation) = (cx.db(), cx.mutation(&alice, ops, Vec::new()));
        let again = mutation.clone();
        let call = tokio::spawn(async move { db.apply(mutation).await });
        if i % 2 == 0 {
            tokio::task::yield_now().await;
        }
        call.abort();
        let _ = call.await;
        // The same key tells, and if need be writes it now: once.
        let receipt = cx.db().apply(again.clone()).await?;
        assert_eq!(cx.db().apply(again).await?, receipt);
        let there = join_all(["a", "b"].map(|word| {
            let (db, key) = (cx.db(), row_key(&format!("{word}{i}")));
            async move { db.row(&key).await }
        }));
        assert!(there.await.into_iter().all(|row| row.is_ok_and(|row| row.is_some())));
    }
    assert_eq!(cx.db().position().await?, Pos(51), "each was written once");
    Ok(())
}

pub(crate) async fn general_dropped_reads_do_nothing(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put(1)]).await?;
    let before = cx.snapshot().await?;
    for _ in 0..20 {
        let (db, did) = (cx.db(), repo.did.clone());
        let call = tokio::spawn(async move {
            let _ = db.records(&did, &query("com.example.note", 10)).await;
            let _ = db.wait_events(Seq::new(1_000).expect("a number")).await;
        });
        tokio::task::yield_now().await;
        call.abort();
        let _ = call.await;
    }
    drop(cx.db().snapshot().await?);
    assert_eq!(digest::difference(&before, &cx.snapshot().await?), None);
    Ok(())
}

pub(crate) async fn general_every_status_is_served(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put(1)]).await?;
    for status in AccountStatus::ALL.into_iter().filter(|status| *status != AccountStatus::Deleted) {
        cx.apply(&repo.did, vec![Op::SetStatus(status)]).await?;
        let record = cx.db().record(&repo.did, &path("com.example.note/1")).await?;
        assert_eq!(record.map(|record| record.bytes), Some(content("note 1").bytes), "{status:?}");
        assert_eq!(cx.db().repos(None, 10).await?.items[0].status, status);
        let live = cx.db().blocks(&repo.did, &[repo.data.expect("a root")], Blocks::Live).await?;
        assert!(live[0].is_some(), "{status:?}");
    }
    Ok(())
}

pub(crate) async fn general_time_never_decreases(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.advance(1_000);
    cx.apply(&alice, vec![put_row(Row { expires_at: Some(Micros(START.0 + 900)), ..row("k", "v") })]).await?;
    assert_eq!(cx.db().row(&row_key("k")).await?, None, "expired when it was put");
    for (clock, expected) in
        [(START.0, 1_000), (0, 1_000), (START.0 + 999, 1_000), (START.0 + 2_000, 2_000), (5, 2_000)]
    {
        cx.set_time(Micros(clock));
        let receipt = cx.apply(&alice, vec![Op::Emit(Announce::Account)]).await?;
        assert_eq!(receipt.at, Micros(START.0 + expected), "the clock says {clock}");
        assert_eq!(cx.db().row(&row_key("k")).await?, None, "what has expired stays so");
        cx.reopen().await;
    }
    let events = cx.db().events(Seq::ZERO, 100, 1_000_000).await?;
    assert!(events.is_sorted_by_key(|event| event.at));
    Ok(())
}

/// What a sweep took away at a time is gone for later mutations, whatever the clock does.
pub(crate) async fn general_time_stands_after_a_sweep(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![put_row(Row { expires_at: Some(Micros(START.0 + 500)), ..row("k", "v") })]).await?;
    cx.advance(1_000);
    cx.sweep().await?;
    cx.set_time(START);
    let receipt = cx.apply(&alice, vec![Op::PutRow { row: row("k", "w"), expect: Expect::Absent }]).await?;
    assert_eq!(receipt.at, Micros(START.0 + 1_000));
    cx.reopen().await;
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(row("k", "w")));
    Ok(())
}
