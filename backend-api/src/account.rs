//! Accounts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Reason, Result};
use crate::ids::{Did, Handle};
use crate::limits::EMAIL_BYTES_MAX;
use crate::number::{AccountId, Micros, RepoId};

/// What the network is told of an account (`com.atproto.sync.subscribeRepos#account`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// Served and writable.
    Active,
    /// Taken down by the operator: kept, not served.
    Takendown,
    /// Suspended for a time: kept, not served.
    Suspended,
    /// Switched off by its owner: kept, not served; commits are taken if they are not announced.
    Deactivated,
    /// Deleted. Never stored on an account; announced by events only.
    Deleted,
    /// The host's copy is known to be behind.
    Desynchronized,
    /// Limited by the host.
    Throttled,
}

impl AccountStatus {
    /// All, in storage order.
    pub const ALL: [Self; 7] = [
        Self::Active,
        Self::Takendown,
        Self::Suspended,
        Self::Deactivated,
        Self::Deleted,
        Self::Desynchronized,
        Self::Throttled,
    ];

    /// The name in frames; `None` for active accounts, which carry none.
    #[must_use]
    pub const fn label(self) -> Option<&'static str> {
        match self {
            Self::Active => None,
            Self::Takendown => Some("takendown"),
            Self::Suspended => Some("suspended"),
            Self::Deactivated => Some("deactivated"),
            Self::Deleted => Some("deleted"),
            Self::Desynchronized => Some("desynchronized"),
            Self::Throttled => Some("throttled"),
        }
    }
}

/// An e-mail address, lower-cased so that uniqueness is by meaning. Checked for shape only: one `@` with something on
/// both sides, no white space or control character, at most 254 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(Box<str>);

impl Email {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // Lower-casing can make a text longer, and what is stored must pass this check again when it is read.
        let text = text.to_lowercase();
        let shaped = text.rsplit_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
            && !text.chars().any(|c| c.is_whitespace() || c.is_control())
            && text.len() <= EMAIL_BYTES_MAX;
        if !shaped {
            return Err(Error::new(Reason::BadRequest, "email: not an e-mail address of at most 254 bytes"));
        }
        Ok(Self(text.into_boxed_str()))
    }
}

impl TryFrom<String> for Email {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0.into()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An account as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Which incarnation of the DID on this store.
    pub id: AccountId,
    /// The DID.
    pub did: Did,
    /// Its handle, unique over all accounts.
    pub handle: Option<Handle>,
    /// Its e-mail address, unique over all accounts.
    pub email: Option<Email>,
    /// When the address was confirmed.
    pub email_confirmed_at: Option<Micros>,
    /// The hash of its password, in a form of the host's choice.
    pub password_hash: Option<String>,
    /// Its status.
    pub status: AccountStatus,
    /// When it was created.
    pub created_at: Micros,
    /// The generation of its repo that is served.
    pub repo: Option<RepoId>,
    /// The generation that an import is filling, invisible until it ends.
    pub import: Option<RepoId>,
}

/// Names an account in a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountName {
    /// By DID.
    Did(Did),
    /// By handle.
    Handle(Handle),
    /// By e-mail address.
    Email(Email),
}
