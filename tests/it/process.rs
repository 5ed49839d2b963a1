//! The service as a process of its own, which tests kill, stop or pause, with its log searched.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
};

use facematch::simulator::Simulator;
use rustix::process::Signal;

use crate::{
    canary::{self, Client, Inspection, Log, search_log},
    signals,
    support::{JOURNAL, connect, eventually},
};

/// Default settings of these tests; a test's own settings override them.
const SETTINGS: [(&str, &str); 3] =
    [("--oz-poll-interval", "20ms"), ("--oz-settle", "100ms"), ("--log-level", canary::LEVELS)];

/// The path of the built program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_facematch");

/// Variables that are for tests and that the service would report as unknown.
const TEST_VARIABLES: [&str; 10] = [
    "FACEMATCH_ATTACK_MATCHES",
    "FACEMATCH_KILLS",
    "FACEMATCH_LIST_MATCHES",
    "FACEMATCH_SEED",
    "FACEMATCH_ABUSE",
    "FACEMATCH_SOAK",
    "FACEMATCH_STORM",
    "FACEMATCH_REPLICA_KILLS",
    "FACEMATCH_DATABASE_KILLS",
    "FACEMATCH_FAILOVERS",
];

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    address: String,
    /// Searches the log to its end.
    log: Option<JoinHandle<Log>>,
    /// Dropped after the process has ended.
    _inspection: Inspection,
}

impl Process {
    /// Starts the service on the journal in a directory, and returns once it is ready.
    pub fn start(oz: &Simulator, directory: &Path, more: &[&str]) -> Self {
        Self::start_by(&mut Command::new(PROGRAM), oz, directory, more)
    }

    /// Like [`start`](Self::start), by a command that runs the service with its arguments.
    pub fn start_by(
        command: &mut Command,
        oz: &Simulator,
        directory: &Path,
        more: &[&str],
    ) -> Self {
        let journal = directory.join(JOURNAL);
        let store = format!("sqlite:{}", journal.display());
        Self::launch(command, oz, &oz.url(), &store, more, Inspection::begin(journal))
    }

    /// Starts the service on a database, and returns once it is ready. The owner of the database
    /// searches its contents.
    #[cfg(feature = "postgres-tests")]
    pub fn start_on(store: &str, oz: &Simulator, oz_url: &str, more: &[&str]) -> Self {
        Self::start_on_by(&mut Command::new(PROGRAM), store, oz, oz_url, more)
    }

    /// Like [`start_on`](Self::start_on), by a command that runs the service with its arguments.
    #[cfg(feature = "postgres-tests")]
    pub fn start_on_by(
        command: &mut Command,
        store: &str,
        oz: &Simulator,
        oz_url: &str,
        more: &[&str],
    ) -> Self {
        Self::launch(command, oz, oz_url, store, more, Inspection::begin_elsewhere())
    }

    fn launch(
        command: &mut Command,
        oz: &Simulator,
        oz_url: &str,
        store: &str,
        more: &[&str],
        inspection: Inspection,
    ) -> Self {
        canary::check_account(oz);
        let (login, password) = oz.login();
        let account: &[&str] = match more.contains(&"--oz-token-file") {
            true => &[],
            false => &["--oz-login", login],
        };
        if !account.is_empty() {
            command.env("FACEMATCH_OZ_PASSWORD", password);
        }
        for name in TEST_VARIABLES {
            command.env_remove(name);
        }
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--oz-url", oz_url, "--store", store])
            .args(account)
            .args(
                SETTINGS
                    .iter()
                    .filter(|(flag, _)| !more.contains(flag))
                    .flat_map(|(flag, value)| [flag, value]),
            )
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let log = child.stderr.take().expect("piped standard error");
        let log = Some(thread::spawn(|| search_log(log)));
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("piped standard output");
        BufReader::new(stdout).read_line(&mut ready).expect("a line");
        assert!(!ready.is_empty(), "it ended before it was ready: {:?}", child.wait());
        let address = ready.trim().rsplit(' ').next().expect("an address");
        let address = format!("http://{address}");
        Self { child, address, log, _inspection: inspection }
    }

    /// A client of the service.
    pub async fn client(&self) -> Client {
        connect(&self.address).await
    }

    /// Its `http://` address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// Peak resident memory in KiB since [`Self::forget_peak`].
    pub fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// Resets the peak of resident memory.
    pub fn reset_peak(&self) {
        let counters = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(counters, "5").expect("it runs");
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number.and_then(|number| number.parse().ok()).expect("a number of KiB")
    }

    /// The number of open file descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    /// Kills it with `SIGKILL`.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Shuts it down gracefully, waits for its end, and returns the size of its log in bytes.
    pub fn stop(mut self) -> usize {
        self.terminate();
        assert!(self.child.wait().expect("it ends").success(), "the shutdown fails");
        self.read_log()
    }

    /// Sends `SIGTERM` without waiting.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Suspends it with `SIGSTOP`, like a machine that hangs. Until [`Self::resume`], only
    /// [`Self::kill`] may be called.
    #[cfg(feature = "postgres-tests")]
    pub async fn pause(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.child.id());
        let is_paused = || fs::read_to_string(&stat).expect("it runs").contains(") T ");
        eventually(is_paused, || "the process doesn't pause".to_owned()).await;
    }

    /// Resumes it after [`Self::pause`].
    #[cfg(feature = "postgres-tests")]
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        assert!(self.try_signal(signal));
    }

    /// Sends it a signal, and returns whether it was still running.
    pub fn try_signal(&self, signal: Signal) -> bool {
        signals::send(self.child.id(), signal)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Waits until it has ended. Meanwhile its connections are served, as a drain needs them.
    pub async fn end(&mut self) -> ExitStatus {
        let mut ended = None;
        let has_ended = || {
            ended = self.ended();
            ended.is_some()
        };
        eventually(has_ended, || "the process doesn't end".to_owned()).await;
        ended.expect("it has ended")
    }
}

impl Process {
    /// Fails if there was a canary in the log. Blocks until the process has ended.
    fn read_log(&mut self) -> usize {
        let Some(log) = self.log.take() else { return 0 };
        let log = log.join().expect("the log can be read");
        if let Some(secret) = log.secret
            && !thread::panicking()
        {
            panic!("the log of the process: there is {secret}");
        }
        log.bytes
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.read_log();
    }
}

/// Fails if the limit on file descriptors is lower than the service, or the test, needs.
pub fn assert_may_open(descriptors: usize) {
    let limits = fs::read_to_string("/proc/self/limits").expect("the limits of a process");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).expect("the limit");
    let may = soft == "unlimited" || soft.parse::<usize>().expect("a number") >= descriptors;
    assert!(may, "{descriptors} open files are needed, {soft} are allowed: raise ulimit -n");
}
