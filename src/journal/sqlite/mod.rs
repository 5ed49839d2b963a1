//! The journal in one SQLite file, for one process.
//!
//! One task writes, over one connection; everything else reads, over a few of its own, lists and
//! health over others that nothing else waits for. It
//! deliberately knows no leases: a lock beside the file keeps every other process out, so what a
//! former process held is this one's to take at once.

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
mod probe;
mod reader;
mod rows;
mod schema;
mod statements;
mod template;
#[cfg(test)]
mod tests;
mod writer;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{Connection, SqlitePool, error::DatabaseError, sqlite::SqliteError};
use tokio::sync::watch;

use crate::{
    clock::Clock,
    domain::{AnalysisId, CallerId, Event, Match, MatchId, Sequence, Spec},
    journal::{
        Admitted, Appended, CancelledAs, Claim, ClaimStatus, Ear, Erased, Error, FOLLOWERS, Fleet,
        Key, Keys, Origin, Takeover, Writer,
        recent::Recent,
        sqlite::{
            files::Files,
            hold::RetentionHold,
            lists::Lists,
            operation::Operation,
            parts::{Part, PartSize},
            schema::Found,
        },
        stored,
    },
};

/// How many reads run at once unless a [`Config`] says otherwise: more than a small machine has
/// cores, and each costs a thread and a cache of 2 MiB at most.
pub const READERS: u32 = 4;

/// Where the journal lies and what it needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database file; made if it doesn't exist.
    pub path: PathBuf,
    /// Stamps events.
    pub clock: Clock,
    /// Measures how long the writer waits and works: the machine's own time, also where a test moves
    /// the other.
    pub ticks: Clock,
    /// How many reads run at once.
    pub readers: u32,
}

/// Why a file can't be used as a journal. Each is one line that makes sense after `--store: `.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("sqlite:{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It needs a newer program.
    #[error("sqlite:{} was made by a newer version (schema {found}, this is {known})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The newest version that this program knows.
        known: usize,
    },
    /// It holds something else.
    #[error("sqlite:{} is not a FaceMatch journal", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// Its lock can't be taken: another user's, for instance.
    #[error("the lock file {} can't be opened: {source}", path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file or its folder can't be made or opened.
    #[error("sqlite:{} can't be opened: {source}", path.display())]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// SQLite can't work with it.
    #[error("sqlite:{} can't be used: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: sqlx::Error,
    },
}

/// A journal in a SQLite file. Clones are handles to the same journal.
#[derive(Clone)]
pub struct Sqlite(Arc<Shared>);

struct Shared {
    writer: writer::WriterHandle,
    recent: Arc<Recent>,
    readers: SqlitePool,
    /// For those who follow all matches: no look-up waits for them, and they wait for no look-up.
    followers: SqlitePool,
    lists: Lists,
    /// For health alone: no read keeps it waiting.
    health: SqlitePool,
    origin: Origin,
    keys: Keys,
    wake: watch::Sender<()>,
    erasing: Arc<PartSize>,
    hold: RetentionHold,
    enlisting: Arc<PartSize>,
    /// This process alone, always.
    fleet: watch::Sender<Fleet>,
}

impl Sqlite {
    /// Opens a journal, made if there is none, and begins a new incarnation. The file is this
    /// process's alone until [`Sqlite::close`].
    ///
    /// # Errors
    /// [`OpenError`] if the file can't be used.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let inaccessible = |source| OpenError::Inaccessible { path: config.path.clone(), source };
        let database = paths::resolved(&config.path).map_err(inaccessible)?;
        let lock_file = paths::beside(&database, ".lock");
        let untaken = |source| OpenError::Lock { path: lock_file.clone(), source };
        let Some(lock) = lock::take(&lock_file).map_err(untaken)? else {
            return Err(OpenError::InUse { path: config.path });
        };
        paths::check(&database).map_err(inaccessible)?;
        let files = Files::new(config.path.clone());
        files.create().map_err(inaccessible)?;
        let unusable = |source| OpenError::Unusable { path: config.path.clone(), source };
        let version = inspect(&files).await?;
        paths::narrow_all(&database);
        let mut connection = files.connect().await.map_err(unusable)?;
        let now = config.clock.now();
        let (origin, keys) =
            schema::prepare(&mut connection, version, now).await.map_err(unusable)?;
        let hold = RetentionHold::open(&mut connection, &config.clock).await.map_err(unusable)?;
        let readers = files.readers(config.readers).await.map_err(unusable)?;
        let followers = files.readers(FOLLOWERS).await.map_err(unusable)?;
        let health = files.readers(1).await.map_err(unusable)?;
        let lists = Lists::new(files.clone());
        let (recent, wake) = (Arc::<Recent>::default(), watch::Sender::new(()));
        let [erasing, enlisting] = [(); 2].map(|()| Arc::new(PartSize::new(config.ticks.clone())));
        let writer = writer::WriterHandle::spawn(writer::WriterSetup {
            files,
            clock: config.clock,
            ticks: config.ticks,
            owner: origin.incarnation.cast_signed(),
            connection,
            recent: Arc::clone(&recent),
            wake: wake.clone(),
            lock,
        });
        let fleet = watch::Sender::new(Fleet { alive: 1 });
        Ok(Self(Arc::new(Shared {
            writer,
            recent,
            readers,
            followers,
            lists,
            health,
            origin,
            keys,
            wake,
            erasing,
            hold,
            enlisting,
            fleet,
        })))
    }

    /// Writes what waits, empties the WAL and lets go of the file. Whatever is asked of the
    /// journal or its clones afterwards fails as unavailable.
    pub async fn close(self) {
        self.0.lists.close().await;
        self.0.health.close().await;
        self.0.followers.close().await;
        self.0.readers.close().await;
        self.0.writer.close().await;
    }

    /// Does up to so much, part by part: what others write comes in between.
    async fn by_parts<O: Operation<Outcome = Part>>(
        &self,
        limit: usize,
        part: impl Fn(usize) -> O + Send,
    ) -> Result<usize, Error> {
        let mut done = 0;
        loop {
            let part = self.0.writer.ask(part(limit - done)).await?;
            done += part.done;
            if part.is_last {
                return Ok(done);
            }
        }
    }

    /// How many transactions have been committed since it was opened.
    pub fn commits(&self) -> u64 {
        self.0.writer.commits()
    }
}

/// The version of the schema that the file has, zero for none.
async fn inspect(files: &Files) -> Result<usize, OpenError> {
    let path = files.path().to_owned();
    let found = async {
        let mut connection = files.look().await?;
        let found = schema::inspect(&mut connection).await?;
        connection.close().await?;
        Ok(found)
    };
    match found.await {
        Ok(Found::Ours { version }) => Ok(version),
        Ok(Found::Newer { version }) => {
            Err(OpenError::Newer { path, found: version, known: schema::VERSION })
        }
        Ok(Found::Foreign) => Err(OpenError::NotAJournal { path }),
        Err(error) if is_no_database(&error) => Err(OpenError::NotAJournal { path }),
        Err(source) => Err(OpenError::Unusable { path, source }),
    }
}

/// SQLite's error 26, `SQLITE_NOTADB`.
fn is_no_database(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "26")
}

/// Whether SQLite refuses what was to be written for good: a value too large (18), of the wrong type
/// (20, 3091), or against a rule of its table (275, 1299). The same statement fails the same way for
/// ever.
pub(super) fn is_permanent(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref());
    let code = error.and_then(|error: &SqliteError| error.code());
    code.is_some_and(|code| ["18", "20", "275", "1299", "3091"].contains(&&*code))
}

#[async_trait]
impl Writer for Sqlite {
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error> {
        let body = stored::body(&Event::Accepted(Arc::clone(&spec)));
        let labels = serde_json::to_string(&spec.labels).expect("labels are plain text");
        self.0.writer.ask(append::Admit { match_id, spec, body, labels }).await
    }

    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error> {
        let body = stored::body(&event);
        self.0.writer.ask(append::Append { claim, after, event, body }).await
    }

    async fn cancel(
        &self,
        caller: &CallerId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error> {
        let (caller, key) = (caller.clone(), key.clone());
        self.0.writer.ask(append::Cancel { caller, key, keep }).await
    }

    async fn erase(&self, caller: &CallerId, match_id: MatchId) -> Result<Erased, Error> {
        self.0.writer.ask(erase::EraseOne { caller: caller.clone(), match_id }).await
    }

    async fn erase_expired(&self, limit: usize) -> Result<usize, Error> {
        let (parts, hold) = (&self.0.erasing, &self.0.hold);
        if let Some(note) = hold.due() {
            hold.noted(self.0.writer.ask(note).await?);
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

    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error> {
        self.0.writer.ask(claim::ClaimSome { limit }).await
    }

    async fn take(&self, match_id: MatchId, _has_photo: bool) -> Result<Takeover, Error> {
        self.0.writer.ask(claim::TakeOne { match_id }).await
    }

    // There is nobody to whom anything could be lent, or who would go on with it: the next process
    // takes what this one held, however it went.

    async fn takeable(&self, matches: &[MatchId]) -> Result<Vec<MatchId>, Error> {
        Ok(matches.to_vec())
    }

    fn hear(&self, ear: Ear) {
        self.0.recent.hear(ear);
    }

    async fn confirm(&self, claim: Claim) -> Result<Option<Claim>, Error> {
        Ok(Some(claim))
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<(), Error> {
        self.0.writer.ask(claim::Release { claims }).await
    }

    async fn leave(&self) {}

    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        self.others_own(match_id, analyses).await
    }

    fn may_act(&self) -> bool {
        self.0.writer.is_open()
    }

    // Nobody else can have taken what this process holds.
    fn tenure(&self, _claim: Claim) -> ClaimStatus {
        if self.0.writer.is_open() { ClaimStatus::Held } else { ClaimStatus::Lost }
    }

    fn fleet(&self) -> watch::Receiver<Fleet> {
        self.0.fleet.subscribe()
    }

    fn keys(&self) -> &Keys {
        &self.0.keys
    }
}
