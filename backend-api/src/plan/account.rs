//! Accounts: create, update, status, delete, purge.

use crate::account::{Account, AccountStatus, Email};
use crate::effect::Sweep;
use crate::error::{Error, Reason, Result};
use crate::ids::Handle;
use crate::limits::ROWS_OWNED_MAX;
use crate::mutation::{AccountPatch, NewAccount};
use crate::number::AccountId;
use crate::view::View;

use super::draft::Draft;

pub(super) fn create<V: View + ?Sized>(draft: &mut Draft<'_, V>, new: &NewAccount) -> Result<()> {
    if draft.account.is_some() {
        return Err(Error::new(Reason::AccountExists, format!("{} has an account", draft.did())));
    }
    handle_is_free(draft, new.handle.as_ref())?;
    email_is_free(draft, new.email.as_ref())?;
    draft.account = Some(Account {
        id: AccountId(draft.stamp.pos.0),
        did: draft.did().clone(),
        handle: new.handle.clone(),
        email: new.email.clone(),
        email_confirmed_at: None,
        password_hash: new.password_hash.clone(),
        status: new.status,
        created_at: draft.stamp.at,
        repo: None,
        import: None,
    });
    Ok(())
}

pub(super) fn update<V: View + ?Sized>(draft: &mut Draft<'_, V>, patch: &AccountPatch) -> Result<()> {
    draft.account()?;
    if let Some(handle) = &patch.handle {
        handle_is_free(draft, handle.as_ref())?;
        draft.account()?.handle.clone_from(handle);
    }
    if let Some(email) = &patch.email {
        email_is_free(draft, email.as_ref())?;
        let account = draft.account()?;
        account.email.clone_from(email);
        account.email_confirmed_at = None;
    }
    let account = draft.account()?;
    if let Some(at) = patch.email_confirmed_at {
        account.email_confirmed_at = at;
    }
    if let Some(hash) = &patch.password_hash {
        account.password_hash.clone_from(hash);
    }
    Ok(())
}

pub(super) fn set_status<V: View + ?Sized>(draft: &mut Draft<'_, V>, status: AccountStatus) -> Result<()> {
    draft.account()?.status = status;
    Ok(())
}

/// The account, its rows and its indexes go at once. What is keyed by its generation or incarnation can no longer be
/// reached, and is swept later.
pub(super) fn delete<V: View + ?Sized>(draft: &mut Draft<'_, V>) -> Result<()> {
    let account = draft.account()?.clone();
    let owned = draft.view.rows_owned(draft.did(), ROWS_OWNED_MAX + 1)?;
    if owned.len() > ROWS_OWNED_MAX {
        let detail = format!("the account owns more than {ROWS_OWNED_MAX} rows: delete some of them first");
        return Err(Error::new(Reason::TooLarge, detail));
    }
    let put_here: Vec<_> = draft
        .touched_rows()
        .filter(|(_, row)| row.as_ref().is_some_and(|r| r.owner.as_ref() == Some(draft.did())))
        .map(|(key, _)| key.clone())
        .collect();
    for key in owned.into_iter().chain(put_here) {
        // An operation before this one may have given the row up.
        if draft.row(&key)?.is_some_and(|row| row.owner.as_ref() == Some(draft.did())) {
            draft.set_row(key, None);
        }
    }
    draft.sweeps.extend(account.repo.map(Sweep::Repo));
    draft.sweeps.extend(account.import.map(Sweep::Repo));
    draft.sweeps.push(Sweep::Blobs(account.id));
    draft.account = None;
    Ok(())
}

pub(super) fn purge<V: View + ?Sized>(draft: &mut Draft<'_, V>) -> Result<()> {
    let pos = draft.stamp.pos;
    if let Some(repo) = draft.account()?.repo {
        draft.sweeps.push(Sweep::Purge(repo, pos));
    }
    Ok(())
}

fn handle_is_free<V: View + ?Sized>(draft: &Draft<'_, V>, handle: Option<&Handle>) -> Result<()> {
    let Some(handle) = handle else { return Ok(()) };
    match draft.view.handle(handle)? {
        Some(holder) if holder != *draft.did() => {
            Err(Error::new(Reason::HandleTaken, format!("handle: another account has {handle}")))
        }
        _ => Ok(()),
    }
}

fn email_is_free<V: View + ?Sized>(draft: &Draft<'_, V>, email: Option<&Email>) -> Result<()> {
    let Some(email) = email else { return Ok(()) };
    match draft.view.email(email)? {
        Some(holder) if holder != *draft.did() => {
            Err(Error::new(Reason::EmailTaken, "email: another account has this address"))
        }
        _ => Ok(()),
    }
}
