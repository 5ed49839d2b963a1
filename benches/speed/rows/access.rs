//! What it costs to know who calls, and to record each call.
//!
//! Each is measured beside a plain service (`beside.rs`).

use crate::{
    Result,
    credentials::Guarded,
    report::Unit,
    rows::{Bench, beside::beside_the_plain_one},
};

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
