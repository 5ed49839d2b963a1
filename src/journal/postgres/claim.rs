//! Claims and releases matches: decides which replica holds each.
//!
//! A claim holds for as long as the lease exists under which it was made. A lease that is deleted
//! from `leases` never returns, so from then on any replica may take over its matches. The
//! statement that does so raises the epoch, and later writes of the former holder have no effect.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{PgConnection, Row, postgres::PgRow, query};
use uuid::Uuid;

use crate::{
    domain::{Match, MatchId, Timestamp},
    journal::{
        Claim, Error, Takeover,
        postgres::{
            aside::Aside,
            lease::Share,
            packed_claim::{LeaseId, PackedClaim},
            rows::{self, columns},
            statement::Statement,
        },
        reply::Orphans,
    },
};

/// Claims unclaimed matches, oldest first: during the time of sharing only this replica's share.
pub(super) struct ClaimSome {
    pub lease: LeaseId,
    pub share: Share,
    pub limit: usize,
    pub orphans: Arc<Orphans>,
    pub aside: Arc<Aside>,
    pub now: Timestamp,
}

/// Claims one match if it is unclaimed, or if it is lent and this replica has its photo.
pub(super) struct TakeOne {
    pub lease: LeaseId,
    pub match_id: MatchId,
    pub has_photo: bool,
    pub orphans: Arc<Orphans>,
    pub aside: Arc<Aside>,
    pub now: Timestamp,
}

/// Turns a lent claim into a full one.
pub(super) struct Confirm {
    pub claim: Claim,
}

/// Releases claims, so that the next search finds the matches.
pub(super) struct Release {
    pub claims: Vec<Claim>,
}

/// There are few owners, and the index is in their order: one index look-up finds each. Matches are
/// read owner by owner, and at most a page of each. How rows are found: see `write.sql`.
const CLAIM: &str = "
    WITH RECURSIVE owners (owner) AS (
        (SELECT owner FROM match_states WHERE end_time IS NULL ORDER BY owner LIMIT 1)
        UNION ALL
        SELECT (SELECT s.owner FROM match_states AS s
                WHERE s.end_time IS NULL AND s.owner > o.owner ORDER BY s.owner LIMIT 1)
        FROM owners AS o WHERE o.owner IS NOT NULL
    ), free AS (
        SELECT p.match_id, p.owner, p.epoch FROM owners AS o CROSS JOIN LATERAL (
            SELECT s.match_id, s.owner, s.epoch FROM match_states AS s
            WHERE s.end_time IS NULL AND s.owner BETWEEN o.owner AND o.owner
                AND s.slot % $3 = $4 AND s.match_id <> ALL($5)
            ORDER BY s.owner, s.match_id LIMIT $2) AS p
        WHERE NOT EXISTS (SELECT 1 FROM leases AS l WHERE l.lease = o.owner)
        ORDER BY p.match_id LIMIT $2
    )
    UPDATE match_states AS s
    SET owner = $1, epoch = s.epoch + 1, lent = s.needs_photo
    FROM free AS f
    WHERE s.match_id = ANY (ARRAY[f.match_id]) AND s.owner = f.owner AND s.epoch = f.epoch
        AND coalesce(s.end_time, 0) = 0
    RETURNING s.match_id, s.epoch, s.lent";

/// Takes the match only from the owner and epoch that the sub-select saw.
const TAKE: &str = "
    WITH free AS (
        SELECT s.match_id, s.owner, s.epoch FROM match_states AS s
        WHERE s.match_id = $2 AND coalesce(s.end_time, 0) = 0
            AND (s.lent AND $3 OR NOT EXISTS (SELECT 1 FROM leases AS l
                                              WHERE l.lease = s.owner))
    )
    UPDATE match_states AS s
    SET owner = $1, epoch = s.epoch + 1, lent = s.needs_photo AND NOT $3
    FROM free AS f
    WHERE s.match_id = $2 AND s.owner = f.owner AND s.epoch = f.epoch
        AND coalesce(s.end_time, 0) = 0
    RETURNING s.match_id, s.epoch, s.lent";
const WAITS: &str = "
    SELECT 1 FROM match_states
    WHERE match_id = $1 AND coalesce(end_time, 0) = 0 AND (needs_photo OR NOT $2)";

#[async_trait]
impl Statement for ClaimSome {
    type Output = Vec<(Match, Claim)>;

    const CLAIMS: bool = true;

    async fn run(
        &self,
        connection: &mut PgConnection,
        _again: bool,
    ) -> Result<Self::Output, Error> {
        let taken = query(CLAIM)
            .bind(self.lease.number())
            .bind(rows::limit(self.limit))
            .bind(self.share.of)
            .bind(self.share.rank)
            .bind(self.aside.ids(self.now))
            .fetch_all(&mut *connection)
            .await?;
        let claims = taken.iter().map(|row| held(row, self.lease));
        let mut claims = claims.collect::<Result<Vec<_>, _>>()?;
        claims.sort_unstable_by_key(|claim| claim.match_id);
        // The matches are claimed by now: if they can't be read, they are released again.
        let folded = fold(connection, &claims).await;
        let folded = folded.inspect_err(|_| self.orphans.add(claims.clone()))?;
        let (foreign, known): (Vec<_>, Vec<_>) =
            folded.into_iter().partition(|(m, _)| m.is_foreign);
        self.orphans.add(set_aside(&self.aside, foreign, self.now));
        Ok(known)
    }
}

#[async_trait]
impl Statement for TakeOne {
    type Output = Takeover;

    const CLAIMS: bool = true;

    async fn run(&self, connection: &mut PgConnection, _again: bool) -> Result<Takeover, Error> {
        let taken = query(TAKE)
            .bind(self.lease.number())
            .bind(self.match_id.as_uuid())
            .bind(self.has_photo)
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(row) = taken {
            let claim = held(&row, self.lease)?;
            let folded = fold(connection, &[claim]).await;
            return match folded.inspect_err(|_| self.orphans.add(vec![claim]))?.pop() {
                Some((m, claim)) if m.is_foreign => {
                    self.orphans.add(set_aside(&self.aside, vec![(m, claim)], self.now));
                    Ok(Takeover::Past)
                }
                Some((m, claim)) => Ok(Takeover::Now(m, claim)),
                None => Ok(Takeover::Past),
            };
        }
        let waits = query(WAITS).bind(self.match_id.as_uuid()).bind(self.has_photo);
        let waits = waits.fetch_optional(connection).await?;
        Ok(if waits.is_some() { Takeover::Held } else { Takeover::Past })
    }
}

fn held(row: &PgRow, lease: LeaseId) -> sqlx::Result<Claim> {
    let match_id = MatchId::from_uuid(row.try_get(0)?);
    let hold = PackedClaim { epoch: row.try_get(1)?, lent: row.try_get(2)?, lease };
    Ok(hold.claim(match_id))
}

/// Sets matches aside that this version can't drive. Returns their claims, to be released.
fn set_aside(aside: &Aside, foreign: Vec<(Match, Claim)>, now: Timestamp) -> Vec<Claim> {
    let each = foreign.into_iter().map(|(m, claim)| {
        aside.add(m.id, now);
        claim
    });
    each.collect()
}

/// Reads the matches, after they were claimed: until then their former holder may have written.
/// `claims` are in the order of match ids.
async fn fold(
    connection: &mut PgConnection,
    claims: &[Claim],
) -> Result<Vec<(Match, Claim)>, Error> {
    const EVENTS: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM events AS e WHERE e.match_id = ANY($1) ORDER BY e.match_id, e.sequence"
    );
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = claims.iter().map(|claim| *claim.match_id.as_uuid()).collect();
    let events = query(EVENTS).bind(ids).fetch_all(&mut *connection).await?;
    let matches = rows::folded_each(connection, &events).await?;
    let with_claim = |m: Match| {
        let index = claims.binary_search_by_key(&m.id, |claim| claim.match_id).ok()?;
        Some((m, claims[index]))
    };
    Ok(matches.into_iter().filter_map(with_claim).collect())
}

#[async_trait]
impl Statement for Confirm {
    type Output = Option<Claim>;

    async fn run(
        &self,
        connection: &mut PgConnection,
        _again: bool,
    ) -> Result<Option<Claim>, Error> {
        const CONFIRM: &str = "
            UPDATE match_states SET lent = FALSE
            WHERE match_id = $1 AND epoch = $2 AND owner = $3 AND coalesce(end_time, 0) = 0
            RETURNING match_id, epoch, lent";
        let hold = PackedClaim::of(self.claim);
        let secured = query(CONFIRM)
            .bind(self.claim.match_id.as_uuid())
            .bind(hold.epoch)
            .bind(hold.lease.number())
            .fetch_optional(connection)
            .await?;
        Ok(secured.map(|row| held(&row, hold.lease)).transpose()?)
    }
}

#[async_trait]
impl Statement for Release {
    /// How many matches were released.
    type Output = u64;

    async fn run(&self, connection: &mut PgConnection, _again: bool) -> Result<u64, Error> {
        const RELEASE: &str = "
            UPDATE match_states AS s SET owner = 0
            FROM unnest($1::uuid[], $2::bigint[], $3::integer[]) AS r (match_id, epoch, owner)
            WHERE s.match_id = ANY (ARRAY[r.match_id])
                AND s.epoch = r.epoch AND s.owner = r.owner";
        let holds: Vec<PackedClaim> =
            self.claims.iter().map(|claim| PackedClaim::of(*claim)).collect();
        let ids = self.claims.iter().map(|claim| *claim.match_id.as_uuid());
        let released = query(RELEASE)
            .bind(ids.collect::<Vec<Uuid>>())
            .bind(holds.iter().map(|hold| hold.epoch).collect::<Vec<_>>())
            .bind(holds.iter().map(|hold| hold.lease.number()).collect::<Vec<_>>())
            .execute(connection)
            .await?;
        Ok(released.rows_affected())
    }
}
