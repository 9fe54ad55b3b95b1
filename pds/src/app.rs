//! What every request needs.

use std::sync::Arc;

use backend_api::{Account, AccountName, AccountStatus, Backend, Did, Mutation, Receipt};
use tokio::sync::watch;

use crate::auth::password::Passwords;
use crate::auth::token::Tokens;
use crate::clock::HostClock;
use crate::closing::Closing;
use crate::error::XrpcError;
use crate::firehose::Standing;
use crate::identity::host::Host;
use crate::identity::keys::Keypair;
use crate::repo::tids::TidClock;
use crate::repo::turns::Turns;
use crate::secrets::Secrets;
use crate::serve::Timing;

/// The state that all requests share.
pub struct App {
    /// The store.
    pub backend: Arc<dyn Backend>,
    /// How the network knows this host.
    pub host: Host,
    /// What time it is.
    pub clock: HostClock,
    /// Signs and reads tokens.
    pub tokens: Tokens,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// Signs the operations of did:plc identities.
    pub rotation_key: Keypair,
    /// Gives out record keys.
    pub tids: TidClock,
    /// Lets the writers of one repo wait for each other.
    pub turns: Turns,
    /// Patience.
    pub timing: Timing,
    /// How many follow the firehose.
    pub subscribers: watch::Sender<usize>,
    /// Those of them that do not take what waits for them.
    pub standing: Standing,
    /// Knows when the host is ending.
    pub closing: Closing,
}

impl App {
    /// Reads, or makes, what this host keeps in the store.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn new(
        backend: Arc<dyn Backend>,
        host: Host,
        timing: Timing,
        closing: Closing,
    ) -> backend_api::Result<Self> {
        let secrets = Secrets::load(&*backend, host.did()).await?;
        Ok(Self {
            tokens: Tokens::new(secrets.jwt, host.did().as_str().to_owned()),
            rotation_key: secrets.rotation,
            backend,
            host,
            clock: HostClock::default(),
            passwords: Passwords::default(),
            tids: TidClock::default(),
            turns: Turns::default(),
            timing,
            subscribers: watch::Sender::new(0),
            standing: Standing::new(timing.standing_bytes),
            closing,
        })
    }

    /// Gives the store a mutation, and takes the time from it. All of the host's own come this way.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn apply(&self, mutation: Mutation) -> backend_api::Result<Receipt> {
        let receipt = self.backend.apply(mutation).await?;
        self.clock.heard(receipt.at);
        Ok(receipt)
    }

    /// The account of a DID, whatever its status.
    ///
    /// # Errors
    /// `RepoNotFound`, or those of the store.
    pub async fn account(&self, did: &Did) -> Result<Account, XrpcError> {
        let account = self.backend.account(&AccountName::Did(did.clone())).await?;
        account.filter(|account| !is_awaited(account)).ok_or_else(|| not_found(did.as_str()))
    }

    /// True if an account that was read before is there yet. Its DID may have been given up meanwhile, and be somebody
    /// else's by now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn has_still(&self, account: &Account) -> backend_api::Result<bool> {
        let now = self.backend.account(&AccountName::Did(account.did.clone())).await?;
        Ok(now.is_some_and(|now| now.id == account.id))
    }

    /// The account that a handle or DID names, whatever its status.
    ///
    /// # Errors
    /// `RepoNotFound`, `InvalidRequest` for what is neither, or those of the store.
    pub async fn named(&self, at_identifier: &str) -> Result<Account, XrpcError> {
        let name = if at_identifier.starts_with("did:") {
            AccountName::Did(at_identifier.parse()?)
        } else {
            AccountName::Handle(at_identifier.parse()?)
        };
        let account = self.backend.account(&name).await?;
        account.filter(|account| !is_awaited(account)).ok_or_else(|| not_found(at_identifier))
    }
}

/// True if nobody can log in to it and it has no repo: an import made it that goes on, or that was killed. The network sees
/// it with its repo.
#[must_use]
pub fn is_awaited(account: &Account) -> bool {
    account.repo.is_none()
        && account.status == AccountStatus::Deactivated
        && (&account.handle, &account.email, &account.password_hash) == (&None, &None, &None)
}

/// The account, if the network may see its repo.
///
/// # Errors
/// `RepoTakendown`, `RepoSuspended` or `RepoDeactivated`.
pub fn visible(account: Account) -> Result<Account, XrpcError> {
    let error = match account.status {
        AccountStatus::Active | AccountStatus::Desynchronized | AccountStatus::Throttled => return Ok(account),
        AccountStatus::Takendown => "RepoTakendown",
        AccountStatus::Suspended => "RepoSuspended",
        AccountStatus::Deactivated => "RepoDeactivated",
        AccountStatus::Deleted => "RepoNotFound",
    };
    let status = account.status.label().unwrap_or_default();
    Err(XrpcError::bad(error, format!("the repo of {} is {status}", account.did)))
}

fn not_found(name: &str) -> XrpcError {
    XrpcError::bad("RepoNotFound", format!("{name} has no account here"))
}
