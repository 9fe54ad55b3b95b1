//! Blobs.

use super::prelude::*;

fn put_blob(text: &str) -> Op {
    Op::PutBlob { cid: blob_cid(text), mime: "image/png".into(), bytes: text.len() as u64 }
}

fn note(i: u32, blobs: &[&str]) -> Write {
    let content = blobs.iter().fold(content(&format!("note {i}")), |c, blob| c.with_blob(blob_cid(blob)));
    Write::Put(path(&format!("com.example.note/{i}")), content)
}

fn delete(i: u32) -> Write {
    Write::Delete(path(&format!("com.example.note/{i}")))
}

async fn has(cx: &Context, did: &Did, text: &str) -> Result<bool> {
    Ok(cx.db().blob(did, &blob_cid(text)).await?.is_some())
}

fn sorted<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Cid> {
    let mut cids: Vec<Cid> = texts.into_iter().map(blob_cid).collect();
    cids.sort();
    cids
}

pub(crate) async fn blobs_put_twice_keeps_the_first(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![put_blob("b")]).await?;
    cx.advance(1_000);
    let other = Op::PutBlob { cid: blob_cid("b"), mime: "image/jpeg".into(), bytes: 99 };
    cx.apply(&alice, vec![other]).await?;
    cx.reopen().await;
    let expected = Blob { cid: blob_cid("b"), mime: "image/png".into(), bytes: 1, at: START };
    assert_eq!(cx.db().blob(&alice, &blob_cid("b")).await?, Some(expected));
    Ok(())
}

/// One that goes and comes in one mutation is what it is at the end.
pub(crate) async fn blobs_deleted_and_put_at_once_are_new(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![put_blob("b")]).await?;
    cx.advance(1_000);
    let other = Op::PutBlob { cid: blob_cid("b"), mime: "image/jpeg".into(), bytes: 99 };
    cx.apply(&alice, vec![Op::DeleteBlob(blob_cid("b")), other]).await?;
    let expected = Blob { cid: blob_cid("b"), mime: "image/jpeg".into(), bytes: 99, at: Micros(START.0 + 1_000) };
    for _ in 0..2 {
        assert_eq!(cx.db().blob(&alice, &blob_cid("b")).await?, Some(expected.clone()));
        cx.reopen().await;
    }
    Ok(())
}

pub(crate) async fn blobs_are_of_one_account(cx: Arc<Context>) -> Outcome {
    let (alice, bob) = (cx.account("alice").await?, cx.account("bob").await?);
    cx.apply(&alice, vec![put_blob("b")]).await?;
    assert!(!has(&cx, &bob, "b").await?);
    cx.refused(&bob, vec![Op::DeleteBlob(blob_cid("b"))], Reason::BlobMissing).await?;
    cx.apply(&bob, vec![put_blob("b"), Op::DeleteBlob(blob_cid("b"))]).await?;
    assert!(has(&cx, &alice, "b").await? && !has(&cx, &bob, "b").await?);
    Ok(())
}

pub(crate) async fn blobs_go_with_the_last_reference(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.apply(&repo.did, vec![put_blob("a"), put_blob("b"), put_blob("never used")]).await?;
    cx.write(&mut repo, &[note(1, &["a", "b"]), note(2, &["b"])]).await?;
    cx.write(&mut repo, &[note(1, &["b"])]).await?;
    assert!(!has(&cx, &repo.did, "a").await?, "an update dropped its last reference");
    cx.write(&mut repo, &[delete(1)]).await?;
    assert!(has(&cx, &repo.did, "b").await?, "another record refers to it");
    cx.write(&mut repo, &[delete(2), note(3, &["b"])]).await?;
    assert!(has(&cx, &repo.did, "b").await?, "a record of the same commit refers to it");
    cx.write(&mut repo, &[delete(3)]).await?;
    assert!(!has(&cx, &repo.did, "b").await?);
    assert!(has(&cx, &repo.did, "never used").await?, "temporary blobs are the host's to delete");
    Ok(())
}

pub(crate) async fn blobs_stay_with_an_unchanged_reference(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.apply(&repo.did, vec![put_blob("a")]).await?;
    cx.write(&mut repo, &[note(1, &["a"])]).await?;
    let changed = content("another text").with_blob(blob_cid("a"));
    cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), changed)]).await?;
    assert!(has(&cx, &repo.did, "a").await?);
    assert_eq!(cx.db().blob_uses(&repo.did, &blob_cid("a"), 10).await?.len(), 1);
    Ok(())
}

pub(crate) async fn blobs_in_use_cannot_be_deleted(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.apply(&repo.did, vec![put_blob("a")]).await?;
    let delete_blob = Op::DeleteBlob(blob_cid("a"));
    cx.write(&mut repo, &[note(1, &["a"])]).await?;
    cx.refused(&repo.did, vec![delete_blob.clone()], Reason::BlobInUse).await?;
    // In one mutation with the commit that refers to it.
    let draft = repo.draft(&[note(2, &["b"])]);
    let ops = vec![put_blob("b"), draft.op(), Op::DeleteBlob(blob_cid("b"))];
    cx.mutation_refused(cx.mutation(&repo.did, ops, draft.blocks), Reason::BlobInUse).await?;
    cx.write(&mut repo, &[delete(1)]).await?;
    cx.refused(&repo.did, vec![delete_blob.clone()], Reason::BlobMissing).await?;
    cx.apply(&repo.did, vec![put_blob("a")]).await?;
    cx.apply(&repo.did, vec![delete_blob]).await?;
    assert!(!has(&cx, &repo.did, "a").await?);
    Ok(())
}

pub(crate) async fn blobs_are_listed_in_pages(cx: Arc<Context>) -> Outcome {
    let (alice, bob) = (cx.account("alice").await?, cx.account("bob").await?);
    let texts: Vec<String> = (0..15).map(|i| format!("blob {i}")).collect();
    for text in &texts {
        cx.apply(&alice, vec![put_blob(text)]).await?;
    }
    cx.apply(&bob, vec![put_blob("of bob")]).await?;
    let expected = sorted(texts.iter().map(String::as_str));
    for limit in [1, 4, 14, 15, 16, 100_000] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = cx.db().blobs(&alice, after.as_ref(), limit).await?;
            found.extend(page.items.into_iter().map(|blob| blob.cid));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
    Ok(())
}

pub(crate) async fn blobs_uses_are_listed(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[note(3, &["a"]), note(1, &["a", "b"]), note(2, &["b"])]).await?;
    let uses = async |text: &str, limit: usize| {
        let found = cx.db().blob_uses(&did("alice"), &blob_cid(text), limit).await?;
        answer(found.iter().map(|path| path.rkey().to_owned()).collect::<String>())
    };
    assert_eq!(
        (uses("a", 10).await?, uses("b", 10).await?, uses("c", 10).await?),
        ("13".into(), "12".into(), "".into())
    );
    assert_eq!(uses("a", 1).await?, "1");
    cx.write(&mut repo, &[note(1, &["b"]), delete(2)]).await?;
    assert_eq!((uses("a", 10).await?, uses("b", 10).await?), ("3".into(), "1".into()));
    Ok(())
}

pub(crate) async fn blobs_missing_are_listed(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.apply(&repo.did, vec![put_blob("there")]).await?;
    cx.write(&mut repo, &[note(1, &["there", "m1", "m2"]), note(2, &["m2", "m3"]), note(3, &["m4"])]).await?;
    let missing = async |limit: usize| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = cx.db().blobs_missing(&did("alice"), after.as_ref(), limit).await?;
            assert!(page.items.len() <= limit);
            found.extend(page.items.into_iter().map(|missing| (missing.cid, missing.path.rkey().to_owned())));
            after = page.next;
            if after.is_none() {
                return answer(found);
            }
        }
    };
    let first_uses = [("m1", "1"), ("m2", "1"), ("m3", "2"), ("m4", "3")];
    let mut expected: Vec<(Cid, String)> = first_uses.iter().map(|(b, r)| (blob_cid(b), (*r).to_owned())).collect();
    expected.sort();
    for limit in [1, 3, 4, 5] {
        assert_eq!(missing(limit).await?, expected, "pages of {limit}");
    }
    cx.apply(&repo.did, vec![put_blob("m2")]).await?;
    cx.write(&mut repo, &[delete(3)]).await?;
    expected.retain(|(cid, _)| [blob_cid("m1"), blob_cid("m3")].contains(cid));
    assert_eq!(missing(10).await?, expected);
    Ok(())
}

pub(crate) async fn blobs_unused_are_listed(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.apply(&repo.did, vec![put_blob("old"), put_blob("older"), put_blob("used")]).await?;
    cx.write(&mut repo, &[note(1, &["used"])]).await?;
    cx.advance(100);
    cx.apply(&repo.did, vec![put_blob("new")]).await?;
    let unused = async |before: u64, limit: usize| {
        let found = cx.db().blobs_unused(&did("alice"), Micros(START.0 + before), limit).await?;
        answer(found.into_iter().map(|blob| blob.cid).collect::<Vec<_>>())
    };
    assert_eq!(unused(0, 10).await?, []);
    assert_eq!(unused(1, 10).await?, sorted(["old", "older"]));
    assert_eq!(unused(100, 10).await?, sorted(["old", "older"]));
    assert_eq!(unused(101, 10).await?, sorted(["old", "older", "new"]));
    assert_eq!(unused(101, 2).await?, sorted(["old", "older", "new"])[..2]);
    Ok(())
}

/// A blob that only an unfinished import refers to is in use.
pub(crate) async fn blobs_of_an_import_stay(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.apply(&repo.did, vec![put_blob("a")]).await?;
    cx.write(&mut repo, &[note(1, &["a"])]).await?;
    let import = RepoId(cx.apply(&repo.did, vec![Op::BeginImport]).await?.pos.0);
    let mut next = repo.clone();
    next.sign(b"imported", Tid::from_u64(repo.head.expect("a head").rev.as_u64() + 4096));
    super::imports::fill(&cx, import, &next).await?;
    cx.write(&mut repo, &[delete(1)]).await?;
    assert!(has(&cx, &repo.did, "a").await?, "the import refers to it");
    cx.refused(&repo.did, vec![Op::DeleteBlob(blob_cid("a"))], Reason::BlobInUse).await?;
    assert!(cx.db().blobs_unused(&repo.did, Micros(u64::MAX), 10).await?.is_empty());
    cx.apply(&repo.did, vec![Op::AbandonImport { import }]).await?;
    assert_eq!(cx.db().blobs_unused(&repo.did, Micros(u64::MAX), 10).await?.len(), 1);
    cx.apply(&repo.did, vec![Op::DeleteBlob(blob_cid("a"))]).await?;
    Ok(())
}
