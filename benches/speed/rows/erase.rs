//! What a page of retention costs among few retained matches and among many, on both engines.

use crate::{
    Result,
    postgres::Cluster,
    process::Part,
    report::Unit,
    roles::{Crowd, Erase, Pages, Role, Store},
    rows::{
        Bench,
        lists::{CACHE, fill},
        store,
    },
};

/// How many matches are erased in each run: twenty pages.
const DUE: usize = 10_000;
/// How many matches the small store retains.
const FEW: u64 = 20_000;
/// How many matches the large store retains, unless the environment sets another number. Run it
/// with 10,000,000, which takes 30 GB for each engine.
const MANY: u64 = 300_000;
const MANY_VARIABLE: &str = "FACEMATCH_RETAINED";
/// The longest that a page may take among many, as a multiple of its time among few: indexes are a
/// level deeper.
const TIMES: f64 = 3.0;

pub fn erase(bench: &mut Bench) -> Result<()> {
    let many = match std::env::var(MANY_VARIABLE) {
        Ok(told) => told.parse()?,
        Err(_) => MANY,
    };
    for (engine, measure) in [("SQLite", of_a_file as Measure), ("PostgreSQL", of_a_database)] {
        let among_few = measure(bench, FEW)?;
        let among_many = measure(bench, many)?;
        let name = |what: &str| format!("erase/{many} in {engine}: {what}");
        for (what, value) in [
            ("500 matches, p50", among_many.times.p50_ms),
            ("500 matches, p99", among_many.times.p99_ms),
        ] {
            bench.tell(&name(what), value, Unit::Milliseconds);
        }
        let times = among_many.times.p50_ms / among_few.times.p50_ms.max(1e-9);
        let what = format!("500 matches, p50 over {FEW} retained");
        bench.tell(&name(&what), times, Unit::Times).at_most(TIMES);
    }
    Ok(())
}

type Measure = fn(&mut Bench, u64) -> Result<Pages>;

fn of_a_file(_: &mut Bench, count: u64) -> Result<Pages> {
    let directory = tempfile::tempdir()?;
    let path = store(directory.path());
    let (_filler, _) = Part::role(&Role::Crowd(Crowd { store: path.clone(), count }))?;
    play(Store::File(path))
}

fn of_a_database(bench: &mut Bench, count: u64) -> Result<Pages> {
    let cluster = Cluster::start_with(&[CACHE]);
    let database = fill(bench, &cluster, count)?;
    play(Store::Database(cluster.url(&database)))
}

fn play(store: Store) -> Result<Pages> {
    let (_eraser, line) = Part::role(&Role::Erase(Erase { store, due: DUE }))?;
    let pages: Pages = serde_json::from_str(&line)?;
    if pages.erased < DUE {
        return Err(format!("{} of {DUE} were erased", pages.erased).into());
    }
    Ok(pages)
}
