//! Starts of `facematch serve`: a wrong setting fails with one line that names it, before anything
//! is bound.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use facematch::{pb::MatchState, simulator::sample};
use rustix::process::Signal;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    process, signals,
    support::{TestServer, collect, eventually, last_match, portrait_request, simulator},
    tls::authority::Authority,
};

/// A process that is killed with its test.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // In every passing test the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Valid settings for tests to change, except the port; each setting may be given once.
fn good(house: &TestServer) -> Vec<(&'static str, String)> {
    let (login, password) = house.oz.login();
    let password_file = house.directory.path().join("password");
    fs::write(&password_file, password).expect("a file");
    vec![
        // In use, so that a start that binds before it has checked all settings fails here.
        ("--listen", house.address.trim_start_matches("http://").to_owned()),
        ("--store", format!("sqlite:{}", house.directory.path().join("own.db").display())),
        ("--oz-url", house.oz.url()),
        ("--oz-login", login.to_owned()),
        ("--oz-password-file", password_file.display().to_string()),
    ]
}

/// Starts to serve with these settings.
fn begin(settings: &[(&str, String)]) -> KilledOnDrop {
    let arguments = settings.iter().flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()]);
    let child = Command::new(env!("CARGO_BIN_EXE_facematch"))
        .arg("serve")
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    KilledOnDrop(child.expect("the program runs"))
}

/// Waits for the end of a process that never becomes ready; returns its status and its errors.
async fn ended(mut process: KilledOnDrop) -> (ExitStatus, String) {
    let mut ended = None;
    let mut look = || {
        ended = process.0.try_wait().expect("a child of ours");
        ended.is_some()
    };
    eventually(&mut look, || "the process serves, or hangs".to_owned()).await;
    let mut said = String::new();
    let (stdout, stderr) = (process.0.stdout.take(), process.0.stderr.take());
    stdout.expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!(said, "", "there is no ready line");
    stderr.expect("a pipe").read_to_string(&mut said).expect("text");
    crate::canary::check("standard error", said.as_bytes());
    (ended.expect("it has ended"), said)
}

/// Serves with these settings, checks that the start fails, and returns its errors.
pub async fn failing(settings: &[(&str, String)]) -> String {
    let (status, said) = ended(begin(settings)).await;
    assert!(!status.success(), "{settings:?}");
    said
}

/// Starts to serve with these settings, and sends `SIGTERM` once `is_at_it` holds. Returns the exit
/// status and the lines on standard error.
pub async fn stopped(
    settings: &[(&str, String)],
    is_at_it: impl FnMut() -> bool,
) -> (ExitStatus, Vec<String>) {
    let process = begin(settings);
    eventually(is_at_it, || "the start doesn't get so far".to_owned()).await;
    assert!(signals::send(process.0.id(), Signal::TERM));
    let (status, said) = ended(process).await;
    (status, said.lines().map(str::to_owned).collect())
}

/// Checks that a process was stopped gracefully before it was ready.
#[track_caller]
pub fn assert_stopped(status: ExitStatus, said: &[String]) {
    assert_eq!(status.code(), Some(0), "{said:?}");
    let last = said.last().expect("it logs its stop");
    assert!(last.contains("stopped by a signal before it was ready"), "{said:?}");
    let is_wrong = |line: &&String| line.contains("ERROR") || line.starts_with("facematch: ");
    assert_eq!(said.iter().find(is_wrong), None);
}

#[track_caller]
pub fn assert_names(said: &str, flag: &str, why: &str) {
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with(&format!("facematch: {flag}: ")), "{flag}: {said}");
    assert!(said.contains(why), "{said} doesn't say {why:?}");
}

/// The valid settings with one of them changed, added, or left out.
pub fn with(
    house: &TestServer,
    flag: &'static str,
    value: Option<&str>,
) -> Vec<(&'static str, String)> {
    let mut settings = good(house);
    settings.retain(|(name, _)| *name != flag);
    settings.extend(value.map(|value| (flag, value.to_owned())));
    settings
}

#[tokio::test]
async fn a_wrong_setting_is_named_in_one_line_before_anything_is_bound() {
    let house = TestServer::build().await;
    let table = [
        ("--oz-url", None, "required"),
        ("--oz-url", Some("ftp://oz.example/"), "ftp"),
        ("--oz-password-file", Some("/nowhere/password"), "/nowhere/password"),
        ("--oz-ca-file", Some("/nowhere/ca.pem"), "/nowhere/ca.pem"),
        ("--listen", Some("everywhere"), "everywhere"),
        ("--listen", Some("0.0.0.0:0"), "--allow-plaintext"),
        ("--listen", Some("[::]:0"), "--allow-anonymous"),
        ("--tls-cert-file", Some("cert.pem"), "needs --tls-key-file"),
        ("--tls-key-file", Some("key.pem"), "needs --tls-cert-file"),
        ("--tls-client-ca-file", Some("ca.pem"), "needs --tls-cert-file"),
        ("--tls-client-auth", Some("required"), "needs --tls-client-ca-file"),
        ("--store", Some("mysql://elsewhere"), ""),
        ("--store", Some("postgres://127.0.0.1:1/facematch"), "127.0.0.1:1"),
        ("--store", Some("sqlite:/nowhere/facematch.db"), "/nowhere/facematch.db"),
        ("--store", Some("sqlite:/nowhere/of\ntwo lines.db"), "/nowhere/of\\ntwo lines.db"),
        ("--oz-password-file", Some("/nowhere/of\ntwo lines"), "/nowhere/of\\ntwo lines"),
        ("--library", Some("photos"), "is no URL such as file:///srv/photos"),
        ("--library", Some("file:///dev/null"), "/dev/null is not a folder"),
        ("--library-query", Some("SELECT 1"), "needs --library"),
        ("--photo-memory", Some("100"), "out of range"),
        ("--max-unfinished", Some("0"), "out of range"),
        ("--max-unfinished", Some("10000001"), "1 to 10000000"),
        ("--max-connections", Some("1000001"), "1 to 1000000"),
        ("--max-connections-per-address", Some("0"), "1 to 1000000"),
        ("--max-connection-age", Some("31days"), "100ms to 30days"),
        ("--idle-timeout", Some("25h"), "100ms to 1day"),
        ("--max-streams", Some("1000001"), "1 to 1000000"),
        ("--max-header", Some("17MiB"), "4KiB to 16MiB"),
        ("--keepalive", Some("61m"), "100ms to 1h"),
        ("--stream-stall", Some("25h"), "100ms to 1day"),
        ("--photo-memory", Some("2TiB"), "1KiB to 1TiB"),
        ("--retention", Some("-1s"), "-1s"),
        ("--heartbeat", Some("banana"), "banana"),
        ("--oz-poll-interval", Some("1ms"), "out of range"),
        ("--log", Some("xml"), "xml"),
        ("--config", Some("/nowhere/facematch.toml"), "/nowhere/facematch.toml"),
    ];
    for (flag, value, why) in table {
        let said = failing(&with(&house, flag, value)).await;
        assert_names(&said, flag, why);
    }
}

#[tokio::test]
async fn the_service_runs_at_the_maximum_of_each_limit_and_starts_at_its_minimum() {
    let table = [
        ("--max-connections", "1", "1000000"),
        ("--max-connections-per-address", "1", "1000000"),
        ("--max-connection-age", "100ms", "30days"),
        ("--idle-timeout", "100ms", "1day"),
        ("--max-streams", "1", "1000000"),
        ("--max-header", "4KiB", "16MiB"),
        ("--keepalive", "100ms", "1h"),
        ("--stream-stall", "100ms", "1day"),
        ("--photo-memory", "1KiB", "1TiB"),
        ("--max-unfinished", "1", "10000000"),
    ];
    let oz = simulator().await;
    oz.switch(|switches| switches.processing_ms = 0);
    for (flag, least, greatest) in table {
        let directory = tempfile::tempdir().expect("a temporary directory");
        process::Process::start(&oz, directory.path(), &[flag, least]).stop();
        let serving = process::Process::start(&oz, directory.path(), &[flag, greatest]);
        let mut client = serving.client().await;
        let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        let run = client.run_match(portrait_request(&folder)).await.expect(flag).into_inner();
        let updates = collect(run).await.expect(flag);
        assert_eq!(last_match(&updates).state(), MatchState::Finished, "{flag} {greatest}");
    }
}

#[tokio::test]
async fn a_stop_right_after_the_ready_line_is_graceful() {
    let oz = simulator().await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    for _ in 0..10 {
        process::Process::start(&oz, directory.path(), &[]).stop();
    }
}

#[tokio::test]
async fn a_stop_while_the_file_is_locked_is_immediate() {
    let house = TestServer::build().await;
    let file = house.directory.path().join("own.db");
    run_sql(&file, "CREATE TABLE t (id INTEGER)").await;
    let options = SqliteConnectOptions::new().filename(&file);
    let mut other = SqliteConnection::connect_with(&options).await.expect("a database");
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut other).await.expect("it is locked");
    let lock = file.with_file_name("own.db.lock");
    let (status, said) = stopped(&good(&house), || lock.exists()).await;
    assert_stopped(status, &said);
    other.close().await.expect("it is closed");
}

#[tokio::test]
async fn an_incomplete_oz_account_names_the_missing_setting() {
    let house = TestServer::build().await;
    let said = failing(&with(&house, "--oz-login", None)).await;
    assert_names(&said, "--oz-password", "needs --oz-login");
    let said = failing(&with(&house, "--oz-password-file", None)).await;
    assert_names(&said, "--oz-login", "--oz-password");
}

#[tokio::test]
async fn an_unknown_key_of_the_settings_file_is_refused() {
    let house = TestServer::build().await;
    let file = house.directory.path().join("facematch.toml");
    fs::write(&file, "heartbeet = \"20s\"\n").expect("a file");
    let said = failing(&with(&house, "--config", file.to_str())).await;
    assert_names(&said, "--config", "did you mean \"heartbeat\"?");
}

#[tokio::test]
async fn unusable_files_of_tls_are_named_before_anything_is_bound() {
    let house = TestServer::build().await;
    let authority = Authority::new("any");
    let (one, other) = (authority.server(), authority.server());
    let file = |name: &str, content: &str| {
        let path = house.directory.path().join(name);
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    };
    let (cert, key) = (file("cert.pem", &one.cert), file("key.pem", &one.key));
    let other_key = file("other.pem", &other.key);
    let cut = file("cut.pem", &one.cert[..one.cert.len() / 2]);
    for (cert, key, ca, flag, why) in [
        ("/nowhere/c.pem", &*key, None, "--tls-cert-file", "can't read /nowhere/c.pem"),
        (&*cut, &*key, None, "--tls-cert-file", "is cut off"),
        (&*cert, &*cert, None, "--tls-key-file", "holds no unencrypted private key in PEM"),
        (&*cert, &*other_key, None, "--tls-key-file", "is not the key of the certificate"),
        (&*cert, &*key, Some(&*key), "--tls-client-ca-file", "holds no certificate in PEM"),
    ] {
        let mut settings = good(&house);
        settings.push(("--tls-cert-file", cert.to_owned()));
        settings.push(("--tls-key-file", key.to_owned()));
        settings.extend(ca.map(|ca| ("--tls-client-ca-file", ca.to_owned())));
        let said = failing(&settings).await;
        assert_names(&said, flag, why);
        assert!(said.contains("(from the command line)"), "{said}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_reported_with_its_address() {
    let house = TestServer::build().await;
    let said = failing(&good(&house)).await;
    assert_names(&said, "--listen", house.address.trim_start_matches("http://"));
}

#[tokio::test]
async fn a_journal_in_use_by_another_process_is_left_alone() {
    let mut house = TestServer::build().await;
    let file = house.directory.path().join("facematch.db");
    let said = failing(&with(&house, "--store", Some(&format!("sqlite:{}", file.display())))).await;
    assert_names(&said, "--store", "in use by another process");
    house.assert_untouched("a second process").await;
    house.assert_works().await;
}

/// A symbolic link in place of the lock file could lead the service to another user's file.
#[cfg(unix)]
#[tokio::test]
async fn a_lock_file_that_is_a_link_is_named_and_not_followed() {
    let house = TestServer::build().await;
    let [store, lock, elsewhere] =
        ["own.db", "own.db.lock", "elsewhere"].map(|name| house.directory.path().join(name));
    std::os::unix::fs::symlink(&elsewhere, &lock).unwrap();
    let said =
        failing(&with(&house, "--store", Some(&format!("sqlite:{}", store.display())))).await;
    let why = format!("the lock file {} can't be opened: it is a symbolic link", lock.display());
    assert_names(&said, "--store", &why);
    assert!(!elsewhere.exists() && !store.exists());
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_unchanged() {
    let house = TestServer::build().await;
    let folder = house.directory.path();
    let (text, database, newer) =
        (folder.join("notes.txt"), folder.join("other.db"), folder.join("newer.db"));
    fs::write(
        &text,
        "not a journal but a text of notes, and long enough to be a header".repeat(20),
    )
    .expect("a file");
    run_sql(&database, "CREATE TABLE accounts (id INTEGER)").await;
    run_sql(&newer, "PRAGMA application_id = 1180913012; PRAGMA user_version = 99").await;
    let not = "is not a FaceMatch journal";
    for (file, why) in [(text, not), (database, not), (newer, "newer version")] {
        let before = fs::read(&file).expect("the file");
        let store = format!("sqlite:{}", file.display());
        let said = failing(&with(&house, "--store", Some(&store))).await;
        assert_names(&said, "--store", why);
        assert_eq!(fs::read(&file).expect("the file"), before, "{}", file.display());
    }
}

async fn run_sql(file: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("a database");
    sqlx::raw_sql(sql).execute(&mut connection).await.expect("it is executed");
    connection.close().await.expect("it is closed");
}
