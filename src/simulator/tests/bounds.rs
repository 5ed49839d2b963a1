//! The limits of a simulator, and its stop.

use reqwest::StatusCode;

use super::client::{Lab, answer, http};
use crate::simulator::{Config, Simulator, SimulatorLimits};

#[tokio::test]
async fn folders_and_the_record_drop_their_oldest_entries() {
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
async fn a_test_starts_a_simulator_in_one_line() {
    let simulator = Simulator::start().await;
    let version = http().get(format!("{}/api/version", simulator.url())).send().await;
    assert_eq!(version.map(|it| it.status()).ok(), Some(StatusCode::OK));
}

#[tokio::test]
async fn a_stopped_simulator_refuses_connections() {
    let lab = Lab::new().await;
    answer(lab.get("/api/version")).await.expect(200);
    let Lab { simulator, http, .. } = lab;
    let url = format!("{}/api/version", simulator.url());
    simulator.stop().await;
    let error = http.get(&url).send().await.expect_err("the port is closed");
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn without_a_seed_ids_never_repeat() {
    let (one, other) = (Simulator::start().await, Simulator::start().await);
    let folder = |simulator: &Simulator| simulator.add_folder(Default::default());
    assert_ne!(folder(&one), folder(&other));
}

#[tokio::test]
async fn the_record_is_bounded_by_bytes_as_well() {
    let limits = SimulatorLimits { record_bytes_max: 5_000, ..SimulatorLimits::default() };
    let lab = Lab::with(Config { limits, ..Config::default() }).await;
    for _ in 0..5 {
        let words = serde_json::json!({ "folder:meta_data": { "long": "x".repeat(2_000) } });
        answer(lab.post("/api/folders/").json(&words)).await.expect(201);
    }
    let kept: Vec<_> = lab.simulator.record().iter().map(|request| request.n).collect();
    assert_eq!(kept, [4, 5]);
}
