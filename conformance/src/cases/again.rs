//! A DID that is registered again: nothing of its first life is seen in the second, one case for each sort of thing.

use super::prelude::*;
use super::repos::query;

fn note(rkey: &str, text: &str) -> Write {
    let content = content(text).with_blob(blob_cid("b")).with_link(link("subject", "did:plc:bob"));
    Write::Put(path(&format!("com.example.note/{rkey}")), content)
}

/// A first life with one of everything, its end, and the second life's account; a repo it has not.
async fn reborn(cx: &Context) -> Result<SceneRepo> {
    let mut repo = cx.repo("alice").await?;
    let blob = Op::PutBlob { cid: blob_cid("b"), mime: "image/png".into(), bytes: 1 };
    let owned = Row {
        owner: Some(repo.did.clone()),
        unique: vec![b"u".to_vec()],
        lookup: vec![b"l".to_vec()],
        expires_at: Some(Micros(START.0 + 1_000_000_000)),
        ..row("k", "old")
    };
    cx.apply(&repo.did, vec![blob, put_row(owned)]).await?;
    cx.write(&mut repo, &[note("1", "one"), note("2", "two")]).await?;
    cx.write(&mut repo, &[note("1", "changed")]).await?;
    cx.advance(1_000);
    cx.apply(&repo.did, vec![Op::DeleteAccount, Op::Emit(Announce::Account)]).await?;
    cx.advance(1_000);
    cx.account("alice").await?;
    Ok(repo)
}

/// The second life's repo: the same content under another path.
async fn second(cx: &Context, old: &SceneRepo) -> Result<SceneRepo> {
    let mut new = SceneRepo::new(old.did.clone());
    cx.write(&mut new, &[Write::Put(path("com.example.other/9"), content("two"))]).await?;
    Ok(new)
}

pub(crate) async fn again_there_are_no_records(cx: Arc<Context>) -> Outcome {
    let old = reborn(&cx).await?;
    for with_repo in [false, true] {
        for rkey in ["1", "2"] {
            assert_eq!(cx.db().record(&old.did, &path(&format!("com.example.note/{rkey}"))).await?, None);
        }
        assert!(cx.db().records(&old.did, &query("com.example.note", 10)).await?.items.is_empty());
        let expected: &[Nsid] = if with_repo { &[nsid("com.example.other")] } else { &[] };
        assert_eq!(cx.db().collections(&old.did).await?, expected);
        if !with_repo {
            second(&cx, &old).await?;
        }
    }
    Ok(())
}

/// A record that was there once is created in the second life, not updated.
pub(crate) async fn again_records_are_created(cx: Arc<Context>) -> Outcome {
    let old = reborn(&cx).await?;
    let mut new = SceneRepo::new(old.did.clone());
    let mut draft = new.draft(&[note("1", "one")]);
    draft.commit.records[0].old = Some(content("changed").cid());
    cx.mutation_refused(draft.mutation(cx.key()), Reason::RecordMismatch).await?;
    cx.write(&mut new, &[note("1", "one")]).await?;
    super::imports::state_is(&cx, &new).await
}

pub(crate) async fn again_there_are_no_blocks(cx: Arc<Context>) -> Outcome {
    let old = reborn(&cx).await?;
    let cids: Vec<Cid> = old.recount().into_keys().collect();
    for which in [Blocks::Live, Blocks::History, Blocks::Import] {
        assert!(cx.db().blocks(&old.did, &cids, which).await?.iter().all(Option::is_none), "{which:?}");
        assert!(cx.db().block_refs(&old.did, &cids, which).await?.iter().all(Option::is_none), "{which:?}");
    }
    // Nor can one be built on: what was there before must be supplied.
    let mut draft = SceneRepo::new(old.did.clone()).draft(&[note("1", "two")]).quiet();
    draft.blocks.retain(|block| block.cid() != content("two").cid());
    cx.mutation_refused(draft.mutation(cx.key()), Reason::BlockMissing).await?;
    let new = second(&cx, &old).await?;
    let refs = cx.db().block_refs(&new.did, &[content("two").cid()], Blocks::Live).await?;
    assert_eq!(refs[0].map(|refs| refs.refs), Some(1));
    Ok(())
}

pub(crate) async fn again_there_are_no_rows(cx: Arc<Context>) -> Outcome {
    let old = reborn(&cx).await?;
    assert_eq!(cx.db().row(&row_key("k")).await?, None);
    assert_eq!(cx.db().row_unique(RowKind::Custom, 0, b"u").await?, None);
    let scopes = [
        RowScope::Owner(old.did.clone()),
        RowScope::Kind(RowKind::Custom),
        RowScope::Lookup { kind: RowKind::Custom, index: 0, value: b"l".to_vec() },
    ];
    for scope in scopes {
        assert!(cx.db().rows(&scope, None, 10).await?.items.is_empty(), "{scope:?}");
    }
    let new = Row { owner: Some(old.did.clone()), unique: vec![b"u".to_vec()], ..row("k", "new") };
    cx.apply(&old.did, vec![Op::PutRow { row: new.clone(), expect: Expect::Absent }]).await?;
    // The old row's expiry was the old row's.
    cx.advance(2_000_000_000);
    cx.sweep().await?;
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(new));
    Ok(())
}

pub(crate) async fn again_there_are_no_blobs(cx: Arc<Context>) -> Outcome {
    let old = reborn(&cx).await?;
    let ever = Micros(u64::MAX);
    assert_eq!(cx.db().blob(&old.did, &blob_cid("b")).await?, None);
    assert!(cx.db().blobs(&old.did, None, 10).await?.items.is_empty());
    assert!(cx.db().blob_uses(&old.did, &blob_cid("b"), 10).await?.is_empty());
    assert!(cx.db().blobs_missing(&old.did, None, 10).await?.items.is_empty());
    assert!(cx.db().blobs_unused(&old.did, ever, 10).await?.is_empty());
    cx.refused(&old.did, vec![Op::DeleteBlob(blob_cid("b"))], Reason::BlobMissing).await?;
    // Put again it has the new time, type and length, and outlives the sweep of the old one.
    cx.apply(&old.did, vec![Op::PutBlob { cid: blob_cid("b"), mime: "image/jpeg".into(), bytes: 2 }]).await?;
    let expected = Blob { cid: blob_cid("b"), mime: "image/jpeg".into(), bytes: 2, at: cx.now() };
    cx.pass_window();
    cx.sweep().await?;
    assert_eq!(cx.db().blob(&old.did, &blob_cid("b")).await?, Some(expected));
    Ok(())
}

pub(crate) async fn again_there_are_no_links(cx: Arc<Context>) -> Outcome {
    let old = reborn(&cx).await?;
    let target = link("subject", "did:plc:bob");
    let found = async || cx.db().linking(&old.did, &nsid("com.example.note"), &target, 10).await;
    assert!(found().await?.is_empty());
    let mut new = SceneRepo::new(old.did.clone());
    cx.write(&mut new, &[note("2", "two"), note("3", "three")]).await?;
    assert_eq!(found().await?, [path("com.example.note/2"), path("com.example.note/3")]);
    cx.pass_window();
    cx.sweep().await?;
    assert_eq!(found().await?.len(), 2, "the sweep of the old ones leaves the new ones");
    Ok(())
}

pub(crate) async fn again_counting_begins_at_nothing(cx: Arc<Context>) -> Outcome {
    let old = reborn(&cx).await?;
    let stats = cx.db().stats().await?;
    assert_eq!((stats.accounts, stats.repos, stats.records, stats.refs, stats.bytes), (1, 0, 0, 0, 0));
    let new = second(&cx, &old).await?;
    let counters = cx.db().repo(&new.did, At::Head).await?.expect("a repo").counters;
    let bytes = new.blocks().iter().map(|block| block.bytes().len()).sum::<usize>() + new.commit.len();
    assert_eq!(counters, Counters { records: 1, refs: 3, bytes: bytes as u64 });
    let stats = cx.db().stats().await?;
    assert_eq!((stats.repos, stats.records, stats.refs, stats.bytes), (1, 1, 3, bytes as u64));
    Ok(())
}

pub(crate) async fn again_there_is_no_past(cx: Arc<Context>) -> Outcome {
    let old = reborn(&cx).await?;
    let rev = old.head.expect("a head").rev;
    for with_repo in [false, true] {
        let commits = cx.db().history(&old.did, None, 10).await?.items.len();
        assert_eq!(commits, usize::from(with_repo));
        assert_eq!(cx.db().repo(&old.did, At::Rev(rev)).await?, None);
        assert_eq!(cx.db().repo(&old.did, At::Time(START)).await?, None, "a time of the first life");
        if !with_repo {
            // A rev before that of the old head: the new repo has its own order.
            let mut new = SceneRepo::new(old.did.clone());
            let draft = new.draft_at(&[note("1", "one")], b"sig", Tid::from_u64(5));
            cx.send(&mut new, draft).await?;
        }
    }
    Ok(())
}

pub(crate) async fn again_it_is_another_account(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let confirmed = AccountPatch { email_confirmed_at: Some(Some(Micros(7))), ..AccountPatch::default() };
    cx.apply(&alice, vec![Op::UpdateAccount(confirmed), Op::SetStatus(AccountStatus::Takendown)]).await?;
    cx.apply(&alice, vec![Op::DeleteAccount]).await?;
    cx.advance(5);
    let new = NewAccount {
        handle: Some(handle("alicia")),
        email: Some(email("alice")),
        password_hash: None,
        status: AccountStatus::Deactivated,
    };
    let receipt = cx.apply(&alice, vec![Op::CreateAccount(new)]).await?;
    let expected = Account {
        id: AccountId(receipt.pos.0),
        did: alice.clone(),
        handle: Some(handle("alicia")),
        email: Some(email("alice")),
        email_confirmed_at: None,
        password_hash: None,
        status: AccountStatus::Deactivated,
        created_at: Micros(START.0 + 5),
        repo: None,
        import: None,
    };
    cx.reopen().await;
    for name in [AccountName::Did(alice), AccountName::Handle(handle("alicia")), AccountName::Email(email("alice"))] {
        assert_eq!(cx.db().account(&name).await?.as_ref(), Some(&expected), "{name:?}");
    }
    assert_eq!(cx.db().account(&AccountName::Handle(handle("alice"))).await?, None, "the old handle is nobody's");
    Ok(())
}

/// The names of a deleted account are anybody's at once.
pub(crate) async fn again_its_names_may_be_somebody_elses(cx: Arc<Context>) -> Outcome {
    let (alice, bob) = (cx.account("alice").await?, cx.account("bob").await?);
    let both = AccountPatch {
        handle: Some(Some(handle("alice"))),
        email: Some(Some(email("alice"))),
        ..AccountPatch::default()
    };
    cx.apply(&alice, vec![Op::DeleteAccount]).await?;
    cx.apply(&bob, vec![Op::UpdateAccount(both)]).await?;
    cx.refused(&alice, vec![create_account("alice")], Reason::HandleTaken).await?;
    cx.apply(&alice, vec![create_account("other")]).await?;
    let found = cx.db().account(&AccountName::Handle(handle("alice"))).await?;
    assert_eq!(found.map(|account| account.did), Some(bob));
    Ok(())
}

/// The feeds are of the store, not of the account: both lives are in them, and numbers go on.
pub(crate) async fn again_the_feeds_go_on(cx: Arc<Context>) -> Outcome {
    let old = reborn(&cx).await?;
    let before = cx.db().events(Seq::ZERO, 100, usize::MAX).await?;
    second(&cx, &old).await?;
    let events = cx.db().events(Seq::ZERO, 100, usize::MAX).await?;
    assert_eq!(events[..before.len()], before);
    let names: Vec<String> =
        events.iter().map(|event| answer(Frame::decode(&event.frame)?.t)).collect::<Result<_>>()?;
    assert_eq!(names, ["#commit", "#commit", "#commit", "#account", "#commit"]);
    let changes = cx.db().changes(Pos(0), 100, usize::MAX).await?;
    assert_eq!(changes.len(), 8);
    assert!(changes.iter().all(|change| change.mutation.did == old.did));
    Ok(())
}

/// Three lives, each deleted while the one before it waits for its sweep: swept one after the other, the last is whole.
pub(crate) async fn again_and_again_each_life_is_swept_by_itself(cx: Arc<Context>) -> Outcome {
    let window = cx.options().history_window_micros;
    for life in 0..3u64 {
        cx.set_time(Micros(START.0 + life * window / 4));
        let mut repo = cx.repo("alice").await?;
        cx.write(&mut repo, &[note("1", "same"), note(&format!("life{life}"), &format!("{life}"))]).await?;
        cx.apply(&repo.did, vec![Op::DeleteAccount]).await?;
    }
    let mut last = cx.repo("alice").await?;
    cx.write(&mut last, &[note("1", "same")]).await?;
    let generations =
        async || answer(cx.snapshot().await?.iter().filter(|item| matches!(item, SnapshotItem::Repo(_))).count());
    assert_eq!(generations().await?, 4);
    for life in 0..3u64 {
        cx.set_time(Micros(START.0 + window + life * window / 4 - 1));
        cx.sweep().await?;
        assert_eq!(generations().await?, 4 - life as usize, "just before life {life} is due");
        cx.advance(1);
        cx.sweep().await?;
        assert_eq!(generations().await?, 3 - life as usize);
        super::imports::state_is(&cx, &last).await?;
    }
    Ok(())
}
