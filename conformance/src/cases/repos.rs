//! Heads and history.

use super::prelude::*;

fn note(i: u64) -> Write {
    Write::Put(path(&format!("com.example.note/{i}")), content(&format!("note {i}")))
}

pub(crate) async fn repos_head_is_the_last_commit(cx: Arc<Context>) -> Outcome {
    let mut repo = SceneRepo::new(cx.account("alice").await?);
    assert_eq!(cx.db().repo(&repo.did, At::Head).await?, None);
    for i in 0..5 {
        cx.advance(1);
        let receipt = cx.write(&mut repo, &[note(i)]).await?;
        let state = cx.db().repo(&repo.did, At::Head).await?.expect("a repo");
        assert_eq!((Some(state.head), Some(state.data)), (repo.head, repo.data));
        assert_eq!((state.id, state.at), (RepoId(2), receipt.at));
        if i == 2 {
            cx.reopen().await;
        }
    }
    Ok(())
}

pub(crate) async fn repos_head_race_has_one_winner(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let drafts: Vec<Draft> = (0..64).map(|i: u64| repo.draft_signed(&[note(i)], &i.to_be_bytes())).collect();
    let calls = drafts.iter().map(|draft| {
        let (db, mutation) = (cx.db(), draft.mutation(cx.key()));
        tokio::spawn(async move { db.apply(mutation).await })
    });
    assert_eq!(count_taken(calls, Reason::HeadMismatch).await, 1);
    let head = cx.db().repo(&repo.did, At::Head).await?.expect("a repo").head;
    let winner = drafts.iter().find(|draft| draft.commit.head == head).expect("one of the drafts");
    let records = cx.db().records(&repo.did, &query("com.example.note", 100)).await?;
    assert_eq!(records.items.len(), 1);
    assert_eq!(Some(&records.items[0].path), winner.after.records.keys().next());
    Ok(())
}

pub(crate) fn query(collection: &str, limit: usize) -> RecordQuery {
    RecordQuery { collection: nsid(collection), after: None, limit, reverse: false }
}

pub(crate) async fn repos_first_commit_race_has_one_winner(cx: Arc<Context>) -> Outcome {
    let repo = SceneRepo::new(cx.account("alice").await?);
    let calls = (0..64).map(|i: u64| {
        let draft = repo.draft_signed(&[note(i)], &i.to_be_bytes());
        let (db, mutation) = (cx.db(), draft.mutation(cx.key()));
        tokio::spawn(async move { db.apply(mutation).await })
    });
    assert_eq!(count_taken(calls, Reason::HeadMismatch).await, 1);
    Ok(())
}

pub(crate) async fn repos_past_rev_is_readable(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let mut states = vec![repo.clone()];
    for i in 0..6 {
        // Each commit replaces or deletes what the one before it wrote.
        let write = if i % 2 == 0 { note(1) } else { Write::Delete(path("com.example.note/1")) };
        cx.advance(1);
        cx.write(&mut repo, &[write, note(100 + i)]).await?;
        states.push(repo.clone());
    }
    for reopened in [false, true] {
        for past in &states {
            let head = past.head.expect("a head");
            let state = cx.db().repo(&repo.did, At::Rev(head.rev)).await?.expect("a past state");
            assert_eq!((state.head, Some(state.data)), (head, past.data));
            let cids: Vec<Cid> = past.recount().into_keys().collect();
            let blocks = cx.db().blocks(&repo.did, &cids, Blocks::History).await?;
            for (cid, block) in cids.iter().zip(blocks) {
                let block = block.unwrap_or_else(|| panic!("{cid} of a past state (reopened: {reopened})"));
                assert!(cid.matches(&block));
            }
        }
        cx.reopen().await;
    }
    let rev = |rev| At::Rev(Tid::from_u64(rev));
    assert_eq!(cx.db().repo(&repo.did, rev(0)).await?, None);
    assert_eq!(cx.db().repo(&repo.did, rev(repo.head.expect("a head").rev.as_u64() + 1)).await?, None);
    Ok(())
}

pub(crate) async fn repos_past_time_gives_newest_before(cx: Arc<Context>) -> Outcome {
    let mut repo = SceneRepo::new(cx.account("alice").await?);
    let mut heads = Vec::new();
    for i in 0..3 {
        cx.set_time(Micros(START.0 + 100 * (i + 1)));
        // Two commits at one time: the second is the newer.
        cx.write(&mut repo, &[note(i)]).await?;
        cx.write(&mut repo, &[note(i + 10)]).await?;
        heads.push(repo.head);
    }
    let at = |offset: u64| At::Time(Micros(START.0 + offset));
    let cases = [(0, None), (99, None), (100, heads[0]), (199, heads[0]), (200, heads[1]), (300, heads[2])];
    for (offset, head) in cases {
        let state = cx.db().repo(&repo.did, at(offset)).await?;
        assert_eq!(state.map(|state| state.head), head, "at {offset}");
    }
    let state = cx.db().repo(&repo.did, At::Time(Micros(u64::MAX))).await?;
    assert_eq!(state.map(|state| state.head), heads[2]);
    Ok(())
}

pub(crate) async fn repos_past_states_have_todays_counters(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let first = repo.head.expect("a head").rev;
    cx.write(&mut repo, &[note(1), note(2)]).await?;
    let now = cx.db().repo(&repo.did, At::Head).await?.expect("a repo").counters;
    let then = cx.db().repo(&repo.did, At::Rev(first)).await?.expect("a past state").counters;
    assert_eq!((now, now.records), (then, 2));
    Ok(())
}

pub(crate) async fn repos_rev_must_increase(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let rev = repo.head.expect("a head").rev.as_u64();
    for bad in [rev, rev - 1, 0] {
        let draft = repo.draft_at(&[note(1)], b"sig", Tid::from_u64(bad));
        cx.mutation_refused(draft.mutation(cx.key()), Reason::RevNotIncreasing).await?;
    }
    let draft = repo.draft_at(&[note(1)], b"sig", Tid::from_u64(rev + 1));
    cx.send(&mut repo, draft).await?;
    let draft = repo.draft_at(&[note(2)], b"sig", Tid::from_u64(u64::MAX));
    cx.send(&mut repo, draft).await?;
    assert_eq!(cx.db().history(&repo.did, None, 1).await?.items[0].0, Tid::from_u64(u64::MAX));
    Ok(())
}

pub(crate) async fn repos_dangling_commit_is_refused(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[note(1)]).await?;
    let draft = repo.draft(&[note(2)]).quiet();
    for left_out in draft.blocks.iter().map(|block| block.cid()).collect::<Vec<_>>() {
        let held = repo.recount().contains_key(&left_out);
        let mut mutation = draft.mutation(cx.key());
        mutation.blocks.retain(|block| block.cid() != left_out);
        if !held {
            cx.mutation_refused(mutation, Reason::BlockMissing).await?;
        }
    }
    let mut other = draft.clone();
    other.commit.added.retain(|cid| *cid != draft.commit.data);
    cx.mutation_refused(other.mutation(cx.key()), Reason::BlockMissing).await?;
    Ok(())
}

/// A root that is added and removed at once would be held by nobody.
pub(crate) async fn repos_root_cannot_be_removed(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[note(1)]).await?;
    let mut new_root = repo.draft(&[note(2)]);
    new_root.commit.removed.push(new_root.commit.data);
    cx.mutation_refused(new_root.mutation(cx.key()), Reason::BadRequest).await?;
    let mut same_root = repo.draft(&[]);
    same_root.commit.removed.push(same_root.commit.data);
    cx.mutation_refused(same_root.mutation(cx.key()), Reason::BadRequest).await?;
    let mut twice = repo.draft(&[]).quiet();
    twice.commit.added.push(twice.commit.data);
    twice.blocks.extend(repo.blocks().into_iter().filter(|block| block.cid() == twice.commit.data));
    twice.blocks.dedup_by_key(|block| block.cid());
    cx.mutation_refused(twice.mutation(cx.key()), Reason::BadRequest).await?;
    Ok(())
}

/// What a commit takes away must have been held before, even if it brings as much.
pub(crate) async fn repos_removal_is_not_paid_for_by_addition(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let mut draft = repo.draft(&[note(1)]);
    draft.commit.removed.push(content("note 1").cid());
    cx.mutation_refused(draft.mutation(cx.key()), Reason::NotHeld).await?;
    Ok(())
}

/// The root of a tree may be a node of the old one, when the last record above it goes; and an old root may stay, under a
/// new one.
pub(crate) async fn repos_roots_rise_and_fall(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let layer = |path: &RecordPath| tree::Key::from(path).layer();
    let paths = |wanted: u32| {
        let all = (0..).map(|i| path(&format!("com.example.note/{i:05}")));
        all.filter(move |path| layer(path) == wanted)
    };
    let low: Vec<RecordPath> = paths(0).take(3).collect();
    // After all low ones, so that the old root is its left subtree.
    let high = paths(1).find(|path| path > &low[2]).expect("a path of layer 1");
    for (i, path) in low.iter().enumerate() {
        cx.write(&mut repo, &[Write::Put(path.clone(), content(&format!("low {i}")))]).await?;
    }
    let low_root = repo.data;
    cx.write(&mut repo, &[Write::Put(high.clone(), content("high"))]).await?;
    assert_ne!(repo.data, low_root);
    let refs = cx.db().block_refs(&repo.did, &[low_root.expect("a root")], Blocks::Live).await?;
    assert_eq!(refs[0].map(|refs| refs.refs), Some(1), "the old root is a subtree of the new one");
    cx.write(&mut repo, &[Write::Delete(high)]).await?;
    assert_eq!(repo.data, low_root);
    let state = cx.db().repo(&repo.did, At::Head).await?.expect("a repo");
    assert_eq!(Some(state.data), low_root);
    Ok(())
}

pub(crate) async fn repos_counters_equal_a_recount(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    for i in 0..12u64 {
        let mut writes: Vec<Write> = (0..5).map(|j| note(i * 5 + j)).collect();
        // The same content under another path, an update to the same content, a deletion.
        writes.push(Write::Put(path(&format!("com.example.copy/{i}")), content("note 1")));
        if i > 1 {
            writes.push(Write::Put(path("com.example.note/1"), content("note 1")));
            writes.push(Write::Delete(path(&format!("com.example.note/{}", i * 5 - 3))));
        }
        cx.write(&mut repo, &writes).await?;
        counters_are_right(&cx, &repo).await?;
    }
    let all: Vec<Write> = repo.records.keys().cloned().map(Write::Delete).collect();
    cx.write(&mut repo, &all).await?;
    counters_are_right(&cx, &repo).await
}

async fn counters_are_right(cx: &Context, repo: &SceneRepo) -> Outcome {
    let refs = repo.recount();
    let cids: Vec<Cid> = refs.keys().copied().collect();
    let lens = cx.db().block_refs(&repo.did, &cids, Blocks::Live).await?;
    let bytes = refs.values().zip(&lens).map(|(refs, found)| refs * u64::from(found.expect("a live block").len)).sum();
    let expected = Counters { records: repo.records.len() as u64, refs: refs.values().sum(), bytes };
    let found = cx.db().repo(&repo.did, At::Head).await?.expect("a repo").counters;
    assert_eq!(found, expected);
    Ok(())
}

pub(crate) async fn repos_are_listed_in_pages(cx: Arc<Context>) -> Outcome {
    let mut expected = Vec::new();
    for i in 0..17 {
        if i % 3 == 0 {
            cx.account(&format!("u{i:02}")).await?;
            continue;
        }
        let repo = cx.repo(&format!("u{i:02}")).await?;
        if i == 4 {
            cx.apply(&repo.did, vec![Op::SetStatus(AccountStatus::Takendown)]).await?;
        }
        let status = if i == 4 { AccountStatus::Takendown } else { AccountStatus::Active };
        expected.push(RepoListing { did: repo.did, head: repo.head.expect("a head"), status });
    }
    for limit in [1, 3, 10, 11, 12, 1_000] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = cx.db().repos(after.as_ref(), limit).await?;
            assert!(page.items.len() == limit.min(11 - found.len()), "accounts without a repo shorten no page");
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
    Ok(())
}

pub(crate) async fn repos_history_lists_commits(cx: Arc<Context>) -> Outcome {
    let mut repo = SceneRepo::new(cx.account("alice").await?);
    let mut expected = Vec::new();
    for i in 0..9 {
        cx.advance(10);
        let receipt = cx.write(&mut repo, &[note(i)]).await?;
        let (head, data) = (repo.head.expect("a head"), repo.data.expect("a root"));
        expected.insert(0, (head.rev, CommitRow { cid: head.cid, data, pos: receipt.pos, at: receipt.at }));
    }
    for limit in [1, 2, 8, 9, 10, 1_000] {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = cx.db().history(&repo.did, before, limit).await?;
            found.extend(page.items);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
    let older = cx.db().history(&repo.did, Some(expected[8].0), 10).await?;
    assert!(older.items.is_empty() && older.next.is_none(), "before the first");
    Ok(())
}

pub(crate) async fn repos_history_ends_with_the_window(cx: Arc<Context>) -> Outcome {
    let window = cx.options().history_window_micros;
    let mut repo = cx.repo("alice").await?;
    let mut states = vec![repo.clone()];
    for i in 0..3 {
        cx.advance(1);
        cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), content(&format!("note {i}")))]).await?;
        states.push(repo.clone());
    }
    // Commit i is replaced at START + i + 1.
    for forgotten in 0..=3u64 {
        cx.set_time(Micros(START.0 + window + forgotten));
        cx.sweep().await?;
        let kept = cx.db().history(&repo.did, None, 10).await?.items;
        assert_eq!(kept.len() as u64, 4 - forgotten, "at the window's end plus {forgotten}");
        for (i, past) in states.iter().enumerate() {
            let is_kept = i as u64 >= forgotten;
            let found = cx.db().repo(&repo.did, At::Rev(past.head.expect("a head").rev)).await?;
            assert_eq!(found.is_some(), is_kept, "commit {i}");
            if is_kept {
                let cids: Vec<Cid> = past.recount().into_keys().collect();
                let blocks = cx.db().blocks(&repo.did, &cids, Blocks::History).await?;
                assert!(blocks.iter().all(Option::is_some), "the blocks of commit {i}");
            }
        }
        let gone: Vec<Cid> =
            states[..forgotten as usize].iter().flat_map(|past| past.head).map(|head| head.cid).collect();
        let blocks = cx.db().blocks(&repo.did, &gone, Blocks::History).await?;
        assert!(blocks.iter().all(Option::is_none), "blocks of forgotten commits are gone");
    }
    cx.advance(100 * window);
    cx.sweep().await?;
    assert_eq!(cx.db().history(&repo.did, None, 10).await?.items.len(), 1, "the head is never forgotten");
    Ok(())
}

pub(crate) async fn repos_time_before_what_is_kept_is_none(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.advance(1_000);
    cx.write(&mut repo, &[note(1)]).await?;
    assert!(cx.db().repo(&repo.did, At::Time(START)).await?.is_some());
    cx.pass_window();
    cx.sweep().await?;
    assert_eq!(cx.db().repo(&repo.did, At::Time(START)).await?, None);
    let state = cx.db().repo(&repo.did, At::Time(Micros(START.0 + 1_000))).await?;
    assert_eq!(state.map(|state| state.head), repo.head);
    Ok(())
}

pub(crate) async fn repos_commit_without_change(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let (head, data) = (repo.head, repo.data);
    cx.write(&mut repo, &[]).await?;
    assert_ne!(repo.head, head);
    let state = cx.db().repo(&repo.did, At::Head).await?.expect("a repo");
    assert_eq!((Some(state.head), Some(state.data)), (repo.head, data));
    Ok(())
}

pub(crate) async fn repos_deactivated_are_filled_quietly(cx: Arc<Context>) -> Outcome {
    let mut repo = SceneRepo::new(did("alice"));
    let new = NewAccount { handle: None, email: None, password_hash: None, status: AccountStatus::Deactivated };
    cx.apply(&repo.did, vec![Op::CreateAccount(new)]).await?;
    let loud = repo.draft(&[note(1)]);
    cx.mutation_refused(loud.mutation(cx.key()), Reason::AccountInactive).await?;
    cx.send(&mut repo, loud.quiet()).await?;
    assert_eq!(cx.db().event_window().await?.head, Seq::ZERO);
    cx.apply(&repo.did, vec![Op::SetStatus(AccountStatus::Active)]).await?;
    let receipt = cx.write(&mut repo, &[note(2)]).await?;
    assert_eq!(receipt.first_seq, Seq::new(1)?);
    Ok(())
}
