//! The service as a process of its own, to be killed or stopped, and what it wrote.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
};

use facematch::simulator::Simulator;

use crate::{
    canary::{self, Client, Inspection, Log, search_log},
    support::{JOURNAL, connect, eventually},
};

/// What suits most tests; those that say otherwise have it their way.
const SETTINGS: [(&str, &str); 3] =
    [("--oz-poll-interval", "20ms"), ("--oz-settle", "100ms"), ("--log-level", canary::LEVELS)];

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_facematch");

/// What a test is told by, and the service isn't.
const OF_TESTS: [&str; 10] = [
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
    /// Reads the log to its end, searching it.
    log: Option<JoinHandle<Log>>,
    /// Dropped when the process has ended.
    _inspection: Inspection,
}

impl Process {
    /// Starts the service on the journal in a directory, and returns once it is ready.
    pub fn start(oz: &Simulator, directory: &Path, more: &[&str]) -> Self {
        Self::start_by(&mut Command::new(PROGRAM), oz, directory, more)
    }

    /// The same, by a command that runs the service with what it is given.
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

    /// Starts the service on a database, and returns once it is ready. What is in the database is
    /// searched by whoever made that.
    #[cfg(feature = "postgres-tests")]
    pub fn start_on(store: &str, oz: &Simulator, oz_url: &str, more: &[&str]) -> Self {
        Self::start_on_by(&mut Command::new(PROGRAM), store, oz, oz_url, more)
    }

    /// The same, by a command that runs the service with what it is given.
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
        for name in OF_TESTS {
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
        let log = child.stderr.take().expect("its standard error");
        let log = Some(thread::spawn(|| search_log(log)));
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("its standard output");
        BufReader::new(stdout).read_line(&mut ready).expect("a line");
        assert!(!ready.is_empty(), "it ends before it is ready: {:?}", child.wait());
        let address = ready.trim().rsplit(' ').next().expect("an address");
        let address = format!("http://{address}");
        Self { child, address, log, _inspection: inspection }
    }

    /// A client of it.
    pub async fn client(&self) -> Client {
        connect(&self.address).await
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How much memory it has, in KiB, as the operating system counts it.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most memory that it has had since [`Self::forget_peak`].
    pub fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// Forgets how much memory it had at most.
    pub fn forget_peak(&self) {
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

    /// How many files and sockets it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    /// Ends it at once, wherever it is.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop, and returns once it has, with how many bytes it logged.
    pub fn stop(mut self) -> usize {
        self.terminate();
        assert!(self.child.wait().expect("it ends").success(), "it stops in order");
        self.read_log()
    }

    /// Asks it to stop, and leaves it to it.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Stops it where it is, as a machine does that hangs. Before anything but [`Self::resume`]
    /// and [`Self::kill`], resume it.
    #[cfg(feature = "postgres-tests")]
    pub async fn pause(&self) {
        self.signal("-STOP");
        let stat = format!("/proc/{}/stat", self.child.id());
        let is_paused = || fs::read_to_string(&stat).expect("it runs").contains(") T ");
        eventually(is_paused, || "the process doesn't pause".to_owned()).await;
    }

    /// Lets it go on.
    #[cfg(feature = "postgres-tests")]
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        assert!(self.try_signal(signal));
    }

    /// The same, and whether it was still there.
    pub fn try_signal(&self, signal: &str) -> bool {
        let id = self.child.id().to_string();
        Command::new("kill").args([signal, &id]).status().expect("kill runs").success()
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
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

impl Process {
    /// Fails if there was a canary in the log. It ends with the process.
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
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.read_log();
    }
}

/// Fails with a reason where a process may not have so many files and sockets open: the service,
/// and the test that calls it.
pub fn assert_may_open(descriptors: usize) {
    let limits = fs::read_to_string("/proc/self/limits").expect("the limits of a process");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).expect("the limit");
    let may = soft == "unlimited" || soft.parse::<usize>().expect("a number") >= descriptors;
    assert!(may, "{descriptors} open files are needed, {soft} are allowed: raise ulimit -n");
}
