//! Error messages of failed calls: where, why and what to try, with no broken lines.

use facematch::pb::{GetMatchRequest, get_match_request};

use crate::{
    commands::{
        peers::Peer,
        program::Program,
        showing::{assert_lines, matching, photo},
    },
    support::TestServer,
};

/// Every command that calls a server, except `match`.
const COMMANDS: [&str; 6] = ["get m", "list", "cancel m", "delete m", "watch m", "watch --all"];

/// Command lines of all commands that call a server.
fn every_command(server: &str) -> Vec<String> {
    let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/src/simulator/sample/portrait.jpg");
    let matching = format!("match --folder f --photo {photo}");
    let commands = COMMANDS.iter().map(ToString::to_string).chain([matching]);
    commands.map(|command| format!("{command} --server {server}")).collect()
}

#[tokio::test]
async fn foreign_line_breaks_break_no_line_of_an_error() {
    let house = TestServer::build().await;
    let line =
        format!("match --server {} --folder f --photo Cargo.toml --label a=b", house.address);
    let ran = Program::new(&line).piped().await;
    ran.assert_code(4);
    assert_lines(
        &ran.stderr,
        &["facematch: INVALID_ARGUMENT ", "  folder_id must be a UUID", "  photo.content "],
    );

    let missing = Program::new("match --folder f --photo").arg("/nowhere/of\ntwo lines.jpg");
    let ran = missing.piped().await;
    ran.assert_code(64);
    assert_lines(&ran.stderr, &[r"facematch: can't read the photo /nowhere/of\ntwo lines.jpg: "]);
}

#[tokio::test]
async fn an_unreachable_server_is_reported_at_once() {
    let peer = Peer::silent().await;
    let server = peer.http();
    drop(peer);
    for command in every_command(&server) {
        let ran = Program::new(&command).piped().await;
        ran.assert_code(4);
        assert_eq!(ran.stdout, "", "{command}");
        let first = format!("facematch: can't reach {server}: Connection refused");
        assert_lines(&ran.stderr, &[&first, "  is a server running at http://127.0.0.1:"]);
    }
}

#[tokio::test]
async fn a_silent_server_is_waited_for_until_the_timeout() {
    let peer = Peer::silent().await;
    for command in every_command(&peer.http()) {
        let ran = Program::new(&command).arg("--timeout").arg("100ms").piped().await;
        ran.assert_code(4);
        assert!(
            ran.stderr.contains("within 100ms") || ran.stderr.contains("within 5s 100ms"),
            "{command}: {ran:?}"
        );
        assert!(ran.stderr.contains("\n  --timeout waits longer\n"), "{command}: {ran:?}");
    }
}

#[tokio::test]
async fn a_gateway_s_answer_ends_every_command_at_once() {
    let html = ("content-type", "text/html");
    let table = [
        (200, vec![html], "answered HTTP 200 OK, not gRPC"),
        (302, vec![html, ("location", "/login")], "answered HTTP 302 Found to /login, not gRPC"),
        (401, vec![html], "answered HTTP 401 Unauthorized, not gRPC"),
        (403, vec![html], "answered HTTP 403 Forbidden, not gRPC"),
        (404, vec![html], "answered HTTP 404 Not Found, not gRPC"),
        (413, vec![html], "answered HTTP 413 Payload Too Large, not gRPC"),
    ];
    for (status, headers, words) in table {
        let peer = Peer::gateway(status, &headers).await;
        for (n, command) in every_command(&peer.http()).iter().enumerate() {
            let ran = Program::new(command).piped().await;
            ran.assert_code(4);
            assert_eq!(ran.stdout, "");
            assert_lines(&ran.stderr, &[words, "  "]);
            assert_eq!(peer.calls(), n + 1, "{status} {command}: it isn't called exactly once");
        }
    }
}

#[tokio::test]
async fn transient_errors_are_retried_and_retry_after_is_respected() {
    let peer = Peer::gateway(503, &[("content-type", "text/html"), ("retry-after", "3600")]).await;
    let command = format!("watch m --server {} --give-up-after 1s", peer.http());
    let ran = Program::new(&command).piped().await;
    ran.assert_code(4);
    assert_eq!(peer.calls(), 1, "the retry delay exceeds --give-up-after: {ran:?}");

    let peer = Peer::gateway(502, &[("content-type", "text/html")]).await;
    let command = format!("watch m --server {} --give-up-after 500ms", peer.http());
    let ran = Program::new(&command).piped().await;
    ran.assert_code(4);
    assert!(peer.calls() > 1, "{ran:?}");
    assert_lines(
        &ran.stderr,
        &["HTTP 502 Bad Gateway, not gRPC; trying again", "HTTP 502 Bad Gateway, not gRPC", "  "],
    );
}

#[tokio::test]
async fn a_peer_of_another_protocol_is_named() {
    let table: [(&'static [u8], &str); 3] = [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "it speaks HTTP/1.1 only"),
        (b"\x15\x03\x03\0\x02\x02\x32", "answered TLS, but was called in plain text"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "\"SSH-2.0-OpenSSH_9.2\", which is not HTTP/2"),
    ];
    for (said, words) in table {
        let peer = Peer::answering_with(said).await;
        for command in every_command(&peer.http()) {
            let ran = Program::new(&command).piped().await;
            ran.assert_code(4);
            assert_lines(&ran.stderr, &[words, "  "]);
        }
    }
}

#[tokio::test]
async fn the_environment_may_name_the_server() {
    let house = TestServer::build().await;
    let ran = Program::new("list").variable("FACEMATCH_SERVER", &*house.address).piped().await;
    ran.assert_code(0);
    let ran = Program::new("list").variable("FACEMATCH_SERVER", "nowhere").piped().await;
    ran.assert_code(64);
    assert_lines(&ran.stderr, &["facematch: FACEMATCH_SERVER: must be a URL such as "]);
}

#[tokio::test]
async fn a_draining_server_is_retried_and_the_hint_says_that_the_match_continues() {
    let house = TestServer::build().await;
    house.oz.switch(|switches| switches.processing_ms = 600_000);
    let photo = photo();
    let command = matching(&house, &photo, " --request-id r --give-up-after 6s");
    let mut client = house.client.clone();
    let running = command.piped();
    let stopping = async {
        let id = Some(get_match_request::Id::RequestId("r".to_owned()));
        let request = GetMatchRequest { id };
        loop {
            match client.get_match(request.clone()).await {
                Ok(found) if !found.get_ref().analysis_id.is_empty() => break,
                Ok(_) | Err(_) => tokio::task::yield_now().await,
            }
        }
        house.shut_down();
    };
    let (ran, ()) = tokio::join!(running, stopping);
    ran.assert_code(4);
    assert_lines(&ran.stdout, &["ACCEPTED", "UPLOADED", "PROCESSING"]);
    assert!(ran.stderr.contains("(SERVER_DRAINING); trying again\n"), "{ran:?}");
    assert!(
        ran.stderr.contains("\nfacematch: the match goes on; to follow or to end it:\n"),
        "{ran:?}"
    );
}
