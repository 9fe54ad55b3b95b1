//! Many at once, and one wins.

use std::sync::Mutex;

use futures::future::join_all;
use tokio::task::JoinHandle;

use super::imports::{begin, fill, finish, foreign, state_is};
use super::prelude::*;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

fn send(cx: &Context, mutation: Mutation) -> JoinHandle<Result<Receipt>> {
    let db = cx.db();
    tokio::spawn(async move { db.apply(mutation).await })
}

/// The reasons of two calls, in order; none for the one that was taken.
async fn ended(calls: [JoinHandle<Result<Receipt>>; 2]) -> [Option<Reason>; 2] {
    let answers = join_all(calls).await;
    let mut reasons = answers.into_iter().map(|answer| answer.expect("no call panics").err().map(|e| e.reason()));
    [reasons.next().flatten(), reasons.next().flatten()]
}

/// Sixteen writers of one repo, each building on what it last saw and trying again: every commit gets in, none is lost.
pub(crate) async fn races_of_commits_lose_no_record(cx: Arc<Context>) -> Outcome {
    const WRITERS: usize = 16;
    let shared = Arc::new(Mutex::new(cx.repo("alice").await?));
    let writers = (0..WRITERS).map(|writer| {
        let (cx, shared) = (cx.clone(), shared.clone());
        tokio::spawn(async move {
            for i in 0..3 {
                let write = put(&format!("{writer}-{i}"), "x");
                loop {
                    let draft = shared
                        .lock()
                        .expect("no writer panics")
                        .draft_signed(std::slice::from_ref(&write), &[writer as u8]);
                    match cx.db().apply(draft.mutation(cx.key())).await {
                        Ok(_) => {
                            *shared.lock().expect("no writer panics") = draft.after;
                            break;
                        }
                        Err(e) => assert_eq!(e.reason(), Reason::HeadMismatch, "{e}"),
                    }
                    tokio::task::yield_now().await;
                }
            }
            Outcome::Ok(())
        })
    });
    for writer in join_all(writers.collect::<Vec<_>>()).await {
        writer.expect("no writer panics")?;
    }
    let repo = shared.lock().expect("no writer panics").clone();
    assert_eq!(repo.records.len(), 3 * WRITERS);
    assert_eq!(cx.db().history(&repo.did, None, 100).await?.items.len(), 1 + 3 * WRITERS);
    state_is(&cx, &repo).await
}

pub(crate) async fn races_of_a_commit_and_a_deletion(cx: Arc<Context>) -> Outcome {
    for i in 0..8 {
        let repo = cx.repo(&format!("u{i}")).await?;
        let delete = cx.mutation(&repo.did, vec![Op::DeleteAccount], Vec::new());
        let commit = repo.draft(&[put("1", "x")]).mutation(cx.key());
        let [commit, delete] = ended([send(&cx, commit), send(&cx, delete)]).await;
        assert_eq!(delete, None);
        assert!(matches!(commit, None | Some(Reason::AccountMissing)), "{commit:?}");
        assert_eq!(cx.db().repo(&repo.did, At::Head).await?, None);
        assert_eq!(cx.db().record(&repo.did, &path("com.example.note/1")).await?, None, "nothing outlives its account");
    }
    Ok(())
}

pub(crate) async fn races_of_a_commit_and_a_takedown(cx: Arc<Context>) -> Outcome {
    for i in 0..8 {
        let repo = cx.repo(&format!("u{i}")).await?;
        let down = vec![Op::SetStatus(AccountStatus::Takendown), Op::Emit(Announce::Account)];
        let down = cx.mutation(&repo.did, down, Vec::new());
        let calls = [send(&cx, repo.draft(&[put("1", "x")]).mutation(cx.key())), send(&cx, down)];
        let answers: Vec<Result<Receipt>> = join_all(calls).await.into_iter().map(|a| a.expect("no panic")).collect();
        let down = answers[1].as_ref().map_err(Clone::clone)?;
        match &answers[0] {
            Ok(commit) => assert!(commit.first_seq < down.first_seq, "no commit is announced after the takedown"),
            Err(e) => assert_eq!(e.reason(), Reason::AccountInactive),
        }
    }
    Ok(())
}

pub(crate) async fn races_of_new_addresses_have_one_winner(cx: Arc<Context>) -> Outcome {
    for i in 0..64 {
        cx.account(&format!("u{i}")).await?;
    }
    let calls = (0..64).map(|i| {
        let address = if i % 2 == 0 { "Wanted@Example.com" } else { "wanted@example.com" };
        let patch = AccountPatch { email: Some(address.parse().ok()), ..AccountPatch::default() };
        send(&cx, cx.mutation(&did(&format!("u{i}")), vec![Op::UpdateAccount(patch)], Vec::new()))
    });
    assert_eq!(count_taken(calls, Reason::EmailTaken).await, 1);
    let with_it = cx.db().accounts(None, 100).await?.items;
    assert_eq!(with_it.iter().filter(|a| a.email == Some("wanted@example.com".parse().expect("one"))).count(), 1);
    Ok(())
}

/// A handle that is given up and wanted by 32 at the same time is never held by two, nor by nobody while it is named.
pub(crate) async fn races_for_a_handle_that_is_given_up(cx: Arc<Context>) -> Outcome {
    let holder = cx.account("wanted").await?;
    for i in 0..32 {
        cx.account(&format!("u{i}")).await?;
    }
    let patch = |handle| Op::UpdateAccount(AccountPatch { handle: Some(handle), ..AccountPatch::default() });
    let give_up = send(&cx, cx.mutation(&holder, vec![patch(None)], Vec::new()));
    let calls: Vec<_> = (0..32)
        .map(|i| send(&cx, cx.mutation(&did(&format!("u{i}")), vec![patch(Some(handle("wanted")))], Vec::new())))
        .collect();
    give_up.await.expect("no panic")?;
    let taken = count_taken(calls, Reason::HandleTaken).await;
    assert!(taken <= 1, "{taken} have it");
    let found = cx.db().account(&AccountName::Handle(handle("wanted"))).await?;
    assert_eq!(found.is_some(), taken == 1, "whoever came before it was given up has been refused");
    Ok(())
}

/// Takers of two rows, half of them in the other order: nobody gets one of them only, and nobody waits for ever.
pub(crate) async fn races_for_two_rows_end_with_one_taker_of_both(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![put_row(row("a", "1")), put_row(row("b", "2"))]).await?;
    let calls = (0..64).map(|i| {
        let mut ops = vec![Op::TakeRow(row_key("a")), Op::TakeRow(row_key("b"))];
        if i % 2 == 1 {
            ops.reverse();
        }
        send(&cx, cx.mutation(&did(&format!("u{i}")), ops, Vec::new()))
    });
    assert_eq!(count_taken(calls, Reason::RowMissing).await, 1);
    assert_eq!(cx.db().row(&row_key("a")).await?, None);
    assert_eq!(cx.db().row(&row_key("b")).await?, None);
    Ok(())
}

/// An import begun sixteen times at once: the one that was begun last is the account's, all others are swept.
pub(crate) async fn races_of_beginnings_leave_one_import(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let calls: Vec<_> = (0..16).map(|_| send(&cx, cx.mutation(&repo.did, vec![Op::BeginImport], Vec::new()))).collect();
    let mut begun = Vec::new();
    for answer in join_all(calls).await {
        begun.push(RepoId(answer.expect("no panic")?.pos.0));
    }
    let last = begun.iter().max().copied().expect("sixteen");
    let account = cx.db().account(&AccountName::Did(repo.did.clone())).await?.expect("an account");
    assert_eq!(account.import, Some(last));
    for import in begun.into_iter().filter(|import| *import != last) {
        cx.refused(&repo.did, vec![Op::AbandonImport { import }], Reason::RepoMissing).await?;
    }
    cx.pass_window();
    cx.sweep().await?;
    let generations = cx.snapshot().await?.into_iter().filter(|item| matches!(item, SnapshotItem::Repo(_))).count();
    assert_eq!(generations, 2, "the repo and the last import");
    Ok(())
}

pub(crate) async fn races_of_finishes_have_one_winner(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let mut other = foreign(&repo, 5, "new");
    let import = begin(&cx, &repo.did).await?;
    fill(&cx, import, &other).await?;
    let rev = other.head.expect("a head").rev;
    let calls: Vec<_> = (0..16u8)
        .map(|i| {
            other.sign(&[i], rev);
            send(&cx, finish(&cx, import, &other, repo.head))
        })
        .collect();
    assert_eq!(count_taken(calls, Reason::RepoMissing).await, 1);
    assert_eq!(cx.db().history(&repo.did, None, 10).await?.items.len(), 1);
    Ok(())
}

/// A commit and the end of an import compete for one head.
pub(crate) async fn races_of_a_commit_and_an_import_have_one_winner(cx: Arc<Context>) -> Outcome {
    for i in 0..6 {
        let repo = cx.repo(&format!("u{i}")).await?;
        let other = foreign(&repo, 3, "new");
        let import = begin(&cx, &repo.did).await?;
        fill(&cx, import, &other).await?;
        let draft = repo.draft(&[put("1", "x")]);
        let calls = [send(&cx, draft.mutation(cx.key())), send(&cx, finish(&cx, import, &other, repo.head))];
        match ended(calls).await {
            [None, Some(Reason::HeadMismatch)] => state_is(&cx, &draft.after).await?,
            [Some(Reason::HeadMismatch), None] => state_is(&cx, &other).await?,
            both => panic!("{both:?}"),
        }
    }
    Ok(())
}

/// A blob is deleted while a commit begins to refer to it: it is kept, or the record's blob is known to be missing.
pub(crate) async fn races_of_a_reference_and_the_deletion_of_its_blob(cx: Arc<Context>) -> Outcome {
    for i in 0..8 {
        let repo = cx.repo(&format!("u{i}")).await?;
        let blob = Op::PutBlob { cid: blob_cid("b"), mime: "a/b".into(), bytes: 1 };
        cx.apply(&repo.did, vec![blob]).await?;
        let note = Write::Put(path("com.example.note/1"), content("x").with_blob(blob_cid("b")));
        let delete = cx.mutation(&repo.did, vec![Op::DeleteBlob(blob_cid("b"))], Vec::new());
        let calls = [send(&cx, repo.draft(&[note]).mutation(cx.key())), send(&cx, delete)];
        let there = match ended(calls).await {
            [None, None] => false,
            [None, Some(Reason::BlobInUse)] => true,
            both => panic!("{both:?}"),
        };
        assert_eq!(cx.db().blob(&repo.did, &blob_cid("b")).await?.is_some(), there);
        assert_eq!(cx.db().blobs_missing(&repo.did, None, 10).await?.items.is_empty(), there);
    }
    Ok(())
}

/// The owner's deletion of its account and somebody else's claim of a unique value that it holds.
pub(crate) async fn races_for_a_value_whose_holder_is_deleted(cx: Arc<Context>) -> Outcome {
    let unique = |did: &Did, key: &str| Row { owner: Some(did.clone()), unique: vec![b"u".to_vec()], ..row(key, "v") };
    let bob = cx.account("bob").await?;
    for i in 0..8 {
        let alice = cx.account("alice").await?;
        cx.apply(&alice, vec![put_row(unique(&alice, "of alice"))]).await?;
        let delete = cx.mutation(&alice, vec![Op::DeleteAccount], Vec::new());
        let claim = cx.mutation(&bob, vec![put_row(unique(&bob, "of bob"))], Vec::new());
        let [delete, claim] = ended([send(&cx, delete), send(&cx, claim)]).await;
        assert_eq!(delete, None, "round {i}");
        let holder = cx.db().row_unique(RowKind::Custom, 0, b"u").await?;
        match claim {
            None => assert_eq!(holder, Some(unique(&bob, "of bob"))),
            Some(reason) => assert_eq!((reason, holder), (Reason::RowNotUnique, None)),
        }
        cx.apply(&bob, vec![delete_row(row_key("of bob"))]).await?;
    }
    Ok(())
}
