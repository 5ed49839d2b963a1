//! A real MariaDB that tests start themselves, each in a directory of its own.
//!
//! It deliberately knows nothing of libraries.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, mysql::MySqlConnectOptions, raw_sql};

use crate::postgres::{free_port, keeper::Keeper};

/// The superuser, who may connect from this machine without a password.
const USER: &str = "root";

/// The names of the server's program, the older one last, and where Debian installs it.
const PROGRAMS: [&str; 2] = ["/usr/sbin/mariadbd", "/usr/sbin/mysqld"];

/// The statements that make the system's tables, from the folder of Debian's package.
const TABLES: [&str; 3] =
    ["mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql"];
const FOLDER: &str = "/usr/share/mysql";

/// How long any wait may take: much longer than any does.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition that is waited for is checked.
const LOOK: Duration = Duration::from_millis(5);

/// A MariaDB server and its data. Both are removed when this is dropped, and soon after the process
/// that started the server has ended, in any way.
pub struct Server {
    keeper: Keeper,
    port: u16,
    settings: Vec<String>,
    /// `None` while the server is down.
    process: Mutex<Option<Child>>,
    databases: AtomicUsize,
}

/// The server that the tests of this process share, each with a database of its own. No test may
/// stop it.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start_with(&[]))
}

impl Server {
    /// Starts a new server with these options, and returns once it accepts connections.
    pub fn start_with(settings: &[String]) -> Self {
        let keeper = Keeper::engage();
        initialise(&data(keeper.directory()));
        let server = Self {
            keeper,
            port: free_port(),
            settings: settings.to_vec(),
            process: Mutex::default(),
            databases: AtomicUsize::default(),
        };
        server.start_again();
        server
    }

    /// Starts the server, on the same port and data as before.
    pub fn start_again(&self) {
        let data = data(self.keeper.directory());
        let log = File::create(self.keeper.directory().join("log")).expect("its log");
        let mut command = server(&data);
        command.arg(format!("--port={}", self.port)).arg("--bind-address=127.0.0.1");
        command.arg(format!("--socket={}", data.join("socket").display()));
        command.args(&self.settings).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(log);
        let mut process = command.spawn().expect("MariaDB runs");
        wait_until("MariaDB takes connections", || {
            let has_ended = process.try_wait().expect("it can be asked").is_some();
            assert!(!has_ended, "it doesn't start: {}", self.log());
            self.log().contains("ready for connections")
        });
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
    }

    /// Kills the server.
    pub fn kill(&self) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut process = process.expect("it runs");
        process.kill().expect("it can be killed");
        process.wait().expect("it ends");
    }

    /// The URL of a database for a user.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("mysql://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Creates an empty database, and returns its name.
    pub async fn create_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("mysql", &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")).await;
        name
    }

    /// Executes statements, separated by semicolons.
    pub async fn sql(&self, database: &str, statements: &str) {
        let options = MySqlConnectOptions::new().host("127.0.0.1").port(self.port);
        // A statement may hold a photo.
        let options = options.username(USER).database(database).disable_statement_logging();
        let mut connection = options.connect().await.expect("root may connect");
        let done = raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await;
        done.unwrap_or_else(|error| panic!("{statements}: {error}"));
        connection.close().await.expect("it can be closed");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.keeper.directory().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.keeper.dismiss();
        if let Some(mut process) =
            self.process.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            // The keeper has killed the process; this reaps it.
            let _ = process.wait();
        }
    }
}

/// The keeper finds the server by this folder in its command line.
fn data(directory: &Path) -> PathBuf {
    directory.join("data")
}

/// A command for the server, small. What it has committed survives its kill, not that of the
/// machine. Only root needs `--user`.
fn server(data: &Path) -> Command {
    let program = PROGRAMS.iter().find(|program| Path::new(program).exists());
    let program = program.expect(
        "MariaDB's server is missing: run tests/run, which installs it, or install the Debian \
         package mariadb-server-core",
    );
    let mut command = Command::new(program);
    command.args(["--no-defaults", "--user=root", "--skip-log-bin", "--skip-name-resolve"]);
    command.args(["--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=32M"]);
    command.args(["--max-allowed-packet=1G", "--character-set-server=utf8mb4"]);
    command.arg(format!("--datadir={}", data.display()));
    // Each server that starts removes the temporary tables there, also those of others.
    command.arg(format!("--tmpdir={}", data.parent().expect("a directory").display()));
    command
}

/// Makes the system's tables, as mariadb-install-db does, which Debian packages with the clients.
fn initialise(data: &Path) {
    fs::create_dir(data).expect("a new directory");
    let mut command = server(data);
    command.arg("--bootstrap").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("MariaDB runs");
    let mut input = process.stdin.take().expect("its standard input");
    let writing = thread::spawn(move || {
        let mut statements = "CREATE DATABASE mysql;\nUSE mysql;\n".to_owned();
        for file in TABLES {
            statements += &fs::read_to_string(Path::new(FOLDER).join(file)).expect(file);
        }
        // A server that doesn't read all of its input reports the reason itself.
        let _ = input.write_all(statements.as_bytes());
    });
    let output = process.wait_with_output().expect("it ends");
    writing.join().expect("it writes");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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
