//! The journal in a PostgreSQL database, for any number of replicas.
//!
//! In each replica one task writes, over one connection, each batch of events in one statement.
//! Other tasks renew the replica's lease, listen for other replicas' writes, and read them. It
//! deliberately holds no transaction and no lock between two round trips. Rows fence off what must
//! not happen twice: the key of `commits` orders the journal (see `write.sql`), a match has an
//! epoch (see `claim.rs`), and a replica has a lease (see `lease.rs`).

mod address;
mod aside;
mod claim;
mod command;
mod connect;
mod counts;
mod enlist;
mod erase;
mod lease;
mod lists;
mod notify;
mod packed_claim;
mod pooler;
mod reader;
mod renewal;
mod rows;
mod schema;
mod statement;
mod tail;
#[cfg(feature = "postgres-tests")]
#[cfg(test)]
mod tests;
mod turn;
mod vacuum;
mod watermark;
mod write;
mod writer;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use secrecy::SecretString;
use sqlx::{PgConnection, query_scalar};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    domain::{
        AnalysisId, Cursor, Event, Match, MatchId, Recorded, Sequence, Spec, State, TenantId,
        Timestamp, event::Cancelled,
    },
    journal::{
        Admitted, Appended, CancelledAs, Chore, Claim, ClaimStatus, Erased, Error, FOLLOWERS, Feed,
        Handles, Identity, Key, Keys, Listener, Origin, Takeover, Writer,
        postgres::{
            address::Malformed,
            command::Command,
            connect::{Database, STATEMENT_TIMEOUT},
            lease::Leases,
            lists::Lists,
            packed_claim::PackedClaim,
            pooler::SessionOwner,
            reader::ReadConnections,
            renewal::{LeaseRenewer, LeaseTerms},
            schema::Found,
            tail::Tail,
            watermark::Watermark,
            write::{What, Write, WriteOutcome},
        },
        recent::Recent,
        stored,
    },
    sync::lock,
};

/// Connections besides [`Config::readers`]: one each for writing, for the lease, for LISTEN, for
/// reading other replicas' events and for health checks, two for lists, and the followers'.
const CONNECTIONS_BESIDE: u32 = 7 + FOLLOWERS;

/// With fewer connections a replica can't work at all: one each for writing, for the lease, for
/// LISTEN, for reading other replicas' events, for health checks, for look-ups and for followers.
const CONNECTIONS_MIN: u32 = 7;

pub(super) use connect::is_permanent;

/// How many look-ups run at once unless a [`Config`] says otherwise. A replica then has thirteen
/// connections: these four, one each for writing, for the lease, for LISTEN, for reading other
/// replicas' events and for health checks, two for lists, and two for followers of all matches.
pub const READERS: u32 = 4;

/// Where the database is, and the terms on which a replica uses it.
#[derive(Clone, Debug)]
pub struct Config {
    /// `postgres://user:password@host:port/database`.
    pub url: SecretString,
    /// The password, if it isn't in the URL and may be replaced while the replica runs.
    pub password: Option<watch::Receiver<SecretString>>,
    /// Stamps events; it follows the database's clock.
    pub clock: Clock,
    /// Measures leases and pauses. It runs by itself also where a test moves `clock` by hand.
    pub ticks: Clock,
    /// How long a lease lasts: if a replica dies, the others wait this long for it.
    pub lease: Duration,
    /// How many look-ups run at once.
    pub readers: u32,
}

/// Why a database can't be used as a journal. Each message is one line that follows `--store: `.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is malformed, or has parameters that are not supported.
    #[error("not a postgres:// URL that can be used: {source}")]
    Url {
        /// What is wrong with the URL.
        source: Malformed,
    },
    /// No connection to the server could be made.
    #[error("{database} can't be reached: {source}")]
    Unreachable {
        /// The database's URL without the password.
        database: String,
        /// Why the connection failed.
        source: sqlx::Error,
    },
    /// The server was reached, and refuses the connection.
    #[error("{database} refuses the connection: {}", connect::sentence(source))]
    Refused {
        /// The database's URL without the password.
        database: String,
        /// PostgreSQL's error.
        source: sqlx::Error,
    },
    /// The server, the role or a pooler allows fewer connections than a replica needs.
    #[error("{database}: {why}; a replica needs {needed} connections")]
    TooFewConnections {
        /// The database's URL without the password.
        database: String,
        /// Which limit was met.
        why: String,
        /// How many connections one replica needs.
        needed: u32,
    },
    /// A pooler in front of the database gives each transaction another session.
    #[error(
        "{database} is reached through a pooler that gives each transaction another session; a \
         replica needs sessions of its own: set pool_mode = session, or name the database's own \
         address"
    )]
    SharedSessions {
        /// The pooler's URL without the password.
        database: String,
    },
    /// The database's encoding is not UTF8, so an event may not fit.
    #[error(
        "{database} has the encoding {found}: it can't hold every character, create it with UTF8"
    )]
    NotUtf8 {
        /// The database's URL without the password.
        database: String,
        /// The encoding that the database has.
        found: String,
    },
    /// The database acknowledges a commit before it is durable.
    #[error("{database} has synchronous_commit = {found}: a commit could be lost, set it to on")]
    NotDurable {
        /// The database's URL without the password.
        database: String,
        /// The present value of `synchronous_commit`.
        found: String,
    },
    /// The journal's schema is newer than this program.
    #[error("{database} was made by a newer version (schema {found}, this is {known})")]
    Newer {
        /// The database's URL without the password.
        database: String,
        /// The schema's version in the database.
        found: usize,
        /// The newest schema version that this program knows.
        known: usize,
    },
    /// Another application's tables have the names of the journal's.
    #[error("{database} holds other tables and is not a FaceMatch journal")]
    NotAJournal {
        /// The database's URL without the password.
        database: String,
    },
    /// A statement of the start failed after the connection was made.
    #[error("{database} can't be used: {}", connect::sentence(source))]
    Unusable {
        /// The database's URL without the password.
        database: String,
        /// The statement's error.
        source: sqlx::Error,
    },
}

impl OpenError {
    /// Classifies a failure to connect, or, if `is_connected`, a failure of a later statement.
    fn of(database: &Database, needed: u32, is_connected: bool, source: sqlx::Error) -> Self {
        let database = database.to_string();
        match source {
            source if connect::lacks_connections(&source) => {
                Self::TooFewConnections { database, why: connect::sentence(&source), needed }
            }
            sqlx::Error::PoolTimedOut => {
                let why = "a second connection gets no session".to_owned();
                Self::TooFewConnections { database, why, needed }
            }
            source if pooler::lost_its_session(&source) => Self::SharedSessions { database },
            source if is_connected => Self::Unusable { database, source },
            source @ sqlx::Error::Database(_) => Self::Refused { database, source },
            source => Self::Unreachable { database, source },
        }
    }
}

/// A journal in a PostgreSQL database. Clones are handles to the same replica.
#[derive(Clone)]
pub struct Postgres(Arc<Shared>);

struct Shared {
    writer: writer::WriterHandle,
    recent: Arc<Recent>,
    readers: Arc<ReadConnections>,
    /// Connections for followers of all matches: followers and look-ups never wait for each other.
    followers: ReadConnections,
    lists: Lists,
    /// A connection for health checks alone: they never wait for a read.
    health: ReadConnections,
    leases: Arc<Leases>,
    tail: Arc<Tail>,
    identity: Identity,
    wake: watch::Sender<()>,
    /// Tells the lease renewer to delete the lease and stop.
    leaving: CancellationToken,
    renewer: Mutex<Option<JoinHandle<()>>>,
    /// Tells the tasks that follow other replicas, and those that keep passwords, to stop.
    closing: CancellationToken,
    tasks: TaskTracker,
    watermark: Arc<Watermark>,
}

impl Postgres {
    /// Opens a journal, creating it if there is none, begins a new incarnation and takes a lease.
    ///
    /// # Errors
    /// [`OpenError`] if the database can't be used.
    #[expect(clippy::disallowed_methods, reason = "leave and close join it")]
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let database = Database::parse(&config.url, config.password.clone())
            .map_err(|source| OpenError::Url { source })?;
        let needed = config.readers + CONNECTIONS_BESIDE;
        let mut connection = prepare(&database, needed).await?;
        let unusable = |source| OpenError::of(&database, needed, true, source);
        let time = renewal::database_time(&mut connection).await.map_err(unusable)?;
        config.clock.follow(time);
        let entering = enter(&mut connection, &database, config.clock.now());
        let Entered { origin, keys, notices, takes_turns, head } =
            entering.await.map_err(unusable)?;
        let history = Arc::new(Watermark::new(origin.incarnation, head));

        let leases = Arc::new(Leases::new(config.ticks.clone()));
        let (leaving, closing) = (CancellationToken::new(), CancellationToken::new());
        let terms = LeaseTerms {
            incarnation: origin.incarnation,
            length: config.lease,
            has_notify: notices,
        };
        let mut keeper = LeaseRenewer::new(
            database.clone(),
            Arc::clone(&leases),
            terms,
            config.clock.clone(),
            leaving.clone(),
        );
        keeper.begin().await.map_err(unusable)?;
        let keeper = Mutex::new(Some(tokio::spawn(keeper.run())));

        let wake = watch::Sender::new(());
        let recent = Arc::new(Recent::after(head.position));
        let tail = Arc::new(Tail::new(Arc::clone(&recent), wake.clone(), Arc::clone(&history)));
        let tasks = TaskTracker::new();
        tasks.spawn(Arc::clone(&tail).run(database.clone(), config.clock.clone(), closing.clone()));
        if notices {
            let (tail, leases) = (Arc::clone(&tail), Arc::clone(&leases));
            tasks.spawn(tail.listen(database.clone(), leases, closing.clone()));
        }
        let readers = database.readers(config.readers);
        let health = database.readers(1);
        let followers = database.readers(FOLLOWERS);
        for pool in [&readers, &health, &followers] {
            let kept = database.clone().keep_password(pool.clone());
            tasks.spawn(closing.clone().run_until_cancelled_owned(kept));
        }
        let readers = Arc::new(ReadConnections::new(readers, config.readers));
        let lists = Lists::new(database.clone(), Arc::clone(&readers));
        let health = ReadConnections::new(health, 1);
        let followers = ReadConnections::new(followers, FOLLOWERS);
        let writer = writer::WriterSetup {
            watermark: Arc::clone(&history),
            database,
            clock: config.clock,
            ticks: config.ticks,
            incarnation: origin.incarnation,
            has_notify: notices,
            takes_turns,
            leases: Arc::clone(&leases),
            recent: Arc::clone(&recent),
            tail: Arc::clone(&tail),
            wake: wake.clone(),
        };
        let writer = writer::WriterHandle::spawn(writer, connection);
        Ok(Self(Arc::new(Shared {
            writer,
            recent,
            readers,
            followers,
            lists,
            health,
            leases,
            tail,
            identity: Identity { origin, keys, has_one_writer: false },
            wake,
            leaving,
            renewer: keeper,
            closing,
            tasks,
            watermark: history,
        })))
    }

    /// The journal for its users.
    pub fn handles(&self) -> Handles {
        let feed = Feed {
            reader: Arc::new(self.clone()),
            identity: self.0.identity.clone(),
            wake: self.0.wake.subscribe(),
            erased: self.0.tail.erased(),
        };
        Handles { writer: Arc::new(self.clone()), feed, fleet: self.0.leases.fleet() }
    }

    /// Whether this replica may claim matches, and act on its claims.
    fn may_act(&self) -> bool {
        self.0.writer.queue.is_open()
            && !self.0.watermark.is_lost()
            && self.0.leases.held().is_some()
    }

    /// Writes everything that is queued, deletes the lease and closes all connections. Later calls
    /// of the journal or its clones fail as unavailable.
    pub async fn close(self) {
        self.0.writer.queue.close().await;
        self.leave().await;
        self.0.closing.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.lists.close().await;
        self.0.health.close().await;
        self.0.followers.close().await;
        self.0.readers.close().await;
    }

    /// How many statements have written events since the journal was opened.
    pub fn commits(&self) -> u64 {
        self.0.writer.counts.commits()
    }

    /// How many statements have written nothing since the journal was opened, because another
    /// replica's commit came first. Replicas that take turns (see `turn.rs`) lose no race to each
    /// other.
    pub fn lost_races(&self) -> u64 {
        self.0.writer.counts.lost_races()
    }

    /// Returns once the database is found to have lost commits that this replica made or showed, by
    /// a failover or a restore: callers were told of events that the database doesn't have. Nothing
    /// is written any more, and the process has to be restarted.
    pub async fn lost(&self) {
        self.0.watermark.lost().await;
    }

    /// The match that keeps a new one from being admitted: one with the same request id, or the
    /// same match.
    async fn known(&self, match_id: MatchId, spec: &Spec) -> Result<Option<Match>, Error> {
        let by_request = spec.request_id.clone().map(Key::Request);
        for key in by_request.into_iter().chain([Key::Match(match_id)]) {
            if let Some(known) = self.find_match(&spec.tenant, &key).await? {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// The match, if a statement whose reply was lost has admitted it, and this replica still holds
    /// it. `claim` is what that statement may have claimed.
    async fn admitted_before(
        &self,
        match_id: MatchId,
        claim: Option<Claim>,
    ) -> Result<Option<Admitted>, Error> {
        let Some(claim) = claim else { return Ok(None) };
        let first = self.read_events(match_id).await?.into_iter().next();
        let is_ours = self.present_claim(match_id).await? == Some(PackedClaim::of(claim));
        Ok(first.filter(|_| is_ours).map(|first| Admitted::New(first, claim)))
    }

    /// Whether a statement whose reply was lost has written the event, and if not, why not.
    async fn appended_before(
        &self,
        claim: Claim,
        after: Sequence,
        event: &Event,
        doubtful: bool,
    ) -> Result<Appended, Error> {
        if doubtful {
            let events = self.read_events(claim.match_id).await?;
            // Another replica that has taken the match over may have written the same event.
            let is_ours = |recorded: &Recorded| {
                recorded.sequence == after.next()
                    && recorded.event == *event
                    && recorded.incarnation == self.0.identity.origin.incarnation
            };
            if let Some(recorded) = events.into_iter().find(is_ours) {
                return Ok(Appended::Done(recorded));
            }
        }
        let is_taken = self.is_taken(claim, after, event).await?;
        Ok(if is_taken { Appended::Taken } else { Appended::Lost })
    }
}

/// Connects to the database, checks that it can hold a journal, and migrates it. The connection is
/// for the writer.
async fn prepare(database: &Database, needed: u32) -> Result<PgConnection, OpenError> {
    let unusable = |source| OpenError::of(database, needed, true, source);
    let mut connection = reach(database, needed).await?;
    check_limit(&mut connection, database, needed).await?;
    let found = connect::encoding(&mut connection).await.map_err(unusable)?;
    if found != connect::ENCODING {
        return Err(OpenError::NotUtf8 { database: database.to_string(), found });
    }
    let found = connect::synchronous_commit(&mut connection).await.map_err(unusable)?;
    if found != connect::SYNCHRONOUS {
        return Err(OpenError::NotDurable { database: database.to_string(), found });
    }
    match schema::migrate(&mut connection, database).await.map_err(unusable)? {
        Found::Ours { .. } => Ok(connection),
        Found::Newer { version } => Err(OpenError::Newer {
            database: database.to_string(),
            found: version,
            known: schema::VERSION,
        }),
        Found::Foreign => Err(OpenError::NotAJournal { database: database.to_string() }),
    }
}

/// Makes the first connection, and checks that no pooler shares its session.
async fn reach(database: &Database, needed: u32) -> Result<PgConnection, OpenError> {
    let unreachable = |source| OpenError::of(database, needed, false, source);
    let mut connection = database.reach().await.map_err(unreachable)?;
    match pooler::session_owner(database, &mut connection).await.map_err(unreachable)? {
        SessionOwner::Own => {}
        SessionOwner::Shared => {
            return Err(OpenError::SharedSessions { database: database.to_string() });
        }
    }
    database.prepare_session(&mut connection).await.map_err(unreachable)?;
    connect::apply_settings(&mut connection, &[connect::LOCK_TIMEOUT])
        .await
        .map_err(unreachable)?;
    Ok(connection)
}

/// What a replica learns when it enters its incarnation in the database.
struct Entered {
    origin: Origin,
    keys: Keys,
    notices: bool,
    takes_turns: bool,
    head: Cursor,
}

/// Enters a new incarnation, and prepares the connection for the writer. All of it has the time
/// limit of one statement.
async fn enter(
    connection: &mut PgConnection,
    database: &Database,
    now: Timestamp,
) -> sqlx::Result<Entered> {
    connect::in_time(STATEMENT_TIMEOUT, async {
        let (origin, keys) = schema::enter(connection, now).await?;
        let notices = has_notify(connection).await?;
        vacuum::settle(connection).await?;
        let takes_turns = write::function(notices).make(connection).await?;
        let head = schema::head(connection).await?;
        connect::apply_settings(connection, &["RESET lock_timeout"]).await?;
        // The URL may set a lock_timeout of its own.
        database.prepare_session(connection).await?;
        Ok(Entered { origin, keys, notices, takes_turns, head })
    })
    .await
}

/// Checks the role's connection limit at the start: if it were only met later, calls would wait for
/// a connection and fail. With fewer connections than it uses, a replica is slow and logs a
/// warning; with fewer than [`CONNECTIONS_MIN`] it doesn't start.
async fn check_limit(
    connection: &mut PgConnection,
    database: &Database,
    needed: u32,
) -> Result<(), OpenError> {
    let allowed = connect::connections_allowed(connection).await;
    let Some((role, limit)) =
        allowed.map_err(|source| OpenError::of(database, needed, true, source))?
    else {
        return Ok(());
    };
    if limit < CONNECTIONS_MIN {
        let why = format!("too many connections for role \"{role}\", whose limit is {limit}");
        return Err(OpenError::TooFewConnections { database: database.to_string(), why, needed });
    }
    if limit < needed {
        tracing::warn!(
            role,
            limit,
            needed,
            "the database allows fewer connections than a replica uses"
        );
    }
    Ok(())
}

/// Whether the database has LISTEN and NOTIFY. Distributed databases that speak PostgreSQL's
/// protocol may have neither; there a timer polls for everything.
async fn has_notify(connection: &mut PgConnection) -> sqlx::Result<bool> {
    query_scalar("SELECT EXISTS (SELECT 1 FROM pg_proc WHERE proname = 'pg_notify')")
        .fetch_one(connection)
        .await
}

#[async_trait]
impl Writer for Postgres {
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error> {
        if !self.may_act() {
            // Fails at once, without the queue: the writer may be waiting for a hanging database.
            return Err(lease::no_lease());
        }
        let body = stored::body(&Event::Accepted(Arc::clone(&spec)));
        loop {
            let (what, body) = (What::New(Arc::clone(&spec)), body.clone());
            match self.0.writer.write(Write { match_id, what, body }).await? {
                WriteOutcome::Done(recorded, Some(claim)) => {
                    return Ok(Admitted::New(recorded, claim));
                }
                WriteOutcome::Done(_, None) => {
                    return Err(Error::Corrupt("new match without a claim".into()));
                }
                WriteOutcome::Not { unheard, .. } => {
                    // Unless `admitted_before` finds the match, no claim is returned, and the
                    // guard releases it.
                    let unheard = self.0.writer.queue.unheard(unheard);
                    if let Some(new) = self.admitted_before(match_id, unheard.claim()).await? {
                        unheard.disarm();
                        return Ok(new);
                    }
                    if let Some(known) = self.known(match_id, &spec).await? {
                        return Ok(Admitted::Known(known));
                    }
                    if !self.read_events(match_id).await?.is_empty() {
                        let problem = format!("match {match_id} belongs to another tenant");
                        return Err(Error::Corrupt(problem));
                    }
                    // The match that kept this one from being admitted has been erased since.
                }
            }
        }
    }

    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error> {
        let body = stored::body(&event);
        let what = What::Next { claim, after, event: event.clone() };
        match self.0.writer.write(Write { match_id: claim.match_id, what, body }).await? {
            WriteOutcome::Done(recorded, _) => Ok(Appended::Done(recorded)),
            WriteOutcome::Not { doubtful, .. } => {
                self.appended_before(claim, after, &event, doubtful).await
            }
        }
    }

    async fn cancel(
        &self,
        tenant: &TenantId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error> {
        let mut doubtful_before = false;
        loop {
            let Some(known) = self.find_match(tenant, key).await? else {
                return Ok(CancelledAs::Absent);
            };
            match known.state {
                State::Cancelled if doubtful_before => return Ok(CancelledAs::Now(known)),
                State::Cancelled => return Ok(CancelledAs::Already(known)),
                State::Finished | State::Failed => return Ok(CancelledAs::Ended(known)),
                State::Unknown if known.has_ended() => return Ok(CancelledAs::Ended(known)),
                State::Accepted | State::Uploaded | State::Processing | State::Unknown => {}
            }
            let event = Event::Cancelled(Cancelled { keep });
            let body = stored::body(&event);
            let write = Write { match_id: known.id, what: What::End(event), body };
            match self.0.writer.write(write).await? {
                WriteOutcome::Done(recorded, _) if recorded.sequence == known.sequence.next() => {
                    return stored::next(Some(known), &recorded).map(CancelledAs::Now);
                }
                // Another event came in between: read the match again.
                WriteOutcome::Done(..) => doubtful_before = true,
                WriteOutcome::Not { doubtful, .. } => doubtful_before |= doubtful,
            }
        }
    }

    async fn erase(&self, tenant: &TenantId, match_id: MatchId) -> Result<Erased, Error> {
        let tenant = tenant.clone();
        self.0.writer.ask(|reply| Command::Erase { tenant, match_id, reply }).await
    }

    async fn tidy(&self, chore: Chore, limit: usize) -> Result<usize, Error> {
        match chore {
            Chore::EraseExpired => {
                self.0.writer.ask(|reply| Command::EraseExpired { limit, reply }).await
            }
            Chore::Enlist => self.0.writer.ask(|reply| Command::Enlist { limit, reply }).await,
        }
    }

    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error> {
        if limit == 0 {
            // A replica at its limit of matches asks for none, which costs no statement.
            return Ok(Vec::new());
        }
        self.0.writer.ask(|reply| Command::Claim { limit, reply }).await
    }

    async fn take(&self, match_id: MatchId, has_photo: bool) -> Result<Takeover, Error> {
        self.0.writer.ask(|reply| Command::Take { match_id, has_photo, reply }).await
    }

    async fn takeable(&self, matches: &[MatchId]) -> Result<Vec<MatchId>, Error> {
        self.not_held(matches).await
    }

    fn listen(&self, ear: Listener) {
        self.0.recent.hear(ear);
    }

    async fn confirm(&self, claim: Claim) -> Result<Option<Claim>, Error> {
        self.0.writer.ask(|reply| Command::Confirm { claim, reply }).await
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<(), Error> {
        self.0.writer.ask(|reply| Command::Release { claims, reply }).await
    }

    async fn leave(&self) {
        self.0.leaving.cancel();
        let keeper = lock(&self.0.renewer).take();
        if let Some(keeper) = keeper
            && keeper.await.is_err()
        {
            // The panic itself was logged when it happened.
            tracing::error!("lease renewer panicked");
        }
    }

    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        self.others_own(match_id, analyses).await
    }

    fn claim_status(&self, claim: Claim) -> ClaimStatus {
        let is_over = !self.0.writer.queue.is_open() || self.0.watermark.is_lost();
        if is_over { ClaimStatus::Lost } else { self.0.leases.tenure(claim) }
    }
}
