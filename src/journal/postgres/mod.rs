//! The journal in a PostgreSQL database, for any number of replicas.
//!
//! One task of each replica writes, over one connection, each batch of events in one statement;
//! others renew its lease, listen for what other replicas write, and read it. It deliberately
//! holds no transaction open between two trips, and no lock; what must not be done twice is held
//! off by the rows themselves: the order of the journal by the key of `commits` (see `write.sql`),
//! the match by its epoch (see `claim.rs`), the replica by its lease (see `lease.rs`).

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
mod notice;
mod pooler;
mod reader;
mod renewal;
mod rows;
mod schema;
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
    sync::{Arc, Mutex, PoisonError},
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
        AnalysisId, CallerId, Cursor, Event, Match, MatchId, Recorded, Sequence, Spec, State,
        Timestamp, event::Cancelled,
    },
    journal::{
        Admitted, Appended, CancelledAs, Claim, ClaimStatus, Ear, Erased, Error, FOLLOWERS, Fleet,
        Key, Keys, Origin, Takeover, Writer,
        postgres::{
            address::Malformed,
            claim::PackedClaim,
            command::Command,
            connect::{Database, STATEMENT_TIMEOUT},
            lease::Leases,
            lists::Lists,
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
};

/// Connections beside those that look up: for writing, for the lease, for listening, for reading what
/// others write, for health, two for lists, and those of followers.
const CONNECTIONS_BESIDE: u32 = 7 + FOLLOWERS;

/// With fewer than these a replica can't work at all: for writing, for the lease, for listening, for
/// reading what others write, for health, one to look up and one for followers.
const CONNECTIONS_MIN: u32 = 7;

pub(super) use connect::is_permanent;

/// How many reads run at once unless a [`Config`] says otherwise. With one connection each for
/// writing, for the lease, for listening, for reading what others write and for health, two for lists
/// and two for those who follow all matches, a replica has thirteen.
pub const READERS: u32 = 4;

/// Where the journal lies and what it needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// `postgres://user:password@host:port/database`.
    pub url: SecretString,
    /// The password, if it isn't in the URL and may be replaced.
    pub password: Option<watch::Receiver<SecretString>>,
    /// Stamps events; it follows the database's.
    pub clock: Clock,
    /// Counts leases and pauses: a clock that runs, also where events are stamped by hand.
    pub ticks: Clock,
    /// How long a replica that has died is waited for.
    pub lease: Duration,
    /// How many reads run at once.
    pub readers: u32,
}

/// Why a database can't be used as a journal. Each is one line that makes sense after `--store: `.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It isn't a URL, or has settings that nobody knows.
    #[error("not a postgres:// URL that can be used: {source}")]
    Url {
        /// What is wrong with it.
        source: Malformed,
    },
    /// It can't be reached.
    #[error("{database} can't be reached: {source}")]
    Unreachable {
        /// The database, without its password.
        database: String,
        /// What the operating system says.
        source: sqlx::Error,
    },
    /// It was reached, and doesn't let us in.
    #[error("{database} refuses the connection: {}", connect::sentence(source))]
    Refused {
        /// The database.
        database: String,
        /// What PostgreSQL says.
        source: sqlx::Error,
    },
    /// It doesn't let us have as many connections as we need.
    #[error("{database}: {why}; a replica needs {needed} connections")]
    TooFewConnections {
        /// The database.
        database: String,
        /// What PostgreSQL says.
        why: String,
        /// How many one replica needs.
        needed: u32,
    },
    /// A pooler in front of it gives each transaction another session.
    #[error(
        "{database} is reached through a pooler that gives each transaction another session; a \
         replica needs sessions of its own: set pool_mode = session, or name the database's own \
         address"
    )]
    SharedSessions {
        /// What stands in front of the database.
        database: String,
    },
    /// It can't hold every character.
    #[error(
        "{database} has the encoding {found}: it can't hold every character, make it with UTF8"
    )]
    NotUtf8 {
        /// The database.
        database: String,
        /// What it has.
        found: String,
    },
    /// It answers a commit before it is safe.
    #[error("{database} has synchronous_commit = {found}: a commit could be lost, set it to on")]
    NotDurable {
        /// The database.
        database: String,
        /// What it is set to.
        found: String,
    },
    /// It needs a newer program.
    #[error("{database} was made by a newer version (schema {found}, this is {known})")]
    Newer {
        /// The database.
        database: String,
        /// Its version.
        found: usize,
        /// The newest version that this program knows.
        known: usize,
    },
    /// It holds something else.
    #[error("{database} holds other tables and is not a FaceMatch journal")]
    NotAJournal {
        /// The database.
        database: String,
    },
    /// PostgreSQL can't work with it.
    #[error("{database} can't be used: {}", connect::sentence(source))]
    Unusable {
        /// The database.
        database: String,
        /// What PostgreSQL says.
        source: sqlx::Error,
    },
}

impl OpenError {
    /// What a failure to connect is, or to begin after that.
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
    /// For those who follow all matches: no look-up waits for them, and they wait for no look-up.
    followers: ReadConnections,
    lists: Lists,
    /// For health alone: no read keeps it waiting.
    health: ReadConnections,
    leases: Arc<Leases>,
    tail: Arc<Tail>,
    origin: Origin,
    keys: Keys,
    wake: watch::Sender<()>,
    /// Tells the lease's keeper to say goodbye.
    leaving: CancellationToken,
    keeper: Mutex<Option<JoinHandle<()>>>,
    /// Tells those who look for what others write to stop.
    closing: CancellationToken,
    tasks: TaskTracker,
    history: Arc<Watermark>,
}

impl Postgres {
    /// Opens a journal, made if there is none, begins a new incarnation and takes a lease.
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
        let terms = LeaseTerms { incarnation: origin.incarnation, length: config.lease, notices };
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
            history: Arc::clone(&history),
            database,
            clock: config.clock,
            ticks: config.ticks,
            incarnation: origin.incarnation,
            notices,
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
            origin,
            keys,
            wake,
            leaving,
            keeper,
            closing,
            tasks,
            history,
        })))
    }

    /// Writes what waits, says goodbye to the other replicas and closes all connections. Whatever
    /// is asked of the journal or its clones afterwards fails as unavailable.
    pub async fn close(self) {
        self.0.writer.close().await;
        self.leave().await;
        self.0.closing.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.lists.close().await;
        self.0.health.close().await;
        self.0.followers.close().await;
        self.0.readers.close().await;
    }

    /// How many statements have written events since it was opened.
    pub fn commits(&self) -> u64 {
        self.0.writer.counts().commits()
    }

    /// How many statements have written nothing since it was opened, because another replica's
    /// commit came first. Replicas that take turns lose none to each other.
    pub fn lost_races(&self) -> u64 {
        self.0.writer.counts().lost_races()
    }

    /// Returns once the database is found to have lost what this replica wrote or showed, by a
    /// failover or a restore: what callers were told hasn't happened there. Nothing is written any
    /// more, and a new start is needed.
    pub async fn lost(&self) {
        self.0.history.lost().await;
    }

    /// What is in the way of a new match: another of that request id, or that very match.
    async fn known(&self, match_id: MatchId, spec: &Spec) -> Result<Option<Match>, Error> {
        let by_request = spec.request_id.clone().map(Key::Request);
        for key in by_request.into_iter().chain([Key::Match(match_id)]) {
            if let Some(known) = self.find_match(&spec.caller, &key).await? {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// A match that was admitted by a statement whose answer was lost, if it is still ours.
    async fn admitted_before(
        &self,
        match_id: MatchId,
        claim: Option<Claim>,
    ) -> Result<Option<Admitted>, Error> {
        let Some(claim) = claim else { return Ok(None) };
        let first = self.read_events(match_id).await?.into_iter().next();
        let is_ours = self.hold(match_id).await? == Some(PackedClaim::of(claim));
        Ok(first.filter(|_| is_ours).map(|first| Admitted::New(first, claim)))
    }

    /// Whether an event was written by a statement whose answer was lost, and if not why not.
    async fn appended_before(
        &self,
        claim: Claim,
        after: Sequence,
        event: &Event,
        doubtful: bool,
    ) -> Result<Appended, Error> {
        if doubtful {
            let events = self.read_events(claim.match_id).await?;
            // Another replica that has taken the match may have written the same.
            let is_ours = |recorded: &Recorded| {
                recorded.sequence == after.next()
                    && recorded.event == *event
                    && recorded.incarnation == self.0.origin.incarnation
            };
            if let Some(recorded) = events.into_iter().find(is_ours) {
                return Ok(Appended::Done(recorded));
            }
        }
        let is_taken = self.is_taken(claim, after, event).await?;
        Ok(if is_taken { Appended::Taken } else { Appended::Lost })
    }
}

/// The writer's connection to a database that is as it must be, migrated.
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

/// The first connection, whose session is its own.
async fn reach(database: &Database, needed: u32) -> Result<PgConnection, OpenError> {
    let unreachable = |source| OpenError::of(database, needed, false, source);
    let mut connection = database.reach().await.map_err(unreachable)?;
    match pooler::sessions(database, &mut connection).await.map_err(unreachable)? {
        SessionOwner::Own => {}
        SessionOwner::Shared => {
            return Err(OpenError::SharedSessions { database: database.to_string() });
        }
    }
    database.set_out(&mut connection).await.map_err(unreachable)?;
    connect::plan_with(&mut connection, &[connect::LOCK_TIMEOUT]).await.map_err(unreachable)?;
    Ok(connection)
}

/// What a replica has once it is entered in the database.
struct Entered {
    origin: Origin,
    keys: Keys,
    notices: bool,
    takes_turns: bool,
    head: Cursor,
}

/// Enters a new incarnation, and makes the connection ready for the writer. All of it in the time
/// that one statement may take.
async fn enter(
    connection: &mut PgConnection,
    database: &Database,
    now: Timestamp,
) -> sqlx::Result<Entered> {
    connect::in_time(STATEMENT_TIMEOUT, async {
        let (origin, keys) = schema::enter(connection, now).await?;
        let notices = carries_notices(connection).await?;
        vacuum::settle(connection).await?;
        let takes_turns = write::function(notices).make(connection).await?;
        let head = schema::head(connection).await?;
        connect::plan_with(connection, &["RESET lock_timeout"]).await?;
        // The URL may have another one.
        database.set_out(connection).await?;
        Ok(Entered { origin, keys, notices, takes_turns, head })
    })
    .await
}

/// A limit of connections is looked at before it is met: later, calls would wait for one and fail.
/// With some fewer than it needs a replica is slow, and says so; with too few it doesn't start.
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

/// Whether the database has LISTEN and NOTIFY. Distributed ones that speak PostgreSQL's protocol
/// may have neither; there the timer finds everything.
async fn carries_notices(connection: &mut PgConnection) -> sqlx::Result<bool> {
    query_scalar("SELECT EXISTS (SELECT 1 FROM pg_proc WHERE proname = 'pg_notify')")
        .fetch_one(connection)
        .await
}

#[async_trait]
impl Writer for Postgres {
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error> {
        if !self.may_act() {
            // Told at once: the writer may be waiting for a database that hangs.
            return Err(writer::no_lease());
        }
        let body = stored::body(&Event::Accepted(Arc::clone(&spec)));
        loop {
            let (what, body) = (What::New(Arc::clone(&spec)), body.clone());
            match self.0.writer.write(Write { match_id, what, body }).await? {
                WriteOutcome::Done(recorded, Some(claim)) => {
                    return Ok(Admitted::New(recorded, claim));
                }
                WriteOutcome::Done(_, None) => {
                    return Err(Error::Corrupt("a match without a hold".into()));
                }
                WriteOutcome::Not { unheard, .. } => {
                    // Whatever else comes of this: nobody is told that it is theirs.
                    let unheard = self.0.writer.unheard(unheard);
                    if let Some(new) = self.admitted_before(match_id, unheard.claim()).await? {
                        unheard.disarm();
                        return Ok(new);
                    }
                    if let Some(known) = self.known(match_id, &spec).await? {
                        return Ok(Admitted::Known(known));
                    }
                    if !self.read_events(match_id).await?.is_empty() {
                        let problem = format!("match {match_id} is another caller's");
                        return Err(Error::Corrupt(problem));
                    }
                    // Whatever was in the way has been erased since.
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
        caller: &CallerId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error> {
        let mut doubtful_before = false;
        loop {
            let Some(known) = self.find_match(caller, key).await? else {
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
                // It had gone on in between: what it is now is read anew.
                WriteOutcome::Done(..) => doubtful_before = true,
                WriteOutcome::Not { doubtful, .. } => doubtful_before |= doubtful,
            }
        }
    }

    async fn erase(&self, caller: &CallerId, match_id: MatchId) -> Result<Erased, Error> {
        let caller = caller.clone();
        self.0.writer.ask(|reply| Command::Erase { caller, match_id, reply }).await
    }

    async fn erase_expired(&self, limit: usize) -> Result<usize, Error> {
        self.0.writer.ask(|reply| Command::EraseExpired { limit, reply }).await
    }

    async fn enlist(&self, limit: usize) -> Result<usize, Error> {
        self.0.writer.ask(|reply| Command::Enlist { limit, reply }).await
    }

    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error> {
        if limit == 0 {
            // A replica that is full asks for none, and then the database isn't asked either.
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

    fn hear(&self, ear: Ear) {
        self.0.recent.hear(ear);
    }

    async fn confirm(&self, claim: Claim) -> Result<Option<Claim>, Error> {
        self.0.writer.ask(|reply| Command::Secure { claim, reply }).await
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<(), Error> {
        self.0.writer.ask(|reply| Command::Release { claims, reply }).await
    }

    async fn leave(&self) {
        self.0.leaving.cancel();
        let keeper = self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper
            && keeper.await.is_err()
        {
            // Its panic was told as it happened.
            tracing::error!("the lease's renewal died");
        }
    }

    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        self.others_own(match_id, analyses).await
    }

    fn may_act(&self) -> bool {
        self.0.writer.is_open() && !self.0.history.is_lost() && self.0.leases.held().is_some()
    }

    fn tenure(&self, claim: Claim) -> ClaimStatus {
        let is_over = !self.0.writer.is_open() || self.0.history.is_lost();
        if is_over { ClaimStatus::Lost } else { self.0.leases.tenure(claim) }
    }

    fn fleet(&self) -> watch::Receiver<Fleet> {
        self.0.leases.fleet()
    }

    fn keys(&self) -> &Keys {
        &self.0.keys
    }
}
