//! Settings are checked before anything is sent, and the errors name the settings.

use super::*;

use std::io::Write;

fn refusal(config: Config) -> String {
    let (clock, _) = Clock::manual(NOW);
    let error = Client::new(config, clock, Arc::new(|| 0.0)).expect_err("refused").to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn an_address_is_plain_http_or_https() {
    for url in [
        "",
        "oz.example.com",
        "oz.example.com:8000",
        "ftp://oz",
        "http://",
        "https://user@oz",
        "https://user:canary@oz",
        "https://oz?canary=1",
        "https://oz/#canary",
        "file:///etc",
        "https://oz/api",
        "https://oz/path/api/",
    ] {
        let error = refusal(settings(url));
        assert!(error.starts_with("--oz-url: "), "{url}: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
    for url in [
        "http://oz",
        "http://127.0.0.1:8000/",
        "http://[::1]:80/a/b//",
        " http://oz ",
        "http://oz/myapi",
    ] {
        client(settings(url));
    }
}

#[test]
fn credentials_must_be_present_and_fit_into_a_header() {
    let login = |email: &str, password: &str| {
        let password = password.into();
        Config::new("http://oz", Credentials::Login { email: email.into(), password })
    };
    assert!(refusal(login(" ", "p")).starts_with("--oz-login: "));
    assert!(refusal(login("e", "")).starts_with("--oz-password: "));
    for token in ["", "a\nb"] {
        let config = Config::new("http://oz", Credentials::Token(token.into()));
        assert!(refusal(config).starts_with("--oz-token: "));
    }
}

#[test]
fn limits_must_not_be_zero() {
    let zero = Duration::ZERO;
    let config = || settings("http://oz");
    for (config, name) in [
        (Config { timeout: zero, ..config() }, "--oz-timeout: "),
        (Config { connect_timeout: zero, ..config() }, "--oz-connect-timeout: "),
        (Config { upload_stall: zero, ..config() }, "--oz-upload-stall: "),
    ] {
        assert!(refusal(config).starts_with(name));
    }
}

#[test]
fn a_certificate_file_must_hold_valid_certificates() {
    let config =
        |path: &std::path::Path| Config { ca_file: Some(path.into()), ..settings("https://oz") };
    let missing = std::path::Path::new("/nowhere/ca.pem");
    assert!(refusal(config(missing)).starts_with("--oz-ca-file: /nowhere/ca.pem: "));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for content in ["", "no PEM", "-----BEGIN CERTIFICATE-----\n", broken] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let error = refusal(config(file.path()));
        assert!(error.starts_with("--oz-ca-file: "), "{content:?}: {error}");
    }
}

/// Runs one of these tests in a process of its own that finds no CA certificates.
fn run_without_certificates(test: &str) -> std::process::Output {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--include-ignored", test])
        .env("SSL_CERT_FILE", "/nowhere")
        .env("SSL_CERT_DIR", "/nowhere")
        .env(NO_CERTIFICATES, "1")
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("ALL_PROXY", "http://127.0.0.1:1")
        .output()
        .unwrap()
}

/// The environment variable that is set in that process.
const NO_CERTIFICATES: &str = "FACEMATCH_TEST_NO_CERTIFICATES";

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test asks which process it runs in")]
async fn plain_http_needs_no_certificates_and_no_proxy_of_the_environment() {
    let name =
        "oz::tests::settings::plain_http_needs_no_certificates_and_no_proxy_of_the_environment";
    if std::env::var_os(NO_CERTIFICATES).is_none() {
        let output = run_without_certificates(name);
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        return;
    }
    let mock = Mock::answering([Answer::json(200, finished())]).await;
    perform(&client(settings(&mock.url)), &read_analysis()).await.unwrap();
    let error = refusal(settings("https://oz"));
    assert!(error.starts_with("--oz-ca-file: "), "{error}");
    let file = tls::ca_file();
    client(Config { ca_file: Some(file.path().into()), ..settings("https://oz") });
}

#[test]
fn a_proxy_is_plain_http_or_https() {
    for proxy in ["", "proxy:3128", "socks5://proxy", "ftp://user:canary@proxy"] {
        let error = refusal(Config { proxy: Some(proxy.into()), ..settings("http://oz") });
        assert!(error.starts_with("--oz-proxy: "), "{proxy}: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn a_given_proxy_is_used() {
    let proxy = Mock::answering([Answer::json(200, finished())]).await;
    let url = proxy.url.replace("http://", "http://user:pass@");
    let config = Config { proxy: Some(url), ..settings("http://oz.invalid") };
    perform(&client(config), &read_analysis()).await.unwrap();
    let seen = &proxy.seen()[0];
    assert_eq!(seen.path, format!("http://oz.invalid/api/analyses/{ANALYSIS}"));
    assert!(seen.headers.contains_key("proxy-authorization"));
}

#[tokio::test]
async fn a_connection_that_a_proxy_refuses_is_unreachable() {
    let proxy = Mock::answering([Answer::http(407, &[], "")]).await;
    let file = tls::ca_file();
    let config = Config {
        proxy: Some(proxy.url.clone()),
        ca_file: Some(file.path().into()),
        ..settings("https://oz.invalid")
    };
    let failure = perform(&client(config), &read_analysis()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert_eq!(proxy.seen()[0].method, "CONNECT");
    assert!(!proxy.seen()[0].headers.contains_key("x-forensic-access-token"));
}
