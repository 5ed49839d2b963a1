//! Filters on times.

use crate::simulator::answer::Refusal;
use crate::simulator::api::filter::{Pairs, value};
use crate::simulator::clock::Millis;
use crate::simulator::script::Switches;

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// A span of time, both ends included.
#[derive(Debug)]
pub struct Span {
    min: Option<Millis>,
    max: Option<Millis>,
}

impl Span {
    /// Reads `KEY.min` and `KEY.max`. With `time_filters_by_day` the span is widened to whole days.
    pub fn read(query: &Pairs, key: &str, on: &Switches) -> Result<Span, Refusal> {
        let read = |key: String| value(query, &key).map(|text| moment(text, &key)).transpose();
        let (min, max) = (read(format!("{key}.min"))?, read(format!("{key}.max"))?);
        if !on.time_filters_by_day {
            return Ok(Span { min, max });
        }
        Ok(Span {
            min: min.map(|min| min - min % DAY_MS),
            max: max.map(|max| (max - max % DAY_MS).saturating_add(DAY_MS - 1)),
        })
    }

    /// Whether a moment lies within.
    pub fn holds(&self, moment: Millis) -> bool {
        self.min.is_none_or(|min| moment >= min) && self.max.is_none_or(|max| moment <= max)
    }
}

/// Epoch seconds; with eleven digits or more, milliseconds.
fn moment(text: &str, key: &str) -> Result<Millis, Refusal> {
    let invalid = || Refusal::value(format!("Invalid param value: {key}"));
    let number: f64 = text.parse().map_err(|_| invalid())?;
    if !number.is_finite() {
        return Err(invalid());
    }
    let is_millis = number.abs() >= 1e10;
    Ok(if is_millis { number as Millis } else { (number * 1_000.0) as Millis })
}
