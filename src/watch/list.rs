//! Pages of matches, newest first. A page's token names the match that was scanned last, so that
//! the next page continues there, even if none of the scanned matches fitted.

use crate::{
    domain::{Match, TenantId},
    journal::{Filter, Keys, Reader},
    watch::{Ended, token},
};

/// A page of a listing.
#[derive(Debug)]
pub struct Page {
    /// The matches, newest first. There may be none, although there is a next page.
    pub matches: Vec<Match>,
    /// The token of the next page; empty on the last page.
    pub next: String,
}

/// The page after a token: up to `size` matches. It ends before the first match that `fits`
/// rejects. `fits` is asked in order, and has to accept the first match.
pub async fn page(
    reader: &dyn Reader,
    keys: &Keys,
    tenant: &TenantId,
    filter: &Filter,
    token: &str,
    size: usize,
    fits: impl FnMut(&Match) -> bool + Send,
) -> Result<Page, Ended> {
    let before = token::read_page(keys, tenant, filter, token)?;
    // One match more than requested tells whether there is another page.
    let listing = reader.list(tenant, filter, before, size.saturating_add(1)).await?;
    let (found, mut matches) = (listing.matches.len(), listing.matches);
    let fitting = matches.iter().take(size).map(fits).take_while(|fits| *fits).count();
    matches.truncate(fitting);
    let last = matches.last().map(|last| last.id);
    let position = if found > fitting { last } else { listing.reached };
    let next = position.map(|last| token::write_page(keys, tenant, filter, last));
    Ok(Page { matches, next: next.unwrap_or_default() })
}
