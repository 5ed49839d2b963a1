//! What each path took when somebody last agreed to it, and how near it a count has to be.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::Result;

/// How far a count may be from its baseline, as a share of it.
///
/// Repeats differ by less than a thousandth, on a busy machine too; those of `update` by half a
/// hundredth, since its maps have random seeds and the journal that it opens has threads. The rest
/// is for what isn't pinned, and for a change elsewhere that makes the compiler inline otherwise.
pub const TOLERANCE: f64 = 0.05;

/// Instructions by the names of paths.
pub type Counts = BTreeMap<String, u64>;

/// The counts that were agreed to, as the file beside this one holds them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Baseline(Counts);

/// Whether every path takes what it should.
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

    /// Writes it, and says where.
    pub fn write(&self) -> Result<PathBuf> {
        let path = file();
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(path)
    }

    /// One line for each path. A path that is too fast fails as one that is too slow does: against
    /// a baseline that is too high, the next slowdown would go unnoticed.
    pub fn judge(&self, counts: &Counts) -> Judgement {
        let (mut text, mut passed) = (String::new(), true);
        for name in counts.keys().chain(self.0.keys().filter(|name| !counts.contains_key(*name))) {
            let (line, is_good) = judged(counts.get(name).copied(), self.0.get(name).copied());
            let _ = writeln!(text, "{name:8} {line}");
            passed &= is_good;
        }
        if !passed {
            text.push_str(
                "if that is meant: cargo bench --profile counted --bench instructions -- --bless\n",
            );
        }
        Judgement { text, passed }
    }
}

/// What is said of a path that has a count, a baseline, or both.
fn judged(count: Option<u64>, baseline: Option<u64>) -> (String, bool) {
    let (count, baseline) = match (count, baseline) {
        (Some(count), Some(baseline)) => (count, baseline),
        (Some(count), None) => return (format!("{count} instructions: NO BASELINE"), false),
        (None, _) => return ("NO SUCH PATH, but a baseline".to_owned(), false),
    };
    let least = (baseline as f64 * (1.0 - TOLERANCE)).ceil() as u64;
    let most = (baseline as f64 * (1.0 + TOLERANCE)).floor() as u64;
    let change = (count as f64 / baseline as f64 - 1.0) * 100.0;
    let figure = format!("{count} instructions, {change:+.2} % of the baseline's {baseline}");
    match count {
        _ if count > most => (format!("{figure}: TOO SLOW, the limit is {most}"), false),
        _ if count < least => {
            (format!("{figure}: faster than {least}, so it NEEDS A NEW BASELINE"), false)
        }
        _ => (format!("{figure}, the limit is {most}"), true),
    }
}

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/baseline.json"))
}
