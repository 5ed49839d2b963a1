//! The photo is never at rest, and no secret in any text: canaries, looked for in all that was
//! written.

use std::{fs, path::Path};

use bytes::Bytes;
use facematch::{
    pb::{MatchRequest, MatchUpdate},
    simulator::{Config, Simulator, sample},
};
use serde_json::json;
use tonic::Status;

use crate::{
    checker::check_whole,
    process::Process,
    support::{collect, named, portrait_request, request, rule, until},
};

const PHOTO_CANARY: &[u8] = b"canary-of-the-photo-8f14e45f";
const FILE_NAME_CANARY: &str = "canary-of-the-file-name-c9f0f895";
const PASSWORD_CANARY: &str = "canary-of-the-password-45c48cce";

/// The portrait with a canary in a comment segment, and a file name that is one.
fn canary_request(folder: &str) -> MatchRequest {
    let (start, rest) = sample::portrait_jpeg().split_at(2);
    let length = u16::try_from(PHOTO_CANARY.len() + 2).unwrap().to_be_bytes();
    let jpeg: Bytes = [start, &[0xff, 0xfe], &length, PHOTO_CANARY, rest].concat().into();
    let mut request = request(folder, jpeg);
    request.photo.as_mut().unwrap().file_name = FILE_NAME_CANARY.into();
    named("order 17", request)
}

/// What may stand nowhere: the canaries in the forms that logs and files would have them in.
fn canaries() -> Vec<Vec<u8>> {
    let mut canaries: Vec<Vec<u8>> =
        [PHOTO_CANARY, FILE_NAME_CANARY.as_bytes(), PASSWORD_CANARY.as_bytes()]
            .map(Vec::from)
            .into();
    canaries
        .push(PHOTO_CANARY.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
    let list: Vec<String> = PHOTO_CANARY.iter().map(ToString::to_string).collect();
    canaries.push(list.join(", ").into_bytes());
    // A stretch of the picture itself.
    canaries.push(sample::portrait_jpeg()[5_000..5_024].to_vec());
    canaries
}

fn check_clean(what: &str, content: &[u8]) {
    for canary in canaries() {
        let found = content.windows(canary.len()).any(|window| window == canary);
        assert!(!found, "{what} holds {}", String::from_utf8_lossy(&canary));
    }
    // Tokens of the simulator are 128 hexadecimal digits; nothing else is that long.
    let longest = content.split(|byte| !byte.is_ascii_hexdigit()).map(<[u8]>::len).max();
    assert!(longest.unwrap_or(0) < 128, "{what} holds a token");
}

fn check_files(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        check_clean(&name, &fs::read(&path).unwrap());
        names.push(name);
    }
    names
}

fn check_texts(updates: &[MatchUpdate], refusals: &[Status]) {
    check_clean("the updates", format!("{updates:?}").as_bytes());
    check_clean("the refusals", format!("{refusals:?}").as_bytes());
}

#[tokio::test]
async fn neither_files_nor_logs_nor_errors_hold_the_photo_or_a_secret() {
    let config = Config { password: PASSWORD_CANARY.into(), ..Config::default() };
    let oz = Simulator::start_with(config).await.unwrap();
    oz.switch(|switches| switches.processing_ms = 50);
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    oz.script([
        rule(json!({"match": {"endpoint": "get_analysis", "nth": 1}, "then": {"expire_session": true}})),
        rule(json!({"match": {"endpoint": "add_media", "nth": 1}, "then": {"html": 502}})),
    ]);
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(&oz, directory.path(), &["--log-level", "trace"]);
    let mut client = process.client().await;
    let mut updates = client.run_match(canary_request(&folder)).await.unwrap().into_inner();
    let mut seen = until(&mut updates, "attempt_failed").await;
    let names = check_files(directory.path());
    assert!(names.iter().any(|name| name.ends_with("-wal")), "{names:?}");
    seen.extend(collect(updates).await.unwrap());
    check_whole(&seen);

    let other = named("order 17", portrait_request(&folder));
    let reused = client.run_match(other).await.unwrap_err();
    let mut broken = canary_request(&folder);
    broken.folder_id = FILE_NAME_CANARY[..8].into();
    let refused = client.run_match(broken).await.unwrap_err();
    check_texts(&seen, &[reused, refused]);
    check_files(directory.path());
    // Not on this thread: the client's connection is closed on it.
    tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
    check_files(directory.path());
    assert!(fs::metadata(directory.path().join("log")).unwrap().len() > 10_000, "it was traced");
}
