//! The service as a process of its own, to be killed or stopped, and what it wrote.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use facematch::{pb::face_match_client::FaceMatchClient, simulator::Simulator};
use tonic::transport::Channel;

use crate::support::{connect, eventually};

/// What suits most tests; those that say otherwise have it their way.
const SETTINGS: [(&str, &str); 2] = [("--oz-poll-interval", "20ms"), ("--oz-settle", "100ms")];

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    address: String,
}

impl Process {
    /// Starts the service on the journal in a directory, and returns once it is ready. What it
    /// writes to standard error goes to `log` there.
    pub fn start(oz: &Simulator, directory: &Path, more: &[&str]) -> Self {
        let (login, password) = oz.login();
        let log = File::options().create(true).append(true).open(directory.join("log"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_facematch"))
            .args(["serve", "--listen", "127.0.0.1:0", "--oz-url", &oz.url()])
            .args(["--store", &format!("sqlite:{}", directory.join("facematch.db").display())])
            .args(["--oz-login", login])
            .args(
                SETTINGS
                    .iter()
                    .filter(|(flag, _)| !more.contains(flag))
                    .flat_map(|(flag, value)| [flag, value]),
            )
            .args(more)
            .env("FACEMATCH_OZ_PASSWORD", password)
            // These are a test's own.
            .env_remove("FACEMATCH_KILLS")
            .env_remove("FACEMATCH_SEED")
            .stdout(Stdio::piped())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("the service starts");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("its standard output");
        BufReader::new(stdout).read_line(&mut ready).expect("a line");
        let address = ready.trim().rsplit(' ').next().expect("an address");
        Self { address: format!("http://{address}"), child }
    }

    /// A client of it.
    pub async fn client(&self) -> FaceMatchClient<Channel> {
        connect(&self.address).await
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends it at once, wherever it is.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop, and returns once it has.
    pub fn stop(mut self) {
        self.terminate();
        assert!(self.child.wait().expect("it ends").success(), "it stops in order");
    }

    /// Asks it to stop, and leaves it to it.
    pub fn terminate(&self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(asked.success());
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it can be asked")
    }

    /// Waits until it has ended. Meanwhile connections to it go on: they are how it says goodbye.
    pub async fn end(&mut self) -> ExitStatus {
        let mut ended = None;
        let has_ended = || {
            ended = self.ended();
            ended.is_some()
        };
        eventually(has_ended, || "the process doesn't end".to_owned()).await;
        ended.expect("it was waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
