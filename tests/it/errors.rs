//! Errors of valid requests at the wrong time: ids used twice, matches in the wrong state, foreign
//! tokens, an unavailable store.

use facematch::{
    pb::{
        self, CancelMatchRequest, ListMatchesRequest, LivenessPolicy, MatchRequest, PhotoKind,
        WatchMatchRequest, WatchMatchesRequest, cancel_match_request, reference_photo::Source,
        watch_match_request,
    },
    simulator::{Action, Endpoint, Rule, sample},
};
use prost_types::Duration;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tonic::{Code, Status};

use crate::{
    canary::{FILE_NAME, marked},
    support::{Refusal, TestServer, collect, delete, get, last_match, portrait_request, watch},
};

type Change = fn(&mut MatchRequest);

const FIRST_MEDIUM: &str = "f35716ed-7abf-4198-8146-229eb4f2ad25";
const SECOND_MEDIUM: &str = "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1";

fn photo(request: &mut MatchRequest) -> &mut pb::ReferencePhoto {
    request.photo.as_mut().expect("a photo")
}

fn minutes(minutes: i64) -> Option<Duration> {
    Some(Duration { seconds: minutes * 60, nanos: 0 })
}

/// A test server whose analyses never end, so that matches run for as long as a test needs them.
async fn with_endless_analyses() -> TestServer {
    let house = TestServer::build().await;
    house.oz.script([never_finishing()]);
    house
}

fn never_finishing() -> Rule {
    Rule::on(Endpoint::StartAnalyses).then(Action { never_finish: true, ..Default::default() })
}

/// A match whose analysis has started.
async fn running(house: &mut TestServer, request: MatchRequest) -> pb::Match {
    let m = house.client.create_match(request).await.expect("it is accepted").into_inner();
    house.oz.recorded(|all| all.iter().any(|asked| asked.endpoint == Endpoint::GetAnalysis)).await;
    m
}

fn cancel(m: &pb::Match) -> CancelMatchRequest {
    let id = cancel_match_request::Id::MatchId(m.match_id.clone());
    CancelMatchRequest { id: Some(id) }
}

#[tokio::test]
async fn a_request_id_with_other_content_names_the_field_that_differs() {
    let mut house = with_endless_analyses().await;
    let mut request = portrait_request(&house.folder());
    request.request_id = "order 17".into();
    let m = running(&mut house, request.clone()).await;
    let asked = house.requests_to_oz("POST", "/media");
    let table: [(&str, Change); 9] = [
        ("folder_id", |request| request.folder_id = SECOND_MEDIUM.into()),
        ("photo", |request| {
            photo(request).source = Some(Source::Content(marked(sample::stranger_jpeg().into())));
        }),
        ("photo", |request| {
            photo(request).source = Some(Source::FolderMediaId(FIRST_MEDIUM.into()));
        }),
        ("photo.kind", |request| photo(request).set_kind(PhotoKind::IdFront)),
        ("timeout", |request| request.timeout = minutes(19)),
        ("liveness_media_ids", |request| request.liveness_media_ids = vec![FIRST_MEDIUM.into()]),
        ("liveness_policy", |request| request.set_liveness_policy(LivenessPolicy::Run)),
        ("labels", |request| request.labels = [("branch".into(), "riga".into())].into()),
        ("folder_id", |request| {
            request.labels = [("branch".into(), "riga".into())].into();
            request.folder_id = SECOND_MEDIUM.into();
        }),
    ];
    for (field, change) in table {
        let mut other = request.clone();
        change(&mut other);
        let refusal = house.run_refused(other).await;
        refusal.assert(Code::AlreadyExists, "REQUEST_ID_REUSED");
        assert_eq!(refusal.metadata("field"), Some(field));
        assert_eq!(refusal.metadata("match_id"), Some(m.match_id.as_str()));
        let resource = refusal.details.resource_info().expect("the match that has the id");
        assert_eq!(resource.resource_name, m.match_id);
        assert!(!refusal.has_retry_delay());
    }
    assert_eq!(house.requests_to_oz("POST", "/media"), asked);
    assert_eq!(house.load.photo_bytes(), 0, "the photo of a refused call is kept");
    assert_eq!(house.load.unfinished(), 1);
}

#[tokio::test]
async fn a_request_id_with_equal_content_in_any_form_is_the_same_match() {
    let mut house = with_endless_analyses().await;
    let mut request = portrait_request(&house.folder());
    request.request_id = "order 17".into();
    let video = house.oz.folder(&request.folder_id).expect("it").media[0].media_id.to_string();
    request.liveness_media_ids = vec![video.clone()];
    let m = running(&mut house, request.clone()).await;
    let table: [(&str, Change); 8] = [
        ("nothing", |_| {}),
        ("the timeout's default", |request| request.timeout = minutes(20)),
        ("the policy's default", |request| request.set_liveness_policy(LivenessPolicy::Report)),
        ("the kind's default", |request| photo(request).set_kind(PhotoKind::Selfie)),
        ("a file name", |request| photo(request).file_name = format!("Anna, {FILE_NAME}.jpg")),
        ("progress", |request| request.include_progress = true),
        ("the folder in capitals", |request| {
            request.folder_id = request.folder_id.to_uppercase();
        }),
        ("a duplicate id", |request| {
            let twice = request.liveness_media_ids[0].to_uppercase();
            request.liveness_media_ids.push(twice);
        }),
    ];
    for (what, change) in table {
        let mut same = request.clone();
        change(&mut same);
        let found = house.client.create_match(same).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(found.into_inner().match_id, m.match_id, "{what}");
    }
    assert_eq!(house.requests_to_oz("POST", "/media"), 1);
    assert_eq!(house.load.unfinished(), 1);
}

#[tokio::test]
async fn liveness_media_are_a_set() {
    let mut house = TestServer::build().await;
    let mut request = portrait_request(&house.folder());
    request.request_id = "order 17".into();
    request.liveness_media_ids = vec![FIRST_MEDIUM.into(), SECOND_MEDIUM.into()];
    let first = house.run(request.clone()).await;
    request.liveness_media_ids.reverse();
    let second = house.run(request).await;
    assert_eq!(last_match(&first).match_id, last_match(&second).match_id);
}

#[tokio::test]
async fn a_refused_call_uses_up_no_request_id() {
    let mut house = TestServer::build().await;
    let mut request = portrait_request(&house.folder());
    request.request_id = "order 17".into();
    let mut wrong = request.clone();
    photo(&mut wrong).source = Some(Source::Content(b"hello".as_slice().into()));
    house.run_refused(wrong.clone()).await.assert_fields("PHOTO_UNREADABLE", &["photo.content"]);
    photo(&mut wrong).source = Some(Source::ReferenceKey("customer 17".into()));
    house.run_refused(wrong).await.assert(Code::Unimplemented, "NOT_AVAILABLE");
    house.assert_untouched("two refused calls").await;
    let updates = house.run(request).await;
    assert_eq!(last_match(&updates).request_id, "order 17");
    assert_eq!(last_match(&updates).state(), pb::MatchState::Finished);
}

#[tokio::test]
async fn a_match_is_cancelled_while_it_runs_and_erased_after_its_end() {
    let mut house = with_endless_analyses().await;
    let request = portrait_request(&house.folder());
    let m = running(&mut house, request.clone()).await;
    let delete = delete(&m.match_id);
    let refused = house.client.delete_match(delete.clone()).await.expect_err("it runs");
    assert_precondition(refused, "MATCH_RUNNING", &m);

    house.client.cancel_match(cancel(&m)).await.expect("it is cancelled");
    house.client.delete_match(delete.clone()).await.expect("it is erased");
    let again = house.client.delete_match(delete).await.expect_err("it is erased already");
    Refusal::of(again).assert(Code::NotFound, "MATCH_NOT_FOUND");

    house.oz.clear_rules();
    let updates = house.run(request).await;
    let refused =
        house.client.cancel_match(cancel(last_match(&updates))).await.expect_err("it ended");
    assert!(refused.message().contains("FINISHED"), "{refused:?}");
    assert_precondition(refused, "MATCH_ENDED", last_match(&updates));
}

#[track_caller]
fn assert_precondition(status: Status, reason: &str, m: &pb::Match) {
    let refusal = Refusal::of(status);
    refusal.assert(Code::FailedPrecondition, reason);
    let failure = refusal.details.precondition_failure().expect("the failed precondition");
    let [violation] = failure.violations.as_slice() else { panic!("not one: {failure:?}") };
    assert_eq!((violation.r#type.as_str(), &violation.subject), (reason, &m.match_id));
}

#[tokio::test]
async fn a_watch_ahead_of_the_match_is_refused_with_the_sequence_reached() {
    let mut house = TestServer::build().await;
    let m = last_match(&house.run(portrait_request(&house.folder())).await).clone();
    for (after_sequence, fine) in [(4, true), (5, false), (u64::MAX, false)] {
        let id = Some(watch_match_request::Id::MatchId(m.match_id.clone()));
        let watch = WatchMatchRequest { id, after_sequence, include_progress: false };
        match house.client.watch_match(watch).await {
            Ok(updates) => {
                assert!(fine, "{after_sequence}");
                assert_eq!(collect(updates.into_inner()).await.expect("it ends"), []);
            }
            Err(status) => {
                let refusal = Refusal::of(status);
                refusal.assert(Code::OutOfRange, "WATCH_AHEAD");
                assert_eq!(refusal.metadata("reached"), Some("4"));
                assert!(!fine);
            }
        }
    }
}

fn from(token: &str) -> WatchMatchesRequest {
    WatchMatchesRequest { resume_token: token.to_owned(), ..Default::default() }
}

fn page(token: &str) -> ListMatchesRequest {
    ListMatchesRequest { page_size: 1, page_token: token.to_owned(), ..Default::default() }
}

async fn page_token(house: &mut TestServer) -> String {
    for _ in 0..2 {
        house.run(portrait_request(&house.folder())).await;
    }
    let listed = house.client.list_matches(page("")).await.expect("a page").into_inner();
    assert!(!listed.next_page_token.is_empty());
    listed.next_page_token
}

#[tokio::test]
async fn a_page_token_is_valid_with_its_own_filters_and_any_page_size() {
    let mut house = TestServer::build().await;
    let token = page_token(&mut house).await;
    let time = Some(prost_types::Timestamp { seconds: 4_000_000_000, nanos: 0 });
    let table: [fn(&mut ListMatchesRequest, Option<prost_types::Timestamp>); 5] = [
        |list, _| list.folder_id = SECOND_MEDIUM.into(),
        |list, _| list.labels = [("branch".into(), "riga".into())].into(),
        |list, _| list.states = vec![4],
        |list, time| list.created_after = time,
        |list, time| list.created_before = time,
    ];
    for (row, change) in table.into_iter().enumerate() {
        let mut list = page(&token);
        change(&mut list, time);
        let refused = house.client.list_matches(list).await;
        let refusal = Refusal::of(refused.err().unwrap_or_else(|| panic!("row {row} is accepted")));
        refusal.assert_fields("TOKEN_INVALID", &["page_token"]);
    }
    let other_size = ListMatchesRequest { page_size: 7, ..page(&token) };
    let rest = house.client.list_matches(other_size).await.expect("it is accepted").into_inner();
    assert_eq!((rest.matches.len(), rest.next_page_token.as_str()), (1, ""));
}

#[tokio::test]
async fn a_token_older_than_the_retained_events_has_expired() {
    let retention = std::time::Duration::from_millis(10);
    let mut house = TestServer::build_with(|config| config.retention = retention).await;
    let updates = house.run(portrait_request(&house.folder())).await;
    // Expired matches are erased when the service starts, and periodically.
    let mut house = house.restart().await;
    let id = &last_match(&updates).match_id;
    while house.client.get_match(get(id)).await.is_ok() {}

    let refused = house.client.watch_matches(from(&updates[0].resume_token)).await;
    let refusal = Refusal::of(refused.expect_err("it is too old"));
    refusal.assert(Code::OutOfRange, "TOKEN_EXPIRED");
    assert!(!refusal.has_retry_delay());
    for token in ["", "earliest", &updates[3].resume_token] {
        house.client.watch_matches(from(token)).await.expect("no event after the token is erased");
    }
}

/// Changes the journal's file over a second connection, as an operator's tool might.
pub async fn run_sql_on_journal(house: &TestServer, sql: &'static str) {
    let file = house.directory.path().join("facematch.db");
    let options = SqliteConnectOptions::new().filename(file).foreign_keys(false);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("the file");
    sqlx::raw_sql(sql).execute(&mut connection).await.expect("it is executed");
    connection.close().await.expect("it is closed");
}

#[tokio::test]
async fn a_broken_store_is_unavailable_and_a_repeat_works_once_it_is_repaired() {
    let mut house = TestServer::build().await;
    let mut request = portrait_request(&house.folder());
    request.request_id = "order 17".into();
    run_sql_on_journal(&house, "ALTER TABLE matches RENAME TO mislaid").await;
    let refused = [
        house.client.run_match(request.clone()).await.err(),
        house.client.create_match(request.clone()).await.err(),
        house.client.get_match(get(FIRST_MEDIUM)).await.err(),
        house.client.list_matches(page("")).await.err(),
        house
            .client
            .cancel_match(cancel(&pb::Match {
                match_id: FIRST_MEDIUM.into(),
                ..Default::default()
            }))
            .await
            .err(),
        house.client.delete_match(delete(FIRST_MEDIUM)).await.err(),
    ];
    for (row, status) in refused.into_iter().enumerate() {
        let refusal = Refusal::of(status.unwrap_or_else(|| panic!("call {row} succeeds")));
        refusal.assert(Code::Unavailable, "STORE_UNAVAILABLE");
        assert!(refusal.has_retry_delay());
        assert!(!refusal.message.contains("table"), "{}", refusal.message);
    }
    house.assert_released("a broken store").await;
    run_sql_on_journal(&house, "ALTER TABLE mislaid RENAME TO matches").await;
    house.assert_untouched("a repaired store").await;
    let updates = house.run(request).await;
    assert_eq!(last_match(&updates).state(), pb::MatchState::Finished);
}

#[tokio::test]
async fn an_internal_error_reveals_no_details() {
    let mut house = TestServer::build().await;
    let updates = house.run(portrait_request(&house.folder())).await;
    run_sql_on_journal(&house, "DELETE FROM events WHERE sequence = 2").await;
    // The running service has the events in memory; after a restart it must read them.
    let mut house = house.restart().await;
    let watched = house.client.watch_match(watch(&last_match(&updates).match_id)).await;
    let broken = match watched {
        Ok(updates) => collect(updates.into_inner()).await.map(drop),
        Err(refused) => Err(refused),
    };
    let refusal = Refusal::of(broken.expect_err("it can't be read"));
    refusal.assert(Code::Internal, "INTERNAL");
    assert_eq!(refusal.message, "internal error");
    house.assert_works().await;
}
