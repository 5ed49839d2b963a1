//! Taking the matches that nobody holds, and letting go of those whose taker has gone.
//!
//! This process is the only one at the file, so it remembers how far it has searched: asking
//! again when all unfinished matches are ours costs nothing.

use async_trait::async_trait;
use sqlx::{Row, query, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{
    domain::{Match, MatchId},
    journal::{
        Claim, Error, Taken,
        sqlite::{
            operation::{Operation, Rows, Tx},
            rows::{blob, columns, folded, same_match, uuid},
        },
    },
    outage,
};

/// Claims unfinished matches, oldest first.
pub(super) struct ClaimSome {
    pub limit: usize,
}

/// Claims one match, if nobody holds it.
pub(super) struct TakeOne {
    pub match_id: MatchId,
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
        Ok(matches.into_iter().filter_map(claimed).collect())
    }
}

#[async_trait]
impl Operation for TakeOne {
    type Outcome = Taken;

    async fn run(&self, _: Rows, tx: &mut Tx<'_>) -> Result<Taken, Error> {
        const STANDS: &str = "
            SELECT owner IS NOT $2 FROM match_states WHERE match_id = $1 AND end_time IS NULL";
        let id = blob(self.match_id.as_uuid());
        let stands = query(STANDS).bind(id).bind(tx.owner);
        let Some(row) = stands.fetch_optional(&mut *tx.connection).await? else {
            return Ok(Taken::Past);
        };
        if !row.try_get::<bool, _>(0)? {
            return Ok(Taken::Held);
        }
        let id = *self.match_id.as_uuid();
        let rows = page(tx, id, 1).await?;
        take(tx, id, id).await?;
        Ok(match fold_with_epoch(&rows)? {
            Some((m, claim)) => Taken::Now(m, claim),
            None => Taken::Past,
        })
    }
}

/// The events of the oldest matches from an id on that are unfinished and not ours, with the
/// epoch that each match is about to have.
async fn page(tx: &mut Tx<'_>, from: Uuid, limit: usize) -> Result<Vec<SqliteRow>, Error> {
    const PAGE: &str = concat!(
        "WITH page AS (
             SELECT match_id, epoch FROM match_states
             WHERE end_time IS NULL AND match_id >= $1 AND owner IS NOT $2
             ORDER BY match_id LIMIT $3
         )
         SELECT ",
        columns!(),
        ", page.epoch + 1
         FROM page CROSS JOIN events AS e ON e.match_id = page.match_id
         ORDER BY page.match_id, e.sequence"
    );
    let page =
        query(PAGE).bind(blob(&from)).bind(tx.owner).bind(i64::try_from(limit).unwrap_or(i64::MAX));
    Ok(page.fetch_all(&mut *tx.connection).await?)
}

/// Takes all that [`page`] found: the same condition in the same transaction.
async fn take(tx: &mut Tx<'_>, from: Uuid, to: Uuid) -> Result<(), Error> {
    query(
        "UPDATE match_states SET epoch = epoch + 1, owner = $2
         WHERE end_time IS NULL AND match_id BETWEEN $1 AND $3 AND owner IS NOT $2",
    )
    .bind(blob(&from))
    .bind(tx.owner)
    .bind(blob(&to))
    .execute(&mut *tx.connection)
    .await?;
    Ok(())
}

/// The match that these rows fold into. One that can't be read is told of and left aside, since
/// it must not keep those behind it from being driven on.
fn claimed(rows: &[SqliteRow]) -> Option<(Match, Claim)> {
    match fold_with_epoch(rows) {
        Ok(claimed) => claimed,
        Err(error) => {
            let error = outage::causes(&error);
            tracing::error!(error, "unfinished match not driven: its journal can't be read");
            None
        }
    }
}

fn fold_with_epoch(rows: &[SqliteRow]) -> Result<Option<(Match, Claim)>, Error> {
    let Some(state) = folded(rows)? else {
        return Ok(None);
    };
    let epoch = rows[0].try_get::<i64, _>(5)?.cast_unsigned();
    let claim = Claim { match_id: state.id, epoch };
    Ok(Some((state, claim)))
}

/// Lets go of matches, so that the next search finds them.
pub(super) async fn release(tx: &mut Tx<'_>, claims: &[Claim]) -> Result<(), sqlx::Error> {
    for claim in claims {
        let id = *claim.match_id.as_uuid();
        query("UPDATE match_states SET owner = NULL WHERE match_id = $1 AND epoch = $2")
            .bind(blob(&id))
            .bind(claim.epoch.cast_signed())
            .execute(&mut *tx.connection)
            .await?;
        tx.unclaimed_from = Some(tx.unclaimed_from.map_or(id, |from| from.min(id)));
    }
    Ok(())
}
