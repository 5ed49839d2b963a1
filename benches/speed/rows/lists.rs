//! Lists over a month of retained matches, and look-ups beside them, on both engines.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    Result,
    postgres::Cluster,
    process::Part,
    report::Unit,
    roles::{Crowd, Listed, Lists, Role, crowd_of},
    rows::{Bench, store},
};

/// The promised limit of a page by any filter.
const PAGE_MS: f64 = 50.0;
/// The promised limit of a look-up beside forty concurrent lists, as a multiple of a look-up alone.
const TIMES: f64 = 3.0;

/// PostgreSQL's own default for its cache; the tests set less.
pub(super) const CACHE: (&str, &str) = ("shared_buffers", "128MB");
/// How long a replica may take to enter all matches into the indexes of lists.
const PATIENCE: Duration = Duration::from_secs(900);

pub fn lists(bench: &mut Bench) -> Result<()> {
    let count = bench.size.of(100_000, 1_000_000);
    of_a_file(bench, count)?;
    of_a_database(bench, count)
}

fn of_a_file(bench: &mut Bench, count: u64) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (_filler, _) = Part::role(&Role::Crowd(Crowd { store: store(directory.path()), count }))?;
    let (_simulator, oz) = bench.simulator(0)?;
    let (_service, server) = Part::service(&oz, directory.path(), &[])?;
    list(bench, "SQLite", server, count)
}

fn of_a_database(bench: &mut Bench, count: u64) -> Result<()> {
    let cluster = Cluster::start_with(&[CACHE]);
    let database = fill(bench, &cluster, count)?;
    let (_simulator, oz) = bench.simulator(0)?;
    let logs = tempfile::tempdir()?;
    let log = logs.path().join("log");
    let (_service, server) = Part::service_on(&cluster.url(&database), &oz, &log, &[])?;
    list(bench, "PostgreSQL", server, count)
}

/// Creates a database with `count` matches, all entered into the indexes of lists.
pub(super) fn fill(bench: &mut Bench, cluster: &Cluster, count: u64) -> Result<String> {
    let database = cluster.create_database();
    let (_simulator, oz) = bench.simulator(0)?;
    let logs = tempfile::tempdir()?;
    let start = || Part::service_on(&cluster.url(&database), &oz, &logs.path().join("log"), &[]);
    // The first start creates the schema.
    start()?.0.stop()?;
    cluster.sql(&database, &crowd_of(count).postgres());
    let (service, _) = start()?;
    enlisted(cluster, &database)?;
    service.stop()?;
    // As autovacuum does within a minute; its cost isn't measured.
    cluster.sql(&database, "VACUUM (ANALYZE)");
    Ok(database)
}

/// Waits until the service has entered all matches into the indexes of lists.
fn enlisted(cluster: &Cluster, database: &str) -> Result<()> {
    const LEFT: &str = "SELECT EXISTS (SELECT 1 FROM match_states
        WHERE caller IS NULL OR end_time IS NOT NULL AND end_state IS NULL)";
    let started = Instant::now();
    while cluster.sql(database, LEFT) != "f" {
        if started.elapsed() > PATIENCE {
            return Err("the service hasn't entered all matches into the indexes of lists".into());
        }
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

fn list(bench: &mut Bench, engine: &str, server: String, count: u64) -> Result<()> {
    let (_caller, line) = Part::role(&Role::Lists(Lists { server, count }))?;
    let Listed { mut pages, idle, beside, read, failed } = serde_json::from_str(&line)?;
    for (filter, times) in &pages {
        eprintln!("{engine}, {filter}: p50 {:.2} ms, p99 {:.2} ms", times.p50_ms, times.p99_ms);
    }
    let name = |what: &str| format!("lists/{count} in {engine}: {what}");
    pages.sort_by(|(_, a), (_, b)| a.p99_ms.total_cmp(&b.p99_ms));
    let (slowest, times) = pages.last().ok_or("no filter was measured")?;
    bench
        .tell(&name("a page by the slowest filter, p99"), times.p99_ms, Unit::Milliseconds)
        .at_most(PAGE_MS)
        .refer(&format!("by {slowest}, of {} filters", pages.len()));
    bench.tell(&name("GetMatch alone, p99"), idle.p99_ms, Unit::Milliseconds);
    bench.tell(&name("GetMatch beside 40 lists, p50"), beside.p50_ms, Unit::Milliseconds);
    bench.tell(&name("GetMatch beside 40 lists, p99"), beside.p99_ms, Unit::Milliseconds);
    let times = beside.p99_ms / idle.p99_ms.max(1e-9);
    bench
        .tell(&name("GetMatch beside 40 lists, p99 over alone"), times, Unit::Times)
        .at_most(TIMES);
    bench.tell(&name("pages read beside them"), read as f64, Unit::Count);
    bench.tell(&name("calls that failed"), failed as f64, Unit::Count).at_most(0.0);
    Ok(())
}
