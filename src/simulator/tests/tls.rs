//! The simulator over TLS, with a certificate that a client trusts, and with one it must refuse.

use std::path::PathBuf;

use rcgen::CertifiedKey;
use reqwest::{Certificate, Client};
use tempfile::TempDir;

use super::client::http;
use crate::simulator::{Action, Config, Endpoint, Rule, Simulator, Tls};

/// A certificate for the loopback interface with its key, in files.
struct Files {
    _directory: TempDir,
    certificate: PathBuf,
    key: PathBuf,
    pem: String,
}

fn files() -> Files {
    let names = ["127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).expect("the names are valid");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("the directory can be written");
        path
    };
    let certificate = write("cert.pem", &cert.pem());
    let key = write("key.pem", &signing_key.serialize_pem());
    Files { certificate, key, pem: cert.pem(), _directory: directory }
}

async fn simulator(files: &Files) -> Simulator {
    let tls = Tls::load(&files.certificate, &files.key).expect("the files are sound");
    let config = Config { tls: Some(tls), ..Config::default() };
    Simulator::start_with(config).await.expect("the loopback is free")
}

/// A client that trusts this certificate alone.
fn trusting(files: &Files) -> Client {
    // Installs the TLS provider.
    drop(http());
    let certificate = Certificate::from_pem(files.pem.as_bytes()).expect("a certificate");
    let builder = Client::builder().no_proxy().tls_certs_only([certificate]);
    builder.build().expect("the client can be built")
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_is_served_over_https() {
    let files = files();
    let oz = simulator(&files).await;
    assert!(oz.url().starts_with("https://127.0.0.1:"));
    let http = trusting(&files);
    let version = http.get(format!("{}/api/version", oz.url())).send().await;
    assert_eq!(version.expect("it answers").status(), 200);
    oz.script([
        Rule::on(Endpoint::Version).then(Action { drop_before_acting: true, ..Action::default() })
    ]);
    let broken = http.get(format!("{}/api/version", oz.url())).send().await;
    assert!(broken.expect_err("a rule breaks the connection").status().is_none());
}

#[tokio::test]
async fn a_client_that_distrusts_the_certificate_gets_no_answer_and_disturbs_no_other() {
    let (files, others) = (files(), self::files());
    let oz = simulator(&files).await;
    let url = format!("{}/api/version", oz.url());
    for stranger in [trusting(&others), http()] {
        assert!(stranger.get(&url).send().await.expect_err("it is refused").is_connect());
    }
    let plain = http().get(url.replacen("https", "http", 1)).send().await;
    assert!(plain.is_err(), "plain HTTP is not a TLS handshake");
    assert_eq!(trusting(&files).get(&url).send().await.expect("it answers").status(), 200);
    assert_eq!(oz.record().len(), 1);
}

#[test]
fn files_that_do_not_match_are_refused_by_name() {
    let (files, others) = (files(), self::files());
    let refused = |certificate: &PathBuf, key: &PathBuf| {
        Tls::load(certificate, key).expect_err("the files don't match").to_string()
    };
    assert!(refused(&files.certificate, &others.key).contains("cert.pem"));
    assert!(refused(&files.key, &files.key).contains("key.pem: no certificate in it"));
    assert!(refused(&files.certificate, &files.certificate).contains("cert.pem"));
    let missing = PathBuf::from("/nowhere/key.pem");
    assert!(refused(&files.certificate, &missing).contains("/nowhere/key.pem"));
}
