//! Parses the `grpc-timeout` of a call: one to eight digits and a unit.
//!
//! A malformed timeout is deliberately refused and not ignored: the caller relies on its deadline.

use std::time::Duration;

use http::HeaderMap;
use tonic::Status;

use crate::grpc::status;

/// The name of the header.
const NAME: &str = "grpc-timeout";
/// The most digits that the protocol allows.
const DIGITS_MAX: usize = 8;

/// The time that the caller gives the call; `None` if it sets no deadline.
///
/// # Errors
/// INVALID_ARGUMENT if the header is repeated, or is anything that the protocol doesn't allow.
pub fn read(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(parse).filter(|_| values.next().is_none());
    parsed.map(Some).ok_or_else(|| {
        status::header_invalid(NAME, "must be one to eight digits and one of H, M, S, m, u, n")
    })
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = (1..=DIGITS_MAX).contains(&digits.len());
    let number: u64 = digits.parse().ok().filter(|_| is_number && is_short)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_the_protocol_is_parsed() {
        let seconds = Duration::from_secs;
        for (text, timeout) in [
            ("2H", seconds(7_200)),
            ("3M", seconds(180)),
            ("0S", Duration::ZERO),
            ("99999999S", seconds(99_999_999)),
            ("250m", Duration::from_millis(250)),
            ("00000010u", Duration::from_micros(10)),
            ("7n", Duration::from_nanos(7)),
            ("99999999H", seconds(99_999_999 * 3_600)),
        ] {
            assert_eq!(parse(text), Some(timeout), "{text}");
        }
    }

    #[test]
    fn a_malformed_timeout_is_refused() {
        for text in [
            "",
            "S",
            "2",
            "2s",
            "-1S",
            "+1S",
            "1.5S",
            "123456789S",
            "1 S",
            " 1S",
            "1S ",
            "1h",
            "0x1S",
            "1Ss",
            "1µ",
            "١S",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_repeated_deadline_is_refused() {
        let mut headers = HeaderMap::new();
        assert!(read(&headers).unwrap().is_none());
        headers.append(NAME, "1S".parse().unwrap());
        assert_eq!(read(&headers).unwrap(), Some(Duration::from_secs(1)));
        headers.append(NAME, "1S".parse().unwrap());
        assert_eq!(read(&headers).unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
