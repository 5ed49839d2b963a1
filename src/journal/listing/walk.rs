//! Reads a page of a list step by step, until it is full or one of its limits is reached.
//!
//! Each step is a statement of its own, with bounded work. So a list can be cancelled between two
//! steps, and no statement holds an old snapshot of the store for long.

use std::cmp::Reverse;

use async_trait::async_trait;
use tokio::task;

use crate::{
    domain::{Match, MatchId, TenantId},
    journal::{
        Error, Filter, Listing,
        listing::{
            plan::{ListPlan, plan},
            statement::{self, Piece, ScanRange},
        },
    },
};

/// How many index rows a list scans: ten milliseconds of work, at some microseconds for each row
/// and its checks. A page that isn't full by then stays short.
pub(in crate::journal) const SCANNED_MAX: usize = 2048;

/// How many rows of each index the first step scans, at least: fewer save nothing.
const STEP_MIN: usize = 64;

/// Each further step scans this many times the rows of the step before it: where few rows fit, many
/// have to be scanned.
const STEP_GROWTH: usize = 4;

/// How many matches are read at once, and folded without yielding: some milliseconds of work.
pub(in crate::journal) const GROUP: usize = 64;

/// How many events a list reads: enough for a full page of a thousand matches, each with more
/// failed attempts than most. If all of them have the most attempts that are recorded, the page is
/// short.
const EVENTS_MAX: usize = 8192;

/// How many bytes of events a list reads: twice what fits into a response.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// A row that was scanned.
pub(in crate::journal) struct ScannedRow {
    pub match_id: MatchId,
    pub fits: bool,
}

/// A group of matches that was read.
pub(in crate::journal) struct GroupRead {
    /// Newest first. Matches that were erased meanwhile are left out.
    pub matches: Vec<Match>,
    /// How many events these matches have.
    pub events: usize,
    /// The size of these events.
    pub bytes: usize,
}

/// A connection that lists are read over.
#[async_trait]
pub(in crate::journal) trait ListConnection: Send {
    /// Runs a statement of [`statement::scan`].
    async fn scan(&mut self, pieces: &[Piece<'_>]) -> Result<Vec<ScannedRow>, Error>;

    /// The matches with these ids, newest first. There are at most [`GROUP`] ids.
    async fn read(&mut self, ids: &[MatchId]) -> Result<GroupRead, Error>;
}

/// Reads a page for [`crate::journal::Reader::list`].
pub(in crate::journal) async fn list(
    store: &mut impl ListConnection,
    tenant: &TenantId,
    filter: &Filter,
    before: Option<MatchId>,
    limit: usize,
) -> Result<Listing, Error> {
    let plan = plan(filter);
    let mut walk = ListWalk::new(filter, before, limit);
    let mut rows = walk.first_step(&plan);
    while !walk.is_over() {
        let stretch = ScanRange { before: walk.reached, rows: as_number(rows) };
        let mut looked = store.scan(&statement::scan(&plan, tenant, stretch)).await?;
        looked.sort_unstable_by_key(|row| Reverse(row.match_id));
        walk.scanned += looked.len();
        let is_last = looked.len() < rows;
        walk.read_fitting(store, &looked).await?;
        if is_last && !walk.has_unused_rows {
            walk.is_at_end = true;
        }
        rows = walk.next_step(&plan, rows);
    }
    Ok(walk.listing())
}

/// The progress of a list.
struct ListWalk<'a> {
    filter: &'a Filter,
    limit: usize,
    matches: Vec<Match>,
    /// The oldest match that the list has dealt with: the next step, or the next page, continues
    /// after it.
    reached: Option<MatchId>,
    scanned: usize,
    events: usize,
    bytes: usize,
    /// Whether the page was full before all scanned rows were used.
    has_unused_rows: bool,
    /// Whether there are no older matches.
    is_at_end: bool,
}

impl<'a> ListWalk<'a> {
    fn new(filter: &'a Filter, before: Option<MatchId>, limit: usize) -> Self {
        Self {
            filter,
            limit,
            matches: Vec::new(),
            reached: before,
            scanned: 0,
            events: 0,
            bytes: 0,
            has_unused_rows: false,
            is_at_end: false,
        }
    }

    fn is_full(&self) -> bool {
        self.matches.len() >= self.limit || self.events >= EVENTS_MAX || self.bytes >= BYTES_MAX
    }

    fn is_over(&self) -> bool {
        self.is_at_end || self.has_unused_rows || self.is_full() || self.scanned >= SCANNED_MAX
    }

    /// How many rows of each index the first step scans: no more than the page needs, if every row
    /// fits.
    fn first_step(&self, plan: &ListPlan<'_>) -> usize {
        let wanted = if plan.is_exact() { self.limit } else { self.limit.max(STEP_MIN) };
        wanted.clamp(1, self.rows_left_per_scan(plan))
    }

    fn next_step(&self, plan: &ListPlan<'_>, before: usize) -> usize {
        before.max(STEP_MIN).saturating_mul(STEP_GROWTH).clamp(1, self.rows_left_per_scan(plan))
    }

    /// How many more rows each index scan may read: its part of what is left of the row limit.
    fn rows_left_per_scan(&self, plan: &ListPlan<'_>) -> usize {
        (SCANNED_MAX.saturating_sub(self.scanned) / plan.sources.len().max(1)).max(1)
    }

    /// Reads the scanned matches that fit the filter, until the page is full.
    async fn read_fitting(
        &mut self,
        store: &mut impl ListConnection,
        looked: &[ScannedRow],
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
            // A match may have changed since it was scanned.
            self.matches.extend(read.matches.into_iter().filter(|m| self.filter.selects(m)));
            self.reached = group.last().copied();
            if self.is_full() {
                self.has_unused_rows = self.reached != looked.last().map(|row| row.match_id);
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
            rows: self.scanned + self.events,
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

    /// A store whose matches fit when they are scanned, and no longer fit when they are read.
    struct Moving {
        left: Vec<MatchId>,
        read: BTreeMap<MatchId, usize>,
    }

    #[async_trait]
    impl ListConnection for Moving {
        async fn scan(&mut self, _pieces: &[Piece<'_>]) -> Result<Vec<ScannedRow>, Error> {
            let looked = std::mem::take(&mut self.left).into_iter();
            Ok(looked.map(|match_id| ScannedRow { match_id, fits: true }).collect())
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
    async fn a_match_that_no_longer_fits_leaves_its_place_to_the_next() {
        let ids: Vec<MatchId> = (0..200).map(|n| match_id(0, n)).collect();
        let mut store = Moving { left: ids.clone(), read: BTreeMap::new() };
        let tenant = TenantId::default_tenant();
        let listing = list(&mut store, &tenant, &Filter::default(), None, 51).await.unwrap();
        assert!(listing.matches.is_empty());
        let expected: BTreeMap<_, _> = ids.into_iter().map(|id| (id, 1)).collect();
        assert_eq!(store.read, expected, "each match is read once");
    }
}
