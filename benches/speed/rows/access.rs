//! What it costs to know who calls, and to record each call.
//!
//! Two services run the same matches at the same time, one of them plain, so that a noisy machine
//! harms both alike. Only their own CPU is counted: the callers' part of TLS isn't.

use crate::{
    Result,
    credentials::Guarded,
    process::{Part, Usage},
    report::Unit,
    roles::{Matches, Role, Tally},
    rows::{Bench, House, matches::THREE_POLLS_MS},
};

/// As many callers, each with a connection of its own.
const CALLERS: usize = 64;
/// The promised limits.
const GUARDED_OVER_PLAIN: f64 = 1.25;
const AUDITED_OVER_PLAIN: f64 = 1.03;

/// Runs the same matches in plain text without callers, and with TLS and a credential of each kind.
pub fn access(bench: &mut Bench) -> Result<()> {
    let directories = [tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?];
    let [key, certificate, token] = directories.each_ref().map(tempfile::TempDir::path);
    let ways = [
        ("an API key", Guarded::by_key(key)?),
        ("a client certificate", Guarded::by_certificate(certificate)?),
        ("a token", Guarded::by_token(token)?),
    ];
    let turns = bench.size.of(1, 2);
    for (credential, way) in ways {
        let [plain, ours] = beside_the_plain_one(bench, turns, &way)?;
        let figure = |what: &str| format!("access/TLS and {credential}: {what}");
        bench.tell(&figure("CPU per match"), ours, Unit::MicrosecondsOfCpu);
        bench
            .tell(&figure("over plain text"), ours / plain, Unit::TimesOfCpu)
            .at_most(GUARDED_OVER_PLAIN);
    }
    Ok(())
}

/// Runs the same matches with an audit file and without.
pub fn audit(bench: &mut Bench) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("audit.log").display().to_string();
    let audited = Guarded { settings: vec!["--audit-file".to_owned(), file], ..Guarded::default() };
    let [plain, ours] = beside_the_plain_one(bench, bench.size.of(2, 8), &audited)?;
    bench.tell("audit/with a file: CPU per match", ours, Unit::MicrosecondsOfCpu);
    bench
        .tell("audit/with a file over without", ours / plain, Unit::TimesOfCpu)
        .at_most(AUDITED_OVER_PLAIN);
    Ok(())
}

/// Runs the same matches by a plain service and by one that is set up in this way, at the same time.
/// Returns the CPU per match of each, in microseconds.
fn beside_the_plain_one(bench: &mut Bench, turns: u32, way: &Guarded) -> Result<[f64; 2]> {
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
        let house = bench.house(THREE_POLLS_MS, &settings)?;
        let role = Matches {
            oz: house.oz.clone(),
            count,
            at_once: count,
            connections: CALLERS,
            credentials: way.credentials.clone(),
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
