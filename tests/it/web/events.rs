//! The three streams as server-sent events.

use std::collections::VecDeque;

use bytes::Bytes;
use facematch::config::Config;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::{
    support::{PATIENCE, TestServer},
    web::{
        self,
        http::{begin, json_call, path, read, request},
    },
};

use super::json::portrait;

/// One block of a stream, as a reader of events takes it.
#[derive(Clone, PartialEq, Debug, Default)]
struct Event {
    kind: String,
    id: String,
    data: Value,
    retry: Option<u64>,
    comment: String,
}

/// A reader of events.
struct Events {
    body: Incoming,
    text: String,
    blocks: VecDeque<Event>,
    last_id: String,
}

impl Events {
    async fn begin(address: &str, request: http::Request<Full<Bytes>>) -> Self {
        let answer = begin(address, request).await;
        if answer.status() != 200 {
            panic!("{:?}", read(answer).await);
        }
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let body = answer.into_body();
        Self { body, text: String::new(), blocks: VecDeque::new(), last_id: String::new() }
    }

    async fn run(server: &TestServer, json: &Value) -> Self {
        let address = web::address(server);
        Self::begin(&address, json_call(&address, "RunMatch", json)).await
    }

    /// A stream as a page asks for it.
    async fn get(server: &TestServer, method: &str, query: &str, last_id: Option<&str>) -> Self {
        let address = web::address(server);
        let target = format!("{}?{query}", path(method));
        let mut request = request("GET", &address, &target).header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        Self::begin(&address, request.body(Full::default()).unwrap()).await
    }

    /// The next block; `None` at the end of the answer.
    async fn next(&mut self) -> Option<Event> {
        while self.blocks.is_empty() {
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let data = frame.expect("a block in time")?.expect("it isn't cut").into_data().unwrap();
            self.text += std::str::from_utf8(&data).unwrap();
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                self.blocks.push_back(parsed(block));
                self.text = rest.to_owned();
            }
        }
        let event = self.blocks.pop_front()?;
        if !event.id.is_empty() {
            self.last_id.clone_from(&event.id);
        }
        Some(event)
    }

    /// The next event that a page sees.
    async fn event(&mut self) -> Option<Event> {
        loop {
            let next = self.next().await?;
            if next.data != Value::Null {
                return Some(next);
            }
        }
    }

    async fn all(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.event().await {
            all.push(event);
        }
        all
    }
}

fn parsed(block: &str) -> Event {
    let mut event = Event::default();
    for line in block.lines() {
        match line.split_once(':').expect("a field or a comment") {
            ("event", kind) => event.kind = kind.trim().to_owned(),
            ("id", id) => event.id = id.trim().to_owned(),
            ("data", data) => event.data = serde_json::from_str(data).expect("JSON"),
            ("retry", ms) => event.retry = ms.trim().parse().ok(),
            ("", comment) => event.comment = comment.trim().to_owned(),
            other => panic!("{other:?}"),
        }
    }
    event
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

const RUN: [&str; 5] = ["accepted", "photo_uploaded", "analysis_started", "finished", "end"];

#[tokio::test]
async fn a_match_runs_to_its_end_as_events() {
    let server = web::server().await;
    let events = Events::run(&server, &portrait(&server.folder())).await.all().await;
    assert_eq!(kinds(&events), RUN);
    let ids: Vec<_> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", ""]);
    let last = &events[3].data;
    assert_eq!(last["match"]["result"]["resolution"], "RESOLUTION_SUCCESS", "{last}");
    assert!(last["finished"].is_object());
    server.assert_released("a run").await;
}

#[tokio::test]
async fn a_watch_goes_on_after_the_last_event_that_its_page_has_seen() {
    let server = web::server().await;
    let events = Events::run(&server, &portrait(&server.folder())).await.all().await;
    let id = events[0].data["matchId"].as_str().unwrap();
    let query = format!("matchId={id}");
    let all = Events::get(&server, "WatchMatch", &query, None).await.all().await;
    assert_eq!(kinds(&all), RUN);
    for seen in 1..=4 {
        let rest = Events::get(&server, "WatchMatch", &query, Some(&seen.to_string())).await;
        assert_eq!(kinds(&rest.all().await), RUN[seen..], "{seen}");
    }
    let after = Events::get(&server, "WatchMatch", &format!("{query}&afterSequence=3"), None).await;
    assert_eq!(kinds(&after.all().await), ["finished", "end"]);
    let address = web::address(&server);
    let watch = json_call(&address, "WatchMatch", &json!({ "matchId": id, "afterSequence": "2" }));
    assert_eq!(kinds(&Events::begin(&address, watch).await.all().await), RUN[2..]);
}

#[tokio::test]
async fn a_stream_of_all_matches_goes_on_from_its_token_also_from_that_of_a_heartbeat() {
    let quick = |config: &mut Config| config.heartbeat = std::time::Duration::from_millis(100);
    let server = web::server_with(quick).await;
    let mut all = Events::get(&server, "WatchMatches", "", None).await;
    let beat = all.next().await.unwrap();
    assert_eq!((beat.comment.as_str(), beat.data), ("heartbeat", Value::Null));
    assert!(!beat.id.is_empty(), "a reader keeps it");
    drop(all);
    let run = Events::run(&server, &portrait(&server.folder())).await.all().await;
    let mut resumed = Events::get(&server, "WatchMatches", "", Some(&beat.id)).await;
    let first = resumed.event().await.unwrap();
    assert_eq!(first.data, run[0].data, "nothing between the two streams is lost");
    assert_eq!(first.id, first.data["resumeToken"].as_str().unwrap());
    let mut again = Events::get(&server, "WatchMatches", "", Some(&first.id)).await;
    for seen in &run[1..4] {
        assert_eq!(&again.event().await.unwrap().data, &seen.data);
    }
    // A heartbeat's token names everything that was passed.
    while again.next().await.unwrap().comment.is_empty() {}
    let caught_up = again.last_id.clone();
    let mut rest = Events::get(&server, "WatchMatches", "", Some(&caught_up)).await;
    assert_eq!(rest.next().await.unwrap().comment, "heartbeat");
    let next = Events::run(&server, &portrait(&server.folder())).await.all().await;
    assert_eq!(rest.event().await.unwrap().data, next[0].data);
}

#[tokio::test]
async fn the_parameters_of_a_stream_select_its_matches() {
    let server = web::server().await;
    let mut request = portrait(&server.folder());
    request["labels"] = json!({ "branch": "riga / 1" });
    let mut selected =
        Events::get(&server, "WatchMatches", "labels%5Bbranch%5D=riga+%2F%201", None).await;
    Events::run(&server, &portrait(&server.folder())).await.all().await;
    let run = Events::run(&server, &request).await.all().await;
    assert_eq!(selected.event().await.unwrap().data, run[0].data, "the first match is another's");
}

#[tokio::test]
async fn a_stream_that_is_refused_is_an_ordinary_error() {
    let server = web::server().await;
    let address = web::address(&server);
    let no_match = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (method, query, last_id, status, reason) in [
        ("WatchMatch", "matchId=x", "", 400, "FIELD_INVALID"),
        ("WatchMatch", "", "", 400, "FIELD_INVALID"),
        ("WatchMatch", "colour=red", "", 400, "FIELD_INVALID"),
        ("WatchMatch", &format!("matchId={no_match}"), "", 404, "MATCH_NOT_FOUND"),
        ("WatchMatch", &format!("matchId={no_match}"), "x", 400, "FIELD_INVALID"),
        ("WatchMatches", "", "no-token", 400, "TOKEN_INVALID"),
    ] {
        let target = format!("{}?{query}", path(method));
        let get = request("GET", &address, &target).header("last-event-id", last_id);
        let answer = read(begin(&address, get.body(Full::default()).unwrap()).await).await;
        assert_eq!(answer.status, status, "{query}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(answer.text().contains(reason), "{answer:?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_broken_off_says_why_and_when_to_come_back() {
    let server = web::server().await;
    server.oz.switch(|switches| switches.processing_ms = 600_000);
    let mut events = Events::run(&server, &portrait(&server.folder())).await;
    while events.event().await.unwrap().kind != "analysis_started" {}
    server.shut_down();
    let last = events.event().await.unwrap();
    assert_eq!((last.kind.as_str(), &last.data["code"]), ("error", &json!("unavailable")));
    assert!(last.data.to_string().contains("\"reason\":\"SERVER_DRAINING\""), "{last:?}");
    assert!(last.retry.unwrap() >= 2_000, "{last:?}");
    assert!(events.next().await.is_none());
    drop(events);
    server.wait_until_stopped().await;
}
