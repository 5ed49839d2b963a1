//! The result of a run: as a table, as JSON, and compared with another.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::Result;

/// All figures of a run, and the machine that they hold for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub size: String,
    pub cores: usize,
    pub figures: Vec<Figure>,
    /// Rows that could not be measured, and why.
    pub failures: Vec<String>,
    /// Curves by name: a point for each load.
    pub growth: BTreeMap<String, Curve>,
}

/// A measured value, with its limit and what it is compared with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: Unit,
    pub limit: Option<Limit>,
    pub reference: Option<String>,
}

/// The limit of a figure.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// The unit of a figure. It also says how much of a change is noise, and which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    MicrosecondsOfCpu,
    TimesOfCpu,
    Bytes,
    Times,
    Share,
    Count,
    Milliseconds,
    Seconds,
    PerSecond,
}

/// How a figure grows with the load.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Curve {
    pub unit: String,
    pub points: Vec<Point>,
}

/// One point of a curve.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Point {
    /// The load as a multiple of the smallest one.
    pub load: f64,
    /// The load itself: matches a second, or in flight.
    pub at: f64,
    pub value: f64,
}

/// The comparison of two results.
pub struct Comparison {
    pub text: String,
    pub is_worse: bool,
}

impl Report {
    pub fn new(size: &str) -> Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        Ok(Self {
            size: size.to_owned(),
            cores,
            figures: Vec::new(),
            failures: Vec::new(),
            growth: BTreeMap::new(),
        })
    }

    pub fn add(&mut self, name: &str, value: f64, unit: Unit) -> &mut Figure {
        let name = name.to_owned();
        self.figures.push(Figure { name, value, unit, limit: None, reference: None });
        self.figures.last_mut().expect("it was just added")
    }

    pub fn grow(&mut self, curve: &str, unit: &str, point: Point) {
        let curve = self.growth.entry(curve.to_owned()).or_default();
        unit.clone_into(&mut curve.unit);
        curve.points.push(point);
    }

    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).map_err(|failure| format!("{}: {failure}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }

    /// Markdown, as docs/performance.md shows it.
    pub fn table(&self) -> String {
        let mut table = String::from("| what | figure | limit | | reference |\n");
        table.push_str("| --- | --- | --- | --- | --- |\n");
        for figure in &self.figures {
            let limit = figure.limit.map_or_else(String::new, |limit| match limit {
                Limit::AtMost(most) => format!("at most {}", figure.unit.text(most)),
                Limit::AtLeast(least) => format!("at least {}", figure.unit.text(least)),
            });
            let met = figure.is_met().map_or("", |met| if met { "met" } else { "**not met**" });
            let (what, value) = (&figure.name, figure.unit.text(figure.value));
            let reference = figure.reference.as_deref().unwrap_or_default();
            let _ = writeln!(table, "| {what} | {value} | {limit} | {met} | {reference} |");
        }
        for (what, curve) in &self.growth {
            let points = curve.points.iter().map(|p| format!("{:.1} at {}", p.value, p.at));
            let points = points.collect::<Vec<_>>().join(", ");
            let _ = writeln!(table, "| growth/{what} ({}) | {points} | | | |", curve.unit);
        }
        for failure in &self.failures {
            let _ = writeln!(table, "| {failure} | | | **not measured** | |");
        }
        table
    }
}

impl Figure {
    pub fn at_most(&mut self, most: f64) -> &mut Self {
        self.limit = Some(Limit::AtMost(most));
        self
    }

    pub fn at_least(&mut self, least: f64) -> &mut Self {
        self.limit = Some(Limit::AtLeast(least));
        self
    }

    pub fn refer(&mut self, reference: &str) -> &mut Self {
        self.reference = Some(reference.to_owned());
        self
    }

    fn is_met(&self) -> Option<bool> {
        self.limit.map(|limit| match limit {
            Limit::AtMost(most) => self.value <= most,
            Limit::AtLeast(least) => self.value >= least,
        })
    }
}

impl Unit {
    fn text(self, value: f64) -> String {
        match self {
            Self::MicrosecondsOfCpu => format!("{value:.0} µs"),
            Self::TimesOfCpu | Self::Times | Self::Share => format!("{value:.2} ×"),
            Self::Bytes if value >= 1e6 => format!("{:.1} MB", value / 1e6),
            Self::Bytes => format!("{:.1} KB", value / 1e3),
            Self::Count => format!("{value:.3}"),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Seconds => format!("{value:.3} s"),
            Self::PerSecond => format!("{value:.0}/s"),
        }
    }

    /// By which share a figure may get worse without a change in the code. CPU seconds and bytes
    /// hold on a shared machine; rates and latencies don't.
    fn noise(self) -> f64 {
        match self {
            Self::MicrosecondsOfCpu | Self::TimesOfCpu | Self::Bytes | Self::Times => 0.1,
            Self::Share | Self::Count => 0.25,
            Self::Milliseconds | Self::Seconds | Self::PerSecond => 0.5,
        }
    }

    fn more_is_better(self) -> bool {
        matches!(self, Self::PerSecond | Self::Share)
    }
}

/// What got worse from one result to another, and what got better.
pub fn compare(old: &Report, new: &Report) -> Comparison {
    let mut text = String::new();
    let mut is_worse = false;
    if (old.size.as_str(), old.cores) != (new.size.as_str(), new.cores) {
        text.push_str("careful: these results are of different sizes, or of different machines\n");
    }
    for was in &old.figures {
        let Some(is) = new.figures.iter().find(|figure| figure.name == was.name) else {
            let _ = writeln!(text, "gone    {}", was.name);
            continue;
        };
        let ratio = is.value / was.value;
        let worse_by = if is.unit.more_is_better() { 1.0 / ratio } else { ratio };
        let verdict = match worse_by {
            by if by > 1.0 + is.unit.noise() => "WORSE",
            by if by < 1.0 / (1.0 + is.unit.noise()) => "better",
            _ => "same",
        };
        is_worse |= verdict == "WORSE";
        let (before, after) = (was.unit.text(was.value), is.unit.text(is.value));
        let _ = writeln!(text, "{verdict:7} {}: {before} -> {after} ({ratio:.2} ×)", is.name);
    }
    Comparison { text, is_worse }
}
