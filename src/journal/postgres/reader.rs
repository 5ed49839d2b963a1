//! Everything that only reads. Each call is one statement, and so sees one state of the store.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{PgPool, Row, pool::PoolConnection, postgres::PgRow, query};
use tokio::{sync::watch, time};

use crate::{
    domain::{AnalysisId, CallerId, Event, Match, MatchId, Position, Recorded, Sequence},
    journal::{
        Claim, CursorStatus, Error, EventPage, Filter, Key, Keys, Listing, Origin, Reader, Writer,
        postgres::{
            Postgres,
            claim::PackedClaim,
            connect,
            rows::{self, Query, columns},
        },
        reply,
        stored::{self, Besides, in_order},
    },
};

/// How long a read may take in all, tries over dead connections included.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The newest position, a scalar.
macro_rules! head {
    () => {
        "(SELECT last_position FROM commits ORDER BY first_position DESC LIMIT 1)"
    };
}

/// A page of events, what came before them in their matches, and the floor: one row at least. What
/// came before is looked up for each match by itself, which the key of `events` is good for.
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

/// The reading half of a replica.
pub(super) struct ReadConnections {
    pool: PgPool,
    connections_max: u32,
}

/// A connection with a statement under way. If nobody waits for that any more the connection may
/// be silent for good: it is closed, rather than given back and asked whether it is well, which
/// would keep its place taken for as long as the system waits for an answer.
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

    /// What a statement returns. After a restart of the database each connection is found dead
    /// once: the next one is taken.
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
        let late = || Err(connect::late().into());
        time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| late())
    }

    /// Completes events that can't be read by what the store has beside them.
    async fn complete(&self, mut events: Vec<Recorded>) -> Result<Vec<Recorded>, Error> {
        if let ids @ [_, ..] = stored::incomplete(&events).as_slice() {
            stored::complete(&mut events, &self.besides(ids).await?);
        }
        Ok(events)
    }

    /// What the store has of matches beside their events.
    async fn besides(&self, ids: &[MatchId]) -> Result<Besides, Error> {
        rows::besides(&self.rows(|| rows::beside(ids)).await?)
    }

    /// The only row of a statement that always has one.
    async fn row<'q>(
        &self,
        statement: impl Fn() -> Query<'q> + Send + Sync,
    ) -> Result<PgRow, Error> {
        self.rows(statement).await?.pop().ok_or_else(|| sqlx::Error::RowNotFound.into())
    }
}

impl Postgres {
    /// The match that a key names.
    pub(super) async fn find_match(
        &self,
        caller: &CallerId,
        key: &Key,
    ) -> Result<Option<Match>, Error> {
        let rows = self.0.readers.rows(|| rows::journal_by_key(caller, key)).await?;
        let events = rows::events(&rows)?;
        match stored::folded(&events) {
            Ok(found) => Ok(found),
            Err(id) => {
                let besides = self.0.readers.besides(&[id]).await?;
                Ok(stored::folded_beside(&events, &besides))
            }
        }
    }

    /// The events of a match, whose ever it is.
    pub(super) async fn read_events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error> {
        const EVENTS: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM events AS e WHERE e.match_id = $1 ORDER BY e.sequence"
        );
        let rows = self.0.readers.rows(|| query(EVENTS).bind(match_id.as_uuid())).await?;
        self.0.readers.complete(rows::events(&rows)?).await
    }

    /// The hold that somebody has on a match, if there is one.
    pub(super) async fn hold(&self, match_id: MatchId) -> Result<Option<PackedClaim>, Error> {
        const HOLD: &str = "
            SELECT epoch, lent, owner FROM match_states
            WHERE match_id = $1 AND end_time IS NULL";
        let rows = self.0.readers.rows(|| query(HOLD).bind(match_id.as_uuid())).await?;
        Ok(rows.first().map(PackedClaim::read).transpose()?)
    }

    /// Whether a match stands where an event would follow, and an analysis of that event belongs to
    /// another.
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

    /// Which of these analyses belong to other matches, whoever's they are: Oz's folders know
    /// nothing of our callers.
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
    async fn find(&self, caller: &CallerId, key: &Key) -> Result<Option<Match>, Error> {
        self.find_match(caller, key).await
    }

    async fn events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error> {
        self.read_events(match_id).await
    }

    fn recent(&self, match_id: MatchId) -> Option<Vec<Recorded>> {
        self.0.recent.events(match_id)
    }

    // Positions are safe to go on from because each statement that writes events takes the next one
    // as a key before it does anything else, and none sees a larger one before it: see write.sql.
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
        caller: &CallerId,
        filter: &Filter,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Listing, Error> {
        self.0.lists.list(caller, filter, before, limit).await
    }

    async fn head(&self) -> Result<Position, Error> {
        let row = self.0.readers.row(|| query(concat!("SELECT ", head!()))).await?;
        Ok(Position(rows::unsigned(&row, 0)?))
    }

    async fn earliest(&self) -> Result<Position, Error> {
        const EARLIEST: &str =
            concat!("SELECT coalesce((SELECT min(position) FROM events) - 1, ", head!(), ")");
        let row = self.0.readers.row(|| query(EARLIEST)).await?;
        Ok(Position(rows::unsigned(&row, 0)?))
    }

    async fn floor(&self) -> Result<Position, Error> {
        let row = self.0.readers.row(|| query("SELECT floor FROM store")).await?;
        Ok(Position(rows::unsigned(&row, 0)?))
    }

    async fn standing(&self, origin: Origin, position: Position) -> Result<CursorStatus, Error> {
        if origin.store != self.0.origin.store {
            return Ok(CursorStatus::Foreign);
        }
        // Whether this position is from the history that this store has. A token names the run that
        // wrote it; or one that began after it, since that one saw it here. In a store that was
        // restored from a backup, whatever came after the backup was written by other runs.
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
            // Who wrote what is below the floor is forgotten.
            position if position < floor => CursorStatus::Expired,
            _ if was_there => CursorStatus::Retained,
            _ => CursorStatus::Foreign,
        })
    }

    fn origin(&self) -> Origin {
        self.0.origin
    }

    fn origin_of(&self, incarnation: u64) -> Origin {
        Origin { incarnation, ..self.0.origin }
    }

    async fn incarnation_at(&self, position: Position) -> Result<u64, Error> {
        const WRITTEN_BY: &str = "
            SELECT incarnation FROM commits WHERE first_position <= $1
            ORDER BY first_position DESC LIMIT 1";
        let position = i64::try_from(position.0).unwrap_or(i64::MAX);
        let rows = self.0.readers.rows(|| query(WRITTEN_BY).bind(position)).await?;
        let written_by = rows.first().map(|row| rows::unsigned(row, 0)).transpose()?;
        // At the very beginning nobody has written anything: every run has come after it.
        Ok(written_by.filter(|run| *run != 0).unwrap_or(self.0.origin.incarnation))
    }

    fn keys(&self) -> &Keys {
        &self.0.keys
    }

    fn wake(&self) -> watch::Receiver<()> {
        self.0.wake.subscribe()
    }

    fn take_erased(&self) -> Vec<MatchId> {
        self.0.tail.take_erased()
    }

    /// A replica that couldn't renew its lease isn't one that anybody should come to.
    async fn ping(&self) -> Result<(), Error> {
        if !self.may_act() {
            return Err(reply::closed());
        }
        self.0.health.row(|| query("SELECT floor FROM store")).await.map(drop)
    }
}
