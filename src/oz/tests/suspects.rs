//! Requests that are refused with any session: they fail alone, and keep the session for others.

use super::{sessions::*, *};

use futures_util::future::join_all;
use mock::Request;
use tokio::sync::Semaphore;

const HTML: &str = "<html>401 Authorization Required</html>";

fn by_a_gateway() -> Answer {
    Answer::http(401, &[], HTML)
}

/// An Oz that accepts every session, but refuses some requests, each time with this answer.
async fn refusing(
    refused: impl Fn(&Request) -> bool + Send + Sync + 'static,
    refusal: Answer,
) -> Mock {
    Mock::serving(move |request| match request.path.as_str() {
        LOGIN | REFRESH => pair("1"),
        _ if refused(request) => refusal.clone(),
        _ => any_analysis(request),
    })
    .await
}

/// The analysis that the request names.
fn any_analysis(request: &Request) -> Answer {
    let id = request.path.rsplit('/').next().unwrap();
    let mut analysis = finished();
    analysis["analyse_id"] = json!(id);
    Answer::json(200, analysis)
}

fn renewals(mock: &Mock) -> usize {
    mock.count(|request| !is_ask(request)) - 1
}

#[tokio::test]
async fn a_request_that_is_always_refused_costs_no_other_request_its_session() {
    for refusal in [unauthorized(), by_a_gateway(), Answer::json(401, json!({ "error_code": 5 }))] {
        let mock = refusing(|request| request.path.contains("analysis-0"), refusal).await;
        let (client, hand) = client_in_time(login_settings(&mock.url));
        for second in 0..600 {
            let refused = asked_for_nth(&client, 0).await.unwrap_err();
            assert_eq!((refused.http_status, refused.withheld()), (Some(401), None));
            asked_for_nth(&client, 1 + second % 7).await.unwrap();
            hand.advance(Duration::from_secs(1));
        }
        assert_eq!(renewals(&mock), 1, "one for the first refusal");
    }
}

#[tokio::test]
async fn a_gateway_that_keeps_refusing_new_requests_costs_no_other_request_its_session() {
    let mock = refusing(|request| !request.path.ends_with("analysis-0"), by_a_gateway()).await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    for n in 1..=300 {
        assert_eq!(kind_of_nth(&client, n).await, FailureKind::Foreign);
        asked_for_nth(&client, 0).await.unwrap();
        hand.advance(Duration::from_secs(1));
    }
    assert!(renewals(&mock) <= 16, "30 s apart in the end: {}", renewals(&mock));
}

#[tokio::test]
async fn new_requests_that_oz_keeps_refusing_cost_no_other_request_its_session() {
    let mock = refusing(|request| !request.path.ends_with("analysis-0"), unauthorized()).await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    asked_for_nth(&client, 0).await.unwrap();
    for n in 1..=300 {
        let refused = asked_for_nth(&client, n).await.unwrap_err();
        assert_eq!(refused.withheld(), None, "{n}");
        asked_for_nth(&client, 0).await.unwrap();
        hand.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_hundred_requests_refused_by_a_gateway_are_replayed_after_one_refresh() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Answer::Held(Arc::clone(&gate), Box::new(pair("2")));
    let mock = Mock::serving(move |request| match (request.path.as_str(), token_of(request)) {
        (LOGIN, _) => pair("1"),
        (REFRESH, _) => held.clone(),
        (_, "access-2") => any_analysis(request),
        (_, _) => by_a_gateway(),
    })
    .await;
    let client = client(login_settings(&mock.url));
    let script = async {
        mock.saw(100, is_ask).await;
        gate.add_permits(100);
    };
    let all = join_all((0..100).map(|n| asked_for_nth(&client, n)));
    let (outcomes, ()) = tokio::join!(all, script);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(renewals(&mock), 1);
}

#[tokio::test]
async fn a_gateway_that_refuses_at_random_causes_no_storm_of_renewals() {
    let seen = std::sync::Mutex::new(std::collections::HashSet::new());
    let mock = Mock::serving(move |request| match request.path.as_str() {
        LOGIN | REFRESH => pair("1"),
        path if seen.lock().unwrap().insert(path.to_owned()) => by_a_gateway(),
        _ => any_analysis(request),
    })
    .await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    for n in 0..290 {
        let _ = asked_for_nth(&client, n).await;
        asked_for_nth(&client, n).await.unwrap();
        hand.advance(Duration::from_secs(1));
    }
    assert!(renewals(&mock) <= 16, "{}", renewals(&mock));
}

#[tokio::test]
async fn a_lone_refused_request_renews_in_growing_pauses_and_delays_no_other() {
    let mock = refusing(|request| request.path.contains("analysis-0"), unauthorized()).await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    for _ in 0..300 {
        assert_eq!(kind_of_nth(&client, 0).await, FailureKind::SessionRefused);
        hand.advance(Duration::from_secs(1));
    }
    assert!((3..=16).contains(&renewals(&mock)), "30 s apart in the end");
    asked_for_nth(&client, 1).await.unwrap();
}

#[tokio::test]
async fn a_session_that_ends_is_also_renewed_by_a_request_refused_before() {
    let epoch = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let now = Arc::clone(&epoch);
    // Until it recovers, Oz refuses one request; from then on it refuses all with earlier sessions.
    let mock = Mock::serving(move |request| {
        let well = now.load(std::sync::atomic::Ordering::SeqCst) == 1;
        match request.path.as_str() {
            LOGIN | REFRESH if well => pair("new"),
            LOGIN | REFRESH => pair("old"),
            path if !well && path.contains("analysis-0") => unauthorized(),
            _ if well && token_of(request) != "access-new" => unauthorized(),
            _ => any_analysis(request),
        }
    })
    .await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    for _ in 0..10 {
        asked_for_nth(&client, 0).await.unwrap_err();
        asked_for_nth(&client, 1).await.unwrap();
        hand.advance(Duration::from_secs(1));
    }
    epoch.store(1, std::sync::atomic::Ordering::SeqCst);
    let mut tries = 0;
    while asked_for_nth(&client, 0).await.is_err() {
        tries += 1;
        assert!(tries < 5, "nothing renews the session");
        hand.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_get_is_replayed_after_any_401_and_a_post_only_after_ozs_own() {
    for (refusal, replays_posts) in [(unauthorized(), true), (by_a_gateway(), false)] {
        for ask in [read_folder(), read_analysis(), start_analyses(), upload_photo()] {
            let mock = refusing(|_| true, refusal.clone()).await;
            let failure = perform(&client(login_settings(&mock.url)), &ask).await.unwrap_err();
            let sent = mock.count(is_ask);
            let replayed = replays_posts || !ask.kind().changes_oz();
            assert_eq!(sent, if replayed { 2 } else { 1 }, "{ask:?}");
            assert_eq!(renewals(&mock), 1, "{ask:?}");
            assert_eq!(failure.kind.may_have_acted(), !replays_posts);
        }
    }
}

#[tokio::test]
async fn a_session_that_a_gateway_refuses_is_renewed_and_the_request_replayed() {
    let mock = Mock::answering([pair("1"), by_a_gateway(), pair("2"), found()]).await;
    asked(&client(login_settings(&mock.url))).await.unwrap();
    assert_eq!(steps(&mock), ["login", "ask access-1", "refresh access-1", "ask access-2"]);
}

#[tokio::test]
async fn a_failed_renewal_leaves_the_session_to_other_requests() {
    let mock = Mock::serving({
        let logins = std::sync::atomic::AtomicUsize::new(0);
        move |request| match request.path.as_str() {
            LOGIN if logins.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 => pair("1"),
            LOGIN | REFRESH => Answer::http(404, &[], HTML),
            path if path.contains("analysis-0") => by_a_gateway(),
            _ => any_analysis(request),
        }
    })
    .await;
    let (client, hand) = client_in_time(login_settings(&mock.url));
    for _ in 0..30 {
        assert_eq!(kind_of_nth(&client, 0).await, FailureKind::Foreign);
        asked_for_nth(&client, 1).await.unwrap();
        hand.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_gateways_401_says_nothing_about_a_service_token() {
    let mock = Mock::answering([by_a_gateway(), found()]).await;
    let client = client(settings(&mock.url));
    assert_eq!(kind_asked(&client).await, FailureKind::Foreign);
    asked(&client).await.unwrap();
}
