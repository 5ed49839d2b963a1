//! What is bounded, and how it ends.

use reqwest::StatusCode;

use super::client::{Lab, answer, http};
use crate::simulator::{Config, Simulator, SimulatorLimits};

#[tokio::test]
async fn folders_and_the_record_forget_the_oldest() {
    let limits =
        SimulatorLimits { folders_max: 2, record_entries_max: 3, ..SimulatorLimits::default() };
    let lab = Lab::with(Config { limits, ..Config::default() }).await;
    let first = lab.empty_folder();
    for _ in 0..5 {
        lab.empty_folder();
        answer(lab.get("/api/version")).await.expect(200);
    }
    assert_eq!(lab.simulator.folders().len(), 2);
    assert_eq!(lab.simulator.folder(&first), None);
    let kept: Vec<_> = lab.simulator.record().iter().map(|request| request.n).collect();
    assert_eq!(kept, [3, 4, 5]);
}

#[tokio::test]
async fn a_test_needs_one_line() {
    let simulator = Simulator::start().await;
    let version = http().get(format!("{}/api/version", simulator.url())).send().await;
    assert_eq!(version.map(|it| it.status()).ok(), Some(StatusCode::OK));
}

#[tokio::test]
async fn a_stopped_simulator_is_gone() {
    let lab = Lab::new().await;
    answer(lab.get("/api/version")).await.expect(200);
    let Lab { simulator, http, .. } = lab;
    let url = format!("{}/api/version", simulator.url());
    simulator.stop().await;
    let error = http.get(&url).send().await.expect_err("nobody listens any more");
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn ids_are_never_used_twice_without_a_seed() {
    let (one, other) = (Simulator::start().await, Simulator::start().await);
    let folder = |simulator: &Simulator| simulator.add_folder(Default::default());
    assert_ne!(folder(&one), folder(&other));
}

#[tokio::test]
async fn what_callers_say_is_bounded_too() {
    let limits = SimulatorLimits { record_bytes_max: 5_000, ..SimulatorLimits::default() };
    let lab = Lab::with(Config { limits, ..Config::default() }).await;
    for _ in 0..5 {
        let words = serde_json::json!({ "folder:meta_data": { "long": "x".repeat(2_000) } });
        answer(lab.post("/api/folders/").json(&words)).await.expect(201);
    }
    let kept: Vec<_> = lab.simulator.record().iter().map(|request| request.n).collect();
    assert_eq!(kept, [4, 5]);
}
