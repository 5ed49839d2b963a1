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
    let mut matches = reader.list(caller, filter, before, size.saturating_add(1)).await?;
    let found = matches.len();
    let fitting = matches.iter().take(size).map(fits).take_while(|fits| *fits).count();
    matches.truncate(fitting);
    let next = match matches.last().filter(|_| found > fitting) {
        Some(last) => token::write_page(reader.keys(), caller, filter, last.id),
        None => String::new(),
    };
    Ok(Page { matches, next })
}
