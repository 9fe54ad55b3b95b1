//! The snapshot.

use futures::StreamExt as _;

use super::prelude::*;
use crate::clock::ManualClock;
use crate::model::Model;

pub(crate) async fn snapshot_is_consistent(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    for i in 0..20 {
        let note = path(&format!("com.example.note/{i}"));
        cx.write(&mut repo, &[Write::Put(note, content(&format!("{i}")))]).await?;
    }
    let expected = cx.snapshot().await?;
    let mut taken = cx.db().snapshot().await?;
    assert_eq!(taken.pos, cx.db().position().await?);
    let mut found = Vec::new();
    // Between any two items something is written, deleted, swept.
    while let Some(item) = taken.items.next().await {
        found.push(item?);
        match found.len() {
            10 => drop(cx.write(&mut repo, &[Write::Delete(path("com.example.note/3"))]).await?),
            20 => drop(cx.apply(&repo.did, vec![put_row(row("k", "v"))]).await?),
            30 => drop(cx.apply(&repo.did, vec![Op::DeleteAccount]).await?),
            40 => {
                cx.advance(cx.options().history_window_micros + cx.options().event_retention_micros + 1);
                cx.sweep().await?;
            }
            _ => {}
        }
    }
    assert!(found.len() > 40);
    assert_eq!(digest::difference(&expected, &found), None, "left: before, right: read while all of it went");
    Ok(())
}

fn sort(item: &SnapshotItem) -> u8 {
    match item {
        SnapshotItem::Account(_) => 0,
        SnapshotItem::Repo(_) => 1,
        SnapshotItem::Block { .. } => 2,
        SnapshotItem::Record(..) => 3,
        SnapshotItem::Commit(..) => 4,
        SnapshotItem::Blob(..) => 5,
        SnapshotItem::Row(_) => 6,
        SnapshotItem::Receipt(..) => 7,
        SnapshotItem::Sweep(..) => 8,
        SnapshotItem::Event(_) => 9,
    }
}

/// One of everything, by the store under test and by the model.
pub(crate) async fn snapshot_equals_the_models(cx: Arc<Context>) -> Outcome {
    let clock = Arc::new(ManualClock::new(cx.now()));
    let model = Model::new(cx.options(), clock.clone());
    let mut repo = SceneRepo::new(did("alice"));
    let noted = content("x").with_blob(blob_cid("b")).with_link(link("f", "t"));
    let mut script = vec![(repo.did.clone(), vec![create_account("alice")], Vec::new())];
    for writes in [
        vec![],
        vec![Write::Put(path("com.example.note/1"), noted.clone()), Write::Put(path("com.example.other/2"), noted)],
        vec![Write::Delete(path("com.example.other/2"))],
    ] {
        let draft = repo.draft(&writes);
        script.push((repo.did.clone(), vec![draft.op()], draft.blocks.clone()));
        repo = draft.after;
    }
    let full = Row {
        owner: Some(repo.did.clone()),
        unique: vec![b"u".to_vec()],
        lookup: vec![b"l".to_vec()],
        expires_at: Some(Micros(START.0 + 1)),
        ..row("k", "v")
    };
    let blob = Op::PutBlob { cid: blob_cid("b"), mime: "image/png".into(), bytes: 7 };
    script.push((repo.did.clone(), vec![blob, put_row(full)], Vec::new()));
    script.push((repo.did.clone(), vec![Op::BeginImport], vec![]));
    script.push((repo.did.clone(), vec![Op::BeginImport, Op::Purge, Op::Emit(Announce::Account)], vec![]));
    script.push((did("bob"), vec![create_account("bob"), Op::Emit(Announce::Identity { handle: None })], vec![]));
    script.push((did("bob"), vec![Op::DeleteAccount, Op::Emit(Announce::Account)], vec![]));
    for (i, (did, ops, blocks)) in script.into_iter().enumerate() {
        cx.advance(10);
        clock.set(cx.now());
        let mutation = cx.mutation(&did, ops, blocks);
        assert_eq!(model.apply(mutation.clone()).await?, cx.db().apply(mutation).await?, "step {i}");
    }
    let (ours, theirs) = (crate::context::snapshot(&model).await?, cx.snapshot().await?);
    assert_eq!(digest::difference(&ours, &theirs), None, "left: the model, right: the store");
    assert!(theirs.is_sorted_by_key(sort), "by sort");
    let sorts: std::collections::BTreeSet<u8> = theirs.iter().map(sort).collect();
    assert_eq!(sorts.len(), 10, "one of everything");
    Ok(())
}

pub(crate) async fn snapshot_items_are_in_order_of_keys(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("zoe").await?;
    for word in ["b", "ab", "a", "aa"] {
        cx.account(word).await?;
        let note = path(&format!("com.example.note/{word}"));
        cx.write(&mut repo, &[Write::Put(note, content(word))]).await?;
        let blob = Op::PutBlob { cid: blob_cid(word), mime: "a/b".into(), bytes: 1 };
        cx.apply(&repo.did, vec![blob, put_row(row(word, "v"))]).await?;
    }
    let items = cx.snapshot().await?;
    for pair in items.windows(2) {
        let ordered = match pair {
            [SnapshotItem::Account(a), SnapshotItem::Account(b)] => a.did < b.did,
            [SnapshotItem::Repo(a), SnapshotItem::Repo(b)] => a.id < b.id,
            [SnapshotItem::Block { repo: r, cid: a, .. }, SnapshotItem::Block { repo: s, cid: b, .. }] => {
                (r, a) < (s, b)
            }
            [SnapshotItem::Record(r, a, _), SnapshotItem::Record(s, b, _)] => (r, a) < (s, b),
            [SnapshotItem::Commit(r, a, _), SnapshotItem::Commit(s, b, _)] => (r, a) < (s, b),
            [SnapshotItem::Blob(r, a), SnapshotItem::Blob(s, b)] => (r, a.cid) < (s, b.cid),
            [SnapshotItem::Row(a), SnapshotItem::Row(b)] => a.key < b.key,
            [SnapshotItem::Receipt(r, a, _), SnapshotItem::Receipt(s, b, _)] => (r, a) < (s, b),
            [SnapshotItem::Sweep(a, _), SnapshotItem::Sweep(b, _)] => a < b,
            [SnapshotItem::Event(a), SnapshotItem::Event(b)] => a.seq < b.seq,
            [a, b] => sort(a) < sort(b),
            _ => false,
        };
        assert!(ordered, "{:?} before {:?}", pair[0], pair[1]);
    }
    Ok(())
}
