//! `facematch testserver` as fixtures of other languages use it: a process that prints one line of
//! JSON, and that ends with the test which has started it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
};

use facematch::{
    cli::TEST_SETTINGS,
    config::{Environment, Flags},
    pb::{self, MatchState, Resolution, match_update::Event},
};
use reqwest::Client as Http;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, Request, metadata::MetadataValue};

use crate::{
    canary::Client,
    http1, signals,
    support::{
        Refusal, collect, connect, eventually, get, last_match, portrait_request, read_until,
    },
};

/// The variable that makes a process of these tests a test that is killed. Its value is the directory
/// for temporary files.
const KILLED_TEST: &str = "FACEMATCH_KILLED_TEST";

/// A running test server; killed when dropped.
struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    log: Option<JoinHandle<String>>,
    ready: Value,
    temporary: TempDir,
}

/// How a test server ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    log: String,
    /// The names of what it has left in the directory for temporary files.
    left: Vec<String>,
}

impl Server {
    fn start(more: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = command(temporary.path());
        let mut child = command.args(more).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut log = String::new();
            errors.read_to_string(&mut log).unwrap();
            log
        });
        let ready = ready_line(child.stdout.take().unwrap());
        let stdin = child.stdin.take();
        Self { child, stdin, log: Some(log), ready, temporary }
    }

    fn text(&self, key: &str) -> &str {
        self.ready[key].as_str().unwrap_or_else(|| panic!("{key} in {}", self.ready))
    }

    async fn client(&self) -> Client {
        connect(&format!("http://{}", self.text("grpc"))).await
    }

    /// A URL of the simulator.
    fn sim(&self, path: &str) -> String {
        format!("{}{path}", self.text("simulator"))
    }

    /// Makes a folder by one call, and returns its id.
    async fn folder(&self, wish: Value) -> String {
        let made = http().post(self.sim("/sim/folders")).json(&wish).send().await.unwrap();
        let made: Value = made.error_for_status().unwrap().json().await.unwrap();
        made["folder_id"].as_str().unwrap().to_owned()
    }

    /// The match of the sample portrait with a folder, as it ends.
    async fn ended(&self, client: &mut Client, folder: &str) -> pb::Match {
        let updates = client.run_match(portrait_request(folder)).await.unwrap();
        last_match(&collect(updates.into_inner()).await.unwrap()).clone()
    }

    /// Closes its standard input, and waits for its end.
    async fn close(mut self) -> Ended {
        drop(self.stdin.take());
        self.end().await
    }

    async fn end(mut self) -> Ended {
        let mut code = None;
        let has_ended = || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        };
        eventually(has_ended, || "the test server doesn't end".to_owned()).await;
        Ended {
            code: code.unwrap().code(),
            log: self.log.take().unwrap().join().unwrap(),
            left: names_in(self.temporary.path()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The test server with pipes, and with variables that it must not read.
fn command(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facematch"));
    command
        .arg("testserver")
        .env_clear()
        .env("TMPDIR", temporary)
        .envs([("FACEMATCH_OZ_URL", "https://oz.example"), ("FACEMATCH_HEARTBEAT", "nonsense")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// The only line that a test server prints.
fn ready_line(stdout: ChildStdout) -> Value {
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("one line of JSON: {line:?}"))
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn http() -> Http {
    // Another test may have installed it first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Http::builder().no_proxy().build().unwrap()
}

/// The address of a URL or of `host:port`.
fn address(text: &str) -> SocketAddr {
    text.trim_start_matches("http://").parse().unwrap()
}

fn is_closed(address: SocketAddr) -> bool {
    std::net::TcpStream::connect(address).is_err()
}

#[tokio::test]
async fn its_line_has_every_address_and_it_ends_with_its_standard_input() {
    let server = Server::start(&[]);
    let Value::Object(ready) = server.ready.clone() else { panic!("{}", server.ready) };
    let mut keys: Vec<_> = ready.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["admin", "grpc", "pid", "simulator", "token", "web"]);
    assert_eq!(ready["token"], Value::Null);
    assert!(ready["web"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{ready:?}");
    assert_eq!(ready["pid"], server.child.id());
    let doors = ["grpc", "admin", "simulator"].map(|key| address(server.text(key)));
    assert_eq!(server.text("grpc"), doors[0].to_string());
    assert_eq!(http1::get(doors[1], "/readyz").await.status, 200);
    assert_eq!(http1::get(doors[2], "/sim/health").await.status, 200);
    let (mut client, folder) = (server.client().await, server.folder(json!({})).await);
    // Left open, as a test that fails does.
    let all = client.watch_matches(pb::WatchMatchesRequest::default()).await.unwrap();
    let ended = server.ended(&mut client, &folder).await;
    assert_eq!(ended.state(), MatchState::Finished);

    let ended = server.close().await;
    assert_eq!((ended.code, ended.log.as_str()), (Some(0), ""));
    assert!(ended.left.is_empty(), "{:?}", ended.left);
    assert!(doors.into_iter().all(is_closed), "a port is open");
    drop(all);
}

#[tokio::test]
async fn each_verdict_is_one_call_away_and_so_is_a_photo() {
    let server = Server::start(&[]);
    let mut client = server.client().await;
    for (wish, resolution) in [
        (json!({}), Resolution::Success),
        (json!({ "person": "stranger" }), Resolution::Declined),
        (json!({ "kind": "video" }), Resolution::Success),
        (
            json!({ "verdict": { "resolution": "OPERATOR_REQUIRED", "min_confidence": 0.7 } }),
            Resolution::OperatorRequired,
        ),
    ] {
        let folder = server.folder(wish.clone()).await;
        let ended = server.ended(&mut client, &folder).await;
        assert_eq!(ended.result.unwrap_or_default().resolution(), resolution, "{wish}");
    }
    let failed = json!({ "verdict": { "state": "FAILED" } });
    let folder = server.folder(failed).await;
    let ended = server.ended(&mut client, &folder).await;
    assert_eq!(ended.error.unwrap_or_default().reason, "OZ_ANALYSIS_FAILED");
    for name in ["portrait.jpg", "stranger.jpg"] {
        let photo = http().get(server.sim(&format!("/sim/samples/{name}"))).send().await.unwrap();
        let bytes = photo.error_for_status().unwrap().bytes().await.unwrap();
        assert!(bytes.starts_with(b"\xff\xd8"), "{name}");
    }
}

#[tokio::test]
async fn its_times_are_a_test_s() {
    let server = Server::start(&[]);
    let mut client = server.client().await;
    let all = client.watch_matches(pb::WatchMatchesRequest::default()).await.unwrap();
    let heartbeats = read_until(&mut all.into_inner(), "heartbeat").await;
    let Some(Event::Heartbeat(heartbeat)) = heartbeats[0].event else { panic!("no heartbeat") };
    assert_eq!(heartbeat.interval.unwrap().to_string(), "0.200s");
    let folder = server.folder(json!({})).await;
    let ended = server.ended(&mut client, &folder).await;
    let (end, expire) = (ended.end_time.unwrap(), ended.expire_time.unwrap());
    assert_eq!(expire.seconds - end.seconds, 3_600);
}

#[tokio::test]
async fn with_callers_a_call_needs_the_printed_key() {
    let server = Server::start(&["--callers"]);
    let mut client = server.client().await;
    let refused = client.get_match(get("m")).await;
    Refusal::of(refused.unwrap_err()).assert(Code::Unauthenticated, "CREDENTIAL_MISSING");

    let bearer = format!("Bearer {}", server.text("token"));
    let bearer = MetadataValue::try_from(bearer).unwrap();
    let with_key = |mut request: Request<()>| {
        request.metadata_mut().insert("authorization", bearer.clone());
        request
    };
    let folder = server.folder(json!({})).await;
    let run = with_key(Request::new(())).map(|()| portrait_request(&folder));
    let updates = collect(client.run_match(run).await.unwrap().into_inner()).await.unwrap();
    let id = last_match(&updates).match_id.clone();
    assert_eq!(last_match(&updates).state(), MatchState::Finished);
    let read = with_key(Request::new(())).map(|()| get(&id));
    assert_eq!(client.get_match(read).await.unwrap().into_inner().match_id, id);
    let erase = with_key(Request::new(())).map(|()| crate::support::delete(&id));
    assert_eq!(client.delete_match(erase).await.unwrap().into_inner().match_id, id);
}

#[tokio::test]
async fn it_takes_settings_of_serve() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("kept.db");
    let store_flag = format!("sqlite:{}", store.display());
    let server = Server::start(&["--heartbeat", "5s", "--store", &store_flag]);
    let mut client = server.client().await;
    let all = client.watch_matches(pb::WatchMatchesRequest::default()).await.unwrap();
    let heartbeats = read_until(&mut all.into_inner(), "heartbeat").await;
    let Some(Event::Heartbeat(heartbeat)) = heartbeats[0].event else { panic!("no heartbeat") };
    assert_eq!(heartbeat.interval.unwrap().seconds, 5);
    assert_eq!(server.close().await.code, Some(0));
    assert!(store.exists(), "it removes only what it has made");
}

#[tokio::test]
async fn a_signal_ends_it_too() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&[]);
        assert!(signals::send(server.child.id(), signal));
        let ended = server.end().await;
        assert_eq!((ended.code, ended.log.as_str()), (Some(0), ""), "{signal:?}");
        assert!(ended.left.is_empty(), "{:?}", ended.left);
    }
}

#[tokio::test]
async fn an_input_that_is_closed_from_the_start_ends_it_at_once() {
    let temporary = tempfile::tempdir().unwrap();
    let output = command(temporary.path()).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(names_in(temporary.path()), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_written_to_its_input_means_nothing() {
    use std::io::Write;
    let mut server = Server::start(&[]);
    let stdin = server.stdin.as_mut().unwrap();
    // More than a pipe holds: it is read.
    stdin.write_all(&[b'\n'; 256 * 1024]).unwrap();
    assert_eq!(http1::get(address(server.text("admin")), "/livez").await.status, 200);
    assert_eq!(server.close().await.code, Some(0));
}

/// The part of [`a_killed_test_leaves_no_server`] that is killed: it does nothing without the
/// variable.
#[test]
#[expect(clippy::disallowed_methods, reason = "this is how the killed test is told what to do")]
fn killed_test() {
    let Ok(temporary) = std::env::var(KILLED_TEST) else { return };
    let mut child = command(Path::new(&temporary)).spawn().unwrap();
    // The name of a test stands before it, without a line break.
    println!("\n{}", ready_line(child.stdout.take().unwrap()));
    child.wait().unwrap();
}

#[tokio::test]
async fn a_killed_test_leaves_no_server() {
    let temporary = tempfile::tempdir().unwrap();
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "testserver::killed_test", "--nocapture", "--test-threads=1"])
        .env(KILLED_TEST, temporary.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(test.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ready = lines.find(|line| line.starts_with('{')).expect("the server's line");
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let doors = ["grpc", "simulator"].map(|key| address(ready[key].as_str().unwrap()));
    assert!(!names_in(temporary.path()).is_empty(), "its store is there");

    test.kill().unwrap();
    test.wait().unwrap();
    let pid = ready["pid"].as_u64().unwrap();
    let is_gone = || doors.into_iter().all(is_closed) && !runs(pid);
    eventually(is_gone, || format!("the server {pid} is still there")).await;
    assert_eq!(names_in(temporary.path()), Vec::<String>::new());
}

/// Whether a process runs. One that has ended may stay as a zombie until its new parent asks for it.
fn runs(pid: u64) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

#[test]
fn wrong_arguments_are_refused_with_one_line() {
    for (more, words) in [
        (&["--heartbeat", "0s"][..], "--heartbeat: "),
        (&["--oz-url", "http://oz.example"], "--oz-url"),
        (&["--config", "f.toml"], "--config"),
        (&["--callers", "--callers-file", "f.toml"], "--callers-file"),
        (&["--log-level", "=,="], "--log-level: "),
    ] {
        let temporary = tempfile::tempdir().unwrap();
        let output = command(temporary.path()).args(more).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains(words) && output.stdout.is_empty(), "{more:?}: {said}");
        assert_eq!(names_in(temporary.path()), Vec::<String>::new(), "{more:?}");
    }
}

#[test]
fn its_page_lists_its_settings() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/testserver.md"));
    let page = page.unwrap();
    for setting in TEST_SETTINGS {
        let row = format!("| `--{}` | `{}` | {} |", setting.name, setting.default, setting.reason);
        assert!(page.contains(&row), "docs/testserver.md lacks {row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `--")).count();
    assert_eq!(rows, TEST_SETTINGS.len() + 1, "of its own flag and of these settings");
    // Each is a setting of serve, and valid.
    let flags = TEST_SETTINGS.iter().map(|setting| (setting.name, setting.default.to_owned()));
    let oz = [("oz-url", "http://oz".to_owned()), ("oz-token", "t".to_owned())];
    let flags: Flags = flags.chain(oz).collect();
    let loaded = facematch::config::load(flags, Environment::default());
    assert!(loaded.config.is_ok(), "{:?}", loaded.config.err());
}
