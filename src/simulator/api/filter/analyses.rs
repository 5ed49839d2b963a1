//! The filter of a folder's list of analyses.

use crate::simulator::analysis::Analysis;
use crate::simulator::answer::Refusal;
use crate::simulator::api::filter::words::Words;
use crate::simulator::api::filter::{Pairs, STATES};
use crate::simulator::clock::Millis;

/// A query over the analyses of one folder.
#[derive(Debug)]
pub struct AnalysisQuery {
    id: Words,
    kind: Words,
    state: Words,
}

impl AnalysisQuery {
    /// Parses a query; unknown keys are ignored.
    pub fn read(query: &Pairs) -> Result<AnalysisQuery, Refusal> {
        let kinds = ["QUALITY", "BIOMETRY", "DOCUMENTS", "COLLECTION"];
        Ok(AnalysisQuery {
            id: Words::read(query, "analyse_id", None)?,
            kind: Words::read(query, "type", Some(&kinds))?,
            state: Words::read(query, "state", Some(&STATES))?,
        })
    }

    /// Whether an analysis matches. `state` may name a state or a resolution.
    pub fn fits(&self, analysis: &Analysis, now: Millis) -> bool {
        let words = analysis.words(now);
        self.id.fit(&analysis.id.to_string().to_uppercase())
            && self.kind.fit(analysis.kind.word())
            && self.state.fit_any([words.state, words.resolution])
    }
}
