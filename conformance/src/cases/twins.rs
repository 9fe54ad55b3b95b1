//! The same history on the store and on the model: the same receipts, the same frames byte for byte, the same items.

use super::imports::{foreign, steps};
use super::prelude::*;
use crate::clock::ManualClock;
use crate::model::Model;

fn put(rkey: &str, text: &str) -> Write {
    Write::Put(path(&format!("com.example.note/{rkey}")), content(text))
}

/// The store under test and the model, written alike.
struct Twins {
    cx: Arc<Context>,
    model: Model,
    clock: Arc<ManualClock>,
}

impl Twins {
    fn new(cx: Arc<Context>) -> Self {
        let clock = Arc::new(ManualClock::new(cx.now()));
        Self { model: Model::new(cx.options(), clock.clone()), clock, cx }
    }

    fn set_time(&self, now: Micros) {
        self.cx.set_time(now);
        self.clock.set(now);
    }

    async fn apply(&self, mutation: Mutation) -> Result<Receipt> {
        let answers = (self.model.apply(mutation.clone()).await, self.cx.db().apply(mutation).await);
        let told = |answer: &Result<Receipt>| answer.clone().map_err(|e| e.reason());
        assert_eq!(told(&answers.0), told(&answers.1), "left: the model, right: the store");
        answers.1
    }

    async fn ops(&self, did: &Did, ops: Vec<Op>) -> Result<Receipt> {
        self.apply(self.cx.mutation(did, ops, Vec::new())).await
    }

    async fn write(&self, repo: &mut SceneRepo, writes: &[Write]) -> Result<Receipt> {
        let draft = repo.draft(writes);
        let receipt = self.apply(draft.mutation(self.cx.key())).await?;
        *repo = draft.after;
        Ok(receipt)
    }

    async fn repo(&self, word: &str) -> Result<SceneRepo> {
        let mut repo = SceneRepo::new(did(word));
        self.ops(&repo.did, vec![create_account(word)]).await?;
        self.write(&mut repo, &[]).await?;
        Ok(repo)
    }

    /// Everything that both hold, before and after a reopen.
    async fn are_alike(&self) -> Outcome {
        for reopened in [false, true] {
            let (ours, theirs) = (crate::context::snapshot(&self.model).await?, self.cx.snapshot().await?);
            assert_eq!(digest::difference(&ours, &theirs), None, "left: the model, right: the store");
            let frames = self.model.events(Seq::ZERO, 10_000, usize::MAX).await?;
            assert!(!frames.is_empty());
            assert!(
                frames == self.cx.db().events(Seq::ZERO, 10_000, usize::MAX).await?,
                "frames, reopened: {reopened}"
            );
            self.cx.reopen().await;
        }
        Ok(())
    }
}

pub(crate) async fn twins_of_commits_of_every_sort(cx: Arc<Context>) -> Outcome {
    let twins = Twins::new(cx);
    let mut repo = twins.repo("alice").await?;
    let many: Vec<Write> = (0..100).map(|i| put(&format!("{i:03}"), &format!("{}", i % 9))).collect();
    let noted = content("x").with_blob(blob_cid("b")).with_link(link("subject", "did:plc:bob"));
    for (i, writes) in [
        many,
        vec![put("000", "changed"), Write::Delete(path("com.example.note/050")), put("new", "1")],
        vec![Write::Put(path("com.example.other/1"), noted)],
        vec![],
        vec![put("new", "1")],
        vec![Write::Delete(path("com.example.other/1"))],
    ]
    .iter()
    .enumerate()
    {
        twins.set_time(Micros(START.0 + 1_001 * i as u64));
        twins.write(&mut repo, writes).await?;
    }
    let all: Vec<Write> = repo.records.keys().cloned().map(Write::Delete).collect();
    twins.write(&mut repo, &all).await?;
    twins.are_alike().await
}

pub(crate) async fn twins_of_every_event_in_one_mutation(cx: Arc<Context>) -> Outcome {
    let twins = Twins::new(cx);
    let draft = SceneRepo::new(did("alice")).draft(&[put("1", "x")]);
    let identity = |handle| Op::Emit(Announce::Identity { handle });
    let ops = vec![
        create_account("alice"),
        identity(Some(handle("alice"))),
        Op::Emit(Announce::Account),
        draft.op(),
        Op::Emit(Announce::Sync),
        identity(None),
        Op::SetStatus(AccountStatus::Throttled),
        Op::Emit(Announce::Account),
        Op::DeleteAccount,
    ];
    // A mutation creates or deletes an account, not both.
    let both = twins.apply(twins.cx.mutation(&did("alice"), ops.clone(), draft.blocks.clone())).await;
    assert_eq!(both.map_err(|e| e.reason()), Err(Reason::BadRequest));
    let receipt = twins.apply(twins.cx.mutation(&did("alice"), ops[..8].to_vec(), draft.blocks.clone())).await?;
    assert_eq!((receipt.events, receipt.first_seq), (6, Seq::new(1)?));
    twins.are_alike().await
}

pub(crate) async fn twins_of_a_life_its_end_and_the_next(cx: Arc<Context>) -> Outcome {
    let twins = Twins::new(cx);
    for life in 0..3u64 {
        twins.set_time(Micros(START.0 + 10_000 * life));
        let mut repo = twins.repo("alice").await?;
        let noted = content(&format!("{}", life % 2)).with_blob(blob_cid("b")).with_link(link("f", "t"));
        twins.ops(&repo.did, vec![Op::PutBlob { cid: blob_cid("b"), mime: "a/b".into(), bytes: life }]).await?;
        twins.write(&mut repo, &[Write::Put(path("com.example.note/1"), noted), put("2", "x")]).await?;
        let owned = Row { owner: Some(repo.did.clone()), unique: vec![b"u".to_vec()], ..row("k", "v") };
        twins.ops(&repo.did, vec![put_row(owned)]).await?;
        twins.ops(&repo.did, vec![Op::DeleteAccount, Op::Emit(Announce::Account)]).await?;
    }
    twins.are_alike().await?;
    let window = twins.cx.options().history_window_micros;
    twins.set_time(Micros(START.0 + window + 10_000));
    twins.cx.sweep().await?;
    while !twins.model.sweep(1_000).await?.done {}
    let (ours, theirs) = (crate::context::snapshot(&twins.model).await?, twins.cx.snapshot().await?);
    assert_eq!(digest::difference(&ours, &theirs), None, "swept up to the second life");
    Ok(())
}

pub(crate) async fn twins_of_an_import_and_its_announcement(cx: Arc<Context>) -> Outcome {
    let twins = Twins::new(cx);
    let mut repo = twins.repo("alice").await?;
    twins.write(&mut repo, &[put("1", "new 1"), put("2", "old")]).await?;
    let other = foreign(&repo, 12, "new");
    let import = RepoId(twins.ops(&repo.did, vec![Op::BeginImport]).await?.pos.0);
    twins.apply(twins.cx.mutation(&repo.did, vec![Op::ImportBlocks { import }], other.blocks())).await?;
    for step in steps(import, &other, 5) {
        twins.ops(&repo.did, vec![step]).await?;
    }
    let mut last = super::imports::finish(&twins.cx, import, &other, repo.head);
    last.ops.push(Op::Emit(Announce::Sync));
    twins.apply(last).await?;
    let mut repo = other;
    twins.write(&mut repo, &[put("0001", "written here")]).await?;
    twins.are_alike().await
}

/// Clocks that stand, jump and go back are in receipts, frames and rows alike.
pub(crate) async fn twins_under_a_clock_that_jumps(cx: Arc<Context>) -> Outcome {
    let twins = Twins::new(cx);
    let mut repo = twins.repo("alice").await?;
    let offsets = [0, 0, 5_000_000_000, 1, 999, 5_000_000_000, 5_000_000_001, 0, 86_400_000_000_000];
    for (i, offset) in offsets.into_iter().enumerate() {
        twins.set_time(Micros(START.0 + offset));
        twins.write(&mut repo, &[put("1", &format!("{i}"))]).await?;
        let expires_at = Some(Micros(START.0 + 5_000_000_000));
        let _ = twins
            .ops(&repo.did, vec![Op::PutRow { row: Row { expires_at, ..row("k", "v") }, expect: Expect::Absent }])
            .await;
    }
    twins.are_alike().await
}

/// Batches in which some are refused.
pub(crate) async fn twins_of_batches_with_refusals(cx: Arc<Context>) -> Outcome {
    let twins = Twins::new(cx);
    let mut repo = twins.repo("alice").await?;
    for round in 0..6 {
        let (first, second) =
            (repo.draft(&[put("1", &format!("{round}"))]), repo.draft_signed(&[put("2", "x")], b"late"));
        let third = first.after.draft(&[put("3", &format!("{round}"))]);
        let key = twins.cx.key();
        let batch = vec![
            first.mutation(key),
            second.mutation(twins.cx.key()),
            first.mutation(key),
            third.mutation(twins.cx.key()),
            twins.cx.mutation(&did("nobody"), vec![Op::Emit(Announce::Account)], Vec::new()),
            twins.cx.mutation(&repo.did, vec![Op::Emit(Announce::Account), Op::Purge], Vec::new()),
        ];
        let answers = (twins.model.apply_many(batch.clone()).await, twins.cx.db().apply_many(batch).await);
        let told = |all: Vec<Result<Receipt>>| all.into_iter().map(|a| a.map_err(|e| e.reason())).collect::<Vec<_>>();
        let (ours, theirs) = (told(answers.0), told(answers.1));
        assert_eq!(ours, theirs, "round {round}");
        assert_eq!(ours.iter().filter(|answer| answer.is_ok()).count(), 4);
        repo = third.after;
    }
    twins.are_alike().await
}
