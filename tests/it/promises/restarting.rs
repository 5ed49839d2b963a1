//! Kills of the service at every state of a match, and its restarts.

use std::time::Duration;

use facematch::{
    pb::{Match, MatchRequest, MatchState},
    simulator::{Endpoint, Simulator, sample},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    canary::Client,
    checker::{check_all_updates, check_one_photo_and_one_analysis},
    process::Process,
    support::{
        collect, event_name, last_match, portrait_request, read_until, rule, simulator, wait,
        wait_by_request, watch, with_request_id,
    },
};

/// A simulated Oz, a journal's directory, and the request of the only match.
struct Scene {
    oz: Simulator,
    directory: TempDir,
    request: MatchRequest,
}

impl Scene {
    async fn new() -> Self {
        let oz = simulator().await;
        oz.switch(|switches| switches.processing_ms = 50);
        let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        let request = with_request_id("order 17", portrait_request(&folder));
        Self { oz, directory: tempfile::tempdir().unwrap(), request }
    }

    /// Scripts a fault for requests to an endpoint.
    fn when(&self, endpoint: &str, then: Value) {
        self.oz.script([rule(json!({"match": {"endpoint": endpoint}, "then": then}))]);
    }

    fn process(&self, more: &[&str]) -> Process {
        Process::start(&self.oz, self.directory.path(), more)
    }

    /// Begins the match, and kills the service once Oz has got a request to `endpoint`.
    async fn kill_at(&self, endpoint: Endpoint) {
        let process = self.process(&[]);
        let mut client = process.client().await;
        let mut updates = client.run_match(self.request.clone()).await.unwrap().into_inner();
        read_until(&mut updates, "accepted").await;
        let is_asked = |asked: &facematch::simulator::RecordedRequest| {
            asked.endpoint == endpoint && (asked.acted || endpoint != Endpoint::StartAnalyses)
        };
        self.oz.recorded(|all| all.iter().any(is_asked)).await;
        process.kill();
    }

    async fn check_end(&self, client: &mut Client) -> Match {
        let ended = wait_by_request("order 17", Duration::from_secs(60));
        let ended = client.wait_match(ended).await.unwrap().into_inner();
        let updates = client.watch_match(watch(&ended.match_id)).await.unwrap().into_inner();
        let updates = collect(updates).await.unwrap();
        check_all_updates(&updates);
        assert_eq!(last_match(&updates), &ended);
        ended
    }

    fn sent(&self, endpoint: Endpoint) -> usize {
        self.oz.record().iter().filter(|asked| asked.endpoint == endpoint && asked.acted).count()
    }

    /// Checks that the match ends with its verdict and that Oz holds one photo and one analysis.
    async fn check_finished(&self, client: &mut Client) {
        let ended = self.check_end(client).await;
        assert_eq!(ended.state(), MatchState::Finished, "{ended:?}");
        check_one_photo_and_one_analysis(&self.oz, &ended);
        assert_eq!((self.sent(Endpoint::AddMedia), self.sent(Endpoint::StartAnalyses)), (1, 1));
    }
}

#[tokio::test]
async fn a_photo_lost_in_a_kill_is_restored_by_a_repeat_of_the_request() {
    let scene = Scene::new().await;
    scene.when("add_media", json!({"drop_before_acting": true}));
    scene.kill_at(Endpoint::AddMedia).await;
    let process = scene.process(&[]);
    let mut client = process.client().await;
    scene.oz.clear_rules();
    let mut again = client.run_match(scene.request.clone()).await.unwrap().into_inner();
    let first = read_until(&mut again, "accepted").await.remove(0);
    assert_eq!(first.sequence, 1, "the repeat doesn't stream from the first update");
    let rest = collect(again).await.unwrap();
    assert_eq!(event_name(rest.last().unwrap()), "finished");
    scene.check_finished(&mut client).await;
}

#[tokio::test]
async fn a_match_whose_photo_is_not_sent_again_fails_after_the_grace_period() {
    let scene = Scene::new().await;
    scene.when("add_media", json!({"drop_before_acting": true}));
    scene.kill_at(Endpoint::AddMedia).await;
    let process = scene.process(&["--photo-grace", "300ms"]);
    let ended = scene.check_end(&mut process.client().await).await;
    let error = ended.error.expect("an error");
    assert_eq!((error.reason.as_str(), error.code, error.retryable), ("PHOTO_LOST", 14, true));
    assert_eq!(scene.sent(Endpoint::AddMedia), 0);
}

#[tokio::test]
async fn a_match_whose_photo_is_at_oz_resumes_without_its_caller() {
    let scene = Scene::new().await;
    scene.when("add_media", json!({"never_answer": true}));
    let process = scene.process(&[]);
    let mut client = process.client().await;
    let mut updates = client.run_match(scene.request.clone()).await.unwrap().into_inner();
    read_until(&mut updates, "accepted").await;
    scene.oz.recorded(|all| all.iter().any(|asked| !asked.uploads.is_empty())).await;
    process.kill();
    scene.oz.clear_rules();
    let process = scene.process(&[]);
    scene.check_finished(&mut process.client().await).await;
}

#[tokio::test]
async fn an_unanswered_start_is_found_after_a_kill() {
    let scene = Scene::new().await;
    scene.when("start_analyses", json!({"never_answer": true}));
    scene.kill_at(Endpoint::StartAnalyses).await;
    scene.oz.clear_rules();
    let process = scene.process(&[]);
    scene.check_finished(&mut process.client().await).await;
}

#[tokio::test]
async fn a_polled_match_is_polled_again_after_a_kill() {
    let scene = Scene::new().await;
    scene.oz.switch(|switches| switches.processing_ms = 60_000);
    scene.kill_at(Endpoint::GetAnalysis).await;
    scene.oz.skip(Duration::from_secs(60));
    let process = scene.process(&[]);
    scene.check_finished(&mut process.client().await).await;
}

#[tokio::test]
async fn a_match_survives_repeated_kills_of_the_service() {
    let scene = Scene::new().await;
    scene.oz.switch(|switches| switches.processing_ms = 60_000);
    scene.kill_at(Endpoint::GetAnalysis).await;
    for _ in 0..3 {
        let asked = scene.oz.record().len();
        let process = scene.process(&[]);
        scene.oz.recorded(|all| all.len() > asked + 1).await;
        process.kill();
    }
    scene.oz.skip(Duration::from_secs(60));
    let process = scene.process(&[]);
    scene.check_finished(&mut process.client().await).await;
}

#[tokio::test]
async fn an_ended_match_is_unchanged_after_a_kill() {
    let scene = Scene::new().await;
    let process = scene.process(&[]);
    let mut client = process.client().await;
    let updates = client.run_match(scene.request.clone()).await.unwrap().into_inner();
    let updates = collect(updates).await.unwrap();
    process.kill();
    let asked = scene.oz.record().len();
    let process = scene.process(&[]);
    let mut client = process.client().await;
    let wait = wait(&updates[0].match_id, Duration::ZERO);
    assert_eq!(&client.wait_match(wait).await.unwrap().into_inner(), last_match(&updates));
    scene.check_end(&mut client).await;
    assert_eq!(scene.oz.record().len(), asked, "Oz gets another request");
}
