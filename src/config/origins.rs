//! Where values came from, kept for the rooms that judge them after the settings were read.
//!
//! An error that such a room finds is then told as every other error of a setting.

use std::collections::BTreeMap;

use super::{
    error::{Error, Problem, ValueOrigin},
    settings::TABLE,
    source::Sources,
};

/// Where the value of each setting came from.
#[derive(Debug, Clone, Default)]
pub struct Origins(BTreeMap<&'static str, ValueOrigin>);

impl Origins {
    pub(super) fn of(sources: &Sources) -> Self {
        let known = TABLE.iter().filter_map(|about| Some((about.name, sources.origin(about)?)));
        Self(known.collect())
    }

    /// The error of a value that a room refuses, in the words of that room.
    pub fn refused(&self, setting: &'static str, why: impl Into<String>) -> Error {
        let problem = Problem::Refused(why.into());
        match self.0.get(setting) {
            Some(origin) => Error::new(setting, problem, origin.clone()),
            None => Error::bare(setting, problem),
        }
    }
}
