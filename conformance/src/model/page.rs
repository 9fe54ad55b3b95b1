//! Pages, as every listing gives them.

use backend_api::limits::PAGE_ITEMS_MAX;
use backend_api::{Error, Page, Reason, Result};

/// The limit that holds.
pub(super) fn limit(asked: usize) -> Result<usize> {
    match asked {
        0 => Err(Error::new(Reason::BadRequest, "limit: is 0")),
        asked => Ok(asked.min(PAGE_ITEMS_MAX)),
    }
}

/// One page of `items`, which start after the cursor. A page names the next one exactly if an item follows.
pub(super) fn page<T, C>(
    items: impl IntoIterator<Item = T>,
    asked: usize,
    key: impl Fn(&T) -> C,
) -> Result<Page<T, C>> {
    let limit = limit(asked)?;
    let mut items = items.into_iter();
    let page: Vec<T> = items.by_ref().take(limit).collect();
    let next = if items.next().is_some() { page.last().map(key) } else { None };
    Ok(Page { items: page, next })
}
