//! A replica's writer: takes the queued messages, commits their events in one statement, and then
//! replies. The writers of several replicas take turns: see `turn.rs`.
//!
//! It deliberately keeps no transaction open between two round trips. A statement whose outcome is
//! unknown, because the connection broke, is sent once more over a new one. It can't take effect
//! twice, and its caller looks for what the first attempt may have done.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time,
};
use tracing::{debug, warn};

use crate::{
    clock::Clock,
    domain::{MatchId, Position, Recorded, Timestamp},
    journal::{
        Claim, ClaimStatus, Error,
        postgres::{
            command::Command,
            connect::{self, Database, Meaning, RECONNECT_PAUSE, STATEMENT_TIMEOUT},
            counts::{Contention, Counts},
            lease::Leases,
            tail::Tail,
            watermark::Watermark,
            write::{self, Author, Job, What, Write, WriteOutcome},
        },
        recent::Recent,
        reply::{self, CarriesClaims, ClaimGuard, Orphans, ReplySender},
    },
    outage,
    sync::lock,
};

/// The most writes in one statement. A larger batch is no faster, and delays its first write.
const BATCH_MAX: usize = 128;

/// The capacity of the writer's queue. While it is full, callers wait to enter it.
const WAITING_MAX: usize = 1024;

/// How long a caller waits for the writer before its call fails as unavailable.
const PATIENCE: Duration = Duration::from_secs(5);

/// For how long a statement whose connection was lost may still take effect: until then its claims
/// are released again and again. Longer than any database is paused for.
const LINGERING: Duration = Duration::from_secs(600);

/// How often the claims of such statements are released.
pub(super) const LINGERING_CHECK: Duration = Duration::from_secs(5);

/// Sends messages to the writer. Lives as long as the journal.
pub(super) struct WriterHandle {
    messages: mpsc::Sender<Message>,
    orphans: Arc<Orphans>,
    counts: Arc<Counts>,
    task: Mutex<Option<JoinHandle<()>>>,
    ticks: Clock,
}

#[expect(clippy::large_enum_variant, reason = "nearly all are writes")]
enum Message {
    Write(Job),
    Command(Command),
    Close,
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

/// The writer's task.
pub(super) struct WriterTask {
    pub with: WriterSetup,
    pub connection: Option<PgConnection>,
    /// The earliest time of the next attempt to connect.
    connect_at: Timestamp,
    pub orphans: Arc<Orphans>,
    /// Claims that lost statements may still make, and until when.
    pub lingering: VecDeque<(Timestamp, Claim)>,
    /// When the claims of `lingering` are released next.
    pub linger_at: Timestamp,
    counts: Arc<Counts>,
    contention: Contention,
}

/// The events that a statement wrote, by match.
type ByMatch = HashMap<MatchId, Recorded>;

/// Why a batch failed, and whether it may have been written all the same.
struct CommitFailure {
    meaning: Meaning,
    error: Error,
}

/// The replica can't rely on its lease at this moment, so it can't claim anything.
#[derive(Debug, thiserror::Error)]
#[error("this replica could not renew its lease")]
struct NoLease;

/// The error of an operation that needs a lease.
pub(super) fn no_lease() -> Error {
    Error::Unavailable(Arc::new(NoLease))
}

impl WriterHandle {
    /// Starts the writer's task.
    #[expect(clippy::disallowed_methods, reason = "the handle holds it, and close joins it")]
    pub(super) fn spawn(with: WriterSetup, connection: PgConnection) -> Self {
        let (messages, waiting) = mpsc::channel(WAITING_MAX);
        let (orphans, counts) = (Arc::default(), Arc::default());
        let ticks = with.ticks.clone();
        let running = WriterTask {
            connect_at: with.ticks.now(),
            linger_at: with.ticks.now(),
            contention: Contention::since(with.ticks.now()),
            with,
            connection: Some(connection),
            orphans: Arc::clone(&orphans),
            lingering: VecDeque::new(),
            counts: Arc::clone(&counts),
        };
        let task = Mutex::new(Some(tokio::spawn(running.run(waiting))));
        Self { messages, orphans, counts, task, ticks }
    }

    /// Sends a write and waits for its outcome.
    pub(super) async fn write(&self, write: Write) -> Result<WriteOutcome, Error> {
        let asked = self.ticks.now();
        self.answered(|reply| Message::Write(Job::new(write, reply, asked))).await
    }

    /// Sends a command and waits for its reply.
    pub(super) async fn ask<T: CarriesClaims>(
        &self,
        ask: impl FnOnce(ReplySender<T>) -> Command + Send,
    ) -> Result<T, Error> {
        self.answered(|reply| Message::Command(ask(reply))).await
    }

    /// Sends a message and waits for the reply, both within [`PATIENCE`].
    async fn answered<T: CarriesClaims>(
        &self,
        message: impl FnOnce(ReplySender<T>) -> Message + Send,
    ) -> Result<T, Error> {
        let (reply, answer) = reply::pair(&self.orphans);
        let message = message(reply);
        let answered = async {
            self.messages.send(message).await.map_err(|_| reply::closed())?;
            answer.wait().await
        };
        let late = || Err(connect::timed_out().into());
        time::timeout(PATIENCE, answered).await.unwrap_or_else(|_| late())
    }

    /// Guards what a lost statement may have claimed: it is released unless the guard is disarmed.
    pub(super) fn unheard(&self, claim: Option<Claim>) -> ClaimGuard {
        ClaimGuard::new(claim, &self.orphans)
    }

    /// The writer's counts of commits and lost races.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether the writer still takes messages.
    pub(super) fn is_open(&self) -> bool {
        !self.messages.is_closed()
    }

    /// Has the writer finish everything that is queued, and returns once its connection is closed.
    pub(super) async fn close(&self) {
        // An error means that the writer has stopped already.
        let _ = self.messages.send(Message::Close).await;
        let task = lock(&self.task).take();
        if let Some(task) = task
            && task.await.is_err()
        {
            // The panic itself was logged when it happened.
            tracing::error!("journal writer panicked");
        }
    }
}

impl WriterTask {
    async fn run(mut self, mut waiting: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH_MAX);
        while self.take(&mut waiting, &mut messages).await {
            self.release_orphans().await;
            let (mut writes, mut asks) = (Vec::with_capacity(messages.len()), Vec::new());
            for message in messages.drain(..) {
                match message {
                    // Its caller has timed out and was told that the write failed.
                    Message::Write(job) if self.is_stale(&job) => {}
                    Message::Write(job) => writes.push(job),
                    Message::Command(ask) => asks.push(ask),
                    // Messages that are queued already are still taken.
                    Message::Close => waiting.close(),
                }
            }
            while !writes.is_empty() {
                let (now, later) = write::compatible(writes);
                self.write(now).await;
                writes = later;
            }
            self.contention.look(self.with.ticks.now(), &self.counts);
            for ask in asks {
                self.answer(ask).await;
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            debug!(error = outage::causes(&error), "database connection not closed cleanly");
        }
    }

    fn is_stale(&self, job: &Job) -> bool {
        job.reply.is_closed() && job.asked.after(PATIENCE) <= self.with.ticks.now()
    }

    /// Waits for messages, or, while there are lingering claims, for their next release. Returns
    /// false once the queue is closed and empty.
    async fn take(
        &self,
        waiting: &mut mpsc::Receiver<Message>,
        messages: &mut Vec<Message>,
    ) -> bool {
        let taking = waiting.recv_many(messages, BATCH_MAX);
        if self.lingering.is_empty() {
            return taking.await > 0;
        }
        match time::timeout(LINGERING_CHECK, taking).await {
            Ok(taken) => taken > 0,
            Err(_) => true,
        }
    }

    /// Writes a batch and replies to each write.
    async fn write(&mut self, jobs: Vec<Job>) {
        let mut jobs = self.entitled(jobs);
        if jobs.is_empty() {
            return;
        }
        match self.commit(&mut jobs).await {
            Ok((author, mut recorded)) => {
                for job in jobs {
                    let recorded = recorded.remove(&job.write.match_id);
                    let outcome = write::outcome(&job, recorded, author);
                    job.reply.send(Ok(outcome));
                }
            }
            // One write is to blame: each is sent alone, so that the others don't fail with it.
            Err(CommitFailure { meaning: Meaning::Refused, .. }) if jobs.len() > 1 => {
                for job in jobs {
                    Box::pin(self.write(vec![job])).await;
                }
            }
            Err(failure) => jobs.into_iter().for_each(|job| self.fail(job, &failure.error)),
        }
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

    /// Commits a batch in one statement. Sends it again each time that another replica's commit
    /// comes first, and once if the connection breaks.
    async fn commit(&mut self, jobs: &mut [Job]) -> Result<(Author, ByMatch), CommitFailure> {
        let mut is_second = false;
        loop {
            let author = self.author();
            let failure = match self.try_commit(jobs, author).await {
                Ok(recorded) => return Ok((author, recorded)),
                Err(error) => error,
            };
            let meaning = connect::meaning(&failure);
            match meaning {
                Meaning::Raced => self.counts.lost_a_race(),
                Meaning::Refused => return Err(CommitFailure { meaning, error: failure.into() }),
                Meaning::Unknown => {
                    self.disconnect(&failure);
                    for job in jobs.iter_mut() {
                        job.doubtful = true;
                        job.sent_under = author.lease.or(job.sent_under);
                    }
                    if mem::replace(&mut is_second, true) {
                        return Err(CommitFailure { meaning, error: failure.into() });
                    }
                }
            }
        }
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
