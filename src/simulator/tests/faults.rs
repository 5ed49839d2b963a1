//! Every fault that a rule can cause, as a client sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::client::{Lab, answer};
use crate::simulator::{
    Action, AnalysisType, Answered, Config, Endpoint, Gateway, Outcome, Rule, sample,
};

fn on_upload(action: Action) -> Rule {
    Rule::on(Endpoint::AddMedia).nth(1).then(action)
}

async fn upload_breaks(lab: &Lab, folder: &str) {
    let sent = lab.upload(folder, sample::portrait_jpeg()).send().await;
    let error = sent.expect_err("the connection breaks without an answer");
    assert!(error.status().is_none(), "{error}");
}

fn media(lab: &Lab, folder: &str) -> usize {
    lab.simulator.folder(folder).map_or(0, |folder| folder.media.len())
}

#[tokio::test]
async fn a_request_dropped_before_acting_has_no_effect() {
    let (lab, folder) = Lab::with_folder().await;
    lab.simulator.script([on_upload(Action { drop_before_acting: true, ..Action::default() })]);
    upload_breaks(&lab, &folder).await;
    assert_eq!(media(&lab, &folder), 1);
    let record = lab.simulator.record();
    assert_eq!((record[0].answered, record[0].acted), (Answered::Dropped, false));
    assert_eq!(record[0].rules, ["0"]);
    answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201);
}

#[tokio::test]
async fn a_request_dropped_after_acting_has_its_effect() {
    let (lab, folder) = Lab::with_folder().await;
    lab.simulator.script([on_upload(Action { drop_after_acting: true, ..Action::default() })]);
    upload_breaks(&lab, &folder).await;
    assert_eq!(media(&lab, &folder), 2);
    let record = lab.simulator.record();
    assert_eq!((record[0].answered, record[0].acted), (Answered::Dropped, true));
}

#[tokio::test]
async fn a_dropped_request_may_be_acted_on_later() {
    let (lab, folder) = Lab::with_folder().await;
    lab.simulator.script([on_upload(Action { act_after_drop_ms: Some(50), ..Action::default() })]);
    upload_breaks(&lab, &folder).await;
    lab.simulator.recorded(|record| record[0].acted).await;
    assert_eq!(media(&lab, &folder), 2);
    assert_eq!(lab.simulator.record()[0].answered, Answered::Dropped);
}

#[tokio::test]
async fn a_delayed_request_is_acted_on_even_if_its_caller_leaves() {
    let (lab, folder) = Lab::with_folder().await;
    lab.simulator.script([on_upload(Action { delay_ms: Some(300), ..Action::default() })]);
    let upload = lab.upload(&folder, sample::portrait_jpeg()).timeout(Duration::from_millis(100));
    assert!(upload.send().await.expect_err("the caller gives up").is_timeout());
    lab.simulator.recorded(|record| record[0].acted).await;
    assert_eq!(media(&lab, &folder), 2);
    assert_eq!(lab.simulator.record()[0].answered, Answered::Abandoned);
}

#[tokio::test]
async fn an_answer_may_come_late_or_never() {
    let (lab, folder) = Lab::with_folder().await;
    for action in [
        Action { answer_delay_ms: Some(60_000), ..Action::default() },
        Action { never_answer: true, ..Action::default() },
    ] {
        lab.simulator.clear_rules();
        lab.simulator.script([Rule::on(Endpoint::GetFolder).then(action)]);
        let path = format!("/api/folders/{folder}");
        let get = lab.get(&path).timeout(Duration::from_millis(100));
        assert!(get.send().await.expect_err("no answer comes").is_timeout());
    }
    assert!(lab.simulator.record().iter().all(|request| request.acted));
}

#[tokio::test]
async fn a_scripted_status_prevents_acting_unless_act_is_set() {
    let (lab, folder) = Lab::with_folder().await;
    lab.simulator.script([
        on_upload(Action { status: Some(500), ..Action::default() }),
        Rule::on(Endpoint::AddMedia).nth(2).then(Action {
            status: Some(500),
            act: true,
            ..Action::default()
        }),
    ]);
    let refused = answer(lab.upload(&folder, sample::portrait_jpeg())).await;
    assert_eq!((refused.error(), media(&lab, &folder)), ((500, 0), 1));
    let refused = answer(lab.upload(&folder, sample::portrait_jpeg())).await;
    assert_eq!((refused.error(), media(&lab, &folder)), ((500, 0), 2));
}

#[tokio::test]
async fn throttling_comes_with_or_without_retry_after() {
    let (lab, folder) = Lab::with_folder().await;
    let throttled = |retry_after: Option<&str>| Action {
        status: Some(429),
        retry_after: retry_after.map(str::to_owned),
        ..Action::default()
    };
    lab.simulator.script([
        Rule::on(Endpoint::GetFolder).nth(1).then(throttled(Some("7"))),
        Rule::on(Endpoint::GetFolder).nth(2).then(throttled(None)),
    ]);
    let path = format!("/api/folders/{folder}");
    let first = answer(lab.get(&path)).await;
    assert_eq!(first.error(), (429, 101));
    assert_eq!(first.headers["retry-after"], "7");
    let second = answer(lab.get(&path)).await;
    assert_eq!(second.error(), (429, 101));
    assert!(!second.headers.contains_key("retry-after"));
    answer(lab.get(&path)).await.expect(200);
}

#[tokio::test]
async fn a_proxy_answers_with_html() {
    let (lab, folder) = Lab::with_folder().await;
    for status in [502, 504, 413] {
        lab.simulator.clear_rules();
        let action = Action { html: Some(status), ..Action::default() };
        lab.simulator.script([Rule::on(Endpoint::GetFolder).then(action)]);
        let page = answer(lab.get(&format!("/api/folders/{folder}"))).await;
        assert_eq!(
            (page.status, &page.headers["content-type"]),
            (status, &"text/html".parse().expect("valid"))
        );
        assert!(page.body.as_str().is_some_and(|html| html.starts_with("<html>")));
    }
}

#[tokio::test]
async fn a_rule_sets_the_body_and_the_headers() {
    let lab = Lab::new().await;
    let action = Action {
        status: Some(418),
        body: Some(json!({ "tea": true })),
        headers: BTreeMap::from([("x-pot".to_owned(), "short".to_owned())]),
        ..Action::default()
    };
    lab.simulator.script([Rule::on(Endpoint::Version).then(action)]);
    let version = answer(lab.get("/api/version")).await;
    assert_eq!(version.headers["x-pot"], "short");
    assert_eq!(version.expect(418), json!({ "tea": true }));
}

#[tokio::test]
async fn a_truncated_body_breaks_off() {
    let (lab, folder) = Lab::with_folder().await;
    let action = Action { truncate_bytes: Some(20), ..Action::default() };
    lab.simulator.script([Rule::on(Endpoint::GetFolder).then(action)]);
    let get = lab.get(&format!("/api/folders/{folder}"));
    let mut response = get.send().await.expect("the head arrives");
    assert_eq!(response.status(), 200);
    let first = response.chunk().await.expect("the first part arrives").expect("not the end");
    assert_eq!(first.len(), 20);
    assert!(response.chunk().await.is_err());
}

#[tokio::test]
async fn a_slow_body_arrives_whole() {
    let lab = Lab::new().await;
    let action = Action { slow_body_ms: Some(50), ..Action::default() };
    lab.simulator.script([Rule::on(Endpoint::Version).then(action)]);
    assert!(answer(lab.get("/api/version")).await.expect(200).is_object());
}

#[tokio::test]
async fn json_may_be_invalid_or_an_array() {
    let lab = Lab::new().await;
    lab.simulator.script([
        Rule::on(Endpoint::Version).nth(1).then(Action { invalid_json: true, ..Action::default() }),
        Rule::on(Endpoint::Version).nth(2).then(Action { as_array: true, ..Action::default() }),
    ]);
    assert!(answer(lab.get("/api/version")).await.expect(200).is_string());
    assert!(answer(lab.get("/api/version")).await.expect(200).is_array());
}

#[tokio::test]
async fn a_rule_expires_the_session_of_a_request() {
    let (lab, folder) = Lab::with_folder().await;
    let action = Action { expire_session: true, ..Action::default() };
    lab.simulator.script([Rule::on(Endpoint::StartAnalyses).then(action)]);
    answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201);
    let started = answer(lab.analyse(&folder, &json!([{ "type": "biometry" }]))).await;
    assert_eq!(started.error(), (401, 8));
}

#[tokio::test]
async fn an_analysis_may_never_finish() {
    let (lab, folder) = Lab::with_folder().await;
    let action = Action { never_finish: true, ..Action::default() };
    lab.simulator.script([Rule::default().of_type(AnalysisType::Biometry).then(action)]);
    let analysis = lab.match_photo(&folder, sample::portrait_jpeg()).await;
    assert_eq!(
        (&analysis["state"], &analysis["resolution"]),
        (&json!("PROCESSING"), &json!("PROCESSING"))
    );
}

async fn ending(outcome: Outcome) -> serde_json::Value {
    let (lab, folder) = Lab::with_folder().await;
    let action = Action { outcome: Some(outcome), ..Action::default() };
    lab.simulator.script([Rule::default().in_folder(&folder).then(action)]);
    lab.match_photo(&folder, sample::portrait_jpeg()).await
}

#[tokio::test]
async fn a_rule_sets_the_outcome_of_an_analysis() {
    let analysis = ending(Outcome::scored("OPERATOR_REQUIRED", 0.8)).await;
    assert_eq!(analysis["resolution"], "OPERATOR_REQUIRED");
    assert_eq!(analysis["results_data"]["min_confidence"], 0.8);

    let scored = Outcome { min_confidence: Some(0.3), ..Outcome::default() };
    assert_eq!(ending(scored).await["resolution"], "DECLINED");

    let analysis = ending(Outcome::scored("PERHAPS", 7.0)).await;
    assert_eq!(
        (&analysis["resolution_status"], &analysis["results_data"]["min_confidence"]),
        (&json!("PERHAPS"), &json!(7.0))
    );

    let analysis = ending(Outcome { no_score: true, ..Outcome::scored("SUCCESS", 1.0) }).await;
    assert_eq!(
        (&analysis["resolution"], &analysis["results_data"]),
        (&json!("SUCCESS"), &json!(null))
    );

    let failed = Outcome { state: Some("FAILED".to_owned()), ..Outcome::default() };
    let analysis = ending(failed).await;
    assert_eq!((&analysis["state"], &analysis["resolution"]), (&json!("FAILED"), &json!("FAILED")));

    let lagging = Outcome { resolution_lag_ms: Some(3_600_000), ..Outcome::default() };
    let analysis = ending(lagging).await;
    assert_eq!(
        (&analysis["state"], &analysis["resolution"]),
        (&json!("FINISHED"), &json!("PROCESSING"))
    );
}

#[tokio::test]
async fn a_seed_repeats_a_run() {
    let run = || async {
        let lab = Lab::with(Config { seed: Some(42), ..Config::default() }).await;
        let rule = Rule::on(Endpoint::Version);
        let mut rule = rule.then(Action { status: Some(500), ..Action::default() });
        rule.when.probability = Some(0.5);
        lab.simulator.script([rule]);
        let mut statuses = Vec::new();
        for _ in 0..20 {
            statuses.push(answer(lab.get("/api/version")).await.status);
        }
        (lab.empty_folder(), statuses)
    };
    assert_eq!(run().await, run().await);
}

#[tokio::test]
async fn a_gateway_answers_instead_of_oz_for_its_endpoints_only() {
    let (lab, folder) = Lab::with_folder().await;
    lab.simulator.script([on_upload(Action { delay_ms: Some(1), ..Action::default() })]);
    let gateway = Gateway::answering(404).before([Endpoint::AddMedia, Endpoint::Login]);
    lab.simulator.switch(|on| on.gateway = Some(gateway));
    let refused = lab.upload(&folder, sample::portrait_jpeg()).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 404);
    assert_eq!(refused.headers()["content-type"], "text/html");
    assert!(refused.text().await.unwrap().contains("nginx"));
    answer(lab.get(&format!("/api/folders/{folder}"))).await.expect(200);
    let record = lab.simulator.record();
    assert_eq!((record[0].rules.as_slice(), record[0].acted), (&["gateway".to_owned()][..], false));
    lab.simulator.switch(|on| on.gateway = None);
    answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201);
    assert_eq!(lab.simulator.record()[2].rules, ["0"], "the gateway's request isn't counted");
}

#[tokio::test]
async fn a_gateway_ends_by_the_clock_and_may_lose_oz_s_answers() {
    let (lab, folder) = Lab::with_folder().await;
    let set = json!({ "gateway": { "status": 401, "body": { "message": "no" }, "act": true, "for_ms": 60_000 } });
    answer(lab.patch("/sim/switches").json(&set)).await.expect(200);
    let refused = lab.upload(&folder, sample::portrait_jpeg()).send().await.unwrap();
    assert_eq!(refused.headers()["content-type"], "application/json");
    assert_eq!(refused.text().await.unwrap(), r#"{"message":"no"}"#);
    assert_eq!(media(&lab, &folder), 2, "Oz has acted");
    lab.simulator.skip(Duration::from_secs(60));
    answer(lab.upload(&folder, sample::portrait_jpeg())).await.expect(201);
}

#[tokio::test]
async fn an_invalid_gateway_is_refused_with_its_key() {
    let lab = Lab::new().await;
    for (gateway, key) in [
        (json!({ "status": 99 }), "switches.gateway.status"),
        (json!({ "status": 404, "for_ms": 86_400_001 }), "switches.gateway.for_ms"),
        (json!({ "status": 404, "content_type": "a\nb" }), "switches.gateway.content_type"),
        (json!({ "status": 404, "endpoint": "login" }), "endpoint"),
        (json!({}), "status"),
    ] {
        let set = json!({ "gateway": gateway });
        let refused = answer(lab.patch("/sim/switches").json(&set)).await.expect(400);
        assert!(refused["error"].as_str().unwrap().contains(key), "{key}: {refused}");
    }
}
