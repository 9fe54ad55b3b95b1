use async_trait::async_trait;
use backend_api::{Account, AccountName, Accounts, Did, Page, Result, View as _};

use super::{Tranquil, page};
use crate::format::key::{self, Space};
use crate::format::value;
use crate::meta::Scan;

#[async_trait]
impl Accounts for Tranquil {
    async fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        let name = name.clone();
        self.point(move |layers| {
            let did = match &name {
                AccountName::Did(did) => Some(did.clone()),
                AccountName::Handle(handle) => layers.handle(handle)?,
                AccountName::Email(email) => layers.email(email)?,
            };
            did.map_or(Ok(None), |did| layers.account(&did))
        })
        .await
    }

    async fn accounts(&self, after: Option<&Did>, limit: usize) -> Result<Page<Account, Did>> {
        let limit = page(limit)?;
        let what = Scan::prefix(key::space(Space::Account), limit).after(after.map(key::account));
        self.read(move |shared| {
            let (found, more) = shared.scan(&what)?;
            let items = found.iter().map(|(_, v)| value::decode(v, "account")).collect::<Result<Vec<Account>>>()?;
            let next = items.last().filter(|_| more).map(|a| a.did.clone());
            Ok(Page { items, next })
        })
        .await
    }
}
