//! Filters, sorting and paging of lists, as the framework below Oz reads them.
//!
//! This file reads the values of a query; each list has its own file for the keys it knows.

mod analyses;
mod condition;
mod folders;
mod span;
mod words;

use uuid::Uuid;

use crate::simulator::answer::Refusal;

pub use analyses::AnalysisQuery;
pub use folders::FolderQuery;

type Pairs = [(String, String)];

/// Oz's words for the progress and the verdict of a folder or an analysis.
const STATES: [&str; 7] =
    ["INITIAL", "PROCESSING", "FAILED", "FINISHED", "DECLINED", "SUCCESS", "OPERATOR_REQUIRED"];

/// Reads a boolean; a missing key is false.
pub fn flag(query: &Pairs, key: &str) -> Result<bool, Refusal> {
    let Some(value) = value(query, key) else {
        return Ok(false);
    };
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "y" | "t" | "on" => Ok(true),
        "0" | "false" | "no" | "n" | "f" | "off" => Ok(false),
        _ => Err(Refusal::value(format!("Invalid param value: {key}"))),
    }
}

fn value<'a>(query: &'a Pairs, key: &str) -> Option<&'a str> {
    query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// All values of a key: it may be repeated, and each value may hold several with commas between.
fn values(query: &Pairs, key: &str) -> impl Iterator<Item = String> {
    let given = query.iter().filter(move |(name, _)| name == key);
    let split = given.flat_map(|(_, value)| value.split(',')).map(str::trim);
    split.filter(|value| !value.is_empty()).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn number(query: &Pairs, key: &str) -> Result<Option<i64>, Refusal> {
    let number = value(query, key).map(str::parse).transpose();
    number.map_err(|_| Refusal::value(format!("Invalid {key} value for pagination")))
}

fn ids(query: &Pairs, key: &str) -> Result<Option<Vec<Uuid>>, Refusal> {
    let ids: Result<Vec<_>, _> = values(query, key).map(|id| Uuid::try_parse(&id)).collect();
    let ids = ids.map_err(|_| Refusal::value(format!("Invalid param value: {key}")))?;
    Ok(if ids.is_empty() { None } else { Some(ids) })
}
