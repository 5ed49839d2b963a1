//! How long a service takes to start until it waits for its first call, and its memory then.

use std::time::Instant;

use crate::{Result, process::Part, report::Unit, rows::Bench};

pub fn start(bench: &mut Bench) -> Result<()> {
    let rounds = bench.size.of(5, 15);
    let (_simulator, oz) = bench.simulator(0)?;
    let (mut took, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let directory = tempfile::tempdir()?;
        let started = Instant::now();
        let (service, _) = Part::service(&oz, directory.path(), &[])?;
        took.push(started.elapsed().as_secs_f64());
        resident.push(service.usage()?.resident_bytes);
        service.kill()?;
    }
    bench
        .tell("start/until it is ready", median(took), Unit::Seconds)
        .at_most(0.2)
        .refer("bare gateway: 0.014");
    bench
        .tell("start/resident when idle", median(resident), Unit::Bytes)
        .at_most(20e6)
        .refer("bare gateway: 6 MB");
    Ok(())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
