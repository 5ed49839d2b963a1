//! Listing a caller's matches, newest first, with bounded work: what both engines have in common.
//!
//! `plan` decides from the filter alone which index is walked, `statement` puts that into SQL,
//! `walk` reads in steps until the page is full or enough was looked at, and `turns` bounds how
//! many lists are under way at once. It deliberately knows no connection: an engine brings one.

mod permits;
mod plan;
mod statement;
#[cfg(test)]
pub(super) mod testing;
mod walk;

pub(super) use self::{
    permits::{LISTS_MAX, ListPermits, at_once},
    statement::Piece,
    walk::{GROUP, GroupRead, ListConnection, Looked, list},
};
use crate::{
    domain::{Match, MatchId},
    journal::Filter,
};

/// A stretch of a caller's matches.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Listing {
    /// Those that the filter selects, newest first.
    pub matches: Vec<Match>,
    /// The match that was looked at last, where there may be older ones; none at the end.
    pub reached: Option<MatchId>,
    /// How many rows were read for it: the measure of its work.
    pub rows: usize,
}

impl Filter {
    /// Whether all conditions hold for a match.
    pub fn selects(&self, m: &Match) -> bool {
        let labels = &m.spec.labels;
        self.folder_id.is_none_or(|id| m.spec.folder_id == id)
            && self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && (self.states.is_empty() || self.states.contains(&m.state))
            && self.created_after.is_none_or(|time| m.create_time >= time)
            && self.created_before.is_none_or(|time| m.create_time < time)
    }
}
