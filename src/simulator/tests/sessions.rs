//! Login, refresh and expiry of sessions.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Answer, Lab, answer};
use crate::simulator::LoginCode;

async fn login(lab: &Lab, password: &str) -> Answer {
    let (email, _) = lab.simulator.login();
    let body = json!({ "credentials": { "email": email, "password": password } });
    answer(lab.http.post(lab.url("/api/authorize/auth/")).json(&body)).await
}

async fn pair(lab: &Lab) -> (String, String) {
    let (_, password) = lab.simulator.login();
    tokens(&login(lab, password).await.expect(200))
}

fn tokens(pair: &Value) -> (String, String) {
    let token = |key: &str| pair[key].as_str().expect("a pair has both").to_owned();
    (token("access_token"), token("expire_token"))
}

async fn probe(lab: &Lab, token: &str) -> (u16, u64) {
    let get = lab.http.get(lab.url("/api/folders")).header("x-forensic-access-token", token);
    answer(get).await.error()
}

const FINE: (u16, u64) = (200, u64::MAX);

#[tokio::test]
async fn a_login_s_token_is_accepted() {
    let lab = Lab::new().await;
    let (access, _) = pair(&lab).await;
    assert_eq!(access.len(), 128);
    assert_eq!(probe(&lab, &access).await, FINE);
}

#[tokio::test]
async fn refusals_have_the_documented_codes() {
    let lab = Lab::new().await;
    assert_eq!(login(&lab, "wrong").await.error(), (401, 15));
    lab.simulator.switch(|on| on.login_code = LoginCode::Older);
    assert_eq!(login(&lab, "wrong").await.error(), (401, 7));
    lab.simulator.switch(|on| on.login_refused = true);
    assert_eq!(login(&lab, lab.simulator.login().1).await.error(), (401, 7));

    let missing = lab.http.post(lab.url("/api/authorize/auth")).json(&json!({}));
    assert_eq!(answer(missing).await.error(), (400, 3));
    let none = lab.http.get(lab.url("/api/folders"));
    assert_eq!(answer(none).await.error(), (401, 6));
    assert_eq!(probe(&lab, "unknown").await, (401, 7));
    let plural = lab.http.get(lab.url("/api/folders"));
    let plural = plural.header("X-Forensics-Access-Token", lab.simulator.service_token());
    assert_eq!(answer(plural).await.error(), (401, 6));
}

#[tokio::test]
async fn use_prolongs_sessions_unless_switched_off() {
    let lab = Lab::new().await;
    let (access, _) = pair(&lab).await;
    for _ in 0..3 {
        lab.simulator.skip(Duration::from_secs(800));
        assert_eq!(probe(&lab, &access).await, FINE);
    }
    lab.simulator.skip(Duration::from_secs(901));
    assert_eq!(probe(&lab, &access).await, (401, 8));

    lab.simulator.switch(|on| on.session_sliding = false);
    let (access, _) = pair(&lab).await;
    lab.simulator.skip(Duration::from_secs(800));
    assert_eq!(probe(&lab, &access).await, FINE);
    lab.simulator.skip(Duration::from_secs(101));
    assert_eq!(probe(&lab, &access).await, (401, 8));
}

async fn refresh(lab: &Lab, access: &str, body: Value) -> Answer {
    let post = lab.http.post(lab.url("/api/authorize/refresh/")).json(&body);
    answer(post.header("X-Forensic-Access-Token", access)).await
}

#[tokio::test]
async fn the_old_pair_is_valid_until_the_new_one_is_used() {
    let lab = Lab::new().await;
    let (old, expire) = pair(&lab).await;
    let renewed = refresh(&lab, &old, json!({ "expire_token": expire })).await;
    let (new, _) = tokens(&renewed.expect(200));
    assert_eq!(probe(&lab, &old).await, FINE);
    assert_eq!(probe(&lab, &new).await, FINE);
    assert_eq!(probe(&lab, &old).await, (401, 7));
}

#[tokio::test]
async fn a_refused_refresh_has_the_documented_message() {
    let lab = Lab::new().await;
    let (access, expire) = pair(&lab).await;
    let lacking = refresh(&lab, &access, json!({})).await;
    assert_eq!(
        lacking.expect(400)["error_message"],
        "Could not locate field for key_path expire_token from provided dict data"
    );
    let unknown = refresh(&lab, &access, json!({ "expire_token": "x" })).await;
    assert_eq!(unknown.expect(401)["error_message"], "Session not found");
    let service = lab.simulator.service_token();
    let foreign = refresh(&lab, service, json!({ "expire_token": expire })).await;
    let message = foreign.expect(403)["error_message"].clone();
    assert_eq!(message, "You have not access to refresh this session");
}

#[tokio::test]
async fn a_login_ends_earlier_sessions_when_switched_on() {
    let lab = Lab::new().await;
    let (first, _) = pair(&lab).await;
    pair(&lab).await;
    assert_eq!(probe(&lab, &first).await, FINE);
    lab.simulator.switch(|on| on.login_ends_earlier_sessions = true);
    pair(&lab).await;
    assert_eq!(probe(&lab, &first).await, (401, 7));
    assert_eq!(probe(&lab, lab.simulator.service_token()).await, FINE);
}

#[tokio::test]
async fn sessions_expire_at_once_on_request() {
    let lab = Lab::new().await;
    let (access, _) = pair(&lab).await;
    assert_eq!(lab.simulator.expire_sessions(), 1);
    assert_eq!(probe(&lab, &access).await, (401, 8));
}
