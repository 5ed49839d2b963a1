//! The trace of a match that another replica adopts.

use std::path::PathBuf;

use crate::{
    replicas::fleet::{Environment, Fleet, Plan},
    support::portrait_request,
    traces::collector::{Collector, attribute},
};

/// Every trace is recorded, and sent soon.
fn traced(collector: &Collector) -> Environment {
    [
        ("FACEMATCH_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_SERVICE_NAME", "matches"),
    ]
    .map(|(name, value)| (name, PathBuf::from(value)))
    .to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_that_another_replica_adopts_is_linked_to_its_call() {
    let collector = Collector::start().await;
    let environments = vec![traced(&collector); 3];
    let mut fleet = Fleet::start_by_plan(Plan { environments, ..Plan::default() }).await;
    let mut client = fleet.client(0).await;
    let created = client.create_match(portrait_request(&fleet.folder())).await.unwrap();
    let m = created.into_inner();
    let call = collector.wait_for("facematch.v1.FaceMatch/CreateMatch", 1).await.remove(0);
    // The replica takes its span of the match with it.
    fleet.kill(0);
    fleet.end_all_analyses();
    fleet.wait_until_ended(1, &m.match_id).await;
    let spans = collector.wait_for("match", 1).await;
    let finished = |span: &&_| of(span, "facematch.state") == "finished";
    let adopted = spans.iter().find(finished).expect("the last span of the match");
    assert_eq!(of(adopted, "facematch.match_id"), m.match_id);
    assert!(of(adopted, "facematch.epoch").parse::<u64>().unwrap() > 1);
    let links: Vec<_> = adopted.links.iter().map(|link| (&link.trace_id, &link.span_id)).collect();
    assert_eq!(links, [(&call.trace_id, &call.span_id)]);
    let resources = collector.resources();
    assert!(resources.iter().all(|resource| attribute(resource, "service.name") == "matches"));
    fleet.shut_down_all().await;
}

fn of(span: &opentelemetry_proto::tonic::trace::v1::Span, name: &str) -> String {
    attribute(&span.attributes, name)
}
