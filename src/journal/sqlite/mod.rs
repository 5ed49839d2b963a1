//! The journal in one SQLite file, for one process.
//!
//! One thread writes, over one connection, by rusqlite. Look-ups read over a few connections of
//! their own, by sqlx, whose pools run reads beside each other; followers, lists and health checks
//! have separate ones, so that they delay nothing else. It deliberately knows no leases: a lock
//! beside the file keeps every other process out, so this process can take what a former process
//! held at once.

mod append;
mod claim;
mod emptying;
mod enlist;
mod erase;
mod files;
mod hold;
mod lists;
mod lock;
mod operation;
mod parts;
mod paths;
mod preview;
mod probe;
mod reader;
mod rows;
mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    io,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode};
use sqlx::{SqlitePool, error::DatabaseError, sqlite::SqliteError};
use tokio::{sync::watch, task};

pub use preview::preview;

use crate::{
    clock::Clock,
    domain::{AnalysisId, Event, Match, MatchId, Sequence, Spec, TenantId},
    journal::{
        Admitted, Appended, CancelledAs, Chore, Claim, ClaimStatus, Erased, Erasures, Error,
        FOLLOWERS, Feed, Fleet, Handles, Identity, Key, Keys, Listener, Origin, Takeover, Writer,
        recent::Recent,
        sqlite::{
            files::Files,
            hold::RetentionHold,
            lists::Lists,
            lock::Lock,
            operation::Operation,
            parts::{Part, PartSize},
            probe::Proof,
            schema::Found,
        },
        stored,
    },
    metrics::JournalMetrics,
};

/// The default of [`Config::readers`]: more than a small machine has cores. Each costs a thread and
/// a cache of at most 2 MiB.
pub const READERS: u32 = 4;

/// Where the journal's file is, and what the journal needs to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database file; created if it doesn't exist.
    pub path: PathBuf,
    /// Stamps events, and tells when a match has expired.
    pub clock: Clock,
    /// Measures how long the writer waits and works. Separate from `clock`, so that a test that
    /// moves `clock` leaves the machine's own time here.
    pub ticks: Clock,
    /// How many reads run at once.
    pub readers: u32,
}

/// Why a file can't be used as a journal. Each message is one line that is to follow `--store: `.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the file's lock.
    #[error("sqlite:{} is in use by another process", path.display())]
    InUse {
        /// The path, as configured.
        path: PathBuf,
    },
    /// A newer version of the program made the file.
    #[error("sqlite:{} was made by a newer version (schema {found}, this is {known})", path.display())]
    Newer {
        /// The path, as configured.
        path: PathBuf,
        /// The file's schema version.
        found: usize,
        /// The newest schema version that this program knows.
        known: usize,
    },
    /// The file is something other than a FaceMatch journal.
    #[error("sqlite:{} is not a FaceMatch journal", path.display())]
    NotAJournal {
        /// The path, as configured.
        path: PathBuf,
    },
    /// The lock file can't be opened, for instance because it belongs to another user.
    #[error("the lock file {} can't be opened: {source}", path.display())]
    Lock {
        /// The path of the lock file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file or its folder can't be created or opened, or something other than a regular file
    /// lies there.
    #[error("sqlite:{} can't be opened: {source}", path.display())]
    Inaccessible {
        /// The path, as configured.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// SQLite fails on the file.
    #[error("sqlite:{} can't be used: {source}", path.display())]
    Unusable {
        /// The path, as configured.
        path: PathBuf,
        /// SQLite's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A journal in a SQLite file. Clones are handles to the same journal.
#[derive(Clone)]
pub struct Sqlite(Arc<Shared>);

struct Shared {
    writer: writer::WriterHandle,
    recent: Arc<Recent>,
    readers: SqlitePool,
    /// For followers of all matches, so that they and look-ups never wait for each other.
    followers: SqlitePool,
    lists: Lists,
    /// For health checks alone, so that no other read delays them.
    health: SqlitePool,
    write_proof: Proof,
    identity: Identity,
    wake: watch::Sender<()>,
    erasing: Arc<PartSize>,
    hold: RetentionHold,
    enlisting: Arc<PartSize>,
    /// Always one replica: this process.
    fleet: watch::Sender<Fleet>,
    /// To measure them.
    files: Files,
}

impl Sqlite {
    /// Opens the journal, creating it if there is none, and begins a new incarnation. No other
    /// process can open it until [`Sqlite::close`].
    ///
    /// # Errors
    /// [`OpenError`] if the file can't be used.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let (path, readers) = (config.path.clone(), config.readers);
        let unusable = |source: sqlx::Error| unusable(&path, source);
        let (clock, ticks) = (config.clock.clone(), config.ticks.clone());
        let opening = task::spawn_blocking(move || Opened::open(&config));
        let opened = opening.await.unwrap_or_else(|died| resume_unwind(died.into_panic()))?;
        let Opened { files, lock, connection, origin, keys, hold } = opened;
        let measured = files.clone();
        let readers = files.readers(readers).await.map_err(unusable)?;
        let followers = files.readers(FOLLOWERS).await.map_err(unusable)?;
        let health = files.readers(1).await.map_err(unusable)?;
        let lists = Lists::new(files.clone());
        let write_proof = Proof::new(ticks.steady());
        let (recent, wake) = (Arc::<Recent>::default(), watch::Sender::new(()));
        let [erasing, enlisting] = [(); 2].map(|()| Arc::new(PartSize::new(ticks.clone())));
        let writer = writer::WriterSetup {
            files,
            clock,
            ticks,
            owner: origin.incarnation.cast_signed(),
            recent: Arc::clone(&recent),
            wake: wake.clone(),
            _lock: lock,
        };
        let writer = writer::WriterHandle::spawn(writer, connection)
            .map_err(|source| OpenError::Inaccessible { path: path.clone(), source })?;
        let fleet = watch::Sender::new(Fleet { alive: 1 });
        Ok(Self(Arc::new(Shared {
            writer,
            recent,
            readers,
            followers,
            lists,
            health,
            write_proof,
            identity: Identity { origin, keys, has_one_writer: true },
            wake,
            erasing,
            hold,
            enlisting,
            fleet,
            files: measured,
        })))
    }

    /// The journal for its users.
    pub fn handles(&self) -> Handles {
        let feed = Feed {
            reader: Arc::new(self.clone()),
            identity: self.0.identity.clone(),
            wake: self.0.wake.subscribe(),
            // There is no other replica that could erase a match.
            erased: Erasures::default(),
        };
        Handles { writer: Arc::new(self.clone()), feed, fleet: self.0.fleet.subscribe() }
    }

    /// Writes the queued operations, empties the WAL and closes the file. Later calls that need the
    /// file fail as unavailable, on every clone.
    pub async fn close(self) {
        self.0.lists.close().await;
        self.0.health.close().await;
        self.0.followers.close().await;
        self.0.readers.close().await;
        self.0.writer.queue.close().await;
    }

    async fn erase_expired(&self, limit: usize) -> Result<usize, Error> {
        let (parts, hold) = (&self.0.erasing, &self.0.hold);
        if let Some(note) = hold.due() {
            hold.noted(self.0.writer.submit(note).await?);
        }
        if hold.is_on() {
            return Ok(0);
        }
        self.by_parts(limit, |limit| erase::EraseExpired { limit, parts: Arc::clone(parts) }).await
    }

    async fn enlist(&self, limit: usize) -> Result<usize, Error> {
        let parts = &self.0.enlisting;
        self.by_parts(limit, |limit| enlist::Enlist { limit, parts: Arc::clone(parts) }).await
    }

    /// Does up to `limit` units of work, part by part, so that other writes come in between.
    async fn by_parts<O: Operation<Outcome = Part>>(
        &self,
        limit: usize,
        part: impl Fn(usize) -> O + Send,
    ) -> Result<usize, Error> {
        let mut done = 0;
        loop {
            let part = self.0.writer.submit(part(limit - done)).await?;
            done += part.done;
            if part.is_last {
                return Ok(done);
            }
        }
    }

    /// What the writer counts.
    pub fn metrics(&self) -> &JournalMetrics {
        self.0.writer.queue.metrics()
    }

    /// The bytes of the file and of its WAL.
    pub fn bytes(&self) -> u64 {
        self.0.files.bytes()
    }

    /// How many transactions have been committed since the journal was opened.
    pub fn commits(&self) -> u64 {
        self.0.writer.commits()
    }
}

/// A file that is opened and of this version, before its readers are.
struct Opened {
    files: Files,
    connection: Connection,
    origin: Origin,
    keys: Keys,
    hold: RetentionHold,
    /// The last field, since it is dropped after the connection.
    lock: Lock,
}

impl Opened {
    /// Blocks on the file.
    fn open(config: &Config) -> Result<Self, OpenError> {
        let inaccessible = |source| OpenError::Inaccessible { path: config.path.clone(), source };
        let database = paths::resolved(&config.path).map_err(inaccessible)?;
        let lock_file = paths::beside(&database, ".lock");
        let untaken = |source| OpenError::Lock { path: lock_file.clone(), source };
        let Some(lock) = lock::take(&lock_file).map_err(untaken)? else {
            return Err(OpenError::InUse { path: config.path.clone() });
        };
        paths::check(&database).map_err(inaccessible)?;
        let files = Files::new(config.path.clone());
        files.create().map_err(inaccessible)?;
        let unusable = |source: rusqlite::Error| unusable(&config.path, source);
        let version = inspect(&files)?;
        paths::restrict_all(&database);
        let mut connection = files.writer().map_err(unusable)?;
        let now = config.clock.now();
        let (origin, keys) = schema::prepare(&mut connection, version, now).map_err(unusable)?;
        let hold = RetentionHold::open(&connection, &config.clock).map_err(unusable)?;
        Ok(Self { files, connection, origin, keys, hold, lock })
    }
}

fn unusable(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OpenError {
    OpenError::Unusable { path: path.to_owned(), source: source.into() }
}

/// The file's schema version, zero if the file is empty.
fn inspect(files: &Files) -> Result<usize, OpenError> {
    let path = files.path().to_owned();
    let found = files.look().and_then(|connection| schema::inspect(&connection));
    match found {
        Ok(Found::Ours { version }) => Ok(version),
        Ok(Found::Newer { version }) => {
            Err(OpenError::Newer { path, found: version, known: schema::VERSION })
        }
        Ok(Found::Foreign) => Err(OpenError::NotAJournal { path }),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(OpenError::NotAJournal { path })
        }
        Err(source) => Err(unusable(&path, source)),
    }
}

/// SQLite's codes for a value that it refuses for good: too large (18), of the wrong type (20,
/// 3091), or against a constraint of its table (275, 1299). The same statement fails the same way
/// every time.
const REFUSALS: [i32; 5] = [18, 20, 275, 1299, 3091];

/// Whether SQLite refuses a value for good.
pub(super) fn is_permanent(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref());
    let code = error.and_then(|error: &SqliteError| error.code());
    code.and_then(|code| code.parse().ok()).is_some_and(|code| REFUSALS.contains(&code))
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map(|error| error.extended_code);
        match code.is_some_and(|code| REFUSALS.contains(&code)) {
            true => Self::Refused(Arc::new(error)),
            false => Self::Unavailable(Arc::new(error)),
        }
    }
}

#[async_trait]
impl Writer for Sqlite {
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error> {
        let body = stored::body(&Event::Accepted(Arc::clone(&spec)));
        self.0.writer.submit(append::Admit { match_id, spec, body }).await
    }

    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error> {
        let body = stored::body(&event);
        self.0.writer.submit(append::Append { claim, after, event, body }).await
    }

    async fn cancel(
        &self,
        tenant: &TenantId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error> {
        let (tenant, key) = (tenant.clone(), key.clone());
        self.0.writer.submit(append::Cancel { tenant, key, keep }).await
    }

    async fn erase(&self, tenant: &TenantId, match_id: MatchId) -> Result<Erased, Error> {
        self.0.writer.submit(erase::EraseOne { tenant: tenant.clone(), match_id }).await
    }

    async fn tidy(&self, chore: Chore, limit: usize) -> Result<usize, Error> {
        match chore {
            Chore::EraseExpired => self.erase_expired(limit).await,
            Chore::Enlist => self.enlist(limit).await,
        }
    }

    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error> {
        self.0.writer.submit(claim::ClaimSome { limit }).await
    }

    async fn take(&self, match_id: MatchId, _has_photo: bool) -> Result<Takeover, Error> {
        self.0.writer.submit(claim::TakeOne { match_id }).await
    }

    // There is no other replica to lend a claim to, or to leave one to. The next process takes what
    // this one held, however this one ended.

    async fn takeable(&self, matches: &[MatchId]) -> Result<Vec<MatchId>, Error> {
        Ok(matches.to_vec())
    }

    fn listen(&self, ear: Listener) {
        self.0.recent.hear(ear);
    }

    async fn confirm(&self, claim: Claim) -> Result<Option<Claim>, Error> {
        Ok(Some(claim))
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<(), Error> {
        self.0.writer.submit(claim::Release { claims }).await
    }

    async fn leave(&self) {}

    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        self.others_own(match_id, analyses).await
    }

    // No other process can have taken a claim that this process holds.
    fn claim_status(&self, _claim: Claim) -> ClaimStatus {
        if self.0.writer.queue.is_open() { ClaimStatus::Held } else { ClaimStatus::Lost }
    }
}
