//! The reads of the journal. Each call reads its events in one statement, and so sees one state of
//! the store. No call waits for the writer, except a ping after a failed commit.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Row, query, query_scalar};
use tokio::time;

use crate::{
    domain::{AnalysisId, Cursor, Match, MatchId, Position, Recorded, TenantId},
    journal::{
        CursorStatus, Error, EventPage, Filter, Key, Listing, Origin, Reader, Start, reply,
        sqlite::{
            Sqlite,
            probe::Probe,
            rows::{self, blob},
            statements,
        },
        stored::{ONE_WRITER, in_order},
    },
};

/// How long a probe waits for the store: as long as a read waits for a connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

#[async_trait]
impl Reader for Sqlite {
    async fn find(&self, tenant: &TenantId, key: &Key) -> Result<Option<Match>, Error> {
        let rows = rows::journal_by_key(tenant, key).fetch_all(&self.0.readers).await?;
        rows::folded(&self.0.readers, &rows).await
    }

    async fn events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error> {
        let rows = query(statements::EVENTS)
            .bind(blob(match_id.as_uuid()))
            .fetch_all(&self.0.readers)
            .await?;
        rows::complete(&self.0.readers, rows::events(&rows)?).await
    }

    fn recent(&self, match_id: MatchId) -> Option<Vec<Recorded>> {
        self.0.recent.events(match_id)
    }

    // A position is a safe cursor because SQLite has one writer: positions are drawn and become
    // visible in the same order. With several writers, one could draw a smaller position and commit
    // it later.
    async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, Error> {
        if let Some(recent) = self.0.recent.tail(after, limit) {
            return Ok(recent);
        }
        let rows = query(statements::TAIL)
            .bind(i64::try_from(after.0).unwrap_or(i64::MAX))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.0.followers)
            .await?;
        rows::complete(&self.0.followers, self.0.recent.bound(rows::events(&rows)?)).await
    }

    async fn page(&self, after: Position, limit: usize) -> Result<EventPage, Error> {
        if let Some(events) = self.0.recent.page(after, limit) {
            return Ok(EventPage { events, floor: None });
        }
        // At least one row, which carries the floor.
        let rows = query(statements::PAGE)
            .bind(i64::try_from(after.0).unwrap_or(i64::MAX))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.0.followers)
            .await?;
        let floor = rows.first().map(|row| row.try_get::<i64, _>(5)).transpose()?;
        let events = rows.iter().filter(|row| rows::is_event(row)).map(rows::recorded);
        let events = self.0.recent.bound(events.collect::<Result<_, _>>()?);
        let events = rows::complete(&self.0.followers, events).await?;
        Ok(EventPage {
            events: in_order(events),
            floor: floor.map(|it| Position(it.cast_unsigned())),
        })
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
        let position = match start {
            Start::Head => self.head().await?,
            Start::Earliest => self.earliest().await?,
            Start::Floor => self.floor().await?,
        };
        Ok(Cursor { position, incarnation: ONE_WRITER })
    }

    async fn cursor_status(
        &self,
        origin: Origin,
        position: Position,
    ) -> Result<CursorStatus, Error> {
        if origin.store != self.0.identity.origin.store {
            return Ok(CursorStatus::Foreign);
        }
        // An incarnation ends where the next one starts. In a store that was restored from a
        // backup, the next one starts before the point that the earlier one had reached: what the
        // earlier one wrote after the backup has never happened here.
        let bounds = query(statements::BOUNDS)
            .bind(origin.incarnation.cast_signed())
            .fetch_optional(&self.0.readers)
            .await?;
        let Some(row) = bounds else {
            return Ok(CursorStatus::Foreign);
        };
        let (floor, end) = (row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(1)?);
        Ok(judge(position.0, floor.cast_unsigned(), end.cast_unsigned()))
    }

    async fn ping(&self) -> Result<(), Error> {
        self.answers().await?;
        // A store that can be read may still refuse writes. After a failed commit the ping makes a
        // write itself, since no other write may come while health is NOT_SERVING.
        match self.0.writer.fails() {
            true => self.probe().await,
            false => Ok(()),
        }
    }
}

impl Sqlite {
    /// Whether the store answers a read.
    ///
    /// # Errors
    /// That of the read.
    pub async fn answers(&self) -> Result<(), Error> {
        if !self.0.writer.queue.is_open() {
            return Err(reply::closed());
        }
        query(statements::FLOOR).fetch_one(&self.0.health).await?;
        Ok(())
    }

    /// Whether the store takes writes: by a commit of the last seconds, or else by a write that
    /// leaves nothing behind.
    ///
    /// # Errors
    /// That of the write.
    pub async fn takes_writes(&self) -> Result<(), Error> {
        let writer = &self.0.writer;
        match !writer.fails() && self.0.write_proof.is_recent(writer.written()) {
            true => Ok(()),
            false => self.probe().await,
        }
    }

    async fn probe(&self) -> Result<(), Error> {
        time::timeout(PROBE_TIMEOUT, self.0.writer.submit(Probe))
            .await
            .unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into()))?;
        self.0.writer.took_write();
        self.0.write_proof.probed();
        Ok(())
    }
}

/// A cursor exactly at the floor is retained: all erased events are at or before it, so it misses
/// nothing.
fn judge(position: u64, floor: u64, end: u64) -> CursorStatus {
    if position > end {
        CursorStatus::Foreign
    } else if position < floor {
        CursorStatus::Expired
    } else {
        CursorStatus::Retained
    }
}

impl Sqlite {
    /// From the counter that positions are drawn from, not from the events: the newest event may
    /// have been erased, but the head must not move back.
    async fn head(&self) -> Result<Position, Error> {
        let head: Option<i64> =
            query_scalar(statements::HEAD).fetch_optional(&self.0.readers).await?;
        Ok(Position(head.unwrap_or(0).cast_unsigned()))
    }

    async fn earliest(&self) -> Result<Position, Error> {
        let oldest: Option<i64> =
            query_scalar(statements::OLDEST).fetch_one(&self.0.readers).await?;
        match oldest {
            Some(oldest) => Ok(Position(oldest.cast_unsigned().saturating_sub(1))),
            None => self.head().await,
        }
    }

    async fn floor(&self) -> Result<Position, Error> {
        let floor: i64 = query_scalar(statements::FLOOR).fetch_one(&self.0.readers).await?;
        Ok(Position(floor.cast_unsigned()))
    }

    /// Which of these analyses belong to other matches, whichever tenant's: Oz's folders know
    /// nothing of our tenants.
    pub(super) async fn others_own(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        let asked = serde_json::to_string(analyses).expect("ids are plain text");
        let owned: Vec<i64> = query_scalar(statements::OWNED)
            .bind(asked)
            .bind(blob(match_id.as_uuid()))
            .fetch_all(&self.0.readers)
            .await?;
        let nth = |index: i64| analyses.get(usize::try_from(index).ok()?).cloned();
        Ok(owned.into_iter().filter_map(nth).collect())
    }
}
