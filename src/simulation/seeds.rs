//! Random histories: matches, callers, faults, outages, crashes and a failing store, all drawn from
//! a seed that is printed on failure.

use std::{sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    domain::{LivenessPolicy, TenantId},
    simulation::{
        History,
        caller::{Caller, PhotoPlace, Plan},
        fault_injection::POINTS,
        library::{self, LibraryModel, READ_FAULTS},
        oz::{Model, OUTAGES, Outage},
    },
};

/// How many seeds each run of the tests takes, from 1 on. `FACEMATCH_SEEDS` sets another number,
/// and `FACEMATCH_FIRST_SEED` another start.
const SEEDS: u64 = 200;

/// Seeds that have failed once: 17 by a match without a driver after the store had failed.
const REGRESSIONS: &[u64] = &[17];

/// The history of a seed.
fn draw(seed: u64) -> History {
    let mut random = StdRng::seed_from_u64(seed);
    let mut history = History::new(seed);
    let matches = random.random_range(1..=5);
    for n in 0..matches {
        let mut plan = some_plan(&mut random, &history.oz, &history.callers, n);
        // Every fourth history has two tenants, and their requests wait for each other.
        if seed.is_multiple_of(4) {
            history.limits.requests_max = 1;
            plan.tenant = TenantId::from_stored(["default", "other"][n as usize % 2]);
        }
        history.callers.push(Caller::new(plan));
    }
    if random.random_bool(0.3) {
        history.oz.forget_metadata();
    }
    history.oz.fail_often([0.0, 0.05, 0.2, 0.5][random.random_range(0..4)]);
    history.store_trouble = [0.0, 0.0, 0.05, 0.2][random.random_range(0..4)];
    if random.random_bool(0.3) {
        let from = random.random_range(0.0..20.0);
        let to = from + random.random_range(1.0..200.0);
        let fault = OUTAGES[random.random_range(0..OUTAGES.len())];
        let (from, to) = (History::at(from), History::at(to));
        history.oz.go_out(Outage { from, to, of: None, fault });
    }
    let mut crashes: Vec<_> = (0..random.random_range(0..5))
        .map(|_| History::at(random.random_range(0.0..40.0)))
        .collect();
    crashes.sort();
    history.crash_times = crashes.into();
    if random.random_bool(0.5) {
        let point = POINTS[random.random_range(0..POINTS.len())];
        history.injector.crash_at(random.random_range(0..40), point);
    }
    history
}

/// The history of a seed, with most of the photos that are sent in the library instead.
fn draw_by_key(seed: u64) -> History {
    let mut history = draw(seed);
    let mut random = StdRng::seed_from_u64(seed);
    for caller in &mut history.callers {
        *caller = moved_to_library(&mut random, caller);
    }
    trouble_library(&mut random, &history.library);
    history
}

/// The same caller, perhaps with its photo in the library: it never calls again then.
pub fn moved_to_library(random: &mut StdRng, caller: &Arc<Caller>) -> Arc<Caller> {
    let (is_moved, is_missing) = (random.random_bool(0.8), random.random_bool(0.1));
    if !is_moved || caller.plan.photo != PhotoPlace::Call {
        return Arc::clone(caller);
    }
    let photo = if is_missing { PhotoPlace::Nowhere } else { PhotoPlace::Library };
    Caller::new(Plan { photo, comes_back: None, ..caller.plan.clone() })
}

/// Lets reads of the library go wrong.
pub fn trouble_library(random: &mut StdRng, library: &LibraryModel) {
    library.fail_often([0.0, 0.1, 0.3, 0.7][random.random_range(0..4)]);
    if random.random_bool(0.3) {
        let from = random.random_range(0.0..20.0);
        let to = from + random.random_range(1.0..200.0);
        let fault = READ_FAULTS[random.random_range(0..READ_FAULTS.len())];
        let (from, to) = (History::at(from), History::at(to));
        library.go_out(library::Outage { from, to, fault });
    }
}

/// A random plan of a caller. It may share the folder of an earlier caller.
pub fn some_plan(random: &mut StdRng, oz: &Model, others: &[Arc<Caller>], n: u32) -> Plan {
    use LivenessPolicy::{Report, Require, Run};
    let seconds =
        |random: &mut StdRng, to: f64| Duration::from_secs_f64(random.random_range(0.0..to));
    let is_sent = random.random_bool(0.8);
    // Some matches share a folder, and also its image if they send no photo.
    let shared = others.last().filter(|_| random.random_bool(0.3));
    let (folder_id, image) = match shared.map(|other| &other.plan) {
        Some(plan) => (plan.folder_id, plan.image.clone()),
        None => (oz.add_folder(n), format!("image-{n}").parse().expect("an id")),
    };
    Plan {
        tenant: TenantId::default_tenant(),
        request_id: format!("order-{n}").parse().expect("an id"),
        folder_id,
        image,
        photo: if is_sent { PhotoPlace::Call } else { PhotoPlace::Folder },
        policy: [Report, Require, Run][random.random_range(0..3)],
        timeout: Duration::from_secs(random.random_range(20..300)),
        arrives: History::at(random.random_range(0.0..20.0)),
        comes_back: random.random_bool(0.8).then(|| seconds(random, 70.0)),
        cancels: random.random_bool(0.15).then(|| History::at(random.random_range(0.0..40.0))),
        copies: if random.random_bool(0.2) { random.random_range(2..6) } else { 1 },
    }
}

/// The first seed, and the number of seeds.
#[expect(clippy::disallowed_methods, reason = "the environment sets how long a test runs")]
pub fn wanted() -> (u64, u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    (number("FACEMATCH_FIRST_SEED").unwrap_or(1), number("FACEMATCH_SEEDS").unwrap_or(SEEDS))
}

#[test]
fn every_history_keeps_every_promise() {
    let (first, seeds) = wanted();
    let (mut crashes, mut operations) = (0, 0);
    for seed in REGRESSIONS.iter().copied().chain(first..first + seeds) {
        let mut history = draw(seed);
        history.run();
        crashes += history.crashes;
        operations += history.injector.operations();
    }
    println!("seeds: {seeds}, crashes: {crashes}, operations: {operations}, broken promises: 0");
}

#[test]
fn every_history_with_photos_in_the_library_keeps_every_promise() {
    let (first, seeds) = wanted();
    let (mut crashes, mut operations, mut reads) = (0, 0, 0);
    for seed in first..first + seeds {
        let mut history = draw_by_key(seed);
        history.run();
        crashes += history.crashes;
        operations += history.injector.operations();
        reads += history.library.reads().len();
    }
    println!(
        "seeds with a library: {seeds}, crashes: {crashes}, operations: {operations}, reads of \
         photos: {reads}, broken promises: 0"
    );
}

#[test]
fn a_history_repeats_from_its_seed() {
    for (seed, draw) in (1..20).flat_map(|seed| [(seed, draw as fn(_) -> _), (seed, draw_by_key)]) {
        let traces = [(); 2].map(|()| {
            let mut history: History = draw(seed);
            history.run();
            let seen: Vec<_> = history.callers.iter().flat_map(|it| it.seen()).collect();
            let seen: Vec<_> = seen.into_iter().map(|it| (it.names, it.time)).collect();
            (history.injector.operations(), history.crashes, history.clock.now(), seen)
        });
        assert_eq!(traces[0], traces[1], "seed {seed}");
    }
}
