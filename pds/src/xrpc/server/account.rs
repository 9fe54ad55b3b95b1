//! Creating and deleting accounts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use backend_api::mutation::{Announce, NewAccount};
use backend_api::{AccountName, AccountStatus, Did, Email, Expect, Handle, Mutation, Op, Reason};
use serde::Deserialize;
use serde_json::Value;

use super::{profile, with_tokens};
use crate::app::App;
use crate::auth::session;
use crate::env;
use crate::error::XrpcError;
use crate::identity::keys::Keypair;
use crate::identity::plc;
use crate::repo;
use crate::xrpc::extract::Input;

/// Bytes of a password. Longer ones would only cost time.
const PASSWORD_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
pub(super) struct CreateAccount {
    handle: String,
    email: Option<String>,
    password: Option<String>,
    did: Option<String>,
}

/// `com.atproto.server.createAccount`: account, key, identity, first commit, first session and their events are one
/// mutation.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Input(input): Input<CreateAccount>,
) -> Result<Json<Value>, XrpcError> {
    if input.did.is_some() {
        return Err(XrpcError::invalid("did: accounts with an identity of their own cannot move in yet"));
    }
    let handle: Handle = input.handle.parse().map_err(|e| refused("InvalidHandle", &e))?;
    app.host.admit(&handle)?;
    let email = input.email.map(|email| email.parse::<Email>()).transpose()?;
    let password = match input.password {
        Some(password) if !password.is_empty() && password.len() <= PASSWORD_BYTES_MAX => password,
        _ => return Err(XrpcError::bad("InvalidPassword", "password: 1 to 256 bytes are needed")),
    };
    let password_hash = Some(app.passwords.hash(password).await?);
    let signing = Keypair::generate();
    let (did, identity) = identity(&app, &handle, &signing)?;
    let now = app.clock.now();
    let (issued, session) = session::open(&app.tokens, &did, now);
    let (commit, blocks) = repo::genesis(&did, &signing);
    let account = NewAccount { handle: Some(handle.clone()), email, password_hash, status: AccountStatus::Active };
    let mut ops = vec![Op::CreateAccount(account), Op::PutRow { row: signing.to_row(&did), expect: Expect::Absent }];
    ops.extend(identity);
    ops.extend(session);
    ops.extend([
        Op::Emit(Announce::Identity { handle: Some(handle) }),
        Op::Emit(Announce::Account),
        Op::Commit(Box::new(commit)),
        Op::Emit(Announce::Sync),
    ]);
    let mutation = Mutation { did: did.clone(), key: env::idempotency_key(), ops, blocks };
    let receipt = app.apply(mutation).await.map_err(|e| match e.reason() {
        // A did:web is the handle's.
        Reason::AccountExists => XrpcError::bad("HandleNotAvailable", e.detail().to_owned()),
        _ => e.into(),
    })?;
    let issued = if session::is_late(now, receipt.at) { session::create(&app, &did).await? } else { issued };
    let account = app.account(&did).await?;
    Ok(Json(with_tokens(profile(&app, &account).await?, &issued)))
}

/// The DID of a new account, and what has to be kept for it.
fn identity(app: &App, handle: &Handle, signing: &Keypair) -> Result<(Did, Option<Op>), XrpcError> {
    if !app.host.is_dev() {
        return Ok((format!("did:web:{handle}").parse()?, None));
    }
    let made = plc::genesis(handle, signing, &app.rotation_key, app.host.url())?;
    Ok((made.did, Some(Op::PutRow { row: made.row, expect: Expect::Absent })))
}

#[derive(Deserialize)]
pub(super) struct DeleteAccount {
    did: String,
    password: String,
}

/// `com.atproto.server.deleteAccount`: by password. The lexicon's `token`, which is sent by e-mail, is not asked for: this
/// host sends none.
pub(super) async fn delete(State(app): State<Arc<App>>, Input(input): Input<DeleteAccount>) -> Result<(), XrpcError> {
    let did: Did = input.did.parse()?;
    let wrong = || XrpcError::unauthorized("AuthenticationRequired", "invalid did or password");
    let account = app.backend.account(&AccountName::Did(did.clone())).await?;
    let stored = account.as_ref().and_then(|account| account.password_hash.clone());
    let right = app.passwords.verify(input.password, stored).await?;
    let account = account.filter(|_| right).ok_or_else(wrong)?;
    // Meanwhile the DID may have become somebody else's, whose key is another one.
    let key = app.backend.row(&Keypair::row_key(&did)).await?;
    if !app.has_still(&account).await? {
        return Err(wrong());
    }
    let key = key.map(|row| Op::DeleteRow { key: row.key, expect: Expect::Body(row.body) });
    loop {
        let mut ops: Vec<Op> = key.iter().cloned().collect();
        ops.extend([Op::DeleteAccount, Op::Emit(Announce::Account)]);
        let deletion = Mutation { did: did.clone(), key: env::idempotency_key(), ops, blocks: Vec::new() };
        match app.apply(deletion).await {
            // More sessions than go at once.
            Err(e) if e.reason() == Reason::TooLarge => {
                if !session::close_some(&app, &did).await? {
                    return Err(e.into());
                }
            }
            done => return Ok(done.map(drop)?),
        }
    }
}

fn refused(error: &'static str, e: &backend_api::Error) -> XrpcError {
    XrpcError::bad(error, e.detail().to_owned())
}
