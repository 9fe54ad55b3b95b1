//! Applying mutations.

use std::collections::BTreeSet;

use futures::future::join_all;

use super::prelude::*;

pub(crate) async fn writes_survive_reopen(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), content("hello"))]).await?;
    cx.apply(&repo.did, vec![put_row(row("k", "v"))]).await?;
    cx.reopen().await;
    let record = cx.db().record(&repo.did, &path("com.example.note/1")).await?;
    assert_eq!(record.map(|record| record.cid), Some(content("hello").cid()));
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(row("k", "v")));
    assert_eq!(cx.db().position().await?, Pos(4));
    Ok(())
}

pub(crate) async fn writes_refused_leave_no_trace(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let before = cx.snapshot().await?;
    let late = repo.draft(&[Write::Put(path("com.example.note/1"), content("late"))]);
    let ops = vec![put_row(row("k", "v")), Op::Emit(Announce::Account), late.op(), Op::TakeRow(row_key("nobody"))];
    let mutation = cx.mutation(&repo.did, ops, late.blocks.clone());
    cx.mutation_refused(mutation, Reason::RowMissing).await?;
    assert_eq!(digest::difference(&before, &cx.snapshot().await?), None);
    let receipt = cx.write(&mut repo, &[]).await?;
    assert_eq!((receipt.pos, receipt.first_seq), (Pos(3), Seq::new(2)?), "numbers are those after the last taken one");
    Ok(())
}

pub(crate) async fn writes_refused_by_form_leave_no_trace(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let before = cx.snapshot().await?;
    cx.refused(&alice, vec![], Reason::BadRequest).await?;
    cx.refused(&alice, vec![put_row(row("k", "v")), put_row(row("", "v"))], Reason::BadRequest).await?;
    assert_eq!(digest::difference(&before, &cx.snapshot().await?), None);
    Ok(())
}

pub(crate) async fn writes_same_key_returns_first_receipt(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![put_row(row("once", "body"))]).await?;
    let ops = vec![Op::TakeRow(row_key("once")), Op::Emit(Announce::Account), put_row(row("k", "v"))];
    let mutation = cx.mutation(&alice, ops, Vec::new());
    let first = cx.db().apply(mutation.clone()).await?;
    assert_eq!(first.taken, [row("once", "body")]);
    assert_eq!(first.events, 1);
    let before = cx.snapshot().await?;
    cx.advance(1_000_000);
    assert_eq!(cx.db().apply(mutation.clone()).await?, first, "before a reopen");
    cx.reopen().await;
    assert_eq!(cx.db().apply(mutation.clone()).await?, first, "after a reopen");
    cx.apply(&alice, vec![put_row(row("k", "other"))]).await?;
    assert_eq!(cx.db().apply(mutation).await?, first, "after other writes");
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(row("k", "other")), "a retry writes nothing");
    assert_eq!(cx.db().position().await?.0, first.pos.0 + 1);
    assert_eq!(before.len() + 1, cx.snapshot().await?.len(), "only one receipt more");
    Ok(())
}

pub(crate) async fn writes_same_key_at_once_is_one_write(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mutation = cx.mutation(&alice, vec![Op::Emit(Announce::Account)], Vec::new());
    let db = cx.db();
    let answers = join_all((0..64).map(|_| {
        let (db, mutation) = (db.clone(), mutation.clone());
        tokio::spawn(async move { db.apply(mutation).await })
    }))
    .await;
    for answer in answers {
        let receipt = answer.expect("no call panics")?;
        assert_eq!((receipt.pos, receipt.first_seq), (Pos(2), Seq::new(1)?));
    }
    assert_eq!(cx.db().position().await?, Pos(2));
    assert_eq!(cx.db().event_window().await?.head, Seq::new(1)?);
    Ok(())
}

pub(crate) async fn writes_key_reuse_is_refused(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let first = cx.mutation(&alice, vec![put_row(row("k", "v"))], Vec::new());
    cx.db().apply(first.clone()).await?;
    let mut other = first.clone();
    other.ops = vec![put_row(row("k", "w"))];
    cx.mutation_refused(other.clone(), Reason::KeyReused).await?;
    other.ops = vec![put_row(row("k", "v")), Op::Emit(Announce::Account)];
    cx.mutation_refused(other.clone(), Reason::KeyReused).await?;
    other.ops = first.ops.clone();
    other.blocks = vec![Block::new(content("more").bytes)];
    cx.mutation_refused(other.clone(), Reason::KeyReused).await?;
    cx.reopen().await;
    cx.mutation_refused(other, Reason::KeyReused).await?;
    Ok(())
}

pub(crate) async fn writes_keys_are_apart_by_did(cx: Arc<Context>) -> Outcome {
    let (alice, bob) = (cx.account("alice").await?, cx.account("bob").await?);
    let first = cx.mutation(&alice, vec![put_row(row("a", "v"))], Vec::new());
    let second = Mutation { did: bob, ops: vec![put_row(row("b", "v"))], ..first.clone() };
    let (first, second) = (cx.db().apply(first).await?, cx.db().apply(second).await?);
    assert_eq!((first.pos, second.pos), (Pos(3), Pos(4)));
    Ok(())
}

pub(crate) async fn writes_refused_key_is_not_used_up(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mutation = cx.mutation(&alice, vec![Op::TakeRow(row_key("k"))], Vec::new());
    cx.mutation_refused(mutation.clone(), Reason::RowMissing).await?;
    cx.apply(&alice, vec![put_row(row("k", "v"))]).await?;
    let receipt = cx.db().apply(mutation).await?;
    assert_eq!(receipt.taken, [row("k", "v")], "the same key, once it can be taken");
    Ok(())
}

pub(crate) async fn writes_positions_are_contiguous(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    for i in 2..=10 {
        let receipt = cx.apply(&alice, vec![put_row(row("k", &i.to_string()))]).await?;
        assert_eq!(receipt.pos, Pos(i));
        cx.refused(&alice, vec![Op::TakeRow(row_key("no"))], Reason::RowMissing).await?;
        if i == 5 {
            cx.reopen().await;
        }
    }
    assert_eq!(cx.db().position().await?, Pos(10));
    Ok(())
}

pub(crate) async fn writes_at_once_take_distinct_positions(cx: Arc<Context>) -> Outcome {
    let dids = join_all((0..8).map(|i| {
        let cx = cx.clone();
        async move { cx.account(&format!("u{i}")).await }
    }))
    .await;
    let dids: Vec<Did> = dids.into_iter().collect::<Result<_>>()?;
    let db = cx.db();
    let calls = (0..128).map(|i| {
        let (db, mutation) = (db.clone(), cx.mutation(&dids[i % 8], vec![Op::Emit(Announce::Account)], Vec::new()));
        tokio::spawn(async move { db.apply(mutation).await })
    });
    let mut seen = BTreeSet::new();
    for answer in join_all(calls.collect::<Vec<_>>()).await {
        let receipt = answer.expect("no call panics")?;
        assert_eq!(receipt.pos.0, receipt.first_seq.get() + 8, "events are numbered in the order of positions");
        assert!(seen.insert(receipt.pos), "position {} was given twice", receipt.pos);
    }
    assert_eq!((seen.first(), seen.last()), (Some(&Pos(9)), Some(&Pos(136))));
    Ok(())
}

pub(crate) async fn writes_of_one_caller_keep_their_order(cx: Arc<Context>) -> Outcome {
    let db = cx.db();
    let callers = (0..8).map(|caller| {
        let (cx, db) = (cx.clone(), db.clone());
        tokio::spawn(async move {
            let did = cx.account(&format!("u{caller}")).await?;
            for i in 0..20 {
                let key = format!("row of {caller}");
                // Each write expects what the one before it left.
                let expect = if i == 0 { Expect::Absent } else { Expect::Body((i - 1).to_string().into()) };
                let op = Op::PutRow { row: row(&key, &i.to_string()), expect };
                db.apply(cx.mutation(&did, vec![op], Vec::new())).await?;
            }
            Outcome::Ok(())
        })
    });
    for caller in join_all(callers.collect::<Vec<_>>()).await {
        caller.expect("no caller panics")?;
    }
    Ok(())
}

pub(crate) async fn writes_operations_see_earlier_ones(cx: Arc<Context>) -> Outcome {
    let mut repo = SceneRepo::new(did("alice"));
    let draft = repo.draft(&[Write::Put(path("com.example.note/1"), content("first").with_blob(blob_cid("b")))]);
    let patch = AccountPatch { handle: Some(Some(handle("alicia"))), ..AccountPatch::default() };
    let ops = vec![
        create_account("alice"),
        Op::UpdateAccount(patch),
        Op::PutBlob { cid: blob_cid("b"), mime: "image/png".into(), bytes: 1 },
        draft.op(),
        put_row(Row { owner: Some(did("alice")), ..row("k", "v") }),
        Op::PutRow { row: row("k", "w"), expect: Expect::Body("v".into()) },
        Op::TakeRow(row_key("k")),
        Op::PutRow { row: row("k", "again"), expect: Expect::Absent },
        Op::SetStatus(AccountStatus::Deactivated),
        Op::Emit(Announce::Account),
    ];
    let receipt = cx.db().apply(cx.mutation(&repo.did, ops, draft.blocks.clone())).await?;
    repo = draft.after;
    assert_eq!(receipt.taken, [row("k", "w")]);
    let account = cx.db().account(&AccountName::Handle(handle("alicia"))).await?.expect("found by its new handle");
    assert_eq!(account.status, AccountStatus::Deactivated);
    assert_eq!(cx.db().repo(&repo.did, At::Head).await?.map(|state| Some(state.head)), Some(repo.head));
    assert_eq!(cx.db().row(&row_key("k")).await?, Some(row("k", "again")));
    Ok(())
}

pub(crate) async fn writes_a_blob_put_after_its_loss_stays(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let put = Op::PutBlob { cid: blob_cid("b"), mime: "image/png".into(), bytes: 1 };
    cx.apply(&repo.did, vec![put.clone()]).await?;
    let note = path("com.example.note/1");
    cx.write(&mut repo, &[Write::Put(note.clone(), content("x").with_blob(blob_cid("b")))]).await?;
    let draft = repo.draft(&[Write::Delete(note)]);
    cx.db().apply(cx.mutation(&repo.did, vec![draft.op(), put], draft.blocks.clone())).await?;
    assert!(cx.db().blob(&repo.did, &blob_cid("b")).await?.is_some(), "it was put after the reference went");
    Ok(())
}

pub(crate) async fn writes_many_refusals_are_isolated(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let ops = [
        vec![put_row(row("a", "1"))],
        vec![Op::TakeRow(row_key("no"))],
        vec![],
        vec![put_row(row("b", "2")), Op::Emit(Announce::Account)],
        vec![put_row(row("c", "3")), Op::TakeRow(row_key("no"))],
    ];
    let mutations = ops.map(|ops| cx.mutation(&alice, ops, Vec::new())).into();
    let answers = cx.db().apply_many(mutations).await;
    let told: Vec<_> = answers.iter().map(|a| a.as_ref().map(|r| r.pos).map_err(Error::reason)).collect();
    assert_eq!(
        told,
        [Ok(Pos(2)), Err(Reason::RowMissing), Err(Reason::BadRequest), Ok(Pos(3)), Err(Reason::RowMissing)]
    );
    assert_eq!(cx.db().row(&row_key("c")).await?, None);
    Ok(())
}

pub(crate) async fn writes_many_are_in_order(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let step = |i: u32| {
        let expect = if i == 0 { Expect::Absent } else { Expect::Body((i - 1).to_string().into()) };
        cx.mutation(&alice, vec![Op::PutRow { row: row("k", &i.to_string()), expect }], Vec::new())
    };
    let answers = cx.db().apply_many((0..100).map(step).collect()).await;
    for (i, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer?.pos, Pos(2 + i as u64));
    }
    assert_eq!(cx.db().apply_many(Vec::new()).await.len(), 0);
    Ok(())
}

pub(crate) async fn writes_many_with_one_key_are_one(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mutation = cx.mutation(&alice, vec![Op::Emit(Announce::Account)], Vec::new());
    let other = Mutation { ops: vec![put_row(row("k", "v"))], ..mutation.clone() };
    let answers = cx.db().apply_many(vec![mutation.clone(), mutation, other]).await;
    let told: Vec<_> = answers.iter().map(|a| a.as_ref().map(|r| r.pos).map_err(Error::reason)).collect();
    assert_eq!(told, [Ok(Pos(2)), Ok(Pos(2)), Err(Reason::KeyReused)]);
    Ok(())
}

pub(crate) async fn writes_receipts_say_what_was_done(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let quiet = cx.apply(&alice, vec![put_row(row("k", "v"))]).await?;
    assert_eq!(quiet, Receipt { pos: Pos(2), at: START, first_seq: Seq::ZERO, events: 0, taken: Vec::new() });
    cx.advance(5);
    let ops =
        vec![Op::Emit(Announce::Account), Op::TakeRow(row_key("k")), Op::Emit(Announce::Identity { handle: None })];
    let loud = cx.apply(&alice, ops).await?;
    let taken = vec![row("k", "v")];
    assert_eq!(loud, Receipt { pos: Pos(3), at: Micros(START.0 + 5), first_seq: Seq::new(1)?, events: 2, taken });
    Ok(())
}

/// Everything that a host writes when an account is created: one mutation.
pub(crate) async fn writes_a_whole_registration_is_one_mutation(cx: Arc<Context>) -> Outcome {
    let operator = cx.account("operator").await?;
    let invite = Row::new(RowKind::InviteCode, "code", "1 use left");
    cx.apply(&operator, vec![put_row(invite.clone())]).await?;
    let repo = SceneRepo::new(did("alice"));
    let draft = repo.draft(&[]);
    let owned = |kind, key: &str| Row { owner: Some(did("alice")), ..Row::new(kind, key, "body") };
    let ops = vec![
        create_account("alice"),
        Op::TakeRow(invite.key.clone()),
        put_row(owned(RowKind::SigningKey, "did:plc:alice")),
        put_row(owned(RowKind::Session, "token")),
        draft.op(),
        Op::Emit(Announce::Identity { handle: Some(handle("alice")) }),
        Op::Emit(Announce::Account),
        Op::Emit(Announce::Sync),
    ];
    let mutation = cx.mutation(&repo.did, ops, draft.blocks.clone());
    let receipt = cx.db().apply(mutation.clone()).await?;
    assert_eq!((receipt.events, receipt.taken), (4, vec![invite]));
    let late = Mutation { did: did("bob"), key: cx.key(), ..mutation };
    let late = Mutation { ops: vec![create_account("bob"), late.ops[1].clone()], blocks: Vec::new(), ..late };
    cx.mutation_refused(late, Reason::RowMissing).await?;
    assert_eq!(cx.db().account(&AccountName::Did(did("bob"))).await?, None, "no account for a spent invite");
    Ok(())
}
