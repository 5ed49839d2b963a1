//! The simulator as a tester uses it in CI: processes, files, and plain HTTP.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use facematch::simulator::sample;
use rcgen::CertifiedKey;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    signals,
    support::{PATIENCE, eventually},
};

const SCRIPT: &str = r#"
version = 1
[switches]
processing_ms = 20
[[rules]]
name = "t-1 is declined"
match = { meta_data = { transaction_id = "t-1" }, analysis_type = "biometry" }
then = { outcome = { resolution = "DECLINED", min_confidence = 0.3 } }
"#;

const PASSWORD: &str = "a-tester-s-password";
const TOKEN: &str = "a-tester-s-token";

/// A directory with a script, a certificate, its key, and a photo.
struct Workdir {
    directory: TempDir,
    certificate: String,
}

/// A running program with its log in a file; killed when dropped.
struct Program {
    child: Child,
    ready: String,
    log: PathBuf,
}

impl Workdir {
    fn set() -> Self {
        let CertifiedKey { cert, signing_key } = self_signed();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let bench = Self { directory, certificate: cert.pem() };
        for (name, text) in [
            ("oz.toml", SCRIPT.as_bytes()),
            ("cert.pem", bench.certificate.as_bytes()),
            ("key.pem", signing_key.serialize_pem().as_bytes()),
            ("other.pem", self_signed().cert.pem().as_bytes()),
            ("portrait.jpg", sample::portrait_jpeg()),
        ] {
            fs::write(bench.path(name), text).expect("a file");
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn start(&self, name: &str, arguments: &[&str]) -> Program {
        let log = self.path(&format!("{name}.log"));
        let mut child = command(arguments)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).expect("a file"))
            .spawn()
            .expect("the program starts");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("piped standard output");
        BufReader::new(stdout).read_line(&mut ready).expect("a line");
        assert!(!ready.is_empty(), "the program ended before it was ready: {}", read(&log));
        Program { child, ready: ready.trim().to_owned(), log }
    }

    fn simulator(&self) -> Program {
        let files = ["oz.toml", "cert.pem", "key.pem", "asked.jsonl"].map(|name| self.text(name));
        let [script, certificate, key, record] = files.each_ref().map(String::as_str);
        self.start(
            "sim",
            &[
                "sim",
                "--listen",
                "127.0.0.1:0",
                "--output",
                "json",
                "--script",
                script,
                "--tls-cert-file",
                certificate,
                "--tls-key-file",
                key,
                "--record",
                record,
                "--login",
                "me",
                "--password",
                PASSWORD,
                "--token",
                TOKEN,
            ],
        )
    }

    fn service(&self, name: &str, oz: &str, ca_file: &str) -> Program {
        let store = format!("sqlite:{}", self.text(&format!("{name}.db")));
        self.start(
            name,
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--store",
                &store,
                "--oz-url",
                oz,
                "--oz-login",
                "me",
                "--oz-password",
                PASSWORD,
                "--oz-ca-file",
                &self.text(ca_file),
                "--oz-poll-interval",
                "20ms",
                "--oz-settle",
                "100ms",
            ],
        )
    }

    /// The exit code of a match through the service.
    fn run_match(&self, service: &Program, folder: &str, more: &[&str]) -> Option<i32> {
        let address = service.ready.rsplit(' ').next().expect("an address");
        let server = format!("http://{address}");
        let photo = self.text("portrait.jpg");
        let mut arguments =
            vec!["match", "--server", &server, "--folder", folder, "--photo", &photo];
        arguments.extend(more);
        let run = command(&arguments).output().expect("the program runs");
        run.status.code()
    }

    fn http(&self) -> Client {
        // Another test may have installed it first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let trusted = Certificate::from_pem(self.certificate.as_bytes()).expect("a certificate");
        let builder = Client::builder().no_proxy().tls_certs_only([trusted]);
        builder.build().expect("a client")
    }
}

impl Program {
    /// Sends `SIGTERM`, and returns the exit status and the log.
    async fn stop(mut self) -> (ExitStatus, String) {
        assert!(signals::send(self.child.id(), Signal::TERM));
        let mut ended = None;
        let mut has_ended = || {
            ended = self.child.try_wait().expect("a child of ours");
            ended.is_some()
        };
        eventually(&mut has_ended, || "the program doesn't end".to_owned()).await;
        (ended.expect("it has ended"), read(&self.log))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error means that the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facematch"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn self_signed() -> CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a text file")
}

async fn answer(request: RequestBuilder, status: u16) -> Value {
    let response = request.send().await.expect("the simulator answers");
    assert_eq!(response.status().as_u16(), status);
    response.json().await.expect("JSON")
}

#[tokio::test]
async fn a_tester_scripts_a_transaction_over_tls_and_reads_what_happened() {
    let bench = Workdir::set();
    let (oz, http) = (bench.simulator(), bench.http());
    let ready: Value = serde_json::from_str(&oz.ready).expect("one line of JSON");
    let url = ready["url"].as_str().expect("a URL");
    assert!(url.starts_with("https://"), "{url}");
    let wish = json!({ "kind": "video", "meta_data": { "transaction_id": "t-1" } });
    let folder = answer(http.post(format!("{url}/sim/folders")).json(&wish), 201).await;
    let folder = folder["folder_id"].as_str().expect("an id");
    let service = bench.service("serve", url, "cert.pem");
    let declined = bench.run_match(&service, folder, &[]);
    assert_eq!(declined, Some(1), "DECLINED: {}", read(&service.log));

    let rule = format!("{url}/sim/rules/t-1%20is%20declined");
    let removed = answer(http.delete(rule), 200).await;
    assert_eq!(removed["removed"], 1);
    answer(http.post(format!("{url}/sim/folders/{folder}/reset")), 200).await;
    assert_eq!(bench.run_match(&service, folder, &[]), Some(0), "SUCCESS");
    let sample_folder = ready["sample_folder"].as_str().expect("an id");
    assert_eq!(bench.run_match(&service, sample_folder, &[]), Some(0), "SUCCESS");

    let (ended, log) = oz.stop().await;
    assert!(ended.success());
    let record: Vec<Value> = read(&bench.path("asked.jsonl"))
        .lines()
        .map(|line| serde_json::from_str(line).expect("one JSON object a line"))
        .collect();
    let started: Vec<_> =
        record.iter().filter(|request| request["endpoint"] == "start_analyses").collect();
    assert_eq!(started[0]["rules"], json!(["t-1 is declined"]));
    assert_eq!((&started[1]["rules"], &started[2]["rules"]), (&json!([]), &json!([])));
    let rule_line = log.lines().find(|line| line.contains("rules=\"t-1 is declined\""));
    let rule_line = rule_line.expect("a line for the request that the rule concerned");
    assert!(rule_line.contains("/analyses/") && rule_line.contains("http.status=201"));
    assert!(log.contains("settled_by=\"rule\"") && log.contains("settled_by=\"pictures\""));
    let lines = log.lines().filter(|line| line.contains("request.n=")).count();
    assert_eq!(lines, record.len(), "a line for each request");
    let secrets = [PASSWORD, TOKEN].map(|secret| log.contains(secret));
    assert_eq!(secrets, [false, false], "secrets in the log");
}

#[tokio::test]
async fn a_service_that_does_not_trust_the_certificate_is_seen_in_the_log() {
    let bench = Workdir::set();
    let oz = bench.simulator();
    let ready: Value = serde_json::from_str(&oz.ready).expect("one line of JSON");
    let (url, folder) = (ready["url"].as_str(), ready["sample_folder"].as_str());
    let service = bench.service("serve", url.expect("a URL"), "other.pem");
    let folder = folder.expect("an id");
    let failed = bench.run_match(&service, folder, &["--timeout", "500ms"]);
    assert_eq!(failed, Some(3), "FAILED: {}", read(&service.log));
    let (_, log) = oz.stop().await;
    assert!(log.contains("TLS handshake failed"), "{log}");
    // The lines that an operator of the service searches for.
    let log = read(&service.log);
    assert!(log.contains("trouble at Oz") && log.contains("invalid peer certificate"), "{log}");
}

#[test]
fn a_start_failure_of_the_simulator_names_the_flag() {
    let bench = Workdir::set();
    let (certificate, key) = (bench.text("cert.pem"), bench.text("other.pem"));
    for (flags, named) in [
        (vec!["--record", "/nowhere/asked.jsonl"], "--record: /nowhere/asked.jsonl"),
        (vec!["--tls-cert-file", &certificate, "--tls-key-file", &key], "--tls-cert-file: "),
        (vec!["--script", &certificate], "cert.pem: "),
        (vec!["--tls-cert-file", &certificate], "--tls-key-file"),
        (vec!["--log-level", "=,="], "--log-level: "),
    ] {
        let arguments = [&["sim", "--listen", "127.0.0.1:0"][..], &flags].concat();
        let run = command(&arguments).output().expect("the program runs");
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success() && said.contains(named), "{flags:?}: {said}");
        assert!(run.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_simulator_whose_log_is_not_read_keeps_serving() {
    // Each line has over a hundred bytes, and a pipe takes 64 KiB.
    const REQUESTS: usize = 1_500;
    let mut child = command(&["sim", "--listen", "127.0.0.1:0", "--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut ready = String::new();
    let stdout = child.stdout.take().expect("piped standard output");
    BufReader::new(stdout).read_line(&mut ready).expect("a line");
    let ready: Value = serde_json::from_str(&ready).expect("a line of JSON");
    let url = format!("{}/api/folders/", ready["url"].as_str().expect("its address"));
    let client = Workdir::set().http();
    for _ in 0..REQUESTS {
        let answered = timeout(PATIENCE, client.get(&url).send()).await;
        let answer = answered.expect("it keeps serving").expect("it answers");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}
