//! A photo of nearly the largest size allowed.

use crate::{
    Result,
    credentials::Credentials,
    oz,
    process::Part,
    report::Unit,
    roles::{Bare, Matches, Role, Tally},
    rows::Bench,
};

/// Matches run one after the other, and are polled so soon that the upload takes most of the time.
const POLL_MS: u64 = 10;

pub fn large_photo(bench: &mut Bench) -> Result<()> {
    let count = bench.size.of(5, 20);
    let size = oz::large_photo()?.len() as f64;
    let (_simulator, oz) = bench.simulator(0)?;
    let role = Bare { oz, count, at_once: 1, is_large: true, poll_ms: POLL_MS };
    let (mut bare, _) = Part::role(&Role::Bare(role))?;
    bare.tell("go")?;
    let alone: Tally = bare.outcome()?;
    drop(bare);

    let house = bench.house(0, &["--oz-poll-interval", "10ms"])?;
    let role = Matches {
        oz: house.oz.clone(),
        count,
        at_once: 1,
        connections: 1,
        credentials: Credentials::default(),
        reference_key: None,
        is_large: true,
        per_second: None,
        on_the_line: false,
    };
    let (mut caller, _) = Part::role(&Role::Matches(role))?;
    house.service.forget_peak()?;
    let idle = house.service.usage()?;
    caller.tell(&house.server)?;
    let ours: Tally = caller.outcome()?;
    let peak = (house.service.usage()?.peak_bytes - idle.resident_bytes) / size;
    bench
        .tell(
            "large-photo/throughput over the bare loop's",
            alone.seconds / ours.seconds,
            Unit::Share,
        )
        .at_least(0.33)
        .refer("bare gateway: 0.36 with large windows, 0.2 with defaults");
    bench
        .tell("large-photo/peak memory over its size", peak, Unit::Times)
        .at_most(2.5)
        .refer("bare gateway: 1.9 to 3.1");
    Ok(())
}
