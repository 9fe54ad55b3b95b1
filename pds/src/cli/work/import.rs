//! `import`: a repository comes in from a CAR file, keeping its DID, its commit and its rev.
//!
//! The file is read three times: to hash and index it, to walk and check the whole tree, and to write. So a file that is
//! refused has written nothing, and a step of the writing can fail only for reasons of the store. The signature of the
//! commit is not checked: that takes the DID's document, and an import works without a network.

use std::fs::File;
use std::sync::Arc;

use backend_api::mutation::{Announce, FinishImport, NewAccount};
use backend_api::{
    Account, AccountName, AccountStatus, At, Backend, Block, Checked, Error, Head, Mutation, Op, Reason, RepoId, Result,
};
use tokio::sync::mpsc;

use super::car_file::CarFile;
use super::steps::{Counts, Steps};
use super::{Follower, Imported, Phase, Progress, cancelled};
use crate::app::is_awaited;
use crate::env::idempotency_key;

/// Steps that are read ahead of the one that is written.
const STEPS_AHEAD: usize = 2;

/// Imports one file.
///
/// # Errors
/// What is wrong with the file, with its name and the byte; [`Reason::RevNotIncreasing`] if the repository that is here is
/// as new; [`Reason::AccountInactive`]. Nothing of the import stays.
pub(super) async fn import(
    backend: &dyn Backend,
    file: File,
    name: String,
    follower: &Arc<dyn Follower>,
) -> Result<Imported> {
    let (car, counts) = checked(file, name, follower).await?;
    let before = Before::read(backend, &car).await?;
    let import = begin(backend, &car, &before).await.map_err(|e| e.context(car.name()))?;
    match fill(backend, &car, &before, import, counts, follower).await {
        Ok(()) => Ok(imported(&car, counts, &before)),
        Err(error) => {
            let undone = give_up(backend, &car, &before, import).await;
            let error = error.context(car.name());
            Err(match undone {
                Ok(()) => error,
                Err(e) => {
                    Error::new(error.reason(), format!("{}; giving the import up failed too: {e}", error.detail()))
                }
            })
        }
    }
}

/// Reads the whole file and checks the whole tree, on a thread of its own: nothing is written before this says yes.
async fn checked(file: File, name: String, follower: &Arc<dyn Follower>) -> Result<(Arc<CarFile>, Counts)> {
    let follower = Arc::clone(follower);
    blocking(move || {
        let car = CarFile::open(file, &name, |done, total| {
            follower.progress(Progress { phase: Phase::Read, done, total: Some(total) });
            if follower.is_cancelled() { Err(cancelled("import")) } else { Ok(()) }
        })?;
        let mut steps = Steps::new(&car, RepoId::default());
        while let Some(step) = steps.next()? {
            Checked::new(step).map_err(|e| e.context(car.name()))?;
            let done = steps.counts().nodes + steps.counts().records;
            follower.progress(Progress { phase: Phase::Check, done, total: Some(car.entries()) });
            if follower.is_cancelled() {
                return Err(cancelled("import"));
            }
        }
        let counts = steps.counts();
        Ok((Arc::new(car), counts))
    })
    .await
}

/// What is here before the import.
struct Before {
    account: Option<Account>,
    head: Option<Head>,
}

impl Before {
    async fn read(backend: &dyn Backend, car: &CarFile) -> Result<Self> {
        let did = &car.commit().did;
        let account = backend.account(&AccountName::Did(did.clone())).await?;
        let head = backend.repo(did, At::Head).await?.map(|state| state.head);
        match head {
            Some(head) if head.rev >= car.head().rev => {
                let detail = format!(
                    "{}: rev {} of {did} is not after rev {}, which is here already",
                    car.name(),
                    car.head().rev,
                    head.rev
                );
                Err(Error::new(Reason::RevNotIncreasing, detail))
            }
            _ => Ok(Self { account, head }),
        }
    }

    /// The account is this import's, or that of one that did not end.
    fn is_ours(&self) -> bool {
        self.account.as_ref().is_none_or(is_awaited)
    }

    /// Whether the network is told of the new state.
    fn is_announced(&self) -> bool {
        self.is_ours() || self.account.as_ref().is_some_and(|a| a.status == AccountStatus::Active)
    }
}

/// The account stays deactivated until the repository is whole, so that nobody is shown half of one.
async fn begin(backend: &dyn Backend, car: &CarFile, before: &Before) -> Result<RepoId> {
    let mut ops = Vec::with_capacity(2);
    if before.account.is_none() {
        ops.push(Op::CreateAccount(NewAccount {
            handle: None,
            email: None,
            password_hash: None,
            status: AccountStatus::Deactivated,
        }));
    }
    ops.push(Op::BeginImport);
    Ok(RepoId(backend.apply(mutation(car, ops, Vec::new())).await?.pos.0))
}

/// Writes all steps, then makes the new generation the repository.
async fn fill(
    backend: &dyn Backend,
    car: &Arc<CarFile>,
    before: &Before,
    import: RepoId,
    counts: Counts,
    follower: &Arc<dyn Follower>,
) -> Result<()> {
    let (sender, mut steps) = mpsc::channel(STEPS_AHEAD);
    let reader = {
        let car = Arc::clone(car);
        tokio::task::spawn_blocking(move || read_steps(&car, import, &sender))
    };
    let (mut done, total) = (0, counts.nodes + counts.records);
    while let Some(step) = steps.recv().await {
        if follower.is_cancelled() {
            return Err(cancelled("import"));
        }
        let (step, reached): (Mutation, u64) = step;
        backend.apply(step).await?;
        done += reached;
        follower.progress(Progress { phase: Phase::Write, done, total: Some(total) });
    }
    let again = joined(reader.await)?;
    if again != counts {
        return Err(Error::new(Reason::ReadFailed, "the file was changed while it was read"));
    }
    finish(backend, car, before, import, counts).await
}

fn read_steps(car: &CarFile, import: RepoId, sender: &mpsc::Sender<(Mutation, u64)>) -> Result<Counts> {
    let mut steps = Steps::new(car, import);
    loop {
        let before = steps.counts();
        let Some(step) = steps.next()? else { return Ok(steps.counts()) };
        let reached = steps.counts().nodes + steps.counts().records - before.nodes - before.records;
        if sender.blocking_send((step, reached)).is_err() {
            // Who took them has failed, and says why.
            return Ok(steps.counts());
        }
    }
}

async fn finish(backend: &dyn Backend, car: &CarFile, before: &Before, import: RepoId, counts: Counts) -> Result<()> {
    let commit = car.commit();
    let mut ops = vec![Op::FinishImport(Box::new(FinishImport {
        import,
        expected: before.head,
        head: car.head(),
        data: commit.data,
        records: counts.records,
    }))];
    if before.is_ours() {
        ops.push(Op::SetStatus(AccountStatus::Active));
        ops.push(Op::Emit(Announce::Identity { handle: None }));
        ops.push(Op::Emit(Announce::Account));
    }
    if before.is_announced() {
        ops.push(Op::Emit(Announce::Sync));
    }
    let block = car.block(&car.head().cid)?.ok_or_else(|| {
        Error::new(Reason::ReadFailed, "the commit block is gone: the file was changed while it was read")
    })?;
    let blocks = vec![Block::claimed(car.head().cid, block.bytes)];
    backend.apply(mutation(car, ops, blocks)).await.map(|_| ())
}

async fn give_up(backend: &dyn Backend, car: &CarFile, before: &Before, import: RepoId) -> Result<()> {
    // In one mutation: if another import has taken over, the account is that one's.
    let mut ops = vec![Op::AbandonImport { import }];
    if before.is_ours() {
        ops.push(Op::DeleteAccount);
    }
    backend.apply(mutation(car, ops, Vec::new())).await.map(|_| ())
}

fn imported(car: &CarFile, counts: Counts, before: &Before) -> Imported {
    let blocks = counts.blocks + 1;
    Imported {
        file: car.name().to_owned(),
        did: car.commit().did.clone(),
        rev: car.head().rev,
        commit: car.head().cid,
        blocks,
        records: counts.records,
        bytes: counts.bytes + car.commit().encode().len() as u64,
        left_out: car.entries().saturating_sub(blocks),
        account_created: before.is_ours(),
    }
}

fn mutation(car: &CarFile, ops: Vec<Op>, blocks: Vec<Block>) -> Mutation {
    Mutation { did: car.commit().did.clone(), key: idempotency_key(), ops, blocks }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    joined(tokio::task::spawn_blocking(work).await)
}

fn joined<T>(result: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    match result {
        Ok(result) => result,
        Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        Err(_) => Err(cancelled("import")),
    }
}
