//! The same matches in a plain service and in a service set up in another way, at the same time, so
//! that a noisy machine harms both alike. Only the services' own CPU is counted: the callers' part
//! of TLS isn't.

use crate::{
    Result,
    credentials::Guarded,
    process::{Part, Usage},
    roles::{Matches, Role, Tally},
    rows::{Bench, House, matches::THREE_POLLS_MS},
};

/// As many callers, each with a connection of its own.
const CALLERS: usize = 64;

/// Runs the same matches in a plain service and in a service set up in this way, at the same time.
/// Returns the CPU per match of each, in microseconds.
pub fn beside_the_plain_one(bench: &mut Bench, turns: u32, way: &Guarded) -> Result<[f64; 2]> {
    let count = bench.size.of(2_500, 3_000);
    let ways = [&Guarded::default(), way];
    let mut seconds = [0.0; 2];
    for turn in 0..turns {
        // The ways begin by turns, so that what the order does harms both.
        let order = if turn % 2 == 0 { [0, 1] } else { [1, 0] };
        let mut sides = Vec::new();
        for way in order {
            sides.push((way, Side::start(bench, count, ways[way])?));
        }
        for (_, side) in &mut sides {
            side.caller.tell(&side.house.server)?;
        }
        for (way, side) in &mut sides {
            seconds[*way] += side.cpu_seconds()?;
        }
    }
    let matches = f64::from(turns) * count as f64;
    Ok(seconds.map(|seconds| seconds * 1e6 / matches))
}

/// A service with its simulator and its callers.
struct Side {
    house: House,
    caller: Part,
    before: Usage,
}

impl Side {
    fn start(bench: &mut Bench, count: usize, way: &Guarded) -> Result<Self> {
        let settings: Vec<&str> = way.settings.iter().map(String::as_str).collect();
        let house = bench.house_in(&way.environment, THREE_POLLS_MS, &settings)?;
        let role = Matches {
            oz: house.oz.clone(),
            count,
            at_once: count,
            connections: CALLERS,
            credentials: way.credentials.clone(),
            reference_key: way.reference_key.clone(),
            is_large: false,
            per_second: None,
            on_the_line: false,
        };
        let (caller, _) = Part::role(&Role::Matches(role))?;
        let before = house.service.usage()?;
        Ok(Self { house, caller, before })
    }

    /// CPU seconds of the service until all matches have ended.
    fn cpu_seconds(&mut self) -> Result<f64> {
        let _: Tally = self.caller.outcome()?;
        Ok(self.house.service.usage()?.since(self.before).cpu_seconds)
    }
}
