//! Claims the unfinished matches that this process doesn't hold, and releases claims.
//!
//! This process is the only one at the file, so it remembers how far it has searched: while it
//! holds all unfinished matches, another search costs nothing.

use async_trait::async_trait;
use sqlx::{Row, query, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{
    domain::{Match, MatchId},
    journal::{
        Claim, Error, Takeover,
        sqlite::{
            operation::{Operation, Rows, Tx},
            rows::{blob, folded_each, same_match, uuid},
            statements,
        },
    },
};

/// Claims unfinished matches, oldest first.
pub(super) struct ClaimSome {
    pub limit: usize,
}

/// Claims one unfinished match, unless this process holds it already.
pub(super) struct TakeOne {
    pub match_id: MatchId,
}

/// Releases claims. The next search for unclaimed matches finds theirs.
pub(super) struct Release {
    pub claims: Vec<Claim>,
}

#[async_trait]
impl Operation for Release {
    type Outcome = ();

    async fn run(&self, _: Rows, tx: &mut Tx<'_>) -> Result<(), Error> {
        Ok(release(tx, &self.claims).await?)
    }
}

#[async_trait]
impl Operation for ClaimSome {
    type Outcome = Vec<(Match, Claim)>;

    async fn run(&self, _: Rows, tx: &mut Tx<'_>) -> Result<Self::Outcome, Error> {
        let Some(from) = tx.unclaimed_from.filter(|_| self.limit > 0) else {
            return Ok(Vec::new());
        };
        let rows = page(tx, from, self.limit).await?;
        let matches: Vec<_> = rows.chunk_by(same_match).collect();
        let last = match matches.last() {
            Some(rows) => Some(uuid(&rows[0], 0)?),
            None => None,
        };
        if let Some(last) = last {
            take(tx, from, last).await?;
        }
        tx.unclaimed_from = last.filter(|_| matches.len() == self.limit);
        let claimed = with_epochs(tx, &rows).await?;
        Ok(claimed.into_iter().filter(|(m, _)| can_be_driven(m)).collect())
    }
}

#[async_trait]
impl Operation for TakeOne {
    type Outcome = Takeover;

    async fn run(&self, _: Rows, tx: &mut Tx<'_>) -> Result<Takeover, Error> {
        let id = blob(self.match_id.as_uuid());
        let stands = query(statements::STANDS).bind(id).bind(tx.owner);
        let Some(row) = stands.fetch_optional(tx.connection()).await? else {
            return Ok(Takeover::Past);
        };
        if !row.try_get::<bool, _>(0)? {
            return Ok(Takeover::Held);
        }
        let id = *self.match_id.as_uuid();
        let rows = page(tx, id, 1).await?;
        take(tx, id, id).await?;
        Ok(match with_epochs(tx, &rows).await?.pop() {
            Some((m, claim)) if can_be_driven(&m) => Takeover::Now(m, claim),
            Some(_) | None => Takeover::Past,
        })
    }
}

/// The events of the oldest unfinished matches from an id on that this process doesn't hold, with
/// the epoch that [`take`] is about to give each match.
async fn page(tx: &mut Tx<'_>, from: Uuid, limit: usize) -> Result<Vec<SqliteRow>, Error> {
    let page = query(statements::UNHELD)
        .bind(blob(&from))
        .bind(tx.owner)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX));
    Ok(page.fetch_all(tx.connection()).await?)
}

/// Claims all matches that [`page`] found: the same condition in the same transaction.
async fn take(tx: &mut Tx<'_>, from: Uuid, to: Uuid) -> Result<(), Error> {
    query(statements::TAKE)
        .bind(blob(&from))
        .bind(tx.owner)
        .bind(blob(&to))
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// The matches that these rows fold into, and the claims on them.
async fn with_epochs(tx: &mut Tx<'_>, rows: &[SqliteRow]) -> Result<Vec<(Match, Claim)>, Error> {
    let matches = folded_each(tx.connection(), rows).await?;
    let first = |m: &Match| rows.iter().find(|row| uuid(row, 0).ok() == Some(*m.id.as_uuid()));
    let with_epoch = |m: Match| {
        let epoch = first(&m)?.try_get::<i64, _>(5).ok()?.cast_unsigned();
        let claim = Claim { match_id: m.id, epoch };
        Some((m, claim))
    };
    Ok(matches.into_iter().filter_map(with_epoch).collect())
}

/// Whether this version can read all of a match. A match that it can't read is logged and stays
/// held by this process, the only one. The next process, perhaps of a later version, looks at it
/// again.
fn can_be_driven(m: &Match) -> bool {
    if m.is_foreign {
        tracing::warn!(
            match.id = %m.id,
            "unfinished match not driven: its journal holds data that this version doesn't know"
        );
    }
    !m.is_foreign
}

/// Releases claims, so that the next search finds their matches.
pub(super) async fn release(tx: &mut Tx<'_>, claims: &[Claim]) -> Result<(), sqlx::Error> {
    for claim in claims {
        let id = *claim.match_id.as_uuid();
        query(statements::RELEASE)
            .bind(blob(&id))
            .bind(claim.epoch.cast_signed())
            .execute(tx.connection())
            .await?;
        tx.unclaimed_from = Some(tx.unclaimed_from.map_or(id, |from| from.min(id)));
    }
    Ok(())
}
