//! Brings the metrics of all modules together, and reads what they count for purposes of their own.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::{
    access::{Access, Quotas, ReloadCounts, audit::Audit, tls::Tls},
    admin,
    app::{libraries::TenantLibraries, store::Journal},
    domain::{Limit, TenantId, TenantTerms, Tenants},
    grpc::Bound,
    metrics::{Exposition, Format, Invariant, OzMetrics, Samples, Sources, process, table},
    outage::Outage,
    telemetry,
    trace::DroppedSpans,
    watch::Watch,
    worker::Worker,
};

/// The parts of a service whose metrics are shown.
pub struct Measured<'a> {
    pub door: &'a Bound,
    pub worker: &'a Worker,
    pub watch: &'a Watch,
    pub journal: &'a Journal,
    pub store: &'a Outage,
    pub oz: &'a OzMetrics,
    pub libraries: &'a TenantLibraries,
    pub access: &'a Access,
    pub audit: &'a Audit,
    pub spans: DroppedSpans,
    pub tls: Option<Arc<Tls>>,
    pub reloads: Arc<dyn Fn() -> Vec<ReloadCounts> + Send + Sync>,
}

/// All metrics of the service.
pub fn exposition(of: Measured<'_>) -> Exposition {
    let (calls, connections) = (of.door.calls(), of.door.connections());
    let (worker, watch, journal) = (of.worker.clone(), of.watch.clone(), of.journal.clone());
    let (readers, quotas) = (of.door.readers(), of.door.quotas());
    let (store, audit, access) = (of.store.clone(), of.audit.clone(), of.access.clone());
    let (tls, reloads, spans) = (of.tls, of.reloads, of.spans);
    let fleet = journal.handles().fleet;
    let (drivers, libraries) = (worker.clone(), of.libraries.clone());
    Exposition::new(Sources {
        calls: calls.metrics(),
        connections: connections.metrics(),
        matches: of.worker.metrics(),
        oz: of.oz,
        library: of.libraries.metrics(),
        journal: of.journal.metrics(),
        watch: of.watch.metrics(),
        samplers: vec![
            Box::new(move |samples| {
                let now = access.tenants();
                photos(samples, &now, &worker);
                tenants(samples, &now, &worker, &quotas);
            }),
            Box::new(move |samples| circuits(samples, &libraries)),
            Box::new({
                let worker = drivers.clone();
                move |samples| limiter(samples, &worker)
            }),
            Box::new(move |samples| {
                samples.set(&table::JOURNAL_UP, flag(!store.lasts()));
                samples.set(&table::REPLICAS, fleet.borrow().alive as f64);
                journal_counts(samples, &journal);
            }),
            Box::new(move |samples| {
                samples.set(&table::STREAM_STALLS, readers.stalls() as f64);
                broken_promises(samples, &watch, &drivers);
            }),
            Box::new(move |samples| files(samples, tls.as_deref(), &reloads())),
            Box::new(move |samples| {
                samples.set(&table::AUDIT_UP, flag(audit.works()));
                samples.set(&table::SPANS_DROPPED, spans.count() as f64);
            }),
            Box::new(this_process),
        ],
    })
}

/// Answers scrapes of the admin port.
pub fn scrapes(exposition: Exposition) -> admin::Metrics {
    Arc::new(move |headers| {
        let accept = headers.get_all(header::ACCEPT).iter();
        let format = Format::accepted(accept.filter_map(|accept| accept.to_str().ok()));
        match exposition.encode(format) {
            Ok(text) => {
                let mut answer = Response::new(Bytes::from(text));
                let kind = HeaderValue::from_static(format.content_type());
                answer.headers_mut().insert(header::CONTENT_TYPE, kind);
                answer
            }
            Err(_) => {
                let mut answer = Response::new(Bytes::new());
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                answer
            }
        }
    })
}

fn photos(samples: &mut Samples, tenants: &Tenants, worker: &Worker) {
    let memory = worker.photo_memory();
    let (bytes, photos) = (memory.bytes_by_tenant(), memory.photos_by_tenant());
    samples.set(&table::PHOTO_BYTES_LIMIT, memory.bytes_max() as f64);
    // Matches may outlive the tenant to which they belong.
    let named = tenants.iter().map(|(tenant, _)| tenant).chain(bytes.keys()).chain(photos.keys());
    let mut names: Vec<_> = named.cloned().collect();
    if tenants.is_empty() {
        names.push(TenantId::default_tenant());
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    for tenant in names {
        let held = |counts: &HashMap<_, usize>| counts.get(&tenant).copied().unwrap_or(0) as f64;
        samples.set_of(&table::PHOTO_BYTES, [tenant.as_str()], held(&bytes));
        samples.set_of(&table::PHOTOS, [tenant.as_str()], held(&photos));
    }
}

/// How much of its own limits each tenant uses.
fn tenants(samples: &mut Samples, tenants: &Tenants, worker: &Worker, quotas: &Quotas) {
    let unfinished = worker.unfinished_by_tenant();
    let photo_bytes = worker.photo_memory().bytes_by_tenant();
    for (tenant, terms) in tenants.iter() {
        let TenantTerms { unfinished_max, photo_bytes_max, streams_max, .. } = terms;
        let held = |counts: &HashMap<TenantId, usize>| counts.get(tenant).copied().unwrap_or(0);
        let limits = [
            (Limit::UnfinishedMatches, held(&unfinished), unfinished_max),
            (Limit::PhotoMemory, held(&photo_bytes), photo_bytes_max),
            (Limit::Streams, quotas.streams(tenant), streams_max),
        ];
        for (limit, held, max) in limits {
            if let Some(max) = max {
                let used = held as f64 / (*max).max(1) as f64;
                samples.set_of(&table::QUOTA_USED, [limit.as_str(), tenant.as_str()], used);
            }
        }
    }
}

fn limiter(samples: &mut Samples, worker: &Worker) {
    let limiter = worker.limiter();
    samples.set(&table::OZ_CIRCUIT_OPEN, flag(worker.is_oz_out()));
    samples.set(&table::OZ_REQUESTS_IN_FLIGHT, limiter.in_flight() as f64);
    samples.set(&table::OZ_REPEAT_BUDGET, limiter.repeat_budget());
}

/// Whether each tenant's photo library is out.
fn circuits(samples: &mut Samples, libraries: &TenantLibraries) {
    for (tenant, library) in libraries.by_tenant() {
        let labels = [library.kind().as_str(), tenant.as_str()];
        samples.set_of(&table::LIBRARY_CIRCUIT_OPEN, labels, flag(library.is_out()));
    }
}

fn journal_counts(samples: &mut Samples, journal: &Journal) {
    samples.set(&table::JOURNAL_COMMITS, journal.commits() as f64);
    samples.set(&table::JOURNAL_LOST_RACES, journal.lost_races() as f64);
    let kind = match journal {
        Journal::Sqlite(journal) => {
            samples.set(&table::JOURNAL_BYTES, journal.bytes() as f64);
            "sqlite"
        }
        Journal::Postgres(journal) => {
            samples.set(&table::LEASE_AGE, journal.lease_age().as_secs_f64());
            samples.set(&table::LEASES_LOST, journal.leases_lost() as f64);
            "postgres"
        }
    };
    samples.set_of(&table::BUILD_INFO, [env!("CARGO_PKG_VERSION"), kind], 1.0);
}

fn broken_promises(samples: &mut Samples, watch: &Watch, worker: &Worker) {
    for invariant in Invariant::ALL {
        let violations = watch.invariants().count(invariant) + worker.invariants().count(invariant);
        samples.set_of(&table::INVARIANT_VIOLATIONS, [invariant.as_str()], violations as f64);
    }
}

fn files(samples: &mut Samples, tls: Option<&Tls>, reloads: &[ReloadCounts]) {
    if let Some(tls) = tls {
        let expires = tls.expires().as_micros() as f64 / 1e6;
        samples.set(&table::CERTIFICATE_NOT_AFTER, expires);
    }
    for ReloadCounts { kind, ok, failed, last_success } in reloads {
        samples.set_of(&table::RELOADS, [kind, "ok"], *ok as f64);
        samples.set_of(&table::RELOADS, [kind, "failed"], *failed as f64);
        let last_success = last_success.as_micros() as f64 / 1e6;
        samples.set_of(&table::RELOAD_LAST_SUCCESS, [kind], last_success);
    }
}

fn this_process(samples: &mut Samples) {
    process::sample(samples);
    samples.set(&table::PANICS, telemetry::panics() as f64);
    #[cfg(feature = "jemalloc")]
    if let Some(bytes) = allocated() {
        samples.set(&table::ALLOCATED_BYTES, bytes as f64);
    }
}

/// What jemalloc has given out. Its counts are of the last time that its epoch was advanced.
#[cfg(feature = "jemalloc")]
fn allocated() -> Option<usize> {
    tikv_jemalloc_ctl::epoch::advance().ok()?;
    tikv_jemalloc_ctl::stats::allocated::read().ok()
}

const fn flag(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}
