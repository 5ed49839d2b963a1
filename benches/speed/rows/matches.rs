//! What a match costs, how many run in a second, and how long a verdict takes.

use crate::{
    Result,
    credentials::Credentials,
    process::{Part, Usage},
    report::{Point, Unit},
    roles::{Bare, Gateway, Matches, Role, Tally},
    rows::Bench,
};

/// An analysis of this length is over at the third poll, if polls are a second apart.
pub const THREE_POLLS_MS: u64 = 2_500;
const POLL_MS: u64 = 1_000;
/// As many as a fleet of back ends has.
const CONNECTIONS: usize = 8;
/// Sixteen times the smallest load, in matches a second: the limit of the rate.
const PER_SECOND: f64 = 1_000.0;
/// The rate that the parts around the service must reach alone, so that they aren't the bottleneck.
const WELL_BEYOND: f64 = 2.0 * PER_SECOND;

/// Runs the same matches in a bare loop, by a bare gateway and by the service, in turns, so that a
/// noisy machine harms all alike.
pub fn beside_the_bare_loop(bench: &mut Bench) -> Result<()> {
    let (rounds, count) = (bench.size.of(2, 3), bench.size.of(2_500, 3_000));
    let (mut bare, mut gateway, mut ours, mut rest) = (0.0, 0.0, 0.0, Costs::default());
    for _ in 0..rounds {
        bare += bare_loop(bench, count)?;
        gateway += by_a_bare_gateway(bench, count)?;
        let costs = by_the_service(bench, count)?;
        ours += costs.service.cpu_seconds;
        rest = rest.plus(costs);
    }
    let matches = f64::from(rounds) * count as f64;
    let each = |seconds: f64| seconds * 1e6 / matches;
    bench.tell("match/bare loop: CPU per match", each(bare), Unit::MicrosecondsOfCpu);
    bench.tell("match/bare gateway: CPU per match", each(gateway), Unit::MicrosecondsOfCpu);
    bench.tell("match/service: CPU per match", each(ours), Unit::MicrosecondsOfCpu);
    bench.tell("match/bare gateway over bare loop", gateway / bare, Unit::TimesOfCpu);
    bench.tell("match/service over bare loop", ours / bare, Unit::TimesOfCpu).at_most(2.0);
    bench.tell("match/service over bare gateway", ours / gateway, Unit::TimesOfCpu).at_most(1.0);
    let (caller, simulator) = (each(rest.caller), each(rest.simulator));
    bench.tell("match/caller: CPU per match", caller, Unit::MicrosecondsOfCpu);
    bench.tell("match/simulator: CPU per match", simulator, Unit::MicrosecondsOfCpu);
    let written = rest.service.written_bytes / matches;
    bench.tell("match/written to disk per match", written, Unit::Bytes);
    bench.tell("match/syncs per match", rest.commits / matches, Unit::Count);
    bench.tell("match/syncs a second", rest.commits / rest.seconds, Unit::PerSecond);
    Ok(())
}

/// CPU seconds of a bare gateway over `count` matches.
fn by_a_bare_gateway(bench: &mut Bench, count: usize) -> Result<f64> {
    let (_simulator, oz) = bench.simulator(THREE_POLLS_MS)?;
    let role = Gateway { oz: Some(oz.clone()), poll_ms: POLL_MS };
    let (gateway, server) = Part::role(&Role::Gateway(role))?;
    let (mut caller, _) = Part::role(&Role::Matches(matches(&oz, count, count)))?;
    let before = gateway.usage()?;
    caller.tell(&serde_json::from_str::<String>(&server)?)?;
    let _: Tally = caller.outcome()?;
    Ok(gateway.usage()?.since(before).cpu_seconds)
}

/// CPU seconds of a bare loop over `count` matches.
fn bare_loop(bench: &mut Bench, count: usize) -> Result<f64> {
    let (_simulator, oz) = bench.simulator(THREE_POLLS_MS)?;
    let role = Bare { oz, count, at_once: count, is_large: false, poll_ms: POLL_MS };
    let (mut part, _) = Part::role(&Role::Bare(role))?;
    let before = part.usage()?;
    part.tell("go")?;
    let _: Tally = part.outcome()?;
    Ok(part.usage()?.since(before).cpu_seconds)
}

/// What a run has cost each process.
#[derive(Clone, Copy, Default)]
struct Costs {
    service: Usage,
    caller: f64,
    simulator: f64,
    commits: f64,
    seconds: f64,
}

impl Costs {
    fn plus(self, other: Self) -> Self {
        let written_bytes = self.service.written_bytes + other.service.written_bytes;
        Self {
            service: Usage { written_bytes, ..Usage::default() },
            caller: self.caller + other.caller,
            simulator: self.simulator + other.simulator,
            commits: self.commits + other.commits,
            seconds: self.seconds + other.seconds,
        }
    }
}

fn by_the_service(bench: &mut Bench, count: usize) -> Result<Costs> {
    let house = bench.house(THREE_POLLS_MS, &[])?;
    let (mut caller, _) = Part::role(&Role::Matches(matches(&house.oz, count, count)))?;
    let before = (house.service.usage()?, caller.usage()?, house.simulator.usage()?);
    caller.tell(&house.server)?;
    let tally: Tally = caller.outcome()?;
    let costs = Costs {
        service: house.service.usage()?.since(before.0),
        caller: caller.usage()?.since(before.1).cpu_seconds,
        simulator: house.simulator.usage()?.since(before.2).cpu_seconds,
        commits: 0.0,
        seconds: tally.seconds,
    };
    drop(caller);
    Ok(Costs { commits: house.commits()?, ..costs })
}

fn matches(oz: &str, count: usize, at_once: usize) -> Matches {
    Matches {
        oz: oz.to_owned(),
        count,
        at_once,
        connections: CONNECTIONS,
        credentials: Credentials::default(),
        reference_key: None,
        is_large: false,
        per_second: None,
        on_the_line: false,
    }
}

/// How many matches a second run, with everything on one machine.
pub fn rate(bench: &mut Bench) -> Result<()> {
    // Several times as many as run at once, which is what a few seconds bring.
    let (count, at_once) = (bench.size.of(12_000, 30_000), 4_000);
    let house = bench.house(THREE_POLLS_MS, &[])?;
    let (mut caller, _) = Part::role(&Role::Matches(matches(&house.oz, count, at_once)))?;
    caller.tell(&house.server)?;
    let tally: Tally = caller.outcome()?;
    bench
        .tell("rate/matches a second", tally.per_second, Unit::PerSecond)
        .at_least(PER_SECOND)
        .refer("bare gateway: 1,780");
    Ok(())
}

/// Measures matches at one, four and sixteen times the load, and at half of the promised rate.
pub fn growth(bench: &mut Bench) -> Result<()> {
    for load in [1.0, 4.0, 16.0] {
        let per_second = PER_SECOND * load / 16.0;
        let (cpu, tally) = paced(bench, per_second)?;
        let latency = tally.latency;
        bench.report.grow("CPU per match", "µs", Point { load, at: per_second, value: cpu });
        let p50 = Point { load, at: per_second, value: latency.p50_ms };
        bench.report.grow("Oz's answer to the update, p50", "ms", p50);
        let p99 = Point { load, at: per_second, value: latency.p99_ms };
        bench.report.grow("Oz's answer to the update, p99", "ms", p99);
    }
    let (_, tally) = paced(bench, PER_SECOND / 2.0)?;
    bench
        .tell("latency/Oz's answer to the update, p50", tally.latency.p50_ms, Unit::Milliseconds)
        .at_most(2.0)
        .refer("bare gateway: 0.35");
    bench
        .tell("latency/Oz's answer to the update, p99", tally.latency.p99_ms, Unit::Milliseconds)
        .at_most(10.0)
        .refer("bare gateway: 2.1");
    Ok(())
}

/// Runs `per_second` matches a second for some seconds. Returns CPU per match in microseconds, and
/// the latencies from Oz's last answer to the update.
fn paced(bench: &mut Bench, per_second: f64) -> Result<(f64, Tally)> {
    let count = (per_second * bench.size.of(3.5, 10.0)) as usize;
    let (simulator, oz) = bench.simulator(THREE_POLLS_MS)?;
    let role = Matches {
        oz,
        count,
        at_once: count,
        connections: CONNECTIONS,
        credentials: Credentials::default(),
        reference_key: None,
        is_large: false,
        per_second: Some(per_second),
        on_the_line: true,
    };
    let (mut caller, line) = Part::role(&Role::Matches(role))?;
    let directory = tempfile::tempdir()?;
    let line: String = serde_json::from_str(&line)?;
    let (service, server) = Part::service(&line, directory.path(), &[])?;
    let before = service.usage()?;
    caller.tell(&server)?;
    let tally: Tally = caller.outcome()?;
    let cpu = service.usage()?.since(before).cpu_seconds * 1e6 / count as f64;
    drop(simulator);
    Ok((cpu, tally))
}

/// Checks that neither the simulator nor the load generator is the bottleneck: how many matches
/// each reaches alone.
pub fn parts_alone(bench: &mut Bench) -> Result<()> {
    let count = bench.size.of(2_000, 10_000);
    let (_simulator, oz) = bench.simulator(0)?;
    let role = Bare { oz: oz.clone(), count, at_once: 128, is_large: false, poll_ms: 0 };
    let (mut bare, _) = Part::role(&Role::Bare(role))?;
    bare.tell("go")?;
    let tally: Tally = bare.outcome()?;
    bench
        .tell("alone/simulator: matches a second, of one poll", tally.per_second, Unit::PerSecond)
        .at_least(WELL_BEYOND);
    let (_gateway, server) = Part::role(&Role::Gateway(Gateway { oz: None, poll_ms: 0 }))?;
    let role = matches(&oz, count, 128);
    let (mut caller, _) = Part::role(&Role::Matches(role))?;
    caller.tell(&serde_json::from_str::<String>(&server)?)?;
    let tally: Tally = caller.outcome()?;
    bench
        .tell("alone/load generator: matches a second", tally.per_second, Unit::PerSecond)
        .at_least(WELL_BEYOND);
    Ok(())
}
