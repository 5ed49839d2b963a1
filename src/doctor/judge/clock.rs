//! Whether Oz's clock agrees with this machine's.

use std::time::Duration;

use serde_json::Value;

use crate::{
    doctor::{DoctorStep, Finding},
    domain::Timestamp,
    oz::WholeAnswer,
    units,
};

/// How far the clocks may differ. The service compares the end of its session, by Oz's clock, with
/// its own clock, and renews the session a minute before: half of that minute is kept as a margin.
pub const DIFFERENCE_MAX: Duration = Duration::from_secs(30);

/// How exact a `Date` header is.
const DATE_STEP: Duration = Duration::from_secs(1);

/// From here on a number of seconds is one of milliseconds: it would be the year 5138.
const MILLISECONDS_MIN: f64 = 1e11;

/// Judges the `Date` of an answer.
pub fn clock(answer: &WholeAnswer) -> Finding {
    match answer.date {
        Some(date) => compare(DoctorStep::Clock, date, answer),
        None => Finding::not_tried(DoctorStep::Clock, "the answers have no Date header"),
    }
}

/// Judges the `time_created` of a folder that this answer reports as just made.
pub fn times(answer: &WholeAnswer) -> Finding {
    let created = answer.json.as_ref().and_then(|folder| folder.get("time_created"));
    match created.and_then(Value::as_f64) {
        None => Finding::differs(
            DoctorStep::Times,
            "the new folder has no time_created that is a number",
            "nothing, if the folders of your matches hold one liveness video each: FaceMatch \
             takes the last of several videos instead of the newest",
        ),
        Some(number) if number >= MILLISECONDS_MIN => {
            compare(DoctorStep::Times, seconds(number / 1e3), answer)
        }
        Some(number) => compare(DoctorStep::Times, seconds(number), answer),
    }
}

fn seconds(number: f64) -> Timestamp {
    Timestamp::from_micros((number * 1e6) as i64)
}

/// Compares a time of Oz with the time between the sending of the request and the answer.
fn compare(step: DoctorStep, theirs: Timestamp, answer: &WholeAnswer) -> Finding {
    let ahead = theirs.since(answer.received_at);
    let behind = answer.sent_at.since(theirs.after(DATE_STEP));
    let (difference, word) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    let whole = Duration::from_secs(difference.as_secs());
    let what = match difference <= DATE_STEP {
        true => "Oz's time agrees with this machine's".to_owned(),
        false => format!("Oz's time is {} {word} this machine's", units::duration_text(whole)),
    };
    match difference > DIFFERENCE_MAX {
        false => Finding::holds(step, what),
        true => Finding::differs(
            step,
            what,
            "synchronise both clocks (NTP); until then sessions are renewed too late or too \
             early, since Oz's clock says when they end",
        ),
    }
}
