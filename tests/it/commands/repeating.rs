//! `get`, `list`, `cancel` and `delete` repeat a call that broke, or that the server asks to repeat.

use std::time::Duration;

use facematch::pb::{DeleteMatchResponse, ListMatchesResponse, Match};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::commands::{
    peers::Peer,
    program::{Program, Ran},
    showing::assert_lines,
};

fn refusal(code: Code, reason: &str, delay: Option<Duration>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, "facematch", []);
    details.set_retry_info(delay);
    Status::with_error_details(code, "no", details)
}

fn store_away() -> Status {
    refusal(Code::Unavailable, "STORE_UNAVAILABLE", Some(Duration::from_millis(10)))
}

fn no_match() -> Status {
    refusal(Code::NotFound, "MATCH_NOT_FOUND", None)
}

fn found() -> Match {
    Match { match_id: "m".to_owned(), ..Default::default() }
}

fn page(next_page_token: &str) -> ListMatchesResponse {
    ListMatchesResponse { matches: vec![found()], next_page_token: next_page_token.to_owned() }
}

#[tokio::test]
async fn a_call_is_repeated_until_it_is_answered_and_a_notice_says_so_once() {
    for command in ["get m", "cancel --request-id r"] {
        let peer = Peer::scripted([Err(store_away()), Err(store_away()), Ok(found())]).await;
        let ran = Program::new(&format!("{command} --server {}", peer.http())).piped().await;
        ran.assert_code(0);
        assert_lines(&ran.stderr, &["facematch: no (STORE_UNAVAILABLE); trying again"]);
        assert!(ran.stdout.starts_with("match       m\n"), "{ran:?}");
        assert_eq!(peer.calls(), 3, "{command}");
    }
    let erased = DeleteMatchResponse { match_id: "m".to_owned(), ..Default::default() };
    let peer = Peer::scripted([Err(Status::unavailable("gone")), Ok(erased)]).await;
    let line = format!("delete m --output json --server {}", peer.http());
    let ran = Program::new(&line).piped().await;
    ran.assert_code(0);
    let notice = ran.error();
    let told = (&notice["notice"], &notice["cause"]["code"]);
    assert_eq!(told, (&"gone; trying again".into(), &"UNAVAILABLE".into()));
    assert_eq!(ran.stdout, "{\"match_id\":\"m\"}\n");
}

#[tokio::test]
async fn each_page_of_a_list_is_repeated_and_shown_once() {
    let lost = || Err(Status::unavailable("gone"));
    let peer = Peer::scripted([lost(), Ok(page("p")), lost(), Ok(page(""))]).await;
    let line = format!("list --all --output json --server {}", peer.http());
    let ran = Program::new(&line).piped().await;
    ran.assert_code(0);
    assert_eq!(Ran::json(&ran.stdout).len(), 2);
    assert_eq!((Ran::json(&ran.stderr).len(), peer.calls()), (2, 4));
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_has_succeeded_if_its_repeat_finds_no_match() {
    let answers = || [Err::<DeleteMatchResponse, _>(Status::unavailable("gone")), Err(no_match())];
    let peer = Peer::scripted(answers()).await;
    let ran = Program::new(&format!("delete m --server {}", peer.http())).piped().await;
    ran.assert_code(0);
    assert_eq!(ran.stdout, "match m is erased; the answer that named its photo at Oz was lost\n");

    let peer = Peer::scripted(answers()).await;
    let line = format!("delete --request-id r --output json --server {}", peer.http());
    let ran = Program::new(&line).piped().await;
    ran.assert_code(0);
    assert_eq!(ran.stdout, "{\"request_id\":\"r\",\"already_gone\":true}\n");
}

#[tokio::test]
async fn a_deletion_that_had_no_effect_before_its_repeat_found_no_match_has_failed() {
    let delay = Some(Duration::from_millis(10));
    let without_effect = [
        refusal(Code::Unavailable, "SERVER_DRAINING", delay),
        refusal(Code::ResourceExhausted, "OVERLOADED", delay),
    ];
    for first in without_effect {
        let peer = Peer::scripted([Err::<DeleteMatchResponse, _>(first), Err(no_match())]).await;
        let line = format!("delete m --output json --server {}", peer.http());
        let ran = Program::new(&line).piped().await;
        ran.assert_code(4);
        assert_eq!((ran.stdout.as_str(), peer.calls()), ("", 2));
        assert_eq!(Ran::json(&ran.stderr)[1]["reason"], "MATCH_NOT_FOUND", "{ran:?}");
    }
}

#[tokio::test]
async fn a_pause_beyond_the_time_limit_is_not_waited_for_and_the_server_s_error_is_shown() {
    let delay = Some(Duration::from_secs(3_600));
    for command in ["get m", "list", "cancel m", "delete m"] {
        let away = refusal(Code::Unavailable, "STORE_UNAVAILABLE", delay);
        let peer = Peer::scripted([Err::<Match, _>(away)]).await;
        let line = format!("{command} --output json --server {}", peer.http());
        let ran = Program::new(&line).piped().await;
        ran.assert_code(4);
        let error = ran.error();
        let shown = (&error["reason"], &error["retry_delay"]);
        assert_eq!(shown, (&"STORE_UNAVAILABLE".into(), &"3600s".into()), "{command}");
        assert_eq!(peer.calls(), 1, "{command}");
    }
}
