//! What is measured, row by row, and the limit of each figure.
//!
//! A row starts the parts that it needs and stops them again: nothing of one row is left for the
//! next. The design sets the limits and references; the references were measured on two cores with
//! tonic 0.14 and reqwest 0.13, without a journal and without checks.

mod access;
mod audience;
mod beside;
mod erase;
mod flight;
mod follower;
mod journal;
mod large;
mod library;
mod lists;
mod matches;
mod metrics;
mod replicas;
mod retained;
mod start;

use std::{path::Path, time::Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    Result,
    oz::Oz,
    process::Part,
    report::{Report, Unit},
};

/// How large the numbers of a run are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Quick,
    Full,
}

impl Size {
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    /// The number for this size.
    pub fn of<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

type Row = (&'static str, fn(&mut Bench) -> Result<()>);

/// All rows, in the order in which they are reported.
const ROWS: [Row; 18] = [
    ("start", start::start),
    ("match", matches::beside_the_bare_loop),
    ("access", access::access),
    ("audit", access::audit),
    ("library", library::library),
    ("metrics", metrics::metrics),
    ("rate", matches::rate),
    ("growth", matches::growth),
    ("retained", retained::retained),
    ("alone", matches::parts_alone),
    ("in-flight", flight::in_flight),
    ("audience", audience::audience),
    ("large-photo", large::large_photo),
    ("journal", journal::journal),
    ("lists", lists::lists),
    ("erase", erase::erase),
    ("replicas", replicas::replicas),
    ("follower", follower::follower),
];

/// A run in progress.
pub struct Bench {
    pub size: Size,
    pub report: Report,
    runtime: Runtime,
}

/// The simulator and the service, with a journal of their own.
pub struct House {
    pub simulator: Part,
    pub service: Part,
    pub oz: String,
    pub server: String,
    pub directory: TempDir,
}

/// Measures all rows, or those that are named.
pub fn measure(size: Size, only: &[String]) -> Result<Report> {
    if let Some(odd) = only.iter().find(|name| ROWS.iter().all(|(row, _)| row != name)) {
        let rows = ROWS.map(|(row, _)| row).join(", ");
        return Err(format!("there is no row {odd}; there are {rows}").into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut bench = Bench { size, report: Report::new(size.name())?, runtime };
    for (name, row) in ROWS {
        if only.is_empty() || only.iter().any(|wanted| wanted == name) {
            let started = Instant::now();
            // The other rows are measured all the same.
            if let Err(failure) = row(&mut bench) {
                bench.report.failures.push(format!("{name}: {failure}"));
            }
            eprintln!("{name}: {:.0} s", started.elapsed().as_secs_f64());
        }
    }
    Ok(bench.report)
}

impl Bench {
    /// Starts a simulator in which analyses take `processing_ms`, and a service that uses it.
    pub fn house(&mut self, processing_ms: u64, more: &[&str]) -> Result<House> {
        self.house_in(&[], processing_ms, more)
    }

    /// The same, with these variables in the service's environment.
    pub fn house_in(
        &mut self,
        environment: &[(&str, String)],
        processing_ms: u64,
        more: &[&str],
    ) -> Result<House> {
        let (simulator, oz) = self.simulator(processing_ms)?;
        let directory = tempfile::tempdir()?;
        let (service, server) = Part::service_in(environment, &oz, directory.path(), more)?;
        Ok(House { simulator, service, oz, server, directory })
    }

    /// Starts a simulator in which analyses take `processing_ms`, and returns its URL.
    pub fn simulator(&mut self, processing_ms: u64) -> Result<(Part, String)> {
        let (simulator, url) = Part::simulator()?;
        self.switch(&url, &json!({ "processing_ms": processing_ms }))?;
        Ok((simulator, url))
    }

    fn switch(&mut self, oz: &str, switches: &Value) -> Result<()> {
        self.runtime.block_on(Oz::at(oz)?.switch(switches))
    }

    /// How many requests a simulator has had.
    pub fn requests(&mut self, oz: &str) -> Result<u64> {
        self.runtime.block_on(Oz::at(oz)?.requests())
    }

    /// The times of a folder's polls that a simulator has recorded.
    pub fn polls(&mut self, oz: &str, folder: &str) -> Result<Vec<f64>> {
        self.runtime.block_on(Oz::at(oz)?.polls(folder))
    }

    pub fn tell(&mut self, figure: &str, value: f64, unit: Unit) -> &mut crate::report::Figure {
        self.report.add(figure, value, unit)
    }
}

impl House {
    /// Stops the service gracefully, and returns how many commits it has made.
    pub fn commits(self) -> Result<f64> {
        self.service.stop()?;
        let log = std::fs::read_to_string(self.directory.path().join("log"))?;
        let count = log.rsplit_once("journal.commits=").map(|(_, rest)| rest);
        let count = count.and_then(|rest| rest.split_whitespace().next());
        Ok(count.ok_or("the service doesn't log its commits")?.parse()?)
    }
}

/// The path of the journal in a directory.
pub fn store(directory: &Path) -> std::path::PathBuf {
    directory.join("facematch.db")
}
