//! A replica's lease: one row, renewed in one statement every few seconds, however many matches
//! the replica holds.
//!
//! The database's clock says when a lease is over, and the replica gives it up earlier, by its own
//! monotonic clock, counted from before the statement left. A lease that was renewed late is still
//! good if nobody has deleted it meanwhile; once it is deleted its number never comes back, and
//! the replica takes a new one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{Connection, PgConnection, Row, postgres::PgRow, query, query_scalar};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    clock::Clock,
    domain::Timestamp,
    journal::{
        Claim, Fleet, Tenure,
        postgres::{
            claim::{Hold, SHARING_TIME},
            connect::{self, Database, RECONNECT_PAUSE, STATEMENT_TIMEOUT},
            notice,
        },
    },
};

/// How many times a lease is renewed before it would end: all but one of them may fail.
const RENEWALS: u32 = 4;

/// The share of a lease that its owner counts on. The rest is for clocks that run unevenly.
const COUNTED_ON: f64 = 0.9;

/// How long after the end of somebody's lease it is looked at: not a moment too early.
const LAPSE_MARGIN: Duration = Duration::from_millis(20);

/// The number of a lease, greater than zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LeaseId(i32);

impl LeaseId {
    pub(super) const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// As the store has it.
    pub(super) const fn number(self) -> i32 {
        self.0
    }

    pub(super) const fn bits(self) -> u32 {
        self.0.cast_unsigned()
    }

    /// From the lowest bits.
    #[expect(clippy::cast_possible_truncation, reason = "the lowest bits are what is asked for")]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self((bits as u32).cast_signed())
    }
}

/// Which matches of a dead replica's are this one's to take: those whose slot leaves this rank
/// when divided by how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Share {
    /// Its place among those alive.
    pub rank: i16,
    /// How many are alive.
    pub of: i16,
}

impl Share {
    /// Whatever there is.
    const ALL: Self = Self { rank: 0, of: 1 };
}

/// What this replica knows of its lease and of the others'. Everybody reads it; the keeper writes.
pub(super) struct Leases {
    clock: Clock,
    view: Mutex<View>,
    fleet: watch::Sender<Fleet>,
    /// Says that somebody came or went: to be looked at at once.
    poke: Notify,
}

/// The fleet as last seen.
struct View {
    mine: Option<Mine>,
    /// One that was this replica's, and is not to be used any more.
    given_up: Option<LeaseId>,
    /// Those alive, this one included.
    alive: Vec<LeaseId>,
    /// When that changed last, or matches were let go.
    changed: Timestamp,
    /// Whether what others left of their shares was looked for since.
    has_swept: bool,
}

/// This replica's own lease.
#[derive(Clone, Copy)]
struct Mine {
    lease: LeaseId,
    /// Until when it is counted on.
    until: Timestamp,
}

/// What a lease is taken with.
pub(super) struct Terms {
    /// Whose it is.
    pub incarnation: u64,
    /// How long it lasts.
    pub length: Duration,
    /// Whether the database carries notices.
    pub notices: bool,
}

impl Terms {
    /// How long a statement of the lease's is waited for: there has to be time for another.
    fn patience(&self) -> Duration {
        STATEMENT_TIMEOUT.min(self.length / 2)
    }
}

/// Renews the lease for as long as the replica lives.
pub(super) struct Keeper {
    database: Database,
    leases: Arc<Leases>,
    terms: Terms,
    leaving: CancellationToken,
    connection: Option<PgConnection>,
    /// Others' leases are left alone until then: an outage of the database lets all of them
    /// lapse at once, and who comes back first, or is started just then, must not take them all.
    patient_until: Timestamp,
}

impl Leases {
    pub(super) fn new(clock: Clock) -> Self {
        let changed = clock.now();
        let view = Mutex::new(View {
            mine: None,
            given_up: None,
            alive: Vec::new(),
            changed,
            has_swept: false,
        });
        Self { clock, view, fleet: watch::Sender::new(Fleet { alive: 1 }), poke: Notify::new() }
    }

    /// The lease, while it can be counted on.
    pub(super) fn held(&self) -> Option<LeaseId> {
        let mine = self.view().mine?;
        (self.clock.now() < mine.until).then_some(mine.lease)
    }

    /// What a claim is worth, as far as the lease says.
    pub(super) fn tenure(&self, claim: Claim) -> Tenure {
        let hold = Hold::of(claim);
        let Some(mine) = self.view().mine.filter(|mine| mine.lease == hold.lease) else {
            return Tenure::Lost;
        };
        match (self.clock.now() < mine.until, hold.lent) {
            (false, _) => Tenure::Unsure,
            (true, false) => Tenure::Held,
            (true, true) => Tenure::Lent,
        }
    }

    /// Which of the matches that nobody holds are this replica's to take now.
    pub(super) fn share(&self) -> Share {
        let view = self.view();
        if self.clock.now() >= view.changed.after(SHARING_TIME) {
            return Share::ALL;
        }
        let is_mine = |lease: &LeaseId| view.mine.is_some_and(|mine| mine.lease == *lease);
        let rank = view.alive.iter().position(is_mine);
        match (rank.map(i16::try_from), i16::try_from(view.alive.len())) {
            (Some(Ok(rank)), Ok(of)) => Share { rank, of },
            (Some(_) | None, Ok(_) | Err(_)) => Share::ALL,
        }
    }

    /// Whether anybody else is there to be told of what is written.
    pub(super) fn has_others(&self) -> bool {
        self.view().alive.len() > 1
    }

    pub(super) fn fleet(&self) -> watch::Receiver<Fleet> {
        self.fleet.subscribe()
    }

    /// There may be matches that nobody holds.
    pub(super) fn hint(&self) {
        self.fleet.send_modify(|_| {});
    }

    /// Somebody came or went.
    pub(super) fn look(&self) {
        self.poke.notify_one();
    }

    /// Somebody let go of matches, which those alive share out.
    pub(super) fn share_anew(&self) {
        {
            let mut view = self.view();
            view.changed = self.clock.now();
            view.has_swept = false;
        }
        self.hint();
        self.look();
    }

    /// Gives the lease up, and everything that was claimed under it: some of that may be known to
    /// nobody. A new one follows.
    pub(super) fn start_over(&self) {
        {
            let mut view = self.view();
            view.given_up = view.mine.take().map(|mine| mine.lease).or(view.given_up);
        }
        self.look();
    }

    /// Nothing is held any more.
    fn lose(&self) {
        self.view().mine = None;
    }

    /// Once the time of sharing is over, whatever is left is anybody's. When to look next.
    fn until_swept(&self, next: Duration) -> Duration {
        let mut view = self.view();
        if view.has_swept {
            return next;
        }
        let left = SHARING_TIME.saturating_sub(self.clock.now().since(view.changed));
        if !left.is_zero() {
            return next.min(left);
        }
        view.has_swept = true;
        drop(view);
        self.hint();
        next
    }

    /// Takes what a renewal found.
    fn take(&self, mine: Mine, alive: Vec<LeaseId>) {
        let mut view = self.view();
        // It was given up while its renewal was under way.
        if view.given_up == Some(mine.lease) {
            return;
        }
        let has_changed = view.alive != alive || view.mine.is_none();
        view.mine = Some(mine);
        if has_changed {
            view.alive = alive;
            view.changed = self.clock.now();
            view.has_swept = false;
            let fleet = Fleet { alive: view.alive.len() };
            drop(view);
            self.fleet.send_replace(fleet);
        }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    pub(super) fn new(
        database: Database,
        leases: Arc<Leases>,
        terms: Terms,
        leaving: CancellationToken,
    ) -> Self {
        let patient_until = leases.clock.now();
        Self { database, leases, terms, leaving, connection: None, patient_until }
    }

    /// Takes the first lease.
    pub(super) async fn begin(&mut self) -> sqlx::Result<()> {
        self.round().await.map(drop)
    }

    /// Renews until the journal is closed, then says goodbye.
    pub(super) async fn run(mut self) {
        let mut failing = false;
        let mut next = self.terms.length / RENEWALS;
        loop {
            tokio::select! {
                () = self.leaving.cancelled() => break,
                () = self.leases.clock.sleep(next) => {}
                () = self.leases.poke.notified() => {}
            }
            let round = self.round().await;
            if round.is_err() != failing {
                failing = round.is_err();
                match &round {
                    Ok(_) => info!("the database answers again"),
                    Err(error) => warn!(%error, "the lease can't be renewed"),
                }
            }
            next = round.unwrap_or(RECONNECT_PAUSE);
        }
        self.leases.lose();
        if let Err(error) = self.say_goodbye().await {
            warn!(%error, "the others will know at the end of the lease that this one has gone");
        }
    }

    /// Renews the lease, or takes a new one, and looks who else is alive. How long it is until the
    /// next time.
    async fn round(&mut self) -> sqlx::Result<Duration> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.database.connect().await?),
        };
        let outcome = turn(connection, &self.leases, &self.terms, self.patient_until).await;
        let renewed = outcome.inspect_err(|_| self.connection = None)?;
        Ok(self.take(renewed))
    }

    fn take(&mut self, renewed: Renewed) -> Duration {
        let now = self.leases.clock.now();
        let gave_it_up = self.leases.view().mine.is_some_and(|mine| mine.until <= renewed.sent);
        if gave_it_up || renewed.was_late || renewed.is_new {
            self.patient_until = now.after(self.terms.length);
        }
        let mine = Mine {
            lease: renewed.lease,
            until: renewed.sent.after(self.terms.length.mul_f64(COUNTED_ON)),
        };
        let ends = renewed.others.values().copied().filter(|left| !left.is_zero());
        let first_end = ends.min().map(|left| left + LAPSE_MARGIN);
        let mut alive: Vec<_> = renewed.others.into_keys().chain([renewed.lease]).collect();
        alive.sort_unstable();
        self.leases.take(mine, alive);
        // A database that was slow to answer is asked again the sooner.
        let next = renewed.sent.after(self.terms.length / RENEWALS).since(now);
        self.leases.until_swept(first_end.map_or(next, |end| next.min(end)))
    }

    async fn say_goodbye(&mut self) -> sqlx::Result<()> {
        let Some(mut connection) = self.connection.take() else {
            return Ok(());
        };
        let leaving = query("DELETE FROM leases WHERE incarnation = $1")
            .bind(self.terms.incarnation.cast_signed())
            .execute(&mut connection);
        connect::in_time(STATEMENT_TIMEOUT, leaving).await?;
        if self.terms.notices {
            notice::send(&mut connection, notice::LEASES).await?;
        }
        connection.close().await
    }
}

/// Renews the lease that there is; takes a new one if there is none any more.
async fn turn(
    connection: &mut PgConnection,
    leases: &Leases,
    terms: &Terms,
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
        leases.lose();
    }
    begin(connection, terms, &leases.clock).await
}

/// What a renewal found.
struct Renewed {
    /// Before it left.
    sent: Timestamp,
    lease: LeaseId,
    /// Whether it was over by then, and nobody had deleted it.
    was_late: bool,
    /// Whether it is a new one.
    is_new: bool,
    /// How long the others have left.
    others: BTreeMap<LeaseId, Duration>,
}

/// Renews a lease, shortens others' that last longer than they can (the database's clock went back,
/// and a dead replica would live on for as long), and deletes those that are over, unless it was over itself: then the database
/// was away for all, also where it hung and this very statement waited in it. None if it is gone.
async fn renew(
    connection: &mut PgConnection,
    lease: LeaseId,
    terms: &Terms,
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
            CAST(extract(epoch FROM l.expire_time - now()) AS double precision)
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
    for row in &rows {
        let (found, renewed, left) = found(row)?;
        if found == lease {
            // What was left of it as the statement began.
            (is_renewed, was_late) = (renewed, left.is_zero());
        } else {
            others.insert(found, left);
        }
    }
    Ok(is_renewed.then_some(Renewed { sent, lease, was_late, is_new: false, others }))
}

fn found(row: &PgRow) -> sqlx::Result<(LeaseId, bool, Duration)> {
    let left: f64 = row.try_get(2)?;
    Ok((LeaseId(row.try_get(0)?), row.try_get(1)?, Duration::from_secs_f64(left.max(0.0))))
}

/// Takes a new lease, and has the others look.
async fn begin(
    connection: &mut PgConnection,
    terms: &Terms,
    clock: &Clock,
) -> sqlx::Result<Renewed> {
    let taking = query_scalar::<_, i32>(
        "INSERT INTO leases (incarnation, seconds, expire_time)
         VALUES ($1, $2, now() + $2 * INTERVAL '1 second') RETURNING lease",
    )
    .bind(terms.incarnation.cast_signed())
    .bind(terms.length.as_secs_f64())
    .fetch_one(&mut *connection);
    let lease = LeaseId(connect::in_time(terms.patience(), taking).await?);
    info!(lease = lease.number(), "a lease was taken");
    if terms.notices {
        notice::send(connection, notice::LEASES).await?;
    }
    let renewed = renew(connection, lease, terms, false, clock).await?;
    let renewed = renewed.ok_or_else(|| sqlx::Error::RowNotFound)?;
    Ok(Renewed { is_new: true, ..renewed })
}
