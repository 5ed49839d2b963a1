//! With `--output json` both standard output and standard error are JSON, one object per line.

use crate::{
    commands::{
        peers::Peer,
        program::{Program, Ran},
        showing::{matching, photo},
    },
    support::TestServer,
};

#[tokio::test]
async fn each_answer_is_one_object_per_line() {
    let house = TestServer::build().await;
    let (photo, server) = (photo(), house.address.clone());
    let json = |command: &str| Program::new(&format!("{command} --output json --server {server}"));
    let ran = matching(&house, &photo, " --request-id r --output json").piped().await;
    ran.assert_code(0);
    let updates = Ran::json(&ran.stdout);
    let sequences: Vec<_> = updates.iter().map(|update| update["sequence"].as_u64()).collect();
    assert_eq!(sequences, [Some(1), Some(2), Some(3), Some(4)]);
    assert_eq!(updates[3]["finished"]["result"]["resolution"], "RESOLUTION_SUCCESS");
    for command in ["get --request-id r", "list", "watch --request-id r --after 3"] {
        let ran = json(command).piped().await;
        ran.assert_code(0);
        let lines = Ran::json(&ran.stdout);
        let found = lines[0].get("match").unwrap_or(&lines[0]);
        assert_eq!((lines.len(), &found["state"]), (1, &"MATCH_STATE_FINISHED".into()));
        assert_eq!(ran.stderr, "");
    }
    let ran = json("delete --request-id r").piped().await;
    ran.assert_code(0);
    let erased = Ran::json(&ran.stdout).remove(0);
    assert_eq!(erased["match_id"], updates[0]["match_id"]);
    assert!(erased["delete_time"].is_string() && erased["photo_media_id"].is_string(), "{erased}");
}

#[tokio::test]
async fn a_refusal_has_code_reason_message_violations_and_metadata() {
    let house = TestServer::build().await;
    let server = &house.address;
    let line = format!("match --server {server} --folder f --photo Cargo.toml --output json");
    let ran = Program::new(&line).piped().await;
    ran.assert_code(4);
    assert_eq!(ran.stdout, "");
    let error = ran.error();
    assert_eq!(
        (&error["code"], &error["reason"]),
        (&"INVALID_ARGUMENT".into(), &"FIELD_INVALID".into())
    );
    assert!(error["message"].is_string());
    assert_eq!(error["violations"][0]["field"], "folder_id");
    assert_eq!(error["violations"][0]["description"], "must be a UUID");

    let photo = photo();
    matching(&house, &photo, " --request-id r").piped().await.assert_code(0);
    let ran = matching(&house, &photo, " --request-id r --output json").piped().await;
    ran.assert_code(4);
    let error = ran.error();
    assert_eq!(error["reason"], "REQUEST_ID_REUSED");
    assert_eq!(error["metadata"]["field"], "folder_id");
}

#[tokio::test]
async fn a_transient_refusal_has_its_retry_delay() {
    let peer = Peer::gateway(503, &[("retry-after", "7")]).await;
    let line = format!("list --output json --timeout 5s --server {}", peer.http());
    let ran = Program::new(&line).piped().await;
    ran.assert_code(4);
    let error = ran.error();
    assert_eq!((&error["code"], &error["retry_delay"]), (&"UNAVAILABLE".into(), &"7s".into()));
    assert!(error.get("reason").is_none(), "the answer is a gateway's: {error}");
}

#[tokio::test]
async fn usage_errors_and_notices_are_objects_too() {
    for line in [
        "match --output json",
        "get --output=json",
        "match --folder f --photo /nowhere/p --output json",
    ] {
        let ran = Program::new(line).piped().await;
        ran.assert_code(64);
        assert_eq!(ran.error()["code"], "INVALID_ARGUMENT", "{line}");
    }
    let peer = Peer::gateway(502, &[]).await;
    let line = format!("watch m --output json --give-up-after 300ms --server {}", peer.http());
    let ran = Program::new(&line).piped().await;
    let said = Ran::json(&ran.stderr);
    assert_eq!(said[0]["cause"]["code"], "UNAVAILABLE", "{said:?}");
    assert!(said[0]["notice"].is_string() && said[0]["retry_in"].is_string(), "{said:?}");
    assert_eq!(said[1]["code"], "UNAVAILABLE", "{said:?}");
}

#[tokio::test]
async fn the_last_line_has_the_token_of_the_next_page() {
    let house = TestServer::build().await;
    let photo = photo();
    for _ in 0..3 {
        matching(&house, &photo, "").piped().await.assert_code(0);
    }
    let (mut seen, mut token) = (Vec::new(), None::<String>);
    for _ in 0..3 {
        let line = format!("list --page-size 1 --output json --server {}", house.address);
        let more = |program: Program, token| program.arg("--page-token").arg(token);
        let program = token.clone().into_iter().fold(Program::new(&line), more);
        let ran = program.piped().await;
        ran.assert_code(0);
        assert_eq!(ran.stderr, "");
        let mut lines = Ran::json(&ran.stdout);
        let last = lines.last().and_then(|line| line["next_page_token"].as_str());
        token = last.map(str::to_owned);
        lines.retain(|line| line.get("next_page_token").is_none());
        seen.extend(lines.into_iter().map(|found| found["match_id"].to_string()));
    }
    assert_eq!((seen.len(), token), (3, None));
    seen.dedup();
    assert_eq!(seen.len(), 3);

    let text = Program::new(&format!("list --page-size 1 --server {}", house.address));
    let ran = text.piped().await;
    assert_eq!(ran.stdout.lines().count(), 1);
    assert!(ran.stderr.starts_with("facematch: there are more matches: --all, or --page-token "));
    let all = format!("list --page-size 1 --all --output json --server {}", house.address);
    assert_eq!(Ran::json(&Program::new(&all).piped().await.stdout).len(), 3);
}
