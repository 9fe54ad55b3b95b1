//! Blocks.

use super::prelude::*;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

fn delete(rkey: &str) -> Write {
    Write::Delete(path(&format!("com.example.note/{rkey}")))
}

/// Whether a block is there for each of live, history.
async fn there(cx: &Context, did: &Did, cid: Cid) -> Result<(bool, bool)> {
    let live = cx.db().blocks(did, &[cid], Blocks::Live).await?[0].is_some();
    let history = cx.db().blocks(did, &[cid], Blocks::History).await?[0].is_some();
    let refs = cx.db().block_refs(did, &[cid], Blocks::Live).await?[0];
    assert_eq!(refs.is_some_and(|refs| refs.refs > 0), live, "references and blocks say the same");
    Ok((live, history))
}

pub(crate) async fn blocks_are_served_by_cid(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "one"), put("2", "two")]).await?;
    let mut asked = vec![content("nowhere").cid()];
    asked.extend(repo.recount().into_keys());
    asked.push(content("one").cid());
    asked.push(Cid::of(Codec::Raw, &content("one").bytes));
    for reopened in [false, true] {
        for which in [Blocks::Live, Blocks::History] {
            let found = cx.db().blocks(&repo.did, &asked, which).await?;
            assert_eq!(found.len(), asked.len());
            for (i, (cid, block)) in asked.iter().zip(found).enumerate() {
                let expected = i != 0 && i != asked.len() - 1;
                assert_eq!(block.is_some_and(|block| cid.matches(&block)), expected, "{cid}, reopened: {reopened}");
            }
        }
        cx.reopen().await;
    }
    assert!(cx.db().blocks(&repo.did, &[], Blocks::Live).await?.is_empty());
    Ok(())
}

pub(crate) async fn blocks_of_another_repo_are_not_served(cx: Arc<Context>) -> Outcome {
    let (mut alice, mut bob) = (cx.repo("alice").await?, cx.repo("bob").await?);
    cx.write(&mut alice, &[put("1", "of alice"), put("2", "of both")]).await?;
    cx.write(&mut bob, &[put("2", "of both")]).await?;
    assert_eq!(there(&cx, &bob.did, content("of alice").cid()).await?, (false, false));
    assert_eq!(there(&cx, &bob.did, content("of both").cid()).await?, (true, true));
    // The one's loss is not the other's.
    cx.write(&mut alice, &[delete("2")]).await?;
    cx.pass_window();
    cx.sweep().await?;
    assert_eq!(there(&cx, &alice.did, content("of both").cid()).await?, (false, false));
    assert_eq!(there(&cx, &bob.did, content("of both").cid()).await?, (true, true));
    // Nor can a commit refer to a block that only another repo holds.
    let mut draft = bob.draft(&[put("3", "of alice")]).quiet();
    draft.blocks.retain(|block| block.cid() != content("of alice").cid());
    cx.mutation_refused(draft.mutation(cx.key()), Reason::BlockMissing).await?;
    Ok(())
}

pub(crate) async fn blocks_released_are_history(cx: Arc<Context>) -> Outcome {
    let window = cx.options().history_window_micros;
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "one"), put("2", "two")]).await?;
    let one = content("one").cid();
    cx.advance(1_000);
    cx.write(&mut repo, &[delete("1")]).await?;
    assert_eq!(there(&cx, &repo.did, one).await?, (false, true));
    cx.advance(window - 1);
    cx.sweep().await?;
    assert_eq!(there(&cx, &repo.did, one).await?, (false, true), "one microsecond before the window has passed");
    cx.reopen().await;
    cx.advance(1);
    assert_eq!(there(&cx, &repo.did, one).await?, (false, true), "before a sweep");
    cx.sweep().await?;
    assert_eq!(there(&cx, &repo.did, one).await?, (false, false));
    assert_eq!(there(&cx, &repo.did, content("two").cid()).await?, (true, true));
    Ok(())
}

pub(crate) async fn blocks_committed_again_survive_the_sweep(cx: Arc<Context>) -> Outcome {
    let window = cx.options().history_window_micros;
    let mut repo = cx.repo("alice").await?;
    let one = content("one").cid();
    cx.write(&mut repo, &[put("1", "one")]).await?;
    cx.write(&mut repo, &[delete("1")]).await?;
    cx.advance(window / 2);
    cx.write(&mut repo, &[put("2", "one")]).await?;
    assert_eq!(there(&cx, &repo.did, one).await?, (true, true));
    cx.advance(window / 2);
    cx.sweep().await?;
    assert_eq!(there(&cx, &repo.did, one).await?, (true, true), "the sweep of its first release is over");
    cx.write(&mut repo, &[delete("2")]).await?;
    cx.advance(window - 1);
    cx.sweep().await?;
    assert_eq!(there(&cx, &repo.did, one).await?, (false, true), "its second release has a window of its own");
    cx.advance(1);
    cx.sweep().await?;
    assert_eq!(there(&cx, &repo.did, one).await?, (false, false));
    Ok(())
}

/// Released twice within the first window: the later release counts.
pub(crate) async fn blocks_released_twice_wait_for_the_later(cx: Arc<Context>) -> Outcome {
    let window = cx.options().history_window_micros;
    let mut repo = cx.repo("alice").await?;
    let one = content("one").cid();
    cx.write(&mut repo, &[put("1", "one")]).await?;
    cx.write(&mut repo, &[delete("1")]).await?;
    cx.advance(window / 2);
    cx.write(&mut repo, &[put("1", "one")]).await?;
    cx.write(&mut repo, &[delete("1")]).await?;
    cx.advance(window / 2);
    cx.sweep().await?;
    assert_eq!(there(&cx, &repo.did, one).await?, (false, true));
    cx.advance(window / 2);
    cx.sweep().await?;
    assert_eq!(there(&cx, &repo.did, one).await?, (false, false));
    Ok(())
}

/// A block without references cannot be built on: it may be gone a moment later.
pub(crate) async fn blocks_released_must_be_supplied_again(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "one")]).await?;
    cx.write(&mut repo, &[delete("1")]).await?;
    let mut draft = repo.draft(&[put("2", "one")]).quiet();
    draft.blocks.retain(|block| block.cid() != content("one").cid());
    cx.mutation_refused(draft.mutation(cx.key()), Reason::BlockMissing).await?;
    // A live one need not be.
    cx.write(&mut repo, &[put("3", "three")]).await?;
    let mut draft = repo.draft(&[put("4", "three")]).quiet();
    draft.blocks.retain(|block| block.cid() != content("three").cid());
    cx.send(&mut repo, draft).await?;
    assert_eq!(
        cx.db().record(&repo.did, &path("com.example.note/4")).await?.map(|r| r.bytes),
        Some(content("three").bytes)
    );
    Ok(())
}

pub(crate) async fn blocks_counts_equal_a_recount(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let mut ever: std::collections::BTreeSet<Cid> = repo.recount().into_keys().collect();
    for i in 0..20 {
        let mut writes = vec![put(&format!("{i}"), &format!("text {}", i % 4)), put("always", &format!("{i}"))];
        if i > 3 {
            writes.push(delete(&format!("{}", i - 3)));
        }
        cx.write(&mut repo, &writes).await?;
        let expected = repo.recount();
        ever.extend(expected.keys());
        let asked: Vec<Cid> = ever.iter().copied().collect();
        let found = cx.db().block_refs(&repo.did, &asked, Blocks::History).await?;
        for (cid, found) in asked.iter().zip(found) {
            let found = found.expect("nothing is forgotten within the window");
            assert_eq!(found.refs, expected.get(cid).copied().unwrap_or(0), "{cid} after commit {i}");
        }
    }
    Ok(())
}

pub(crate) async fn blocks_may_be_supplied_for_nothing(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let mut draft = repo.draft(&[put("1", "one")]);
    draft.blocks.push(Block::new(content("of no use").bytes));
    cx.send(&mut repo, draft).await?;
    assert_eq!(there(&cx, &repo.did, content("of no use").cid()).await?, (false, false));
    let mutation = cx.mutation(&repo.did, vec![put_row(row("k", "v"))], vec![Block::new(content("of no use").bytes)]);
    cx.db().apply(mutation).await?;
    assert_eq!(there(&cx, &repo.did, content("of no use").cid()).await?, (false, false));
    Ok(())
}

pub(crate) async fn blocks_asked_for_are_bounded(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let asked = vec![repo.data.expect("a root"); limits::BLOCKS_ASKED_MAX + 1];
    let all = cx.db().blocks(&repo.did, &asked[1..], Blocks::Live).await?;
    assert!(all.len() == limits::BLOCKS_ASKED_MAX && all.iter().all(Option::is_some));
    assert_eq!(cx.db().blocks(&repo.did, &asked, Blocks::Live).await.map_err(|e| e.reason()), Err(Reason::TooLarge));
    let refs = cx.db().block_refs(&repo.did, &asked, Blocks::Live).await;
    assert_eq!(refs.map_err(|e| e.reason()), Err(Reason::TooLarge));
    Ok(())
}
