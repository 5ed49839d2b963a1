//! The engine that writes to the file: commits a batch of operations in one transaction.
//!
//! It runs in a thread of its own and calls SQLite directly, so that a write costs two thread
//! switches: one to this thread, and one back with the reply. It deliberately knows nothing of what
//! it writes: an [`Operation`] brings its own statements. When batches are formed and tried again,
//! `batch.rs` decides.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::Connection;
use tokio::{sync::watch, time};
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
        },
    },
    outage,
};

/// The most erasures by callers in one transaction: each may read pages of half a dozen indexes
/// from a disk, and all other writes wait for it.
const ERASURES_MAX: usize = 32;

/// From how many operations on that came during a commit the next one is preceded by
/// [`GATHER_PAUSE`], unless they fill it.
const GATHER_FROM: usize = 12;

/// The pause in which more operations gather for the next commit. The timer makes one to two
/// milliseconds of it; a commit takes about one.
const GATHER_PAUSE: Duration = Duration::from_millis(1);

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
    /// Those of the commits that have written an event.
    written: AtomicU64,
}

/// Writes to the file, over one connection.
struct WriterEngine {
    /// `None` after a failure: the next batch opens a new one.
    connection: Option<Connection>,
    /// See [`Tx::unclaimed_from`].
    unclaimed_from: Option<Uuid>,
    emptying: Emptying,
    orphans: Arc<Orphans>,
    counts: Arc<Counts>,
    /// Whether the store has failed in a transaction, and has taken no write since.
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
    /// Starts the writer's thread.
    pub(super) fn spawn(with: WriterSetup, connection: Connection) -> io::Result<Self> {
        let ticks = with.ticks.clone();
        let engine = WriterEngine::new(with, connection);
        let (orphans, counts) = (Arc::clone(&engine.orphans), Arc::clone(&engine.counts));
        let is_failing = Arc::clone(&engine.is_failing);
        #[cfg(test)]
        let emptying_tries = engine.emptying.tries();
        Ok(Self {
            queue: batch::Handle::spawn_thread("journal", engine, ticks, orphans)?,
            counts,
            is_failing,
            #[cfg(test)]
            emptying_tries,
        })
    }

    /// Queues an operation, and returns its outcome once the operation is durable.
    pub(super) async fn submit<O: Operation>(&self, operation: O) -> Result<O::Outcome, Error> {
        self.queue.send(|reply| operation::asked(operation, reply)).await
    }

    /// How many transactions have been committed.
    pub(super) fn commits(&self) -> u64 {
        self.counts.commits.load(Ordering::Relaxed)
    }

    /// How often emptying the WAL was tried.
    #[cfg(test)]
    pub(super) fn emptying_tries(&self) -> u64 {
        self.emptying_tries.load(Ordering::Relaxed)
    }

    /// How many transactions have written an event.
    pub(super) fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    /// Whether the store has failed in a transaction and has taken no write since: because the disk
    /// is full, for instance.
    pub(super) fn fails(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Notes that the store has taken a write.
    pub(super) fn took_write(&self) {
        took_write(&self.is_failing);
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

    /// Commits a batch. If anything fails, none of it is kept.
    async fn commit(&mut self, batch: &mut Vec<Box<dyn Job>>) -> Result<(), Failure> {
        let orphans = self.orphans.take();
        let committed = self.transact(&orphans, batch);
        if let Err(failure) = &committed {
            self.note_failure(failure);
            self.with.recent.forget();
            // SQLite rolls back as it closes the connection.
            self.connection = None;
            self.orphans.add(orphans);
        }
        committed
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
            let is_empty = self.try_emptying(Duration::ZERO);
            self.emptying.tried(is_empty.map_err(Error::from));
        }
        self.emptying.answer();
    }

    /// A commit costs nearly the same however much is in it. While few write, each write is
    /// committed at once; while many do, they wait for each other a little.
    ///
    /// What came during a commit shows how many write. The size of the last batch would not: a
    /// pause makes the next batch larger, so that half the load would be enough to keep it up.
    async fn gather(&mut self, waiting: usize) {
        if (GATHER_FROM..batch::BATCH_MAX).contains(&waiting) {
            time::sleep(GATHER_PAUSE).await;
        }
    }

    /// Leaves one file that is complete without its WAL, unless a reader blocks the last try.
    async fn finish(mut self) {
        let is_empty = self.try_emptying(LAST_TRY_WAIT);
        self.emptying.tried(is_empty.map_err(Error::from));
        self.emptying.answer_all();
        if let Some(connection) = self.connection.take()
            && let Err((_, error)) = connection.close()
        {
            tracing::warn!(error = outage::causes(&error), "journal not closed cleanly");
        }
    }
}

impl WriterEngine {
    fn new(with: WriterSetup, connection: Connection) -> Self {
        Self {
            connection: Some(connection),
            unclaimed_from: Some(Uuid::nil()),
            emptying: Emptying::new(with.clock.clone(), with.ticks.clone()),
            orphans: Arc::default(),
            counts: Arc::default(),
            is_failing: Arc::default(),
            with,
        }
    }

    /// Notes that commits fail, and logs when that begins.
    fn note_failure(&self, failure: &Failure) {
        let (Failure::Job(error) | Failure::Store(error)) = failure;
        match error {
            Error::Unavailable(source) => {
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(error = %source, "commits fail: new matches are refused");
                }
            }
            // The fault is in what was to be written, not in the store.
            Error::Refused(_) | Error::Corrupt(_) => {}
        }
    }

    fn transact(&mut self, orphans: &[Claim], batch: &mut [Box<dyn Job>]) -> Result<(), Failure> {
        let connection = connected(&mut self.connection, &self.with.files)?;
        let mut tx = Tx {
            connection,
            now: self.with.clock.now(),
            owner: self.with.owner,
            unclaimed_from: self.unclaimed_from,
            written: Vec::with_capacity(batch.len()),
        };
        tx.execute("BEGIN IMMEDIATE", [])?;
        claim::release(&mut tx, orphans)?;
        for job in batch.iter_mut() {
            job.run(&mut tx).map_err(Failure::Job)?;
        }
        tx.execute("COMMIT", [])?;
        let Tx { unclaimed_from, written, .. } = tx;
        self.unclaimed_from = unclaimed_from;
        let has_erased = batch.iter().any(|job| job.has_erased());
        self.after_commit(written, has_erased);
        Ok(())
    }

    /// Counts a transaction, and signals its events to readers.
    fn after_commit(&self, written: Vec<Recorded>, has_erased: bool) {
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        let has_written = !written.is_empty();
        // A transaction that had nothing to write succeeds on a full disk, too.
        if has_written {
            self.counts.written.fetch_add(1, Ordering::Relaxed);
            took_write(&self.is_failing);
        }
        self.with.recent.add(written);
        if has_erased {
            self.with.recent.clear();
        }
        if has_written {
            self.with.wake.send_replace(());
        }
    }

    fn try_emptying(&mut self, wait: Duration) -> rusqlite::Result<bool> {
        let connection = connected(&mut self.connection, &self.with.files)?;
        let is_empty = files::empty_wal(connection, wait);
        if is_empty.is_err() {
            self.connection = None;
        }
        is_empty
    }
}

/// Notes that the store has taken a write, and logs if writes failed before.
fn took_write(is_failing: &AtomicBool) {
    if is_failing.load(Ordering::Relaxed) && is_failing.swap(false, Ordering::Relaxed) {
        tracing::info!("commits succeed again");
    }
}

/// The writer's connection, opened if there is none.
fn connected<'a>(
    connection: &'a mut Option<Connection>,
    files: &Files,
) -> rusqlite::Result<&'a Connection> {
    Ok(match connection {
        Some(connection) => connection,
        none => none.insert(files.writer()?),
    })
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::journal::sqlite::lock;

    #[tokio::test]
    async fn writes_gather_only_while_many_come_and_do_not_fill_the_next_commit() {
        let folder = tempfile::tempdir().unwrap();
        let lock = lock::take(&folder.path().join("facematch.db.lock")).unwrap().unwrap();
        let files = Files::new(folder.path().join("facematch.db"));
        files.create().unwrap();
        let connection = files.writer().unwrap();
        let setup = WriterSetup {
            files,
            clock: Clock::system(),
            ticks: Clock::system().steady(),
            owner: 1,
            recent: Arc::default(),
            wake: watch::Sender::new(()),
            _lock: lock,
        };
        let mut engine = WriterEngine::new(setup, connection);
        let mut gathers = |waiting| engine.gather(waiting).now_or_never().is_none();
        let full = batch::BATCH_MAX;
        let cases = [0, GATHER_FROM - 1, GATHER_FROM, full - 1, full].map(&mut gathers);
        assert_eq!(cases, [false, false, true, true, false]);
    }
}
