//! Reads a page of a list step by step, until it is full or enough was looked at.
//!
//! Each step is a statement of bounded work of its own, so a list can be given up between any two,
//! and no statement holds an old state of the store for long.

use std::cmp::Reverse;

use async_trait::async_trait;
use tokio::task;

use crate::{
    domain::{CallerId, Match, MatchId},
    journal::{
        Error, Filter, Listing,
        listing::{
            plan::{ListPlan, plan},
            statement::{self, Piece, ScanRange},
        },
    },
};

/// How many rows of its indexes a list looks at: a hundredth of a second of work, at some
/// microseconds each with all that is checked. A page that isn't full by then is short.
pub(in crate::journal) const LOOKED_MAX: usize = 2048;

/// How many rows of each source the first step looks at, at least: fewer save nothing.
const STEP_MIN: usize = 64;

/// How many times more each further step looks at: where few fit, many have to be looked at.
const STEP_GROWTH: usize = 4;

/// How many matches are read at once: what is folded without a pause, some milliseconds of work.
pub(in crate::journal) const GROUP: usize = 64;

/// How many events a list reads: a full page of a thousand matches, each with more trouble than
/// most. Where all have the most that is told of, a page is short.
const EVENTS_MAX: usize = 8192;

/// How many bytes of events: twice what fits into an answer.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// A row that was looked at.
pub(in crate::journal) struct Looked {
    pub match_id: MatchId,
    pub fits: bool,
}

/// What was read of a group of matches.
pub(in crate::journal) struct GroupRead {
    /// Newest first; those that are gone are left out.
    pub matches: Vec<Match>,
    /// How many events they have.
    pub events: usize,
    /// How large these are.
    pub bytes: usize,
}

/// A connection that lists are read over.
#[async_trait]
pub(in crate::journal) trait ListConnection: Send {
    /// What a statement of [`statement::look`] returns.
    async fn look(&mut self, pieces: &[Piece<'_>]) -> Result<Vec<Looked>, Error>;

    /// The matches with these ids, newest first, [`GROUP`] at most.
    async fn read(&mut self, ids: &[MatchId]) -> Result<GroupRead, Error>;
}

/// As [`crate::journal::Reader::list`].
pub(in crate::journal) async fn list(
    store: &mut impl ListConnection,
    caller: &CallerId,
    filter: &Filter,
    before: Option<MatchId>,
    limit: usize,
) -> Result<Listing, Error> {
    let plan = plan(filter);
    let mut walk = ListWalk::new(filter, before, limit);
    let mut rows = walk.first_step(&plan);
    while !walk.is_over() {
        let stretch = ScanRange { before: walk.reached, rows: as_number(rows) };
        let mut looked = store.look(&statement::look(&plan, caller, stretch)).await?;
        looked.sort_unstable_by_key(|row| Reverse(row.match_id));
        walk.looked += looked.len();
        let is_last = looked.len() < rows;
        walk.take(store, &looked).await?;
        if is_last && !walk.is_cut {
            walk.is_at_end = true;
        }
        rows = walk.next_step(&plan, rows);
    }
    Ok(walk.listing())
}

/// How far a list has come.
struct ListWalk<'a> {
    filter: &'a Filter,
    limit: usize,
    matches: Vec<Match>,
    /// The match that was looked at last.
    reached: Option<MatchId>,
    looked: usize,
    events: usize,
    bytes: usize,
    /// Whether the page ended amid what was looked at.
    is_cut: bool,
    /// Whether there is nothing older.
    is_at_end: bool,
}

impl<'a> ListWalk<'a> {
    fn new(filter: &'a Filter, before: Option<MatchId>, limit: usize) -> Self {
        Self {
            filter,
            limit,
            matches: Vec::new(),
            reached: before,
            looked: 0,
            events: 0,
            bytes: 0,
            is_cut: false,
            is_at_end: false,
        }
    }

    fn is_full(&self) -> bool {
        self.matches.len() >= self.limit || self.events >= EVENTS_MAX || self.bytes >= BYTES_MAX
    }

    fn is_over(&self) -> bool {
        self.is_at_end || self.is_cut || self.is_full() || self.looked >= LOOKED_MAX
    }

    /// How many rows of each source are looked at first: no more than fill the page, where all fit.
    fn first_step(&self, plan: &ListPlan<'_>) -> usize {
        let wanted = if plan.is_exact() { self.limit } else { self.limit.max(STEP_MIN) };
        wanted.clamp(1, self.share(plan))
    }

    fn next_step(&self, plan: &ListPlan<'_>, before: usize) -> usize {
        before.max(STEP_MIN).saturating_mul(STEP_GROWTH).clamp(1, self.share(plan))
    }

    /// What is left of the rows that may be looked at, shared among the sources.
    fn share(&self, plan: &ListPlan<'_>) -> usize {
        (LOOKED_MAX.saturating_sub(self.looked) / plan.sources.len().max(1)).max(1)
    }

    /// Reads those that fit, as far as the page has room.
    async fn take(
        &mut self,
        store: &mut impl ListConnection,
        looked: &[Looked],
    ) -> Result<(), Error> {
        let fitting: Vec<MatchId> =
            looked.iter().filter(|row| row.fits).map(|row| row.match_id).collect();
        let mut rest = fitting.as_slice();
        while !rest.is_empty() {
            let room = self.limit - self.matches.len();
            let (group, further) = rest.split_at(rest.len().min(GROUP).min(room));
            rest = further;
            let read = store.read(group).await?;
            self.events += read.events;
            self.bytes += read.bytes;
            // A match may have gone on since it was looked at.
            self.matches.extend(read.matches.into_iter().filter(|m| self.filter.selects(m)));
            self.reached = group.last().copied();
            if self.is_full() {
                self.is_cut = self.reached != looked.last().map(|row| row.match_id);
                return Ok(());
            }
            task::yield_now().await;
        }
        self.reached = looked.last().map_or(self.reached, |row| Some(row.match_id));
        Ok(())
    }

    fn listing(self) -> Listing {
        Listing {
            reached: self.reached.filter(|_| !self.is_at_end),
            rows: self.looked + self.events,
            matches: self.matches,
        }
    }
}

fn as_number(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::journal::suite::facts::match_id;

    /// A store whose matches fit when they are looked at, and don't any more when they are read.
    struct Moving {
        left: Vec<MatchId>,
        read: BTreeMap<MatchId, usize>,
    }

    #[async_trait]
    impl ListConnection for Moving {
        async fn look(&mut self, _pieces: &[Piece<'_>]) -> Result<Vec<Looked>, Error> {
            let looked = std::mem::take(&mut self.left).into_iter();
            Ok(looked.map(|match_id| Looked { match_id, fits: true }).collect())
        }

        async fn read(&mut self, ids: &[MatchId]) -> Result<GroupRead, Error> {
            assert!(ids.len() <= GROUP);
            for id in ids {
                *self.read.entry(*id).or_default() += 1;
            }
            Ok(GroupRead { matches: Vec::new(), events: 0, bytes: 0 })
        }
    }

    #[tokio::test]
    async fn a_match_that_fits_no_more_leaves_its_room_to_the_next() {
        let ids: Vec<MatchId> = (0..200).map(|n| match_id(0, n)).collect();
        let mut store = Moving { left: ids.clone(), read: BTreeMap::new() };
        let caller = CallerId::default_caller();
        let listing = list(&mut store, &caller, &Filter::default(), None, 51).await.unwrap();
        assert!(listing.matches.is_empty());
        let expected: BTreeMap<_, _> = ids.into_iter().map(|id| (id, 1)).collect();
        assert_eq!(store.read, expected, "each is read, and once");
    }
}
