//! What the admin port is told of the service: the checks of its readiness, and what operators
//! should know besides.
//!
//! The reasons are fixed texts: the errors of the store and of the system are in the log only.

use crate::{
    access::audit::Audit,
    admin::{AdminPort, ReadinessCheck, ReadinessNote},
    app::{StartError, store::Journal},
    clock::Clock,
    config::Config,
    worker::Worker,
};

/// Opens the admin port; `None` if the settings name none.
pub async fn open(config: &Config, clock: &Clock) -> Result<Option<AdminPort>, StartError> {
    let Some(address) = config.admin_listen else { return Ok(None) };
    let opened = AdminPort::open(address, clock).await;
    opened.map(Some).map_err(|source| StartError::AdminListen { address, source })
}

/// What must work for this replica to get calls.
pub fn checks(journal: &Journal, audit: &Audit) -> Vec<ReadinessCheck> {
    let mut checks = vec![answers(journal.clone()), takes_writes(journal.clone())];
    if journal.has_lease().is_some() {
        checks.push(has_lease(journal.clone()));
    }
    if audit.is_required() {
        checks.push(takes_records(audit.clone()));
    }
    checks
}

fn answers(journal: Journal) -> ReadinessCheck {
    ReadinessCheck::new("journal", move || {
        let journal = journal.clone();
        async move { journal.answers().await.map_err(|_| "the store doesn't answer") }
    })
}

fn takes_writes(journal: Journal) -> ReadinessCheck {
    ReadinessCheck::new("journal-writes", move || {
        let journal = journal.clone();
        async move { journal.takes_writes().await.map_err(|_| "the store takes no writes") }
    })
}

fn has_lease(journal: Journal) -> ReadinessCheck {
    ReadinessCheck::new("lease", move || {
        let is_held = journal.has_lease().unwrap_or(true);
        async move {
            match is_held {
                true => Ok(()),
                false => Err("the lease could not be renewed in time"),
            }
        }
    })
}

fn takes_records(audit: Audit) -> ReadinessCheck {
    ReadinessCheck::new("audit-file", move || {
        let audit = audit.clone();
        async move { audit.takes_records().await.map_err(|_| "the audit file can't be written") }
    })
}

/// What no other replica could do better, and so doesn't count.
pub fn notes(worker: &Worker) -> Vec<ReadinessNote> {
    let worker = worker.clone();
    vec![Box::new(move || worker.is_oz_out().then_some("oz circuit open"))]
}
