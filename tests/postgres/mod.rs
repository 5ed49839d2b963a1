//! A real PostgreSQL, which tests start for themselves, each in a directory of its own, so that
//! they may kill it.
//!
//! It deliberately knows nothing of the journal. Its calls block whoever makes them, for as long as
//! PostgreSQL takes. The crate's unit tests and `tests/it` mount it, both as `crate::postgres`.

#![allow(dead_code, unused_imports, reason = "of those who mount it, none uses everything")]

mod keeper;
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

/// The superuser, who may connect without a password.
const USER: &str = "facematch";

/// What suits tests; those that say otherwise have it their way. Nothing is left outside of the
/// directory, where a kill would leave it for good.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("dynamic_shared_memory_type", "mmap"),
    ("shared_buffers", "16MB"),
    ("max_connections", "200"),
    ("max_wal_size", "256MB"),
    ("log_line_prefix", "%m [%p] %q%a@%d "),
];

/// Below those that the kernel gives to clients. Of those, one could be a client's own end when the
/// server comes back to it, and who connects to where nobody listens could meet himself.
const PORTS: Range<u16> = 15_000..32_000;

/// How many ports are tried that somebody else is quicker to take.
const PORTS_TRIED_MAX: usize = 100;

/// How long anything may take that is waited for: much longer than it does.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often something is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(2);

/// A PostgreSQL server and its data. All of it is gone when it is dropped, and soon after the
/// process that started it has ended, however that was.
pub struct Cluster {
    keeper: Keeper,
    programs: Programs,
    port: u16,
    /// None while it is down.
    postmaster: Mutex<Option<Child>>,
    databases: AtomicUsize,
}

/// How a server is asked to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Ends all sessions, and puts everything in order.
    Fast,
    /// Ends at once, and recovers at the next start.
    Immediate,
}

/// The cluster that the unit tests of a process share, each with a database of its own. Nobody may
/// stop it. What it has told to be durable isn't, so that it is quick.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start_with(&[("fsync", "off")]))
}

/// A free port of the loopback, which no client takes as its own meanwhile.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports = iter::repeat_with(|| rand::random_range(PORTS)).take(PORTS_TRIED_MAX);
    ports.into_iter().find(is_free).expect("a free port")
}

/// Its life.
impl Cluster {
    /// Starts a new one, and returns once it takes connections. A commit is on the disk when it is
    /// told.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with settings of `postgresql.conf` that are this test's own.
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

    /// Starts it again where it was, after [`Self::kill`] or [`Self::stop`], and returns once it
    /// takes connections.
    pub fn start_again(&self) {
        let mut postmaster = self.postmaster();
        assert!(postmaster.is_none(), "it runs");
        *postmaster = Some(self.launch().unwrap_or_else(|log| panic!("it doesn't start: {log}")));
    }

    /// Kills every process of it wherever it is, as when the power goes, and returns once they are
    /// gone. What the operating system was told to write is written.
    pub fn kill(&self) {
        let mut postmaster = self.running();
        // Of those who are just ending by themselves nothing else is known.
        let mut killed = processes::children(postmaster.id());
        // First, as it would replace the others.
        postmaster.kill().expect("it can be killed");
        postmaster.wait().expect("it ends");
        wait_until("all of its processes are gone", || {
            let left = processes::of(self.directory());
            processes::signal("KILL", &left);
            killed.extend(left.iter().copied());
            left.is_empty() && killed.iter().all(|process| processes::has_ended(*process))
        });
    }

    /// Asks it to stop, and returns once it has.
    pub fn stop(&self, how: Stop) {
        let mut postmaster = self.running();
        let signal = match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        };
        processes::signal(signal, &[postmaster.id()]);
        wait_until("it stops", || postmaster.try_wait().expect("it can be asked").is_some());
    }

    /// Stops it, and starts it again where it was.
    pub fn restart(&self, how: Stop) {
        self.stop(how);
        self.start_again();
    }

    /// Lets none of its processes go on until [`Self::resume`]: connections stay, new ones are
    /// made, and nobody answers. Before anything but `resume`, `kill` and being dropped, resume.
    pub fn pause(&self) {
        let postmaster = self.postmaster().as_ref().expect("it runs").id();
        // First, as it would start others.
        processes::signal("STOP", &[postmaster]);
        wait_until("all of its processes pause", || {
            let mut going_on = processes::of(self.directory());
            going_on.retain(|process| !processes::is_paused(*process));
            processes::signal("STOP", &going_on);
            going_on.is_empty()
        });
    }

    /// Lets its processes go on.
    pub fn resume(&self) {
        processes::signal("CONT", &processes::of(self.directory()));
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(log(self.directory())).expect("its log")).into_owned()
    }
}

/// Its standby.
impl Cluster {
    /// Starts a standby of it, and returns once each commit waits for that.
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
        standby
    }

    /// Has each commit wait for a standby, or for none.
    pub fn commit_on(&self, standby: Option<&Self>) {
        // A standby calls itself by the name of its directory.
        let name = standby.map(|standby| standby.directory().file_name().expect("a name"));
        let name = name.map(|name| format!("\"{}\"", name.display())).unwrap_or_default();
        let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
        self.sql("postgres", &set);
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Makes a standby the server that is written to.
    pub fn promote(&self) {
        assert_eq!(self.sql("postgres", "SELECT pg_promote()"), "t");
    }
}

/// What is in it.
impl Cluster {
    /// Where a database is.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// A line to it, on which things may go wrong.
    pub fn link(&self) -> Link {
        Link::to(self.port)
    }

    /// A PgBouncer in front of it, with so many connections to each database.
    pub fn pooler(&self, mode: Mode, connections_max: usize) -> Pooler {
        Pooler::to(self.port, mode, connections_max)
    }

    /// Its port on 127.0.0.1, for as long as it lives.
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

    /// Creates an empty database.
    pub fn create_database_named(&self, name: &str) {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
    }

    /// Drops a database, and ends whoever is connected to it.
    pub fn drop_database(&self, name: &str) {
        self.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    }

    /// Where a database's files lie, tables and indexes, to be read.
    pub fn files(&self, database: &str) -> PathBuf {
        let number = format!("SELECT oid FROM pg_database WHERE datname = '{database}'");
        data(self.directory()).join("base").join(self.sql(database, &number))
    }

    /// Has a statement executed by `psql`, and returns its rows: a line each, `|` between columns.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        self.try_sql(database, statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// The same, or what `psql` says if it can't.
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

    /// Replaces a database by a backup of it, or of another, by `pg_restore`. Whoever is connected
    /// to it is cut off.
    pub fn restore(&self, database: &str, dump: &[u8]) {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"));
        self.create_database_named(database);
        let mut pg_restore = self.programs.client("pg_restore");
        // In one piece: a replica that still runs would write into tables without their keys.
        pg_restore.args(["--single-transaction", "--dbname", &self.url(database)]);
        run(pg_restore, dump).unwrap_or_else(|error| panic!("pg_restore: {error}"));
    }
}

impl Cluster {
    /// All processes that run for it, the postmaster among them.
    pub fn processes(&self) -> Vec<u32> {
        processes::of(self.directory())
    }

    fn directory(&self) -> &Path {
        self.keeper.directory()
    }

    fn postmaster(&self) -> MutexGuard<'_, Option<Child>> {
        self.postmaster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The postmaster, whose end is seen to by whoever takes it.
    fn running(&self) -> Child {
        self.postmaster().take().expect("it runs")
    }

    /// Starts it for the first time, on a port that it can have.
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

    /// Starts the postmaster, or says what it has logged instead.
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
            // The keeper has killed it; this forgets it.
            let _ = postmaster.wait();
        }
    }
}

/// Where the server behind a port, or who stands before it, has a database.
fn url(port: u16, database: &str) -> String {
    format!("postgres://{USER}@127.0.0.1:{port}/{database}")
}

fn data(directory: &Path) -> PathBuf {
    directory.join("data")
}

fn log(directory: &Path) -> PathBuf {
    directory.join("log")
}

/// Makes an empty cluster. Its files of WAL are as small as can be: a directory costs less.
fn initialise(programs: &Programs, data: &Path) {
    let mut initdb = programs.server("initdb");
    initdb.arg("--pgdata").arg(data).args(["--username", USER, "--auth", "trust"]);
    initdb.args(["--encoding", "UTF8", "--locale", "C", "--no-sync", "--wal-segsize", "1"]);
    run(initdb, &[]).unwrap_or_else(|error| panic!("initdb: {error}"));
}

/// Adds the settings to those that it has: the last of a name counts.
fn configure(directory: &Path, settings: &[(&str, &str)]) {
    let file = data(directory).join("postgresql.conf");
    let mut file = OpenOptions::new().append(true).open(file).expect("its settings");
    let name = directory.file_name().and_then(|name| name.to_str()).expect("a name");
    // Its processes are known by it.
    let named = [("cluster_name", name)];
    for (key, value) in SETTINGS.iter().chain(&named).chain(settings) {
        writeln!(file, "{key} = '{value}'").expect("its settings can be written");
    }
}

/// Whether this postmaster has said so in its file: there may be one of another that was killed.
fn takes_connections(data: &Path, postmaster: u32) -> bool {
    let file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    lines.first() == Some(&postmaster.to_string().as_str()) && lines.get(7) == Some(&"ready")
}

/// Waits for what has no moment of its own to wait for.
#[expect(clippy::disallowed_methods, reason = "another process takes real time")]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited for too long until {what}");
        thread::sleep(LOOK);
    }
}
