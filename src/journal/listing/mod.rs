//! Lists of a tenant's matches, newest first, with bounded work: the part that both engines share.
//!
//! `plan` decides from the filter alone which indexes are scanned, `statement` turns the plan into
//! SQL, `walk` reads in steps until the page is full or the row limit is reached, and `permits`
//! bounds how many lists run at once. It deliberately has no connection: each engine brings one.

mod permits;
mod plan;
mod statement;
#[cfg(test)]
pub(super) mod testing;
mod walk;

pub(super) use self::{
    permits::{LISTS_MAX, ListPermits, at_once},
    statement::Piece,
    walk::{GROUP, GroupRead, ListConnection, ScannedRow, list},
};
use crate::{
    domain::{Match, MatchId},
    journal::Filter,
};

/// A page of a tenant's matches.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Listing {
    /// The matches that the filter selects, newest first.
    pub matches: Vec<Match>,
    /// The match that was scanned last, selected or not, from which the next page continues. `None`
    /// if there are no older ones.
    pub reached: Option<MatchId>,
    /// How many rows were read for the page: the measure of its work.
    pub rows: usize,
}

impl Filter {
    /// Whether a match meets all conditions.
    pub fn selects(&self, m: &Match) -> bool {
        let labels = &m.spec.labels;
        self.folder_id.is_none_or(|id| m.spec.folder_id == id)
            && self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && (self.states.is_empty() || self.states.contains(&m.state))
            && self.created_after.is_none_or(|time| m.create_time >= time)
            && self.created_before.is_none_or(|time| m.create_time < time)
    }
}
