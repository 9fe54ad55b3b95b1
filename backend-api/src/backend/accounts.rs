//! Reading accounts.

use async_trait::async_trait;

use crate::account::{Account, AccountName};
use crate::error::Result;
use crate::ids::Did;
use crate::repo::Page;

/// Accounts.
#[async_trait]
pub trait Accounts {
    /// The account of that name.
    ///
    /// - **A1** A created account is found by DID, handle and address (`accounts_found_by_every_name`).
    /// - **A2** Handles and addresses are unique over all accounts, whatever their case, under any number of claimants at
    ///   once (`accounts_handle_has_one_winner`, `accounts_email_has_one_winner`).
    /// - **A3** A changed handle or address is free again and the old one finds nothing (`accounts_old_names_are_free`).
    /// - **A4** A deleted account is gone by every name, with its rows and blobs; registered again, it sees nothing of
    ///   before (`accounts_deleted_is_gone`, `accounts_registered_again_sees_nothing_old`).
    async fn account(&self, name: &AccountName) -> Result<Option<Account>>;

    /// Accounts by DID, after one.
    ///
    /// - **A5** Every account once, in order of DID, page by page (`accounts_are_listed_in_pages`).
    async fn accounts(&self, after: Option<&Did>, limit: usize) -> Result<Page<Account, Did>>;
}
