//! What a group changes, as statements: one for what every commit changes, and one more for each other table that is touched.

use backend_api::{RepoId, Sweep};

use super::fold::Fold;
use super::overlay::Overlay;
use super::position::Position;
use super::save_rows::save_rows;
use super::script::{Script, Way};
use crate::decode;
use crate::sql::Query;
use crate::types::{Time, cid_bytes, signed};

/// The statements of a group that was planned where the store stands at `before`, and takes it to `after`; the other processes
/// are woken on a channel, if one is named.
pub(super) fn save(
    overlay: &Overlay,
    fold: &Fold,
    (before, after): (Position, Position),
    wakes: Option<&str>,
    way: Way,
) -> Script {
    let is_beside = way == Way::Beside;
    let wakes = wakes.filter(|_| !fold.events.is_empty());
    let at_once = wakes.filter(|_| !is_beside);
    let mut others = Vec::new();
    push_others(&mut others, overlay, fold);
    let group = turn(include_str!("../../sql/write_group.sql"), (before, after), at_once).bind(is_beside);
    Script {
        group: columns(group.bind(overlay.is_assumed), overlay, fold),
        others,
        turn: is_beside.then(|| turn(include_str!("../../sql/take_turn.sql"), (before, after), wakes)),
    }
}

/// What makes it this group's turn.
fn turn(sql: &'static str, (before, after): (Position, Position), wakes: Option<&str>) -> Query<'static> {
    sqlx::query(sql)
        .bind(before.turn)
        .bind(signed(after.pos.0))
        .bind(signed(after.seq.get()))
        .bind(Time(after.at))
        .bind(before.opened.epoch)
        .bind(signed(before.pos.0))
        .bind(signed(before.seq.get()))
        .bind(Time(before.at))
        .bind(before.opened.id)
        .bind(wakes.is_some())
        .bind(wakes.unwrap_or_default().to_owned())
        .bind(after.seq.to_string())
}

/// What nearly every mutation changes, after that.
fn columns(group: Query<'static>, overlay: &Overlay, fold: &Fold) -> Query<'static> {
    let (blocks, counts) = Blocks::split(overlay, fold);
    let records: Vec<_> =
        fold.records.iter().filter_map(|key| Some((key, overlay.records.get(key)?.as_ref()?))).collect();
    let repos: Vec<_> = fold.repos.iter().filter_map(|id| overlay.repos.get(id)?.as_ref()).collect();
    let taken = &fold.taken;
    group
        .bind(blocks.repos)
        .bind(blocks.cids)
        .bind(blocks.deltas)
        .bind(blocks.released)
        .bind(blocks.bytes)
        .bind(counts.repos)
        .bind(counts.cids)
        .bind(counts.deltas)
        .bind(counts.released)
        .bind(records.iter().map(|((repo, _), _)| signed(repo.0)).collect::<Vec<i64>>())
        .bind(records.iter().map(|((_, path), _)| path.as_str()).collect::<Vec<&str>>())
        .bind(cid_bytes(records.iter().map(|(_, row)| &row.cid)))
        .bind(records.iter().map(|(_, row)| signed(row.pos.0)).collect::<Vec<i64>>())
        .bind(
            records
                .iter()
                .map(|(_, row)| decode::mentions_text(&row.blobs, &row.links))
                .collect::<Vec<Option<String>>>(),
        )
        .bind(fold.commits.iter().map(|(repo, ..)| signed(repo.0)).collect::<Vec<i64>>())
        .bind(fold.commits.iter().map(|(_, rev, _)| rev.to_string()).collect::<Vec<String>>())
        .bind(cid_bytes(fold.commits.iter().map(|(.., row)| &row.cid)))
        .bind(cid_bytes(fold.commits.iter().map(|(.., row)| &row.data)))
        .bind(fold.commits.iter().map(|(.., row)| signed(row.pos.0)).collect::<Vec<i64>>())
        .bind(fold.commits.iter().map(|(.., row)| Time(row.at)).collect::<Vec<Time>>())
        .bind(repos.iter().map(|repo| signed(repo.id.0)).collect::<Vec<i64>>())
        .bind(repos.iter().map(|repo| repo.did.as_str()).collect::<Vec<&str>>())
        .bind(repos.iter().map(|repo| repo.head.map(|head| head.cid.to_bytes())).collect::<Vec<_>>())
        .bind(repos.iter().map(|repo| repo.head.map(|head| head.rev.to_string())).collect::<Vec<_>>())
        .bind(repos.iter().map(|repo| repo.data.map(|data| data.to_bytes())).collect::<Vec<_>>())
        .bind(repos.iter().map(|repo| signed(repo.counters.records)).collect::<Vec<i64>>())
        .bind(repos.iter().map(|repo| signed(repo.counters.refs)).collect::<Vec<i64>>())
        .bind(repos.iter().map(|repo| signed(repo.counters.bytes)).collect::<Vec<i64>>())
        .bind(taken.iter().map(|one| signed(one.receipt.pos.0)).collect::<Vec<i64>>())
        .bind(taken.iter().map(|one| one.did.as_str()).collect::<Vec<&str>>())
        .bind(taken.iter().map(|one| one.key.0).collect::<Vec<[u8; 16]>>())
        .bind(taken.iter().map(|one| one.digest.cast_signed()).collect::<Vec<i64>>())
        .bind(taken.iter().map(|one| Time(one.receipt.at)).collect::<Vec<Time>>())
        .bind(taken.iter().map(|one| signed(one.receipt.first_seq.get())).collect::<Vec<i64>>())
        .bind(taken.iter().map(|one| one.receipt.events.cast_signed()).collect::<Vec<i32>>())
        .bind(taken.iter().map(|one| decode::taken(&one.receipt)).collect::<Vec<Option<Vec<u8>>>>())
        .bind(taken.iter().map(|one| one.repo.map(|repo| signed(repo.0))).collect::<Vec<Option<i64>>>())
        .bind(taken.iter().map(|one| Some(&*one.released).filter(|r| !r.is_empty())).collect::<Vec<Option<&[u8]>>>())
        .bind(taken.iter().map(|one| one.replaced.map(|rev| rev.to_string())).collect::<Vec<Option<String>>>())
        .bind(fold.events.iter().map(|event| signed(event.seq.get())).collect::<Vec<i64>>())
        .bind(fold.events.iter().map(|event| Time(event.at)).collect::<Vec<Time>>())
        .bind(fold.events.iter().map(|event| &*event.frame).collect::<Vec<&[u8]>>())
}

/// Columns of blocks to write.
#[derive(Default)]
struct Blocks<'a> {
    repos: Vec<i64>,
    cids: Vec<[u8; backend_api::Cid::BYTES]>,
    deltas: Vec<i64>,
    released: Vec<i64>,
    bytes: Vec<&'a [u8]>,
}

impl<'a> Blocks<'a> {
    /// Those that may be new, with bytes, and those that are known to be there, of which only the count changes.
    fn split(overlay: &'a Overlay, fold: &Fold) -> (Self, Self) {
        let (mut new, mut old) = (Self::default(), Self::default());
        let found = fold.blocks.iter().filter_map(|key| Some((*key, overlay.blocks.get(key)?)));
        // Neighbours in the index are written after each other.
        let mut found: Vec<_> = found.collect();
        found.sort_unstable_by_key(|(key, _)| *key);
        for ((repo, cid), block) in found {
            let is_there = overlay.is_stored(&(repo, cid));
            let to = match &block.supplied {
                Some(bytes) if !is_there => {
                    new.bytes.push(bytes);
                    &mut new
                }
                _ => &mut old,
            };
            to.push(repo, cid.to_bytes(), block.delta, block.released.map_or(0, |pos| signed(pos.0)));
        }
        (new, old)
    }

    fn push(&mut self, repo: RepoId, cid: [u8; backend_api::Cid::BYTES], delta: i64, released: i64) {
        self.repos.push(signed(repo.0));
        self.cids.push(cid);
        self.deltas.push(delta);
        self.released.push(released);
    }
}

/// The tables that not every commit touches.
fn push_others(to: &mut Vec<Query<'static>>, overlay: &Overlay, fold: &Fold) {
    let gone: Vec<_> = fold.records.iter().filter(|key| matches!(overlay.records.get(key), Some(None))).collect();
    if !gone.is_empty() {
        to.push(
            sqlx::query(include_str!("../../sql/delete_records.sql"))
                .bind(gone.iter().map(|(repo, _)| signed(repo.0)).collect::<Vec<i64>>())
                .bind(gone.iter().map(|(_, path)| path.as_str()).collect::<Vec<&str>>()),
        );
    }
    // Accounts after rows that are owned no longer, and before those that are from now on: the constraint is checked at the
    // end.
    if !fold.accounts.is_empty() {
        accounts(to, overlay, fold);
    }
    if !fold.rows.is_empty() {
        save_rows(to, overlay, fold);
    }
    if !fold.blobs.is_empty() {
        blobs(to, overlay, fold);
    }
    if !fold.uses.is_empty() {
        uses(to, fold);
    }
    if !fold.links.is_empty() {
        links(to, fold);
    }
    if !fold.sweeps.is_empty() {
        sweeps(to, fold);
    }
    if !fold.changes.is_empty() {
        to.push(
            sqlx::query(include_str!("../../sql/write_changes.sql"))
                .bind(fold.changes.iter().map(|change| signed(change.stamp.pos.0)).collect::<Vec<i64>>())
                .bind(fold.changes.iter().map(|change| Time(change.stamp.at)).collect::<Vec<Time>>())
                .bind(fold.changes.iter().map(|change| signed(change.stamp.first_seq.get())).collect::<Vec<i64>>())
                .bind(fold.changes.iter().map(|change| decode::encode(&change.mutation)).collect::<Vec<Vec<u8>>>()),
        );
    }
}

fn accounts(to: &mut Vec<Query<'static>>, overlay: &Overlay, fold: &Fold) {
    let state = |did| overlay.accounts.get(did).and_then(Option::as_ref);
    let gone: Vec<&str> = fold.accounts.iter().filter(|did| state(*did).is_none()).map(|did| did.as_str()).collect();
    let there: Vec<_> = fold.accounts.iter().filter_map(state).collect();
    if !gone.is_empty() {
        to.push(sqlx::query("DELETE FROM accounts WHERE did = ANY ($1)").bind(gone));
    }
    if there.is_empty() {
        return;
    }
    let id = |repo: Option<RepoId>| repo.map(|id| signed(id.0));
    to.push(
        sqlx::query(include_str!("../../sql/write_accounts.sql"))
            .bind(there.iter().map(|one| one.did.as_str()).collect::<Vec<&str>>())
            .bind(there.iter().map(|one| signed(one.id.0)).collect::<Vec<i64>>())
            .bind(
                there
                    .iter()
                    .map(|one| one.handle.as_ref().map(|handle| handle.as_str()))
                    .collect::<Vec<Option<&str>>>(),
            )
            .bind(there.iter().map(|one| one.email.as_ref().map(|email| email.as_str())).collect::<Vec<Option<&str>>>())
            .bind(there.iter().map(|one| one.email_confirmed_at.map(Time)).collect::<Vec<Option<Time>>>())
            .bind(there.iter().map(|one| one.password_hash.as_deref()).collect::<Vec<Option<&str>>>())
            .bind(there.iter().map(|one| decode::status_name(one.status)).collect::<Vec<&str>>())
            .bind(there.iter().map(|one| Time(one.created_at)).collect::<Vec<Time>>())
            .bind(there.iter().map(|one| id(one.repo)).collect::<Vec<Option<i64>>>())
            .bind(there.iter().map(|one| id(one.import)).collect::<Vec<Option<i64>>>()),
    );
}

fn blobs(to: &mut Vec<Query<'static>>, overlay: &Overlay, fold: &Fold) {
    let state = |key| overlay.blobs.get(key).and_then(Option::as_ref);
    let gone: Vec<_> = fold.blobs.iter().filter(|key| state(*key).is_none()).collect();
    let there: Vec<_> = fold.blobs.iter().filter_map(|key| Some((key.0, state(key)?))).collect();
    if !gone.is_empty() {
        to.push(
            sqlx::query(include_str!("../../sql/delete_blobs.sql"))
                .bind(gone.iter().map(|(account, _)| signed(account.0)).collect::<Vec<i64>>())
                .bind(cid_bytes(gone.iter().map(|(_, cid)| cid))),
        );
    }
    if there.is_empty() {
        return;
    }
    to.push(
        sqlx::query(include_str!("../../sql/write_blobs.sql"))
            .bind(there.iter().map(|(account, _)| signed(account.0)).collect::<Vec<i64>>())
            .bind(cid_bytes(there.iter().map(|(_, blob)| &blob.cid)))
            .bind(there.iter().map(|(_, blob)| &*blob.mime).collect::<Vec<&str>>())
            .bind(there.iter().map(|(_, blob)| signed(blob.bytes)).collect::<Vec<i64>>())
            .bind(there.iter().map(|(_, blob)| Time(blob.at)).collect::<Vec<Time>>()),
    );
}

fn uses(to: &mut Vec<Query<'static>>, fold: &Fold) {
    for (there, sql) in
        [(false, include_str!("../../sql/delete_uses.sql")), (true, include_str!("../../sql/write_uses.sql"))]
    {
        let keys: Vec<_> = fold.uses.iter().filter(|(_, kept)| **kept == there).map(|(key, _)| key).collect();
        if !keys.is_empty() {
            to.push(
                sqlx::query(sql)
                    .bind(keys.iter().map(|(repo, ..)| signed(repo.0)).collect::<Vec<i64>>())
                    .bind(cid_bytes(keys.iter().map(|(_, cid, _)| cid)))
                    .bind(keys.iter().map(|(.., path)| path.as_str()).collect::<Vec<&str>>()),
            );
        }
    }
}

fn links(to: &mut Vec<Query<'static>>, fold: &Fold) {
    for (there, sql) in
        [(false, include_str!("../../sql/delete_links.sql")), (true, include_str!("../../sql/write_links.sql"))]
    {
        let keys: Vec<_> = fold.links.iter().filter(|(_, kept)| **kept == there).map(|(key, _)| key).collect();
        if keys.is_empty() {
            continue;
        }
        let query = sqlx::query(sql)
            .bind(keys.iter().map(|(repo, ..)| signed(repo.0)).collect::<Vec<i64>>())
            .bind(keys.iter().map(|(_, link, _)| crate::link::digest(link)).collect::<Vec<[u8; 32]>>())
            .bind(keys.iter().map(|(.., path)| path.as_str()).collect::<Vec<&str>>());
        let query = if there {
            query
                .bind(keys.iter().map(|(_, link, _)| &*link.field).collect::<Vec<&str>>())
                .bind(keys.iter().map(|(_, link, _)| &*link.target).collect::<Vec<&str>>())
        } else {
            query
        };
        to.push(query);
    }
}

fn sweeps(to: &mut Vec<Query<'static>>, fold: &Fold) {
    let mut columns: (Vec<i16>, Vec<i64>, Vec<i64>, Vec<Time>) = Default::default();
    for (sweep, since) in &fold.sweeps {
        let (kind, id, pos) = match sweep {
            Sweep::Repo(repo) => (1, repo.0, 0),
            Sweep::Blobs(account) => (2, account.0, 0),
            Sweep::Purge(repo, pos) => (3, repo.0, pos.0),
        };
        columns.0.push(kind);
        columns.1.push(signed(id));
        columns.2.push(signed(pos));
        columns.3.push(Time(*since));
    }
    to.push(
        sqlx::query(include_str!("../../sql/write_sweeps.sql"))
            .bind(columns.0)
            .bind(columns.1)
            .bind(columns.2)
            .bind(columns.3),
    );
}
