//! Many matches in flight at once, each polled every second and watched by its own stream.

use std::time::Duration;

use crate::{
    Result,
    process::Part,
    report::{Point, Unit},
    roles::{Flight, Flying, Percentiles, Role},
    rows::Bench,
};

/// Longer than any run.
const NEVER_ENDS_MS: u64 = 3_600_000;
const CONNECTIONS: usize = 10;
/// After the last match has started, until all are polled evenly.
const SETTLING: Duration = Duration::from_secs(3);

/// What a number of matches in flight costs.
struct Cost {
    cpu_us_per_poll: f64,
    bytes_each: f64,
    interval: Percentiles,
}

/// Measures matches in flight at one, four and sixteen times the load.
pub fn in_flight(bench: &mut Bench) -> Result<()> {
    let most = bench.size.of(4_000, 20_000);
    let mut costs = Vec::new();
    for load in [1, 4, 16] {
        let count = most * load / 16;
        let cost = fly(bench, count)?;
        let point = |value| Point { load: load as f64, at: count as f64, value };
        bench.report.grow("CPU per poll", "µs", point(cost.cpu_us_per_poll));
        bench.report.grow("memory per match in flight", "KB", point(cost.bytes_each / 1e3));
        bench.report.grow("interval of polls, p99", "ms", point(cost.interval.p99_ms));
        costs.push(cost);
    }
    let [least, .., greatest] = costs.as_slice() else { unreachable!("there are three") };
    let name = |what: &str| format!("in-flight/{most}: {what}");
    bench
        .tell(&name("interval of polls, p99"), greatest.interval.p99_ms, Unit::Milliseconds)
        .at_most(1_200.0)
        .refer("bare gateway: 1,060");
    bench
        .tell(&name("CPU per poll"), greatest.cpu_us_per_poll, Unit::MicrosecondsOfCpu)
        .refer("bare gateway: 55");
    bench
        .tell(&name("memory for each, watcher included"), greatest.bytes_each, Unit::Bytes)
        .at_most(20_000.0)
        .refer("bare gateway: 14 KB");
    let ratio = greatest.cpu_us_per_poll / least.cpu_us_per_poll;
    bench
        .tell("in-flight/CPU per poll, 16 times the load over once", ratio, Unit::TimesOfCpu)
        .at_most(1.0)
        .refer("bare gateway: 0.6");
    Ok(())
}

fn fly(bench: &mut Bench, count: usize) -> Result<Cost> {
    let window = Duration::from_secs(bench.size.of(4, 10));
    let house = bench.house(NEVER_ENDS_MS, &[])?;
    let role = Flight { oz: house.oz.clone(), count, connections: CONNECTIONS };
    let (mut caller, _) = Part::role(&Role::Flight(role))?;
    let idle = house.service.usage()?;
    caller.tell(&house.server)?;
    let flying: Flying = caller.outcome()?;
    std::thread::sleep(SETTLING);
    let (before, polls_before) = (house.service.usage()?, bench.requests(&house.oz)?);
    std::thread::sleep(window);
    let (after, polls_after) = (house.service.usage()?, bench.requests(&house.oz)?);
    let polls = (polls_after - polls_before) as f64;
    let mut intervals = Vec::new();
    for folder in &flying.folders {
        let times = bench.polls(&house.oz, folder)?;
        intervals.extend(times.windows(2).map(|two| (two[1] - two[0]) / 1e3));
    }
    Ok(Cost {
        cpu_us_per_poll: after.since(before).cpu_seconds * 1e6 / polls,
        bytes_each: (after.resident_bytes - idle.resident_bytes) / count as f64,
        interval: Percentiles::of(intervals.into_iter().map(Duration::from_secs_f64)),
    })
}
