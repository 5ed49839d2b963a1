//! Pages of matches, newest first.

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
    /// Gives the next page; empty on the last.
    pub next: String,
}

/// The page after a token.
pub async fn page(
    reader: &dyn Reader,
    caller: &CallerId,
    filter: &Filter,
    token: &str,
    size: usize,
) -> Result<Page, Ended> {
    let before = token::read_page(reader, caller, filter, token)?;
    // One more than asked for tells whether there is another page.
    let mut matches = reader.list(caller, filter, before, size.saturating_add(1)).await?;
    let more = matches.len() > size;
    matches.truncate(size);
    let next = match matches.last().filter(|_| more) {
        Some(last) => token::write_page(reader, caller, filter, last.id),
        None => String::new(),
    };
    Ok(Page { matches, next })
}
