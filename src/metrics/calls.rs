//! What calls and connections count.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, exemplar::HistogramWithExemplars, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    domain::TenantId,
    metrics::{
        Register,
        labels::{CallLabels, MethodLabels, ReasonLabels, RefusalLabels, Tenant, TraceLabels},
        table,
    },
};

/// The bounds of calls in seconds: those of OpenTelemetry's convention for RPC servers.
const CALL_BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

type CallDurations = Family<
    CallLabels,
    HistogramWithExemplars<TraceLabels>,
    fn() -> HistogramWithExemplars<TraceLabels>,
>;

/// Counts calls. Cheap to clone; clones share the counts.
#[derive(Clone, Debug)]
pub struct CallMetrics {
    durations: CallDurations,
    open: Family<MethodLabels, Gauge>,
    refused: Family<RefusalLabels, Counter>,
}

/// How a call ended, as its metrics have it.
#[derive(Clone, Copy, Debug)]
pub struct EndOfCall<'a> {
    /// The word of the door through which it has come.
    pub door: &'static str,
    /// The system of calls that its caller has used.
    pub rpc_system: &'static str,
    /// The full name of the method.
    pub method: &'static str,
    /// The word of the gRPC code.
    pub code: &'static str,
    /// The reason of the contract; `None` if the status has none.
    pub reason: Option<&'static str>,
    /// The tenant of the caller; `None` without a good credential.
    pub tenant: Option<&'a TenantId>,
    /// The trace that the call belongs to; `None` if it names none.
    pub trace_id: Option<&'a str>,
    /// How long it was open.
    pub duration: Duration,
}

impl Default for CallMetrics {
    fn default() -> Self {
        Self {
            durations: Family::new_with_constructor(|| {
                HistogramWithExemplars::new(CALL_BOUNDS.into_iter())
            }),
            open: Family::default(),
            refused: Family::default(),
        }
    }
}

impl CallMetrics {
    /// Counts a call that begins.
    pub fn began(&self, method: &'static str) {
        self.open.get_or_create(&MethodLabels { rpc_method: method }).inc();
    }

    /// Counts the end of a call that has begun.
    pub fn ended(&self, end: &EndOfCall<'_>) {
        self.open.get_or_create(&MethodLabels { rpc_method: end.method }).dec();
        let labels = CallLabels {
            rpc_system_name: end.rpc_system,
            rpc_method: end.method,
            rpc_status_code: end.code,
            error_type: if end.code == "OK" { "" } else { end.code },
            door: end.door,
        };
        let exemplar = end.trace_id.map(|id| TraceLabels { trace_id: id.to_owned() });
        let seconds = end.duration.as_secs_f64();
        self.durations.get_or_create(&labels).observe(seconds, exemplar, None);
        if let Some(reason) = end.reason {
            let tenant = end.tenant.map_or(const { Tenant::unknown() }, Tenant::of);
            self.refused.get_or_create(&RefusalLabels { reason, tenant }).inc();
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.add(&table::CALL_DURATION, self.durations.clone());
        registry.add(&table::CALLS_OPEN, self.open.clone());
        registry.add(&table::REQUESTS_REFUSED, self.refused.clone());
    }
}

/// Counts connections. Cheap to clone; clones share the counts.
#[derive(Clone, Default, Debug)]
pub struct ConnectionMetrics {
    open: Gauge,
    refused: Family<ReasonLabels, Counter>,
    handshake_failures: Family<ReasonLabels, Counter>,
}

/// Counts one connection as open for as long as it is held.
pub struct OpenConnection(Gauge);

impl ConnectionMetrics {
    /// Counts a connection.
    pub fn opened(&self) -> OpenConnection {
        self.open.inc();
        OpenConnection(self.open.clone())
    }

    /// Counts a connection that is refused or broken off.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts a TLS handshake that failed.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshake_failures.get_or_create(&ReasonLabels { reason }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.add(&table::CONNECTIONS, self.open.clone());
        registry.add(&table::CONNECTIONS_REFUSED, self.refused.clone());
        registry.add(&table::HANDSHAKE_FAILURES, self.handshake_failures.clone());
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
