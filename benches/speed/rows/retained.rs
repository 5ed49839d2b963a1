//! What a match costs, and when its verdict comes, among few retained matches and among many, on both
//! engines. Both stores serve the same load at the same time, so that a noisy machine harms both
//! alike.

use std::{thread, time::Duration};

use crate::{
    Result,
    credentials::Credentials,
    postgres::Cluster,
    process::Part,
    report::Unit,
    roles::{Crowd, Matches, Role, Tally},
    rows::{
        Bench,
        lists::{CACHE, fill},
        matches::THREE_POLLS_MS,
        store,
    },
};

/// How many matches the small store retains.
const FEW: u64 = 1_000;
/// The load of each service, in matches a second.
const PER_SECOND: f64 = 150.0;
const CONNECTIONS: usize = 8;
/// The most that a match may cost among many, as a multiple of its cost among few: indexes are a
/// level or two deeper.
const TIMES: f64 = 1.25;
/// Until the few unfinished matches of a filled store, which are past their deadlines, have ended.
const SETTLING: Duration = Duration::from_secs(6);

pub fn retained(bench: &mut Bench) -> Result<()> {
    let counts = [FEW, bench.size.of(100_000, 1_000_000)];
    in_files(bench, counts)?;
    in_databases(bench, counts)
}

fn in_files(bench: &mut Bench, counts: [u64; 2]) -> Result<()> {
    let directories = [tempfile::tempdir()?, tempfile::tempdir()?];
    for (directory, count) in directories.iter().zip(counts) {
        let crowd = Crowd { store: store(directory.path()), count };
        Part::role(&Role::Crowd(crowd))?;
    }
    let [few, many] =
        directories.each_ref().map(|directory| Side::start(bench, Place::File(directory.path())));
    tell(bench, "SQLite", counts, [few?, many?])
}

fn in_databases(bench: &mut Bench, counts: [u64; 2]) -> Result<()> {
    let clusters = [Cluster::start_with(&[CACHE]), Cluster::start_with(&[CACHE])];
    let mut urls = Vec::new();
    for (cluster, count) in clusters.iter().zip(counts) {
        urls.push(cluster.url(&fill(bench, cluster, count)?));
    }
    let [few, many] = [0, 1].map(|at| Side::start(bench, Place::Database(&urls[at])));
    tell(bench, "PostgreSQL", counts, [few?, many?])
}

/// Where the matches are retained.
enum Place<'a> {
    /// The directory of a journal.
    File(&'a std::path::Path),
    /// The URL of a database.
    Database(&'a str),
}

/// A service over a filled store, with its simulator and its callers.
struct Side {
    service: Part,
    server: String,
    caller: Part,
    count: usize,
    _simulator: Part,
    _logs: tempfile::TempDir,
}

/// What a match has cost, in microseconds and bytes, and when its verdict came.
struct Cost {
    cpu: f64,
    written: f64,
    tally: Tally,
}

impl Side {
    fn start(bench: &mut Bench, place: Place<'_>) -> Result<Self> {
        let (simulator, oz) = bench.simulator(THREE_POLLS_MS)?;
        let count = (PER_SECOND * bench.size.of(4.0, 12.0)) as usize;
        let role = Matches {
            oz,
            count,
            at_once: count,
            connections: CONNECTIONS,
            credentials: Credentials::default(),
            reference_key: None,
            is_large: false,
            per_second: Some(PER_SECOND),
            on_the_line: true,
        };
        let (caller, line) = Part::role(&Role::Matches(role))?;
        let line: String = serde_json::from_str(&line)?;
        let logs = tempfile::tempdir()?;
        let (service, server) = match place {
            Place::File(directory) => Part::service(&line, directory, &[])?,
            Place::Database(url) => Part::service_on(url, &line, &logs.path().join("log"), &[])?,
        };
        Ok(Self { service, server, caller, count, _simulator: simulator, _logs: logs })
    }
}

/// Runs both sides at the same time.
fn run(sides: [Side; 2]) -> Result<[Cost; 2]> {
    thread::sleep(SETTLING);
    let mut begun = Vec::new();
    for mut side in sides {
        let before = side.service.usage()?;
        side.caller.tell(&side.server)?;
        begun.push((side, before));
    }
    let mut costs = Vec::new();
    for (side, before) in &mut begun {
        let tally: Tally = side.caller.outcome()?;
        let usage = side.service.usage()?.since(*before);
        let each = |amount: f64| amount / side.count as f64;
        let (cpu, written) = (each(usage.cpu_seconds * 1e6), each(usage.written_bytes));
        costs.push(Cost { cpu, written, tally });
    }
    costs.try_into().map_err(|_| "there are two sides".into())
}

fn tell(bench: &mut Bench, engine: &str, counts: [u64; 2], sides: [Side; 2]) -> Result<()> {
    let [few, many] = run(sides)?;
    for (count, cost) in counts.iter().zip([&few, &many]) {
        let name = |what: &str| format!("retained/{count} in {engine}: {what}");
        let latency = &cost.tally.latency;
        bench.tell(&name("CPU per match"), cost.cpu, Unit::MicrosecondsOfCpu);
        if engine == "SQLite" {
            bench.tell(&name("written to disk per match"), cost.written, Unit::Bytes);
        }
        bench.tell(&name("Oz's answer to the update, p50"), latency.p50_ms, Unit::Milliseconds);
        bench.tell(&name("Oz's answer to the update, p99"), latency.p99_ms, Unit::Milliseconds);
    }
    let name = format!("retained/in {engine}: CPU per match, {} over {}", counts[1], counts[0]);
    bench.tell(&name, many.cpu / few.cpu, Unit::TimesOfCpu).at_most(TIMES);
    Ok(())
}
