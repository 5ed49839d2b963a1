//! The reading half of the journal. Each call is one statement, and so sees one snapshot of the
//! store; a second one only completes events that can't be read.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{PgPool, Row, pool::PoolConnection, postgres::PgRow, query};
use tokio::time;

use crate::{
    domain::{AnalysisId, Cursor, Event, Match, MatchId, Position, Recorded, Sequence, TenantId},
    journal::{
        Claim, CursorStatus, Error, EventPage, Filter, Key, Listing, Origin, Reader, Start,
        postgres::{
            Postgres, connect,
            packed_claim::PackedClaim,
            rows::{self, Query, columns},
        },
        reply,
        stored::{self, ColumnsByMatch, in_order},
    },
};

/// How long a read may take in all, retries over other connections included.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A scalar sub-select of the newest position.
macro_rules! head {
    () => {
        "(SELECT last_position FROM commits ORDER BY first_position DESC LIMIT 1)"
    };
}

/// A cursor of a position: the position, and the incarnation that wrote the newest event up to it;
/// `NULL` if the store no longer knows.
macro_rules! cursor_of {
    ($position:expr) => {
        concat!(
            "WITH p AS MATERIALIZED (SELECT (",
            $position,
            ") AS position)
             SELECT p.position, (
                 SELECT c.incarnation FROM commits AS c WHERE c.first_position <= p.position
                 ORDER BY c.first_position DESC LIMIT 1)
             FROM p"
        )
    };
}

/// The cursor of the newest event ever written.
const HEAD: &str = cursor_of!(head!());

/// The cursor right before the oldest event.
const EARLIEST: &str =
    cursor_of!(concat!("coalesce((SELECT min(position) FROM events) - 1, ", head!(), ")"));

/// The cursor after which retention has erased nothing.
const FLOOR: &str = cursor_of!("SELECT floor FROM store");

/// A page of events, the earlier events of their matches, and the floor: at least one row. Earlier
/// events are looked up match by match, by the key of `events`.
pub(super) const PAGE: &str = concat!(
    "WITH page AS MATERIALIZED (
         SELECT ",
    columns!(),
    " FROM events AS e WHERE e.position > $1 ORDER BY e.position LIMIT $2
     ), begun AS (
         SELECT match_id, min(sequence) AS sequence FROM page
         GROUP BY match_id HAVING min(sequence) > 1
     )
     SELECT ",
    columns!(),
    ", s.floor FROM store AS s LEFT JOIN (
         SELECT * FROM page
         UNION ALL
         SELECT b.* FROM begun AS f CROSS JOIN LATERAL (
             SELECT ",
    columns!(),
    " FROM events AS e WHERE e.match_id = f.match_id AND e.sequence < f.sequence
         ) AS b
     ) AS e ON TRUE"
);

/// A pool of connections for reads.
pub(super) struct ReadConnections {
    pool: PgPool,
    connections_max: u32,
}

/// A connection with a statement in flight. If the read is abandoned, the connection may be silent
/// for good, so it is closed: the pool would take it back and ping it, and its slot would stay
/// occupied until the operating system gives up on the answer.
struct CloseIfAbandoned(Option<PoolConnection<sqlx::Postgres>>);

impl CloseIfAbandoned {
    fn is_over(&mut self) {
        self.0 = None;
    }
}

impl Drop for CloseIfAbandoned {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.close_on_drop();
        }
    }
}

impl ReadConnections {
    pub(super) fn new(pool: PgPool, connections_max: u32) -> Self {
        Self { pool, connections_max }
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Runs a statement and returns its rows. After a restart of the database each connection is
    /// found dead once, so the statement is tried again over the next one.
    pub(super) async fn rows<'q>(
        &self,
        statement: impl Fn() -> Query<'q> + Send + Sync,
    ) -> Result<Vec<PgRow>, Error> {
        let reading = async {
            let mut tries = 0;
            loop {
                let mut reading = CloseIfAbandoned(Some(self.pool.acquire().await?));
                let read = match reading.0.as_mut() {
                    Some(connection) => statement().fetch_all(&mut **connection).await,
                    None => return Err(reply::closed()),
                };
                reading.is_over();
                tries += 1;
                match read {
                    Err(error) if connect::is_broken(&error) && tries <= self.connections_max => {}
                    read => return Ok(read?),
                }
            }
        };
        let late = || Err(connect::timed_out().into());
        time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| late())
    }

    /// Completes unreadable events from what the store keeps beside them.
    async fn complete(&self, mut events: Vec<Recorded>) -> Result<Vec<Recorded>, Error> {
        if let ids @ [_, ..] = stored::incomplete(&events).as_slice() {
            stored::complete(&mut events, &self.besides(ids).await?);
        }
        Ok(events)
    }

    /// Reads what the store keeps of matches beside their events.
    async fn besides(&self, ids: &[MatchId]) -> Result<ColumnsByMatch, Error> {
        rows::besides(&self.rows(|| rows::beside(ids)).await?)
    }

    /// Runs a statement that always returns one row.
    async fn row<'q>(
        &self,
        statement: impl Fn() -> Query<'q> + Send + Sync,
    ) -> Result<PgRow, Error> {
        self.rows(statement).await?.pop().ok_or_else(|| sqlx::Error::RowNotFound.into())
    }
}

impl Postgres {
    /// Reads the match that a tenant's key names.
    pub(super) async fn find_match(
        &self,
        tenant: &TenantId,
        key: &Key,
    ) -> Result<Option<Match>, Error> {
        let rows = self.0.readers.rows(|| rows::journal_by_key(tenant, key)).await?;
        let events = rows::events(&rows)?;
        match stored::folded(&events) {
            Ok(found) => Ok(found),
            Err(id) => {
                let besides = self.0.readers.besides(&[id]).await?;
                Ok(stored::folded_beside(&events, &besides))
            }
        }
    }

    /// Reads the events of a match, whichever tenant's it is.
    pub(super) async fn read_events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error> {
        const EVENTS: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM events AS e WHERE e.match_id = $1 ORDER BY e.sequence"
        );
        let rows = self.0.readers.rows(|| query(EVENTS).bind(match_id.as_uuid())).await?;
        self.0.readers.complete(rows::events(&rows)?).await
    }

    /// The present claim on an unfinished match; its lease is zero if the match is unclaimed.
    pub(super) async fn present_claim(
        &self,
        match_id: MatchId,
    ) -> Result<Option<PackedClaim>, Error> {
        const HOLD: &str = "
            SELECT epoch, lent, owner FROM match_states
            WHERE match_id = $1 AND end_time IS NULL";
        let rows = self.0.readers.rows(|| query(HOLD).bind(match_id.as_uuid())).await?;
        Ok(rows.first().map(PackedClaim::read).transpose()?)
    }

    /// Whether an event was refused only because an analysis that it names belongs to another
    /// match: the claim holds, and the match's last event is `after`.
    pub(super) async fn is_taken(
        &self,
        claim: Claim,
        after: Sequence,
        event: &Event,
    ) -> Result<bool, Error> {
        const TAKEN: &str = "
            SELECT EXISTS (SELECT 1 FROM match_states
                           WHERE match_id = $1 AND epoch = $2 AND owner = $3 AND sequence = $4
                               AND end_time IS NULL)
               AND EXISTS (SELECT 1 FROM match_analyses
                           WHERE analysis_id IN ($5, $6) AND match_id <> $1)";
        let Some((one, other)) = stored::analyses(event) else {
            return Ok(false);
        };
        let hold = PackedClaim::of(claim);
        let asking = || {
            query(TAKEN)
                .bind(claim.match_id.as_uuid())
                .bind(hold.epoch)
                .bind(hold.lease.number())
                .bind(after.0.cast_signed())
                .bind(one.as_str())
                .bind(other.map(AnalysisId::as_str))
        };
        Ok(self.0.readers.row(asking).await?.try_get(0)?)
    }

    /// Those of these matches that a replica with their photos would not find held: see
    /// [`takeable`](crate::journal::Writer::takeable).
    pub(super) async fn not_held(&self, matches: &[MatchId]) -> Result<Vec<MatchId>, Error> {
        const NOT_HELD: &str = "
            SELECT w.match_id FROM unnest($1::uuid[]) AS w (match_id)
            WHERE NOT coalesce((
                SELECT coalesce(s.end_time, 0) = 0 AND s.needs_photo AND NOT s.lent
                    AND EXISTS (SELECT 1 FROM leases AS l WHERE l.lease = s.owner)
                FROM match_states AS s WHERE s.match_id = w.match_id LIMIT 1), FALSE)";
        let ids: Vec<_> = matches.iter().map(|id| *id.as_uuid()).collect();
        let rows = self.0.readers.rows(|| query(NOT_HELD).bind(ids.as_slice())).await?;
        Ok(rows.iter().filter_map(rows::id).collect())
    }

    /// Those of these analyses that belong to other matches, of any tenant: folders at Oz don't
    /// tell this service's tenants apart.
    pub(super) async fn others_own(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        const OWNED: &str = "
            SELECT analysis_id FROM match_analyses
            WHERE analysis_id = ANY($1) AND match_id <> $2";
        let ids: Vec<&str> = analyses.iter().map(AnalysisId::as_str).collect();
        let asking = || query(OWNED).bind(ids.as_slice()).bind(match_id.as_uuid());
        let rows = self.0.readers.rows(asking).await?;
        let owned = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<&str>, _>>()?;
        let is_owned = |id: &&AnalysisId| owned.contains(&id.as_str());
        Ok(analyses.iter().filter(is_owned).cloned().collect())
    }
}

#[async_trait]
impl Reader for Postgres {
    async fn find(&self, tenant: &TenantId, key: &Key) -> Result<Option<Match>, Error> {
        self.find_match(tenant, key).await
    }

    async fn events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error> {
        self.read_events(match_id).await
    }

    fn recent(&self, match_id: MatchId) -> Option<Vec<Recorded>> {
        self.0.recent.events(match_id)
    }

    // A position is safe as a cursor: each statement that writes events first takes the next
    // position as a key, so none becomes visible before a smaller one (see write.sql).
    async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, Error> {
        if let Some(recent) = self.0.recent.tail(after, limit) {
            return Ok(recent);
        }
        const TAIL: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM events AS e WHERE e.position > $1 ORDER BY e.position LIMIT $2"
        );
        let after = i64::try_from(after.0).unwrap_or(i64::MAX);
        let tailing = || query(TAIL).bind(after).bind(rows::limit(limit));
        let rows = self.0.followers.rows(tailing).await?;
        self.0.followers.complete(self.0.recent.bound(rows::events(&rows)?)).await
    }

    async fn page(&self, after: Position, limit: usize) -> Result<EventPage, Error> {
        if let Some(events) = self.0.recent.page(after, limit) {
            return Ok(EventPage { events, floor: None });
        }
        let after = i64::try_from(after.0).unwrap_or(i64::MAX);
        let reading = || query(PAGE).bind(after).bind(rows::limit(limit));
        let rows = self.0.followers.rows(reading).await?;
        let floor = rows.first().map(|row| rows::unsigned(row, 6)).transpose()?;
        let events = rows.iter().filter(|row| rows::id(row).is_some()).map(rows::recorded);
        let events = self.0.recent.bound(events.collect::<Result<_, _>>()?);
        let events = self.0.followers.complete(events).await?;
        Ok(EventPage { events: in_order(events), floor: floor.map(Position) })
    }

    async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Listing, Error> {
        self.0.lists.list(tenant, filter, before, limit).await
    }

    async fn cursor(&self, start: Start) -> Result<Cursor, Error> {
        let cursor = match start {
            Start::Head => HEAD,
            Start::Earliest => EARLIEST,
            Start::Floor => FLOOR,
        };
        let row = self.0.readers.row(|| query(cursor)).await?;
        let position = Position(rows::unsigned(&row, 0)?);
        let written_by = row.try_get::<Option<i64>, _>(1)?.map(i64::cast_unsigned);
        // No incarnation wrote position zero, and every one started after it.
        let written_by = written_by.filter(|run| *run != 0);
        Ok(Cursor {
            position,
            incarnation: written_by.unwrap_or(self.0.identity.origin.incarnation),
        })
    }

    async fn cursor_status(
        &self,
        origin: Origin,
        position: Position,
    ) -> Result<CursorStatus, Error> {
        if origin.store != self.0.identity.origin.store {
            return Ok(CursorStatus::Foreign);
        }
        // Whether the position is part of this store's history. A token names the incarnation that
        // wrote the position, or a later one, which saw it here at its start. In a store that was
        // restored from a backup, other incarnations wrote the positions after the backup.
        const PLACE: &str = concat!(
            "SELECT s.floor, ",
            head!(),
            ", coalesce(i.started_position >= $2 OR i.incarnation = (
                   SELECT c.incarnation FROM commits AS c WHERE c.first_position <= $2
                   ORDER BY c.first_position DESC LIMIT 1), FALSE), i.incarnation IS NOT NULL
             FROM store AS s LEFT JOIN incarnations AS i ON i.incarnation = $1"
        );
        let Ok(at) = i64::try_from(position.0) else {
            return Ok(CursorStatus::Foreign);
        };
        let place = || query(PLACE).bind(origin.incarnation.cast_signed()).bind(at);
        let row = self.0.readers.row(place).await?;
        let (floor, head) = (rows::unsigned(&row, 0)?, rows::unsigned(&row, 1)?);
        let (was_there, is_known): (bool, bool) = (row.try_get(2)?, row.try_get(3)?);
        Ok(match position.0 {
            position if position > head || !is_known => CursorStatus::Foreign,
            // Which incarnation wrote a position below the floor is no longer known.
            position if position < floor => CursorStatus::Expired,
            _ if was_there => CursorStatus::Retained,
            _ => CursorStatus::Foreign,
        })
    }

    /// Fails also while this replica can't rely on its lease: it should get no requests then.
    async fn ping(&self) -> Result<(), Error> {
        if !self.may_act() {
            return Err(reply::closed());
        }
        self.answers().await
    }
}

impl Postgres {
    /// Whether the database answers a read.
    ///
    /// # Errors
    /// That of the read.
    pub async fn answers(&self) -> Result<(), Error> {
        self.0.health.row(|| query("SELECT floor FROM store")).await.map(drop)
    }

    /// Whether the database takes writes. It doesn't while it is in recovery; a disk that is full
    /// shows by the lease, whose renewal is a write.
    ///
    /// # Errors
    /// That of the read, or that the database is read-only.
    pub async fn takes_writes(&self) -> Result<(), Error> {
        const READ_ONLY: &str = "SELECT current_setting('transaction_read_only')";
        let shown = self.0.health.row(|| query(READ_ONLY)).await?;
        match shown.try_get::<&str, _>(0)? {
            "off" => Ok(()),
            _ => Err(connect::read_only().into()),
        }
    }
}
