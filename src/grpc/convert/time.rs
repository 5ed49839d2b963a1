//! Converts protobuf times and durations, whose seconds and nanoseconds may contradict each other.

use std::time::Duration;

use crate::domain::Timestamp;

const NANOS_PER_SECOND: i32 = 1_000_000_000;

/// The years 1 to 9999 in seconds since 1970, the range of `google.protobuf.Timestamp`.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A duration of zero or more. `None` if it is negative or its nanoseconds are out of range.
pub fn duration(wire: &prost_types::Duration) -> Option<Duration> {
    let seconds = u64::try_from(wire.seconds).ok()?;
    let nanos = u32::try_from(wire.nanos).ok().filter(|_| wire.nanos < NANOS_PER_SECOND)?;
    Some(Duration::new(seconds, nanos))
}

/// A point in time, cut to the microsecond. `None` if it is out of range.
pub fn timestamp(wire: &prost_types::Timestamp) -> Option<Timestamp> {
    if !SECONDS.contains(&wire.seconds) || !(0..NANOS_PER_SECOND).contains(&wire.nanos) {
        return None;
    }
    Some(Timestamp::from_micros(wire.seconds * 1_000_000 + i64::from(wire.nanos / 1_000)))
}

/// A point in time as a protobuf message.
pub fn to_wire(time: Timestamp) -> prost_types::Timestamp {
    let micros = time.as_micros();
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).expect("under a second");
    prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}

/// A duration as a protobuf message.
pub fn duration_to_wire(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).expect("under a second"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_whose_parts_contradict_each_other_is_refused() {
        let wire = |seconds, nanos| duration(&prost_types::Duration { seconds, nanos });
        assert_eq!(wire(1, 500_000_000), Some(Duration::from_millis(1500)));
        assert_eq!(wire(0, 0), Some(Duration::ZERO));
        for (seconds, nanos) in [(-1, 0), (1, -1), (-1, -1), (0, NANOS_PER_SECOND), (i64::MIN, 0)] {
            assert_eq!(wire(seconds, nanos), None, "{seconds} {nanos}");
        }
    }

    #[test]
    fn times_survive_the_round_trip() {
        for micros in [0, 1, -1, 1_714_600_000_120_000] {
            let time = Timestamp::from_micros(micros);
            assert_eq!(timestamp(&to_wire(time)), Some(time));
        }
        let wire = |seconds, nanos| timestamp(&prost_types::Timestamp { seconds, nanos });
        assert_eq!(wire(i64::MAX, 0), None);
        assert_eq!(wire(0, -1), None);
    }
}
