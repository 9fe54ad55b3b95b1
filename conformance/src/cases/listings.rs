//! Listings of accounts, repos, records and blobs: what they leave out, before the limit, and where they go on.

use super::imports::{begin, fill, foreign};
use super::prelude::*;
use super::repos::query;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

fn blob(name: &str) -> Op {
    Op::PutBlob { cid: blob_cid(name), mime: "a/b".into(), bytes: 1 }
}

fn sorted(names: impl IntoIterator<Item = String>) -> Vec<Cid> {
    let mut cids: Vec<Cid> = names.into_iter().map(|name| blob_cid(&name)).collect();
    cids.sort();
    cids
}

/// Accounts without a head are no repos, however many there are: new, importing, deleted ones shorten no page.
pub(crate) async fn listings_of_repos_leave_out_who_has_none(cx: Arc<Context>) -> Outcome {
    let mut expected = Vec::new();
    for i in 0..60 {
        let word = format!("u{i:02}");
        match i % 6 {
            0 => drop(cx.account(&word).await?),
            1 => drop(begin(&cx, &cx.account(&word).await?).await?),
            2 => drop(cx.apply(&cx.repo(&word).await?.did, vec![Op::DeleteAccount]).await?),
            3 if i < 50 => {
                // Deleted and registered again, without a repo.
                cx.apply(&cx.repo(&word).await?.did, vec![Op::DeleteAccount]).await?;
                cx.account(&word).await?;
            }
            4 if i < 50 => drop(cx.account(&word).await?),
            _ => expected.push(cx.repo(&word).await?.did),
        }
    }
    for limit in [1, 3, expected.len() - 1, expected.len(), 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = cx.db().repos(after.as_ref(), limit).await?;
            assert_eq!(page.items.len(), limit.min(expected.len() - found.len()), "pages of {limit}");
            found.extend(page.items.into_iter().map(|listing| listing.did));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
    Ok(())
}

/// A cursor need not name anything that is there.
pub(crate) async fn listings_of_repos_go_on_after_any_name(cx: Arc<Context>) -> Outcome {
    for word in ["b", "d", "f"] {
        cx.repo(word).await?;
    }
    cx.account("c").await?;
    for (after, expected) in [("a", "bdf"), ("b", "df"), ("c", "df"), ("d", "f"), ("dd", "f"), ("f", ""), ("z", "")] {
        let page = cx.db().repos(Some(&did(after)), 10).await?;
        let found: String = page.items.iter().map(|listing| listing.did.as_str().replace("did:plc:", "")).collect();
        assert_eq!((found.as_str(), page.next), (expected, None), "after {after}");
    }
    let page = cx.db().repos(Some(&did("a")), 2).await?;
    assert_eq!(page.next, Some(did("d")));
    cx.apply(&did("d"), vec![Op::DeleteAccount]).await?;
    let page = cx.db().repos(Some(&did("d")), 2).await?;
    assert_eq!(page.items[0].did, did("f"), "after one that was deleted meanwhile");
    Ok(())
}

/// The head in a listing is the present one, through commits, imports and statuses.
pub(crate) async fn listings_of_repos_show_the_present_head(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let listed = async || answer(cx.db().repos(None, 10).await?.items.remove(0));
    cx.write(&mut repo, &[put("1", "x")]).await?;
    assert_eq!(Some(listed().await?.head), repo.head);
    let other = foreign(&repo, 3, "new");
    let import = begin(&cx, &repo.did).await?;
    fill(&cx, import, &other).await?;
    assert_eq!(Some(listed().await?.head), repo.head);
    cx.db().apply(super::imports::finish(&cx, import, &other, repo.head)).await?;
    assert_eq!(Some(listed().await?.head), other.head);
    cx.apply(&repo.did, vec![Op::SetStatus(AccountStatus::Desynchronized)]).await?;
    cx.reopen().await;
    let last = listed().await?;
    assert_eq!((Some(last.head), last.status), (other.head, AccountStatus::Desynchronized));
    Ok(())
}

/// Used blobs between the unused, and younger ones between the older, are left out before the limit.
pub(crate) async fn listings_of_unused_blobs_leave_out_before_the_limit(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let name = |i: usize| format!("blob {i}");
    cx.apply(&repo.did, (0..200).map(|i| blob(&name(i))).collect()).await?;
    let used = (0..200).filter(|i| i % 20 != 0).fold(content("x"), |content, i| content.with_blob(blob_cid(&name(i))));
    cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), used)]).await?;
    cx.advance(10);
    cx.apply(&repo.did, (200..300).map(|i| blob(&name(i))).collect()).await?;
    let expected = sorted((0..200).filter(|i| i % 20 == 0).map(name));
    for limit in [1, 5, 9, 10, 11, 1_000] {
        let found = cx.db().blobs_unused(&repo.did, Micros(START.0 + 10), limit).await?;
        let found: Vec<Cid> = found.into_iter().map(|blob| blob.cid).collect();
        assert_eq!(found, expected[..limit.min(10)], "at most {limit}");
    }
    Ok(())
}

/// Blobs that are there between those that are missing are left out before the limit.
pub(crate) async fn listings_of_missing_blobs_leave_out_before_the_limit(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let name = |i: usize| format!("blob {i}");
    let all = (0..300).fold(content("x"), |content, i| content.with_blob(blob_cid(&name(i))));
    cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), all)]).await?;
    cx.apply(&repo.did, (0..300).filter(|i| i % 30 != 0).map(|i| blob(&name(i))).collect()).await?;
    let expected = sorted((0..300).filter(|i| i % 30 == 0).map(name));
    for limit in [1, 3, 9, 10, 11] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = cx.db().blobs_missing(&repo.did, after.as_ref(), limit).await?;
            assert_eq!(page.items.len(), limit.min(10 - found.len()), "pages of {limit}");
            found.extend(page.items.into_iter().map(|missing| missing.cid));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
    // After a CID that is not there, of another account's blob or of nobody's.
    let strange = blob_cid("strange");
    let rest = cx.db().blobs_missing(&repo.did, Some(&strange), 100).await?.items;
    assert_eq!(rest.len(), expected.iter().filter(|cid| **cid > strange).count());
    Ok(())
}

/// Blobs go on after any CID, and after one that was deleted since.
pub(crate) async fn listings_of_blobs_go_on_after_what_is_gone(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let names: Vec<String> = (0..8).map(|i| format!("blob {i}")).collect();
    cx.apply(&alice, names.iter().map(|name| blob(name)).collect()).await?;
    let all = sorted(names);
    let page = cx.db().blobs(&alice, None, 3).await?;
    assert_eq!(page.next, Some(all[2]));
    cx.apply(&alice, vec![Op::DeleteBlob(all[2]), Op::DeleteBlob(all[3])]).await?;
    let rest = cx.db().blobs(&alice, page.next.as_ref(), 100).await?.items;
    assert_eq!(rest.iter().map(|blob| blob.cid).collect::<Vec<_>>(), all[4..]);
    Ok(())
}

/// Six hundred collections of a few records each: every one once, by its bytes; emptied ones go.
pub(crate) async fn listings_of_collections_are_of_hundreds(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let name = |i: usize| format!("com.example.c{i}");
    let writes =
        (0..600).flat_map(|i| (0..3).map(move |j| Write::Put(path(&format!("com.example.c{i}/{j}")), content("x"))));
    let draft = repo.draft(&writes.collect::<Vec<_>>()).quiet();
    cx.send(&mut repo, draft).await?;
    let mut expected: Vec<String> = (0..600).map(name).collect();
    expected.sort();
    let found =
        async || answer(cx.db().collections(&repo.did).await?.into_iter().map(Nsid::into_string).collect::<Vec<_>>());
    assert_eq!(found().await?, expected);
    let emptied = (0..3).map(|j| Write::Delete(path(&format!("com.example.c300/{j}"))));
    let draft = repo.draft(&emptied.chain([Write::Delete(path("com.example.c301/0"))]).collect::<Vec<_>>());
    cx.db().apply(draft.mutation(cx.key())).await?;
    expected.retain(|name| name != "com.example.c300");
    assert_eq!(found().await?, expected);
    Ok(())
}

/// In reverse too a page starts after any key, and its end is the beginning.
pub(crate) async fn listings_of_records_in_reverse_end_at_the_first(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    // Neighbours of the collection on both sides, in the order of paths.
    let around =
        ["com.example.note-x", "com.example.not", "com.example.noteb", "com.example.zote", "com.example.note.a"];
    let writes = ["a", "b", "c", "d"].map(|rkey| put(rkey, rkey)).into_iter();
    let more =
        around.iter().filter_map(|c| format!("{c}/1").parse().ok()).map(|path| Write::Put(path, content("other")));
    cx.write(&mut repo, &writes.chain(more).collect::<Vec<_>>()).await?;
    for (after, limit, expected, more) in [
        (None, 2, "dc", true),
        (None, 4, "dcba", false),
        (None, 5, "dcba", false),
        (Some("c"), 1, "b", true),
        (Some("c"), 2, "ba", false),
        (Some("a"), 2, "", false),
        (Some("0"), 2, "", false),
        (Some("zz"), 1, "d", true),
    ] {
        let query = RecordQuery { after: after.map(rkey), reverse: true, ..query("com.example.note", limit) };
        let page = cx.db().records(&repo.did, &query).await?;
        let found: String = page.items.iter().map(|record| record.path.rkey()).collect();
        assert_eq!((found.as_str(), page.next.is_some()), (expected, more), "{limit} before {after:?}");
    }
    Ok(())
}

/// What links or refers comes by path, not in the order in which it was written, and the limit cuts the end.
pub(crate) async fn listings_of_what_refers_are_by_path(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let target = link("subject", "did:plc:bob");
    for rkey in ["m", "z", "a", "Z", "0", "~"] {
        let liked = content(rkey).with_link(target.clone()).with_blob(blob_cid("b"));
        cx.write(&mut repo, &[Write::Put(path(&format!("com.example.like/{rkey}")), liked)]).await?;
    }
    let expected = ["0", "Z", "a", "m", "z", "~"].map(|rkey| path(&format!("com.example.like/{rkey}")));
    for limit in 1..=7 {
        let cut = &expected[..limit.min(6)];
        assert_eq!(cx.db().linking(&repo.did, &nsid("com.example.like"), &target, limit).await?, cut);
        assert_eq!(cx.db().blob_uses(&repo.did, &blob_cid("b"), limit).await?, cut);
    }
    Ok(())
}
