//! Runs the program with its log in a file, and parses the log line by line.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use facematch::simulator::Simulator;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{canary, signals, support::eventually};

/// The path of the built program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_facematch");

/// A running `facematch serve`; killed when dropped.
pub struct Program {
    child: Child,
    pub address: String,
    log: PathBuf,
    _directory: TempDir,
}

/// The result of a program that ended by itself.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// Serves with a JSON log at this level, and with further settings.
    pub fn start(oz: &Simulator, level: &str, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let url = oz.url();
        let oz_url = ["--oz-url", url.as_str()];
        let oz_url = if more.contains(&"--oz-url") { &[][..] } else { &oz_url[..] };
        let mut command = command(oz, &directory, more);
        command.args(oz_url).args(["--log", "json", "--log-level", level]);
        let file = File::create(&log).unwrap();
        Self::launch(command, file.into(), log, directory)
    }

    /// Serves with the settings of a file, and a JSON log at the level that the file names.
    pub fn start_by_file(oz: &Simulator, settings: &Path) -> Self {
        Self::start_by_file_while(oz, settings, |_| ())
    }

    /// The same, with something to do while the process with this id starts.
    pub fn start_by_file_while(oz: &Simulator, settings: &Path, act: impl FnOnce(u32)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut command = command(oz, &directory, &["--oz-url", &oz.url(), "--log", "json"]);
        command.arg("--config").arg(settings);
        let file = File::create(&log).unwrap();
        Self::launch_while(command, file.into(), log, directory, act)
    }

    fn launch(command: Command, stderr: Stdio, log: PathBuf, directory: TempDir) -> Self {
        Self::launch_while(command, stderr, log, directory, |_| ())
    }

    fn launch_while(
        mut command: Command,
        stderr: Stdio,
        log: PathBuf,
        directory: TempDir,
        act: impl FnOnce(u32),
    ) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        act(child.id());
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("facematch is ready on "), "{ready:?} {:?}", lines(&log));
        let address = format!("http://{}", ready.trim().rsplit(' ').next().unwrap());
        Self { child, address, log, _directory: directory }
    }

    /// Serves with a text log into a pipe.
    pub fn start_into_a_pipe(oz: &Simulator) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let command = command(oz, &directory, &["--oz-url", &oz.url()]);
        Self::launch(command, Stdio::piped(), log, directory)
    }

    /// Closes the read end of the log's pipe.
    pub fn close_the_pipe(&mut self) {
        drop(self.child.stderr.take());
    }

    /// The lines of its log so far.
    pub fn log(&self) -> Vec<Value> {
        lines(&self.log)
    }

    /// Shuts it down gracefully, and returns its whole log.
    pub fn stop(mut self) -> Vec<Value> {
        assert!(signals::send(self.child.id(), Signal::TERM));
        assert!(self.child.wait().unwrap().success(), "the shutdown fails");
        self.log()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sets the maximum size of its files, in bytes: what they have already stays.
    pub fn limit_files(&self, bytes: u64) {
        let id = self.child.id().try_into().unwrap();
        let limits = Some((bytes, rlimit::INFINITY));
        rlimit::prlimit(id, rlimit::Resource::FSIZE, limits, None).unwrap();
    }

    /// Waits until it has ended by itself, and returns its status.
    pub async fn end(mut self) -> ExitStatus {
        let mut ended = None;
        let has_ended = || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        };
        eventually(has_ended, || "the process doesn't end".to_owned()).await;
        ended.unwrap()
    }

    /// Kills it once it has logged a line with this message, and returns its log until then.
    pub async fn kill_after(mut self, message: &str) -> Vec<Value> {
        self.line(message).await;
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log()
    }

    /// Waits for a line with this message, and returns it.
    pub async fn line(&self, message: &str) -> Value {
        let find = || self.log().into_iter().find(|line| line["message"] == message);
        eventually(|| find().is_some(), || format!("no {message:?} in {:?}", self.log())).await;
        find().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error means that the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(oz: &Simulator, directory: &TempDir, more: &[&str]) -> Command {
    let (login, password) = oz.login();
    let store = format!("sqlite:{}", directory.path().join("own.db").display());
    let store = ["--store", store.as_str()];
    let store = if more.contains(&"--store") { &[][..] } else { &store[..] };
    let mut command = Command::new(PROGRAM);
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(store)
        .args(["--oz-poll-interval", "20ms", "--oz-login", login])
        .args(more)
        .env_clear()
        .env("FACEMATCH_OZ_PASSWORD", password);
    command
}

/// The complete lines of a log, each of which must be JSON without a canary.
fn lines(log: &Path) -> Vec<Value> {
    let text = fs::read(log).unwrap();
    canary::check("the log", &text);
    let text = String::from_utf8(text).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    json(whole)
}

/// Parses lines of JSON.
pub fn json(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

/// Runs the program until it ends by itself.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().envs(environment.iter().copied()).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}
