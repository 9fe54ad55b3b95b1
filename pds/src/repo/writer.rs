//! Writing to a repo: all of a request's writes in one commit, or none of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use backend_api::{Account, At, Blocks, Cid, Head, Reason, RecordPath, RepoState};

use super::blocks::{Overlay, RepoBlocks};
use super::commit::{self, Change};
use super::record::NewRecord;
use super::tree::Tree;
use crate::app::App;
use crate::error::XrpcError;
use crate::identity::document::signing_key;
use crate::identity::keys::Keypair;

/// Commits that are built before a writer gives up. Only another process over the same store can get in between, and of two
/// that write to one repo all the time each loses every second attempt.
const ATTEMPTS_MAX: usize = 64;

/// One write.
pub struct Write {
    /// Where.
    pub path: RecordPath,
    /// What.
    pub action: Action,
    /// The CID that must be there before, or nothing; `None`: whatever.
    pub swap: Option<Option<Cid>>,
}

/// What a write does.
pub enum Action {
    /// Nothing may be there.
    Create(NewRecord),
    /// Something must be there.
    Update(NewRecord),
    /// Whatever is there.
    Put(NewRecord),
    /// Something must be there.
    Delete,
    /// Nothing has to be there.
    DeleteIfThere,
}

/// What was done.
pub struct Written {
    /// The new head; `None` if everything was so already.
    pub commit: Option<Head>,
}

/// Writes to the repo of an account. `swap_commit` is the head that it must have, if given.
///
/// # Errors
/// `InvalidSwap` if something else is there than was expected, `InvalidRequest` for a write that cannot be made,
/// `PayloadTooLarge` for one that no commit can hold; those of the store.
pub async fn write(
    app: &App,
    account: &Account,
    writes: Vec<Write>,
    swap_commit: Option<Cid>,
) -> Result<Written, XrpcError> {
    let key = signing_key(&*app.backend, account).await?;
    let _turn = app.turns.take(&account.did).await;
    for _ in 0..ATTEMPTS_MAX {
        let Some(state) = app.backend.repo(&account.did, At::Head).await? else {
            return Err(XrpcError::bad("RepoNotFound", format!("{} has no repo yet", account.did)));
        };
        // A request may wait for its body or its turn. Whoever takes the DID after this was asked has another head.
        if !app.has_still(account).await? {
            return Err(XrpcError::bad("ExpiredToken", "the account that the token is for was deleted"));
        }
        if swap_commit.is_some_and(|cid| cid != state.head.cid) {
            return Err(XrpcError::bad("InvalidSwap", format!("swapCommit: the head is {}", state.head.cid)));
        }
        let Some(ready) = attempt(app, account, &writes, &state, &key).await? else {
            return Ok(Written { commit: None });
        };
        match app.apply(ready.mutation).await {
            Ok(_) => return Ok(Written { commit: Some(ready.head) }),
            Err(e) if e.reason() == Reason::HeadMismatch => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(XrpcError::busy("others write to this repo all the time; nothing was changed"))
}

async fn attempt(
    app: &App,
    account: &Account,
    writes: &[Write],
    state: &RepoState,
    key: &Keypair,
) -> Result<Option<commit::Ready>, XrpcError> {
    // As history: another process may replace the head while this is read. Whether it has is known when the commit is made.
    let blocks = RepoBlocks::new(Arc::clone(&app.backend), account.did.clone(), Blocks::History);
    let overlay = Overlay::new(blocks);
    let mut tree = Tree::load(&overlay, &state.data)?;
    let mut records = BTreeMap::new();
    for write in writes {
        let path = &write.path;
        let found = tree.get(path).await?;
        if write.swap.is_some_and(|expected| expected != found) {
            let found = found.map_or("nothing".to_owned(), |cid| cid.to_string());
            return Err(XrpcError::bad("InvalidSwap", format!("swapRecord: at {path} there is {found}")));
        }
        match (&write.action, found) {
            (Action::Create(_), Some(_)) => {
                return Err(XrpcError::invalid(format!("{path}: there is a record already")));
            }
            (Action::Update(_) | Action::Delete, None) => {
                return Err(XrpcError::invalid(format!("{path}: there is no record")));
            }
            (Action::Create(record) | Action::Update(record) | Action::Put(record), _) => {
                tree.put(path, &record.block.cid()).await?;
                records.insert(path.clone(), record.clone());
            }
            (Action::Delete | Action::DeleteIfThere, Some(_)) => {
                tree.delete(path).await?;
                records.remove(path);
            }
            (Action::DeleteIfThere, None) => {}
        }
    }
    let change =
        Change { did: &account.did, head: state.head, data: state.data, new_data: tree.finish().await?, records };
    Ok(commit::build(change, key, &overlay).await?)
}
