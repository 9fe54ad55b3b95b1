//! Cursors of the firehose: at both ends of the window, and for who waits.

use std::time::Duration;

use super::prelude::*;

/// Never waited for when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

fn announce() -> Op {
    Op::Emit(Announce::Account)
}

async fn numbers(cx: &Context, after: u64, limit: usize, bytes_max: usize) -> Result<Vec<u64>> {
    let found = cx.db().events(Seq::new(after)?, limit, bytes_max).await?;
    Ok(found.iter().map(|event| event.seq.get()).collect())
}

/// `count` events, one a second, of which the first `gone` are over their retention and swept.
async fn aged(cx: &Context, count: u64, gone: u64) -> Result<Did> {
    let alice = cx.account("alice").await?;
    for _ in 0..count {
        cx.apply(&alice, vec![announce()]).await?;
        cx.advance(1_000_000);
    }
    cx.set_time(Micros(START.0 + cx.options().event_retention_micros + 1_000_000 * gone));
    cx.sweep().await?;
    Ok(alice)
}

/// Every cursor there is, one by one, over a window that begins in the middle.
pub(crate) async fn cursors_of_a_window_that_has_moved(cx: Arc<Context>) -> Outcome {
    aged(&cx, 20, 8).await?;
    for reopened in [false, true] {
        assert_eq!(cx.db().event_window().await?, EventWindow { oldest: Seq::new(9)?, head: Seq::new(20)? });
        for after in 0..=22 {
            let found = numbers(&cx, after, 100, usize::MAX).await.map_err(|e| e.reason());
            let expected = match after {
                0..=7 => Err(Reason::CursorGone),
                8..=20 => Ok((after + 1..=20).collect()),
                _ => Err(Reason::FutureCursor),
            };
            assert_eq!(found, expected, "after {after}, reopened: {reopened}");
        }
        cx.reopen().await;
    }
    Ok(())
}

/// Limits are told after the cursor: one that is gone is gone, whatever is asked for.
pub(crate) async fn cursors_that_are_gone_are_so_at_every_limit(cx: Arc<Context>) -> Outcome {
    aged(&cx, 6, 3).await?;
    for (limit, bytes_max) in [(1, usize::MAX), (100, 0), (1, 0), (usize::MAX, usize::MAX)] {
        assert_eq!(numbers(&cx, 2, limit, bytes_max).await.map_err(|e| e.reason()), Err(Reason::CursorGone));
        assert_eq!(numbers(&cx, 7, limit, bytes_max).await.map_err(|e| e.reason()), Err(Reason::FutureCursor));
    }
    Ok(())
}

/// A store that took mutations and announced nothing has an empty window that begins at 1.
pub(crate) async fn cursors_of_a_store_that_is_silent(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![put_row(row("k", "v"))]).await?;
    for reopened in [false, true] {
        assert_eq!(cx.db().event_window().await?, EventWindow { oldest: Seq::new(1)?, head: Seq::ZERO });
        assert_eq!(numbers(&cx, 0, 10, usize::MAX).await?, Vec::<u64>::new(), "reopened: {reopened}");
        assert_eq!(numbers(&cx, 1, 10, usize::MAX).await.map_err(|e| e.reason()), Err(Reason::FutureCursor));
        cx.advance(3 * cx.options().event_retention_micros);
        cx.sweep().await?;
        cx.reopen().await;
    }
    assert_eq!(cx.apply(&alice, vec![announce()]).await?.first_seq, Seq::new(1)?);
    Ok(())
}

/// Only the newest event is left: it is there for the cursor before it, and nothing is missed after it.
pub(crate) async fn cursors_of_a_window_of_one_event(cx: Arc<Context>) -> Outcome {
    let alice = aged(&cx, 5, 1_000).await?;
    assert_eq!(cx.db().event_window().await?, EventWindow { oldest: Seq::new(5)?, head: Seq::new(5)? });
    assert_eq!(numbers(&cx, 3, 10, usize::MAX).await.map_err(|e| e.reason()), Err(Reason::CursorGone));
    assert_eq!(numbers(&cx, 4, 10, usize::MAX).await?, [5]);
    assert_eq!(numbers(&cx, 5, 10, usize::MAX).await?, Vec::<u64>::new());
    cx.apply(&alice, vec![announce(), announce()]).await?;
    assert_eq!(numbers(&cx, 4, 10, usize::MAX).await?, [5, 6, 7]);
    cx.sweep().await?;
    assert_eq!(
        numbers(&cx, 5, 10, usize::MAX).await?,
        [6, 7],
        "the one that was kept as the newest goes when it is not"
    );
    assert_eq!(cx.db().event_window().await?.oldest, Seq::new(6)?);
    Ok(())
}

/// The bytes are counted from the first event that is given, not from the start of the window.
pub(crate) async fn cursors_count_bytes_from_where_they_stand(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![announce(); 30]).await?;
    let all = cx.db().events(Seq::ZERO, 100, usize::MAX).await?;
    let bytes =
        |from: usize, count: usize| all[from..from + count].iter().map(|event| event.frame.len()).sum::<usize>();
    for from in [0, 1, 7, 26] {
        assert_eq!(numbers(&cx, from as u64, 100, bytes(from, 3)).await?.len(), 3, "after {from}");
        assert_eq!(numbers(&cx, from as u64, 100, bytes(from, 3) - 1).await?.len(), 2, "after {from}");
        assert_eq!(numbers(&cx, from as u64, 2, bytes(from, 3)).await?.len(), 2, "the lesser of two limits");
    }
    Ok(())
}

/// Refused mutations, alone and in batches, take no number, and retries none.
pub(crate) async fn cursors_see_no_number_of_a_refusal(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let good = || cx.mutation(&alice, vec![announce(), announce()], Vec::new());
    let bad = || cx.mutation(&alice, vec![announce(), Op::TakeRow(row_key("no")), announce()], Vec::new());
    let again = good();
    let answers = cx.db().apply_many(vec![bad(), good(), bad(), again.clone(), again, bad(), good()]).await;
    let firsts: Vec<Option<u64>> = answers.iter().map(|a| a.as_ref().ok().map(|r| r.first_seq.get())).collect();
    assert_eq!(firsts, [None, Some(1), None, Some(3), Some(3), None, Some(5)]);
    assert_eq!(numbers(&cx, 0, 100, usize::MAX).await?, (1..=6).collect::<Vec<_>>());
    Ok(())
}

/// Who waits after a number beyond the head is woken when that number is passed, not before.
pub(crate) async fn cursors_may_wait_beyond_the_head(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let waiters: Vec<_> = (0..6)
        .map(|after| {
            let db = cx.db();
            tokio::spawn(async move { db.wait_events(Seq::new(after).expect("a number")).await })
        })
        .collect();
    for (after, waiter) in waiters.into_iter().enumerate() {
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished(), "woken by event {after}, waiting for the one after it");
        let newest = cx.apply(&alice, vec![announce()]).await?.first_seq;
        let woken = tokio::time::timeout(PATIENCE, waiter).await.expect("woken").expect("no waiter panics")?;
        assert_eq!((woken, newest), (Seq::new(after as u64 + 1)?, Seq::new(after as u64 + 1)?));
    }
    Ok(())
}

/// A waiter is told the newest number of a mutation with many events, all of which it can read.
pub(crate) async fn cursors_are_woken_with_the_newest_number(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    for round in 0..10u64 {
        let waiter = {
            let cx = cx.clone();
            tokio::spawn(async move {
                let newest = cx.db().wait_events(Seq::new(5 * round)?).await?;
                answer((newest.get(), numbers(&cx, 5 * round, 10, usize::MAX).await?.len()))
            })
        };
        tokio::task::yield_now().await;
        cx.apply(&alice, vec![announce(); 5]).await?;
        let woken = tokio::time::timeout(PATIENCE, waiter).await.expect("woken").expect("no waiter panics")?;
        assert_eq!(woken, (5 * (round + 1), 5));
    }
    Ok(())
}

/// Events of many accounts come in the order in which their mutations took effect.
pub(crate) async fn cursors_follow_the_order_of_positions(cx: Arc<Context>) -> Outcome {
    let mut repos = Vec::new();
    for word in ["zoe", "alice", "mallory"] {
        repos.push(cx.repo(word).await?);
    }
    let mut expected = Vec::new();
    for i in [0, 2, 1, 1, 0, 2, 2, 0] {
        let note = Write::Put(path("com.example.note/1"), content(&format!("{}", expected.len())));
        cx.write(&mut repos[i], &[note]).await?;
        expected.push(repos[i].did.as_str().to_owned());
    }
    let frames = cx.db().events(Seq::new(3)?, 100, usize::MAX).await?;
    let told =
        frames.iter().map(|event| answer(Frame::decode(&event.frame)?.text("repo").unwrap_or_default().to_owned()));
    assert_eq!(told.collect::<Result<Vec<_>>>()?, expected);
    Ok(())
}

/// Commits that were not announced are passed over: the next frame names the commit before it, announced or not.
pub(crate) async fn cursors_of_frames_after_quiet_commits(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let note = |text: &str| Write::Put(path("com.example.note/1"), content(text));
    let quiet = repo.draft(&[note("quiet")]).quiet();
    assert_eq!(cx.send(&mut repo, quiet).await?.events, 0);
    let before = repo.clone();
    cx.write(&mut repo, &[note("loud")]).await?;
    let frame = Frame::decode(&cx.db().events(Seq::new(1)?, 1, usize::MAX).await?[0].frame)?;
    assert_eq!(frame.text("since"), before.head.map(|head| head.rev.to_string()).as_deref());
    assert_eq!(frame.body["prevData"], as_link(&before.data.expect("a root")));
    Ok(())
}

/// The first commit over an imported repo names the imported one; that of a new life names none.
pub(crate) async fn cursors_of_frames_after_a_new_beginning(cx: Arc<Context>) -> Outcome {
    let repo = cx.repo("alice").await?;
    let mut other = super::imports::foreign(&repo, 3, "new");
    let import = super::imports::begin(&cx, &repo.did).await?;
    super::imports::fill(&cx, import, &other).await?;
    cx.db().apply(super::imports::finish(&cx, import, &other, repo.head)).await?;
    let imported = other.clone();
    cx.write(&mut other, &[Write::Put(path("com.example.note/1"), content("x"))]).await?;
    cx.apply(&repo.did, vec![Op::DeleteAccount]).await?;
    cx.repo("alice").await?;
    let events = cx.db().events(Seq::new(1)?, 10, usize::MAX).await?;
    let frames = [Frame::decode(&events[0].frame)?, Frame::decode(&events[1].frame)?];
    assert_eq!(frames[0].text("since"), imported.head.map(|head| head.rev.to_string()).as_deref());
    assert_eq!(frames[0].body["prevData"], as_link(&imported.data.expect("a root")));
    assert_eq!(frames[1].body["since"], ipld_core::ipld::Ipld::Null);
    assert!(!frames[1].body.contains_key("prevData"));
    Ok(())
}
