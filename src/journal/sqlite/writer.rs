//! The engine that writes to the file: commits a batch of operations in one transaction.
//!
//! It deliberately knows nothing of what it writes: an [`Operation`] brings its own statements. When
//! batches are formed and tried again, `batch.rs` decides.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection, SqliteConnection, query};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    clock::Clock,
    domain::{Recorded, Timestamp},
    journal::{
        Claim, Error,
        batch::{self, Engine, Failure},
        recent::Recent,
        reply::Orphans,
        sqlite::{
            claim,
            emptying::Emptying,
            files::{self, Files},
            lock::Lock,
            operation::{self, Job, Operation, Tx},
            template::{self, Template},
        },
    },
    outage,
};

/// The most erasures by callers in one transaction: each may read pages of half a dozen indexes
/// from a disk, and all other writes wait for it.
const ERASURES_MAX: usize = 32;

/// How long the last try to empty the WAL, at close, waits for readers. It delays no other write.
const LAST_TRY_WAIT: Duration = Duration::from_millis(100);

/// Sends operations to the writer's task. Lives as long as the journal.
pub(super) struct WriterHandle {
    pub queue: batch::Handle<Box<dyn Job>>,
    counts: Arc<Counts>,
    is_failing: Arc<AtomicBool>,
    #[cfg(test)]
    emptying_tries: Arc<AtomicU64>,
}

/// Counts since the journal was opened.
#[derive(Default)]
struct Counts {
    commits: AtomicU64,
    /// Trips to SQLite's thread.
    trips: AtomicU64,
}

/// Writes to the file, over one connection.
struct WriterEngine {
    /// `None` after a failure: the next batch opens a new one.
    connection: Option<SqliteConnection>,
    /// See [`Tx::unclaimed_from`].
    unclaimed_from: Option<Uuid>,
    emptying: Emptying,
    orphans: Arc<Orphans>,
    counts: Arc<Counts>,
    /// Whether the store failed in the last transaction.
    is_failing: Arc<AtomicBool>,
    with: WriterSetup,
}

/// What the writer works with.
pub(super) struct WriterSetup {
    pub files: Files,
    pub clock: Clock,
    /// Measures waits.
    pub ticks: Clock,
    pub owner: i64,
    pub recent: Arc<Recent>,
    pub wake: watch::Sender<()>,
    /// Held until the last connection is closed.
    pub _lock: Lock,
}

impl WriterHandle {
    /// Starts the writer's task.
    pub(super) fn spawn(with: WriterSetup, connection: SqliteConnection) -> Self {
        let (orphans, counts) = (Arc::default(), Arc::default());
        let is_failing = Arc::default();
        let ticks = with.ticks.clone();
        let emptying = Emptying::new(with.clock.clone(), with.ticks.clone());
        #[cfg(test)]
        let emptying_tries = emptying.tries();
        let engine = WriterEngine {
            connection: Some(connection),
            unclaimed_from: Some(Uuid::nil()),
            emptying,
            orphans: Arc::clone(&orphans),
            counts: Arc::clone(&counts),
            is_failing: Arc::clone(&is_failing),
            with,
        };
        Self {
            queue: batch::Handle::spawn(engine, ticks, orphans),
            counts,
            is_failing,
            #[cfg(test)]
            emptying_tries,
        }
    }

    /// Queues an operation, and returns its outcome once the operation is durable.
    pub(super) async fn submit<O: Operation>(&self, operation: O) -> Result<O::Outcome, Error> {
        self.queue.send(|reply| operation::asked(operation, reply)).await
    }

    /// How many transactions have been committed.
    pub(super) fn commits(&self) -> u64 {
        self.counts.commits.load(Ordering::Relaxed)
    }

    /// How often operations have sent statements to SQLite's thread.
    #[cfg(test)]
    pub(super) fn trips(&self) -> u64 {
        self.counts.trips.load(Ordering::Relaxed)
    }

    /// How often emptying the WAL was tried.
    #[cfg(test)]
    pub(super) fn emptying_tries(&self) -> u64 {
        self.emptying_tries.load(Ordering::Relaxed)
    }

    /// Whether the store failed in the last transaction: because the disk is full, for instance.
    pub(super) fn fails(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }
}

impl Engine for WriterEngine {
    type Request = Box<dyn Job>;
    type Job = Box<dyn Job>;
    type Receipt = ();

    const JOBS_MAX: usize = batch::QUEUE_MAX + ERASURES_MAX;

    fn accept(&mut self, job: Box<dyn Job>) -> Option<Box<dyn Job>> {
        Some(job)
    }

    /// Postpones erasures beyond [`ERASURES_MAX`], so that other operations aren't delayed.
    fn postpone(&mut self, batch: &mut Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let mut erasures = 0;
        let is_late = |job: &mut Box<dyn Job>| {
            erasures += usize::from(job.erases());
            job.erases() && erasures > ERASURES_MAX
        };
        batch.extract_if(.., is_late).collect()
    }

    /// When the WAL is to be emptied.
    fn due(&self) -> Option<Timestamp> {
        self.emptying.next_try()
    }

    async fn commit(&mut self, batch: &mut Vec<Box<dyn Job>>) -> Result<(), Failure> {
        if let Some(template) = template::shared_template(batch) {
            self.commit_in_one_trip(template, batch).await?;
        }
        match batch.is_empty() {
            true => Ok(()),
            false => self.commit_by_steps(batch).await,
        }
    }

    /// Answers at once, except for erasures: their replies wait for the WAL to be emptied.
    fn answer(&mut self, batch: Vec<Box<dyn Job>>, committed: Result<(), Error>) {
        for job in batch {
            match (committed.is_ok() && job.has_erased(), job.is_continued()) {
                (true, false) => self.emptying.erased(job),
                (true, true) => {
                    self.emptying.erased_in_part();
                    job.answer(Ok(()));
                }
                (false, _) => job.answer(committed.clone()),
            }
        }
    }

    /// Empties the WAL if that is due, and answers the callers that waited for it.
    async fn after_batch(&mut self) {
        if self.emptying.is_due() {
            let is_empty = self.try_emptying(Duration::ZERO).await;
            self.emptying.tried(is_empty.map_err(Error::from));
        }
        self.emptying.answer();
    }

    /// Leaves one file that is complete without its WAL, unless a reader blocks the last try.
    async fn finish(mut self) {
        let is_empty = self.try_emptying(LAST_TRY_WAIT).await;
        self.emptying.tried(is_empty.map_err(Error::from));
        self.emptying.answer_all();
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(error = outage::causes(&error), "journal not closed cleanly");
        }
    }
}

impl WriterEngine {
    /// Commits a batch whose operations share one template, in a single trip to SQLite's thread.
    /// Leaves in the batch what was not written, because the journal isn't in the state that these
    /// operations expect: a transaction of several trips can find out why.
    async fn commit_in_one_trip(
        &mut self,
        template: &'static Template,
        batch: &mut Vec<Box<dyn Job>>,
    ) -> Result<(), Failure> {
        let orphans = self.orphans.take();
        if !orphans.is_empty() {
            self.orphans.add(orphans);
            return Ok(());
        }
        let committed = self.transact_in_one_trip(template, batch).await;
        self.drop_connection_if_failed(&committed);
        let mut is_written = committed?.into_iter();
        let written = batch.extract_if(.., |_| is_written.next().unwrap_or(false)).collect();
        self.answer(written, Ok(()));
        Ok(())
    }

    /// Returns for each job whether it was written.
    async fn transact_in_one_trip(
        &mut self,
        template: &'static Template,
        batch: &mut [Box<dyn Job>],
    ) -> Result<Vec<bool>, Failure> {
        let connection = connected(&mut self.connection, &self.with.files).await?;
        let (now, owner) = (self.with.clock.now(), self.with.owner);
        let mut tx = Tx::new(connection, now, owner, self.unclaimed_from);
        let rows = template::run_transaction(&mut tx, template, batch).await?;
        let is_written = rows.iter().map(|rows| !rows.is_empty()).collect();
        for (job, rows) in batch.iter_mut().zip(rows) {
            if !rows.is_empty() {
                // The transaction is committed already, so the batch must not be tried again.
                job.run(rows, &mut tx).await.map_err(Failure::Store)?;
            }
        }
        let Tx { written, trips, .. } = tx;
        self.after_commit(written, false, trips);
        Ok(is_written)
    }

    /// Commits a batch in a transaction of several trips. If anything fails, none of it is kept.
    async fn commit_by_steps(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), Failure> {
        let orphans = self.orphans.take();
        let committed = self.transact(&orphans, batch).await;
        self.drop_connection_if_failed(&committed);
        if committed.is_err() {
            self.orphans.add(orphans);
        }
        committed
    }

    /// Drops the connection after a failed transaction: SQLite rolls back as the connection closes.
    /// A ROLLBACK can't be sent instead: the connection's thread may be dying of the same failure,
    /// and a command to a dying thread is sometimes never answered.
    fn drop_connection_if_failed<T>(&mut self, committed: &Result<T, Failure>) {
        self.note_health(committed);
        if committed.is_err() {
            self.with.recent.forget();
            self.connection = None;
        }
    }

    /// Notes whether commits succeed, and logs when that changes.
    fn note_health<T>(&self, committed: &Result<T, Failure>) {
        let failure = match committed {
            Ok(_) => None,
            Err(Failure::Job(error) | Failure::Store(error)) => match error {
                Error::Unavailable(source) => Some(source),
                // The fault is in what was to be written, not in the store.
                Error::Refused(_) | Error::Corrupt(_) => return,
            },
        };
        let failed_before = self.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(source) if !failed_before => {
                tracing::error!(error = %source, "commits fail: new matches are refused");
            }
            None if failed_before => tracing::info!("commits succeed again"),
            Some(_) | None => {}
        }
    }

    async fn transact(
        &mut self,
        orphans: &[Claim],
        batch: &mut [Box<dyn Job>],
    ) -> Result<(), Failure> {
        let connection = connected(&mut self.connection, &self.with.files).await?;
        let (now, owner) = (self.with.clock.now(), self.with.owner);
        let mut tx = Tx::new(connection, now, owner, self.unclaimed_from);
        query("BEGIN IMMEDIATE").execute(tx.connection()).await?;
        claim::release(&mut tx, orphans).await?;
        let begun = template::run_templates(&mut tx, batch).await.map_err(Failure::Job)?;
        for (job, rows) in batch.iter_mut().zip(begun) {
            job.run(rows, &mut tx).await.map_err(Failure::Job)?;
        }
        query("COMMIT").execute(tx.connection()).await?;
        let Tx { unclaimed_from, written, trips, .. } = tx;
        self.unclaimed_from = unclaimed_from;
        let has_erased = batch.iter().any(|job| job.has_erased());
        self.after_commit(written, has_erased, trips);
        Ok(())
    }

    /// Counts a transaction, and signals its events to readers.
    fn after_commit(&self, written: Vec<Recorded>, has_erased: bool, trips: u64) {
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        self.counts.trips.fetch_add(trips, Ordering::Relaxed);
        let has_written = !written.is_empty();
        self.with.recent.add(written);
        if has_erased {
            self.with.recent.clear();
        }
        if has_written {
            self.with.wake.send_replace(());
        }
    }

    async fn try_emptying(&mut self, wait: Duration) -> sqlx::Result<bool> {
        let connection = connected(&mut self.connection, &self.with.files).await?;
        let is_empty = files::empty_wal(connection, wait).await;
        if is_empty.is_err() {
            self.connection = None;
        }
        is_empty
    }
}

/// The writer's connection, opened if there is none.
async fn connected<'a>(
    connection: &'a mut Option<SqliteConnection>,
    files: &Files,
) -> sqlx::Result<&'a mut SqliteConnection> {
    Ok(match connection {
        Some(connection) => connection,
        none => none.insert(files.connect().await?),
    })
}
