//! The operator's photo libraries, from which the service reads reference photos by their keys.
//!
//! A [`Library`] is the same for every kind of place where photos are: it bounds how many photos are
//! held at once and how long a read may take, and holds reads back while the library is out. What is
//! behind it is a [`LibrarySource`]. This module deliberately knows no match, and tells callers
//! neither an address nor a cause: those are for the operator's log.

mod body;
mod client;
mod folder;
mod http;
#[cfg(feature = "library-clouds")]
mod object;
mod open;
mod sql;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{info, warn};

pub use folder::Folder;
pub use open::{BadTerm, CloudVariables, Term, TermFiles, Terms};

use crate::{
    clock::Clock,
    domain::{
        CircuitBreaker, Deferred, Failure, FailureKind, Format, KeyForm, LibraryFault,
        ReferenceKey, RequestTraits, TenantId, Ticket, Timestamp,
        circuit_breaker::{self, BreakerChange},
        photo, retry,
    },
    metrics::{LibraryMetrics, ReadResult},
    sync::lock,
    trace::{AskTrace, LibraryReadTrace},
};

/// How many photos of one library may be in memory at once, from their reading to the end of their
/// upload: a quarter of the default photo memory if all are of the largest size.
pub const PHOTOS_MAX: usize = 16;
/// How long one read may take: the largest photo over a link of 3 Mbit/s.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The source of jitter: a number from 0 to 1.
type Chance = Arc<dyn Fn() -> f64 + Send + Sync>;

/// The kinds of places where photos are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SourceKind {
    /// A folder of files.
    Folder,
    /// Amazon S3, or a store with its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// A web service.
    Http,
    /// A query of a PostgreSQL database.
    Postgres,
    /// A query of a MySQL or MariaDB database.
    Mysql,
}

/// Why a source has no photo for a key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no memory for the photo at present. It says nothing about the library.
    #[error("there is no memory for the photo at present")]
    NoRoom,
    /// The library has no usable answer. The text is for the operator's log: it may name the
    /// library's address, and never the key or a secret.
    #[error("{1}")]
    Fault(LibraryFault, String),
}

/// Memory for the photo that is being read.
pub trait Room: Send {
    /// Makes room for so many bytes in all. False if there is none at present.
    #[must_use]
    fn grow_to(&mut self, bytes: usize) -> bool;
}

/// A place where photos are. Cheap to make: it connects with the first read.
#[async_trait]
pub trait LibrarySource: Send + Sync {
    /// Its kind.
    fn kind(&self) -> SourceKind;

    /// Reads the photo of a key, as far as there is room for it. Makes room before it takes bytes,
    /// never takes more than a photo may have, and never retries. Dropping the future ends the read.
    ///
    /// # Errors
    /// [`SourceError`]. What the bytes are is not judged here.
    async fn read(&self, key: &ReferenceKey, room: &mut dyn Room) -> Result<Bytes, SourceError>;

    /// Checks that the library can be reached and is set up as needed, without reading a photo.
    ///
    /// # Errors
    /// [`SourceError::Fault`]: `Protocol` if it has to be set up in another way.
    async fn check(&self) -> Result<(), SourceError>;
}

/// The libraries of the tenants.
pub trait Libraries: Send + Sync {
    /// The library of a tenant at this moment; `None` if it has none.
    fn library(&self, tenant: &TenantId) -> Option<Arc<Library>>;
}

/// No tenant has a library.
pub struct NoLibraries;

/// The photo library of a tenant.
pub struct Library {
    tenant: TenantId,
    source: Arc<dyn LibrarySource>,
    slots: Arc<Semaphore>,
    circuit: Mutex<CircuitBreaker>,
    clock: Clock,
    chance: Chance,
    metrics: LibraryMetrics,
}

/// The right to hold one photo of a library.
pub struct ReadSlot {
    _permit: OwnedSemaphorePermit,
}

/// Why no photo was read.
#[derive(Clone, PartialEq, Debug)]
pub enum Unread {
    /// Nothing was read: the library is out.
    HeldBack(Deferred),
    /// There is no memory for the photo at present.
    NoRoom,
    /// The library failed.
    Failed(Failure),
}

/// A read that is under way. A read that is dropped before its end was given up.
struct Reading<'a> {
    library: &'a Library,
    began: Timestamp,
    trace: Option<LibraryReadTrace<'a>>,
    ticket: Option<Ticket>,
}

impl SourceKind {
    /// Its name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
            Self::Http => "http",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }

    /// What a library of this kind makes of a key.
    pub const fn key_form(self) -> KeyForm {
        match self {
            Self::Folder | Self::S3 | Self::Gcs | Self::Azure => KeyForm::Path,
            Self::Http => KeyForm::Segment,
            Self::Postgres | Self::Mysql => KeyForm::Parameter,
        }
    }
}

impl Libraries for NoLibraries {
    fn library(&self, _: &TenantId) -> Option<Arc<Library>> {
        None
    }
}

impl Library {
    /// A library that has not been used yet.
    pub fn new(
        tenant: TenantId,
        source: Arc<dyn LibrarySource>,
        clock: Clock,
        chance: Chance,
        metrics: LibraryMetrics,
    ) -> Self {
        metrics.opened(source.kind().as_str());
        let circuit = Mutex::new(CircuitBreaker::new(clock.now()));
        let slots = Arc::new(Semaphore::new(PHOTOS_MAX));
        Self { tenant, source, slots, circuit, clock, chance, metrics }
    }

    /// Its kind.
    pub fn kind(&self) -> SourceKind {
        self.source.kind()
    }

    /// What is behind it.
    pub fn source(&self) -> &Arc<dyn LibrarySource> {
        &self.source
    }

    /// Waits for the right to hold a photo, first come, first served.
    pub async fn slot(&self) -> ReadSlot {
        let permit = Arc::clone(&self.slots).acquire_owned().await;
        ReadSlot { _permit: permit.expect("the semaphore is never closed") }
    }

    /// Reads the photo of a key, within the time that a read may take, and judges its format.
    ///
    /// # Errors
    /// [`Unread`].
    pub async fn read(
        &self,
        key: &ReferenceKey,
        traits: RequestTraits,
        trace: AskTrace<'_>,
        room: &mut dyn Room,
    ) -> Result<(Bytes, Format), Unread> {
        let reading = self.enter(traits, trace).map_err(Unread::HeldBack)?;
        let until = self.clock.now().after(READ_TIMEOUT);
        let outcome = self.clock.before(until, self.source.read(key, room)).await;
        let outcome = outcome.unwrap_or_else(|| {
            let what = format!("no whole photo within {READ_TIMEOUT:?}");
            Err(SourceError::Fault(LibraryFault::Unreachable, what))
        });
        let read = match outcome {
            Ok(bytes) => judged(bytes),
            Err(SourceError::NoRoom) => Err(Unread::NoRoom),
            Err(SourceError::Fault(fault, causes)) => Err(Unread::Failed(failure(fault, causes))),
        };
        reading.end(&read);
        read
    }

    /// Whether the circuit breaker holds reads back.
    pub fn is_out(&self) -> bool {
        self.circuit().is_open()
    }

    fn enter<'a>(
        &'a self,
        traits: RequestTraits,
        trace: AskTrace<'a>,
    ) -> Result<Reading<'a>, Deferred> {
        let (now, chance) = (self.clock.now(), (self.chance)());
        let ticket = Some(self.circuit().enter(traits, now, chance)?);
        let trace = Some(trace.library_read(self.kind().as_str()));
        Ok(Reading { library: self, began: self.clock.steady().now(), trace, ticket })
    }

    fn circuit(&self) -> MutexGuard<'_, CircuitBreaker> {
        lock(&self.circuit)
    }
}

impl Reading<'_> {
    fn end(mut self, read: &Result<(Bytes, Format), Unread>) {
        match read {
            Ok((bytes, _)) => {
                self.tell(ReadResult::Done, Some(bytes.len()));
                self.report(None);
            }
            Err(Unread::Failed(failure)) => {
                self.tell(result_of(failure), None);
                self.report(Some(failure));
            }
            // It says nothing about the library.
            Err(Unread::NoRoom | Unread::HeldBack(_)) => self.tell(ReadResult::NoRoom, None),
        }
    }

    /// Tells metrics and traces how the read has ended.
    fn tell(&mut self, result: ReadResult, bytes: Option<usize>) {
        let Some(trace) = self.trace.take() else { return };
        trace.end(bytes.ok_or(result.as_str()));
        let library = self.library;
        let took = library.clock.steady().now().since(self.began);
        library.metrics.ended(library.kind().as_str(), result, took);
    }

    fn report(&mut self, failure: Option<&Failure>) {
        let Some(ticket) = self.ticket.take() else { return };
        let library = self.library;
        let (now, chance) = (library.clock.now(), (library.chance)());
        let change = library.circuit().report(ticket, failure, now, chance);
        let (tenant, source) = (library.tenant.as_str(), library.kind().as_str());
        match change {
            Some(BreakerChange::Opened) => warn!(
                tenant,
                library.source = source,
                error = failure.map(Failure::told),
                failures = circuit_breaker::OPENS_AFTER,
                "circuit breaker open: the photo library is out, only single probes are sent to it"
            ),
            Some(BreakerChange::Closed) => info!(
                tenant,
                library.source = source,
                "circuit breaker closed: the photo library answers again"
            ),
            None => {}
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.tell(ReadResult::GivenUp, None);
        if let Some(ticket) = self.ticket.take() {
            self.library.circuit().give_back(ticket);
        }
    }
}

/// A photo with its format, if it is a whole JPEG or PNG.
fn judged(bytes: Bytes) -> Result<(Bytes, Format), Unread> {
    match photo::inspect(&bytes) {
        Ok(format) => Ok((bytes, format)),
        Err(unreadable) => {
            let message = format!("the library's photo {unreadable}");
            let kind = FailureKind::Library(LibraryFault::Unreadable);
            Err(Unread::Failed(Failure::new(kind, message)))
        }
    }
}

/// How a read that failed has ended.
const fn result_of(failure: &Failure) -> ReadResult {
    match failure.kind {
        FailureKind::Library(fault) => ReadResult::Failed(fault),
        _ => ReadResult::Failed(LibraryFault::Unreachable),
    }
}

/// The failure of a read: a sentence for callers, and the causes for the operator.
pub fn failure(fault: LibraryFault, causes: String) -> Failure {
    let message = retry::library_message(fault);
    Failure { causes: Some(causes), ..Failure::new(FailureKind::Library(fault), message) }
}
