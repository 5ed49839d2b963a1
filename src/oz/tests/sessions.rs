//! One session for all requests: opened, kept, renewed, refused.

use super::*;

use futures_util::future::join_all;
use mock::Request;
use tokio::sync::Semaphore;

pub const LOGIN: &str = "/api/authorize/auth/";
pub const REFRESH: &str = "/api/authorize/refresh/";

/// How long the sessions of these tests last: Oz's default.
const LIFETIME: Duration = Duration::from_secs(900);

pub fn is_login(request: &Request) -> bool {
    request.path == LOGIN
}

pub fn is_refresh(request: &Request) -> bool {
    request.path == REFRESH
}

pub fn is_ask(request: &Request) -> bool {
    !is_login(request) && !is_refresh(request)
}

pub fn token_of(request: &Request) -> &str {
    request.headers.get("x-forensic-access-token").map_or("", |token| token.to_str().unwrap())
}

fn seconds(time: Timestamp) -> f64 {
    time.as_micros() as f64 / 1e6
}

/// A pair of tokens as Oz issues it at the start of these tests.
pub fn pair(name: &str) -> Answer {
    pair_until(name, seconds(NOW.after(LIFETIME)))
}

fn pair_until(name: &str, expire_date: f64) -> Answer {
    Answer::json(
        200,
        json!({
            "session_id": "s", "user_id": "u", "expire_date": expire_date,
            "access_token": format!("access-{name}"), "expire_token": format!("expire-{name}"),
        }),
    )
}

pub fn unauthorized() -> Answer {
    Answer::json(
        401,
        json!({ "error_code": 8, "error_message": "Provided user auth token has expired" }),
    )
}

pub fn found() -> Answer {
    Answer::json(200, finished())
}

/// The requests, in order, in short form.
pub fn steps(mock: &Mock) -> Vec<String> {
    let name = |request: &Request| match request.path.as_str() {
        LOGIN => "login".to_owned(),
        REFRESH => format!("refresh {}", token_of(request)),
        _ => format!("ask {}", token_of(request)),
    };
    mock.seen().iter().map(name).collect()
}

pub async fn asked(client: &Client) -> Result<(), Failure> {
    perform(client, &read_analysis()).await.map(|_| ())
}

/// Reads one of many analyses.
pub async fn asked_for_nth(client: &Client, n: u64) -> Result<(), Failure> {
    let analysis_id = format!("analysis-{n}").parse().unwrap();
    perform(client, &Ask::ReadAnalysis { analysis_id }).await.map(|_| ())
}

pub async fn kind_of_nth(client: &Client, n: u64) -> FailureKind {
    asked_for_nth(client, n).await.unwrap_err().kind
}

pub async fn kind_asked(client: &Client) -> FailureKind {
    asked(client).await.unwrap_err().kind
}

#[tokio::test]
async fn a_login_sends_the_credentials_and_no_token() {
    let mock = Mock::answering([pair("1"), found(), found()]).await;
    let client = client(login_settings(&mock.url));
    asked(&client).await.unwrap();
    asked(&client).await.unwrap();
    assert_eq!(steps(&mock), ["login", "ask access-1", "ask access-1"]);
    let login = &mock.seen()[0];
    assert_eq!(login.method, "POST");
    assert_eq!(login.headers["content-type"], "application/json");
    assert_eq!(token_of(login), "");
    let body: Value = serde_json::from_slice(&login.body).unwrap();
    assert_eq!(body, json!({ "credentials": { "email": EMAIL, "password": PASSWORD } }));
}

#[tokio::test]
async fn an_ended_session_is_refreshed_and_the_request_replayed() {
    let mock = Mock::answering([pair("1"), unauthorized(), pair("2"), found()]).await;
    asked(&client(login_settings(&mock.url))).await.unwrap();
    assert_eq!(steps(&mock), ["login", "ask access-1", "refresh access-1", "ask access-2"]);
    let body: Value = serde_json::from_slice(&mock.seen()[2].body).unwrap();
    assert_eq!(body, json!({ "expire_token": "expire-1" }));
}

#[tokio::test]
async fn a_refused_refresh_falls_back_to_a_login() {
    for refusal in [
        Answer::json(401, json!({ "error_code": 7, "error_message": "Session not found" })),
        Answer::http(403, &[], ""),
        Answer::http(400, &[], ""),
        Answer::http(404, &[], ""),
        Answer::http(500, &[], ""),
        Answer::http(200, &[], "<html>"),
        Answer::json(200, json!({})),
    ] {
        let answers = [pair("1"), unauthorized(), refusal, pair("2"), found()];
        let mock = Mock::answering(answers).await;
        asked(&client(login_settings(&mock.url))).await.unwrap();
        let expected = ["login", "ask access-1", "refresh access-1", "login", "ask access-2"];
        assert_eq!(steps(&mock), expected);
    }
}

#[tokio::test]
async fn trouble_while_refreshing_is_reported_as_itself() {
    for (answer, kind) in [
        (Answer::Hangup, FailureKind::Interrupted),
        (Answer::http(429, &[("Retry-After", "3")], ""), FailureKind::RateLimited),
    ] {
        let mock = Mock::answering([pair("1"), unauthorized(), answer]).await;
        assert_eq!(kind_asked(&client(login_settings(&mock.url))).await, kind);
        assert_eq!(mock.count(is_login), 1);
    }
}

#[tokio::test]
async fn a_pair_without_an_expire_token_is_followed_by_a_login() {
    let only = |name: &str| Answer::json(200, json!({ "access_token": format!("access-{name}") }));
    let mock = Mock::answering([only("1"), unauthorized(), only("2"), found()]).await;
    asked(&client(login_settings(&mock.url))).await.unwrap();
    assert_eq!(steps(&mock), ["login", "ask access-1", "login", "ask access-2"]);
}

#[tokio::test]
async fn a_request_is_replayed_once() {
    let mock = Mock::serving(|request| match request.path.as_str() {
        LOGIN => pair("1"),
        REFRESH => pair("2"),
        _ => unauthorized(),
    })
    .await;
    assert_eq!(kind_asked(&client(login_settings(&mock.url))).await, FailureKind::SessionRefused);
    assert_eq!(steps(&mock), ["login", "ask access-1", "refresh access-1", "ask access-2"]);
}

#[tokio::test]
async fn forbidden_is_no_reason_to_renew() {
    let forbidden = json!({ "error_code": 9, "error_message": "Not authorized to do this" });
    let mock = Mock::answering([pair("1"), Answer::json(403, forbidden)]).await;
    assert_eq!(kind_asked(&client(login_settings(&mock.url))).await, FailureKind::Forbidden);
    assert_eq!(steps(&mock), ["login", "ask access-1"]);
}

#[tokio::test]
async fn a_service_token_is_used_as_it_is() {
    let mock = Mock::answering([found(), unauthorized()]).await;
    let client = client(settings(&mock.url));
    asked(&client).await.unwrap();
    assert_eq!(kind_asked(&client).await, FailureKind::SessionRefused);
    let ask = format!("ask {SERVICE_TOKEN}");
    assert_eq!(steps(&mock), [ask.as_str(), ask.as_str()]);
}

#[tokio::test]
async fn a_service_token_that_never_worked_is_a_refused_login() {
    let mock = Mock::answering([unauthorized(), unauthorized()]).await;
    let client = client(settings(&mock.url));
    assert_eq!(kind_asked(&client).await, FailureKind::LoginRefused);
    assert_eq!(kind_asked(&client).await, FailureKind::LoginRefused);
}

#[tokio::test]
async fn a_hundred_requests_start_with_one_login() {
    let mock = Mock::serving(|request| if is_login(request) { pair("1") } else { found() }).await;
    let client = client(login_settings(&mock.url));
    let outcomes = join_all((0..100).map(|_| asked(&client))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(mock.count(is_login), 1);
}

#[tokio::test]
async fn a_hundred_refusals_at_once_cost_one_refresh() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Answer::Held(Arc::clone(&gate), Box::new(pair("2")));
    let mock = Mock::serving(move |request| match (request.path.as_str(), token_of(request)) {
        (LOGIN, _) => pair("1"),
        (REFRESH, _) => held.clone(),
        (_, "access-2") => found(),
        (_, _) => unauthorized(),
    })
    .await;
    let client = client(login_settings(&mock.url));
    let script = async {
        // All hundred have been refused before the first gets a new session.
        mock.saw(100, is_ask).await;
        gate.add_permits(100);
    };
    let (outcomes, ()) = tokio::join!(join_all((0..100).map(|_| asked(&client))), script);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!((mock.count(is_login), mock.count(is_refresh), mock.count(is_ask)), (1, 1, 200));
}

#[tokio::test]
async fn requests_that_wait_for_a_failing_login_share_its_failure() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Answer::Held(Arc::clone(&gate), Box::new(Answer::http(503, &[], "")));
    let mock = Mock::serving(move |_| held.clone()).await;
    let client = client(login_settings(&mock.url));
    let script = async {
        mock.saw(1, is_login).await;
        gate.add_permits(100);
    };
    let (outcomes, ()) = tokio::join!(join_all((0..100).map(|_| kind_asked(&client))), script);
    assert!(outcomes.iter().all(|kind| *kind == FailureKind::ServerError));
    assert_eq!(mock.count(is_login), 1);
}

#[tokio::test]
async fn the_next_request_logs_in_if_the_first_is_dropped() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Answer::Held(Arc::clone(&gate), Box::new(pair("1")));
    let mock =
        Mock::serving(move |request| if is_login(request) { held.clone() } else { found() }).await;
    let client = client(login_settings(&mock.url));
    tokio::select! {
        _ = asked(&client) => panic!("the request was answered"),
        () = mock.saw(1, is_login) => {}
    }
    gate.add_permits(2);
    asked(&client).await.unwrap();
}

#[tokio::test]
async fn a_refused_login_is_not_tried_again_for_a_while() {
    let refusal =
        Answer::json(401, json!({ "error_code": 15, "error_message": "Invalid auth credentials" }));
    let mock = Mock::answering([refusal.clone(), refusal, pair("1"), found()]).await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    let first = asked(&client).await.unwrap_err();
    assert_eq!((first.kind, first.http_status), (FailureKind::LoginRefused, Some(401)));
    assert_eq!((first.error_code, first.message.as_str()), (Some(15), "Invalid auth credentials"));
    for _ in 0..10 {
        assert_eq!(asked(&client).await, Err(first.clone()));
    }
    assert_eq!(mock.count(is_login), 1);
    hand.advance(Duration::from_secs(5));
    assert_eq!(asked(&client).await, Err(first));
    assert_eq!(mock.count(is_login), 2);
    hand.advance(Duration::from_secs(5));
    asked(&client).await.unwrap();
}

#[tokio::test]
async fn any_4xx_from_oz_to_a_login_is_a_refused_login() {
    for status in [400, 401, 403, 404, 405, 413, 422] {
        let refusal = json!({ "error_code": 3, "error_message": "Required param is missing" });
        let mock = Mock::answering([Answer::json(status, refusal)]).await;
        let kind = kind_asked(&client(login_settings(&mock.url))).await;
        assert_eq!(kind, FailureKind::LoginRefused, "{status}");
    }
}

#[tokio::test]
async fn a_gateways_4xx_to_a_login_is_not_a_refused_login() {
    for status in [400, 401, 403, 404, 405, 413] {
        let answer = Answer::http(status, &[], "<html>Not here</html>");
        let mock = Mock::answering([answer, pair("1"), found()]).await;
        let client = client(login_settings(&mock.url));
        assert_eq!(kind_asked(&client).await, FailureKind::Foreign, "{status}");
        asked(&client).await.unwrap();
    }
}

#[tokio::test]
async fn trouble_with_a_login_is_no_refusal_and_causes_no_pause() {
    for (answer, kind) in [
        (Answer::http(500, &[], ""), FailureKind::ServerError),
        (Answer::http(503, &[], "<html>"), FailureKind::ServerError),
        (Answer::http(429, &[], ""), FailureKind::RateLimited),
        (Answer::http(302, &[], ""), FailureKind::Redirected),
        (Answer::http(200, &[], "<html>"), FailureKind::Unreadable),
        (Answer::json(200, json!({ "access_token": 5 })), FailureKind::Incomplete),
        (Answer::json(200, json!({ "access_token": "a\nb" })), FailureKind::Incomplete),
        (Answer::Hangup, FailureKind::Interrupted),
    ] {
        let mock = Mock::answering([answer, pair("1"), found()]).await;
        let client = client(login_settings(&mock.url));
        assert_eq!(kind_asked(&client).await, kind);
        asked(&client).await.unwrap();
    }
}

#[tokio::test]
async fn each_use_prolongs_the_session() {
    let mock = Mock::serving(|request| if is_ask(request) { found() } else { pair("1") }).await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    for _ in 0..10 {
        asked(&client).await.unwrap();
        hand.advance(LIFETIME / 2);
    }
    assert_eq!((mock.count(is_login), mock.count(is_refresh)), (1, 0));
}

#[tokio::test]
async fn an_idle_session_is_renewed_before_it_is_used() {
    let mock = Mock::answering([pair("1"), found(), pair_until("2", 0.0), found()]).await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    asked(&client).await.unwrap();
    hand.advance(LIFETIME - Duration::from_secs(30));
    asked(&client).await.unwrap();
    assert_eq!(steps(&mock), ["login", "ask access-1", "refresh access-1", "ask access-2"]);
}

#[tokio::test]
async fn a_failed_request_does_not_prolong_the_session() {
    let answers = [pair("1"), Answer::http(500, &[], ""), pair("2"), found()];
    let mock = Mock::answering(answers).await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    hand.advance(Duration::from_secs(1));
    asked(&client).await.unwrap_err();
    hand.advance(LIFETIME - Duration::from_secs(30));
    asked(&client).await.unwrap();
    assert_eq!(mock.count(is_refresh), 1);
}

#[tokio::test]
async fn an_old_session_that_cannot_be_renewed_is_used_while_it_is_valid() {
    let trouble = Answer::http(503, &[], "");
    let mock = Mock::answering([pair("1"), found(), trouble.clone(), trouble, found()]).await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    asked(&client).await.unwrap();
    hand.advance(LIFETIME);
    asked(&client).await.unwrap();
    let expected = ["login", "ask access-1", "refresh access-1", "login", "ask access-1"];
    assert_eq!(steps(&mock), expected);
}

#[tokio::test]
async fn an_implausible_lifetime_counts_as_unknown() {
    for end in [0.0, seconds(NOW), seconds(NOW) - 5000.0, -1.0] {
        let mock = Mock::answering([pair_until("1", end), found(), found()]).await;
        let (client, hand) = client_in_time(login_settings(&mock.url));
        asked(&client).await.unwrap();
        hand.advance(LIFETIME * 1000);
        asked(&client).await.unwrap();
        assert_eq!(steps(&mock), ["login", "ask access-1", "ask access-1"], "{end}");
    }
}

#[tokio::test]
async fn a_session_ended_by_another_login_is_replaced() {
    let mock = Mock::answering([
        pair("1"),
        found(),
        unauthorized(),
        Answer::http(401, &[], ""),
        pair("2"),
        found(),
    ])
    .await;
    let client = client(login_settings(&mock.url));
    asked(&client).await.unwrap();
    asked(&client).await.unwrap();
    assert_eq!((mock.count(is_login), mock.count(is_refresh)), (2, 1));
}

/// An Oz that refuses every session once it has been used.
async fn refusing_oz() -> Mock {
    Mock::serving(|request| if is_ask(request) { unauthorized() } else { pair("1") }).await
}

#[tokio::test]
async fn a_session_that_is_unexpectedly_refused_is_renewed_at_once() {
    let answers =
        [pair("1"), unauthorized(), pair("2"), found(), unauthorized(), pair("3"), found()];
    let mock = Mock::answering(answers).await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    asked(&client).await.unwrap();
    hand.advance(Duration::from_secs(300));
    asked(&client).await.unwrap();
    assert_eq!(mock.count(is_refresh), 2);
}

#[tokio::test]
async fn sessions_refused_in_a_row_are_renewed_after_growing_pauses() {
    let mock = refusing_oz().await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    let renewals = || mock.count(|request| !is_ask(request));
    assert_eq!(kind_of_nth(&client, 0).await, FailureKind::SessionRefused);
    assert_eq!(renewals(), 2, "the login, and a renewal at once");
    let (mut elapsed, mut renewed_at) = (0, vec![0]);
    while renewed_at.len() < 9 {
        let before = renewals();
        assert_eq!(kind_of_nth(&client, 1 + elapsed).await, FailureKind::SessionRefused);
        if renewals() > before {
            renewed_at.push(elapsed);
        }
        hand.advance(Duration::from_millis(500));
        elapsed += 500;
    }
    let pauses: Vec<u64> = renewed_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
}

#[tokio::test]
async fn nothing_is_sent_without_a_session_and_the_failure_says_for_how_long() {
    let mock = refusing_oz().await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    asked(&client).await.unwrap_err();
    let refused = asked_for_nth(&client, 1).await.unwrap_err();
    assert_eq!((refused.http_status, refused.withheld()), (Some(401), None), "it was sent");
    let so_far = mock.seen().len();
    hand.advance(Duration::from_millis(400));
    for failure in join_all((0..100).map(|_| asked(&client))).await {
        let failure = failure.unwrap_err();
        assert_eq!(failure.kind, FailureKind::SessionRefused);
        assert_eq!(failure.withheld(), Some(Duration::from_millis(600)));
    }
    assert_eq!(mock.seen().len(), so_far);
}

#[tokio::test]
async fn a_long_session_ends_the_pauses() {
    let refuses = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let refusing = Arc::clone(&refuses);
    let mock = Mock::serving(move |request| {
        let refuse = refusing.load(std::sync::atomic::Ordering::SeqCst);
        match is_ask(request) {
            true if refuse => unauthorized(),
            true => found(),
            false => pair("1"),
        }
    })
    .await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    let set = |refuse| refuses.store(refuse, std::sync::atomic::Ordering::SeqCst);
    for n in 0..20 {
        asked_for_nth(&client, n).await.unwrap_err();
        hand.advance(Duration::from_secs(30));
    }
    set(false);
    hand.advance(Duration::from_secs(60));
    asked(&client).await.unwrap();
    hand.advance(Duration::from_secs(300));
    set(true);
    let before = mock.count(is_refresh);
    asked(&client).await.unwrap_err();
    assert_eq!(mock.count(is_refresh), before + 1, "at once");
}
