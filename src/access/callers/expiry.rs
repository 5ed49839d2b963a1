//! When an API key expires: at an offset date-time, or at the end of a day in UTC.

use std::{fmt, time::Duration};

use toml::value::{Date, Datetime, Offset, Time};

use super::{fault::Fault, reader::Item};
use crate::domain::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);

/// The expiry of an API key, as it stands in the callers file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyExpiry(Datetime);

impl KeyExpiry {
    /// Parses a date or a time with its offset.
    ///
    /// # Errors
    /// What is wanted, if the text is neither.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "must be a date such as 2027-03-01, or a time with its offset such as \
                              2027-03-01T08:00:00Z";
        let datetime: Datetime = text.parse().map_err(|_| WANTED)?;
        moment(&datetime).map(|_| Self(datetime)).ok_or(WANTED)
    }

    /// Whether a key with this expiry is refused at this time.
    pub fn is_past(self, now: Timestamp) -> bool {
        moment(&self.0).is_none_or(|end| now >= end)
    }
}

impl fmt::Display for KeyExpiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads the value of `expires`.
pub fn read(item: &Item<'_>) -> Result<Timestamp, Fault> {
    const WANTED: &str = "must be a date such as 2027-03-01, or a time with its offset such as \
                          2027-03-01T08:00:00Z, without quotes";
    item.datetime().and_then(moment).ok_or_else(|| item.fault(WANTED))
}

/// The point from which on a key with this expiry is refused. A date is valid through its end in
/// UTC. A time without an offset is none: it would depend on where it is read.
fn moment(datetime: &Datetime) -> Option<Timestamp> {
    match (datetime.date, datetime.time, datetime.offset) {
        (Some(date), None, None) => Some(midnight(date).after(DAY)),
        (Some(date), Some(time), Some(offset)) => {
            let micros = midnight(date).after(since_midnight(time)).as_micros();
            Some(Timestamp::from_micros(micros - micros_of(offset)))
        }
        (Some(_), _, _) | (None, _, _) => None,
    }
}

fn midnight(date: Date) -> Timestamp {
    let days = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    Timestamp::from_micros(days * 86_400_000_000)
}

fn since_midnight(time: Time) -> Duration {
    let seconds = u64::from(time.hour) * 3_600
        + u64::from(time.minute) * 60
        + u64::from(time.second.unwrap_or(0));
    Duration::new(seconds, time.nanosecond.unwrap_or(0))
}

fn micros_of(offset: Offset) -> i64 {
    match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes) * 60_000_000,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, by Hinnant's algorithm: it counts in
/// years that begin in March, so that a leap day is the last day of its year.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        Some(moment(&text.parse().unwrap())?.as_micros() / 1_000_000)
    }

    #[test]
    fn a_date_is_valid_through_its_end_in_utc() {
        assert_eq!(seconds("1970-01-01"), Some(86_400));
        assert_eq!(seconds("2027-03-01"), seconds("2027-03-02T00:00:00Z"));
        assert_eq!(seconds("2028-02-29"), seconds("2028-03-01T00:00:00Z"));
        assert_eq!(seconds("2027-12-31"), seconds("2028-01-01T00:00:00Z"));
    }

    #[test]
    fn an_offset_date_time_is_that_point() {
        assert_eq!(seconds("2026-11-29T12:00:00Z"), Some(1_795_953_600));
        assert_eq!(seconds("2026-11-29T14:30:00+02:30"), Some(1_795_953_600));
        assert_eq!(seconds("2026-11-29T04:00:00-08:00"), Some(1_795_953_600));
        let fine = "2026-11-29T12:00:00.25Z".parse().unwrap();
        assert_eq!(moment(&fine).unwrap().as_micros(), 1_795_953_600_250_000);
    }

    #[test]
    fn a_time_without_its_offset_is_refused() {
        assert_eq!(seconds("2027-03-01T08:00:00"), None);
        assert_eq!(seconds("08:00:00"), None);
    }
}
