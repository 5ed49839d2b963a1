//! One stream of all matches: whether it keeps up with a busy fleet over a distant database, and
//! how fast it reads retained events.

use std::{thread, time::Duration};

use crate::{
    Result,
    postgres::{Cluster, Link},
    process::Part,
    report::Unit,
    roles::{Crowd, Followed, Follower, Pace, Paced, Role, crowd_of},
    rows::{Bench, store},
};

/// The rate that the service is designed for.
const MATCHES_PER_SECOND: u64 = 1_000;
const EVENTS_PER_MATCH: u64 = 4;
/// A trip to a database in another zone.
const TRIP: Duration = Duration::from_millis(2);
/// The promised limits.
const BEHIND_MS: f64 = 2_000.0;
const PER_SECOND: f64 = 20_000.0;
const PER_SECOND_AT_A_DISTANCE: f64 = 5_000.0;
/// A pause, so that work left by an earlier row delays nothing.
const SETTLING: Duration = Duration::from_secs(1);

pub fn follower(bench: &mut Bench) -> Result<()> {
    let count = bench.size.of(20_000, 100_000);
    of_a_file(bench, count)?;
    let cluster = Cluster::start();
    let database = cluster.create_database();
    of_a_database(bench, &cluster, &database, count, None)?;
    of_a_database(bench, &cluster, &database, count, Some(TRIP))?;
    live(bench, &cluster)
}

fn of_a_file(bench: &mut Bench, count: u64) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (_filler, _) = Part::role(&Role::Crowd(Crowd { store: store(directory.path()), count }))?;
    let (_simulator, oz) = bench.simulator(0)?;
    let (service, server) = Part::service(&oz, directory.path(), &[])?;
    earliest(bench, "SQLite", &service, server, count, PER_SECOND)
}

fn of_a_database(
    bench: &mut Bench,
    cluster: &Cluster,
    database: &str,
    count: u64,
    trip: Option<Duration>,
) -> Result<()> {
    let (_simulator, oz) = bench.simulator(0)?;
    let logs = tempfile::tempdir()?;
    let link = far(cluster, trip.unwrap_or_default());
    let log = logs.path().join("log");
    let start = || Part::service_on(&link.url(database), &oz, &log, &[]);
    if trip.is_none() {
        // The first start creates the schema.
        start()?.0.stop()?;
        cluster.sql(database, &crowd_of(count).postgres());
        cluster.sql(database, "VACUUM (ANALYZE)");
    }
    let (service, server) = start()?;
    let (engine, least) = match trip {
        Some(_) => ("PostgreSQL at 2 ms a trip", PER_SECOND_AT_A_DISTANCE),
        None => ("PostgreSQL", PER_SECOND),
    };
    earliest(bench, engine, &service, server, count, least)
}

fn far(cluster: &Cluster, trip: Duration) -> Link {
    let link = cluster.link();
    link.delay(trip);
    link
}

/// Follows all retained events, from the oldest on.
fn earliest(
    bench: &mut Bench,
    engine: &str,
    service: &Part,
    server: String,
    count: u64,
    least: f64,
) -> Result<()> {
    thread::sleep(SETTLING);
    // A failed match has two events, and a running one has three.
    let updates = count * EVENTS_PER_MATCH - count / 4_000 * 5 - 10;
    let before = service.usage()?;
    let role = Follower { server, token: "earliest".to_owned(), updates };
    let (mut follower, _) = Part::role(&Role::Follower(role))?;
    let followed: Followed = follower.outcome()?;
    let cpu = (service.usage()?.cpu_seconds - before.cpu_seconds) * 1e6 / updates as f64;
    let name = |what: &str| format!("follower/earliest in {engine}: {what}");
    bench.tell(&name("updates a second"), followed.per_second, Unit::PerSecond).at_least(least);
    bench.tell(&name("CPU per update"), cpu, Unit::MicrosecondsOfCpu);
    Ok(())
}

/// Follows what a busy fleet writes, over a distant database.
fn live(bench: &mut Bench, cluster: &Cluster) -> Result<()> {
    let seconds = bench.size.of(10, 30);
    let (_simulator, oz) = bench.simulator(0)?;
    let (database, logs) = (cluster.create_database(), tempfile::tempdir()?);
    let link = far(cluster, TRIP);
    let log = logs.path().join("log");
    let (service, server) = Part::service_on(&link.url(&database), &oz, &log, &[])?;
    let pace = Pace { store: cluster.url(&database), per_second: MATCHES_PER_SECOND, seconds };
    let (mut writer, _) = Part::role(&Role::Pace(pace))?;
    let updates = MATCHES_PER_SECOND * EVENTS_PER_MATCH * seconds;
    let role = Follower { server, token: String::new(), updates };
    let (mut follower, _) = Part::role(&Role::Follower(role))?;
    let before = (service.usage()?, link.requests());
    writer.tell("write")?;
    let followed: Followed = follower.outcome()?;
    let paced: Paced = writer.outcome()?;
    let cpu = (service.usage()?.cpu_seconds - before.0.cpu_seconds) * 1e6 / updates as f64;
    let trips = (link.requests() - before.1) as f64 / updates as f64;
    let name = |what: &str| format!("follower/live at 2 ms a trip: {what}");
    bench.tell(&name("matches a second, written"), paced.per_second, Unit::PerSecond);
    bench.tell(&name("behind, p50"), followed.behind.p50_ms, Unit::Milliseconds);
    bench.tell(&name("behind, p99"), followed.behind.p99_ms, Unit::Milliseconds);
    bench
        .tell(&name("behind, at most"), followed.behind.max_ms, Unit::Milliseconds)
        .at_most(BEHIND_MS);
    bench.tell(&name("trips per update"), trips, Unit::Count);
    bench.tell(&name("CPU per update"), cpu, Unit::MicrosecondsOfCpu);
    Ok(())
}
