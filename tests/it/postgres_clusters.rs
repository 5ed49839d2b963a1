//! Tests of the PostgreSQL clusters that other tests use: kill, stop, pause, backup and clean-up.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write, stdin},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use crate::{
    postgres::{Cluster, Stop, shared},
    support::{eventually, size_from_env},
};

/// PostgreSQL's SSLRequest, which a server answers with one byte.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Set in the environment of the process that holds a cluster until it is killed.
const HOLDER: &str = "FACEMATCH_HOLDS_A_CLUSTER";

#[test]
fn commits_survive_a_kill_and_both_kinds_of_stop() {
    let cluster = Cluster::start();
    let database = cluster.create_database();
    cluster.sql(&database, "CREATE TABLE kept (number int)");
    let insert = |number| cluster.sql(&database, &format!("INSERT INTO kept VALUES ({number})"));
    insert(1);
    cluster.kill();
    assert!(TcpStream::connect(("127.0.0.1", cluster.port())).is_err(), "it is down");
    cluster.start_again();
    insert(2);
    cluster.restart(Stop::Immediate);
    insert(3);
    cluster.restart(Stop::Fast);
    assert_eq!(cluster.sql(&database, "SELECT number FROM kept ORDER BY 1"), "1\n2\n3");
}

#[test]
fn a_paused_cluster_answers_when_resumed() {
    let cluster = Cluster::start();
    cluster.pause();
    let mut client = TcpStream::connect(("127.0.0.1", cluster.port())).expect("it is accepted");
    client.write_all(&SSL_REQUEST).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut answer = [0];
    client.read_exact(&mut answer).expect_err("the cluster is paused");
    client.set_read_timeout(None).unwrap();
    cluster.resume();
    client.read_exact(&mut answer).expect("the cluster answers");
    assert_eq!(answer, *b"N");
}

#[test]
fn a_paused_cluster_can_be_killed() {
    let cluster = Cluster::start();
    cluster.pause();
    cluster.kill();
    cluster.start_again();
    assert_eq!(cluster.sql("postgres", "SELECT 1"), "1");
}

/// A commit that waits for a standby becomes visible if its process sees the postmaster dead.
#[tokio::test]
async fn a_killed_cluster_shows_no_commit_that_waits_for_its_standby() {
    const WRITE: &str = "INSERT INTO kept VALUES (1)";
    const READ: &str = "DO $$ BEGIN
        WHILE NOT EXISTS (SELECT FROM kept) LOOP END LOOP; RAISE EXCEPTION 'it is shown'; END $$";
    const AT_WORK: &str = "SELECT count(*) FROM pg_stat_activity
        WHERE wait_event = 'SyncRep' OR query LIKE 'DO %' AND state = 'active'";
    let cluster = Arc::new(Cluster::start());
    cluster.sql("postgres", "CREATE TABLE kept (number int)");
    let standby = cluster.start_standby();
    standby.pause();
    let [writing, reading] = [WRITE, READ].map(|statement| {
        let cluster = Arc::clone(&cluster);
        thread::spawn(move || cluster.try_sql("postgres", statement))
    });
    let at_work = || cluster.sql("postgres", AT_WORK);
    eventually(|| at_work() == "2", || format!("{} are at work", at_work())).await;
    cluster.kill();
    writing.join().unwrap().expect_err("it is acknowledged without the standby");
    let error = reading.join().unwrap().expect_err("it is killed");
    assert!(!error.contains("it is shown"), "{error}");
}

#[test]
fn a_backup_brings_a_database_back() {
    let cluster = shared();
    let database = cluster.create_database();
    cluster.sql(&database, "CREATE TABLE kept AS SELECT 1 AS number");
    let dump = cluster.dump(&database);
    cluster.sql(&database, "DROP TABLE kept");
    cluster.restore(&database, &dump);
    assert_eq!(cluster.sql(&database, "SELECT number FROM kept"), "1");
    cluster.drop_database(&database);
    assert!(cluster.try_sql(&database, "SELECT 1").is_err(), "the database still exists");
}

#[test]
fn a_dropped_cluster_leaves_nothing() {
    let cluster = Cluster::start();
    let directory = cluster.sql("postgres", "SHOW data_directory");
    let port = cluster.port();
    drop(cluster);
    assert!(!Path::new(&directory).exists(), "{directory} still exists");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it still listens");
}

#[tokio::test]
async fn a_killed_process_leaves_nothing() {
    let (mut holder, directory) = hold();
    assert!(Path::new(&directory).exists(), "{directory} doesn't exist");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let is_gone = || !Path::new(&directory).exists();
    eventually(is_gone, || format!("{directory} still exists")).await;
}

#[test]
fn leftovers_are_swept_by_the_next_process() {
    let left = tempfile::Builder::new().prefix("facematch-postgres-").tempdir().unwrap().keep();
    fs::write(left.join("needed"), "").unwrap();
    let needed = Cluster::start();
    let (mut next, _) = hold();
    next.kill().unwrap();
    next.wait().unwrap();
    assert!(!left.exists(), "{left:?} still exists");
    assert_eq!(needed.sql("postgres", "SELECT 1"), "1", "a cluster in use is swept");
}

/// Starts a process that holds a cluster; returns it with the cluster's directory.
fn hold() -> (Child, String) {
    let (_, module) = module_path!().split_once("::").unwrap();
    let body = format!("{module}::the_process_that_holds_a_cluster");
    let mut holder = Command::new(env::current_exe().unwrap())
        .args(["--exact", &body, "--nocapture"])
        .env(HOLDER, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines().map(Result::unwrap);
    let directory = lines.find(|line| line.starts_with('/')).expect("a directory");
    (holder, directory)
}

/// Not a test, but the body of the process that [`hold`] starts.
#[test]
fn the_process_that_holds_a_cluster() {
    if size_from_env(HOLDER, 0) == 1 {
        println!("\n{}", shared().sql("postgres", "SHOW data_directory"));
        stdin().read_line(&mut String::new()).unwrap();
    }
}
