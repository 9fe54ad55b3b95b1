//! The past of a repo: at both ends of the window, and across what ends it.

use super::imports::{begin, fill, finish, foreign, state_is};
use super::prelude::*;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

async fn at(cx: &Context, did: &Did, at: At) -> Result<Option<Head>> {
    Ok(cx.db().repo(did, at).await?.map(|state| state.head))
}

async fn revs(cx: &Context, did: &Did, before: Option<Tid>, limit: usize) -> Result<Vec<Tid>> {
    Ok(cx.db().history(did, before, limit).await?.items.into_iter().map(|(rev, _)| rev).collect())
}

/// A repo with a commit each second, and its states.
async fn aged(cx: &Context, commits: u64) -> Result<(SceneRepo, Vec<SceneRepo>)> {
    let mut repo = cx.repo("alice").await?;
    let mut states = vec![repo.clone()];
    for i in 1..commits {
        cx.advance(1_000_000);
        cx.write(&mut repo, &[put("1", &format!("{i}"))]).await?;
        states.push(repo.clone());
    }
    Ok((repo, states))
}

/// The window's edge passes between two commits, then over one: each moment that is still answered is answered right.
pub(crate) async fn history_of_times_at_the_windows_edge(cx: Arc<Context>) -> Outcome {
    let (repo, states) = aged(&cx, 6).await?;
    let window = cx.options().history_window_micros;
    let second = |i: u64| Micros(START.0 + 1_000_000 * i);
    for (past, kept_from) in [(0, 0), (999_999, 0), (1_000_000, 1), (1_000_001, 1), (3_000_000, 3), (5_000_000, 5)] {
        cx.set_time(Micros(START.0 + window + past));
        cx.sweep().await?;
        for i in 0..6u64 {
            let expected = states[i as usize].head.filter(|_| i >= kept_from);
            assert_eq!(at(&cx, &repo.did, At::Time(second(i))).await?, expected, "second {i}, {past} past the window");
            assert_eq!(at(&cx, &repo.did, At::Time(Micros(second(i).0 + 999_999))).await?, expected);
            let rev = states[i as usize].head.expect("a head").rev;
            assert_eq!(at(&cx, &repo.did, At::Rev(rev)).await?, expected, "commit {i}, {past} past the window");
        }
        cx.reopen().await;
    }
    Ok(())
}

/// A page goes on before a rev that was forgotten since, or that never was.
pub(crate) async fn history_pages_go_on_before_any_rev(cx: Arc<Context>) -> Outcome {
    let (repo, states) = aged(&cx, 6).await?;
    let all: Vec<Tid> = states.iter().rev().map(|state| state.head.expect("a head").rev).collect();
    for (i, rev) in all.iter().enumerate() {
        assert_eq!(revs(&cx, &repo.did, Some(*rev), 10).await?, all[i + 1..]);
        let between = Tid::from_u64(rev.as_u64() + 1);
        assert_eq!(revs(&cx, &repo.did, Some(between), 10).await?, all[i..], "a rev that never was");
        let page = cx.db().history(&repo.did, Some(between), 1).await?;
        assert_eq!(page.next, (i < 5).then_some(*rev));
    }
    cx.set_time(Micros(START.0 + cx.options().history_window_micros + 3_000_000));
    cx.sweep().await?;
    assert_eq!(revs(&cx, &repo.did, Some(all[2]), 10).await?, Vec::<Tid>::new(), "all before it was forgotten");
    assert_eq!(revs(&cx, &repo.did, Some(all[1]), 10).await?, [all[2]]);
    assert_eq!(revs(&cx, &repo.did, Some(all[5]), 10).await?, Vec::<Tid>::new(), "itself forgotten");
    Ok(())
}

/// A finished import begins a new past at once: neither rev nor time leads back over it.
pub(crate) async fn history_begins_anew_with_an_import(cx: Arc<Context>) -> Outcome {
    let (repo, states) = aged(&cx, 3).await?;
    cx.advance(1_000_000);
    let other = foreign(&repo, 3, "new");
    let import = begin(&cx, &repo.did).await?;
    fill(&cx, import, &other).await?;
    cx.db().apply(finish(&cx, import, &other, repo.head)).await?;
    for state in &states {
        assert_eq!(at(&cx, &repo.did, At::Rev(state.head.expect("a head").rev)).await?, None);
    }
    assert_eq!(at(&cx, &repo.did, At::Time(Micros(cx.now().0 - 1))).await?, None);
    assert_eq!(at(&cx, &repo.did, At::Time(cx.now())).await?, other.head);
    assert_eq!(revs(&cx, &repo.did, None, 10).await?, [other.head.expect("a head").rev]);
    Ok(())
}

/// Revs are a repo's own: two repos may use the same ones.
pub(crate) async fn history_of_two_repos_with_the_same_revs(cx: Arc<Context>) -> Outcome {
    let (mut alice, mut bob) = (cx.repo("alice").await?, cx.repo("bob").await?);
    cx.write(&mut alice, &[put("1", "of alice")]).await?;
    cx.write(&mut bob, &[put("1", "of bob")]).await?;
    let (ours, theirs) = (alice.head.expect("a head"), bob.head.expect("a head"));
    assert_eq!(ours.rev, theirs.rev);
    assert_eq!(at(&cx, &alice.did, At::Rev(ours.rev)).await?, Some(ours));
    assert_eq!(at(&cx, &bob.did, At::Rev(ours.rev)).await?, Some(theirs));
    Ok(())
}

/// Revs as far apart as there are: their order is that of their numbers.
pub(crate) async fn history_of_revs_that_are_far_apart(cx: Arc<Context>) -> Outcome {
    let mut repo = SceneRepo::new(cx.account("alice").await?);
    let numbers = [0, 1, 1 << 31, 1 << 32, (1 << 53) + 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX];
    for (i, rev) in numbers.into_iter().enumerate() {
        let draft = repo.draft_at(&[put("1", &format!("{i}"))], b"sig", Tid::from_u64(rev));
        cx.send(&mut repo, draft).await?;
    }
    cx.reopen().await;
    let expected: Vec<Tid> = numbers.iter().rev().copied().map(Tid::from_u64).collect();
    assert_eq!(revs(&cx, &repo.did, None, 100).await?, expected);
    for (i, rev) in expected.iter().enumerate() {
        assert_eq!(
            revs(&cx, &repo.did, Some(*rev), 2).await?,
            expected[i + 1..].iter().take(2).copied().collect::<Vec<_>>()
        );
        assert_eq!(at(&cx, &repo.did, At::Rev(*rev)).await?.map(|head| head.rev), Some(*rev));
    }
    Ok(())
}

/// What a forgotten commit shared with one that is kept stays, to the block.
pub(crate) async fn history_keeps_what_a_kept_commit_needs(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let many: Vec<Write> = (0..80).map(|i| put(&format!("{i:03}"), &format!("text {i}"))).collect();
    cx.write(&mut repo, &many).await?;
    let first = repo.clone();
    cx.advance(1_000_000);
    cx.write(&mut repo, &[put("040", "changed"), Write::Delete(path("com.example.note/041"))]).await?;
    cx.pass_window();
    cx.sweep().await?;
    let (kept, was) = (repo.recount(), first.recount());
    let asked: Vec<Cid> = was.keys().copied().collect();
    let found = cx.db().blocks(&repo.did, &asked, Blocks::History).await?;
    let gone = asked.iter().zip(&found).filter(|(_, found)| found.is_none()).count();
    assert!(gone >= 4, "the commit, two records and the nodes over them");
    for (cid, found) in asked.iter().zip(found) {
        assert_eq!(found.is_some(), kept.contains_key(cid), "{cid}");
    }
    state_is(&cx, &repo).await
}

/// A past state is whole: its tree is read from the history's blocks and compared with the present one.
pub(crate) async fn history_gives_the_difference_of_two_states(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let many: Vec<Write> = (0..60).map(|i| put(&format!("{i:03}"), &format!("text {i}"))).collect();
    cx.write(&mut repo, &many).await?;
    let past = repo.clone();
    cx.write(&mut repo, &[put("010", "changed"), put("new", "x")]).await?;
    cx.write(&mut repo, &[Write::Delete(path("com.example.note/020")), put("010", "again")]).await?;
    cx.reopen().await;
    let read = async |state: &SceneRepo| {
        let found = cx.db().repo(&repo.did, At::Rev(state.head.expect("a head").rev)).await?.expect("a state");
        let cids: Vec<Cid> = state.nodes.iter().map(|(cid, _)| *cid).collect();
        let mut nodes = tree::BlockMap::new();
        for (cid, bytes) in cids.iter().zip(cx.db().blocks(&repo.did, &cids, Blocks::History).await?) {
            nodes.insert(*cid, bytes.expect("a node of a state in the window"));
        }
        answer((found.data, nodes))
    };
    let ((old, mut nodes), (new, more)) = (read(&past).await?, read(&repo).await?);
    for (cid, bytes) in more.iter() {
        nodes.insert(*cid, bytes.clone());
    }
    let changes = tree::changes(&nodes, Some(old), new, 1_000).await?;
    let told: Vec<(String, Option<Cid>, Option<Cid>)> =
        changes.record_ops.into_iter().map(|op| (op.path.as_str().to_owned(), op.old, op.new)).collect();
    let cid = |text: &str| Some(content(text).cid());
    let name = |rkey: &str| format!("com.example.note/{rkey}");
    let expected = [
        (name("010"), cid("text 10"), cid("again")),
        (name("020"), cid("text 20"), None),
        (name("new"), None, cid("x")),
    ];
    assert_eq!(told, expected);
    Ok(())
}

/// Commits that change nothing are commits of the history, each with its own block, over one root.
pub(crate) async fn history_of_commits_that_change_nothing(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "x")]).await?;
    let mut heads = vec![repo.head.expect("a head")];
    for _ in 0..4 {
        cx.advance(1_000_000);
        cx.write(&mut repo, &[]).await?;
        heads.push(repo.head.expect("a head"));
    }
    let listed = cx.db().history(&repo.did, None, 5).await?.items;
    assert!(listed.iter().all(|(_, row)| Some(row.data) == repo.data));
    let found = cx.db().block_refs(&repo.did, &[repo.data.expect("a root"), heads[2].cid], Blocks::History).await?;
    assert_eq!(found.iter().map(|refs| refs.map(|refs| refs.refs)).collect::<Vec<_>>(), [Some(1), Some(0)]);
    cx.set_time(Micros(START.0 + cx.options().history_window_micros + 2_000_000));
    cx.sweep().await?;
    let kept: Vec<Tid> = heads[2..].iter().rev().map(|head| head.rev).collect();
    assert_eq!(revs(&cx, &repo.did, None, 10).await?, kept);
    let blocks =
        cx.db().blocks(&repo.did, &heads.iter().map(|head| head.cid).collect::<Vec<_>>(), Blocks::History).await?;
    assert_eq!(blocks.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true, true, true]);
    Ok(())
}

/// After the window has passed the head is all the past there is, and it answers for every time since it was made.
pub(crate) async fn history_of_the_head_alone(cx: Arc<Context>) -> Outcome {
    let (repo, _) = aged(&cx, 4).await?;
    cx.advance(10 * cx.options().history_window_micros);
    cx.sweep().await?;
    cx.reopen().await;
    let made = Micros(START.0 + 3_000_000);
    assert_eq!(at(&cx, &repo.did, At::Time(Micros(made.0 - 1))).await?, None);
    for time in [made, cx.now(), Micros(u64::MAX)] {
        assert_eq!(at(&cx, &repo.did, At::Time(time)).await?, repo.head);
    }
    let page = cx.db().history(&repo.did, None, 1).await?;
    assert_eq!((page.items.len(), page.next), (1, None));
    state_is(&cx, &repo).await
}

/// Content that went, came again and went again is kept from the last time on.
pub(crate) async fn history_of_what_went_twice_counts_from_the_last_time(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let delete = || Write::Delete(path("com.example.note/1"));
    for write in [put("1", "x"), delete(), put("1", "x")] {
        cx.write(&mut repo, &[write]).await?;
    }
    cx.advance(1_000_000);
    cx.write(&mut repo, &[delete()]).await?;
    let window = cx.options().history_window_micros;
    for (past, is_kept) in [(0, true), (999_999, true), (1_000_000, false)] {
        cx.set_time(Micros(START.0 + window + past));
        cx.sweep().await?;
        let block = cx.db().blocks(&repo.did, &[content("x").cid()], Blocks::History).await?;
        assert_eq!(block[0].is_some(), is_kept, "{past} past the window of the first time");
    }
    state_is(&cx, &repo).await
}
