//! Rules by name, and rules that match by metadata and media.

use serde_json::{Value, json};

use super::client::{Answer, Lab, answer};
use crate::simulator::{Action, Endpoint, Rule, sample};

async fn put(lab: &Lab, name: &str, rule: &Value) -> Answer {
    answer(lab.http.put(lab.url(&format!("/sim/rules/{name}"))).json(rule)).await
}

async fn get(lab: &Lab, path: &str) -> Answer {
    answer(lab.http.get(lab.url(path))).await
}

async fn remove(lab: &Lab, name: &str) -> Answer {
    answer(lab.http.delete(lab.url(&format!("/sim/rules/{name}")))).await
}

async fn version(lab: &Lab) -> u16 {
    answer(lab.get("/api/version")).await.status
}

#[tokio::test]
async fn a_rule_is_added_read_replaced_and_removed_by_its_name() {
    let lab = Lab::new().await;
    lab.simulator.script([Rule::on(Endpoint::GetFolder).named("theirs")]);
    let busy =
        |status: u16| json!({ "match": { "endpoint": "version" }, "then": { "status": status } });
    put(&lab, "my%20rule", &busy(503)).await.expect(200);
    assert_eq!(version(&lab).await, 503);
    put(&lab, "my%20rule", &busy(500)).await.expect(200);
    assert_eq!(version(&lab).await, 500);
    assert_eq!(lab.simulator.record()[1].rules, ["my rule"]);
    let mine = get(&lab, "/sim/rules/my%20rule").await.expect(200);
    assert_eq!(mine["items"][0]["counts"], json!({ "seen": 1, "applied": 1 }));
    assert_eq!(mine["items"][0]["then"]["status"], 500);
    assert_eq!(remove(&lab, "my%20rule").await.expect(200), json!({ "removed": 1 }));
    assert_eq!(version(&lab).await, 200);
    let left = get(&lab, "/sim/rules").await.expect(200);
    assert_eq!(left["items"][0]["name"], "theirs");
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_missing_or_invalid_rule_is_refused_by_name() {
    let lab = Lab::new().await;
    for refused in [remove(&lab, "mine").await, get(&lab, "/sim/rules/mine").await] {
        let error = refused.expect(404)["error"].as_str().map(str::to_owned);
        assert!(error.is_some_and(|it| it.contains("mine") && it.contains("GET /sim/rules")));
    }
    let then = json!({ "name": "other", "then": {} });
    put(&lab, "mine", &then).await.expect(400);
    let unknown = json!({ "then": { "delay": 1 } });
    let refused = put(&lab, "mine", &unknown).await.expect(400);
    assert!(refused["error"].as_str().is_some_and(|it| it.contains("delay")), "{refused}");
    put(&lab, "mine", &json!({ "match": { "media_digest": "odd" }, "then": {} })).await.expect(400);
    put(&lab, &"x".repeat(201), &json!({ "then": {} })).await.expect(400);
}

#[tokio::test]
async fn a_full_script_says_how_to_make_room() {
    let lab = Lab::new().await;
    lab.simulator.script(vec![Rule::default().named("many"); 1_000]);
    for refused in [
        put(&lab, "more", &json!({ "then": {} })).await,
        answer(
            lab.http
                .post(lab.url("/sim/script"))
                .json(&json!({"version": 1, "rules": [{"then": {}}]})),
        )
        .await,
    ] {
        let error = refused.expect(400)["error"].as_str().map(str::to_owned);
        assert!(error.is_some_and(|it| it.contains("1000") && it.contains("DELETE /sim/rules/")));
    }
    assert_eq!(remove(&lab, "many").await.expect(200), json!({ "removed": 1_000 }));
}

#[tokio::test]
async fn a_rule_declines_a_transaction_whose_folder_comes_later() {
    let lab = Lab::new().await;
    let script = json!({ "version": 1, "rules": [{
        "name": "t-1 is declined",
        "match": { "meta_data": { "transaction_id": "t-1" }, "analysis_type": "biometry" },
        "then": { "outcome": { "resolution": "DECLINED", "min_confidence": 0.3 } },
    }] });
    answer(lab.http.put(lab.url("/sim/script")).json(&script)).await.expect(200);
    for (transaction, expected) in [("t-1", "DECLINED"), ("t-2", "SUCCESS")] {
        let wanted = json!({ "meta_data": { "transaction_id": transaction } });
        let folder = answer(lab.http.post(lab.url("/sim/folders")).json(&wanted)).await.expect(201);
        let folder = folder["folder_id"].as_str().expect("an id");
        assert_eq!(lab.match_photo(folder, sample::portrait_jpeg()).await["resolution"], expected);
    }
    let counts = &get(&lab, "/sim/rules").await.expect(200)["items"][0]["counts"];
    assert_eq!(counts, &json!({ "seen": 1, "applied": 1 }));
}

#[tokio::test]
async fn a_rule_sees_metadata_in_the_request_that_creates_the_folder() {
    let lab = Lab::new().await;
    let busy = Action { status: Some(503), ..Action::default() };
    lab.simulator.script([Rule::on(Endpoint::CreateFolder).with_meta_data("t", "1").then(busy)]);
    for (transaction, expected) in [("1", 503), ("2", 201)] {
        let words = json!({ "folder:meta_data": { "t": transaction } });
        answer(lab.post("/api/folders/").json(&words)).await.expect(expected);
    }
}

#[tokio::test]
async fn a_rule_matches_media_by_metadata_and_by_digest() {
    let (lab, folder) = Lab::with_folder().await;
    let other = lab.simulator.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let digest = blake3::hash(sample::stranger_jpeg()).to_hex().to_string();
    let slow =
        json!({ "match": { "media_digest": digest.to_uppercase() }, "then": { "status": 500 } });
    let mine = json!({ "match": { "media_meta_data": { "match_id": "m-1" } },
                       "then": { "outcome": { "resolution": "DECLINED" } } });
    put(&lab, "digest", &slow).await.expect(200);
    put(&lab, "mine", &mine).await.expect(200);
    answer(lab.upload(&folder, sample::stranger_jpeg())).await.expect(500);
    assert_eq!(lab.match_photo(&folder, sample::portrait_jpeg()).await["resolution"], "DECLINED");
    let analysis = answer(lab.analyse(&other, &json!([{ "type": "quality" }]))).await.expect(201);
    assert_eq!(lab.simulator.record().last().map(|it| it.rules.len()), Some(0), "{analysis}");
    // If a request names media, only those count.
    let held = lab.simulator.folder(&folder).expect("the folder is there");
    let named = json!([{ "type": "quality", "source_media": [held.media[0].media_id] }]);
    answer(lab.analyse(&folder, &named)).await.expect(201);
    assert_eq!(lab.simulator.record().last().map(|it| it.rules.len()), Some(0));
}

#[tokio::test]
async fn a_rule_answers_like_a_gateway_for_a_limited_time() {
    let (lab, folder) = Lab::with_folder().await;
    let rule = json!({
        "match": { "for_ms": 30_000 },
        "then": { "status": 403, "content_type": "application/json; charset=utf-8",
                  "body": { "fault": "maintenance" }, "headers": { "server": "gateway" } },
    });
    put(&lab, "gateway", &rule).await.expect(200);
    let path = format!("/api/folders/{folder}");
    for path in [path.as_str(), "/api/version"] {
        let answered = answer(lab.get(path)).await;
        assert_eq!(answered.headers["server"], "gateway");
        assert_eq!(answered.headers["content-type"], "application/json; charset=utf-8");
        assert_eq!(answered.expect(403), json!({ "fault": "maintenance" }));
    }
    lab.simulator.skip(std::time::Duration::from_secs(30));
    answer(lab.get(&path)).await.expect(200);
}

#[tokio::test]
async fn every_endpoint_that_the_control_api_lists_exists() {
    let lab = Lab::new().await;
    let index = get(&lab, "/sim").await.expect(200);
    assert_eq!(index["schema_version"], 1);
    let endpoints = index["endpoints"].as_array().expect("a list");
    for endpoint in endpoints.iter().filter_map(Value::as_str) {
        let (method, path) = endpoint.split_once(' ').expect("a method and a path");
        let path = path.replace("{id}", "odd").replace("{name}", "odd");
        let method = method.parse().expect("a method");
        let answered = answer(lab.http.request(method, lab.url(&path))).await;
        let error = answered.body["error"].as_str().unwrap_or_default();
        assert!(!error.starts_with("no such /sim/ endpoint"), "{endpoint}");
    }
}
