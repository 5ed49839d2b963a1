//! The journal: alone, and full when the service starts.

use std::time::Instant;

use crate::{
    Result,
    process::Part,
    report::Unit,
    roles::{Fill, Role, Rows},
    rows::{Bench, store},
};

pub fn journal(bench: &mut Bench) -> Result<()> {
    rows(bench)?;
    restart(bench)
}

fn rows(bench: &mut Bench) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let count = bench.size.of(20_000, 100_000);
    let (mut writer, line) =
        Part::role(&Role::Rows(Rows { store: store(directory.path()), count }))?;
    let written: crate::roles::Written = serde_json::from_str(&line)?;
    let _ = writer.tell("thanks");
    bench
        .tell(
            "journal/synced rows a second, many waiting",
            written.together_per_second,
            Unit::PerSecond,
        )
        .refer("30,000 bare rows in batches of 128");
    bench
        .tell(
            "journal/synced rows a second, one by one",
            written.singly_per_second,
            Unit::PerSecond,
        )
        .refer("4,400 bare rows");
    Ok(())
}

/// Measures a start until all matches are claimed and scheduled, which is when the service says
/// that it is ready.
fn restart(bench: &mut Bench) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let count = bench.size.of(20_000, 100_000);
    let (_filler, _) = Part::role(&Role::Fill(Fill { store: store(directory.path()), count }))?;
    let (_simulator, oz) = bench.simulator(0)?;
    let started = Instant::now();
    let (service, _) = Part::service(&oz, directory.path(), &[])?;
    let took = started.elapsed().as_secs_f64();
    drop(service);
    let name = format!("restart/with {count} unfinished matches, until all are scheduled");
    bench.tell(&name, took, Unit::Seconds).at_most(5.0);
    Ok(())
}
