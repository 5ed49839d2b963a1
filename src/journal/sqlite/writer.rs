//! The task that writes: it takes the queued operations, commits them in one transaction, then
//! answers.
//!
//! It deliberately knows nothing of what it writes: an [`Operation`] brings its own statements. If
//! an operation fails, each operation of its batch is tried once more alone, so that the failure
//! affects no other.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection, SqliteConnection, query};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use uuid::Uuid;

use crate::{
    clock::Clock,
    domain::Recorded,
    journal::{
        Claim, Error,
        recent::Recent,
        reply::{self, Orphans},
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
    sync::lock,
};

/// The most operations in one transaction. More gain no speed, and delay the first one's reply.
const BATCH_MAX: usize = 128;

/// The most erasures by callers in one transaction: each may read pages of half a dozen indexes
/// from a disk, and all other writes wait for it.
const ERASURES_MAX: usize = 32;

/// The most operations in the queue; further callers wait for a free place.
const QUEUE_MAX: usize = 1024;

/// How long the last try to empty the WAL, at close, waits for readers. It delays no other write.
const LAST_TRY_WAIT: Duration = Duration::from_millis(100);

/// Sends operations to the writer's task. Lives as long as the journal.
pub(super) struct WriterHandle {
    messages: mpsc::Sender<Message>,
    orphans: Arc<Orphans>,
    commits: Arc<AtomicU64>,
    #[cfg(test)]
    trips: Arc<AtomicU64>,
    #[cfg(test)]
    emptying_tries: Arc<AtomicU64>,
    is_failing: Arc<AtomicBool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Job(Box<dyn Job>),
    Close,
}

struct WriterTask {
    files: Files,
    clock: Clock,
    /// Measures waits.
    ticks: Clock,
    owner: i64,
    /// `None` after a failure: the next batch opens a new one.
    connection: Option<SqliteConnection>,
    /// See [`Tx::unclaimed_from`].
    unclaimed_from: Option<Uuid>,
    emptying: Emptying,
    /// Erasures that are left for the next transaction, so that other operations aren't delayed.
    postponed: Vec<Box<dyn Job>>,
    orphans: Arc<Orphans>,
    commits: Arc<AtomicU64>,
    /// Trips to SQLite's thread.
    trips: Arc<AtomicU64>,
    /// Whether the store failed in the last transaction.
    fails: Arc<AtomicBool>,
    recent: Arc<Recent>,
    wake: watch::Sender<()>,
    /// Held until the last connection is closed.
    _lock: Lock,
}

/// Why a transaction was not committed.
pub(super) enum CommitFailure {
    /// An operation failed: the others may succeed without it.
    Operation(Error),
    /// The store failed: no operation can be written now.
    Store(Error),
}

/// What the writer's task starts with.
pub(super) struct WriterSetup {
    pub files: Files,
    pub clock: Clock,
    pub ticks: Clock,
    pub owner: i64,
    pub connection: SqliteConnection,
    pub recent: Arc<Recent>,
    pub wake: watch::Sender<()>,
    pub lock: Lock,
}

impl WriterHandle {
    /// Starts the writer's task.
    #[expect(clippy::disallowed_methods, reason = "the handle holds it, and close joins it")]
    pub(super) fn spawn(start: WriterSetup) -> Self {
        let (messages, waiting) = mpsc::channel(QUEUE_MAX);
        let orphans = Arc::<Orphans>::default();
        let [commits, trips] = [(); 2].map(|()| Arc::<AtomicU64>::default());
        let fails = Arc::<AtomicBool>::default();
        let emptying = Emptying::new(start.clock.clone(), start.ticks.clone());
        #[cfg(test)]
        let emptying_tries = emptying.tries();
        let writer = WriterTask {
            files: start.files,
            clock: start.clock,
            ticks: start.ticks,
            emptying,
            postponed: Vec::new(),
            owner: start.owner,
            connection: Some(start.connection),
            unclaimed_from: Some(Uuid::nil()),
            orphans: Arc::clone(&orphans),
            commits: Arc::clone(&commits),
            trips: Arc::clone(&trips),
            fails: Arc::clone(&fails),
            recent: start.recent,
            wake: start.wake,
            _lock: start.lock,
        };
        let task = Mutex::new(Some(tokio::spawn(writer.run(waiting))));
        Self {
            messages,
            orphans,
            commits,
            #[cfg(test)]
            trips,
            #[cfg(test)]
            emptying_tries,
            is_failing: fails,
            task,
        }
    }

    /// Queues an operation, and returns its outcome once the operation is durable.
    pub(super) async fn submit<O: Operation>(&self, operation: O) -> Result<O::Outcome, Error> {
        let (job, answer) = operation::asked(operation, &self.orphans);
        self.messages.send(Message::Job(job)).await.map_err(|_| reply::closed())?;
        answer.wait().await
    }

    /// How many transactions have been committed.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// How often operations have sent statements to SQLite's thread.
    #[cfg(test)]
    pub(super) fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
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

    /// Whether the task still takes operations.
    pub(super) fn is_open(&self) -> bool {
        !self.messages.is_closed()
    }

    /// Lets the task write the operations in the queue, and returns once the file is closed.
    pub(super) async fn close(&self) {
        // An error means that the task has ended already.
        let _ = self.messages.send(Message::Close).await;
        let task = lock(&self.task).take();
        if let Some(task) = task
            && task.await.is_err()
        {
            // The panic itself was logged as it happened.
            tracing::error!("the journal's writer died");
        }
    }
}

impl WriterTask {
    async fn run(mut self, mut waiting: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH_MAX);
        while self.wait_for_messages(&mut waiting, &mut messages).await {
            let mut batch = std::mem::take(&mut self.postponed);
            for message in messages.drain(..) {
                match message {
                    Message::Job(job) => batch.push(job),
                    // Operations in the queue are still taken.
                    Message::Close => waiting.close(),
                }
            }
            self.postpone(&mut batch);
            if !batch.is_empty() {
                self.write(batch).await;
            }
            self.empty_wal().await;
        }
        self.finish().await;
    }

    /// Waits for messages, or until the WAL is to be emptied; false once no more messages can come.
    async fn wait_for_messages(
        &self,
        waiting: &mut mpsc::Receiver<Message>,
        messages: &mut Vec<Message>,
    ) -> bool {
        // Others are taken while operations are postponed, but no more than there is room for: so
        // postponed operations can't pile up.
        let room = QUEUE_MAX + ERASURES_MAX - self.postponed.len();
        let taking = waiting.recv_many(messages, BATCH_MAX.min(room));
        let until = match self.postponed.is_empty() {
            true => self.emptying.next_try(),
            false => Some(self.ticks.now()),
        };
        let taken = match until {
            Some(until) => self.ticks.before(until, taking).await,
            None => Some(taking.await),
        };
        taken.is_none_or(|taken| taken > 0) || !self.postponed.is_empty()
    }

    /// Leaves erasures beyond [`ERASURES_MAX`] for the next transaction.
    fn postpone(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let mut erasures = 0;
        let is_late = |job: &mut Box<dyn Job>| {
            erasures += usize::from(job.erases());
            job.erases() && erasures > ERASURES_MAX
        };
        self.postponed = batch.extract_if(.., is_late).collect();
    }

    /// Writes a batch and answers it.
    async fn write(&mut self, batch: Vec<Box<dyn Job>>) {
        let rest = match template::shared_template(&batch) {
            Some(template) => self.write_in_one_trip(template, batch).await,
            None => batch,
        };
        if !rest.is_empty() {
            self.write_by_steps(rest).await;
        }
    }

    /// Writes a batch whose operations share one template, in a single trip to SQLite's thread.
    /// Returns the operations that were not written, because the journal isn't in the state that
    /// they expect: a transaction of several trips can find out why.
    async fn write_in_one_trip(
        &mut self,
        template: &'static Template,
        mut batch: Vec<Box<dyn Job>>,
    ) -> Vec<Box<dyn Job>> {
        let orphans = self.orphans.take();
        if !orphans.is_empty() {
            self.orphans.add(orphans);
            return batch;
        }
        let committed = self.transact_in_one_trip(template, &mut batch).await;
        self.drop_connection_if_failed(&committed);
        match committed {
            Ok(rest) => {
                let is_rest = |index: usize| rest.contains(&index);
                let (rest, written): (Vec<_>, Vec<_>) =
                    batch.into_iter().enumerate().partition(|(index, _)| is_rest(*index));
                self.answer(written.into_iter().map(|(_, job)| job).collect(), Ok(()));
                rest.into_iter().map(|(_, job)| job).collect()
            }
            Err(CommitFailure::Operation(_)) if batch.len() > 1 => batch,
            Err(failure) => {
                self.answer(batch, Err(failure));
                Vec::new()
            }
        }
    }

    /// Returns the indexes of the jobs that were not written.
    async fn transact_in_one_trip(
        &mut self,
        template: &'static Template,
        batch: &mut [Box<dyn Job>],
    ) -> Result<Vec<usize>, CommitFailure> {
        let connection = connected(&mut self.connection, &self.files).await?;
        let mut tx = Tx::new(connection, self.clock.now(), self.owner, self.unclaimed_from);
        let rows = template::run_transaction(&mut tx, template, batch).await?;
        let mut rest = Vec::new();
        for ((index, job), rows) in batch.iter_mut().enumerate().zip(rows) {
            match rows.is_empty() {
                true => rest.push(index),
                // The transaction is committed already, so the batch must not be tried again.
                false => job.run(rows, &mut tx).await.map_err(CommitFailure::Store)?,
            }
        }
        let Tx { written, trips, .. } = tx;
        self.after_commit(written, false, trips);
        Ok(rest)
    }

    /// Writes a batch in a transaction of several trips and answers it. If one operation fails,
    /// each is written in a transaction of its own.
    async fn write_by_steps(&mut self, mut batch: Vec<Box<dyn Job>>) {
        match self.commit(&mut batch).await {
            Err(CommitFailure::Operation(_)) if batch.len() > 1 => {
                for job in batch {
                    self.write_alone(job).await;
                }
            }
            committed => self.answer(batch, committed),
        }
    }

    async fn write_alone(&mut self, job: Box<dyn Job>) {
        let mut batch = vec![job];
        let committed = self.commit(&mut batch).await;
        self.answer(batch, committed);
    }

    /// Answers at once, except for erasures: their replies wait for the WAL to be emptied.
    fn answer(&mut self, batch: Vec<Box<dyn Job>>, committed: Result<(), CommitFailure>) {
        let committed = committed.map_err(CommitFailure::into_error);
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

    /// Runs a batch in one transaction. If anything fails, none of it is kept.
    async fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), CommitFailure> {
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
    fn drop_connection_if_failed<T>(&mut self, committed: &Result<T, CommitFailure>) {
        self.note_health(committed);
        if committed.is_err() {
            self.recent.forget();
            self.connection = None;
        }
    }

    /// Notes whether commits succeed, and logs when that changes.
    fn note_health<T>(&self, committed: &Result<T, CommitFailure>) {
        let failure = match committed {
            Ok(_) => None,
            Err(CommitFailure::Operation(error) | CommitFailure::Store(error)) => match error {
                Error::Unavailable(source) => Some(source),
                // The fault is in what was to be written, not in the store.
                Error::Refused(_) | Error::Corrupt(_) => return,
            },
        };
        let failed_before = self.fails.swap(failure.is_some(), Ordering::Relaxed);
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
    ) -> Result<(), CommitFailure> {
        let connection = connected(&mut self.connection, &self.files).await?;
        let mut tx = Tx::new(connection, self.clock.now(), self.owner, self.unclaimed_from);
        query("BEGIN IMMEDIATE").execute(tx.connection()).await?;
        claim::release(&mut tx, orphans).await?;
        let begun =
            template::run_templates(&mut tx, batch).await.map_err(CommitFailure::Operation)?;
        for (job, rows) in batch.iter_mut().zip(begun) {
            job.run(rows, &mut tx).await.map_err(CommitFailure::Operation)?;
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
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.trips.fetch_add(trips, Ordering::Relaxed);
        let has_written = !written.is_empty();
        self.recent.add(written);
        if has_erased {
            self.recent.clear();
        }
        if has_written {
            self.wake.send_replace(());
        }
    }

    /// Empties the WAL if that is due, and answers the callers that waited for it.
    async fn empty_wal(&mut self) {
        if self.emptying.is_due() {
            let is_empty = self.try_emptying(Duration::ZERO).await;
            self.emptying.tried(is_empty.map_err(Error::from));
        }
        self.emptying.answer();
    }

    async fn try_emptying(&mut self, wait: Duration) -> sqlx::Result<bool> {
        let connection = connected(&mut self.connection, &self.files).await?;
        let is_empty = files::empty_wal(connection, wait).await;
        if is_empty.is_err() {
            self.connection = None;
        }
        is_empty
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

impl CommitFailure {
    fn into_error(self) -> Error {
        match self {
            Self::Operation(error) | Self::Store(error) => error,
        }
    }
}

impl From<sqlx::Error> for CommitFailure {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
