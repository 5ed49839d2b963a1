//! Pages of matches, newest first. The token of a page names the match that was looked at last, so
//! that the next page goes on there, also where none of those that were looked at fits.

use crate::{
    domain::{CallerId, Match},
    journal::{Filter, Reader},
    watch::{Ended, token},
};

/// A page of a listing.
#[derive(Debug)]
pub struct Page {
    /// Newest first.
    pub matches: Vec<Match>,
    /// Gives the next page; empty on the last. A page that has one may have no matches.
    pub next: String,
}

/// The page after a token: up to `size` matches, and no more after the first that `fits` refuses.
/// It is asked of each in turn, and has to take the first.
pub async fn page(
    reader: &dyn Reader,
    caller: &CallerId,
    filter: &Filter,
    token: &str,
    size: usize,
    fits: impl FnMut(&Match) -> bool + Send,
) -> Result<Page, Ended> {
    let before = token::read_page(reader.keys(), caller, filter, token)?;
    // One more than asked for tells whether there is another page.
    let listing = reader.list(caller, filter, before, size.saturating_add(1)).await?;
    let (found, mut matches) = (listing.matches.len(), listing.matches);
    let fitting = matches.iter().take(size).map(fits).take_while(|fits| *fits).count();
    matches.truncate(fitting);
    let last = matches.last().map(|last| last.id);
    let position = if found > fitting { last } else { listing.reached };
    let next = position.map(|last| token::write_page(reader.keys(), caller, filter, last));
    Ok(Page { matches, next: next.unwrap_or_default() })
}
