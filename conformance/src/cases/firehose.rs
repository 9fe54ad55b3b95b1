//! The firehose.

use std::collections::BTreeMap;
use std::time::Duration;

use ipld_core::ipld::Ipld;
use serde_json::Value;

use super::prelude::*;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

async fn all(cx: &Context) -> Result<Vec<EventFrame>> {
    cx.db().events(Seq::ZERO, 10_000, usize::MAX).await
}

fn announce() -> Op {
    Op::Emit(Announce::Account)
}

pub(crate) async fn firehose_numbers_are_contiguous(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    for i in 0..10u64 {
        let receipt = cx.write(&mut repo, &[put("1", &format!("{i}"))]).await?;
        assert_eq!((receipt.first_seq, receipt.events), (Seq::new(2 + 3 * i)?, 1));
        let refused = vec![announce(), announce(), Op::TakeRow(row_key("no"))];
        cx.refused(&repo.did, refused, Reason::RowMissing).await?;
        let receipt = cx.apply(&repo.did, vec![announce(), put_row(row("k", "v")), announce()]).await?;
        assert_eq!((receipt.first_seq, receipt.events), (Seq::new(3 + 3 * i)?, 2));
        if i % 3 == 0 {
            cx.reopen().await;
        }
    }
    let numbers: Vec<u64> = all(&cx).await?.iter().map(|event| event.seq.get()).collect();
    assert_eq!(numbers, (1..=31).collect::<Vec<_>>());
    assert_eq!(cx.db().event_window().await?, EventWindow { oldest: Seq::new(1)?, head: Seq::new(31)? });
    Ok(())
}

pub(crate) async fn firehose_shows_acknowledged_events(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let identity = |word: &str| Op::Emit(Announce::Identity { handle: Some(handle(word)) });
    let ops = vec![identity("a"), announce(), identity("b"), Op::SetStatus(AccountStatus::Suspended), announce()];
    let receipt = cx.apply(&alice, ops).await?;
    let events = all(&cx).await?;
    assert_eq!(events.len(), receipt.events as usize);
    let told: Vec<String> = events
        .iter()
        .map(|event| {
            let frame = Frame::decode(&event.frame)?;
            assert_eq!((frame.int("seq"), event.at), (Some(i128::from(event.seq.get())), receipt.at));
            Ok(format!("{} {}", frame.t, frame.text("handle").or(frame.text("status")).unwrap_or_default()))
        })
        .collect::<Result<_>>()?;
    let expected =
        ["#identity a.example.com", "#account ", "#identity b.example.com", "#account suspended"].map(str::to_owned);
    assert_eq!(told, expected);
    Ok(())
}

pub(crate) async fn firehose_frames_never_change(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    for i in 0..10 {
        cx.write(&mut repo, &[put("1", &format!("{i}"))]).await?;
    }
    let first = all(&cx).await?;
    cx.apply(&repo.did, vec![Op::DeleteAccount, announce()]).await?;
    cx.pass_window();
    cx.db().checkpoint().await?;
    if cx.options().event_retention_micros > cx.options().history_window_micros {
        cx.sweep().await?;
    }
    for _ in 0..2 {
        cx.reopen().await;
        assert_eq!(all(&cx).await?[..11], first, "whatever became of the blocks that they carry");
    }
    Ok(())
}

pub(crate) async fn firehose_cursor_at_the_head(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let events = async |after| {
        let after = Seq::new(after).map_err(|e| e.reason())?;
        cx.db().events(after, 10, usize::MAX).await.map_err(|e| e.reason())
    };
    assert_eq!(events(0).await, Ok(vec![]));
    assert_eq!(events(1).await, Err(Reason::FutureCursor));
    cx.apply(&alice, vec![announce(), announce()]).await?;
    assert_eq!(events(1).await.map(|found| found.len()), Ok(1));
    assert_eq!(events(2).await, Ok(vec![]));
    assert_eq!(events(3).await, Err(Reason::FutureCursor));
    assert_eq!(events(limits::SEQ_MAX).await, Err(Reason::FutureCursor));
    Ok(())
}

pub(crate) async fn firehose_cursor_before_the_window(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    for _ in 0..4 {
        cx.apply(&alice, vec![announce()]).await?;
        cx.advance(10);
    }
    cx.set_time(Micros(START.0 + cx.options().event_retention_micros + 11));
    cx.sweep().await?;
    let first = async |after| {
        let after = Seq::new(after).map_err(|e| e.reason())?;
        let found = cx.db().events(after, 10, usize::MAX).await;
        found.map(|found| found.first().map(|event| event.seq.get())).map_err(|e| e.reason())
    };
    assert_eq!(first(0).await, Err(Reason::CursorGone));
    assert_eq!(first(1).await, Err(Reason::CursorGone));
    assert_eq!(first(2).await, Ok(Some(3)), "the last of what is gone: nothing is missed after it");
    assert_eq!(first(3).await, Ok(Some(4)));
    assert_eq!(first(4).await, Ok(None));
    Ok(())
}

/// The old root, found from the frame's own blocks by taking its operations back, the last path first.
async fn inverted(frame: &Frame, ops: &[RecordOp], blocks: &tree::BlockMap, data: Cid) -> Result<Cid> {
    assert_eq!(frame.t, "#commit");
    // Without operations there is nothing to prove, and no node need be there.
    if ops.is_empty() {
        return Ok(data);
    }
    let mut edit = tree::Edit::new(blocks, Some(data)).await?;
    let mut ops: Vec<&RecordOp> = ops.iter().collect();
    ops.sort_by(|a, b| b.path.cmp(&a.path));
    for op in ops {
        let key = tree::Key::from(&op.path);
        let found = match op.old {
            Some(old) => edit.insert(key, old).await?,
            None => edit.remove(key.as_str()).await?,
        };
        assert_eq!(found, op.new, "what the tree has at {}", op.path);
    }
    Ok(edit.finish().0)
}

pub(crate) async fn firehose_commit_frame_is_complete(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let initial: Vec<Write> = (0..40).map(|i| put(&format!("{i:03}"), &format!("old {i}"))).collect();
    cx.write(&mut repo, &initial).await?;
    let steps = [
        vec![put("010x", "new")],
        vec![put("020", "changed")],
        vec![Write::Delete(path("com.example.note/030"))],
        vec![put("000", "a"), Write::Delete(path("com.example.note/001")), put("new", "old 5"), put("039", "z")],
        vec![],
    ];
    for writes in steps {
        let before = repo.clone();
        let draft = repo.draft(&writes);
        let commit = draft.commit.clone();
        cx.advance(1_234);
        let receipt = cx.send(&mut repo, draft).await?;
        let event = cx.db().events(Seq::new(receipt.first_seq.get() - 1)?, 1, usize::MAX).await?.remove(0);
        let frame = Frame::decode(&event.frame)?;
        assert_eq!((frame.op, frame.t.as_str()), (1, "#commit"));
        commit_fields_are_right(&frame, &before, &commit, &receipt);
        let (root, order, blocks) = frame.car()?;
        assert_eq!((root, order[0]), (commit.head.cid, commit.head.cid), "the commit is the root and comes first");
        for op in &commit.records {
            assert!(op.new.is_none_or(|cid| blocks.get(&cid).is_some()), "the record of {} is carried", op.path);
        }
        assert_eq!(Some(inverted(&frame, &commit.records, &blocks, commit.data).await?), before.data);
    }
    Ok(())
}

fn commit_fields_are_right(frame: &Frame, before: &SceneRepo, commit: &RepoCommit, receipt: &Receipt) {
    let names =
        ["blobs", "blocks", "commit", "ops", "prevData", "rebase", "repo", "rev", "seq", "since", "time", "tooBig"];
    assert_eq!(frame.fields(), names);
    assert_eq!(frame.int("seq"), Some(i128::from(receipt.first_seq.get())));
    assert_eq!(frame.text("repo"), Some(before.did.as_str()));
    assert_eq!(frame.text("rev"), Some(commit.head.rev.to_string().as_str()));
    assert_eq!(frame.text("since"), before.head.map(|head| head.rev.to_string()).as_deref());
    assert_eq!(frame.text("time"), Some(receipt.at.to_rfc3339().as_str()));
    assert_eq!(frame.body["commit"], as_link(&commit.head.cid));
    assert_eq!(frame.body["prevData"], as_link(&before.data.expect("a root")));
    assert_eq!(frame.body["rebase"], Ipld::Bool(false));
    assert_eq!(frame.body["tooBig"], Ipld::Bool(false));
    assert_eq!(frame.body["blobs"], Ipld::List(Vec::new()));
    let link_or_null = |cid: Option<Cid>| cid.map_or(Ipld::Null, |cid| as_link(&cid));
    let ops = commit.records.iter().map(|op| {
        let action = match (op.old, op.new) {
            (None, _) => "create",
            (Some(_), Some(_)) => "update",
            (Some(_), None) => "delete",
        };
        let mut map = BTreeMap::from([
            ("action".to_owned(), Ipld::String(action.into())),
            ("cid".to_owned(), link_or_null(op.new)),
            ("path".to_owned(), Ipld::String(op.path.as_str().into())),
        ]);
        if let Some(old) = op.old {
            map.insert("prev".to_owned(), as_link(&old));
        }
        Ipld::Map(map)
    });
    assert_eq!(frame.body["ops"], Ipld::List(ops.collect()));
}

pub(crate) async fn firehose_first_commit_has_no_past(cx: Arc<Context>) -> Outcome {
    cx.repo("alice").await?;
    let frame = Frame::decode(&all(&cx).await?[0].frame)?;
    assert_eq!(frame.body["since"], Ipld::Null);
    assert!(!frame.body.contains_key("prevData"));
    Ok(())
}

/// The fields and their sorts are those that the network sends. The captures are from before Sync 1.1, which added
/// `prevData` and took `prev` away.
pub(crate) async fn firehose_commit_frame_has_the_networks_shape(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "x"), put("2", "y")]).await?;
    let writes = [put("1", "changed"), Write::Delete(path("com.example.note/2")), put("3", "new")];
    cx.write(&mut repo, &writes).await?;
    let events = all(&cx).await?;
    let ours = Frame::decode(&events[events.len() - 1].frame)?;
    let Some(folder) = fixtures() else { return Ok(()) };
    for name in ["4621317030", "4621317332", "4621332152", "4623075231"] {
        let file = format!("{folder}/firehose/firehose_commit_{name}.json");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        let theirs: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
        for (field, value) in theirs.iter().filter(|(field, _)| *field != "prev") {
            let found = ours.body.get(field).unwrap_or_else(|| panic!("{file}: no {field} in our frame"));
            assert!(is_alike(found, value), "{file}: {field} is {value}, ours is {found:?}");
        }
        let added: Vec<&str> = ours.fields().into_iter().filter(|field| !theirs.contains_key(*field)).collect();
        assert_eq!(added, ["prevData"], "{file}");
        let (Ipld::List(ops), Value::Array(their_ops)) = (&ours.body["ops"], &theirs["ops"]) else {
            panic!("{file}: ops is not a list")
        };
        let (Ipld::Map(op), Value::Object(their_op)) = (&ops[2], &their_ops[0]) else { panic!("{file}: an op") };
        assert!(op.keys().eq(their_op.keys()), "{file}: a creation has the fields {:?}", op.keys());
    }
    Ok(())
}

/// If a value is of the sort that the capture has, in JSON's spelling of the data model. The capture wrote an empty list,
/// and a first `since`, as null.
fn is_alike(ours: &Ipld, theirs: &Value) -> bool {
    match theirs {
        Value::Null => matches!(ours, Ipld::Null | Ipld::List(_) | Ipld::String(_)),
        Value::Bool(_) => matches!(ours, Ipld::Bool(_)),
        Value::Number(_) => matches!(ours, Ipld::Integer(_)),
        Value::String(_) => matches!(ours, Ipld::String(_)),
        Value::Array(_) => matches!(ours, Ipld::List(_)),
        Value::Object(map) if map.contains_key("$bytes") => matches!(ours, Ipld::Bytes(_)),
        Value::Object(map) if map.contains_key("$link") => matches!(ours, Ipld::Link(_)),
        Value::Object(_) => matches!(ours, Ipld::Map(_)),
    }
}

/// The folder of public test data. Without it a case that needs it is passed over, but not on a build server.
fn fixtures() -> Option<String> {
    let folder = std::env::var("FIXTURES").ok();
    if folder.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "FIXTURES is not set");
        println!("passed over: FIXTURES is not set");
    }
    folder
}

pub(crate) async fn firehose_sync_frame_carries_the_commit(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    cx.write(&mut repo, &[put("1", "x")]).await?;
    let sync = cx.mutation(&repo.did, vec![Op::Emit(Announce::Sync)], vec![repo.commit_block()]);
    let receipt = cx.db().apply(sync).await?;
    let frame = Frame::decode(&all(&cx).await?[2].frame)?;
    assert_eq!((frame.op, frame.t.as_str()), (1, "#sync"));
    assert_eq!(frame.fields(), ["blocks", "did", "rev", "seq", "time"]);
    assert_eq!(frame.text("did"), Some(repo.did.as_str()));
    assert_eq!(frame.text("rev"), repo.head.map(|head| head.rev.to_string()).as_deref());
    assert_eq!(frame.int("seq"), Some(i128::from(receipt.first_seq.get())));
    let (root, order, blocks) = frame.car()?;
    assert_eq!((Some(root), order.len()), (repo.head.map(|head| head.cid), 1));
    assert_eq!(blocks.get(&root), Some(&repo.commit));
    Ok(())
}

pub(crate) async fn firehose_account_frames_tell_every_status(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let statuses = AccountStatus::ALL.into_iter().filter(|status| *status != AccountStatus::Deleted);
    for status in statuses.clone() {
        cx.apply(&alice, vec![Op::SetStatus(status), announce()]).await?;
    }
    cx.apply(&alice, vec![Op::DeleteAccount, announce()]).await?;
    for (status, event) in statuses.chain([AccountStatus::Deleted]).zip(all(&cx).await?) {
        let frame = Frame::decode(&event.frame)?;
        assert_eq!((frame.op, frame.t.as_str(), frame.text("did")), (1, "#account", Some(alice.as_str())));
        let active = status == AccountStatus::Active;
        assert_eq!(frame.body["active"], Ipld::Bool(active), "{status:?}");
        assert_eq!(frame.text("status"), status.label());
        assert_eq!(frame.body.len(), 4 + usize::from(!active));
        assert_eq!(frame.text("time"), Some("2026-01-02T03:04:05.678Z"));
    }
    Ok(())
}

pub(crate) async fn firehose_identity_frames(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let identity = |handle| Op::Emit(Announce::Identity { handle });
    cx.apply(&alice, vec![identity(None), identity(Some(handle("alice")))]).await?;
    let events = all(&cx).await?;
    let frames = [Frame::decode(&events[0].frame)?, Frame::decode(&events[1].frame)?];
    assert_eq!(frames[0].fields(), ["did", "seq", "time"]);
    assert_eq!(frames[1].fields(), ["did", "handle", "seq", "time"]);
    assert_eq!(frames[1].text("handle"), Some("alice.example.com"));
    assert!(frames.iter().all(|frame| frame.t == "#identity" && frame.text("did") == Some(alice.as_str())));
    Ok(())
}

pub(crate) async fn firehose_limits_hold(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    for i in 0..12 {
        cx.write(&mut repo, &[put("1", &"x".repeat(100 * i))]).await?;
    }
    let events = all(&cx).await?;
    for limit in [1, 2, 5, 13, 14] {
        let found = cx.db().events(Seq::ZERO, limit, usize::MAX).await?;
        assert_eq!(found, events[..limit.min(13)]);
    }
    let size = |count: usize| events[..count].iter().map(|event| event.frame.len()).sum::<usize>();
    for count in 1..=13 {
        for (bytes_max, expected) in [(size(count) - 1, (count - 1).max(1)), (size(count), count)] {
            let found = cx.db().events(Seq::ZERO, 100, bytes_max).await?;
            assert_eq!(found.len(), expected, "{bytes_max} bytes");
        }
    }
    assert_eq!(cx.db().events(Seq::ZERO, 100, 0).await?.len(), 1, "at least one");
    Ok(())
}

pub(crate) async fn firehose_read_in_parts_is_whole(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    for _ in 0..50 {
        cx.apply(&alice, vec![announce()]).await?;
    }
    let whole = all(&cx).await?;
    for (limit, bytes_max) in [(1, usize::MAX), (7, usize::MAX), (1_000, 300), (1_000, 1)] {
        let (mut found, mut after) = (Vec::new(), Seq::ZERO);
        loop {
            let some = cx.db().events(after, limit, bytes_max).await?;
            let Some(last) = some.last() else { break };
            after = last.seq;
            found.extend(some);
        }
        assert_eq!(found, whole, "limit {limit}, {bytes_max} bytes");
    }
    Ok(())
}

/// Long enough for a machine that is busy with other things; never waited for when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn firehose_wait_wakes(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let waiters: Vec<_> = (0..16)
        .map(|_| {
            let db = cx.db();
            tokio::spawn(async move { db.wait_events(Seq::ZERO).await })
        })
        .collect();
    tokio::task::yield_now().await;
    cx.apply(&alice, vec![put_row(row("k", "v"))]).await?;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()), "a mutation without an event wakes nobody");
    cx.apply(&alice, vec![announce()]).await?;
    for waiter in waiters {
        let seq = tokio::time::timeout(PATIENCE, waiter).await.expect("woken").expect("no waiter panics")?;
        assert_eq!(seq, Seq::new(1)?);
        assert_eq!(cx.db().events(Seq::ZERO, 10, usize::MAX).await?.len(), 1, "who was woken can read it");
    }
    cx.apply(&alice, vec![announce()]).await?;
    let at_once = tokio::time::timeout(PATIENCE, cx.db().wait_events(Seq::new(1)?)).await.expect("at once")?;
    assert_eq!(at_once, Seq::new(2)?);
    cx.reopen().await;
    let reopened = tokio::time::timeout(PATIENCE, cx.db().wait_events(Seq::ZERO)).await.expect("at once")?;
    assert_eq!(reopened, Seq::new(2)?);
    Ok(())
}

/// A subscriber that reads while others write misses nothing and sees nothing twice.
pub(crate) async fn firehose_follower_sees_every_event_once(cx: Arc<Context>) -> Outcome {
    const EVENTS: u64 = 300;
    let alice = cx.account("alice").await?;
    let follower = {
        let db = cx.db();
        tokio::spawn(async move {
            let mut seen: Vec<EventFrame> = Vec::new();
            let mut after = Seq::ZERO;
            while after.get() < EVENTS {
                db.wait_events(after).await?;
                let some = db.events(after, 17, usize::MAX).await?;
                assert!(!some.is_empty(), "woken for nothing");
                after = some.last().map_or(after, |event| event.seq);
                seen.extend(some);
            }
            answer(seen)
        })
    };
    let writers = (0..3).map(|_| {
        let (cx, alice) = (cx.clone(), alice.clone());
        tokio::spawn(async move {
            for _ in 0..EVENTS / 3 {
                cx.apply(&alice, vec![announce()]).await?;
            }
            Outcome::Ok(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no writer panics")?;
    }
    let seen = tokio::time::timeout(PATIENCE, follower).await.expect("in time").expect("no panic")?;
    let numbers: Vec<u64> = seen.iter().map(|event| event.seq.get()).collect();
    assert_eq!(numbers, (1..=EVENTS).collect::<Vec<_>>());
    assert_eq!(seen, all(&cx).await?);
    Ok(())
}
