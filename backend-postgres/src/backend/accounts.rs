use async_trait::async_trait;
use backend_api::{Account, AccountName, Accounts, Did, Page, Result};

use super::{Postgres, bound, one_more, page};
use crate::decode;

#[async_trait]
impl Accounts for Postgres {
    async fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        let (sql, name) = match name {
            AccountName::Did(did) => (include_str!("../../sql/account_by_did.sql"), did.as_str()),
            AccountName::Handle(handle) => (include_str!("../../sql/account_by_handle.sql"), handle.as_str()),
            AccountName::Email(email) => (include_str!("../../sql/account_by_email.sql"), email.as_str()),
        };
        let row = self.shared.row("read an account", || sqlx::query(sql).bind(name)).await?;
        row.as_ref().map(decode::account).transpose()
    }

    async fn accounts(&self, after: Option<&Did>, limit: usize) -> Result<Page<Account, Did>> {
        let limit = bound(limit)?;
        let after = after.map_or("", |did| did.as_str());
        let query = || sqlx::query(include_str!("../../sql/accounts.sql")).bind(after).bind(one_more(limit));
        let rows = self.shared.rows("list accounts", query).await?;
        let items = rows.iter().map(decode::account).collect::<Result<Vec<_>>>()?;
        Ok(page(items, limit, |account| account.did.clone()))
    }
}
