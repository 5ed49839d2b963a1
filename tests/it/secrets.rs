//! The built program: secrets that are replaced while it runs, hang-ups that must not end it, and
//! crashes without a core dump.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
};

use facematch::{
    pb::MatchState,
    simulator::{Simulator, sample},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    checker::{causes, check_all_updates},
    process::Process,
    signals,
    support::{collect, last_match, portrait_request, read_until, simulator},
};

/// A service with a secret in a file, and a simulated Oz.
struct Scene {
    oz: Simulator,
    directory: TempDir,
    process: Process,
}

impl Scene {
    /// Starts the service with `flag` set to a file that holds `secret`.
    async fn with(flag: &str, secret: &str) -> Self {
        let oz = simulator().await;
        oz.switch(|switches| switches.processing_ms = 50);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        fs::write(&file, secret).unwrap();
        let process = Process::start(&oz, directory.path(), &[flag, file.to_str().unwrap()]);
        Self { oz, directory, process }
    }

    /// Replaces the secret as Kubernetes does: atomically, by a rename.
    fn replace(&self, secret: &str) {
        let new = self.directory.path().join("new");
        fs::write(&new, format!("{secret}\n")).unwrap();
        fs::rename(new, self.directory.path().join("secret")).unwrap();
    }

    /// Runs a match that meets this trouble, calls `mend`, and checks that it gets its verdict.
    async fn recovers(&self, trouble: &str, mend: impl FnOnce()) {
        let folder = self.oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        let mut client = self.process.client().await;
        let run = client.run_match(portrait_request(&folder)).await.unwrap();
        let mut updates = run.into_inner();
        let mut seen = read_until(&mut updates, "attempt_failed").await;
        assert_eq!(causes(&seen), [trouble]);
        mend();
        seen.extend(collect(updates).await.unwrap());
        check_all_updates(&seen);
        assert_eq!(last_match(&seen).state(), MatchState::Finished);
    }
}

/// Fetches an access token from Oz, as an operator's tool would.
async fn access_token(oz: &Simulator) -> String {
    let (email, password) = oz.login();
    let body = json!({ "credentials": { "email": email, "password": password } });
    let url = format!("{}/api/authorize/auth/", oz.url());
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let answer = answer.post(url).json(&body).send().await.unwrap();
    let tokens: Value = answer.json().await.unwrap();
    tokens["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_revoked_token_is_replaced_from_its_file() {
    let oz = simulator().await;
    let token = access_token(&oz).await;
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("secret"), &token).unwrap();
    let file = directory.path().join("secret");
    let process =
        Process::start(&oz, directory.path(), &["--oz-token-file", file.to_str().unwrap()]);
    let scene = Scene { oz, directory, process };
    let folder = scene.oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let mut client = scene.process.client().await;
    let run = client.run_match(portrait_request(&folder)).await.unwrap();
    assert_eq!(last_match(&collect(run.into_inner()).await.unwrap()).state(), MatchState::Finished);
    scene.oz.expire_sessions();
    let second = access_token(&scene.oz).await;
    scene.recovers("OZ_SESSION_REFUSED", || scene.replace(&second)).await;
}

#[tokio::test]
async fn a_wrong_token_is_replaced_from_its_file_on_a_hangup() {
    let scene = Scene::with("--oz-token-file", "nonsense\n").await;
    let token = access_token(&scene.oz).await;
    let mend = || {
        scene.replace(&token);
        scene.process.signal(Signal::HUP);
    };
    scene.recovers("OZ_LOGIN_REFUSED", mend).await;
}

#[tokio::test]
async fn a_wrong_password_is_replaced_from_its_file_even_after_an_empty_one() {
    let scene = Scene::with("--oz-password-file", "nonsense\n").await;
    let (_, password) = scene.oz.login();
    let mend = || {
        fs::write(scene.directory.path().join("secret"), "").unwrap();
        scene.process.signal(Signal::HUP);
        scene.replace(password);
    };
    scene.recovers("OZ_LOGIN_REFUSED", mend).await;
}

/// A running command that prints a line with certain words when it is ready.
struct Running(Child);

impl Running {
    fn start(args: &[&str], words: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_facematch"));
        let mut child = command.args(args).env_clear().stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let ready = lines.map_while(Result::ok).any(|line| line.contains(words));
        assert!(ready, "{args:?}: it ended before it printed {words:?}");
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        assert!(signals::send(self.0.id(), signal));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that the process has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_hangup_ends_neither_the_simulator_nor_the_demo() {
    for (command, words) in [("sim", "is ready on"), ("demo", "The simulator takes folders at")] {
        let mut running = Running::start(&[command, "--listen", "127.0.0.1:0"], words);
        running.signal(Signal::HUP);
        running.signal(Signal::HUP);
        running.signal(Signal::TERM);
        let ended = running.0.wait().unwrap();
        assert!(ended.success(), "{command}: {ended}");
    }
}

#[tokio::test]
async fn a_hangup_does_not_end_the_service_even_while_it_drains() {
    let oz = simulator().await;
    oz.script([crate::support::rule(json!({"then": {"never_finish": true}}))]);
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(&oz, directory.path(), &[]);
    process.signal(Signal::HUP);
    let mut client = process.client().await;
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let run = client.run_match(portrait_request(&folder)).await.unwrap();
    read_until(&mut run.into_inner(), "analysis_started").await;
    process.signal(Signal::HUP);
    process.terminate();
    // The process may have ended already; if not, this signal must not end it.
    process.try_signal(Signal::HUP);
    drop(client);
    let ended = process.end().await;
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn a_crash_leaves_no_core_dump() {
    let oz = simulator().await;
    let directory = tempfile::tempdir().unwrap();
    let script = r#"ulimit -c "$(ulimit -H -c)"; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_facematch")]);
    command.current_dir(directory.path());
    let mut process = Process::start_by(&mut command, &oz, directory.path(), &[]);
    process.signal(Signal::ABORT);
    let ended = process.end().await;
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false));
}
