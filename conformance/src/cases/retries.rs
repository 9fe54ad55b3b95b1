//! A mutation that is sent again, whatever has become of the store meanwhile.

use futures::future::join_all;

use super::prelude::*;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

/// Sends a mutation again, and expects the first answer and nothing else.
async fn again(cx: &Context, mutation: &Mutation, first: &Receipt) -> Outcome {
    let before = (cx.db().position().await?, cx.db().event_window().await?);
    assert_eq!(cx.db().apply(mutation.clone()).await?, *first);
    assert_eq!((cx.db().position().await?, cx.db().event_window().await?), before, "a retry wrote something");
    Ok(())
}

/// Retries are under way while the store is closed and opened: each is answered with the one receipt, or that the store
/// was closed; and then all is there once.
pub(crate) async fn retries_during_a_reopen_are_one_write(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    for round in 0..4u64 {
        let mutation = cx.mutation(&alice, vec![Op::Emit(Announce::Account)], Vec::new());
        let calls = (0..32).map(|_| {
            let (cx, mutation) = (cx.clone(), mutation.clone());
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                cx.db().apply(mutation).await
            })
        });
        let calls: Vec<_> = calls.collect();
        cx.reopen().await;
        let mut receipts = Vec::new();
        for answer in join_all(calls).await {
            match answer.expect("no call panics") {
                Ok(receipt) => receipts.push(receipt),
                Err(e) => assert_eq!(e.reason(), Reason::Closed, "{e}"),
            }
        }
        let receipt = cx.db().apply(mutation).await?;
        assert_eq!((receipt.pos, receipt.first_seq), (Pos(2 + round), Seq::new(1 + round)?));
        assert!(receipts.iter().all(|found| *found == receipt), "{receipts:?}");
        assert_eq!(cx.db().event_window().await?.head, Seq::new(1 + round)?);
    }
    Ok(())
}

pub(crate) async fn retries_of_a_commit_do_not_ask_for_the_head(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let draft = repo.draft(&[put("1", "first")]);
    let mutation = draft.mutation(cx.key());
    let first = cx.db().apply(mutation.clone()).await?;
    repo = draft.after;
    again(&cx, &mutation, &first).await?;
    cx.write(&mut repo, &[put("1", "second")]).await?;
    again(&cx, &mutation, &first).await?;
    cx.reopen().await;
    again(&cx, &mutation, &first).await?;
    let record = cx.db().record(&repo.did, &path("com.example.note/1")).await?;
    assert_eq!(record.map(|record| record.bytes), Some(content("second").bytes), "what was written since stands");
    // The same commit under another key is another mutation.
    cx.mutation_refused(Mutation { key: cx.key(), ..mutation }, Reason::HeadMismatch).await
}

pub(crate) async fn retries_of_a_creation_find_no_account_in_their_way(cx: Arc<Context>) -> Outcome {
    let mutation = cx.mutation(&did("alice"), vec![create_account("alice")], Vec::new());
    let first = cx.db().apply(mutation.clone()).await?;
    again(&cx, &mutation, &first).await?;
    cx.reopen().await;
    again(&cx, &mutation, &first).await?;
    cx.mutation_refused(Mutation { key: cx.key(), ..mutation }, Reason::AccountExists).await
}

/// The retry of a deletion that arrives late does not delete who came after.
pub(crate) async fn retries_of_a_deletion_spare_the_next_account(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mutation = cx.mutation(&alice, vec![Op::DeleteAccount, Op::Emit(Announce::Account)], Vec::new());
    let first = cx.db().apply(mutation.clone()).await?;
    again(&cx, &mutation, &first).await?;
    cx.account("alice").await?;
    again(&cx, &mutation, &first).await?;
    cx.reopen().await;
    again(&cx, &mutation, &first).await?;
    assert!(cx.db().account(&AccountName::Did(alice)).await?.is_some());
    Ok(())
}

/// What an account did before it was deleted is remembered under its keys, also when the DID is registered again.
pub(crate) async fn retries_outlive_their_account(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mutation = cx.mutation(&alice, vec![put_row(row("k", "of the first life"))], Vec::new());
    let first = cx.db().apply(mutation.clone()).await?;
    cx.apply(&alice, vec![delete_row(row_key("k")), Op::DeleteAccount]).await?;
    again(&cx, &mutation, &first).await?;
    cx.account("alice").await?;
    again(&cx, &mutation, &first).await?;
    assert_eq!(cx.db().row(&row_key("k")).await?, None, "a retry puts nothing");
    Ok(())
}

pub(crate) async fn retries_of_a_taker_return_the_row_that_was_taken(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let long =
        Row { lookup: vec![b"l".to_vec()], ..Row::new(RowKind::EmailToken, "t", (0..=255).collect::<Vec<u8>>()) };
    cx.apply(&alice, vec![put_row(long.clone())]).await?;
    let mutation = cx.mutation(&alice, vec![Op::TakeRow(long.key.clone())], Vec::new());
    let first = cx.db().apply(mutation.clone()).await?;
    assert_eq!(first.taken, std::slice::from_ref(&long));
    // Another row under the same key stays where it is.
    let next = Row { body: b"another".to_vec(), ..long.clone() };
    cx.apply(&alice, vec![put_row(next.clone())]).await?;
    again(&cx, &mutation, &first).await?;
    cx.reopen().await;
    again(&cx, &mutation, &first).await?;
    assert_eq!(cx.db().row(&long.key).await?, Some(next));
    Ok(())
}

pub(crate) async fn retries_of_a_finished_import_are_one_import(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let other = super::imports::foreign(&repo, 5, "new");
    let begun = cx.mutation(&repo.did, vec![Op::BeginImport], Vec::new());
    let begin = cx.db().apply(begun.clone()).await?;
    let import = RepoId(begin.pos.0);
    super::imports::fill(&cx, import, &other).await?;
    again(&cx, &begun, &begin).await?;
    let account = cx.db().account(&AccountName::Did(repo.did.clone())).await?;
    assert_eq!(account.and_then(|account| account.import), Some(import), "a retry begins no second import");
    let last = super::imports::finish(&cx, import, &other, repo.head);
    let first = cx.db().apply(last.clone()).await?;
    again(&cx, &last, &first).await?;
    cx.reopen().await;
    again(&cx, &last, &first).await?;
    super::imports::state_is(&cx, &other).await
}

/// Keys are compared as 16 bytes, all of them.
pub(crate) async fn retries_keys_of_every_byte_are_apart(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mut keys = vec![[0xff; 16], [0x80; 16]];
    keys.extend((0..16).map(|at| std::array::from_fn(|i| if i == at { 0xfe } else { 0xff })));
    keys.extend((0..8).map(|bit| std::array::from_fn(|i| if i == 15 { 0xff ^ (1 << bit) } else { 0x80 })));
    let mut sent = Vec::new();
    for (i, key) in keys.into_iter().enumerate() {
        let ops = vec![put_row(row(&format!("{i}"), "v"))];
        let mutation = Mutation { did: alice.clone(), key: IdempotencyKey(key), ops, blocks: Vec::new() };
        let receipt = cx.db().apply(mutation.clone()).await?;
        assert_eq!(receipt.pos, Pos(2 + i as u64), "{:?} was taken for another key", mutation.key);
        sent.push((mutation, receipt));
    }
    cx.reopen().await;
    for (mutation, receipt) in &sent {
        again(&cx, mutation, receipt).await?;
    }
    Ok(())
}

/// A used key is told before the state is looked at, and a malformed request before its key is.
pub(crate) async fn retries_are_looked_up_before_the_state(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let first = cx.mutation(&alice, vec![put_row(row("k", "v"))], Vec::new());
    cx.db().apply(first.clone()).await?;
    let refused_anyway = Mutation { ops: vec![Op::TakeRow(row_key("nowhere"))], ..first.clone() };
    cx.mutation_refused(refused_anyway, Reason::KeyReused).await?;
    cx.mutation_refused(Mutation { ops: vec![], ..first }, Reason::BadRequest).await
}

/// A retry changes nothing of what became of the row, however often it comes, and takes no sequence number.
pub(crate) async fn retries_take_no_numbers(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let ops = vec![Op::Emit(Announce::Account), put_row(row("k", "v")), Op::Emit(Announce::Identity { handle: None })];
    let mutation = cx.mutation(&alice, ops, Vec::new());
    let first = cx.db().apply(mutation.clone()).await?;
    cx.advance(77);
    let all = cx.db().apply_many(vec![mutation.clone(); 20]).await;
    assert!(all.into_iter().all(|answer| answer.is_ok_and(|receipt| receipt == first)));
    again(&cx, &mutation, &first).await?;
    let next = cx.apply(&alice, vec![Op::Emit(Announce::Account)]).await?;
    assert_eq!((next.pos, next.first_seq), (Pos(3), Seq::new(3)?));
    assert_eq!(cx.db().changes(Pos(0), 100, usize::MAX).await?.len(), 3, "nor does it come into the change feed");
    Ok(())
}
