//! The client against a scripted Oz on the loopback interface: real sockets, no other process.
//!
//! The tests deliberately don't know how the client is built; they check the results that a caller
//! gets and the requests that a server sees.

mod failures;
mod folders;
mod mock;
mod replaced;
mod replicas;
mod secrets;
mod sessions;
mod settings;
mod suspects;
mod tls;
mod trace_headers;
mod uploads;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    clock::{Clock, Hand},
    domain::{
        Analysis, AnalysisId, Ask, Failure, FailureKind, FolderId, Format, MatchId, MediaId,
        PhotoKind, Reply, Timestamp,
    },
    oz::{Client, Config, Credentials, Oz},
    trace::AskTrace,
};
use mock::{Answer, Mock};

const FOLDER: &str = "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1";
const MATCH: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const ANALYSIS: &str = "1111aaaa-7abf-4198-8146-229eb4f2ad25";
const VIDEO: &str = "f35716ed-7abf-4198-8146-229eb4f2ad25";
const PHOTO: &str = "a35716ed-7abf-4198-8146-229eb4f2ad25";

const EMAIL: &str = "robot-canary@bank.example";
const PASSWORD: &str = "password-canary-1";
const SERVICE_TOKEN: &str = "service-token-canary";

fn folder_id() -> FolderId {
    FOLDER.parse().unwrap()
}

fn match_id() -> MatchId {
    MATCH.parse().unwrap()
}

fn media_id(text: &str) -> MediaId {
    text.parse().unwrap()
}

fn analysis_id() -> AnalysisId {
    ANALYSIS.parse().unwrap()
}

fn read_folder() -> Ask {
    Ask::ReadFolder { folder_id: folder_id() }
}

fn read_analysis() -> Ask {
    Ask::ReadAnalysis { analysis_id: analysis_id() }
}

fn upload_photo() -> Ask {
    Ask::UploadPhoto {
        folder_id: folder_id(),
        match_id: match_id(),
        kind: PhotoKind::IdFront,
        format: Format::Png,
    }
}

fn start_analyses() -> Ask {
    Ask::StartAnalyses {
        folder_id: folder_id(),
        biometry: vec![media_id(VIDEO), media_id(PHOTO)],
        quality: None,
    }
}

/// Settings with a service account: the server sees the client's requests and no logins.
fn settings(url: &str) -> Config {
    Config::new(url, Credentials::Token(SERVICE_TOKEN.into()))
}

/// Settings with a login.
fn login_settings(url: &str) -> Config {
    let credentials = Credentials::Login { email: EMAIL.into(), password: PASSWORD.into() };
    Config::new(url, credentials)
}

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn client(config: Config) -> Client {
    client_in_time(config).0
}

fn client_in_time(config: Config) -> (Client, Hand) {
    let (clock, hand) = Clock::manual(NOW);
    (Client::new(config, clock, Arc::new(|| 0.0)).unwrap(), hand)
}

async fn perform(client: &Client, ask: &Ask) -> Result<Reply, Failure> {
    let photo = Bytes::from_static(b"a photo-canary of a face");
    client.perform(ask, Some(photo), &|_| {}, AskTrace::default()).await
}

/// The outcome of a request that gets this answer.
async fn answered(ask: &Ask, answer: Answer) -> Result<Reply, Failure> {
    let mock = Mock::answering([answer]).await;
    let reply = perform(&client(settings(&mock.url)), ask).await;
    assert_eq!(mock.seen().len(), 1, "no request is repeated");
    reply
}

async fn answered_json(ask: &Ask, body: Value) -> Result<Reply, Failure> {
    answered(ask, Answer::json(200, body)).await
}

/// The analysis that is read from this answer.
async fn analysis_of(body: Value) -> Result<Analysis, Failure> {
    match answered_json(&read_analysis(), body).await? {
        Reply::Analysis(analysis) => Ok(analysis),
        other => panic!("not an analysis: {other:?}"),
    }
}

async fn failure_of(ask: &Ask, answer: Answer) -> Failure {
    answered(ask, answer).await.expect_err("a failure")
}

async fn kind_of(ask: &Ask, answer: Answer) -> FailureKind {
    failure_of(ask, answer).await.kind
}

fn finished() -> Value {
    json!({
        "analyse_id": ANALYSIS, "type": "BIOMETRY", "state": "FINISHED",
        "resolution": "SUCCESS", "resolution_status": "SUCCESS",
        "results_data": { "min_confidence": 0.9, "max_confidence": 0.95 },
    })
}
