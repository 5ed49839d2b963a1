//! The writes that add one event to a match: its first, its next, and a caller's cancellation.
//!
//! Fencing, compare-and-append and the cached state are one statement, an `UPDATE` of the match's
//! own row. The next statement inserts the event from that row, if the row was changed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{Row, query, sqlite::SqliteRow};

use crate::{
    domain::{
        AnalysisId, Event, Match, MatchId, Position, Recorded, RequestId, Sequence, Spec, State,
        TenantId, Timestamp, event::Cancelled,
    },
    journal::{
        Admitted, Appended, CancelledAs, Claim, Error, Key,
        sqlite::{
            operation::{Operation, Rows, Tx},
            rows::{self, Query, blob},
            statements,
            template::Template,
        },
        stored::{self, ONE_WRITER, analyses, body, micros, state_after},
    },
};

/// Writes the first event of a match.
pub(super) struct Admit {
    pub match_id: MatchId,
    pub spec: Arc<Spec>,
    pub body: String,
    /// As a JSON object.
    pub labels: String,
}

/// Writes the next event of a match, if the claim still holds and the match stands at `after`.
pub(super) struct Append {
    pub claim: Claim,
    pub after: Sequence,
    pub event: Event,
    pub body: String,
}

/// Ends a match as cancelled and fences off the claim on it.
pub(super) struct Cancel {
    pub tenant: TenantId,
    pub key: Key,
    pub keep: Duration,
}

/// Admits a match, unless one exists with its id or with the tenant's request id.
pub(super) static ADMIT: Template = Template::new(
    4,
    11,
    "INSERT INTO matches (match_id, caller, request_id, folder_id, create_time)
     VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING;

     INSERT INTO match_states (match_id, state, sequence, epoch, owner, update_time, caller)
     SELECT $1, $6, $7, $8, $9, $5, $2 WHERE changes() = 1;

     INSERT INTO events (match_id, sequence, time, body)
     SELECT $1, $7, $5, $10 WHERE changes() = 1
     RETURNING position;

     INSERT INTO match_labels (caller, key, value, match_id)
     SELECT $2, label.key, label.value, $1 FROM json_each($11) AS label WHERE changes() = 1;",
);

#[async_trait]
impl Operation for Admit {
    type Outcome = Admitted;

    fn template(&self) -> Option<&'static Template> {
        Some(&ADMIT)
    }

    fn bind<'q>(&self, query: Query<'q>, tx: &Tx<'_>) -> Query<'q> {
        query
            .bind(blob(self.match_id.as_uuid()))
            .bind(self.spec.tenant.as_str())
            .bind(self.spec.request_id.as_ref().map(RequestId::as_str))
            .bind(blob(self.spec.folder_id.as_uuid()))
            .bind(tx.now.as_micros())
            .bind(State::Accepted.name())
            .bind(Sequence::FIRST.0.cast_signed())
            .bind(Claim::of_new(self.match_id).epoch.cast_signed())
            .bind(tx.owner)
            .bind(self.body.as_str())
            .bind(self.labels.as_str())
    }

    async fn run(&self, rows: Rows, tx: &mut Tx<'_>) -> Result<Admitted, Error> {
        if let Some(row) = rows.first() {
            return self.admitted(row, tx);
        }
        if let Some(known) = self.known(tx).await? {
            return Ok(Admitted::Known(known));
        }
        // The match that was in the way has been erased since, by an operation of this same
        // transaction.
        let alone = self.bind(query(ADMIT.sql()), tx).fetch_all(tx.connection()).await?;
        match alone.first() {
            Some(row) => self.admitted(row, tx),
            None => {
                Err(Error::Corrupt(format!("match {} belongs to another tenant", self.match_id)))
            }
        }
    }
}

impl Admit {
    /// The outcome for a match whose first event has been inserted.
    fn admitted(&self, row: &SqliteRow, tx: &mut Tx<'_>) -> Result<Admitted, Error> {
        let recorded = Recorded {
            match_id: self.match_id,
            sequence: Sequence::FIRST,
            position: Position(row.try_get::<i64, _>(0)?.cast_unsigned()),
            incarnation: ONE_WRITER,
            time: tx.now,
            event: Event::Accepted(Arc::clone(&self.spec)),
        };
        tx.written.push(recorded.clone());
        Ok(Admitted::New(recorded, Claim::of_new(self.match_id)))
    }

    /// The match that is in the way: the one with the tenant's request id, or else the one with
    /// this id.
    async fn known(&self, tx: &mut Tx<'_>) -> Result<Option<Match>, Error> {
        let by_request = self.spec.request_id.clone().map(Key::Request);
        for key in by_request.into_iter().chain([Key::Match(self.match_id)]) {
            if let Some(known) = find(tx, &self.spec.tenant, &key).await? {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl Operation for Append {
    type Outcome = Appended;

    fn template(&self) -> Option<&'static Template> {
        Some(self.change().template())
    }

    fn bind<'q>(&self, query: Query<'q>, tx: &Tx<'_>) -> Query<'q> {
        self.change().bind(query, tx)
    }

    async fn run(&self, rows: Rows, tx: &mut Tx<'_>) -> Result<Appended, Error> {
        match self.change().recorded(&rows, tx)? {
            Some(recorded) => Ok(Appended::Done(recorded)),
            None if self.is_taken(tx).await? => Ok(Appended::Taken),
            None => Ok(Appended::Lost),
        }
    }
}

impl Append {
    /// Whether an analysis that the event names belongs to another match, although the claim holds
    /// and the match stands where the event would follow.
    async fn is_taken(&self, tx: &mut Tx<'_>) -> Result<bool, Error> {
        let Some((one, other)) = analyses(&self.event) else {
            return Ok(false);
        };
        let row = query(statements::TAKEN)
            .bind(blob(self.claim.match_id.as_uuid()))
            .bind(self.claim.epoch.cast_signed())
            .bind(self.after.0.cast_signed())
            .bind(one.as_str())
            .bind(other.map(AnalysisId::as_str))
            .fetch_one(tx.connection())
            .await?;
        Ok(row.try_get(0)?)
    }

    fn change(&self) -> NewEvent<'_> {
        NewEvent {
            match_id: self.claim.match_id,
            epoch: Some(self.claim.epoch),
            after: self.after,
            event: &self.event,
            body: &self.body,
        }
    }
}

#[async_trait]
impl Operation for Cancel {
    type Outcome = CancelledAs;

    async fn run(&self, _: Rows, tx: &mut Tx<'_>) -> Result<CancelledAs, Error> {
        let Some(known) = find(tx, &self.tenant, &self.key).await? else {
            return Ok(CancelledAs::Absent);
        };
        match known.state {
            State::Cancelled => Ok(CancelledAs::Already(known)),
            State::Finished | State::Failed => Ok(CancelledAs::Ended(known)),
            State::Unknown if known.has_ended() => Ok(CancelledAs::Ended(known)),
            State::Accepted | State::Uploaded | State::Processing | State::Unknown => {
                self.end(tx, known).await
            }
        }
    }
}

impl Cancel {
    async fn end(&self, tx: &mut Tx<'_>, known: Match) -> Result<CancelledAs, Error> {
        let event = Event::Cancelled(Cancelled { keep: self.keep });
        let change = NewEvent {
            match_id: known.id,
            epoch: None,
            after: known.sequence,
            event: &event,
            body: &body(&event),
        };
        let write = change.bind(query(change.template().sql()), tx);
        let rows = write.fetch_all(tx.connection()).await?;
        let Some(recorded) = change.recorded(&rows, tx)? else {
            let (id, sequence) = (known.id, known.sequence.0);
            return Err(Error::Corrupt(format!("match {id} doesn't stand at event {sequence}")));
        };
        stored::next(Some(known), &recorded).map(CancelledAs::Now)
    }
}

/// One event to be added to a match.
struct NewEvent<'a> {
    match_id: MatchId,
    /// The epoch that must still hold. `None`: any epoch will do, and its claim is fenced off.
    epoch: Option<u64>,
    after: Sequence,
    event: &'a Event,
    body: &'a str,
}

macro_rules! change {
    ($and:literal) => {
        concat!(
            "UPDATE match_states SET
             sequence = sequence + 1,
             epoch = epoch + ($2 IS NULL),
             state = coalesce($4, state),
             update_time = max(update_time, $5),
             end_time = CASE WHEN $6 IS NOT NULL THEN max(update_time, $5) END,
             end_state = CASE WHEN $6 IS NOT NULL THEN coalesce($4, state) END,
             expire_time = max(update_time, $5)
                 + min($6, 9223372036854775807 - max(update_time, $5))
         WHERE match_id = $1 AND epoch = coalesce($2, epoch) AND sequence = $3
             AND end_time IS NULL ",
            $and,
            ";

         INSERT INTO events (match_id, sequence, time, body)
         SELECT match_id, sequence, update_time, $7 FROM match_states
         WHERE match_id = $1 AND changes() = 1
         RETURNING sequence, position, time;"
        )
    };
}

pub(super) static CHANGE: Template = Template::new(2, 7, change!(""));

/// Two matches may compare the same media, and each find the other's analysis in the folder. The
/// analysis belongs to the first match that writes it; the other match's write changes nothing.
pub(super) static CHANGE_WITH_ANALYSES: Template = Template::new(
    3,
    9,
    concat!(
        change!(
            "AND NOT EXISTS (SELECT 1 FROM match_analyses AS a
                             WHERE a.analysis_id IN ($8, $9) AND a.match_id <> $1)"
        ),
        "INSERT INTO match_analyses (analysis_id, match_id)
         SELECT column1, $1 FROM (VALUES ($8), ($9))
         WHERE column1 IS NOT NULL AND changes() = 1;"
    ),
);

impl NewEvent<'_> {
    fn template(&self) -> &'static Template {
        match analyses(self.event) {
            Some(_) => &CHANGE_WITH_ANALYSES,
            None => &CHANGE,
        }
    }

    fn bind<'q>(&self, query: Query<'q>, tx: &Tx<'_>) -> Query<'q> {
        let query = query
            .bind(blob(self.match_id.as_uuid()))
            .bind(self.epoch.map(u64::cast_signed))
            .bind(self.after.0.cast_signed())
            .bind(state_after(self.event).map(State::name))
            .bind(tx.now.as_micros())
            .bind(self.event.keep().map(micros))
            .bind(self.body);
        match analyses(self.event) {
            Some((one, other)) => query.bind(one.as_str()).bind(other.map(AnalysisId::as_str)),
            None => query,
        }
    }

    /// The event as written; `None` if the match doesn't stand where it should. This doesn't check
    /// whether the event may follow at all: its author has folded the events before it.
    fn recorded(&self, rows: &[SqliteRow], tx: &mut Tx<'_>) -> Result<Option<Recorded>, Error> {
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let recorded = Recorded {
            match_id: self.match_id,
            sequence: Sequence(row.try_get::<i64, _>(0)?.cast_unsigned()),
            position: Position(row.try_get::<i64, _>(1)?.cast_unsigned()),
            incarnation: ONE_WRITER,
            time: Timestamp::from_micros(row.try_get(2)?),
            event: self.event.clone(),
        };
        tx.written.push(recorded.clone());
        Ok(Some(recorded))
    }
}

/// The match that a key names, as this transaction sees it.
async fn find(tx: &mut Tx<'_>, tenant: &TenantId, key: &Key) -> Result<Option<Match>, Error> {
    let rows = rows::journal_by_key(tenant, key).fetch_all(tx.connection()).await?;
    rows::folded(tx.connection(), &rows).await
}
