//! Many mutations in one call: each by itself, in order.

use futures::future::join_all;

use super::imports::{finish, foreign, state_is, steps};
use super::prelude::*;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

fn told(answers: &[Result<Receipt>]) -> Vec<Result<u64, Reason>> {
    answers.iter().map(|answer| answer.as_ref().map(|receipt| receipt.pos.0).map_err(Error::reason)).collect()
}

/// Twenty commits, each on the one before it, that nobody has waited for.
pub(crate) async fn batches_of_commits_build_on_each_other(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let mut batch = Vec::new();
    for i in 0..20 {
        let draft = repo.draft(&[put("always", &format!("{i}")), put(&format!("{i}"), "x")]);
        batch.push(draft.mutation(cx.key()));
        repo = draft.after;
    }
    let answers = cx.db().apply_many(batch).await;
    assert_eq!(told(&answers), (3..23).map(Ok).collect::<Vec<_>>());
    assert_eq!(cx.db().history(&repo.did, None, 100).await?.items.len(), 21);
    state_is(&cx, &repo).await
}

/// One of them is refused: those that build on it are refused too, those beside it are not.
pub(crate) async fn batches_with_a_broken_chain_end_it_there(cx: Arc<Context>) -> Outcome {
    let (alice, bob) = (cx.repo("alice").await?, cx.repo("bob").await?);
    let first = alice.draft(&[put("1", "x")]);
    let mut second = first.after.draft(&[put("2", "y")]);
    let third = second.after.draft(&[put("3", "z")]);
    second.commit.records[0].old = Some(content("not there").cid());
    let beside = bob.draft(&[put("1", "x")]);
    let instead = first.after.draft(&[put("4", "instead")]);
    let batch = [&first, &second, &third, &beside, &instead].map(|draft| draft.mutation(cx.key()));
    let answers = cx.db().apply_many(batch.into()).await;
    let expected = [Ok(5), Err(Reason::RecordMismatch), Err(Reason::HeadMismatch), Ok(6), Ok(7)];
    assert_eq!(told(&answers), expected);
    state_is(&cx, &instead.after).await?;
    state_is(&cx, &beside.after).await
}

/// Created, used, deleted, created again, each in a mutation of its own.
pub(crate) async fn batches_hold_several_lives(cx: Arc<Context>) -> Outcome {
    let alice = did("alice");
    let mut batch = Vec::new();
    let mut last = SceneRepo::new(alice.clone());
    for life in 0..3 {
        let draft = SceneRepo::new(alice.clone()).draft_signed(&[put("1", &format!("{life}"))], &[life]);
        batch.push(cx.mutation(&alice, vec![create_account("alice")], Vec::new()));
        batch.push(cx.mutation(&alice, vec![create_account("alice")], Vec::new()));
        batch.push(draft.mutation(cx.key()));
        if life < 2 {
            batch.push(cx.mutation(&alice, vec![Op::DeleteAccount, Op::Emit(Announce::Account)], Vec::new()));
            batch.push(draft.mutation(cx.key()));
        }
        last = draft.after;
    }
    let answers = told(&cx.db().apply_many(batch).await);
    let (exists, missing) = (Err(Reason::AccountExists), Err(Reason::AccountMissing));
    let expected = [Ok(1), exists, Ok(2), Ok(3), missing, Ok(4), exists, Ok(5), Ok(6), missing, Ok(7), exists, Ok(8)];
    assert_eq!(answers, expected);
    state_is(&cx, &last).await
}

pub(crate) async fn batches_of_takers_have_one_that_takes(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mut batch = vec![cx.mutation(&alice, vec![put_row(row("k", "v"))], Vec::new())];
    batch.extend((0..64).map(|i| cx.mutation(&did(&format!("u{i}")), vec![Op::TakeRow(row_key("k"))], Vec::new())));
    batch.push(cx.mutation(&alice, vec![put_row(row("k", "again"))], Vec::new()));
    batch.push(cx.mutation(&did("late"), vec![Op::TakeRow(row_key("k"))], Vec::new()));
    let answers = cx.db().apply_many(batch).await;
    let taken: Vec<&[Row]> = answers.iter().flatten().map(|receipt| receipt.taken.as_slice()).collect();
    assert_eq!(taken, [&[], [row("k", "v")].as_slice(), &[], &[row("k", "again")]]);
    assert!(answers[2..65].iter().all(|answer| answer.as_ref().is_err_and(|e| e.reason() == Reason::RowMissing)));
    Ok(())
}

/// A handle, an address and a unique value pass from hand to hand within one call.
pub(crate) async fn batches_pass_names_from_hand_to_hand(cx: Arc<Context>) -> Outcome {
    let dids = [cx.account("a").await?, cx.account("b").await?, cx.account("c").await?];
    let patch = |wanted: bool| {
        let handle = Some(wanted.then(|| handle("wanted")));
        Op::UpdateAccount(AccountPatch {
            handle,
            email: Some(wanted.then(|| email("wanted"))),
            ..AccountPatch::default()
        })
    };
    let claim = |did: &Did| put_row(Row { unique: vec![b"u".to_vec()], ..row(did.as_str(), "v") });
    let mut batch = Vec::new();
    for pair in [(0, 1), (1, 2), (2, 0)] {
        let (from, to) = (&dids[pair.0], &dids[pair.1]);
        batch.push(cx.mutation(from, vec![patch(true), claim(from)], Vec::new()));
        batch.push(cx.mutation(to, vec![patch(true)], Vec::new()));
        batch.push(cx.mutation(to, vec![claim(to)], Vec::new()));
        let give_up = delete_row(row_key(from.as_str()));
        batch.push(cx.mutation(from, vec![patch(false), give_up], Vec::new()));
    }
    let answers = told(&cx.db().apply_many(batch).await);
    for round in answers.chunks(4) {
        assert!(round[0].is_ok() && round[3].is_ok(), "{round:?}");
        assert_eq!(round[1..3], [Err(Reason::HandleTaken), Err(Reason::RowNotUnique)]);
    }
    assert_eq!(cx.db().account(&AccountName::Handle(handle("wanted"))).await?, None);
    cx.apply(&dids[1], vec![patch(true), claim(&dids[1])]).await?;
    Ok(())
}

/// A whole import in one call, with a commit to the old repo in its midst.
pub(crate) async fn batches_hold_a_whole_import(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let meanwhile = repo.draft(&[put("1", "meanwhile")]);
    let other = foreign(&meanwhile.after, 15, "new");
    let import = RepoId(cx.db().position().await?.0 + 1);
    let mut batch = vec![cx.mutation(&repo.did, vec![Op::BeginImport], Vec::new())];
    let bring = |some: &[Block]| cx.mutation(&repo.did, vec![Op::ImportBlocks { import }], some.to_vec());
    batch.extend(other.blocks().chunks(6).map(bring));
    batch.push(meanwhile.mutation(cx.key()));
    batch.extend(steps(import, &other, 6).into_iter().map(|step| cx.mutation(&repo.did, vec![step], Vec::new())));
    batch.push(finish(&cx, import, &other, repo.head));
    batch.push(finish(&cx, import, &other, meanwhile.after.head));
    let mut answers = cx.db().apply_many(batch).await;
    answers.pop().expect("an answer")?;
    assert_eq!(answers.pop().expect("an answer").map_err(|e| e.reason()), Err(Reason::HeadMismatch));
    for answer in answers {
        answer?;
    }
    state_is(&cx, &other).await
}

/// A mutation of the greatest size among small ones: none passes it that stood behind it.
pub(crate) async fn batches_keep_their_order_around_a_great_one(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mut batch = Vec::new();
    for i in 0..30u32 {
        let expect = if i == 0 { Expect::Absent } else { Expect::Body((i - 1).to_string().into()) };
        let mut ops = vec![Op::PutRow { row: row("k", &i.to_string()), expect }];
        let mut blocks = Vec::new();
        if i % 10 == 5 {
            ops.push(put_row(Row { body: vec![1; limits::ROW_BODY_BYTES_MAX], ..row("great", "") }));
            blocks = (0..2u8).map(|n| Block::new(vec![n; limits::BLOCK_BYTES_MAX - 1].into())).collect();
        }
        batch.push(cx.mutation(&alice, ops, blocks));
    }
    assert_eq!(told(&cx.db().apply_many(batch).await), (2..32).map(Ok).collect::<Vec<_>>());
    Ok(())
}

/// As many answers as mutations, each at its place, whichever are malformed.
pub(crate) async fn batches_answer_each_at_its_place(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let make = |i: u64| match i % 3 {
        0 => cx.mutation(&alice, vec![], Vec::new()),
        1 => cx.mutation(&alice, vec![put_row(row(&format!("{i}"), "v"))], Vec::new()),
        _ => cx.mutation(&did("nobody"), vec![Op::Purge], Vec::new()),
    };
    for count in [1, 2, 3, 100, 1_000] {
        let before = cx.db().position().await?.0;
        let answers = told(&cx.db().apply_many((0..count).map(make).collect()).await);
        assert_eq!(answers.len(), count as usize);
        for (i, answer) in answers.iter().enumerate() {
            let expected = match i % 3 {
                0 => Err(Reason::BadRequest),
                1 => Ok(before + 1 + i as u64 / 3),
                _ => Err(Reason::AccountMissing),
            };
            assert_eq!(*answer, expected, "{i} of {count}");
        }
    }
    Ok(())
}

/// Eight callers send batches at once: within each the order holds.
pub(crate) async fn batches_at_once_keep_their_own_order(cx: Arc<Context>) -> Outcome {
    let callers = (0..8).map(|caller| {
        let cx = cx.clone();
        tokio::spawn(async move {
            let did = cx.account(&format!("u{caller}")).await?;
            let mut value = 0;
            for _ in 0..4 {
                let batch = (0..25).map(|_| {
                    let expect = if value == 0 { Expect::Absent } else { Expect::Body(value.to_string().into()) };
                    value += 1;
                    cx.mutation(
                        &did,
                        vec![Op::PutRow { row: row(did.as_str(), &value.to_string()), expect }],
                        Vec::new(),
                    )
                });
                let answers = cx.db().apply_many(batch.collect()).await;
                let receipts = answers.into_iter().collect::<Result<Vec<_>>>()?;
                assert!(receipts.is_sorted_by(|a, b| a.pos < b.pos));
            }
            Outcome::Ok(())
        })
    });
    for caller in join_all(callers.collect::<Vec<_>>()).await {
        caller.expect("no caller panics")?;
    }
    assert_eq!(cx.db().position().await?, Pos(8 * 101));
    Ok(())
}

/// A whole call is sent again, before and after a reopen: each is answered as the first time.
pub(crate) async fn batches_sent_again_are_answered_again(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let batch: Vec<Mutation> = (0..20)
        .map(|i| {
            let ops = vec![
                Op::Emit(Announce::Account),
                Op::PutRow { row: row(&format!("{}", i % 15), "v"), expect: Expect::Absent },
            ];
            cx.mutation(&alice, ops, Vec::new())
        })
        .collect();
    let first: Vec<_> =
        cx.db().apply_many(batch.clone()).await.into_iter().map(|a| a.map_err(|e| e.reason())).collect();
    assert_eq!(first.iter().filter(|answer| answer.is_ok()).count(), 15);
    for _ in 0..2 {
        let again = cx.db().apply_many(batch.clone()).await;
        assert_eq!(again.into_iter().map(|a| a.map_err(|e| e.reason())).collect::<Vec<_>>(), first);
        cx.reopen().await;
    }
    assert_eq!(cx.db().position().await?, Pos(16));
    Ok(())
}

/// Events of a call are numbered in the order of its mutations.
pub(crate) async fn batches_number_their_events_in_order(cx: Arc<Context>) -> Outcome {
    let dids = [cx.account("zoe").await?, cx.account("alice").await?];
    let batch = (0..30).map(|i| cx.mutation(&dids[i % 2], vec![Op::Emit(Announce::Account); 1 + i % 3], Vec::new()));
    let mut expected = 1;
    for answer in cx.db().apply_many(batch.collect()).await {
        let receipt = answer?;
        assert_eq!(receipt.first_seq, Seq::new(expected)?);
        expected += u64::from(receipt.events);
    }
    assert_eq!(cx.db().event_window().await?.head, Seq::new(expected - 1)?);
    Ok(())
}
