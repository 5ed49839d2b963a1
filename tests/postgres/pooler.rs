//! A real PgBouncer in front of a server, with the settings that it comes with but for its mode and
//! the number of its connections.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::postgres::{
    USER, data, free_port,
    keeper::Keeper,
    programs::{Programs, pgbouncer},
    url, wait_until,
};

/// How many times it is started, each time on another port: another process may be quicker to take
/// one.
const TRIES_MAX: usize = 10;

/// Clients at once, of all tests that share one.
const CLIENTS_MAX: usize = 400;

/// Whose a session of the server is, as PgBouncer calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// A client's, until it has gone.
    Session,
    /// A client's for one transaction.
    Transaction,
    /// A client's for one statement.
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

/// A PgBouncer. It ends when this is dropped, and soon after the process that started it has ended.
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
            // What lies there, the keeper ends.
            let folder = data(keeper.directory());
            fs::create_dir(&folder).expect("a new directory");
            configure(&folder, server, port, mode, connections_max);
            programs.give(keeper.directory());
            // A copy: the server's user may not be let into the folder of this repository.
            let program = folder.join("pgbouncer");
            fs::copy(pgbouncer(), &program).expect("a copy of its program");
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

    /// Where clients find a database through it.
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
        // The keeper has killed it; this forgets it.
        let _ = self.process.wait();
    }
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
    // Its reader takes no line that is indented.
    let settings = settings.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
    fs::write(folder.join("pgbouncer.ini"), settings + "\n").expect("a file");
}

fn launch(mut program: Command, folder: &Path) -> Child {
    program.arg("--quiet").arg(folder.join("pgbouncer.ini"));
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    program.spawn().expect("PgBouncer runs")
}
