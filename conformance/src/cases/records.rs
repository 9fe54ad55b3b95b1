//! Records.

use super::prelude::*;

async fn read(cx: &Context, did: &Did, path: &RecordPath) -> Result<Option<(Cid, bytes::Bytes)>> {
    let record = cx.db().record(did, path).await?;
    Ok(record.map(|record| {
        assert_eq!(record.path, *path);
        (record.cid, record.bytes)
    }))
}

fn said(text: &str) -> Option<(Cid, bytes::Bytes)> {
    let content = content(text);
    Some((content.cid(), content.bytes))
}

pub(crate) async fn records_create_update_delete(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let note = path("com.example.note/1");
    assert_eq!(read(&cx, &repo.did, &note).await?, None);
    cx.write(&mut repo, &[Write::Put(note.clone(), content("first"))]).await?;
    assert_eq!(read(&cx, &repo.did, &note).await?, said("first"));
    cx.write(&mut repo, &[Write::Put(note.clone(), content("second"))]).await?;
    assert_eq!(read(&cx, &repo.did, &note).await?, said("second"));
    cx.reopen().await;
    assert_eq!(read(&cx, &repo.did, &note).await?, said("second"));
    cx.write(&mut repo, &[Write::Delete(note.clone())]).await?;
    assert_eq!(read(&cx, &repo.did, &note).await?, None);
    cx.write(&mut repo, &[Write::Put(note.clone(), content("first"))]).await?;
    assert_eq!(read(&cx, &repo.did, &note).await?, said("first"), "created again with its first content");
    Ok(())
}

pub(crate) async fn records_old_cid_must_match(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let (note, other) = (path("com.example.note/1"), path("com.example.note/2"));
    cx.write(&mut repo, &[Write::Put(note.clone(), content("now"))]).await?;
    let put = |path: &RecordPath, text| repo.draft(&[Write::Put(path.clone(), content(text))]);
    let gone = repo.draft(&[Write::Delete(note.clone())]);
    let wrong = Some(content("other").cid());
    let cases = [
        ("create over an existing record", put(&note, "new"), None),
        ("update of another one", put(&note, "new"), wrong),
        ("update of a missing one", put(&other, "new"), wrong),
        ("delete of another one", gone, wrong),
    ];
    for (what, mut draft, old) in cases {
        draft.commit.records[0].old = old;
        let reason = cx.refusal(draft.mutation(cx.key())).await?;
        assert_eq!(reason, Reason::RecordMismatch, "{what}");
    }
    let mut missing = repo.draft(&[Write::Put(other.clone(), content("x"))]);
    missing.commit.records[0] = RecordOp { path: other, old: wrong, new: None, blobs: Vec::new(), links: Vec::new() };
    cx.mutation_refused(missing.mutation(cx.key()), Reason::RecordMismatch).await?;
    Ok(())
}

pub(crate) async fn records_same_content_holds_two_references(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let (one, two, three) = (path("com.example.note/1"), path("com.example.note/2"), path("com.example.note/3"));
    let same = || content("same");
    let refs = async |repo: &SceneRepo| {
        let found = cx.db().block_refs(&repo.did, &[same().cid()], Blocks::History).await?;
        answer(found[0].map(|found| found.refs))
    };
    // Two of them in one commit: the same CID twice in one batch.
    cx.write(&mut repo, &[Write::Put(one.clone(), same()), Write::Put(two.clone(), same())]).await?;
    assert_eq!(refs(&repo).await?, Some(2));
    cx.write(&mut repo, &[Write::Put(three.clone(), same()), Write::Delete(one.clone())]).await?;
    assert_eq!(refs(&repo).await?, Some(2));
    cx.write(&mut repo, &[Write::Delete(two.clone())]).await?;
    assert_eq!(refs(&repo).await?, Some(1));
    cx.pass_window();
    cx.sweep().await?;
    assert_eq!(read(&cx, &repo.did, &three).await?, said("same"), "what one record still holds survives");
    cx.write(&mut repo, &[Write::Delete(three.clone())]).await?;
    assert_eq!(refs(&repo).await?, Some(0));
    cx.pass_window();
    cx.sweep().await?;
    assert_eq!(refs(&repo).await?, None);
    Ok(())
}

pub(crate) async fn records_swap_contents_in_one_commit(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let (one, two) = (path("com.example.note/1"), path("com.example.note/2"));
    cx.write(&mut repo, &[Write::Put(one.clone(), content("a")), Write::Put(two.clone(), content("b"))]).await?;
    cx.write(&mut repo, &[Write::Put(one.clone(), content("b")), Write::Put(two.clone(), content("a"))]).await?;
    assert_eq!(read(&cx, &repo.did, &one).await?, said("b"));
    assert_eq!(read(&cx, &repo.did, &two).await?, said("a"));
    let refs = cx.db().block_refs(&repo.did, &[content("a").cid(), content("b").cid()], Blocks::Live).await?;
    assert_eq!(refs.iter().map(|refs| refs.map(|refs| refs.refs)).collect::<Vec<_>>(), [Some(1), Some(1)]);
    Ok(())
}

pub(crate) async fn records_update_to_the_same_content(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let note = path("com.example.note/1");
    cx.write(&mut repo, &[Write::Put(note.clone(), content("same"))]).await?;
    cx.write(&mut repo, &[Write::Put(note.clone(), content("same"))]).await?;
    let refs = cx.db().block_refs(&repo.did, &[content("same").cid()], Blocks::Live).await?;
    assert_eq!(refs[0].map(|refs| refs.refs), Some(1));
    cx.pass_window();
    cx.sweep().await?;
    assert_eq!(read(&cx, &repo.did, &note).await?, said("same"));
    Ok(())
}

async fn pages(cx: &Context, did: &Did, collection: &str, limit: usize, reverse: bool) -> Result<Vec<String>> {
    let mut query = RecordQuery { collection: nsid(collection), after: None, limit, reverse };
    let mut found = Vec::new();
    loop {
        let page = cx.db().records(did, &query).await?;
        assert!(page.items.len() <= limit);
        found.extend(page.items.iter().map(|record| {
            assert!(record.cid.matches(&record.bytes));
            record.path.rkey().to_owned()
        }));
        match page.next {
            None => return Ok(found),
            next => query.after = next,
        }
    }
}

pub(crate) async fn records_are_listed_in_pages(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let mut rkeys: Vec<String> = (0..40).map(|i| format!("k{i}")).collect();
    rkeys.extend(["-", "_", "~", ":", "A", "a", "0", "self", "..."].map(str::to_owned));
    for some in rkeys.chunks(13) {
        let writes: Vec<Write> =
            some.iter().map(|k| Write::Put(path(&format!("com.example.note/{k}")), content(k))).collect();
        cx.write(&mut repo, &writes).await?;
    }
    rkeys.sort();
    for limit in [1, 2, 24, 48, 49, 50, 100_000] {
        assert_eq!(pages(&cx, &repo.did, "com.example.note", limit, false).await?, rkeys, "pages of {limit}");
        let mut found = pages(&cx, &repo.did, "com.example.note", limit, true).await?;
        found.reverse();
        assert_eq!(found, rkeys, "pages of {limit}, in reverse");
    }
    Ok(())
}

pub(crate) async fn records_listing_starts_after_what_is_not_there(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let writes = ["b", "d", "f"].map(|k| Write::Put(path(&format!("com.example.note/{k}")), content(k)));
    cx.write(&mut repo, &writes).await?;
    for (after, reverse, expected) in
        [("c", false, "df"), ("d", false, "f"), ("f", false, ""), ("c", true, "b"), ("d", true, "b"), ("b", true, "")]
    {
        let collection = nsid("com.example.note");
        let query = RecordQuery { collection, after: Some(rkey(after)), limit: 10, reverse };
        let found: String = cx.db().records(&repo.did, &query).await?.items.iter().map(|r| r.path.rkey()).collect();
        assert_eq!(found, expected, "after {after}, reverse: {reverse}");
    }
    Ok(())
}

const ALIKE: [&str; 6] = [
    "com.example.note",
    "com.example.notes",
    "com.example.note.more",
    "com.example-x.note",
    "com.exampl.note",
    "com.example.Note",
];

pub(crate) async fn records_collections_are_apart(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    for collection in ALIKE {
        let writes = ["1", "2"].map(|k| Write::Put(path(&format!("{collection}/{k}")), content(collection)));
        cx.write(&mut repo, &writes).await?;
    }
    for collection in ALIKE {
        for reverse in [false, true] {
            assert_eq!(pages(&cx, &repo.did, collection, 1, reverse).await?.len(), 2, "{collection}");
        }
    }
    assert!(pages(&cx, &repo.did, "com.example.other", 1, false).await?.is_empty());
    Ok(())
}

pub(crate) async fn records_collections_are_listed(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let mut expected: Vec<&str> = ALIKE.into();
    for collection in ALIKE {
        cx.write(&mut repo, &[Write::Put(path(&format!("{collection}/1")), content("x"))]).await?;
    }
    expected.sort_unstable();
    let names = |found: Vec<Nsid>| found.into_iter().map(Nsid::into_string).collect::<Vec<_>>();
    assert_eq!(names(cx.db().collections(&repo.did).await?), expected);
    cx.write(&mut repo, &[Write::Delete(path("com.example.note/1"))]).await?;
    expected.retain(|name| *name != "com.example.note");
    assert_eq!(names(cx.db().collections(&repo.did).await?), expected, "an emptied collection goes");
    Ok(())
}

pub(crate) async fn records_links_are_found(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let target = link("subject", "at://did:plc:bob/com.example.note/1");
    let like = |i: u32| path(&format!("com.example.like/{i}"));
    let linking = async |collection: &str, link: &Link, limit: usize| {
        let found = cx.db().linking(&did("alice"), &nsid(collection), link, limit).await?;
        answer(found.iter().map(|path| path.rkey().to_owned()).collect::<String>())
    };
    let to = |link: &Link| content("like").with_link(link.clone());
    let other = link("subject", "at://did:plc:bob/com.example.note/10");
    let field = link("subjects", "at://did:plc:bob/com.example.note/1");
    cx.write(&mut repo, &[Write::Put(like(1), to(&target)), Write::Put(like(2), to(&target))]).await?;
    cx.write(&mut repo, &[Write::Put(like(3), to(&other)), Write::Put(like(4), to(&field))]).await?;
    cx.write(&mut repo, &[Write::Put(path("com.example.repost/5"), to(&target))]).await?;
    cx.write(&mut repo, &[Write::Put(like(6), content("like").with_link(other.clone()).with_link(target.clone()))])
        .await?;
    assert_eq!(linking("com.example.like", &target, 10).await?, "126");
    assert_eq!(linking("com.example.like", &target, 2).await?, "12");
    assert_eq!(linking("com.example.like", &other, 10).await?, "36");
    assert_eq!(linking("com.example.like", &field, 10).await?, "4");
    assert_eq!(linking("com.example.repost", &target, 10).await?, "5");
    assert_eq!(linking("com.example.lik", &target, 10).await?, "");
    cx.write(&mut repo, &[Write::Delete(like(1)), Write::Put(like(2), to(&other))]).await?;
    cx.reopen().await;
    assert_eq!(linking("com.example.like", &target, 10).await?, "6", "after a deletion and a change");
    assert_eq!(linking("com.example.like", &other, 10).await?, "236");
    Ok(())
}

pub(crate) async fn records_links_are_not_of_others(cx: Arc<Context>) -> Outcome {
    let (mut alice, bob) = (cx.repo("alice").await?, cx.repo("bob").await?);
    let target = link("subject", "did:plc:carol");
    let follow = Write::Put(path("com.example.follow/1"), content("x").with_link(target.clone()));
    cx.write(&mut alice, &[follow]).await?;
    assert!(cx.db().linking(&bob.did, &nsid("com.example.follow"), &target, 10).await?.is_empty());
    Ok(())
}

pub(crate) async fn records_longest_paths_are_kept(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let label = "d".repeat(63);
    let domain = format!("{label}.{label}.{label}.{}", "e".repeat(61));
    let collection = format!("{domain}.{}", "n".repeat(63));
    assert_eq!(collection.len(), Nsid::BYTES_MAX);
    let long = path(&format!("{collection}/{}", "k".repeat(RecordKey::BYTES_MAX)));
    assert_eq!(long.as_str().len(), RecordPath::BYTES_MAX);
    let short = path(&format!("{collection}/{}", "k".repeat(RecordKey::BYTES_MAX - 1)));
    let writes = [Write::Put(long.clone(), content("long")), Write::Put(short.clone(), content("short"))];
    cx.write(&mut repo, &writes).await?;
    cx.reopen().await;
    assert_eq!(read(&cx, &repo.did, &long).await?, said("long"));
    assert_eq!(read(&cx, &repo.did, &short).await?, said("short"));
    assert_eq!(pages(&cx, &repo.did, &collection, 1, false).await?.len(), 2);
    assert_eq!(cx.db().collections(&repo.did).await?, [nsid(&collection)]);
    Ok(())
}

pub(crate) async fn records_longest_links_are_kept(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let long = link(&"f".repeat(limits::ROW_KEY_BYTES_MAX), &"t".repeat(limits::LINK_TARGET_BYTES_MAX));
    let mut nearly = long.clone();
    nearly.target = "t".repeat(limits::LINK_TARGET_BYTES_MAX - 1).into();
    let note = Write::Put(path("com.example.note/1"), content("x").with_link(long.clone()));
    cx.write(&mut repo, &[note]).await?;
    cx.reopen().await;
    assert_eq!(cx.db().linking(&repo.did, &nsid("com.example.note"), &long, 10).await?.len(), 1);
    assert_eq!(cx.db().linking(&repo.did, &nsid("com.example.note"), &nearly, 10).await?.len(), 0);
    Ok(())
}

pub(crate) async fn records_same_path_in_two_repos(cx: Arc<Context>) -> Outcome {
    let (mut alice, mut bob) = (cx.repo("alice").await?, cx.repo("bob").await?);
    let note = path("com.example.note/1");
    cx.write(&mut alice, &[Write::Put(note.clone(), content("of alice"))]).await?;
    cx.write(&mut bob, &[Write::Put(note.clone(), content("of bob"))]).await?;
    assert_eq!(read(&cx, &alice.did, &note).await?, said("of alice"));
    cx.write(&mut bob, &[Write::Delete(note.clone())]).await?;
    assert_eq!(read(&cx, &alice.did, &note).await?, said("of alice"));
    Ok(())
}
