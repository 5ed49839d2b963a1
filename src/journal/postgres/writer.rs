//! The engine that writes to the database: commits a batch of writes in one statement. The writers
//! of several replicas take turns: see `turn.rs`.
//!
//! When batches are formed and tried again, `batch.rs` decides. The engine deliberately keeps no
//! transaction open between two round trips. A statement whose outcome is unknown, because the
//! connection broke, is sent once more over a new one. It can't take effect twice, and its caller
//! looks for what the first attempt may have done.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use tokio::{sync::watch, time};
use tracing::{debug, warn};

use crate::{
    clock::Clock,
    domain::{MatchId, Position, Recorded, Timestamp},
    journal::{
        Claim, ClaimStatus, Error,
        batch::{self, Engine, Failure},
        postgres::{
            command::Command,
            connect::{self, Database, Meaning, RECONNECT_PAUSE, STATEMENT_TIMEOUT},
            counts::{Contention, Counts},
            lease::{Leases, no_lease},
            tail::Tail,
            watermark::Watermark,
            write::{self, Author, Job, What, Write, WriteOutcome},
        },
        recent::Recent,
        reply::{CarriesClaims, Orphans, ReplySender},
    },
    outage,
};

/// How long a caller waits for the writer before its call fails as unavailable.
const PATIENCE: Duration = Duration::from_secs(5);

/// For how long a statement whose connection was lost may still take effect: until then its claims
/// are released again and again. Longer than any database is paused for.
const LINGERING: Duration = Duration::from_secs(600);

/// How often the claims of such statements are released.
pub(super) const LINGERING_CHECK: Duration = Duration::from_secs(5);

/// Sends requests to the writer's task. Lives as long as the journal.
pub(super) struct WriterHandle {
    pub queue: batch::Handle<Request>,
    pub counts: Arc<Counts>,
    ticks: Clock,
}

/// What callers send to the writer.
#[expect(clippy::large_enum_variant, reason = "nearly all are writes")]
pub(super) enum Request {
    Write(Job),
    Command(Command),
}

/// What the writer works with.
pub(super) struct WriterSetup {
    pub database: Database,
    pub clock: Clock,
    /// Measures pauses and time limits. It runs by itself also where a test moves `clock` by hand.
    pub ticks: Clock,
    pub incarnation: u64,
    pub has_notify: bool,
    /// Whether the database lets this replica write in turns.
    pub takes_turns: bool,
    pub leases: Arc<Leases>,
    pub recent: Arc<Recent>,
    pub tail: Arc<Tail>,
    pub wake: watch::Sender<()>,
    pub watermark: Arc<Watermark>,
}

/// Writes to the database, over one connection.
pub(super) struct WriterEngine {
    pub with: WriterSetup,
    pub connection: Option<PgConnection>,
    /// The earliest time of the next attempt to connect.
    connect_at: Timestamp,
    pub orphans: Arc<Orphans>,
    /// Claims that lost statements may still make, and until when.
    pub lingering: VecDeque<(Timestamp, Claim)>,
    /// When the claims of `lingering` are released next.
    pub linger_at: Timestamp,
    /// Commands that run after the batch.
    commands: Vec<Command>,
    counts: Arc<Counts>,
    contention: Contention,
}

/// The events that a statement wrote, by match.
type ByMatch = HashMap<MatchId, Recorded>;

impl WriterHandle {
    /// Starts the writer's task.
    pub(super) fn spawn(with: WriterSetup, connection: PgConnection) -> Self {
        let (orphans, counts) = (Arc::default(), Arc::default());
        let ticks = with.ticks.clone();
        let engine = WriterEngine {
            connect_at: ticks.now(),
            linger_at: ticks.now(),
            contention: Contention::since(ticks.now()),
            with,
            connection: Some(connection),
            orphans: Arc::clone(&orphans),
            lingering: VecDeque::new(),
            commands: Vec::new(),
            counts: Arc::clone(&counts),
        };
        Self { queue: batch::Handle::spawn(engine, ticks.clone(), orphans), counts, ticks }
    }

    /// Sends a write and waits for its outcome.
    pub(super) async fn write(&self, write: Write) -> Result<WriteOutcome, Error> {
        let asked = self.ticks.now();
        self.send(|reply| Request::Write(Job::new(write, reply, asked))).await
    }

    /// Sends a command and waits for its reply.
    pub(super) async fn ask<T: CarriesClaims>(
        &self,
        ask: impl FnOnce(ReplySender<T>) -> Command + Send,
    ) -> Result<T, Error> {
        self.send(|reply| Request::Command(ask(reply))).await
    }

    /// Sends a request and waits for the reply, both within [`PATIENCE`].
    async fn send<T: CarriesClaims>(
        &self,
        request: impl FnOnce(ReplySender<T>) -> Request + Send,
    ) -> Result<T, Error> {
        let late = || Err(connect::timed_out().into());
        time::timeout(PATIENCE, self.queue.send(request)).await.unwrap_or_else(|_| late())
    }
}

impl Engine for WriterEngine {
    type Request = Request;
    type Job = Job;
    type Receipt = (Author, ByMatch);

    fn accept(&mut self, request: Request) -> Option<Job> {
        match request {
            // Its caller has timed out and was told that the write failed.
            Request::Write(job) if self.is_stale(&job) => None,
            Request::Write(job) => Some(job),
            Request::Command(command) => {
                self.commands.push(command);
                None
            }
        }
    }

    fn postpone(&mut self, batch: &mut Vec<Job>) -> Vec<Job> {
        write::take_incompatible(batch)
    }

    /// While there are lingering claims, their next release.
    fn due(&self) -> Option<Timestamp> {
        (!self.lingering.is_empty()).then(|| self.with.ticks.now().after(LINGERING_CHECK))
    }

    async fn before_batch(&mut self) {
        self.release_orphans().await;
    }

    /// Commits a batch in one statement, except for the writes whose claims don't hold. Sends it
    /// again each time that another replica's commit comes first, and once if the connection
    /// breaks.
    async fn commit(&mut self, batch: &mut Vec<Job>) -> Result<(Author, ByMatch), Failure> {
        *batch = self.entitled(mem::take(batch));
        if batch.is_empty() {
            return Ok((self.author(), ByMatch::new()));
        }
        let mut is_second = false;
        loop {
            let author = self.author();
            let failure = match self.try_commit(batch, author).await {
                Ok(recorded) => return Ok((author, recorded)),
                Err(error) => error,
            };
            match connect::meaning(&failure) {
                Meaning::Raced => self.counts.lost_a_race(),
                Meaning::Refused => return Err(Failure::Job(failure.into())),
                Meaning::Unknown => {
                    self.disconnect(&failure);
                    for job in batch.iter_mut() {
                        job.doubtful = true;
                        job.sent_under = author.lease.or(job.sent_under);
                    }
                    if mem::replace(&mut is_second, true) {
                        return Err(Failure::Store(failure.into()));
                    }
                }
            }
        }
    }

    fn answer(&mut self, batch: Vec<Job>, committed: Result<(Author, ByMatch), Error>) {
        match committed {
            Ok((author, mut recorded)) => {
                for job in batch {
                    let recorded = recorded.remove(&job.write.match_id);
                    let outcome = write::outcome(&job, recorded, author);
                    job.reply.send(Ok(outcome));
                }
            }
            Err(error) => batch.into_iter().for_each(|job| self.fail(job, &error)),
        }
    }

    async fn after_batch(&mut self) {
        self.contention.look(self.with.ticks.now(), &self.counts);
        for command in mem::take(&mut self.commands) {
            self.run(command).await;
        }
    }

    async fn finish(mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            debug!(error = outage::causes(&error), "database connection not closed cleanly");
        }
    }
}

impl WriterEngine {
    fn is_stale(&self, job: &Job) -> bool {
        job.reply.is_closed() && job.asked.after(PATIENCE) <= self.with.ticks.now()
    }

    /// Returns the writes whose claims hold. Replies to those whose claims are lost or in doubt.
    fn entitled(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let mut entitled = Vec::with_capacity(jobs.len());
        for job in jobs {
            let tenure = match &job.write.what {
                What::New(_) if self.with.leases.held().is_some() => ClaimStatus::Held,
                What::New(_) => ClaimStatus::Unsure,
                What::Next { claim, .. } => self.with.leases.tenure(*claim),
                What::End(_) => ClaimStatus::Held,
            };
            match tenure {
                ClaimStatus::Held | ClaimStatus::Lent => entitled.push(job),
                ClaimStatus::Unsure => self.fail(job, &no_lease()),
                ClaimStatus::Lost => {
                    let not = job.not_written();
                    job.reply.send(Ok(not));
                }
            }
        }
        entitled
    }

    /// Replies that the store failed. If the match is new, an earlier attempt may have claimed it
    /// all the same; that claim is kept as lingering, to be released.
    fn fail(&mut self, job: Job, error: &Error) {
        if let Some(claim) = job.unheard() {
            let now = self.with.ticks.now();
            self.lingering.push_back((now.after(LINGERING), claim));
            self.linger_at = now;
        }
        job.reply.send(Err(error.clone()));
    }

    fn author(&self) -> Author {
        Author {
            now: self.with.clock.now(),
            incarnation: self.with.incarnation,
            lease: self.with.leases.held(),
            has_notify: self.with.has_notify,
            takes_turns: self.with.takes_turns,
            tell_others: self.with.leases.has_others(),
        }
    }

    async fn try_commit(&mut self, jobs: &[Job], author: Author) -> sqlx::Result<ByMatch> {
        let connection = self.connected().await?;
        let statement = write::statement(jobs, author);
        let rows = connect::in_time(STATEMENT_TIMEOUT, statement.fetch_all(connection)).await?;
        let recorded = write::written(jobs, &rows, author)?;
        let Some(first) = recorded.values().map(|recorded| recorded.position.0).min() else {
            return Ok(recorded);
        };
        if let Some(last) = recorded.values().map(Recorded::place).max_by_key(|at| at.position) {
            self.with.watermark.reach(last);
        }
        self.counts.committed();
        if self.with.recent.follow(Position(first - 1), recorded.values().cloned().collect()) {
            self.with.wake.send_replace(());
        } else {
            // Other replicas' events came in between, which the tail reads first.
            self.with.tail.look();
        }
        Ok(recorded)
    }

    /// The connection, or a new one if there is none. For a pause after a failed attempt, calls
    /// fail without another attempt; however many they are, they don't prolong the pause.
    pub(super) async fn connected(&mut self) -> sqlx::Result<&mut PgConnection> {
        if self.connection.is_none() {
            if self.with.ticks.now() < self.connect_at {
                return Err(sqlx::Error::Io(std::io::ErrorKind::NotConnected.into()));
            }
            let connecting = self.connect().await;
            if connecting.is_err() {
                self.connect_at = self.with.ticks.now().after(RECONNECT_PAUSE);
            }
            let (connection, takes_turns) = connecting?;
            self.with.takes_turns = takes_turns;
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Makes a new connection. Also returns whether events are written in turns over it.
    async fn connect(&self) -> sqlx::Result<(PgConnection, bool)> {
        let mut connection = self.with.database.connect().await?;
        if connect::synchronous_commit(&mut connection).await? != connect::SYNCHRONOUS {
            return Err(sqlx::Error::Configuration("synchronous_commit is not on".into()));
        }
        self.with.watermark.check(&mut connection).await?;
        let takes_turns = write::function(self.with.has_notify).make(&mut connection).await?;
        Ok((connection, takes_turns))
    }

    pub(super) fn disconnect(&mut self, failure: &sqlx::Error) {
        if self.connection.take().is_some() {
            warn!(error = outage::causes(failure), "database connection lost");
        }
    }
}
