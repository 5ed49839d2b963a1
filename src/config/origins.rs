//! Keeps the origin of each value for modules that check it after the settings were read.
//!
//! An error that such a module finds then reads like every other error of a setting.

use std::collections::BTreeMap;

use super::{
    error::{Error, Problem, ValueOrigin},
    settings::TABLE,
    source::Sources,
};

/// The origin of each setting's value.
#[derive(Debug, Clone, Default)]
pub struct Origins(BTreeMap<&'static str, ValueOrigin>);

impl Origins {
    pub(super) fn of(sources: &Sources) -> Self {
        let known = TABLE.iter().filter_map(|about| Some((about.name, sources.origin(about)?)));
        Self(known.collect())
    }

    /// The error of a value that another module refuses. `why` is that module's message.
    pub fn refused(&self, setting: &'static str, why: impl Into<String>) -> Error {
        let problem = Problem::Refused(why.into());
        match self.0.get(setting) {
            Some(origin) => Error::new(setting, problem, origin.clone()),
            None => Error::bare(setting, problem),
        }
    }
}
