//! A tenant never learns of another's match: by id, request id, token, list, stream or error text.

use std::collections::BTreeSet;

use facematch::pb;
use tonic::Code;

use super::*;
use crate::support::{
    Refusal, collect, last_match, portrait_request, wait, watch, watch_after, with_request_id,
};

const ALL: &[&str] = &["match", "read", "erase"];

fn callers() -> Callers {
    Callers::new("[tenant.bank]\n[tenant.shop]\n")
        .with("anna", "bank", ALL)
        .with("ben", "shop", ALL)
}

async fn run(client: &mut CallerClient, request: pb::MatchRequest) -> Vec<pb::MatchUpdate> {
    let updates = client.run_match(request).await.expect("the match is accepted");
    collect(updates.into_inner()).await.expect("the stream ends without an error")
}

/// The refusal of each call that names a match, by either id.
#[expect(clippy::needless_update, reason = "some of the messages have more fields")]
async fn refusals(client: &mut CallerClient, id: &str, request_id: &str) -> Vec<Refusal> {
    let mut refused = Vec::new();
    for by_request in [false, true] {
        macro_rules! named {
            ($message:ident, $module:ident, $call:ident) => {{
                let id = match by_request {
                    false => pb::$module::Id::MatchId(id.to_owned()),
                    true => pb::$module::Id::RequestId(request_id.to_owned()),
                };
                let request = pb::$message { id: Some(id), ..Default::default() };
                refused.push(client.$call(request).await.map(|_| ()));
            }};
        }
        named!(GetMatchRequest, get_match_request, get_match);
        named!(WaitMatchRequest, wait_match_request, wait_match);
        named!(WatchMatchRequest, watch_match_request, watch_match);
        named!(CancelMatchRequest, cancel_match_request, cancel_match);
        named!(DeleteMatchRequest, delete_match_request, delete_match);
    }
    refused.into_iter().map(|answer| Refusal::of(answer.expect_err("it is refused"))).collect()
}

#[tokio::test]
async fn another_tenant_s_match_does_not_exist() {
    let callers = callers();
    let server = callers.serve(|_| {}).await;
    let mut anna = caller(&server, callers.key("anna")).await;
    let mut ben = caller(&server, callers.key("ben")).await;
    let request = with_request_id("order-1", portrait_request(&server.folder()));
    let updates = run(&mut anna, request.clone()).await;
    let id = last_match(&updates).match_id.clone();
    let never = "01890a5d-ac96-774b-bcce-b302099a8057";
    let foreign = refusals(&mut ben, &id, "order-1").await;
    let absent = refusals(&mut ben, never, "order-2").await;
    for (foreign, absent) in foreign.iter().zip(&absent) {
        foreign.assert(Code::NotFound, "MATCH_NOT_FOUND");
        assert_eq!(foreign.message, absent.message, "the texts are the same");
    }
    let ahead = ben.watch_match(watch_after(&id, 99)).await.expect_err("it is refused");
    Refusal::of(ahead).assert(Code::NotFound, "MATCH_NOT_FOUND");
    let listed = ben.list_matches(pb::ListMatchesRequest::default()).await.unwrap().into_inner();
    assert!(listed.matches.is_empty() && listed.next_page_token.is_empty());

    // The same request id is another match, and neither content nor outcome of the first shows.
    let mine = run(&mut ben, with_request_id("order-1", portrait_request(&server.folder()))).await;
    assert_ne!(last_match(&mine).match_id, id);
    let found = anna.get_match(crate::support::get(&id)).await.unwrap().into_inner();
    assert_eq!(found.folder_id, request.folder_id);
}

#[tokio::test]
async fn tokens_of_another_tenant_are_invalid() {
    let callers = callers();
    let server = callers.serve(|_| {}).await;
    let mut anna = caller(&server, callers.key("anna")).await;
    let mut ben = caller(&server, callers.key("ben")).await;
    for client in [&mut anna, &mut ben] {
        for _ in 0..2 {
            run(client, portrait_request(&server.folder())).await;
        }
    }
    let page = pb::ListMatchesRequest { page_size: 1, ..Default::default() };
    let token = anna.list_matches(page.clone()).await.unwrap().into_inner().next_page_token;
    let next = pb::ListMatchesRequest { page_token: token, ..page };
    let refused = Refusal::of(ben.list_matches(next.clone()).await.expect_err("it is refused"));
    refused.assert(Code::InvalidArgument, "TOKEN_INVALID");
    assert_eq!(anna.list_matches(next).await.unwrap().into_inner().matches.len(), 1);

    let mut all = anna.watch_matches(earliest()).await.unwrap().into_inner();
    let mut tokens = Vec::new();
    while tokens.len() < 5 {
        tokens.push(all.message().await.unwrap().unwrap().resume_token);
    }
    for resume_token in tokens {
        let request = pb::WatchMatchesRequest { resume_token, ..Default::default() };
        let refused = Refusal::of(ben.watch_matches(request.clone()).await.expect_err("refused"));
        refused.assert(Code::InvalidArgument, "TOKEN_INVALID");
        assert!(anna.watch_matches(request).await.is_ok());
    }
}

fn earliest() -> pb::WatchMatchesRequest {
    pb::WatchMatchesRequest { resume_token: "earliest".into(), ..Default::default() }
}

#[tokio::test]
async fn a_stream_of_all_matches_shows_the_tenant_s_own() {
    let callers = callers();
    let server = callers.serve(|_| {}).await;
    let mut anna = caller(&server, callers.key("anna")).await;
    let mut ben = caller(&server, callers.key("ben")).await;
    let mut live =
        ben.watch_matches(pb::WatchMatchesRequest::default()).await.unwrap().into_inner();
    let mut own = BTreeSet::new();
    for _ in 0..3 {
        run(&mut anna, portrait_request(&server.folder())).await;
        own.insert(
            last_match(&run(&mut ben, portrait_request(&server.folder())).await).match_id.clone(),
        );
    }
    let mut from_the_start = ben.watch_matches(earliest()).await.unwrap().into_inner();
    for stream in [&mut live, &mut from_the_start] {
        let (mut seen, mut ended) = (BTreeSet::new(), 0);
        while ended < own.len() {
            let update = stream.message().await.unwrap().unwrap();
            if !update.match_id.is_empty() {
                ended +=
                    usize::from(matches!(update.event, Some(pb::match_update::Event::Finished(_))));
                seen.insert(update.match_id);
            }
        }
        assert_eq!(seen, own);
    }
    let listed = ben.list_matches(pb::ListMatchesRequest::default()).await.unwrap().into_inner();
    let listed: BTreeSet<_> = listed.matches.into_iter().map(|m| m.match_id).collect();
    assert_eq!(listed, own);
}

/// A store from before callers were authenticated belongs to the tenant `default`.
#[tokio::test]
async fn an_existing_store_belongs_to_the_tenant_default() {
    let mut server = crate::support::TestServer::build().await;
    let id = last_match(&server.run(portrait_request(&server.folder())).await).match_id.clone();
    let mut all = server.client.watch_matches(earliest()).await.unwrap().into_inner();
    let token = all.message().await.unwrap().unwrap().resume_token;
    drop(all);
    let callers = Callers::new("[tenant.default]\n[tenant.shop]\n")
        .with("anna", "default", ALL)
        .with("ben", "shop", ALL);
    let file = tempfile::NamedTempFile::new().unwrap();
    callers.write(file.path());
    server.config.callers_file = Some(file.path().to_owned());
    let server = server.restart().await;
    let mut anna = caller(&server, callers.key("anna")).await;
    let mut ben = caller(&server, callers.key("ben")).await;
    assert_eq!(
        anna.wait_match(wait(&id, std::time::Duration::ZERO)).await.unwrap().into_inner().match_id,
        id
    );
    assert!(anna.watch_match(watch(&id)).await.is_ok());
    let resumed = pb::WatchMatchesRequest { resume_token: token, ..Default::default() };
    assert!(anna.watch_matches(resumed.clone()).await.is_ok());
    Refusal::of(ben.watch_match(watch(&id)).await.unwrap_err())
        .assert(Code::NotFound, "MATCH_NOT_FOUND");
    Refusal::of(ben.watch_matches(resumed).await.unwrap_err())
        .assert(Code::InvalidArgument, "TOKEN_INVALID");
}
