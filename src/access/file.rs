//! The callers file while the service runs: read at the start, and again when it changes.
//!
//! A file is taken as a whole, together with the files that it names, or not at all: a bad one
//! leaves everything as it was.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};
use tracing::{info, warn};

use super::{
    callers::{CallersFile, Fault, is_pipe, read_file},
    credentials::Credentials,
    jwt::Issuer,
    reloads::{ReloadKind, Reloads},
};
use crate::{clock::Clock, domain::Timestamp, sync::lock};

/// A callers file that is read again.
pub struct WatchedFile {
    path: PathBuf,
    clock: Clock,
    current: watch::Sender<Arc<Credentials>>,
    read: Mutex<LastRead>,
    reloads: Arc<Reloads>,
}

/// How the file was read last.
struct LastRead {
    /// The bytes from which the current credentials were made.
    bytes: Vec<u8>,
    /// The fault, if it was refused.
    fault: Option<Fault>,
    /// The longest retention that a tenant may have.
    retention_max: Duration,
}

impl WatchedFile {
    /// Reads the file, and the files of key sets that it names.
    ///
    /// # Errors
    /// The first fault.
    pub fn open(path: PathBuf, retention_max: Duration, clock: Clock) -> Result<Self, Fault> {
        let read = Mutex::new(LastRead { bytes: Vec::new(), fault: None, retention_max });
        let (current, reloads) = (watch::Sender::default(), Arc::default());
        let file = Self { path, clock, current, read, reloads };
        let bytes = file.bytes()?;
        let credentials = file.credentials(&bytes, &Credentials::default(), retention_max)?;
        file.current.send_replace(credentials);
        lock(&file.read).bytes = bytes;
        Ok(file)
    }

    /// The credentials of this moment.
    pub fn current(&self) -> Arc<Credentials> {
        Arc::clone(&self.current.borrow())
    }

    /// The time by which keys expire.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How often files and key sets were read again.
    pub fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// Checks the file in use against another maximum of the tenants' retentions.
    ///
    /// # Errors
    /// The tenant whose retention is longer.
    pub fn check_retention(&self, retention_max: Duration) -> Result<(), Fault> {
        CallersFile::parse(&self.path, &lock(&self.read).bytes, retention_max).map(drop)
    }

    /// Refuses longer retentions in files that are read from now on.
    pub fn set_retention_max(&self, retention_max: Duration) {
        lock(&self.read).retention_max = retention_max;
    }

    /// Reads the file again, and the files of key sets. Pipes were read at the start, and have nothing
    /// more.
    pub fn look_again(&self) {
        // One look at a time, so that an older file never replaces a newer one.
        let mut last = lock(&self.read);
        self.look_at_file(&mut last);
        self.current().issuers.values().for_each(|issuer| issuer.look_again());
    }

    fn look_at_file(&self, last: &mut LastRead) {
        if is_pipe(&self.path) {
            return;
        }
        let bytes = self.bytes();
        if bytes.as_ref().is_ok_and(|bytes| *bytes == last.bytes) {
            last.fault = None;
        } else {
            let before = self.current();
            let retention_max = last.retention_max;
            let read =
                |bytes: Vec<u8>| Ok((self.credentials(&bytes, &before, retention_max)?, bytes));
            match bytes.and_then(read) {
                Ok((next, bytes)) => {
                    *last = LastRead { bytes, fault: None, retention_max };
                    self.replace(&before, next);
                }
                Err(fault) => self.refuse(last, fault),
            }
        }
    }

    fn replace(&self, before: &Credentials, next: Arc<Credentials>) {
        self.current.send_replace(Arc::clone(&next));
        // Afterwards, so that no call is granted by credentials that have ended.
        before.give_way_to(&next);
        self.reloads.count(ReloadKind::Callers).succeeded(self.clock.now());
        info!(tenants = next.tenants.count(), "callers file read again");
    }

    fn refuse(&self, last: &mut LastRead, fault: Fault) {
        if last.fault.as_ref() == Some(&fault) {
            return;
        }
        self.reloads.count(ReloadKind::Callers).failed();
        warn!(error = %fault, "callers file not read again: the last good one stays in use");
        last.fault = Some(fault);
    }

    fn bytes(&self) -> Result<Vec<u8>, Fault> {
        read_file(&self.path)
            .map_err(|error| Fault::of_file(&self.path, format!("can't be read: {error}")))
    }

    /// The credentials in a file. Issuers that stay the same are taken over.
    fn credentials(
        &self,
        bytes: &[u8],
        before: &Credentials,
        retention_max: Duration,
    ) -> Result<Arc<Credentials>, Fault> {
        let mut file = CallersFile::parse(&self.path, bytes, retention_max)?;
        let mut issuers = HashMap::new();
        for terms in std::mem::take(&mut file.issuers) {
            let url = terms.url.clone();
            let known = before.issuers.get(&url).filter(|known| known.terms().same_as(&terms));
            let issuer = match known {
                Some(known) => Arc::clone(known),
                None => {
                    let (tenants, clock) = (file.tenants.clone(), self.clock.clone());
                    Arc::new(Issuer::open(terms, tenants, clock, Arc::clone(&self.reloads))?)
                }
            };
            issuers.insert(url, issuer);
        }
        Ok(Arc::new(Credentials::new(file, issuers, before)))
    }

    /// Keeps the key sets of all issuers fresh; never ends.
    pub async fn keep_key_sets_fresh(&self) {
        let mut changes = self.current.subscribe();
        loop {
            // Dropped together with this future, which ends the tasks.
            let mut tasks = JoinSet::new();
            let credentials = Arc::clone(&changes.borrow_and_update());
            for issuer in credentials.issuers.values().map(Arc::clone) {
                tasks.spawn(async move { issuer.keep_fresh().await });
            }
            // The sender is a part of this file, so this is no error.
            let _ = changes.changed().await;
        }
    }
}
