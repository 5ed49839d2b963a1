//! The photo libraries of the tenants while the service runs: opened at the start, and again when
//! their terms or the files of their secrets change.
//!
//! A library is replaced as a whole or kept: terms that can't be used leave the tenant's library as
//! it was.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures_util::future::join_all;
use tracing::{info, warn};

use crate::{
    access::Access,
    app::parts,
    clock::Clock,
    config::{self, Config, LibraryConfig},
    domain::{LibraryFault, TenantId},
    library::{
        BadTerm, CloudVariables, Libraries, Library, SourceError, SourceKind, Term, TermFiles,
        Terms,
    },
    metrics::LibraryMetrics,
    sync::lock,
};

/// How long a start waits for the answer of a library.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The libraries of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct TenantLibraries(Arc<TenantLibrariesInner>);

struct TenantLibrariesInner {
    /// The library that the settings name.
    common: Option<Terms>,
    /// The variables of the clouds in the environment, which all libraries share.
    cloud: CloudVariables,
    access: Access,
    clock: Clock,
    metrics: LibraryMetrics,
    open: Mutex<HashMap<TenantId, OpenLibrary>>,
    /// The terms that were refused at the last look, so that they are logged once.
    refused: Mutex<HashMap<TenantId, BadTerm>>,
}

/// A library, and what it was opened by.
struct OpenLibrary {
    terms: Terms,
    files: TermFiles,
    library: Arc<Library>,
}

/// A library that can't be used at present.
pub struct UnusableLibrary {
    /// Whose library it is.
    pub tenant: TenantId,
    /// Its kind.
    pub kind: SourceKind,
    /// Why. May name its address, never a secret.
    pub error: String,
}

/// What a library says when it is asked whether it is set up as needed.
enum CheckedLibrary {
    Usable,
    /// Not at present, for this reason.
    Unusable(String),
    /// It has to be set up in another way.
    Misfit(BadTerm),
}

impl UnusableLibrary {
    fn new(tenant: &TenantId, kind: SourceKind, error: String) -> Self {
        Self { tenant: tenant.clone(), kind, error }
    }

    /// Logs it.
    pub fn log(&self) {
        let (tenant, source, error) = (self.tenant.as_str(), self.kind.as_str(), &self.error);
        warn!(tenant, library.source = source, error, "photo library can't be used yet");
    }
}

impl Libraries for TenantLibraries {
    fn library(&self, tenant: &TenantId) -> Option<Arc<Library>> {
        self.open().get(tenant).map(|open| Arc::clone(&open.library))
    }
}

impl TenantLibraries {
    /// Opens the libraries that the settings and the callers file name.
    ///
    /// # Errors
    /// The setting that can't be used.
    pub fn open_all(
        config: &Config,
        access: &Access,
        clock: &Clock,
    ) -> Result<Self, config::Error> {
        let common = config.library.as_ref().map(terms);
        let libraries = Self(Arc::new(TenantLibrariesInner {
            common,
            cloud: config.cloud_variables.clone(),
            access: access.clone(),
            clock: clock.clone(),
            metrics: LibraryMetrics::default(),
            open: Mutex::default(),
            refused: Mutex::default(),
        }));
        if libraries.0.common.is_some() && libraries.tenant_of_common().is_none() {
            let why = "can't be shared by the tenants of the callers file: give each of them a table \
                       such as [tenant.NAME.library]";
            return Err(config.origins.refused("library", why));
        }
        for (tenant, terms) in libraries.terms() {
            let opened = libraries.open_one(&tenant, &terms);
            let opened = opened.map_err(|bad| libraries.refusal(config, &tenant, &bad))?;
            libraries.open().insert(tenant, opened);
        }
        Ok(libraries)
    }

    /// Asks each library whether it is set up as needed. Returns those that can't be used at
    /// present: they may be back before they are needed.
    ///
    /// # Errors
    /// The setting of a library that has to be set up in another way.
    pub async fn check(&self, config: &Config) -> Result<Vec<UnusableLibrary>, config::Error> {
        let libraries = self.by_tenant();
        let checked = join_all(libraries.values().map(|library| self.ask(library))).await;
        let mut unusable = Vec::new();
        for ((tenant, library), checked) in libraries.iter().zip(checked) {
            match checked {
                CheckedLibrary::Usable => {}
                CheckedLibrary::Unusable(error) => {
                    unusable.push(UnusableLibrary::new(tenant, library.kind(), error));
                }
                CheckedLibrary::Misfit(bad) => return Err(self.refusal(config, tenant, &bad)),
            }
        }
        Ok(unusable)
    }

    async fn ask(&self, library: &Library) -> CheckedLibrary {
        let until = self.0.clock.now().after(CHECK_TIMEOUT);
        match self.0.clock.before(until, library.source().check()).await {
            Some(Ok(())) => CheckedLibrary::Usable,
            Some(Err(SourceError::Fault(LibraryFault::Protocol, why))) => {
                CheckedLibrary::Misfit(BadTerm { term: term_at_fault(library.kind()), why })
            }
            Some(Err(error)) => CheckedLibrary::Unusable(error.to_string()),
            None => CheckedLibrary::Unusable(format!("no answer within {CHECK_TIMEOUT:?}")),
        }
    }

    /// Opens the libraries again whose terms or files have changed, and closes those that are named
    /// no more. A library that has to be set up in another way leaves the old one as it was.
    pub async fn look_again(self) {
        let libraries = self.clone();
        // On a thread of its own: a file system may block for long.
        let opening = tokio::task::spawn_blocking(move || libraries.open_changed());
        // A panic has been logged as it happened.
        let opened = opening.await.unwrap_or_default();
        let checked = join_all(opened.iter().map(|(_, opened)| self.ask(&opened.library))).await;
        for ((tenant, opened), checked) in opened.into_iter().zip(checked) {
            self.replace(tenant, opened, checked);
        }
    }

    /// Closes the libraries that are named no more, and opens those anew whose terms or files have
    /// changed, as far as they can be opened.
    fn open_changed(&self) -> Vec<(TenantId, OpenLibrary)> {
        let terms = self.terms();
        self.close_all_but(&terms);
        let changed = terms.into_iter().filter_map(|(tenant, terms)| {
            let opened = self.open_if_changed(&tenant, &terms)?;
            Some((tenant, opened))
        });
        changed.collect()
    }

    fn close_all_but(&self, named: &HashMap<TenantId, Terms>) {
        lock(&self.0.refused).retain(|tenant, _| named.contains_key(tenant));
        self.open().retain(|tenant, _| {
            let is_named = named.contains_key(tenant);
            if !is_named {
                let tenant = tenant.as_str();
                info!(tenant, "photo library closed: no setting names one for the tenant any more");
            }
            is_named
        });
    }

    fn open_if_changed(&self, tenant: &TenantId, terms: &Terms) -> Option<OpenLibrary> {
        let files = terms.read_files();
        let is_same = |open: &OpenLibrary| {
            open.terms == *terms && files.as_ref().is_ok_and(|files| *files == open.files)
        };
        if self.open().get(tenant).is_some_and(is_same) {
            lock(&self.0.refused).remove(tenant);
            return None;
        }
        let opened = files.and_then(|files| self.open_with(tenant, terms, files));
        opened.map_err(|bad| self.refuse(tenant, bad)).ok()
    }

    fn replace(&self, tenant: TenantId, opened: OpenLibrary, checked: CheckedLibrary) {
        let kind = opened.library.kind();
        match checked {
            CheckedLibrary::Usable => {}
            CheckedLibrary::Unusable(error) => UnusableLibrary::new(&tenant, kind, error).log(),
            CheckedLibrary::Misfit(bad) => return self.refuse(&tenant, bad),
        }
        lock(&self.0.refused).remove(&tenant);
        info!(tenant = tenant.as_str(), library.source = kind.as_str(), "photo library opened");
        self.open().insert(tenant, opened);
    }

    /// Logs terms that can't be used, once. The library stays as it was.
    fn refuse(&self, tenant: &TenantId, bad: BadTerm) {
        let known = lock(&self.0.refused).insert(tenant.clone(), bad.clone());
        if known.as_ref() == Some(&bad) {
            return;
        }
        let (tenant, key) = (tenant.as_str(), bad.term.key());
        warn!(tenant, key, error = %bad, "photo library not opened: its terms can't be used");
    }

    /// The tenants that have a library, and its kind, in the order of their names.
    pub fn kinds(&self) -> BTreeMap<TenantId, SourceKind> {
        self.by_tenant().into_iter().map(|(tenant, library)| (tenant, library.kind())).collect()
    }

    /// What reads from all libraries count.
    pub fn metrics(&self) -> &LibraryMetrics {
        &self.0.metrics
    }

    /// The library of each tenant that has one.
    pub fn by_tenant(&self) -> BTreeMap<TenantId, Arc<Library>> {
        let open = self.open();
        open.iter().map(|(tenant, open)| (tenant.clone(), Arc::clone(&open.library))).collect()
    }

    fn open_one(&self, tenant: &TenantId, terms: &Terms) -> Result<OpenLibrary, BadTerm> {
        self.open_with(tenant, terms, terms.read_files()?)
    }

    fn open_with(
        &self,
        tenant: &TenantId,
        terms: &Terms,
        files: TermFiles,
    ) -> Result<OpenLibrary, BadTerm> {
        let source = terms.open(&files, &self.0.cloud)?;
        let (clock, metrics) = (self.0.clock.clone(), self.0.metrics.clone());
        let library = Library::new(tenant.clone(), source, clock, parts::chance(), metrics);
        let library = Arc::new(library);
        Ok(OpenLibrary { terms: terms.clone(), files, library })
    }

    /// The terms of each tenant that has a library.
    fn terms(&self) -> HashMap<TenantId, Terms> {
        let inner = &self.0;
        let mut all: HashMap<_, _> = inner
            .access
            .libraries()
            .into_iter()
            .map(|(tenant, named)| {
                let (query, secret_file, ca_file) = (named.query, named.secret_file, named.ca_file);
                (tenant, Terms { url: named.url, query, secret_file, ca_file })
            })
            .collect();
        if let (Some(common), Some(tenant)) = (&inner.common, self.tenant_of_common()) {
            all.entry(tenant).or_insert_with(|| common.clone());
        }
        all
    }

    /// The tenant that has the library of the settings: the only tenant, or `default`. Several
    /// tenants never share it, since each could then read the photos of the others.
    fn tenant_of_common(&self) -> Option<TenantId> {
        let tenants = self.0.access.tenants();
        let default = TenantId::default_tenant();
        match tenants.iter().map(|(tenant, _)| tenant).collect::<Vec<_>>()[..] {
            [] => Some(default),
            [only] => Some(only.clone()),
            ref several => several.contains(&&default).then_some(default),
        }
    }

    fn refusal(&self, config: &Config, tenant: &TenantId, bad: &BadTerm) -> config::Error {
        match self.0.access.libraries().contains_key(tenant) {
            true => {
                let why = format!("tenant.{tenant}.library.{}: {bad}", bad.term.key());
                config.origins.refused("callers-file", why)
            }
            false => config.origins.refused(bad.term.setting(), bad.why.clone()),
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<TenantId, OpenLibrary>> {
        lock(&self.0.open)
    }
}

/// The terms that the settings name.
pub fn terms(config: &LibraryConfig) -> Terms {
    Terms {
        url: config.url.clone(),
        query: config.query.clone(),
        secret_file: config.secret_file.clone(),
        ca_file: config.ca_file.clone(),
    }
}

/// The term that is wrong where a library answers otherwise than needed.
const fn term_at_fault(kind: SourceKind) -> Term {
    match kind {
        SourceKind::Postgres | SourceKind::Mysql => Term::Query,
        SourceKind::Folder
        | SourceKind::S3
        | SourceKind::Gcs
        | SourceKind::Azure
        | SourceKind::Http => Term::Url,
    }
}
