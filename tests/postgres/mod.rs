//! A real PostgreSQL that tests start themselves, each in a directory of its own, so that they may
//! kill it.
//!
//! It deliberately knows nothing of the journal. Its calls block their thread for as long as
//! PostgreSQL takes. The crate's unit tests and `tests/it` mount it, both as `crate::postgres`.

#![allow(dead_code, unused_imports, reason = "no crate that mounts this module uses all of it")]

pub mod keeper;
mod link;
mod pooler;
mod processes;
mod programs;

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    iter,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::postgres::{
    keeper::Keeper,
    programs::{Programs, run},
};
pub use crate::postgres::{
    link::{Link, Loss},
    pooler::{Mode, Pooler},
};

/// The superuser, which may connect without a password.
const USER: &str = "facematch";

/// Settings that suit tests; a test may override them. They keep everything inside the directory:
/// outside of it, a killed server would leave its remains for good.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("dynamic_shared_memory_type", "mmap"),
    ("shared_buffers", "16MB"),
    ("max_connections", "200"),
    ("max_wal_size", "256MB"),
    ("log_line_prefix", "%m [%p] %q%a@%d "),
];

/// Ports below those that the kernel assigns to clients. One of the kernel's could be in use by a
/// client when a server restarts on it; and a client that connects to it while no server listens
/// could connect to itself.
const PORTS: Range<u16> = 15_000..32_000;

/// How many ports are tried before the search fails: other processes may take them first.
const PORTS_TRIED_MAX: usize = 100;

/// How long any wait may take: much longer than any does.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition that is waited for is checked.
const LOOK: Duration = Duration::from_millis(2);

/// A PostgreSQL server and its data. Both are removed when this is dropped, and soon after the
/// process that started the server has ended, in any way.
pub struct Cluster {
    keeper: Keeper,
    programs: Programs,
    port: u16,
    /// `None` while the server is down.
    postmaster: Mutex<Option<Child>>,
    databases: AtomicUsize,
}

/// How a server is stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Ends all sessions, and shuts down cleanly.
    Fast,
    /// Ends at once; the next start runs recovery.
    Immediate,
}

/// The cluster that the unit tests of a process share, each with a database of its own. No test may
/// stop it. Its commits are not durable, so that it is fast.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start_with(&[("fsync", "off")]))
}

/// A free port of the loopback, which the kernel assigns to no client meanwhile.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports = iter::repeat_with(|| rand::random_range(PORTS)).take(PORTS_TRIED_MAX);
    ports.into_iter().find(is_free).expect("a free port")
}

/// Starting and stopping.
impl Cluster {
    /// Starts a new cluster, and returns once it accepts connections. A commit is on disk when it
    /// is acknowledged.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with additional settings for `postgresql.conf`.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let programs = Programs::find();
        let keeper = Keeper::engage();
        programs.give(keeper.directory());
        initialise(&programs, &data(keeper.directory()));
        configure(keeper.directory(), settings);
        let (postmaster, databases) = (Mutex::new(None), AtomicUsize::new(0));
        let mut cluster = Self { keeper, programs, port: 0, postmaster, databases };
        cluster.start_somewhere();
        cluster
    }

    /// Starts the server again, after [`Self::kill`] or [`Self::stop`], on the same port and data.
    /// Returns once it accepts connections.
    pub fn start_again(&self) {
        let mut postmaster = self.postmaster();
        assert!(postmaster.is_none(), "it runs");
        *postmaster = Some(self.launch().unwrap_or_else(|log| panic!("it doesn't start: {log}")));
    }

    /// Kills all processes of the cluster, whatever they are doing, and returns once they are gone.
    /// As after a power failure, but writes that the operating system has accepted are kept.
    pub fn kill(&self) {
        // No process may see the postmaster dead: a commit that waits for a standby would become
        // visible to sessions that still run.
        self.pause();
        let mut postmaster = self.running();
        // Children that are just ending by themselves can be found in no other way.
        let mut killed = processes::children(postmaster.id());
        // The postmaster first: it would replace the others.
        postmaster.kill().expect("it can be killed");
        postmaster.wait().expect("it ends");
        wait_until("all of its processes are gone", || {
            let left = processes::of(self.directory());
            processes::signal("KILL", &left);
            killed.extend(left.iter().copied());
            left.is_empty() && killed.iter().all(|process| processes::has_ended(*process))
        });
    }

    /// Stops the server, and returns once it has ended.
    pub fn stop(&self, how: Stop) {
        let mut postmaster = self.running();
        let signal = match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        };
        processes::signal(signal, &[postmaster.id()]);
        wait_until("it stops", || postmaster.try_wait().expect("it can be asked").is_some());
    }

    /// Stops the server and starts it again, on the same port and data.
    pub fn restart(&self, how: Stop) {
        self.stop(how);
        self.start_again();
    }

    /// Suspends all processes of the cluster until [`Self::resume`]: connections stay, new ones are
    /// made, and none is answered. Until then only `resume`, `kill` and dropping are allowed.
    pub fn pause(&self) {
        let postmaster = self.postmaster().as_ref().expect("it runs").id();
        // The postmaster first: it would start others.
        processes::signal("STOP", &[postmaster]);
        wait_until("all of its processes pause", || {
            let mut running = processes::of(self.directory());
            running.retain(|process| !processes::is_paused(*process));
            processes::signal("STOP", &running);
            running.is_empty()
        });
    }

    /// Resumes the processes after [`Self::pause`].
    pub fn resume(&self) {
        processes::signal("CONT", &processes::of(self.directory()));
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(log(self.directory())).expect("its log")).into_owned()
    }
}

/// Replication.
impl Cluster {
    /// Starts a standby of this server, and returns once each commit waits for it.
    pub fn start_standby(&self) -> Self {
        let programs = Programs::find();
        let keeper = Keeper::engage();
        programs.give(keeper.directory());
        let mut copy = programs.server("pg_basebackup");
        copy.arg("--pgdata").arg(data(keeper.directory())).arg("--write-recovery-conf");
        copy.args(["--checkpoint", "fast", "--no-sync", "--dbname", &self.url("postgres")]);
        run(copy, &[]).unwrap_or_else(|error| panic!("pg_basebackup: {error}"));
        configure(keeper.directory(), &[]);
        let databases = AtomicUsize::new(self.databases.load(Ordering::Relaxed));
        let mut standby =
            Self { keeper, programs, port: 0, postmaster: Mutex::new(None), databases };
        standby.start_somewhere();
        self.commit_on(Some(&standby));
        let waited_for = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        wait_until("the standby follows", || self.sql("postgres", waited_for) == "1");
        self.wait_for_settings_in_checkpointer();
        standby
    }

    /// Makes each commit wait for a standby, or for none.
    pub fn commit_on(&self, standby: Option<&Self>) {
        // A standby reports its directory's name, which is its cluster_name.
        let name = standby.map(|standby| standby.directory().file_name().expect("a name"));
        let name = name.map(|name| format!("\"{}\"", name.display())).unwrap_or_default();
        let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
        self.sql("postgres", &set);
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Returns once the checkpointer has read the settings. Commits wait for a standby only from then
    /// on, although the standby's own process may have read them before, and says that it is `sync`.
    fn wait_for_settings_in_checkpointer(&self) {
        // It reads them before each checkpoint. The first may have begun before the settings came.
        for _ in 0..2 {
            self.sql("postgres", "CHECKPOINT");
        }
    }

    /// Promotes a standby, so that it accepts writes.
    pub fn promote(&self) {
        assert_eq!(self.sql("postgres", "SELECT pg_promote()"), "t");
    }
}

/// Databases.
impl Cluster {
    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// A link to the server, whose faults a test controls.
    pub fn link(&self) -> Link {
        Link::to(self.port)
    }

    /// A PgBouncer in front of the server, with so many connections to each database.
    pub fn pooler(&self, mode: Mode, connections_max: usize) -> Pooler {
        Pooler::to(self.port, mode, connections_max)
    }

    /// The server's port on 127.0.0.1. It stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Creates an empty database, and returns its name.
    pub fn create_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.create_database_named(&name);
        name
    }

    /// Creates an empty database with this name.
    pub fn create_database_named(&self, name: &str) {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
    }

    /// Drops a database, and ends all connections to it.
    pub fn drop_database(&self, name: &str) {
        self.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    }

    /// The folder with a database's files, tables and indexes.
    pub fn files(&self, database: &str) -> PathBuf {
        let number = format!("SELECT oid FROM pg_database WHERE datname = '{database}'");
        data(self.directory()).join("base").join(self.sql(database, &number))
    }

    /// Executes a statement by `psql`, and returns its rows: a line each, `|` between columns.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        self.try_sql(database, statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// The same, or `psql`'s error message.
    pub fn try_sql(&self, database: &str, statement: &str) -> Result<String, String> {
        let mut psql = self.programs.client("psql");
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
            .args(["--set", "ON_ERROR_STOP=1", "--dbname", &self.url(database)])
            .args(["--command", statement]);
        let rows = run(psql, &[])?;
        Ok(String::from_utf8(rows).expect("UTF-8").trim_end().to_owned())
    }

    /// A backup of a database, by `pg_dump`.
    pub fn dump(&self, database: &str) -> Vec<u8> {
        let mut pg_dump = self.programs.client("pg_dump");
        pg_dump.args(["--format", "custom", "--dbname", &self.url(database)]);
        run(pg_dump, &[]).unwrap_or_else(|error| panic!("pg_dump: {error}"))
    }

    /// Replaces a database by a backup of it, or of another, by `pg_restore`. All connections to it
    /// are ended.
    pub fn restore(&self, database: &str, dump: &[u8]) {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"));
        self.create_database_named(database);
        let mut pg_restore = self.programs.client("pg_restore");
        // In one transaction: a replica that still runs would write into tables without their keys.
        pg_restore.args(["--single-transaction", "--dbname", &self.url(database)]);
        run(pg_restore, dump).unwrap_or_else(|error| panic!("pg_restore: {error}"));
    }
}

impl Cluster {
    /// All processes of the cluster, including the postmaster.
    pub fn processes(&self) -> Vec<u32> {
        processes::of(self.directory())
    }

    fn directory(&self) -> &Path {
        self.keeper.directory()
    }

    fn postmaster(&self) -> MutexGuard<'_, Option<Child>> {
        self.postmaster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the postmaster; the caller then has to end it.
    fn running(&self) -> Child {
        self.postmaster().take().expect("it runs")
    }

    /// Starts the server for the first time, on a free port.
    fn start_somewhere(&mut self) {
        for _ in 0..PORTS_TRIED_MAX {
            self.port = free_port();
            match self.launch() {
                Ok(postmaster) => return *self.postmaster() = Some(postmaster),
                Err(log) if log.contains("Address already in use") => {}
                Err(log) => panic!("PostgreSQL doesn't start: {log}"),
            }
        }
        panic!("none of {PORTS_TRIED_MAX} ports is free");
    }

    /// Starts the postmaster. Returns what it has logged if it ends before it accepts connections.
    fn launch(&self) -> Result<Child, String> {
        let (data, before) = (data(self.directory()), self.log_len());
        let mut command = self.programs.server("postgres");
        command.arg("-D").arg(&data).args(["-p", &self.port.to_string()]);
        command.stdin(Stdio::null()).stdout(self.open_log()).stderr(self.open_log());
        let mut postmaster = command.spawn().expect("postgres runs");
        let mut ended = false;
        wait_until("it takes connections", || {
            ended = postmaster.try_wait().expect("it can be asked").is_some();
            ended || takes_connections(&data, postmaster.id())
        });
        if ended { Err(self.log()[before..].to_owned()) } else { Ok(postmaster) }
    }

    fn open_log(&self) -> File {
        let log = log(self.directory());
        OpenOptions::new().create(true).append(true).open(log).expect("its log")
    }

    fn log_len(&self) -> usize {
        fs::metadata(log(self.directory())).map_or(0, |log| log.len() as usize)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.keeper.dismiss();
        if let Some(mut postmaster) = self.postmaster().take() {
            // The keeper has killed the process; this reaps it.
            let _ = postmaster.wait();
        }
    }
}

/// The URL of a database of the server, link or pooler on a port.
fn url(port: u16, database: &str) -> String {
    format!("postgres://{USER}@127.0.0.1:{port}/{database}")
}

fn data(directory: &Path) -> PathBuf {
    directory.join("data")
}

fn log(directory: &Path) -> PathBuf {
    directory.join("log")
}

/// Creates an empty cluster. Its WAL files are as small as possible, so that a directory is small.
fn initialise(programs: &Programs, data: &Path) {
    let mut initdb = programs.server("initdb");
    initdb.arg("--pgdata").arg(data).args(["--username", USER, "--auth", "trust"]);
    initdb.args(["--encoding", "UTF8", "--locale", "C", "--no-sync", "--wal-segsize", "1"]);
    run(initdb, &[]).unwrap_or_else(|error| panic!("initdb: {error}"));
}

/// Appends settings to the existing ones: the last of a name counts.
fn configure(directory: &Path, settings: &[(&str, &str)]) {
    let file = data(directory).join("postgresql.conf");
    let mut file = OpenOptions::new().append(true).open(file).expect("its settings");
    let name = directory.file_name().and_then(|name| name.to_str()).expect("a name");
    // The cluster's processes are found by this name.
    let named = [("cluster_name", name)];
    for (key, value) in SETTINGS.iter().chain(&named).chain(settings) {
        writeln!(file, "{key} = '{value}'").expect("its settings can be written");
    }
}

/// Whether this postmaster accepts connections, by its own file: the file may still be that of an
/// earlier postmaster that was killed.
fn takes_connections(data: &Path, postmaster: u32) -> bool {
    let file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    lines.first() == Some(&postmaster.to_string().as_str()) && lines.get(7) == Some(&"ready")
}

/// Waits for a condition by polling, since nothing signals it.
#[expect(clippy::disallowed_methods, reason = "another process takes real time")]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited for too long until {what}");
        thread::sleep(LOOK);
    }
}
