//! Reads while others write.

use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinHandle;

use super::prelude::*;
use super::repos::query;
use crate::clock::ManualClock;
use crate::model::Model;

/// Never waited for when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

/// Writes one commit after the other: number `i` puts the records `a` and `b` to `i`, and creates record `i`.
fn writer(cx: &Arc<Context>, mut repo: SceneRepo, commits: usize) -> JoinHandle<Outcome> {
    let cx = cx.clone();
    tokio::spawn(async move {
        for i in 1..=commits {
            let text = format!("{i}");
            cx.write(&mut repo, &[put("a", &text), put("b", &text), put(&format!("n{i:03}"), &text)]).await?;
        }
        Ok(())
    })
}

/// Two records that always change together, in one page and through their links, and counters that belong to the head.
pub(crate) async fn meanwhile_a_page_of_records_is_of_one_commit(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("a", "0"), put("b", "0")]).await?;
    let did = repo.did.clone();
    let writer = writer(&cx, repo, 60);
    let mut reads = 0;
    while !writer.is_finished() || reads == 0 {
        let page = cx.db().records(&did, &query("com.example.note", 1_000)).await?.items;
        assert_eq!(page[0].cid, page[1].cid, "records of two commits in one page");
        let newest = content(&format!("{}", page.len() - 2)).cid();
        assert_eq!(page[0].cid, newest, "{} records, and a change that is not theirs", page.len());
        reads += 1;
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer does not panic")
}

pub(crate) async fn meanwhile_counters_are_those_of_the_head(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("a", "0"), put("b", "0")]).await?;
    let (did, first) = (repo.did.clone(), repo.head.expect("a head").rev.as_u64());
    let writer = writer(&cx, repo, 60);
    let mut reads = 0;
    while !writer.is_finished() || reads == 0 {
        let state = cx.db().repo(&did, At::Head).await?.expect("a repo");
        // Every commit adds 1,024 to the rev and one to the records.
        assert_eq!(state.counters.records, 2 + (state.head.rev.as_u64() - first) / 1_024);
        reads += 1;
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer does not panic")
}

/// A reader that takes the head and then walks its tree finds all of it, however many commits come meanwhile.
pub(crate) async fn meanwhile_a_tree_can_be_walked_to_its_end(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let initial: Vec<Write> = (0..60).map(|i| put(&format!("m{i:03}"), &format!("{i}"))).collect();
    cx.write(&mut repo, &[initial, vec![put("a", "0"), put("b", "0")]].concat()).await?;
    let did = repo.did.clone();
    let writer = writer(&cx, repo, 40);
    let mut reads = 0;
    while !writer.is_finished() || reads == 0 {
        let state = cx.db().repo(&did, At::Head).await?.expect("a repo");
        let mut nodes = tree::BlockMap::new();
        let mut open = vec![state.data];
        let mut records = 0;
        while let Some(cid) = open.pop() {
            let bytes = cx.db().blocks(&did, &[cid], Blocks::History).await?.remove(0).expect("a node of a head");
            let node = tree::Node::decode(&cid, &bytes)?;
            open.extend(node.left);
            open.extend(node.entries.iter().filter_map(|entry| entry.right));
            let values: Vec<Cid> = node.entries.iter().map(|entry| entry.value).collect();
            let found = cx.db().blocks(&did, &values, Blocks::History).await?;
            assert!(values.iter().zip(found).all(|(cid, bytes)| bytes.is_some_and(|bytes| cid.matches(&bytes))));
            records += values.len();
            nodes.insert(cid, bytes);
        }
        assert!(records >= 62, "{records} records");
        reads += 1;
    }
    writer.await.expect("the writer does not panic")
}

/// Eight writers, and a reader of the events: at no moment is a number there and one before it not.
pub(crate) async fn meanwhile_events_appear_without_gaps(cx: Arc<Context>) -> Outcome {
    const EACH: u64 = 40;
    for i in 0..8 {
        cx.account(&format!("u{i}")).await?;
    }
    let writers: Vec<JoinHandle<Outcome>> = (0..8)
        .map(|i| {
            let cx = cx.clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    let ops = vec![Op::Emit(Announce::Account), Op::Emit(Announce::Identity { handle: None })];
                    cx.apply(&did(&format!("u{i}")), ops).await?;
                }
                Ok(())
            })
        })
        .collect();
    let mut highest = 0;
    while highest < 8 * 2 * EACH {
        let window = cx.db().event_window().await?;
        let found = cx.db().events(Seq::ZERO, 10_000, usize::MAX).await?;
        assert!(found.iter().enumerate().all(|(i, event)| event.seq.get() == 1 + i as u64), "a gap");
        assert!(found.len() as u64 >= window.head.get(), "what the window said was there");
        assert!(found.len() as u64 >= highest, "what was seen is gone");
        highest = found.len() as u64;
        tokio::task::yield_now().await;
    }
    for writer in join_all(writers).await {
        writer.expect("no writer panics")?;
    }
    Ok(())
}

/// Who follows the change feed while eight write sees every position once, and can build the store from it.
pub(crate) async fn meanwhile_changes_are_followed_to_the_same_state(cx: Arc<Context>) -> Outcome {
    let writers: Vec<JoinHandle<Outcome>> = (0..8)
        .map(|i| {
            let cx = cx.clone();
            tokio::spawn(async move {
                let mut repo = cx.repo(&format!("u{i}")).await?;
                for j in 0..15 {
                    cx.write(&mut repo, &[put(&format!("{}", j % 4), &format!("{j}"))]).await?;
                    let taker = Op::PutRow { row: row("shared", &format!("{i}")), expect: Expect::Any };
                    cx.apply(&repo.did, vec![taker, Op::Emit(Announce::Account)]).await?;
                }
                Ok(())
            })
        })
        .collect();
    let model = Model::new(cx.options(), Arc::new(ManualClock::new(cx.now())));
    let last = Pos(8 * (2 + 15 * 2));
    let mut after = Pos(0);
    while after < last {
        for change in cx.db().changes(after, 11, usize::MAX).await? {
            assert_eq!(change.stamp.pos, Pos(after.0 + 1));
            after = change.stamp.pos;
            model.replay(change)?;
        }
        tokio::task::yield_now().await;
    }
    for writer in join_all(writers).await {
        writer.expect("no writer panics")?;
    }
    let (ours, theirs) = (crate::context::snapshot(&model).await?, cx.snapshot().await?);
    assert_eq!(digest::difference(&ours, &theirs), None, "left: the model, right: the store");
    Ok(())
}

/// Snapshots that are taken while six write: each is the state after its position, to the item.
pub(crate) async fn meanwhile_snapshots_are_of_their_position(cx: Arc<Context>) -> Outcome {
    let writers: Vec<JoinHandle<Outcome>> = (0..6)
        .map(|i| {
            let cx = cx.clone();
            tokio::spawn(async move {
                let mut repo = cx.repo(&format!("u{i}")).await?;
                for j in 0..12 {
                    cx.write(&mut repo, &[put("1", &format!("{j}"))]).await?;
                    cx.apply(&repo.did, vec![put_row(row(&format!("{i}"), &format!("{j}")))]).await?;
                }
                Ok(())
            })
        })
        .collect();
    let mut taken = Vec::new();
    while !writers.iter().all(JoinHandle::is_finished) || taken.is_empty() {
        let snapshot = cx.db().snapshot().await?;
        let items: Vec<Result<SnapshotItem>> = futures::StreamExt::collect(snapshot.items).await;
        taken.push((snapshot.pos, items.into_iter().collect::<Result<Vec<_>>>()?));
    }
    for writer in join_all(writers).await {
        writer.expect("no writer panics")?;
    }
    let changes = cx.db().changes(Pos(0), 10_000, usize::MAX).await?;
    let model = Model::new(cx.options(), Arc::new(ManualClock::new(cx.now())));
    let mut changes = changes.into_iter().peekable();
    for (pos, found) in taken {
        while let Some(change) = changes.next_if(|change| change.stamp.pos <= pos) {
            model.replay(change)?;
        }
        let expected = crate::context::snapshot(&model).await?;
        assert_eq!(digest::difference(&expected, &found), None, "left: the model at {pos}, right: the snapshot");
    }
    Ok(())
}

/// Sweeps of a few entries run while repos are written: what is live stays, what is due goes.
pub(crate) async fn meanwhile_sweeps_take_nothing_live(cx: Arc<Context>) -> Outcome {
    let mut old = cx.repo("old").await?;
    for i in 0..20 {
        cx.write(&mut old, &[put("a", &format!("{i}"))]).await?;
    }
    let gone = cx.repo("gone").await?;
    cx.apply(&gone.did, vec![Op::DeleteAccount]).await?;
    cx.pass_window();
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("a", "0"), put("b", "0")]).await?;
    let did = repo.did.clone();
    let writer = writer(&cx, repo, 30);
    let swept = async {
        while !cx.db().sweep(3).await?.done {}
        Outcome::Ok(())
    };
    tokio::time::timeout(PATIENCE, swept).await.expect("a sweep comes to its end while others write")?;
    writer.await.expect("the writer does not panic")?;
    assert_eq!(cx.db().records(&did, &query("com.example.note", 100)).await?.items.len(), 32);
    assert_eq!(cx.db().history(&did, None, 100).await?.items.len(), 32, "its past is in the window");
    assert_eq!(cx.db().history(&old.did, None, 100).await?.items.len(), 1);
    super::imports::state_is(&cx, &old).await
}
