//! Renews this replica's lease: one statement every few seconds, however many matches the replica
//! holds.
//!
//! The same statement reads how long the other leases have left, and deletes expired ones.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sqlx::{Connection, PgConnection, Row, postgres::PgRow, query, query_scalar};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    clock::Clock,
    domain::Timestamp,
    journal::postgres::{
        connect::{self, Database, RECONNECT_PAUSE, STATEMENT_TIMEOUT},
        lease::{Leases, OwnLease},
        notify,
        packed_claim::LeaseId,
    },
    outage::{self, Outage},
};

/// How many renewals fit into the length of a lease: it survives if all but one of them fail.
const RENEWALS: u32 = 4;

/// For what share of its length a replica relies on its lease. The rest allows for clock drift.
const COUNTED_ON: f64 = 0.9;

/// How long after another lease's end the leases are checked, so that the check doesn't come early.
const LAPSE_MARGIN: Duration = Duration::from_millis(20);

/// The terms of this replica's leases.
pub(super) struct LeaseTerms {
    /// The incarnation that holds the lease.
    pub incarnation: u64,
    /// How long the lease lasts from each renewal.
    pub length: Duration,
    /// Whether the database has NOTIFY.
    pub has_notify: bool,
}

impl LeaseTerms {
    /// The timeout of a statement for the lease. It leaves time for a second attempt.
    fn patience(&self) -> Duration {
        STATEMENT_TIMEOUT.min(self.length / 2)
    }
}

/// Renews the lease until the replica leaves.
pub(super) struct LeaseRenewer {
    database: Database,
    leases: Arc<Leases>,
    terms: LeaseTerms,
    leaving: CancellationToken,
    /// The clock for event times and deadlines. Each renewal sets it by the database's clock.
    clock: Clock,
    connection: Option<PgConnection>,
    /// Until this time the replica deletes no expired lease: an outage of the database lets all
    /// leases expire at once, and the first replica to return or to start must not take over all
    /// matches.
    patient_until: Timestamp,
}

impl LeaseRenewer {
    pub(super) fn new(
        database: Database,
        leases: Arc<Leases>,
        terms: LeaseTerms,
        clock: Clock,
        leaving: CancellationToken,
    ) -> Self {
        let patient_until = leases.clock.now();
        Self { database, leases, terms, leaving, clock, connection: None, patient_until }
    }

    /// Takes the first lease.
    pub(super) async fn begin(&mut self) -> sqlx::Result<()> {
        self.round().await.map(drop)
    }

    /// Renews the lease until the replica leaves, then deletes it.
    pub(super) async fn run(mut self) {
        let renewal = Outage::new("lease renewal", self.leases.clock.clone());
        let mut next = self.terms.length / RENEWALS;
        loop {
            tokio::select! {
                () = self.leaving.cancelled() => break,
                () = self.leases.clock.sleep(next) => {}
                () = self.leases.poke.notified() => {}
            }
            let round = self.round().await;
            match &round {
                Ok(_) => renewal.worked(),
                Err(error) => renewal.failed(error),
            }
            next = round.unwrap_or(RECONNECT_PAUSE);
        }
        self.leases.lose();
        if let Err(error) = self.delete_lease().await {
            warn!(
                error = outage::causes(&error),
                "own lease not deleted: other replicas take over when it expires"
            );
        }
    }

    /// Renews the lease, or takes a new one, and learns which other leases are alive. Returns the
    /// time until the next round.
    async fn round(&mut self) -> sqlx::Result<Duration> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.database.connect().await?),
        };
        let outcome =
            renew_or_begin(connection, &self.leases, &self.terms, self.patient_until).await;
        let renewed = outcome.inspect_err(|_| self.connection = None)?;
        Ok(self.take(renewed))
    }

    fn take(&mut self, renewed: Renewed) -> Duration {
        self.clock.follow(renewed.time);
        let now = self.leases.clock.now();
        let gave_it_up = self.leases.view().mine.is_some_and(|mine| mine.until <= renewed.sent);
        if gave_it_up || renewed.was_late || renewed.is_new {
            self.patient_until = now.after(self.terms.length);
        }
        let mine = OwnLease {
            lease: renewed.lease,
            until: renewed.sent.after(self.terms.length.mul_f64(COUNTED_ON)),
        };
        let ends = renewed.others.values().copied().filter(|left| !left.is_zero());
        let first_end = ends.min().map(|left| left + LAPSE_MARGIN);
        let mut alive: Vec<_> = renewed.others.into_keys().chain([renewed.lease]).collect();
        alive.sort_unstable();
        self.leases.take(mine, alive);
        // Counted from when the renewal was sent: after a slow answer the next one comes sooner.
        let next = renewed.sent.after(self.terms.length / RENEWALS).since(now);
        self.leases.until_swept(first_end.map_or(next, |end| next.min(end)))
    }

    async fn delete_lease(&mut self) -> sqlx::Result<()> {
        let Some(mut connection) = self.connection.take() else {
            return Ok(());
        };
        let leaving = query("DELETE FROM leases WHERE incarnation = $1")
            .bind(self.terms.incarnation.cast_signed())
            .execute(&mut connection);
        connect::in_time(STATEMENT_TIMEOUT, leaving).await?;
        if self.terms.has_notify {
            notify::send(&mut connection, notify::LEASES).await?;
        }
        connection.close().await
    }
}

/// Deletes the lease that was given up, if there is one, then renews the current lease. Takes a new
/// lease if there is no current one, or if another replica has deleted it.
async fn renew_or_begin(
    connection: &mut PgConnection,
    leases: &Leases,
    terms: &LeaseTerms,
    patient_until: Timestamp,
) -> sqlx::Result<Renewed> {
    let (mine, given_up) = {
        let view = leases.view();
        (view.mine, view.given_up)
    };
    if let Some(given_up) = given_up {
        let leaving = query("DELETE FROM leases WHERE lease = $1").bind(given_up.number());
        connect::in_time(terms.patience(), leaving.execute(&mut *connection)).await?;
        leases.view().given_up = None;
    }
    if let Some(mine) = mine {
        let now = leases.clock.now();
        let may_delete = now < mine.until && now >= patient_until;
        let renewed = renew(connection, mine.lease, terms, may_delete, &leases.clock).await?;
        if let Some(renewed) = renewed {
            return Ok(renewed);
        }
        leases.lose_to_another();
    }
    begin(connection, terms, &leases.clock).await
}

/// The result of a renewal.
struct Renewed {
    /// When the renewal was sent, by this replica's clock.
    sent: Timestamp,
    lease: LeaseId,
    /// Whether the lease had expired before the renewal, but had not been deleted.
    was_late: bool,
    /// Whether the lease was taken just now.
    is_new: bool,
    /// How long each of the other replicas' leases has left.
    others: BTreeMap<LeaseId, Duration>,
    /// The database's clock.
    time: Timestamp,
}

/// Renews a lease. Returns `None` if the lease is gone.
///
/// Shortens other leases that end later than any renewal can have set them: the database's clock
/// was set back, and a dead replica's lease would last longer by as much.
///
/// Deletes other leases that have expired, unless this lease has expired too. In that case the
/// database was unavailable to all replicas, or it hung while this statement waited in it.
async fn renew(
    connection: &mut PgConnection,
    lease: LeaseId,
    terms: &LeaseTerms,
    may_delete: bool,
    clock: &Clock,
) -> sqlx::Result<Option<Renewed>> {
    const RENEW: &str = "
        WITH renewed AS (
            UPDATE leases SET expire_time = now() + $2 * INTERVAL '1 second'
            WHERE lease = $1 AND incarnation = $4 RETURNING lease
        ), too_long AS (
            UPDATE leases SET expire_time = now() + seconds * INTERVAL '1 second'
            WHERE lease <> $1 AND expire_time > now() + (seconds + 1) * INTERVAL '1 second'
        ), over AS (
            DELETE FROM leases WHERE expire_time < now() AND lease <> $1 AND $3
                AND EXISTS (SELECT 1 FROM leases AS mine
                            WHERE mine.lease = $1 AND mine.expire_time >= now())
            RETURNING lease
        )
        SELECT l.lease, l.lease = $1 AND EXISTS (SELECT 1 FROM renewed),
            CAST(extract(epoch FROM l.expire_time - now()) AS double precision),
            CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)
        FROM leases AS l WHERE l.lease NOT IN (SELECT o.lease FROM over AS o)";
    let sent = clock.now();
    let renewing = query(RENEW)
        .bind(lease.number())
        .bind(terms.length.as_secs_f64())
        .bind(may_delete)
        .bind(terms.incarnation.cast_signed())
        .fetch_all(connection);
    let rows = connect::in_time(terms.patience(), renewing).await?;
    let mut others = BTreeMap::new();
    let (mut is_renewed, mut was_late) = (false, false);
    let mut time = Timestamp::from_micros(0);
    for row in &rows {
        let (found, renewed, left) = found(row)?;
        if found == lease {
            // `left` comes from the statement's snapshot: the time left before the renewal.
            (is_renewed, was_late) = (renewed, left.is_zero());
            time = Timestamp::from_micros(row.try_get(3)?);
        } else {
            others.insert(found, left);
        }
    }
    Ok(is_renewed.then_some(Renewed { sent, lease, was_late, is_new: false, others, time }))
}

fn found(row: &PgRow) -> sqlx::Result<(LeaseId, bool, Duration)> {
    let left: f64 = row.try_get(2)?;
    Ok((
        LeaseId::from_number(row.try_get(0)?),
        row.try_get(1)?,
        Duration::from_secs_f64(left.max(0.0)),
    ))
}

/// Reads the database's clock.
pub(super) async fn database_time(connection: &mut PgConnection) -> sqlx::Result<Timestamp> {
    const TIME: &str = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)";
    let asking = query_scalar(TIME).fetch_one(connection);
    Ok(Timestamp::from_micros(connect::in_time(STATEMENT_TIMEOUT, asking).await?))
}

/// Takes a new lease, and notifies the other replicas.
async fn begin(
    connection: &mut PgConnection,
    terms: &LeaseTerms,
    clock: &Clock,
) -> sqlx::Result<Renewed> {
    let taking = query_scalar::<_, i32>(
        "INSERT INTO leases (incarnation, seconds, expire_time)
         VALUES ($1, $2, now() + $2 * INTERVAL '1 second') RETURNING lease",
    )
    .bind(terms.incarnation.cast_signed())
    .bind(terms.length.as_secs_f64())
    .fetch_one(&mut *connection);
    let lease = LeaseId::from_number(connect::in_time(terms.patience(), taking).await?);
    info!(lease = lease.number(), "lease taken");
    if terms.has_notify {
        notify::send(connection, notify::LEASES).await?;
    }
    let renewed = renew(connection, lease, terms, false, clock).await?;
    let renewed = renewed.ok_or_else(|| sqlx::Error::RowNotFound)?;
    Ok(Renewed { is_new: true, ..renewed })
}
