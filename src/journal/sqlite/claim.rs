//! Claims the unfinished matches that this process doesn't hold, and releases claims.
//!
//! This process is the only one at the file, so it remembers how far it has searched: while it
//! holds all unfinished matches, another search costs nothing.

use uuid::Uuid;

use crate::{
    domain::{Match, MatchId, Recorded},
    journal::{
        Claim, Error, Takeover,
        sqlite::{
            operation::{Operation, Tx},
            rows::{Columns, blob, recorded},
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

/// The events of unfinished matches that this process doesn't hold, each match's together.
struct Page {
    events: Vec<Recorded>,
    /// The claim that [`take`] is about to give, for each match.
    claims: Vec<Claim>,
}

impl Operation for Release {
    type Outcome = ();

    fn run(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        Ok(release(tx, &self.claims)?)
    }
}

impl Operation for ClaimSome {
    type Outcome = Vec<(Match, Claim)>;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Outcome, Error> {
        let Some(from) = tx.unclaimed_from.filter(|_| self.limit > 0) else {
            return Ok(Vec::new());
        };
        let page = page(tx, from, self.limit)?;
        let last = page.claims.last().map(|claim| *claim.match_id.as_uuid());
        if let Some(last) = last {
            take(tx, from, last)?;
        }
        tx.unclaimed_from = last.filter(|_| page.claims.len() == self.limit);
        Ok(page.claimed(tx)?.into_iter().filter(|(m, _)| can_be_driven(m)).collect())
    }
}

impl Operation for TakeOne {
    type Outcome = Takeover;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Takeover, Error> {
        let id = *self.match_id.as_uuid();
        let is_free = tx.optional(statements::STANDS, (blob(&id), tx.owner), |row| row.get(0))?;
        match is_free {
            None => return Ok(Takeover::Past),
            Some(false) => return Ok(Takeover::Held),
            Some(true) => {}
        }
        let page = page(tx, id, 1)?;
        take(tx, id, id)?;
        Ok(match page.claimed(tx)?.pop() {
            Some((m, claim)) if can_be_driven(&m) => Takeover::Now(m, claim),
            Some(_) | None => Takeover::Past,
        })
    }
}

/// Reads the oldest unfinished matches from an id on that this process doesn't hold.
fn page(tx: &Tx<'_>, from: Uuid, limit: usize) -> Result<Page, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = tx.all(statements::UNHELD, (blob(&from), tx.owner, limit), |row| {
        Ok((recorded(row)?, row.number(5)?.cast_unsigned()))
    })?;
    let mut page = Page { events: Vec::with_capacity(rows.len()), claims: Vec::new() };
    for (event, epoch) in rows {
        let match_id = event.match_id;
        if page.claims.last().is_none_or(|claim| claim.match_id != match_id) {
            page.claims.push(Claim { match_id, epoch });
        }
        page.events.push(event);
    }
    Ok(page)
}

/// Claims all matches that [`page`] found: the same condition in the same transaction.
fn take(tx: &Tx<'_>, from: Uuid, to: Uuid) -> rusqlite::Result<()> {
    tx.execute(statements::TAKE, (blob(&from), tx.owner, blob(&to)))?;
    Ok(())
}

impl Page {
    /// The matches that the events fold into, and the claims on them.
    fn claimed(self, tx: &Tx<'_>) -> Result<Vec<(Match, Claim)>, Error> {
        let mut claims = self.claims.into_iter();
        // Both are in the order of the ids.
        let with_claim = |m: Match| {
            let claim = claims.find(|claim| claim.match_id == m.id)?;
            Some((m, claim))
        };
        Ok(tx.folded_each(&self.events)?.into_iter().filter_map(with_claim).collect())
    }
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
pub(super) fn release(tx: &mut Tx<'_>, claims: &[Claim]) -> rusqlite::Result<()> {
    for claim in claims {
        let id = *claim.match_id.as_uuid();
        tx.execute(statements::RELEASE, (blob(&id), claim.epoch.cast_signed()))?;
        tx.unclaimed_from = Some(tx.unclaimed_from.map_or(id, |from| from.min(id)));
    }
    Ok(())
}
