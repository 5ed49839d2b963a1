//! Erases matches: the rows of each in every table.
//!
//! A deleted row stays in its table's file until its space is overwritten, which is possible once
//! PostgreSQL has vacuumed the table (`vacuum.rs`). WAL files are recycled; backups and the WAL
//! archive keep what they hold. Each erasure is counted, and other replicas are notified, so that
//! no replica shows an erased match from memory.

use async_trait::async_trait;
use sqlx::{PgConnection, Row, query};

use crate::{
    domain::{MatchId, TenantId, Timestamp},
    journal::{
        Erased, Error,
        postgres::{rows, statement::Statement},
    },
};

// How rows are found: see `write.sql`.
macro_rules! erase {
    ($due:literal, $floor:literal, $returned:literal) => {
        concat!(
            "WITH due AS (",
            $due,
            "), gone AS (
                DELETE FROM match_states AS s USING due AS d
                WHERE s.match_id = ANY (ARRAY[d.match_id]) AND s.end_time IS NOT NULL
                RETURNING s.match_id
            ), gone_matches AS (
                DELETE FROM matches AS m USING gone AS g
                WHERE m.match_id = ANY (ARRAY[g.match_id])
            ), gone_labels AS (
                DELETE FROM match_labels AS l USING gone AS g
                WHERE l.match_id = ANY (ARRAY[g.match_id])
            ), gone_analyses AS (
                DELETE FROM match_analyses AS a USING gone AS g
                WHERE a.match_id = ANY (ARRAY[g.match_id])
            ), gone_events AS (
                DELETE FROM events AS e USING gone AS g
                WHERE e.match_id = ANY (ARRAY[g.match_id])
                RETURNING e.position
            ), counted AS (
                UPDATE store SET erasures = erasures + 1, floor = ",
            $floor,
            " WHERE EXISTS (SELECT 1 FROM gone) RETURNING erasures
            ), told AS (
                INSERT INTO erased (erasure, match_id, erase_time)
                SELECT c.erasures, g.match_id, now() FROM counted AS c, gone AS g
            )
            SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM gone_events), ",
            $returned
        )
    };
}

/// Erases one match of a tenant, if it has ended.
pub(super) struct EraseOne {
    pub tenant: TenantId,
    pub match_id: MatchId,
}

#[async_trait]
impl Statement for EraseOne {
    type Output = Erased;

    async fn run(&self, connection: &mut PgConnection, again: bool) -> Result<Erased, Error> {
        const ERASE: &str = erase!(
            "SELECT m.match_id FROM matches AS m
             WHERE m.match_id BETWEEN $1 AND $1 AND m.caller = $2 ORDER BY m.match_id LIMIT 1",
            "floor",
            "(SELECT count(*) FROM due AS d CROSS JOIN LATERAL (
                SELECT 1 FROM match_states AS s WHERE s.match_id = d.match_id LIMIT 1) AS s)"
        );
        let erasing = query(ERASE).bind(self.match_id.as_uuid()).bind(self.tenant.as_str());
        let row = erasing.fetch_one(connection).await?;
        Ok(match (row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(2)?) {
            (0, 0) if again => Erased::Done,
            (0, 0) => Erased::Absent,
            (0, _) => Erased::Running,
            (_, _) => Erased::Done,
        })
    }
}

/// Erases expired matches, the longest overdue first.
pub(super) struct EraseExpired {
    pub now: Timestamp,
    pub limit: usize,
}

#[async_trait]
impl Statement for EraseExpired {
    type Output = usize;

    async fn run(&self, connection: &mut PgConnection, _again: bool) -> Result<usize, Error> {
        const ERASE: &str = erase!(
            // By the earlier of two clocks: this replica's alone might erase too early.
            "SELECT match_id FROM match_states WHERE expire_time
             <= least($1, CAST(extract(epoch FROM now()) * 1000000 AS bigint))
         ORDER BY expire_time, match_id LIMIT $2",
            "greatest(floor, (SELECT max(position) FROM gone_events))",
            "1"
        );
        // No token below the floor is looked up any more. Commits are found by their key:
        // otherwise all that are retained would be read. Each page deletes as many as its events
        // can have had commits, and some more: so a backlog shrinks, and no page of it takes long.
        const FORGET: &str = "DELETE FROM commits AS c USING (
                SELECT first_position FROM commits
                WHERE first_position < (SELECT floor FROM store)
                    AND last_position < (SELECT floor FROM store)
                    AND first_position < (SELECT max(first_position) FROM commits)
                ORDER BY first_position LIMIT $1) AS o
            WHERE c.first_position = ANY (ARRAY[o.first_position])";
        // A replica that was away for longer than that has lost its lease. If the oldest row is
        // younger, no other is read; else the oldest are, twice as many as are erased now.
        const TOLD: &str = "DELETE FROM erased AS e USING (
                SELECT erasure, match_id FROM erased
                WHERE (SELECT erase_time FROM erased ORDER BY erasure, match_id LIMIT 1)
                    < now() - INTERVAL '1 hour'
                ORDER BY erasure, match_id LIMIT 2 * $1) AS o
            WHERE e.erasure = ANY (ARRAY[o.erasure]) AND e.match_id = ANY (ARRAY[o.match_id])
                AND e.erase_time < now() - INTERVAL '1 hour'";
        query(TOLD).bind(rows::limit(self.limit)).execute(&mut *connection).await?;
        let erasing = query(ERASE).bind(self.now.as_micros()).bind(rows::limit(self.limit));
        let row = erasing.fetch_one(&mut *connection).await?;
        let erased = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or(usize::MAX);
        if erased > 0 {
            let events: i64 = row.try_get(1)?;
            let forgetting = query(FORGET).bind(events.saturating_add(rows::limit(self.limit)));
            forgetting.execute(connection).await?;
        }
        Ok(erased)
    }
}
