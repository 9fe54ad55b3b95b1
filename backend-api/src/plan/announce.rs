//! Events that are not commits.

use crate::account::AccountStatus;
use crate::error::{Error, Reason, Result};
use crate::limits::SYNC_BLOCKS_BYTES_MAX;
use crate::mutation::{Announce, Event};
use crate::view::View;

use super::draft::Draft;

pub(super) fn emit<V: View + ?Sized>(draft: &mut Draft<'_, V>, announce: &Announce) -> Result<()> {
    let event = match announce {
        Announce::Identity { handle } => {
            draft.account()?;
            Event::Identity { handle: handle.clone() }
        }
        Announce::Account => {
            let status = match (&draft.account, &draft.account_before) {
                (Some(account), _) => account.status,
                (None, Some(_)) => AccountStatus::Deleted,
                (None, None) => return draft.account().map(|_| ()),
            };
            Event::Account { status }
        }
        Announce::Sync => sync(draft)?,
    };
    draft.events.push(event);
    Ok(())
}

fn sync<V: View + ?Sized>(draft: &mut Draft<'_, V>) -> Result<Event> {
    let account = draft.account()?;
    if account.status != AccountStatus::Active {
        let detail = format!("the account of {} is {:?}", account.did, account.status);
        return Err(Error::new(Reason::AccountInactive, detail));
    }
    let repo = account.repo;
    let head = match repo {
        Some(id) => draft.repo(id)?.head,
        None => None,
    };
    let Some(head) = head else {
        return Err(Error::new(Reason::RepoMissing, format!("{} has no repo", draft.did())));
    };
    let Some(i) = draft.checked.supplied(&head.cid) else {
        let detail = format!("blocks: the commit block {} must be supplied", head.cid);
        return Err(Error::new(Reason::BlockMissing, detail));
    };
    let bytes = crate::car::header(head.cid).len() + crate::car::block_size(draft.checked.supplied_len(i) as usize);
    if bytes > SYNC_BLOCKS_BYTES_MAX {
        let detail = format!("bytes of the event's blocks: {bytes} is more than {SYNC_BLOCKS_BYTES_MAX}");
        return Err(Error::new(Reason::TooLarge, detail));
    }
    Ok(Event::Sync { commit: head.cid, rev: head.rev })
}
