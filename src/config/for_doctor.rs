//! The settings of `serve` that concern Oz and the photo library, for `doctor`.
//!
//! All settings of `serve` may be given; it deliberately doesn't check the others.

use std::{collections::BTreeMap, time::Duration};

use secrecy::SecretString;

use super::{
    Environment, Error, Flags, LibraryConfig, Origins, OzConfig, settings as s,
    source::{self, Sources},
};

/// The settings of `serve` that `doctor` needs, checked.
#[derive(Debug, Clone)]
pub struct DoctorSettings {
    /// The access to Oz.
    pub oz: OzConfig,
    /// The time between two polls of one analysis.
    pub poll_interval: Duration,
    /// How long a match may take.
    pub match_timeout: Duration,
    /// The photo library; `None` if the settings name none.
    pub library: Option<LibraryConfig>,
    /// The variables by which clouds name their credentials and stores, for libraries in a cloud.
    pub cloud_variables: BTreeMap<String, SecretString>,
    /// The origin of each value, for errors that other modules find.
    pub origins: Origins,
}

/// The settings of `doctor`, and the warnings about them.
#[derive(Debug, Clone)]
pub struct LoadedForDoctor {
    /// The settings, or the error of the first wrong one.
    pub settings: Result<DoctorSettings, Error>,
    /// Warnings, one sentence each.
    pub warnings: Vec<String>,
}

/// Loads those settings of `serve` that concern Oz and the photo library. Other settings may be
/// given, and aren't checked: their files may be readable by the service alone.
pub fn load_for_doctor(flags: Flags, environment: Environment) -> LoadedForDoctor {
    let warnings = source::warnings(&flags, &environment);
    let settings = Sources::open(flags, environment).and_then(|sources| settings(&sources));
    LoadedForDoctor { settings, warnings }
}

fn settings(sources: &Sources) -> Result<DoctorSettings, Error> {
    Ok(DoctorSettings {
        oz: super::oz(sources)?,
        poll_interval: sources.get(&s::OZ_POLL_INTERVAL)?,
        match_timeout: sources.get(&s::MATCH_TIMEOUT)?,
        library: super::library(sources)?,
        cloud_variables: sources.environment().cloud_variables(),
        origins: Origins::of(sources),
    })
}
