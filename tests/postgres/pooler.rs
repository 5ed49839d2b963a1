//! A real PgBouncer in front of a server, with its default settings except for the mode and the
//! numbers of connections.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::postgres::{
    USER, data, free_port,
    keeper::Keeper,
    programs::{Programs, pgbouncer, run},
    url, wait_until,
};

/// How many times PgBouncer is started, each time on another port: another process may take a port
/// first.
const TRIES_MAX: usize = 10;

/// How many clients may be connected at once, those of all tests that share a PgBouncer.
const CLIENTS_MAX: usize = 400;

/// How long a client keeps a session of the server: PgBouncer's `pool_mode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Until the client disconnects.
    Session,
    /// For one transaction.
    Transaction,
    /// For one statement.
    Statement,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
            Self::Statement => "statement",
        }
    }
}

/// A PgBouncer. It is killed when this is dropped, and soon after the end of the process that
/// started it.
pub struct Pooler {
    process: Child,
    keeper: Keeper,
    port: u16,
}

impl Pooler {
    /// Starts one in front of the server behind a port of the loopback, with so many connections to
    /// each database, and returns once it takes connections.
    pub fn to(server: u16, mode: Mode, connections_max: usize) -> Self {
        let programs = Programs::find();
        for _ in 0..TRIES_MAX {
            let (keeper, port) = (Keeper::engage(), free_port());
            // The keeper kills the processes of this folder.
            let folder = data(keeper.directory());
            fs::create_dir(&folder).expect("a new directory");
            configure(&folder, server, port, mode, connections_max);
            programs.give(keeper.directory());
            let program = folder.join("pgbouncer");
            copy(&pgbouncer(), &program);
            let mut process = launch(programs.server_at(&program), &folder);
            let mut has_ended = false;
            wait_until("PgBouncer takes connections", || {
                has_ended = process.try_wait().expect("it can be asked").is_some();
                has_ended || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
            });
            if !has_ended {
                return Self { process, keeper, port };
            }
        }
        panic!("PgBouncer doesn't start on {TRIES_MAX} ports");
    }

    /// The URL of a database through this PgBouncer.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// Its port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.keeper.dismiss();
        // The keeper has killed the process; this reaps it.
        let _ = self.process.wait();
    }
}

/// Copies a program, because the server's user may have no access to this repository's folder.
///
/// `cp` writes the copy, not this process: a child that another thread forks meanwhile would
/// inherit the open file, and a program that is open for writing can't be run (`ETXTBSY`).
fn copy(program: &Path, copy: &Path) {
    let mut cp = Command::new("cp");
    cp.args([program, copy]);
    run(cp, &[]).expect("the program can be copied");
}

fn configure(folder: &Path, server: u16, port: u16, mode: Mode, connections_max: usize) {
    let users = folder.join("users");
    fs::write(&users, format!("\"{USER}\" \"\"\n")).expect("a file");
    let settings = format!(
        "[databases]
         * = host=127.0.0.1 port={server}
         [pgbouncer]
         listen_addr = 127.0.0.1
         listen_port = {port}
         unix_socket_dir =
         auth_type = trust
         auth_file = {users}
         pool_mode = {mode}
         default_pool_size = {connections_max}
         max_client_conn = {CLIENTS_MAX}
",
        users = users.display(),
        mode = mode.name(),
    );
    // PgBouncer's parser accepts no indented lines.
    let settings = settings.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
    fs::write(folder.join("pgbouncer.ini"), settings + "\n").expect("a file");
}

fn launch(mut program: Command, folder: &Path) -> Child {
    program.arg("--quiet").arg(folder.join("pgbouncer.ini"));
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    program.spawn().expect("PgBouncer runs")
}
