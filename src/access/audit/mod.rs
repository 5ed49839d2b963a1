//! The audit file: one line of JSON for each call, chained by hashes, written before the call's
//! answer.
//!
//! Room for a line is reserved before a call is handled, so that a call whose line can't be written
//! has no effect. A line is on its way to the disk when it is written: it survives the death of the
//! process. The file is synced only when it is rotated and at the end, so that the last lines may
//! be lost with the machine. It deliberately knows neither which calls there are nor how they are
//! refused.

mod file;
mod record;
#[cfg(test)]
mod tests;
mod writer;

use std::{fmt, io, path::Path, sync::Arc, thread, time::Duration};

pub use record::AuditRecord;
pub use writer::AuditSlot;

use crate::{
    access::audit::{
        file::{AuditFile, FileTail, Storage},
        writer::{Answer, AuditQueue, AuditWriter, AuditWriterTerms},
    },
    clock::Clock,
    outage::{self, Outage},
};

/// How long a call waits for the file: a file system that doesn't answer must not hold calls.
const PATIENCE: Duration = Duration::from_secs(5);

/// What happens to calls whose record can't be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureMode {
    /// They are refused.
    Refuse,
    /// They are answered, and the failure is logged.
    Log,
}

/// Why a record isn't in the audit file.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuditFailure {
    /// The operating system refused to write it.
    #[error("the audit file can't be written: {0}")]
    Broken(Arc<str>),
    /// The file system doesn't answer.
    #[error("the audit file doesn't answer")]
    Stuck,
    /// The server has closed the file.
    #[error("the audit file is closed")]
    Closed,
}

impl AuditFailure {
    fn of(error: &io::Error) -> Self {
        Self::Broken(outage::causes(error).into())
    }
}

/// The audit file of this process. Cheap to clone; clones write the same file, which is closed with
/// the last one.
#[derive(Clone, Default)]
pub struct Audit(Option<Arc<AuditInner>>);

struct AuditInner {
    replica: String,
    shared: Arc<AuditQueue>,
    mode: FailureMode,
    outage: Outage,
    clock: Clock,
}

impl Drop for AuditInner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Audit {
    /// No audit file: every record is dropped.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Opens the file, creating it if there is none, and continues its chain. `replica` tells this
    /// process from all others that write such files.
    ///
    /// # Errors
    /// If the file can't be opened, is locked by another process, or holds something else.
    pub fn open(
        path: &Path,
        mode: FailureMode,
        replica: String,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let refused = |source| OpenError { path: path.display().to_string(), source };
        let (file, tail) = AuditFile::open(path).map_err(refused)?;
        Self::over(Box::new(file), &tail, mode, replica, clock).map_err(refused)
    }

    fn over(
        storage: Box<dyn Storage>,
        tail: &FileTail,
        mode: FailureMode,
        replica: String,
        clock: Clock,
    ) -> io::Result<Self> {
        let outage = Outage::new("the audit file", clock.clone());
        let terms = AuditWriterTerms {
            replica: replica.clone(),
            clock: clock.clone(),
            outage: outage.clone(),
            reserves: mode == FailureMode::Refuse,
        };
        let shared = AuditQueue::new();
        let writer = AuditWriter::new(Arc::clone(&shared), storage, tail, terms);
        thread::Builder::new().name("audit".into()).spawn(move || writer.run())?;
        let clock = clock.steady();
        Ok(Self(Some(Arc::new(AuditInner { replica, shared, mode, outage, clock }))))
    }

    /// Whether there is an audit file.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether records can be written, as far as the last ones tell.
    pub fn works(&self) -> bool {
        self.0.as_ref().is_none_or(|inner| !inner.outage.lasts())
    }

    /// The id of this process in the records; `None` without a file.
    pub fn replica(&self) -> Option<&str> {
        self.0.as_ref().map(|inner| inner.replica.as_str())
    }

    /// Reserves room for one line, if there is room at this moment: nearly always. Otherwise
    /// [`reserve`](Self::reserve) waits for it.
    pub fn try_reserve(&self) -> Option<AuditSlot> {
        match &self.0 {
            Some(inner) if inner.mode == FailureMode::Refuse => inner.shared.try_reserve(),
            Some(_) | None => Some(AuditSlot::default()),
        }
    }

    /// Reserves room for one line, before its call is handled.
    ///
    /// # Errors
    /// If the line couldn't be written. Never, if failures are only logged.
    pub async fn reserve(&self) -> Result<AuditSlot, AuditFailure> {
        match (self.try_reserve(), &self.0) {
            (Some(slot), _) => Ok(slot),
            (None, Some(inner)) => inner.answer(inner.shared.reserve()).await,
            // Without a file there is always room.
            (None, None) => Ok(AuditSlot::default()),
        }
    }

    /// Writes a record, and returns once it is in the file.
    ///
    /// # Errors
    /// If the record isn't in the file. Never, if failures are only logged.
    pub async fn write(&self, slot: AuditSlot, record: AuditRecord) -> Result<(), AuditFailure> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let written = inner.answer(inner.shared.write(record, slot)).await;
        match inner.mode {
            FailureMode::Refuse => written,
            FailureMode::Log => Ok(()),
        }
    }

    /// Writes a record without waiting for it: that of a call that is gone.
    pub fn write_later(&self, slot: AuditSlot, record: AuditRecord) {
        let Some(inner) = &self.0 else { return };
        if let Err(failure) = inner.shared.write(record, slot) {
            inner.outage.failed(&failure);
        }
    }

    /// Whether calls are refused whose records can't be written.
    pub fn is_required(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.mode == FailureMode::Refuse)
    }

    /// Whether records can be written. Always `Ok` unless they are [required](Self::is_required).
    ///
    /// # Errors
    /// Why a call would be refused now.
    pub async fn takes_records(&self) -> Result<(), AuditFailure> {
        self.reserve().await.map(drop)
    }

    /// Opens what the path names now: another program has moved the file away. Returns at once; the
    /// records that follow are in the new file.
    pub fn reopen(&self) {
        if let Some(inner) = &self.0 {
            inner.shared.reopen();
        }
    }

    /// Writes the records that wait, syncs the file and closes it.
    pub async fn close(&self) {
        if let Some(inner) = &self.0 {
            inner.shared.close();
            inner.shared.ended.cancelled().await;
        }
    }
}

impl AuditInner {
    /// Waits for the thread's answer, as long as it may take.
    async fn answer<T>(&self, asked: Result<Answer<T>, AuditFailure>) -> Result<T, AuditFailure> {
        let counted = |failure: AuditFailure| {
            self.outage.failed(&failure);
            failure
        };
        let answer = asked.map_err(counted)?;
        match self.clock.before(self.clock.now().after(PATIENCE), answer).await {
            Some(Ok(answered)) => answered,
            // The thread ends only after it has answered, or by a panic, which is logged.
            Some(Err(_ended)) => Err(counted(AuditFailure::Closed)),
            None => {
                self.shared.note_stuck();
                Err(counted(AuditFailure::Stuck))
            }
        }
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("is_on", &self.is_on()).finish_non_exhaustive()
    }
}

/// Whether the audit file exists, after a check that it could be opened. Creates, changes and locks
/// nothing.
///
/// # Errors
/// If it holds something else, or this user may not write it, or create it in its folder.
pub fn exists(path: &Path) -> Result<bool, OpenError> {
    file::exists(path).map_err(|source| OpenError { path: path.display().to_string(), source })
}

/// Why the audit file can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct OpenError {
    path: String,
    source: io::Error,
}
