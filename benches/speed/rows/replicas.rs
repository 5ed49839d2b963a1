//! Several replicas over one PostgreSQL: what they and the database cost, and what happens when a
//! replica dies.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Result,
    credentials::Credentials,
    postgres::Cluster,
    process::{self, Part},
    report::Unit,
    roles::{Flight, Flying, Matches, Percentiles, Role, Tally, Witness, Witnessed},
    rows::Bench,
};

/// An analysis of this length is over at the third poll, if polls are a second apart.
const THREE_POLLS_MS: u64 = 2_500;
/// Longer than any run.
const NEVER_ENDS_MS: u64 = 3_600_000;
const CONNECTIONS: usize = 12;
/// The default of the service's setting.
const LEASE: Duration = Duration::from_secs(10);
/// After the last match has started, until all are polled evenly.
const SETTLING: Duration = Duration::from_secs(3);

/// Replicas over one database.
struct Fleet {
    oz: String,
    database: String,
    replicas: Vec<Part>,
    /// The URLs of the replicas, separated by spaces.
    servers: String,
    _simulator: Part,
    _logs: tempfile::TempDir,
}

/// Measures the cost of replicas, their delivery of updates, their leases and a death.
pub fn replicas(bench: &mut Bench) -> Result<()> {
    let cluster = Cluster::start();
    for count in 1..=3 {
        cost(bench, &cluster, count)?;
    }
    delivery(bench, &cluster)?;
    for matches in [10, bench.size.of(2_000, 10_000)] {
        leasing(bench, &cluster, matches)?;
    }
    death(bench, &cluster)
}

impl Fleet {
    fn start(bench: &mut Bench, cluster: &Cluster, count: usize, oz_ms: u64) -> Result<Self> {
        let (simulator, oz) = bench.simulator(oz_ms)?;
        let database = cluster.create_database();
        let logs = tempfile::tempdir()?;
        let (mut replicas, mut servers) = (Vec::new(), Vec::new());
        for n in 0..count {
            let log = logs.path().join(n.to_string());
            let (replica, server) = Part::service_on(&cluster.url(&database), &oz, &log, &[])?;
            replicas.push(replica);
            servers.push(server);
        }
        let servers = servers.join(" ");
        Ok(Self { oz, database, replicas, servers, _simulator: simulator, _logs: logs })
    }

    fn cpu_seconds(&self) -> Result<f64> {
        self.replicas.iter().map(|replica| Ok(replica.usage()?.cpu_seconds)).sum()
    }

    fn count(&self, cluster: &Cluster, statement: &str) -> Result<f64> {
        Ok(cluster.sql(&self.database, statement).parse()?)
    }
}

/// CPU seconds of all processes of the database, including those that have ended.
fn database_seconds(cluster: &Cluster) -> Result<f64> {
    cluster.processes().into_iter().map(process::cpu_seconds_with_children).sum()
}

/// Measures what a match costs with `count` replicas.
fn cost(bench: &mut Bench, cluster: &Cluster, count: usize) -> Result<()> {
    const ROWS: &str = "SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_user_tables";
    const CONNECTED: &str =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'facematch'";
    const LOGGED: &str = "SELECT pg_current_wal_lsn() - '0/0'";
    let (matches, at_once) = (bench.size.of(6_000, 15_000), 3_000);
    let fleet = Fleet::start(bench, cluster, count, THREE_POLLS_MS)?;
    let role = Matches {
        oz: fleet.oz.clone(),
        count: matches,
        at_once,
        connections: CONNECTIONS,
        credentials: Credentials::default(),
        reference_key: None,
        is_large: false,
        per_second: None,
        on_the_line: false,
    };
    let (mut caller, _) = Part::role(&Role::Matches(role))?;
    let before = (fleet.cpu_seconds()?, database_seconds(cluster)?);
    let logged = fleet.count(cluster, LOGGED)?;
    caller.tell(&fleet.servers)?;
    let tally: Tally = caller.outcome()?;
    let each = |seconds: f64| seconds * 1e6 / matches as f64;
    let (ours, theirs) = (fleet.cpu_seconds()? - before.0, database_seconds(cluster)? - before.1);
    let name = |what: &str| format!("replicas/{count}: {what}");
    bench.tell(&name("matches a second"), tally.per_second, Unit::PerSecond);
    bench.tell(&name("CPU per match, all replicas"), each(ours), Unit::MicrosecondsOfCpu);
    bench.tell(&name("CPU per match, PostgreSQL"), each(theirs), Unit::MicrosecondsOfCpu);
    let logged = fleet.count(cluster, LOGGED)? - logged;
    bench.tell(&name("PostgreSQL's log (WAL) per match"), logged / matches as f64, Unit::Bytes);
    let commits = fleet.count(cluster, "SELECT count(*) - 1 FROM commits")?;
    bench.tell(&name("commits per match"), commits / matches as f64, Unit::Count);
    if count == 1 {
        thread::sleep(SETTLING);
        let rows = fleet.count(cluster, ROWS)?;
        bench.tell(&name("rows written per match"), rows / matches as f64, Unit::Count);
    }
    let connected = fleet.count(cluster, CONNECTED)?;
    bench.tell(&name("connections for each replica"), connected / count as f64, Unit::Count);
    Ok(())
}

/// Measures how much later an update arrives at another replica than at the match's driver.
fn delivery(bench: &mut Bench, cluster: &Cluster) -> Result<()> {
    let fleet = Fleet::start(bench, cluster, 2, THREE_POLLS_MS)?;
    let (count, at_once) = (bench.size.of(500, 2_000), 200);
    let role = Witness { oz: fleet.oz.clone(), count, at_once };
    let (mut witness, _) = Part::role(&Role::Witness(role))?;
    witness.tell(&fleet.servers)?;
    let witnessed: Witnessed = witness.outcome()?;
    let later = witnessed.later;
    bench
        .tell(
            "replicas/an update at another replica, later by, p50",
            later.p50_ms,
            Unit::Milliseconds,
        )
        .at_most(5.0);
    bench
        .tell(
            "replicas/an update at another replica, later by, p99",
            later.p99_ms,
            Unit::Milliseconds,
        )
        .at_most(50.0);
    Ok(())
}

/// Counts the statements of a replica while its matches are in flight and nothing is written.
fn leasing(bench: &mut Bench, cluster: &Cluster, matches: usize) -> Result<()> {
    // Each statement of the service is a transaction.
    const STATEMENTS: &str = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    let fleet = Fleet::start(bench, cluster, 1, NEVER_ENDS_MS)?;
    let _flying = fly(&fleet, matches)?;
    thread::sleep(SETTLING);
    let window = Duration::from_secs(bench.size.of(10, 20));
    let (before, since) = (fleet.count(cluster, STATEMENTS)?, Instant::now());
    thread::sleep(window);
    let statements = fleet.count(cluster, STATEMENTS)? - before;
    let each_second = statements / since.elapsed().as_secs_f64();
    let name = format!("replicas/statements a second while polling {matches} matches");
    bench.tell(&name, each_second, Unit::PerSecond);
    Ok(())
}

fn fly(fleet: &Fleet, count: usize) -> Result<(Part, Flying)> {
    let role = Flight { oz: fleet.oz.clone(), count, connections: CONNECTIONS };
    let (mut caller, _) = Part::role(&Role::Flight(role))?;
    let first = fleet.servers.split(' ').next().unwrap_or_default();
    caller.tell(first)?;
    let flying = caller.outcome()?;
    Ok((caller, flying))
}

/// Measures how long the matches of a killed replica go without a poll.
fn death(bench: &mut Bench, cluster: &Cluster) -> Result<()> {
    let mut fleet = Fleet::start(bench, cluster, 3, NEVER_ENDS_MS)?;
    let (_caller, flying) = fly(&fleet, bench.size.of(300, 1_000))?;
    thread::sleep(SETTLING);
    fleet.replicas.remove(0).kill()?;
    thread::sleep(LEASE + SETTLING);
    // The kill makes the longest pause of each match. The kill is taken to be at the latest poll
    // before any of these pauses.
    let mut pauses = Vec::new();
    for folder in flying.folders.iter().collect::<BTreeSet<_>>() {
        let times = bench.polls(&fleet.oz, folder)?;
        let pause = times.windows(2).max_by(|a, b| (a[1] - a[0]).total_cmp(&(b[1] - b[0])));
        let pause = pause.ok_or("a match that was never polled")?;
        pauses.push((pause[0], pause[1]));
    }
    let killed = pauses.iter().map(|(last, _)| *last).fold(0.0, f64::max);
    let gaps = pauses.iter().map(|(_, again)| Duration::from_secs_f64((again - killed) / 1e3));
    let gaps = Percentiles::of(gaps);
    bench
        .tell(
            "replicas/from a death to its matches being polled again, p50",
            gaps.p50_ms,
            Unit::Milliseconds,
        )
        .refer("a lease of 10 s");
    bench
        .tell(
            "replicas/from a death to its matches being polled again, p99",
            gaps.p99_ms,
            Unit::Milliseconds,
        )
        .at_most(11_000.0)
        .refer("a lease of 10 s");
    Ok(())
}
