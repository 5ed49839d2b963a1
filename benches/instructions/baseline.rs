//! The agreed count of each path, and how near to it a new count has to be.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::Result;

/// How far a count may be from its baseline, as a share of it. Allocations may be one off, too.
///
/// Repeated counts differ by less than a thousandth, even on a busy machine; those of `update` by
/// half a hundredth, since its maps have random seeds and the journal that it opens has threads.
/// The rest allows for what isn't pinned, and for a change elsewhere that makes the compiler inline
/// differently.
pub const TOLERANCE: f64 = 0.05;

/// What one run of a path takes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Count {
    pub instructions: u64,
    pub allocations: u64,
}

/// Counts by the names of paths.
pub type Counts = BTreeMap<String, Count>;

/// The agreed counts, as `baseline.json` beside this file holds them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Baseline(Counts);

/// Whether every count is near its baseline, with the lines that say so.
pub struct Judgement {
    pub text: String,
    pub passed: bool,
}

impl Baseline {
    pub fn of(counts: Counts) -> Self {
        Self(counts)
    }

    pub fn read() -> Result<Self> {
        let path = file();
        let text = fs::read(&path).map_err(|failure| format!("{}: {failure}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Writes the baseline, and returns the path of its file.
    pub fn write(&self) -> Result<PathBuf> {
        let path = file();
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(path)
    }

    /// Writes one line for each count of each path. Too fast fails just as too slow does: against a
    /// baseline that is too high, the next slowdown would go unnoticed.
    pub fn judge(&self, counts: &Counts) -> Judgement {
        let (mut text, mut passed) = (String::new(), true);
        for name in counts.keys().chain(self.0.keys().filter(|name| !counts.contains_key(*name))) {
            let (lines, are_good) = match (counts.get(name), self.0.get(name)) {
                (Some(count), Some(baseline)) => judged(*count, *baseline),
                (Some(_), None) => (vec!["NO BASELINE".to_owned()], false),
                (None, _) => (vec!["NO SUCH PATH, but a baseline".to_owned()], false),
            };
            for line in lines {
                let _ = writeln!(text, "{name:8} {line}");
            }
            passed &= are_good;
        }
        if !passed {
            text.push_str(
                "if intended: cargo bench --profile counted --bench instructions -- --bless\n",
            );
        }
        Judgement { text, passed }
    }
}

/// The lines for a path, and whether both of its counts are near their baselines.
fn judged(count: Count, baseline: Count) -> (Vec<String>, bool) {
    let (instructions, are_few) =
        compared("instructions", count.instructions, baseline.instructions, 0.0);
    let (allocations, are_fewer) =
        compared("allocations", count.allocations, baseline.allocations, 1.0);
    (vec![instructions, allocations], are_few && are_fewer)
}

/// The line for a count, and whether it is near its baseline: by [`TOLERANCE`], or by `allowance`
/// if that is more.
fn compared(what: &str, count: u64, baseline: u64, allowance: f64) -> (String, bool) {
    let near = (baseline as f64 * TOLERANCE).max(allowance);
    let least = (baseline as f64 - near).ceil() as u64;
    let most = (baseline as f64 + near).floor() as u64;
    let change = (count as f64 / baseline.max(1) as f64 - 1.0) * 100.0;
    let figure = format!("{count} {what}, {change:+.2} % of the baseline's {baseline}");
    match count {
        _ if count > most => (format!("{figure}: TOO MANY, the limit is {most}"), false),
        _ if count < least => {
            (format!("{figure}: fewer than {least}, so it NEEDS A NEW BASELINE"), false)
        }
        _ => (format!("{figure}, the limit is {most}"), true),
    }
}

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/baseline.json"))
}
