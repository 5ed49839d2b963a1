//! The settings file while the service runs: SIGHUP has it read again, all or nothing.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use facematch::{
    access::ReloadCounts,
    app::App,
    clock::Clock,
    config::{Environment, Flags, load},
    pb::{self, MatchState},
    simulator::{Simulator, sample},
};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use crate::{
    canary::Client,
    logging::program::Program,
    signals,
    support::{
        Refusal, collect, connect, eventually, get, last_match, portrait_request, simulator,
    },
};

/// What the log says of a file that is in use, of one that changes nothing, and of one that isn't
/// used.
const IN_USE: &str = "settings file read again: the changes are in use";
const UNCHANGED: &str = "settings file read again: nothing has changed";
const REFUSED: &str = "settings file not used: no setting has changed";

/// A settings file that tests replace.
struct SettingsFile(TempDir);

impl SettingsFile {
    fn new(text: &str) -> Self {
        let file = Self(tempfile::tempdir().expect("a directory"));
        file.replace(text);
        file
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("facematch.toml")
    }

    fn replace(&self, text: &str) {
        let new = self.0.path().join("new.toml");
        fs::write(&new, text).expect("a file");
        fs::rename(new, self.path()).expect("it is renamed");
    }
}

/// A running program with a settings file.
struct Scene {
    oz: Simulator,
    file: SettingsFile,
    program: Program,
    client: Client,
    folder: String,
}

impl Scene {
    async fn new(text: &str) -> Self {
        let oz = simulator().await;
        oz.switch(|switches| switches.processing_ms = 0);
        let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        let file = SettingsFile::new(text);
        let program = Program::start_by_file(&oz, &file.path());
        let client = connect(&program.address).await;
        Self { oz, file, program, client, folder }
    }

    /// Replaces the file, sends SIGHUP, and returns the line that the log has then.
    async fn reload(&self, text: &str, message: &str) -> Value {
        self.file.replace(text);
        let before = self.told(message).len();
        assert!(signals::send(self.program.id(), Signal::HUP));
        let is_told = || self.told(message).len() > before;
        eventually(is_told, || format!("no {message:?} in {:?}", self.program.log())).await;
        self.told(message).pop().expect("a line")
    }

    /// The lines of the log with this message.
    fn told(&self, message: &str) -> Vec<Value> {
        self.program.log().into_iter().filter(|line| line["message"] == message).collect()
    }

    /// Runs a match to its verdict.
    async fn run(&mut self) -> pb::Match {
        let run = self.client.run_match(portrait_request(&self.folder)).await;
        let updates = collect(run.expect("it is accepted").into_inner()).await.expect("it ends");
        assert_eq!(last_match(&updates).state(), MatchState::Finished);
        last_match(&updates).clone()
    }

    /// The code of a call of reflection.
    async fn reflection(&self) -> Code {
        let channel = tonic::transport::Endpoint::from_shared(self.program.address.clone());
        let channel = channel.expect("an address").connect().await.expect("it listens");
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let asked = tokio_stream::once(request);
        let answer = ServerReflectionClient::new(channel).server_reflection_info(asked).await;
        match answer {
            Ok(answer) => {
                answer.into_inner().message().await.map_or_else(|s| s.code(), |_| Code::Ok)
            }
            Err(status) => status.code(),
        }
    }
}

/// How long a match is kept, in seconds.
fn kept_seconds(m: &pb::Match) -> i64 {
    let seconds = |time: &Option<prost_types::Timestamp>| time.as_ref().expect("a time").seconds;
    seconds(&m.expire_time) - seconds(&m.end_time)
}

#[tokio::test]
async fn live_settings_change_while_the_service_runs() {
    let mut scene = Scene::new("retention = '1d'\n").await;
    let m = scene.run().await;
    assert_eq!((kept_seconds(&m), scene.reflection().await), (86_400, Code::Ok));
    scene.client.get_match(get(&m.match_id)).await.expect("it is found");
    let is_read = |line: &Value| line["rpc.method"] == "facematch.v1.FaceMatch/GetMatch";
    assert!(!scene.told("call ended").iter().any(is_read), "reads are logged at debug only");

    let text = "retention = '2h'\nreflection = 'off'\nlog-level = 'info,facematch=debug'\n\
                oz-max-rate = 500\noz-max-requests = 9\nmax-unfinished = 1\n";
    let told = scene.reload(text, IN_USE).await;
    let changed = "oz-max-requests oz-max-rate retention max-unfinished reflection log-level";
    assert_eq!(told["changed"], changed);
    assert!(told["settings"].as_str().unwrap().contains("retention=2h"), "{told}");
    assert_eq!(
        (kept_seconds(&scene.run().await), scene.reflection().await),
        (7_200, Code::Unimplemented)
    );
    scene.client.get_match(get(&m.match_id)).await.expect("it is found");
    let is_logged = || scene.told("call ended").iter().any(is_read);
    eventually(is_logged, || "the new level isn't in use".to_owned()).await;
    scene.oz.switch(|switches| switches.processing_ms = 3_600_000);
    scene.client.create_match(portrait_request(&scene.folder)).await.expect("it is the first");
    let second = scene.client.create_match(portrait_request(&scene.folder)).await;
    let refused = Refusal::of(second.expect_err("one is allowed"));
    assert_eq!(refused.metadata("limit"), Some("unfinished-matches"));

    scene.reload(text, UNCHANGED).await;
    scene.reload("", IN_USE).await;
    assert_eq!(scene.reflection().await, Code::Ok, "what the file leaves out is at its default");
    scene.client.create_match(portrait_request(&scene.folder)).await.expect("it is allowed again");
}

#[tokio::test]
async fn a_file_with_a_fault_or_with_another_difference_changes_nothing() {
    let mut scene = Scene::new("lease = '11s'\nretention = '1d'\n").await;
    for (text, why) in [
        ("lease = '12s'\nretention = '2d'\n", "--lease: can't change while the service runs"),
        ("retention = '2d'\nheartbeat = '9s'\nlease = '11s'\n", "--heartbeat: can't change"),
        ("lease = '11s'\nretention = '2 moons'\n", "--retention: "),
        ("lease = '11s'\nretantion = '2d'\n", "did you mean \"retention\"?"),
        ("lease = '11s'\nretention = \n", "is not valid TOML, line 2"),
    ] {
        let told = scene.reload(text, REFUSED).await;
        assert!(told["error"].as_str().unwrap().contains(why), "{told}");
        assert_eq!(kept_seconds(&scene.run().await), 86_400, "{text}");
    }
    fs::remove_file(scene.file.path()).expect("a file");
    let before = scene.told(REFUSED).len();
    assert!(signals::send(scene.program.id(), Signal::HUP));
    eventually(|| scene.told(REFUSED).len() > before, || "it is not missed".to_owned()).await;
    scene.reload("lease = '11s'\nretention = '2d'\n", IN_USE).await;
    assert_eq!(kept_seconds(&scene.run().await), 2 * 86_400);
}

#[tokio::test]
async fn a_hangup_without_a_settings_file_changes_and_ends_nothing() {
    let oz = simulator().await;
    oz.switch(|switches| switches.processing_ms = 0);
    let program = Program::start(&oz, "info", &[]);
    assert!(signals::send(program.id(), Signal::HUP));
    program.line("SIGHUP: the settings and the files that they name are read again").await;
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let run = connect(&program.address).await.run_match(portrait_request(&folder)).await;
    collect(run.expect("it serves").into_inner()).await.expect("it ends");
    let of_settings = |line: &Value| line["message"].as_str().unwrap().contains("settings file");
    assert!(!program.stop().iter().any(of_settings));
}

#[tokio::test]
async fn a_reload_is_told_also_if_the_new_or_the_old_level_hides_its_line() {
    let scene = Scene::new("").await;
    scene.reload("log-level = 'warn'\n", IN_USE).await;
    scene.reload("", IN_USE).await;
    assert_eq!(scene.told(IN_USE).len(), 2, "each is told once");
}

#[tokio::test]
async fn a_hangup_during_the_start_is_not_missed() {
    let oz = simulator().await;
    let folder = tempfile::tempdir().expect("a directory");
    let callers = folder.path().join("callers.toml");
    let made = Command::new("mkfifo").arg(&callers).status().expect("mkfifo runs");
    assert!(made.success());
    let callers_file = format!("callers-file = '{}'\n", callers.display());
    let file = SettingsFile::new(&callers_file);
    let program = Program::start_by_file_while(&oz, &file.path(), |id| {
        // Opening the pipe waits until the program reads it, amid its start.
        let mut callers = OpenOptions::new().write(true).open(&callers).expect("a pipe");
        file.replace(&format!("{callers_file}retention = '1d'\n"));
        assert!(signals::send(id, Signal::HUP));
        callers.write_all(b"[tenant.default]\n").expect("it is read");
    });
    assert_eq!(program.line(IN_USE).await["changed"], "retention");
}

/// The counts of a kind: of changes in use, and of those that can't be used.
fn counts(reloads: &[ReloadCounts], kind: &str) -> (u64, u64) {
    let found = reloads.iter().find(|counts| counts.kind == kind).expect(kind);
    (found.ok, found.failed)
}

#[tokio::test]
async fn reloads_are_counted_and_a_retention_must_fit_the_callers_file() {
    let folder = tempfile::tempdir().expect("a directory");
    let place = |name: &str| folder.path().join(name);
    let written = |name: &str, text: &str| fs::write(place(name), text).expect("a file");
    let file = SettingsFile::new("retention = '30d'\n");
    written("callers.toml", "[tenant.retail]\nretention = '7d'\n");
    written("token", "one\n");
    let settings = [
        ("config", file.path().display().to_string()),
        ("callers-file", place("callers.toml").display().to_string()),
        ("oz-url", "http://127.0.0.1:1".to_owned()),
        ("oz-token-file", place("token").display().to_string()),
        ("listen", "127.0.0.1:0".to_owned()),
        ("store", format!("sqlite:{}", place("own.db").display())),
    ];
    let loaded = load(Flags::from(settings), Environment::default());
    let app =
        App::build(loaded.config.expect("settings"), Clock::system()).await.expect("it starts");
    let (again, secrets, reloads) = (app.settings(loaded.given), app.secrets(), app.reloads());

    for (text, expected) in [
        ("retention = '6d'\n", (0, 1)),
        ("retention = '8d'\n", (1, 1)),
        ("retention = '8d'\n", (1, 1)),
        ("retention = '8d'\nheartbeat = '1s'\n", (1, 2)),
    ] {
        file.replace(text);
        again.reread().await;
        assert_eq!(counts(&reloads(), "settings"), expected, "{text}");
    }
    // Both files are changed together.
    written("callers.toml", "[tenant.retail]\nretention = '5d'\n");
    file.replace("retention = '5d'\n");
    again.reread().await;
    let both = [counts(&reloads(), "settings"), counts(&reloads(), "callers")];
    assert_eq!(both, [(2, 2), (1, 0)]);
    written("callers.toml", "[tenant.retail]\nretention = '9d'\n");
    secrets.reread().await;
    assert_eq!(counts(&reloads(), "callers"), (1, 1), "9d is over the new retention");
    for (token, expected) in [("two\n", (1, 0)), ("", (1, 1)), ("", (1, 1)), ("three\n", (2, 1))] {
        written("token", token);
        secrets.reread().await;
        assert_eq!(counts(&reloads(), "secrets"), expected, "{token:?}");
    }
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(60), app.run(shutdown)).await;
    stopped.expect("it stops").expect("in order");
}
