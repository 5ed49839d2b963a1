//! One match with a large audience.

use crate::{
    Result,
    process::Part,
    report::Unit,
    roles::{Audience, Role, Tally},
    rows::Bench,
};

/// Longer than any run.
const NEVER_ENDS_MS: u64 = 3_600_000;
const CONNECTIONS: usize = 10;

pub fn audience(bench: &mut Bench) -> Result<()> {
    let watchers = bench.size.of(2_000, 10_000);
    let house = bench.house(NEVER_ENDS_MS, &[])?;
    let role = Audience { oz: house.oz.clone(), watchers, connections: CONNECTIONS };
    let (mut audience, _) = Part::role(&Role::Audience(role))?;
    let idle = house.service.usage()?;
    audience.tell(&house.server)?;
    let _seated: String = audience.outcome()?;
    let seated = house.service.usage()?;
    audience.tell("go")?;
    let tally: Tally = audience.outcome()?;
    let last = format!("audience/the last of {watchers} sees an update after");
    bench
        .tell(&last, tally.latency.max_ms, Unit::Milliseconds)
        .at_most(400.0)
        .refer("bare tonic: 313, of 10,000");
    let each = (seated.resident_bytes - idle.resident_bytes) / watchers as f64;
    bench
        .tell("audience/memory per watcher", each, Unit::Bytes)
        .refer("an idle stream of bare tonic: 5.5 KB");
    Ok(())
}
