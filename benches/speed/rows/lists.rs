//! Lists over a month of retained matches, and look-ups beside them.

use crate::{
    Result,
    process::Part,
    report::Unit,
    roles::{Crowd, Listed, Lists, Role},
    rows::{Bench, store},
};

/// What is promised of a page by any filter.
const PAGE_MS: f64 = 50.0;
/// And of a look-up beside forty lists at once, in times of what it takes without any.
const TIMES: f64 = 3.0;

pub fn lists(bench: &mut Bench) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let count = bench.size.of(100_000, 1_000_000);
    let (_filler, _) = Part::role(&Role::Crowd(Crowd { store: store(directory.path()), count }))?;
    let (_simulator, oz) = bench.simulator(0)?;
    let (_service, server) = Part::service(&oz, directory.path(), &[])?;
    let (_caller, line) = Part::role(&Role::Lists(Lists { server, count }))?;
    let listed: Listed = serde_json::from_str(&line)?;
    for (filter, times) in &listed.pages {
        let name = format!("lists/{count} matches, a page by {filter}, p50");
        bench.tell(&name, times.p50_ms, Unit::Milliseconds);
        let name = format!("lists/{count} matches, a page by {filter}, p99");
        bench.tell(&name, times.p99_ms, Unit::Milliseconds).at_most(PAGE_MS);
    }
    bench.tell("lists/GetMatch alone, p99", listed.idle.p99_ms, Unit::Milliseconds);
    bench.tell("lists/GetMatch beside 40 lists, p50", listed.beside.p50_ms, Unit::Milliseconds);
    bench.tell("lists/GetMatch beside 40 lists, p99", listed.beside.p99_ms, Unit::Milliseconds);
    let times = listed.beside.p99_ms / listed.idle.p99_ms.max(1e-9);
    bench.tell("lists/GetMatch beside 40 lists, p99 over alone", times, Unit::Times).at_most(TIMES);
    bench.tell("lists/pages read beside them", listed.read as f64, Unit::Count);
    bench.tell("lists/calls that failed", listed.failed as f64, Unit::Count).at_most(0.0);
    Ok(())
}
