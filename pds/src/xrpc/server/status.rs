//! Switching one's own account off and on.

use std::sync::Arc;

use axum::extract::State;
use backend_api::mutation::Announce;
use backend_api::{Account, AccountStatus, At, Block, Blocks, Mutation, Op};

use crate::app::App;
use crate::auth::bearer::Bearer;
use crate::env;
use crate::error::XrpcError;

/// `com.atproto.server.activateAccount`
pub(super) async fn activate(State(app): State<Arc<App>>, Bearer(account): Bearer) -> Result<(), XrpcError> {
    if account.status == AccountStatus::Active {
        return Ok(());
    }
    owners_own(&account)?;
    // Consumers dropped the repo when it was switched off; #sync tells them where it stands. No commit may come between.
    let _turn = app.turns.take(&account.did).await;
    if !app.has_still(&account).await? {
        return Err(XrpcError::bad("ExpiredToken", "the account that the token is for was deleted"));
    }
    let mut ops = vec![
        Op::SetStatus(AccountStatus::Active),
        Op::Emit(Announce::Account),
        Op::Emit(Announce::Identity { handle: account.handle.clone() }),
    ];
    let mut blocks = Vec::new();
    if let Some(state) = app.backend.repo(&account.did, At::Head).await? {
        let cid = state.head.cid;
        let found = app.backend.blocks(&account.did, &[cid], Blocks::History).await?.pop().flatten();
        let bytes = found.ok_or_else(|| XrpcError::internal(format!("{}: commit {cid} is gone", account.did)))?;
        blocks.push(Block::claimed(cid, bytes));
        ops.push(Op::Emit(Announce::Sync));
    }
    app.apply(Mutation { did: account.did, key: env::idempotency_key(), ops, blocks }).await?;
    Ok(())
}

/// `com.atproto.server.deactivateAccount`. Its `deleteAfter` is only a hint, and not acted on.
pub(super) async fn deactivate(State(app): State<Arc<App>>, Bearer(account): Bearer) -> Result<(), XrpcError> {
    if account.status == AccountStatus::Deactivated {
        return Ok(());
    }
    owners_own(&account)?;
    let ops = vec![Op::SetStatus(AccountStatus::Deactivated), Op::Emit(Announce::Account)];
    app.apply(Mutation { did: account.did, key: env::idempotency_key(), ops, blocks: Vec::new() }).await?;
    Ok(())
}

/// A status that the operator set is not the owner's to change.
fn owners_own(account: &Account) -> Result<(), XrpcError> {
    if matches!(account.status, AccountStatus::Active | AccountStatus::Deactivated) {
        return Ok(());
    }
    let status = account.status.label().unwrap_or_default();
    Err(XrpcError::bad("AccountTakedown", format!("the account is {status}; only the operator can change that")))
}
