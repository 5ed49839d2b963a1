//! `https://` servers: which are trusted, and the errors for those that are not.

use crate::{
    commands::{
        peers::Peer,
        program::Program,
        showing::{assert_lines, matching, photo},
    },
    support::TestServer,
};

/// The certificate authority of these tests, valid from 2020 to 2099.
const CA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/commands/certificates/ca.pem");

/// Its certificate for localhost and 127.0.0.1, with a key made for these tests only.
const LOCALHOST: &[u8] = include_bytes!("certificates/localhost.pem");

/// An expired certificate for the same names.
const EXPIRED: &[u8] = include_bytes!("certificates/expired.pem");

const H2: &[&[u8]] = &[b"h2"];

#[tokio::test]
async fn a_server_with_a_certificate_of_the_given_authority_is_trusted() {
    let house = TestServer::build().await;
    let front = Peer::terminating_tls(LOCALHOST, H2, &house.address).await;
    let server = format!("https://localhost:{}", front.port);
    let list = Program::new(&format!("list --server {server} --ca-file {CA_FILE}"));
    list.piped().await.assert_code(0);
    let by_variables = Program::new("list")
        .variable("FACEMATCH_SERVER", &*server)
        .variable("FACEMATCH_CA_FILE", CA_FILE);
    by_variables.piped().await.assert_code(0);

    let (photo, mut house) = (photo(), house);
    house.address = server;
    let ran = matching(&house, &photo, &format!(" --ca-file {CA_FILE}")).piped().await;
    ran.assert_code(0);
    assert_lines(&ran.stdout, &["ACCEPTED", "UPLOADED", "PROCESSING", "FINISHED"]);
}

#[tokio::test]
async fn the_environment_may_name_the_system_s_authorities() {
    let house = TestServer::build().await;
    let front = Peer::terminating_tls(LOCALHOST, H2, &house.address).await;
    let list = Program::new(&format!("list --server https://localhost:{}", front.port));
    list.variable("SSL_CERT_FILE", CA_FILE).piped().await.assert_code(0);
}

#[tokio::test]
async fn each_tls_error_is_explained() {
    let house = TestServer::build().await;
    let behind = &house.address;
    let good = Peer::terminating_tls(LOCALHOST, H2, behind).await;
    let elsewhere = Peer::terminating_tls_at("127.0.0.2", LOCALHOST, H2, behind).await;
    let expired = Peer::terminating_tls(EXPIRED, H2, behind).await;
    let http1 = Peer::terminating_tls(LOCALHOST, &[b"http/1.1"], behind).await;
    let plain = behind.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let trusting = format!(" --ca-file {CA_FILE}");
    // The server's certificate is not an authority's.
    let other =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/commands/certificates/localhost.pem");
    let mistrusting = format!(" --ca-file {other}");
    for (host, port, more, words, hint) in [
        (
            "localhost",
            good.port,
            &mistrusting,
            "an authority that is not trusted here",
            "--ca-file",
        ),
        (
            "127.0.0.2",
            elsewhere.port,
            &trusting,
            "not for this name but for localhost, 127.0.0.1",
            "a name",
        ),
        ("localhost", expired.port, &trusting, "has expired (2021-01-01T00:00:00Z)", "renew"),
        ("localhost", http1.port, &trusting, "it doesn't speak HTTP/2", "--server"),
        ("127.0.0.1", plain, &trusting, "it speaks plain text, not TLS", "http://"),
    ] {
        let ran = Program::new(&format!("list --server https://{host}:{port}{more}")).piped().await;
        ran.assert_code(4);
        assert_lines(&ran.stderr, &[words, hint]);
        assert!(ran.stderr.starts_with("facematch: can't connect to https://"), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_tls_server_called_in_plain_text_is_recognised() {
    let house = TestServer::build().await;
    let front = Peer::terminating_tls(LOCALHOST, H2, &house.address).await;
    let ran = Program::new(&format!("list --server {}", front.http())).piped().await;
    ran.assert_code(4);
    assert_lines(&ran.stderr, &["answered TLS, but was called in plain text", "https://"]);
}

#[tokio::test]
async fn an_unusable_ca_file_is_named_and_no_call_is_made() {
    for (file, words) in [
        ("/nowhere/ca.pem", "facematch: --ca-file: can't read /nowhere/ca.pem: No such file"),
        ("Cargo.toml", "facematch: --ca-file: there is no certificate in PEM in Cargo.toml"),
    ] {
        let line = format!("list --server https://localhost:1 --ca-file {file}");
        let ran = Program::new(&line).piped().await;
        ran.assert_code(64);
        assert_lines(&ran.stderr, &[words]);
    }
}
