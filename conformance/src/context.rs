//! What a case works with: the store, its clock, and short ways to write.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use backend_api::mutation::NewAccount;
use backend_api::{
    AccountStatus, Backend, Block, Did, IdempotencyKey, Micros, Mutation, Op, Reason, Receipt, Result, SnapshotItem,
    VerifyLevel,
};
use futures::StreamExt as _;

use crate::fixture::{Fixture, Options};
use crate::outcome::{Failure, Outcome};
use crate::scene::{self, Draft, SceneRepo, Write};

/// When every case begins: 2026-01-02T03:04:05.678901Z.
pub const START: Micros = Micros(1_767_323_045_678_901);

/// One store under test.
pub struct Context {
    fixture: Box<dyn Fixture>,
    backend: Mutex<Arc<dyn Backend>>,
    now_micros: AtomicU64,
    keys: AtomicU64,
}

impl Context {
    /// Opens the store of a fixture.
    pub async fn open(fixture: impl Fixture) -> Arc<Self> {
        fixture.set_time(START);
        let backend = Mutex::new(fixture.open().await);
        let (now_micros, keys) = (AtomicU64::new(START.0), AtomicU64::new(0));
        Arc::new(Self { fixture: Box::new(fixture), backend, now_micros, keys })
    }

    /// The store.
    pub fn db(&self) -> Arc<dyn Backend> {
        self.backend.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the store and opens it again.
    pub async fn reopen(&self) {
        let backend = self.fixture.reopen(self.db()).await;
        *self.backend.lock().unwrap_or_else(PoisonError::into_inner) = backend;
    }

    /// How the store is set up.
    pub fn options(&self) -> Options {
        self.fixture.options()
    }

    /// The time on the store's clock.
    pub fn now(&self) -> Micros {
        Micros(self.now_micros.load(Ordering::SeqCst))
    }

    /// Sets the store's clock.
    pub fn set_time(&self, now: Micros) {
        self.now_micros.store(now.0, Ordering::SeqCst);
        self.fixture.set_time(now);
    }

    /// Lets time pass.
    pub fn advance(&self, micros: u64) {
        self.set_time(Micros(self.now().0 + micros));
    }

    /// Lets the history window pass.
    pub fn pass_window(&self) {
        self.advance(self.options().history_window_micros);
    }

    /// A key that was not used before.
    pub fn key(&self) -> IdempotencyKey {
        let mut key = [0; 16];
        key[8..].copy_from_slice(&self.keys.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        IdempotencyKey(key)
    }

    /// A mutation under a new key.
    pub fn mutation(&self, did: &Did, ops: Vec<Op>, blocks: Vec<Block>) -> Mutation {
        Mutation { did: did.clone(), key: self.key(), ops, blocks }
    }

    /// Applies operations under a new key.
    pub async fn apply(&self, did: &Did, ops: Vec<Op>) -> Result<Receipt> {
        self.db().apply(self.mutation(did, ops, Vec::new())).await
    }

    /// Creates an active account with the handle and address of `word`.
    pub async fn account(&self, word: &str) -> Result<Did> {
        let did = scene::did(word);
        self.apply(&did, vec![create_account(word)]).await?;
        Ok(did)
    }

    /// Creates an account with an empty repo.
    pub async fn repo(&self, word: &str) -> Result<SceneRepo> {
        let mut repo = SceneRepo::new(self.account(word).await?);
        self.write(&mut repo, &[]).await?;
        Ok(repo)
    }

    /// Commits.
    pub async fn write(&self, repo: &mut SceneRepo, writes: &[Write]) -> Result<Receipt> {
        self.send(repo, repo.draft(writes)).await
    }

    /// Sends a commit that was made before.
    pub async fn send(&self, repo: &mut SceneRepo, draft: Draft) -> Result<Receipt> {
        let receipt = self.db().apply(draft.mutation(self.key())).await?;
        *repo = draft.after;
        Ok(receipt)
    }

    /// Sweeps until nothing that is due is left.
    pub async fn sweep(&self) -> Result<()> {
        while !self.db().sweep(1_000_000).await?.done {}
        Ok(())
    }

    /// Everything that is stored.
    pub async fn snapshot(&self) -> Result<Vec<SnapshotItem>> {
        snapshot(&*self.db()).await
    }

    /// What a refused mutation answers. Fails if it is taken, or leaves a trace.
    #[track_caller]
    pub fn refusal(&self, mutation: Mutation) -> impl Future<Output = Outcome<Reason>> + use<'_> {
        let at = std::panic::Location::caller();
        async move {
            let before = (self.db().position().await?, self.db().event_window().await?);
            let reason = match self.db().apply(mutation).await {
                Ok(receipt) => return Err(Failure::at(at, format!("was taken at position {}", receipt.pos))),
                Err(e) => e.reason(),
            };
            let after = (self.db().position().await?, self.db().event_window().await?);
            assert_eq!(before, after, "a refusal ({reason:?}) at {at} left a trace");
            Ok(reason)
        }
    }

    /// Expects a refusal.
    #[track_caller]
    pub fn refused(&self, did: &Did, ops: Vec<Op>, expected: Reason) -> impl Future<Output = Outcome> + use<'_> {
        self.mutation_refused(self.mutation(did, ops, Vec::new()), expected)
    }

    /// Expects a refusal.
    #[track_caller]
    pub fn mutation_refused(&self, mutation: Mutation, expected: Reason) -> impl Future<Output = Outcome> + use<'_> {
        let at = std::panic::Location::caller();
        let refusal = self.refusal(mutation);
        async move {
            match refusal.await? {
                reason if reason == expected => Ok(()),
                reason => Err(Failure::at(at, format!("was refused with {reason:?} instead of {expected:?}"))),
            }
        }
    }

    /// What holds after every case: the store finds itself sound, and is the same after a reopen.
    pub async fn finish(&self) -> Outcome {
        if self.db().position().await.is_err() {
            self.reopen().await;
        }
        let before = self.snapshot().await?;
        let report = self.db().verify(VerifyLevel::Deep).await?;
        assert!(report.problems.is_empty(), "verify finds problems: {:#?}", report.problems);
        self.reopen().await;
        let after = self.snapshot().await?;
        if let Some(difference) = crate::digest::difference(&before, &after) {
            return Err(Failure::new(format!("the store is another one after a reopen: {difference}")));
        }
        Ok(())
    }
}

/// Everything that a store holds.
///
/// # Errors
/// What the store answers.
pub async fn snapshot(backend: &dyn Backend) -> Result<Vec<SnapshotItem>> {
    let mut items = backend.snapshot().await?.items;
    let mut out = Vec::new();
    while let Some(item) = items.next().await {
        out.push(item?);
    }
    Ok(out)
}

/// An active account with the handle and address of `word`.
#[must_use]
pub fn create_account(word: &str) -> Op {
    Op::CreateAccount(NewAccount {
        handle: Some(scene::handle(word)),
        email: Some(scene::email(word)),
        password_hash: Some("a hash".into()),
        status: AccountStatus::Active,
    })
}
