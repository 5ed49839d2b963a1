//! What a scrape shows, in both formats.

use std::time::Duration;

use super::*;
use crate::{domain::TenantId, metrics::table};

/// The metrics of modules that have counted nothing yet.
#[derive(Default)]
struct Scene {
    calls: CallMetrics,
    connections: ConnectionMetrics,
    matches: MatchMetrics,
    library: LibraryMetrics,
    journal: JournalMetrics,
    watch: WatchMetrics,
}

impl Scene {
    fn exposition(&self, samplers: Vec<Sampler>) -> Exposition {
        Exposition::new(Sources {
            calls: &self.calls,
            connections: &self.connections,
            matches: &self.matches,
            oz: &OzMetrics::new("oz.example"),
            library: &self.library,
            journal: &self.journal,
            watch: &self.watch,
            samplers,
        })
    }

    fn scrape(&self, format: Format) -> String {
        self.exposition(Vec::new()).encode(format).unwrap()
    }

    fn call(&self, code: &'static str, reason: Option<&'static str>, tenant: Option<&TenantId>) {
        self.calls.began("facematch.v1.FaceMatch/GetMatch");
        self.calls.ended(&EndOfCall {
            door: "grpc",
            rpc_system: "grpc",
            method: "facematch.v1.FaceMatch/GetMatch",
            code,
            reason,
            tenant,
            trace_id: Some("0af7651916cd43dd8448eb211c80319c"),
            duration: Duration::from_millis(20),
        });
    }
}

#[test]
fn a_call_is_observed_with_its_code_and_a_refusal_with_its_reason() {
    let scene = Scene::default();
    let tenant = TenantId::from_stored("bank");
    scene.call("OK", None, Some(&tenant));
    scene.call("NOT_FOUND", Some("MATCH_NOT_FOUND"), Some(&tenant));
    scene.call("UNAUTHENTICATED", Some("CREDENTIAL_MISSING"), None);
    let text = scene.scrape(Format::Prometheus);
    for line in [
        r#"rpc_server_call_duration_seconds_count{rpc_system_name="grpc",rpc_method="facematch.v1.FaceMatch/GetMatch",rpc_status_code="NOT_FOUND",error_type="NOT_FOUND",door="grpc"} 1"#,
        r#"rpc_server_call_duration_seconds_bucket{rpc_system_name="grpc",rpc_method="facematch.v1.FaceMatch/GetMatch",rpc_status_code="OK",error_type="",door="grpc",le="0.025"} 1"#,
        r#"facematch_calls_open{rpc_method="facematch.v1.FaceMatch/GetMatch"} 0"#,
        r#"facematch_requests_refused_total{reason="MATCH_NOT_FOUND",tenant="bank"} 1"#,
        r#"facematch_requests_refused_total{reason="CREDENTIAL_MISSING",tenant=""} 1"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

/// Prometheus sees no increase where a series begins with its first event.
#[test]
fn every_outcome_of_a_match_begins_at_zero() {
    let text = Scene::default().scrape(Format::Prometheus);
    for outcome in ["SUCCESS", "DECLINED", "OPERATOR_REQUIRED", "FAILED", "CANCELLED"] {
        let line = format!("facematch_match_duration_seconds_count{{outcome=\"{outcome}\"}} 0\n");
        assert!(text.contains(&line), "{line}\n{text}");
    }
}

#[test]
fn only_open_metrics_has_exemplars_and_an_end() {
    let scene = Scene::default();
    scene.call("OK", None, None);
    let exemplar = r##"# {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.02"##;
    let open = scene.scrape(Format::OpenMetrics);
    assert!(open.contains(exemplar) && open.ends_with("# EOF\n"), "{open}");
    let text = scene.scrape(Format::Prometheus);
    assert!(!text.contains("trace_id") && !text.contains("# EOF"), "{text}");
    assert!(text.contains("# TYPE rpc_server_call_duration_seconds histogram"), "{text}");
}

#[test]
fn values_of_this_moment_are_read_at_each_scrape() {
    let scene = Scene::default();
    let sampler: Sampler = Box::new(|samples| {
        samples.set(&table::JOURNAL_UP, 1.0);
        samples.set_of(&table::RELOADS, ["tls", "ok"], 3.0);
        samples.set_of(&table::RELOADS, ["tls", "failed"], 0.0);
    });
    let text = scene.exposition(vec![sampler]).encode(Format::Prometheus).unwrap();
    for line in [
        "# TYPE facematch_journal_up gauge",
        "facematch_journal_up 1.0",
        "# TYPE facematch_reloads_total counter",
        r#"facematch_reloads_total{kind="tls",result="ok"} 3.0"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_stream_and_a_connection_count_for_as_long_as_they_are_held() {
    let scene = Scene::default();
    let open = (scene.watch.opened(StreamKind::All), scene.connections.opened());
    let both = ["facematch_watchers{kind=\"all\"} ", "facematch_connections "];
    let shows = |value: &str| {
        let text = scene.scrape(Format::Prometheus);
        for name in both {
            assert!(text.contains(&format!("{name}{value}\n")), "{name}{value}\n{text}");
        }
    };
    shows("1");
    drop(open);
    shows("0");
}

#[test]
fn every_result_of_a_read_begins_at_zero_with_the_library() {
    let scene = Scene::default();
    assert!(!scene.scrape(Format::Prometheus).contains("source="));
    scene.library.opened("s3");
    scene.library.ended("s3", ReadResult::Done, Duration::from_millis(20));
    let text = scene.scrape(Format::Prometheus);
    for (result, count) in [("ok", 1), ("no_room", 0), ("given_up", 0), ("not_found", 0)] {
        let line =
            format!("facematch_library_reads_total{{source=\"s3\",result=\"{result}\"}} {count}\n");
        assert!(text.contains(&line), "{line}\n{text}");
    }
    assert!(text.contains("facematch_library_read_seconds_count{source=\"s3\"} 1\n"), "{text}");
    assert_eq!(text.matches("facematch_library_reads_total{").count(), 10, "{text}");
}
