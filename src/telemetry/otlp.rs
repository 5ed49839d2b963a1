//! The OTLP exporter: sends the spans that have ended to a collector, in batches.
//!
//! Making a span never waits for it: spans that find no room, and those of a batch that the
//! collector doesn't take, are counted and gone. A collector that fails is one line in the log, as
//! any other outage. It reads OpenTelemetry's own variables about the way to the collector.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    InstrumentationScope, Key, KeyValue,
    trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_otlp::{
    SpanExporter, WithExportConfig, WithTonicConfig, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks},
};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    clock::Clock,
    config::{TracesConfig, one_line},
    domain::{Timestamp, TraceContext},
    outage::Outage,
    trace::{self, AttributeValue, DroppedSpans, EndedSpan, Sampling, Tracer},
};

/// The name of the service where the variables name none.
const SERVICE_NAME: &str = "facematch";
/// The longest flush of the waiting spans at the end.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Why the exporter can't be set up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ExporterRefused(String);

/// An exporter that has not started.
pub struct Prepared {
    exporter: SpanExporter,
    config: TracesConfig,
}

/// The running exporter, or none. It ends when it is closed.
#[derive(Default)]
pub struct Export {
    closing: CancellationToken,
    abandoned: CancellationToken,
    running: TaskTracker,
}

/// The task that exports.
struct Exporting {
    exporter: SpanExporter,
    config: TracesConfig,
    waiting: mpsc::Receiver<EndedSpan>,
    batch: Vec<EndedSpan>,
    dropped: DroppedSpans,
    collector: Outage,
    clock: Clock,
    closing: CancellationToken,
}

/// Prepares an exporter, inside a runtime. Nothing is sent, and no connection opened.
///
/// # Errors
/// If the address, or one of OpenTelemetry's variables, can't be used.
pub fn prepare(config: TracesConfig) -> Result<Prepared, ExporterRefused> {
    let builder = SpanExporter::builder().with_tonic().with_endpoint(&config.endpoint);
    // The certificates of the machine are only loaded if they are needed.
    let builder = match config.endpoint.starts_with("http://") {
        true => builder,
        false => builder.with_tls_config(ClientTlsConfig::new().with_native_roots()),
    };
    let exporter = builder.build().map_err(|refused| match config.endpoint.contains('@') {
        // An error repeats the address, which may hold a login.
        true => ExporterRefused("must be a URL without a login".to_owned()),
        false => ExporterRefused(one_line(&refused.to_string())),
    })?;
    Ok(Prepared { exporter, config })
}

impl Prepared {
    /// Starts to export the spans that the tracer makes. `instance` names this run of the service.
    pub fn start(self, instance: &str, clock: &Clock, ids: trace::Ids) -> (Tracer, Export) {
        let Self { mut exporter, config } = self;
        exporter.set_resource(&resource(instance));
        let sampler = config.sampler;
        info!(ratio = sampler.root, "traces are exported: a collector is configured");
        let sampling = match sampler.parent {
            Some(parent) => Sampling::parent_based(sampler.root, parent),
            None => Sampling::ratio(sampler.root),
        };
        let (tracer, waiting) = Tracer::new(sampling, clock.clone(), ids, config.queue_max);
        let export = Export::default();
        let exporting = Exporting {
            exporter,
            config,
            waiting,
            batch: Vec::new(),
            dropped: tracer.dropped(),
            collector: Outage::new("the trace collector", clock.clone()),
            clock: clock.clone(),
            closing: export.closing.clone(),
        };
        let abandoned = export.abandoned.clone();
        export.running.spawn(async move {
            abandoned.run_until_cancelled(exporting.run()).await;
        });
        (tracer, export)
    }
}

impl Export {
    /// Sends the spans that wait, and ends: at `until`, or after some seconds, if that is earlier.
    pub async fn close(self, clock: &Clock, until: Timestamp) {
        self.closing.cancel();
        self.running.close();
        let until = until.min(clock.now().after(FLUSH_MAX));
        if clock.before(until, self.running.wait()).await.is_none() {
            warn!("drain: spans dropped, the trace collector did not take them in time");
            self.abandoned.cancel();
        }
    }
}

impl Exporting {
    async fn run(mut self) {
        loop {
            let may_continue = self.gather().await;
            if !self.batch.is_empty() {
                self.export().await;
            }
            if !may_continue {
                return;
            }
        }
    }

    /// Gathers a batch until it is full, or its first span has waited long enough. Returns whether
    /// more spans may come.
    async fn gather(&mut self) -> bool {
        let mut due = None;
        while self.batch.len() < self.config.batch_max {
            let room = self.config.batch_max - self.batch.len();
            tokio::select! {
                biased;
                () = self.closing.cancelled(), if !self.waiting.is_closed() => self.waiting.close(),
                received = self.waiting.recv_many(&mut self.batch, room) => match received {
                    0 => return false,
                    _ => due = due.or_else(|| Some(self.clock.now().after(self.config.delay))),
                },
                () = self.clock.sleep_until(due.unwrap_or(Timestamp::MAX)) => return true,
            }
        }
        true
    }

    async fn export(&mut self) {
        let scope = InstrumentationScope::builder(SERVICE_NAME)
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let spans: Vec<_> = self.batch.drain(..).map(|span| sent(span, &scope)).collect();
        let count = spans.len();
        let until = self.clock.now().after(self.config.timeout);
        match self.clock.before(until, self.exporter.export(spans)).await {
            Some(Ok(())) => return self.collector.worked(),
            Some(Err(failure)) => self.collector.failed(&failure),
            None => self.collector.failed_because(|| "no answer in time".to_owned()),
        }
        self.dropped.add(count);
    }
}

/// What all spans have in common: the variables' attributes, and those of this process.
fn resource(instance: &str) -> Resource {
    let found = Resource::builder().build();
    let name = found.get(&Key::new("service.name")).map(|name| name.to_string());
    let is_named = name.is_some_and(|name| !name.starts_with("unknown_service"));
    let mut builder = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()));
    if !is_named {
        builder = builder.with_service_name(SERVICE_NAME);
    }
    builder.build()
}

/// A span in the exporter's form.
fn sent(span: EndedSpan, scope: &InstrumentationScope) -> SpanData {
    let mut events = SpanEvents::default();
    events.dropped_count = span.events_left_out;
    events.events = span.events.into_iter().map(event).collect();
    let mut links = SpanLinks::default();
    links.links = span.links.iter().map(|context| Link::with_context(remote(context))).collect();
    SpanData {
        span_context: context(&span.context, false),
        parent_span_id: span
            .parent
            .map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.span_id)),
        parent_span_is_remote: span.parent.is_some_and(|parent| parent.is_remote),
        span_kind: match span.kind {
            trace::SpanKind::Server => SpanKind::Server,
            trace::SpanKind::Client => SpanKind::Client,
            trace::SpanKind::Internal => SpanKind::Internal,
        },
        name: span.name.into(),
        start_time: system_time(span.began),
        end_time: system_time(span.ended),
        attributes: attributes(span.attributes),
        dropped_attributes_count: 0,
        events,
        links,
        status: if span.is_error { Status::error("") } else { Status::Unset },
        instrumentation_scope: scope.clone(),
    }
}

fn event(event: trace::SpanEvent) -> opentelemetry::trace::Event {
    let attributes = attributes(event.attributes);
    opentelemetry::trace::Event::new(event.name, system_time(event.time), attributes, 0)
}

fn attributes(attributes: trace::Attributes) -> Vec<KeyValue> {
    let sent = |(name, value)| match value {
        AttributeValue::Text(text) => KeyValue::new(name, text),
        AttributeValue::Number(number) => KeyValue::new(name, number),
        AttributeValue::Flag(flag) => KeyValue::new(name, flag),
    };
    attributes.into_iter().map(sent).collect()
}

fn system_time(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(0))
}

fn remote(of: &TraceContext) -> SpanContext {
    context(of, true)
}

fn context(of: &TraceContext, is_remote: bool) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(of.trace_id()),
        SpanId::from_bytes(of.span_id()),
        TraceFlags::default().with_sampled(of.is_sampled()),
        is_remote,
        TraceState::default(),
    )
}

/// The source of the ids of spans.
pub fn random_ids() -> trace::Ids {
    Arc::new(rand::random::<u64>)
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};

    use super::*;

    #[test]
    fn the_decision_is_that_of_other_sdks_with_the_same_ratio() {
        let ours = Sampling::ratio(0.3);
        for seed in 0..1000_u64 {
            let id = blake3::hash(&seed.to_be_bytes()).as_bytes()[..16].try_into().unwrap();
            let (trace, kind) = (TraceId::from_bytes(id), SpanKind::Server);
            let theirs = Sampler::TraceIdRatioBased(0.3);
            let theirs = theirs.should_sample(None, trace, "", &kind, &[], &[]).decision;
            let is_taken = ours.takes_call(None, false, id);
            assert_eq!(is_taken, theirs == SamplingDecision::RecordAndSample, "{seed}");
        }
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_used_is_refused_at_once() {
        let prepared = |endpoint: &str| prepare(TracesConfig::new(endpoint.to_owned()));
        assert!(prepared("http://127.0.0.1:4317").is_ok());
        assert!(prepared("http://a collector").is_err());
        let refused = prepared("http://me:s3cret@a collector").err().unwrap();
        assert_eq!(refused.to_string(), "must be a URL without a login");
    }
}
