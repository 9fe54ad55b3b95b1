use async_trait::async_trait;
use backend_api::{At, CommitRow, Did, Head, Page, RepoId, RepoListing, RepoState, Repos, Result, Tid};

use super::{Postgres, bound, one_more, page};
use crate::decode;
use crate::types::{Columns as _, Time};

/// Behind every TID: none of their letters is above `z`.
const AFTER_EVERY_REV: &str = "~";

#[async_trait]
impl Repos for Postgres {
    async fn repo(&self, did: &Did, at: At) -> Result<Option<RepoState>> {
        let did = did.as_str();
        let query = || match at {
            At::Head => sqlx::query(include_str!("../../sql/repo_at_head.sql")).bind(did),
            At::Rev(rev) => sqlx::query(include_str!("../../sql/repo_at_rev.sql")).bind(did).bind(rev.to_string()),
            At::Time(time) => sqlx::query(include_str!("../../sql/repo_at_time.sql")).bind(did).bind(Time(time)),
        };
        let Some(row) = self.shared.row("read a repo", query).await? else { return Ok(None) };
        let (rev, commit) = decode::commit(&row, 1)?;
        Ok(Some(RepoState {
            id: RepoId(row.number(0)?),
            head: Head { cid: commit.cid, rev },
            data: commit.data,
            at: commit.at,
            counters: decode::counters(&row, 6)?,
        }))
    }

    async fn repos(&self, after: Option<&Did>, limit: usize) -> Result<Page<RepoListing, Did>> {
        let limit = bound(limit)?;
        let after = after.map_or("", |did| did.as_str());
        let query = || sqlx::query(include_str!("../../sql/repos.sql")).bind(after).bind(one_more(limit));
        let rows = self.shared.rows("list repos", query).await?;
        let listing = |row| -> Result<RepoListing> {
            let row: &sqlx::postgres::PgRow = row;
            let head = Head { cid: row.cid(1)?, rev: row.name(2)? };
            Ok(RepoListing { did: row.name(0)?, head, status: decode::status(row.text(3)?)? })
        };
        let items = rows.iter().map(listing).collect::<Result<Vec<_>>>()?;
        Ok(page(items, limit, |listing| listing.did.clone()))
    }

    async fn history(&self, did: &Did, before: Option<Tid>, limit: usize) -> Result<Page<(Tid, CommitRow), Tid>> {
        let limit = bound(limit)?;
        let before = before.map_or(AFTER_EVERY_REV.to_owned(), |rev| rev.to_string());
        let query = || {
            sqlx::query(include_str!("../../sql/history.sql")).bind(did.as_str()).bind(&before).bind(one_more(limit))
        };
        let rows = self.shared.rows("list commits", query).await?;
        let items = rows.iter().map(|row| decode::commit(row, 0)).collect::<Result<Vec<_>>>()?;
        Ok(page(items, limit, |(rev, _)| *rev))
    }
}
