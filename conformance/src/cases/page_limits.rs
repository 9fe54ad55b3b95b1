//! Every paged read at the greatest limit there is: `PAGE_ITEMS_MAX` items and one more are there.

use backend_api::limits::*;

use super::prelude::*;
use super::repos::query;

/// Limits that all come to the same.
const GREAT: [usize; 3] = [PAGE_ITEMS_MAX, PAGE_ITEMS_MAX + 1, usize::MAX];

pub(crate) async fn page_limits_of_accounts_and_repos(cx: Arc<Context>) -> Outcome {
    let new = NewAccount { handle: None, email: None, password_hash: None, status: AccountStatus::Active };
    let all: Vec<Mutation> = (0..=PAGE_ITEMS_MAX)
        .map(|i| {
            let draft = SceneRepo::new(did(&format!("u{i:05}"))).draft(&[]).quiet();
            cx.mutation(&draft.after.did, vec![Op::CreateAccount(new.clone()), draft.op()], draft.blocks)
        })
        .collect();
    for some in all.chunks(2_000) {
        for answer in cx.db().apply_many(some.to_vec()).await {
            answer?;
        }
    }
    let last = did(&format!("u{PAGE_ITEMS_MAX:05}"));
    for limit in GREAT {
        let page = cx.db().accounts(None, limit).await?;
        assert_eq!(page.items.len(), PAGE_ITEMS_MAX);
        let rest = cx.db().accounts(page.next.as_ref(), limit).await?;
        assert_eq!((rest.items.len(), rest.next, &rest.items[0].did), (1, None, &last));
        let page = cx.db().repos(None, limit).await?;
        assert_eq!(page.items.len(), PAGE_ITEMS_MAX);
        let rest = cx.db().repos(page.next.as_ref(), limit).await?;
        assert_eq!((rest.items.len(), rest.next, &rest.items[0].did), (1, None, &last));
    }
    let changes = cx.db().changes(Pos(0), usize::MAX, usize::MAX).await?;
    assert_eq!(changes.len(), PAGE_ITEMS_MAX, "and of changes");
    assert_eq!(cx.db().changes(changes[PAGE_ITEMS_MAX - 1].stamp.pos, usize::MAX, usize::MAX).await?.len(), 1);
    Ok(())
}

/// A repo with so many records that all make one link and refer to one blob.
pub(crate) async fn page_limits_of_records_and_what_refers(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let target = link("subject", "did:plc:bob");
    let same = content("x").with_link(target.clone()).with_blob(blob_cid("b"));
    let writes = (0..=PAGE_ITEMS_MAX).map(|i| Write::Put(path(&format!("com.example.like/{i:05}")), same.clone()));
    let draft = repo.draft(&writes.collect::<Vec<_>>()).quiet();
    cx.send(&mut repo, draft).await?;
    for reverse in [false, true] {
        for limit in GREAT {
            let mut query = RecordQuery { reverse, ..query("com.example.like", limit) };
            let page = cx.db().records(&repo.did, &query).await?;
            assert_eq!(page.items.len(), PAGE_ITEMS_MAX);
            query.after = page.next;
            let rest = cx.db().records(&repo.did, &query).await?;
            assert_eq!((rest.items.len(), rest.next), (1, None));
            let last = if reverse { 0 } else { PAGE_ITEMS_MAX };
            assert_eq!(rest.items[0].path.rkey(), format!("{last:05}"));
        }
    }
    for limit in GREAT {
        let found = cx.db().linking(&repo.did, &nsid("com.example.like"), &target, limit).await?;
        assert_eq!((found.len(), found[PAGE_ITEMS_MAX - 1].rkey()), (PAGE_ITEMS_MAX, "09999"));
        let found = cx.db().blob_uses(&repo.did, &blob_cid("b"), limit).await?;
        assert_eq!((found.len(), found[PAGE_ITEMS_MAX - 1].rkey()), (PAGE_ITEMS_MAX, "09999"));
    }
    Ok(())
}

pub(crate) async fn page_limits_of_blobs(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let names: Vec<String> = (0..=PAGE_ITEMS_MAX).map(|i| format!("{i}")).collect();
    for some in names.chunks(MUTATION_OPS_MAX) {
        let put = |name: &String| Op::PutBlob { cid: blob_cid(name), mime: "a/b".into(), bytes: 1 };
        cx.apply(&repo.did, some.iter().map(put).collect()).await?;
    }
    let missing = (0..11).map(|record| {
        let blobs = (0..1_000).map(|i| blob_cid(&format!("missing {}", (record * 1_000 + i).min(PAGE_ITEMS_MAX))));
        let mut blobs: Vec<Cid> = blobs.collect();
        blobs.sort();
        blobs.dedup();
        Write::Put(path(&format!("com.example.note/{record}")), Content { blobs, ..content("x") })
    });
    let draft = repo.draft(&missing.collect::<Vec<_>>());
    cx.send(&mut repo, draft).await?;
    let ever = Micros(u64::MAX);
    for limit in GREAT {
        let page = cx.db().blobs(&repo.did, None, limit).await?;
        assert_eq!(page.items.len(), PAGE_ITEMS_MAX);
        let rest = cx.db().blobs(&repo.did, page.next.as_ref(), limit).await?;
        assert_eq!((rest.items.len(), rest.next), (1, None));
        let page = cx.db().blobs_missing(&repo.did, None, limit).await?;
        assert_eq!(page.items.len(), PAGE_ITEMS_MAX);
        let rest = cx.db().blobs_missing(&repo.did, page.next.as_ref(), limit).await?;
        assert_eq!((rest.items.len(), rest.next), (1, None));
        assert_eq!(cx.db().blobs_unused(&repo.did, ever, limit).await?.len(), PAGE_ITEMS_MAX);
    }
    Ok(())
}

pub(crate) async fn page_limits_of_events(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mut left = PAGE_ITEMS_MAX + 1;
    while left > 0 {
        let some = left.min(MUTATION_OPS_MAX);
        cx.apply(&alice, vec![Op::Emit(Announce::Account); some]).await?;
        left -= some;
    }
    for limit in GREAT {
        let found = cx.db().events(Seq::ZERO, limit, usize::MAX).await?;
        assert_eq!(found.len(), PAGE_ITEMS_MAX);
        assert_eq!(cx.db().events(found[PAGE_ITEMS_MAX - 1].seq, limit, usize::MAX).await?.len(), 1);
    }
    Ok(())
}

/// The greatest numbers that a caller can name, in every read that takes one: they mean "after everything".
pub(crate) async fn page_limits_of_the_greatest_numbers(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), content("x").with_blob(blob_cid("b")))]).await?;
    cx.apply(&repo.did, vec![Op::PutBlob { cid: blob_cid("c"), mime: "a/b".into(), bytes: 1 }]).await?;
    let (db, did, most) = (cx.db(), &repo.did, usize::MAX);
    assert!(db.changes(Pos(u64::MAX), most, most).await?.is_empty());
    assert!(db.changes(Pos(i64::MAX as u64), most, most).await?.is_empty());
    let future = db.events(Seq::new(SEQ_MAX)?, most, most).await;
    assert_eq!(future.map_err(|e| e.reason()), Err(Reason::FutureCursor));
    for rev in [u64::MAX, i64::MAX as u64, i64::MAX as u64 + 1] {
        assert_eq!(db.history(did, Some(Tid::from_u64(rev)), most).await?.items.len(), 2, "before {rev}");
        assert_eq!(db.repo(did, At::Rev(Tid::from_u64(rev))).await?, None, "at {rev}");
    }
    for time in [u64::MAX, i64::MAX as u64, i64::MAX as u64 + 1] {
        let state = db.repo(did, At::Time(Micros(time))).await?;
        assert_eq!(state.map(|state| Some(state.head)), Some(repo.head), "at {time}");
        assert_eq!(db.blobs_unused(did, Micros(time), most).await?.len(), 1, "before {time}");
    }
    let last = RowKey { kind: RowKind::Custom, key: vec![0xff; ROW_KEY_BYTES_MAX] };
    assert!(db.rows(&RowScope::Kind(RowKind::Custom), Some(&last), most).await?.items.is_empty());
    Ok(())
}
