//! The one that writes: takes whatever waits, commits it in one transaction, then answers.
//!
//! It knows nothing of what it writes: an [`Operation`] brings its own statements. An operation
//! that fails is tried once more alone, so that it takes none of its neighbours with it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection, SqliteConnection, query};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time,
};
use uuid::Uuid;

use crate::{
    clock::Clock,
    journal::{
        Claim, Error,
        answer::{self, Orphans},
        recent::Recent,
        sqlite::{
            claim,
            files::{self, Files},
            lock::Lock,
            operation::{self, Job, Operation, Tx},
            template,
        },
    },
    outage::{self, Outage},
};

/// The most operations in one transaction. More gain no speed, and keep the first one waiting.
const BATCH_MAX: usize = 128;

/// The most operations that wait; whoever brings more waits for room.
const WAITING_MAX: usize = 1024;

/// When emptying the WAL is tried again that a reader stood in the way of.
const EMPTYING_RETRY: Duration = Duration::from_secs(1);

/// Brings operations to the writer. Lives as long as the journal.
pub(super) struct Handle {
    messages: mpsc::Sender<Message>,
    orphans: Arc<Orphans>,
    commits: Arc<AtomicU64>,
    fails: Arc<AtomicBool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Job(Box<dyn Job>),
    Close,
}

struct Writer {
    files: Files,
    clock: Clock,
    owner: i64,
    /// None after a failure that may have broken it: the next batch connects anew.
    connection: Option<SqliteConnection>,
    unclaimed_from: Option<Uuid>,
    /// Whether the WAL may still hold what was erased.
    must_empty: bool,
    /// Of emptying it.
    emptying: Outage,
    orphans: Arc<Orphans>,
    commits: Arc<AtomicU64>,
    /// Whether the store failed at the last transaction.
    fails: Arc<AtomicBool>,
    recent: Arc<Recent>,
    wake: watch::Sender<()>,
    /// Held until the last connection is closed.
    _lock: Lock,
}

/// Why a transaction was not committed.
enum Failure {
    /// An operation failed: the others are not to blame.
    Operation(Error),
    /// The store failed: none can be written now.
    Store(Error),
}

/// What a writer starts with.
pub(super) struct Start {
    pub files: Files,
    pub clock: Clock,
    pub owner: i64,
    pub connection: SqliteConnection,
    pub recent: Arc<Recent>,
    pub wake: watch::Sender<()>,
    pub lock: Lock,
}

impl Handle {
    /// Starts the writer's task.
    #[expect(clippy::disallowed_methods, reason = "the handle holds it, and close joins it")]
    pub(super) fn spawn(start: Start) -> Self {
        let (messages, waiting) = mpsc::channel(WAITING_MAX);
        let (orphans, commits) = (Arc::default(), Arc::default());
        let fails = Arc::<AtomicBool>::default();
        let writer = Writer {
            files: start.files,
            emptying: Outage::new("emptying the WAL of what was erased", start.clock.clone()),
            clock: start.clock,
            owner: start.owner,
            connection: Some(start.connection),
            unclaimed_from: Some(Uuid::nil()),
            must_empty: false,
            orphans: Arc::clone(&orphans),
            commits: Arc::clone(&commits),
            fails: Arc::clone(&fails),
            recent: start.recent,
            wake: start.wake,
            _lock: start.lock,
        };
        let task = Mutex::new(Some(tokio::spawn(writer.run(waiting))));
        Self { messages, orphans, commits, fails, task }
    }

    /// Has an operation written, and returns once it is durable.
    pub(super) async fn ask<O: Operation>(&self, operation: O) -> Result<O::Outcome, Error> {
        let (job, answer) = operation::asked(operation, &self.orphans);
        self.messages.send(Message::Job(job)).await.map_err(|_| answer::closed())?;
        answer.wait().await
    }

    /// How many transactions have been committed.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Whether the store failed at the last transaction: a disk that is full, for instance.
    pub(super) fn fails(&self) -> bool {
        self.fails.load(Ordering::Relaxed)
    }

    /// Whether it still takes operations.
    pub(super) fn is_open(&self) -> bool {
        !self.messages.is_closed()
    }

    /// Has everything written that waits, and returns once the file is closed.
    pub(super) async fn close(&self) {
        // An error means that it has stopped by itself: there is nothing left to tell it.
        let _ = self.messages.send(Message::Close).await;
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && task.await.is_err()
        {
            // Its panic was told as it happened.
            tracing::error!("the journal's writer died");
        }
    }
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH_MAX);
        while self.take(&mut waiting, &mut messages).await {
            let mut batch = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Job(job) => batch.push(job),
                    // What waits already is still taken.
                    Message::Close => waiting.close(),
                }
            }
            if batch.is_empty() {
                self.empty_wal().await;
            } else {
                self.write(batch).await;
            }
        }
        self.finish().await;
    }

    /// Waits for messages; false when there will be none any more.
    async fn take(
        &self,
        waiting: &mut mpsc::Receiver<Message>,
        messages: &mut Vec<Message>,
    ) -> bool {
        let taking = waiting.recv_many(messages, BATCH_MAX);
        if !self.must_empty {
            return taking.await > 0;
        }
        match time::timeout(EMPTYING_RETRY, taking).await {
            Ok(taken) => taken > 0,
            Err(_) => true,
        }
    }

    /// Writes a batch and answers it; one by one if one of them failed.
    async fn write(&mut self, mut batch: Vec<Box<dyn Job>>) {
        match self.commit(&mut batch).await {
            Err(Failure::Operation(_)) if batch.len() > 1 => {
                for job in batch {
                    self.write_alone(job).await;
                }
            }
            committed => self.answer(batch, committed).await,
        }
    }

    async fn write_alone(&mut self, job: Box<dyn Job>) {
        let mut batch = vec![job];
        let committed = self.commit(&mut batch).await;
        self.answer(batch, committed).await;
    }

    async fn answer(&mut self, batch: Vec<Box<dyn Job>>, committed: Result<(), Failure>) {
        self.empty_wal().await;
        let committed = committed.map_err(Failure::into_error);
        for job in batch {
            job.answer(committed.clone());
        }
    }

    /// Runs a batch in one transaction. Whatever goes wrong, nothing of it is left.
    async fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), Failure> {
        let orphans = self.orphans.take();
        let committed = self.transact(&orphans, batch).await;
        self.note(&committed);
        if committed.is_err() {
            self.recent.forget();
            self.orphans.add(orphans);
            self.roll_back().await;
        }
        committed
    }

    /// Keeps in mind whether commits succeed, and tells when that changes.
    fn note(&self, committed: &Result<(), Failure>) {
        let failure = match committed {
            Ok(()) => None,
            Err(Failure::Operation(error) | Failure::Store(error)) => match error {
                Error::Unavailable(source) => Some(source),
                // Nothing is wrong with the store, but with what was to be written.
                Error::Refused(_) | Error::Corrupt(_) => return,
            },
        };
        let failed_before = self.fails.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(source) if !failed_before => {
                tracing::error!(error = %source, "commits fail: nothing new is accepted");
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
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.files.connect().await?),
        };
        query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        let mut tx = Tx {
            connection,
            now: self.clock.now(),
            owner: self.owner,
            unclaimed_from: self.unclaimed_from,
            written: Vec::new(),
            has_erased: false,
        };
        claim::release(&mut tx, orphans).await?;
        let begun = template::begin(&mut tx, batch).await.map_err(Failure::Operation)?;
        for (job, rows) in batch.iter_mut().zip(begun) {
            job.run(rows, &mut tx).await.map_err(Failure::Operation)?;
        }
        query("COMMIT").execute(&mut *tx.connection).await?;
        self.unclaimed_from = tx.unclaimed_from;
        self.must_empty |= tx.has_erased;
        self.commits.fetch_add(1, Ordering::Relaxed);
        let has_written = !tx.written.is_empty();
        self.recent.add(tx.written);
        if tx.has_erased {
            self.recent.clear();
        }
        if has_written {
            self.wake.send_replace(());
        }
        Ok(())
    }

    async fn roll_back(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        // SQLite rolls back by itself after some errors and then refuses to do so again. A new
        // connection is right in that case and in all worse ones.
        if query("ROLLBACK").execute(&mut connection).await.is_ok() {
            self.connection = Some(connection);
        }
    }

    /// Moves the WAL into the database and cuts it off, if it may hold what was erased.
    async fn empty_wal(&mut self) {
        if !self.must_empty {
            return;
        }
        let Some(connection) = &mut self.connection else {
            return;
        };
        match files::empty_wal(connection).await {
            Ok(is_empty) => {
                self.must_empty = !is_empty;
                self.emptying.worked();
            }
            Err(error) => self.emptying.failed(&error),
        }
    }

    /// Leaves a file that is whole without its WAL.
    async fn finish(mut self) {
        self.must_empty = true;
        self.empty_wal().await;
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(error = outage::causes(&error), "journal not closed in order");
        }
    }
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Operation(error) | Self::Store(error) => error,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
