//! Random histories of a fleet: matches, callers that change replicas, faults, and strikes at the
//! replicas, all drawn from a seed that is printed on failure.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::simulation::{
    History,
    caller::Caller,
    fault_injection::POINTS,
    fleet::{Fleet, LEASE, Strike},
    oz::{OUTAGES, Outage},
    seeds::{moved_to_library, some_plan, trouble_library, wanted},
};

/// Seeds that have failed once: 9 by a match that one replica had claimed twice concurrently, 449
/// and 3857 by a driver that took another replica's event for its own.
const REGRESSIONS: &[u64] = &[9, 449, 3857];

/// By how many seconds the clock of a replica may be wrong at its start.
const SKEWS: [i64; 6] = [0, 0, 3_600, -3_600, 365 * 86_400, -365 * 86_400];

/// The history of a seed.
fn draw(seed: u64) -> Fleet {
    let mut random = StdRng::seed_from_u64(seed);
    let replicas = random.random_range(2..=3);
    let mut fleet = Fleet::new(seed, replicas);
    for n in 0..random.random_range(1..=5) {
        let plan = some_plan(&mut random, &fleet.oz, &fleet.callers, n);
        fleet.callers.push(Caller::new(plan));
    }
    if random.random_bool(0.3) {
        fleet.oz.forget_metadata();
    }
    fleet.oz.act_without_senders(random.random_bool(0.5));
    fleet.oz.fail_often([0.0, 0.0, 0.05, 0.3][random.random_range(0..4)]);
    fleet.write_failure_probability = [0.0, 0.0, 0.05, 0.2][random.random_range(0..4)];
    fleet.lag = Duration::from_millis([1, 30, 1_000][random.random_range(0..3)]);
    fleet.move_probability = [0.0, 0.1, 0.5][random.random_range(0..3)];
    fleet.followers = random.random_range(1..=2);
    fleet.restart_delay = Duration::from_secs_f64(random.random_range(0.5..30.0));
    if random.random_bool(0.2) {
        let from = random.random_range(0.0..20.0);
        let to = from + random.random_range(1.0..100.0);
        let fault = OUTAGES[random.random_range(0..OUTAGES.len())];
        let (from, to) = (History::at(from), History::at(to));
        fleet.oz.go_out(Outage { from, to, of: None, fault });
    }
    for _ in 0..random.random_range(0..6) {
        some_strike(&mut random, &mut fleet, replicas);
    }
    if random.random_bool(0.5) {
        let point = POINTS[random.random_range(0..POINTS.len())];
        fleet.injector.crash_at(random.random_range(0..60), point);
    }
    if random.random_bool(0.5) {
        let point = POINTS[random.random_range(0..POINTS.len())];
        fleet.injector.pause_at(random.random_range(0..60), point);
        fleet.pause_length = LEASE.mul_f64(random.random_range(0.5..4.0));
    }
    // Drawn last, so that the earlier draws of known seeds stay the same.
    for skew in &mut fleet.clock_skews_micros {
        *skew = SKEWS[random.random_range(0..SKEWS.len())] * 1_000_000;
    }
    fleet
}

/// The history of a seed, with most of the photos that are sent in the library instead.
fn draw_by_key(seed: u64) -> Fleet {
    let mut fleet = draw(seed);
    let mut random = StdRng::seed_from_u64(seed);
    for caller in &mut fleet.callers {
        *caller = moved_to_library(&mut random, caller);
    }
    trouble_library(&mut random, &fleet.library);
    fleet
}

fn some_strike(random: &mut StdRng, fleet: &mut Fleet, replicas: usize) {
    let replica = random.random_range(0..replicas);
    let from = History::at(random.random_range(0.0..50.0));
    let short = LEASE.mul_f64(random.random_range(0.1..0.9));
    let long = LEASE.mul_f64(random.random_range(1.0..5.0));
    let to = from.after(if random.random_bool(0.7) { long } else { short });
    match random.random_range(0..4) {
        0 => fleet.plan_strike(from, replica, Strike::Crash),
        1 => fleet.plan_strike(from, replica, Strike::Drain),
        2 => {
            fleet.plan_strike(from, replica, Strike::Pause);
            fleet.plan_strike(to, replica, Strike::Resume);
        }
        _ => {
            fleet.plan_strike(from, replica, Strike::CutOff);
            fleet.plan_strike(to, replica, Strike::Heal);
        }
    }
}

#[test]
fn every_history_of_a_fleet_keeps_every_promise() {
    let (first, seeds) = wanted();
    let (mut strikes, mut operations, mut strays) = (0, 0, 0);
    for seed in REGRESSIONS.iter().copied().chain(first..first + seeds) {
        let mut fleet = draw(seed);
        fleet.run();
        strikes += fleet.harmful_strikes;
        operations += fleet.injector.operations();
        strays += fleet.oz.strays();
    }
    println!(
        "seeds of a fleet: {seeds}, strikes: {strikes}, operations: {operations}, \
         made by paused senders: {strays}, broken promises: 0"
    );
}

#[test]
fn every_history_of_a_fleet_with_photos_in_the_library_keeps_every_promise() {
    let (first, seeds) = wanted();
    let (mut strikes, mut operations, mut reads) = (0, 0, 0);
    for seed in first..first + seeds {
        let mut fleet = draw_by_key(seed);
        fleet.run();
        strikes += fleet.harmful_strikes;
        operations += fleet.injector.operations();
        reads += fleet.library.reads().len();
    }
    println!(
        "seeds of a fleet with a library: {seeds}, strikes: {strikes}, operations: {operations}, \
         reads of photos: {reads}, broken promises: 0"
    );
}

#[test]
fn a_history_of_a_fleet_repeats_from_its_seed() {
    for (seed, draw) in (1..40).flat_map(|seed| [(seed, draw as fn(_) -> _), (seed, draw_by_key)]) {
        let traces = [(); 2].map(|()| {
            let mut fleet: Fleet = draw(seed);
            fleet.run();
            let seen: Vec<_> = fleet.callers.iter().flat_map(|it| it.seen()).collect();
            let seen: Vec<_> = seen.into_iter().map(|it| (it.names, it.time)).collect();
            (fleet.injector.operations(), fleet.harmful_strikes, fleet.clock.now(), seen)
        });
        assert_eq!(traces[0], traces[1], "seed {seed}");
    }
}
