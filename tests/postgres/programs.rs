//! Finds the programs of PostgreSQL and PgBouncer, and runs them as a user that may run them.

use std::{
    env, fs,
    io::Write,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The programs that PostgreSQL's folder must contain. The clients must be in it as well, so that
/// their version is the server's.
const NEEDED: [&str; 6] = ["initdb", "postgres", "psql", "pg_basebackup", "pg_dump", "pg_restore"];

/// Where Debian installs the programs of each version; it doesn't put them on the PATH.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Where Debian's package installs PgBouncer.
const PGBOUNCER: &str = "usr/sbin/pgbouncer";

/// The users that may run a server if the tests run as root, as whom PostgreSQL refuses to run. The
/// first that exists is used.
const INSTEAD_OF_ROOT: [&str; 2] = ["postgres", "nobody"];

/// The programs of one version.
pub struct Programs {
    place: PathBuf,
    /// The user that runs servers. `None` if it is the tests' own.
    user: Option<User>,
}

#[derive(Clone, Copy)]
struct User {
    user: u32,
    group: u32,
}

impl Programs {
    /// The programs on the PATH, or else the newest version that Debian has installed.
    pub fn find() -> Self {
        let mut places = on_path().into_iter().chain(of_debian());
        let place = places.find(|place| NEEDED.iter().all(|name| place.join(name).exists()));
        let place = place.expect(
            "PostgreSQL's server programs are missing: run tests/run, which installs them, or \
             install the Debian package postgresql",
        );
        Self { place, user: is_root().then(instead_of_root) }
    }

    /// A command for a server program, run as a user that may run it.
    pub fn server(&self, name: &str) -> Command {
        self.server_at(&self.place.join(name))
    }

    /// The same for a server program outside of PostgreSQL's folder.
    pub fn server_at(&self, program: &Path) -> Command {
        let mut command = at(program);
        if let Some(user) = self.user {
            command.uid(user.user).gid(user.group);
        }
        command
    }

    /// A command for a client program. Its environment is cleared, so PostgreSQL's variables have
    /// no effect.
    pub fn client(&self, name: &str) -> Command {
        at(&self.place.join(name))
    }

    /// Gives a directory to the user that runs servers.
    pub fn give(&self, directory: &Path) {
        if let Some(user) = self.user {
            chown(directory, Some(user.user), Some(user.group)).expect("root may change owners");
        }
    }
}

fn at(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").current_dir("/");
    command
}

/// PgBouncer's program: where tests/run puts it, or where its package does.
pub fn pgbouncer() -> PathBuf {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-tools/pgbouncer");
    let places = [Path::new(tools).join(PGBOUNCER), Path::new("/").join(PGBOUNCER)];
    places.into_iter().find(|program| program.exists()).expect(
        "PgBouncer is missing: run tests/run, which installs it, or install the Debian package \
         pgbouncer",
    )
}

/// Runs a program to its end with an input, and returns its output, or what it says if it fails.
pub fn run(mut command: Command, input: &[u8]) -> Result<Vec<u8>, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    // A program that doesn't read all of its input reports the reason itself.
    let _ = child.stdin.take().expect("its standard input").write_all(input);
    let output = child.wait_with_output().expect("it ends");
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
}

/// The folders of the PATH's server programs, symbolic links resolved.
#[expect(clippy::disallowed_methods, reason = "where programs are is no setting of the service")]
fn on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let programs =
        env::split_paths(&path).filter_map(|place| place.join("initdb").canonicalize().ok());
    programs.filter_map(|program| Some(program.parent()?.to_owned())).collect()
}

/// The folders of Debian's versions, the newest first.
fn of_debian() -> Vec<PathBuf> {
    let mut versions: Vec<PathBuf> =
        fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    versions.sort_by_key(|version| {
        version.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok())
    });
    versions.iter().rev().map(|version| version.join("bin")).collect()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("this process").uid() == 0
}

fn instead_of_root() -> User {
    let users = fs::read_to_string("/etc/passwd").expect("the users");
    let user = INSTEAD_OF_ROOT.iter().find_map(|name| named(&users, name));
    user.expect("PostgreSQL doesn't run as root, and no user of INSTEAD_OF_ROOT exists")
}

/// A user among the lines of `/etc/passwd`.
fn named(users: &str, name: &str) -> Option<User> {
    let mut users = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = users.find(|fields| fields.first() == Some(&name))?;
    Some(User { user: fields.get(2)?.parse().ok()?, group: fields.get(3)?.parse().ok()? })
}
