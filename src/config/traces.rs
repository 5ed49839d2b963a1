//! The settings of traces: our own endpoint, and OpenTelemetry's variables.
//!
//! The exporter itself reads the variables about how a collector is reached (headers, timeouts). As
//! OpenTelemetry asks, a variable that can't be used is ignored: it may be meant for another
//! service.

use std::time::Duration;

use super::{
    error::Error,
    parse, settings as s,
    source::{Environment, Sources},
};

/// The ratio of recorded traces where `OTEL_TRACES_SAMPLER` names none.
const RATIO: f64 = 0.1;
/// The only protocol of the exporter.
const GRPC: &str = "grpc";
/// The most spans that may wait: some 100 MB.
const QUEUE_MAX: usize = 100_000;
/// The longest delay of a batch, and the longest wait for an answer.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// How traces are recorded and exported.
#[derive(Debug, Clone, PartialEq)]
pub struct TracesConfig {
    /// The address of the collector.
    pub endpoint: String,
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// The most spans that wait for their export.
    pub queue_max: usize,
    /// The most spans of one request to the collector.
    pub batch_max: usize,
    /// How long a span waits for others of its batch.
    pub delay: Duration,
    /// How long a request to the collector may take.
    pub timeout: Duration,
}

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// The part of all traces.
    pub root: f64,
    /// The part of the traces that an authenticated caller records; `None` if callers don't decide.
    pub parent: Option<f64>,
}

impl TracesConfig {
    /// The settings for a collector at this address, without variables.
    pub fn new(endpoint: String) -> Self {
        Self::with(endpoint, &Environment::default())
    }

    fn with(endpoint: String, environment: &Environment) -> Self {
        let queue_max = number(environment, "OTEL_BSP_MAX_QUEUE_SIZE", 2_048);
        let batch_max = number(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512);
        let millis = |name, otherwise: u64| {
            Duration::from_millis(number(environment, name, otherwise)).min(WAIT_MAX)
        };
        let queue_max = queue_max.clamp(1, QUEUE_MAX);
        Self {
            endpoint,
            sampler: sampler(environment).unwrap_or_default(),
            queue_max,
            batch_max: batch_max.clamp(1, queue_max),
            delay: millis("OTEL_BSP_SCHEDULE_DELAY", 5_000),
            timeout: millis("OTEL_BSP_EXPORT_TIMEOUT", 30_000),
        }
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self { root: RATIO, parent: Some(RATIO) }
    }
}

/// The settings of traces; `None` if no collector is named, or OpenTelemetry is switched off.
pub fn traces(sources: &Sources) -> Result<Option<TracesConfig>, Error> {
    let environment = sources.environment();
    let given = sources.find(&s::OTLP_ENDPOINT)?.map(|(url, _)| url);
    let named = || endpoint(environment).filter(|_| is_wanted(environment));
    let endpoint = given.or_else(|| named().filter(|(_, text)| is_address(text)).map(owned));
    let is_disabled = text(environment, "OTEL_SDK_DISABLED")
        .is_some_and(|disabled| disabled.eq_ignore_ascii_case("true"));
    let endpoint = endpoint.filter(|_| !is_disabled);
    Ok(endpoint.map(|endpoint| TracesConfig::with(endpoint, environment)))
}

/// One sentence for each of OpenTelemetry's variables that has not the effect it seems to have.
pub fn warnings(environment: &Environment) -> Vec<String> {
    let protocol = endpoint(environment).and_then(|_| protocol(environment));
    let protocol = protocol.filter(|protocol| *protocol != GRPC).map(|_| {
        "OTEL_EXPORTER_OTLP_PROTOCOL asks for another protocol than grpc, the only one for traces: \
         none are sent unless --otlp-endpoint is set"
            .to_owned()
    });
    let unusable = endpoint(environment).filter(|(_, text)| !is_address(text)).map(|(name, _)| {
        format!(
            "{name} is not the URL of a collector, without a login: no traces are sent unless \
             --otlp-endpoint is set"
        )
    });
    let sampler = sampler(environment).err().map(|NotASampler| {
        format!("OTEL_TRACES_SAMPLER is not a known sampler: one trace in ten is recorded, {RATIO}")
    });
    protocol.into_iter().chain(unusable).chain(sampler).collect()
}

/// The collector that OpenTelemetry's variables name, and the variable that names it.
fn endpoint(environment: &Environment) -> Option<(&'static str, &str)> {
    let names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    names.into_iter().find_map(|name| Some((name, text(environment, name)?)))
}

fn owned((_, text): (&str, &str)) -> String {
    text.to_owned()
}

/// Whether the text of a variable is the address of a collector, which may lack its scheme. A login
/// in it would not be sent.
fn is_address(text: &str) -> bool {
    match text.contains("://") {
        true => parse::otlp_endpoint(text).is_ok(),
        false => parse::otlp_endpoint(&format!("https://{text}")).is_ok(),
    }
}

/// Whether OpenTelemetry's variables ask for traces that can be sent.
fn is_wanted(environment: &Environment) -> bool {
    text(environment, "OTEL_TRACES_EXPORTER") != Some("none")
        && protocol(environment).is_none_or(|protocol| protocol == GRPC)
}

fn protocol(environment: &Environment) -> Option<&str> {
    let names = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    names.into_iter().find_map(|name| text(environment, name))
}

/// The variable names no sampler that is known here.
struct NotASampler;

/// The sampler that `OTEL_TRACES_SAMPLER` names. Without a ratio everything is recorded, as
/// OpenTelemetry has it.
fn sampler(environment: &Environment) -> Result<Sampler, NotASampler> {
    let Some(name) = text(environment, "OTEL_TRACES_SAMPLER") else {
        return Ok(Sampler::default());
    };
    let ratio = text(environment, "OTEL_TRACES_SAMPLER_ARG").and_then(|text| text.parse().ok());
    let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio)).unwrap_or(1.0);
    let (root, parent) = match name {
        "always_on" => (1.0, None),
        "always_off" => (0.0, None),
        "traceidratio" => (ratio, None),
        "parentbased_always_on" => (1.0, Some(1.0)),
        "parentbased_always_off" => (0.0, Some(1.0)),
        "parentbased_traceidratio" => (ratio, Some(ratio)),
        _ => return Err(NotASampler),
    };
    Ok(Sampler { root, parent })
}

fn number<T: std::str::FromStr>(environment: &Environment, name: &str, otherwise: T) -> T {
    text(environment, name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn text<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    environment.get(name).and_then(|value| value.to_str()).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    const COLLECTOR: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");

    fn of(flag: Option<&str>, variables: &[(&str, &str)]) -> Option<TracesConfig> {
        let flags: Flags = flag.map(|url| ("otlp-endpoint", url.to_owned())).into_iter().collect();
        let environment = variables.iter().copied().collect();
        traces(&Sources::open(flags, environment).unwrap()).unwrap()
    }

    #[test]
    fn traces_are_off_unless_an_endpoint_is_set() {
        assert_eq!(of(None, &[]), None);
        assert_eq!(
            of(None, &[("OTEL_SERVICE_NAME", "matches"), ("OTEL_TRACES_SAMPLER", "always_on")]),
            None
        );
        let endpoint = |found: Option<TracesConfig>| found.unwrap().endpoint;
        assert_eq!(endpoint(of(None, &[COLLECTOR])), COLLECTOR.1);
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317");
        assert_eq!(endpoint(of(None, &[COLLECTOR, own])), own.1);
        let flag = "http://flag:4317";
        assert_eq!(endpoint(of(Some(flag), &[COLLECTOR, own])), flag);
    }

    #[test]
    fn the_variables_switch_traces_off() {
        let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), http] {
            assert_eq!(of(None, &[COLLECTOR, off]), None, "{off:?}");
        }
        assert_eq!(of(Some("http://flag:4317"), &[("OTEL_SDK_DISABLED", "TRUE")]), None);
        assert!(of(Some("http://flag:4317"), &[http]).is_some(), "our flag is about gRPC");
        assert!(of(None, &[COLLECTOR, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).is_some());
        let environment: Environment = [COLLECTOR, http].into_iter().collect();
        assert_eq!(warnings(&environment).len(), 1);
        assert_eq!(warnings(&[COLLECTOR].into_iter().collect()), [""; 0]);
        assert_eq!(warnings(&[http].into_iter().collect()), [""; 0], "nothing is sent anyway");
    }

    #[test]
    fn an_address_of_a_variable_that_cannot_be_used_is_ignored_with_a_warning() {
        let name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        for address in ["http://a collector", "ftp://collector", "http://me:hunter2@collector", "/"]
        {
            let variables = [COLLECTOR, (name, address)];
            assert_eq!(of(None, &variables), None, "{address}");
            assert!(of(Some("http://flag:4317"), &variables).is_some(), "{address}");
            let warned = warnings(&variables.into_iter().collect());
            assert!(warned.len() == 1 && warned[0].starts_with(name), "{warned:?}");
            assert!(!warned[0].contains("hunter2"), "{warned:?}");
        }
        for address in ["collector:4317", "https://collector"] {
            assert_eq!(of(None, &[(name, address)]).unwrap().endpoint, address);
            assert_eq!(warnings(&[(name, address)].into_iter().collect()), [""; 0]);
        }
    }

    #[test]
    fn the_sampler_is_the_one_that_the_variable_names() {
        let named = |name: &str, argument: &str| {
            let variables =
                [COLLECTOR, ("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)];
            let Sampler { root, parent } = of(None, &variables).unwrap().sampler;
            (root, parent)
        };
        assert_eq!(named("", "0.5"), (0.1, Some(0.1)));
        assert_eq!(named("always_on", ""), (1.0, None));
        assert_eq!(named("always_off", "1"), (0.0, None));
        assert_eq!(named("traceidratio", "0.25"), (0.25, None));
        assert_eq!(named("parentbased_traceidratio", "0.25"), (0.25, Some(0.25)));
        assert_eq!(named("parentbased_always_off", ""), (0.0, Some(1.0)));
        for wrong in ["", "2", "-1", "NaN", "half"] {
            assert_eq!(named("traceidratio", wrong), (1.0, None), "{wrong}");
        }
        assert_eq!(named("jaeger_remote", ""), (0.1, Some(0.1)));
        let odd: Environment = [("OTEL_TRACES_SAMPLER", "jaeger_remote")].into_iter().collect();
        assert_eq!(warnings(&odd).len(), 1);
    }

    #[test]
    fn the_queue_is_bounded_whatever_the_variables_say() {
        let sizes = |queue: &str, batch: &str| {
            let variables = [
                COLLECTOR,
                ("OTEL_BSP_MAX_QUEUE_SIZE", queue),
                ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch),
            ];
            let found = of(None, &variables).unwrap();
            (found.queue_max, found.batch_max)
        };
        assert_eq!(sizes("", ""), (2_048, 512));
        assert_eq!(sizes("10", ""), (10, 10));
        assert_eq!(sizes("0", "0"), (1, 1));
        assert_eq!(sizes("99999999999", "many"), (QUEUE_MAX, 512));
        assert_eq!(sizes("-1", "7"), (2_048, 7));
    }
}
