//! The change feed.

use super::prelude::*;
use crate::clock::ManualClock;
use crate::model::Model;

pub(crate) async fn changes_are_the_mutations(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mut expected = cx.db().changes(Pos(0), 10, usize::MAX).await?;
    assert_eq!(expected.len(), 1);
    let repo = SceneRepo::new(alice.clone());
    let draft = repo.draft(&[Write::Put(path("com.example.note/1"), content("x"))]);
    let mutations = [
        cx.mutation(&alice, vec![put_row(row("k", "v")), Op::TakeRow(row_key("k"))], Vec::new()),
        draft.mutation(cx.key()),
        cx.mutation(&did("nobody"), vec![delete_row(row_key("k"))], vec![Block::new(content("unused").bytes)]),
    ];
    for mutation in mutations {
        cx.advance(3);
        let receipt = cx.db().apply(mutation.clone()).await?;
        assert_eq!(cx.db().apply(mutation.clone()).await?, receipt);
        cx.refused(&alice, vec![Op::TakeRow(row_key("no"))], Reason::RowMissing).await?;
        let first_seq = if receipt.events > 0 { receipt.first_seq } else { Seq::new(1)? };
        expected.push(Change { stamp: Stamp { pos: receipt.pos, at: receipt.at, first_seq }, mutation });
    }
    for reopened in [false, true] {
        let mut found = cx.db().changes(Pos(0), 100, usize::MAX).await?;
        for (found, expected) in found.iter_mut().zip(&expected) {
            // Of a mutation without events the number is of no meaning.
            if expected.stamp.pos != Pos(3) {
                found.stamp.first_seq = expected.stamp.first_seq;
            }
        }
        assert_eq!(found, expected, "reopened: {reopened}");
        cx.reopen().await;
    }
    Ok(())
}

pub(crate) async fn changes_are_read_in_parts(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    for i in 0..9 {
        cx.apply(&alice, vec![put_row(row("k", &format!("{i}")))]).await?;
    }
    for (limit, bytes_max) in [(1, usize::MAX), (3, usize::MAX), (100, usize::MAX), (100, 0), (100, 1), (4, 1_000)] {
        let mut after = Pos(0);
        loop {
            let found = cx.db().changes(after, limit, bytes_max).await?;
            assert!(found.len() <= limit);
            if bytes_max <= 1 {
                assert!(found.len() <= 1, "more than fits {bytes_max} bytes");
            }
            let Some(last) = found.last() else { break };
            for (i, change) in found.iter().enumerate() {
                assert_eq!(change.stamp.pos, Pos(after.0 + 1 + i as u64));
            }
            after = last.stamp.pos;
        }
        assert_eq!(after, Pos(10), "limit {limit}, {bytes_max} bytes");
    }
    assert!(cx.db().changes(Pos(10), 10, 1_000).await?.is_empty());
    Ok(())
}

/// A busy history, with sweeps' work still to be done.
async fn busy(cx: &Arc<Context>) -> Outcome {
    let mut alice = cx.repo("alice").await?;
    let mut bob = cx.repo("bob").await?;
    for i in 0..10 {
        cx.advance(1_000);
        let noted = content(&format!("{}", i % 3)).with_blob(blob_cid("b")).with_link(link("f", "did:plc:bob"));
        cx.apply(&alice.did, vec![Op::PutBlob { cid: blob_cid("b"), mime: "a/b".into(), bytes: 9 }]).await?;
        cx.write(&mut alice, &[Write::Put(path(&format!("com.example.note/{}", i % 4)), noted)]).await?;
        cx.write(&mut bob, &[Write::Put(path("com.example.note/self"), content(&format!("{i}")))]).await?;
        let expires_at = Some(Micros(cx.now().0 + 2_500));
        let token = Row { unique: vec![b"u".to_vec()], expires_at, ..row(&format!("t{i}"), "x") };
        let _ = cx.apply(&alice.did, vec![put_row(token)]).await;
        cx.set_time(Micros(cx.now().0 - if i == 5 { 4_000 } else { 0 }));
    }
    let import = RepoId(cx.apply(&bob.did, vec![Op::BeginImport]).await?.pos.0);
    let mut next = alice.clone();
    next.did = bob.did.clone();
    next.sign(b"moved", Tid::from_u64(bob.head.expect("a head").rev.as_u64() + 5_000));
    super::imports::fill(cx, import, &next).await?;
    cx.db().apply(super::imports::finish(cx, import, &next, bob.head)).await?;
    cx.apply(&alice.did, vec![Op::Purge]).await?;
    cx.apply(&alice.did, vec![Op::DeleteAccount, Op::Emit(Announce::Account)]).await?;
    cx.account("alice").await?;
    Ok(())
}

async fn replayed(cx: &Context) -> Result<Model> {
    let model = Model::new(cx.options(), Arc::new(ManualClock::new(cx.now())));
    let mut after = Pos(0);
    loop {
        let found = cx.db().changes(after, 7, usize::MAX).await?;
        let Some(last) = found.last() else { return Ok(model) };
        after = last.stamp.pos;
        for change in found {
            model.replay(change)?;
        }
    }
}

pub(crate) async fn changes_replay_to_the_same_state(cx: Arc<Context>) -> Outcome {
    busy(&cx).await?;
    let model = replayed(&cx).await?;
    let (ours, theirs) = (crate::context::snapshot(&model).await?, cx.snapshot().await?);
    assert_eq!(digest::difference(&ours, &theirs), None, "left: the model, right: the store");
    Ok(())
}

/// Whoever replays the feed later, and sweeps then, ends up with the same.
pub(crate) async fn changes_replay_and_sweeps_commute(cx: Arc<Context>) -> Outcome {
    busy(&cx).await?;
    cx.pass_window();
    cx.sweep().await?;
    let mut repo = cx.repo("carol").await?;
    cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), content("late"))]).await?;
    let model = replayed(&cx).await?;
    cx.sweep().await?;
    while !model.sweep(1_000).await?.done {}
    let (ours, theirs) = (crate::context::snapshot(&model).await?, cx.snapshot().await?);
    assert_eq!(digest::difference(&ours, &theirs), None, "left: the model, right: the store");
    Ok(())
}

/// A key that was forgotten may be used again, and the feed still replays on a store that has not swept.
pub(crate) async fn changes_replay_keys_used_again(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let mutation = cx.mutation(&alice, vec![Op::Emit(Announce::Account)], Vec::new());
    let first = cx.db().apply(mutation.clone()).await?;
    cx.pass_window();
    cx.sweep().await?;
    let second = cx.db().apply(mutation).await?;
    assert_eq!((first.pos, second.pos), (Pos(2), Pos(3)), "the receipt was forgotten with the window");
    let model = replayed(&cx).await?;
    assert_eq!(model.position().await?, Pos(3));
    Ok(())
}

/// The feed alone is enough for a second store that takes the place of the first.
pub(crate) async fn changes_replay_the_same_frames(cx: Arc<Context>) -> Outcome {
    busy(&cx).await?;
    let model = replayed(&cx).await?;
    let ours = model.events(Seq::ZERO, 1_000, usize::MAX).await?;
    assert_eq!(ours, cx.db().events(Seq::ZERO, 1_000, usize::MAX).await?);
    assert!(ours.len() > 20);
    Ok(())
}
