//! Whether Oz accepts our credentials and answers as its documents say: sign-in, the header of the
//! token, refusals, the right to read, the spelling of paths, and sessions.

use std::time::Duration;

use crate::{
    doctor::{
        DoctorStep, Finding,
        judge::{SEND_REPORT, status, succeeded, told, told_answer},
    },
    domain::{FailureKind, Timestamp},
    oz::{ProbeOutcome, ProbedSession},
    units,
};

/// Oz's code for an expired token.
const EXPIRED: i64 = 8;

/// Judges the answer to a login.
pub fn log_in(outcome: &ProbeOutcome, session: Option<&ProbedSession>) -> Finding {
    if let (Ok(answer), Some(session)) = (outcome, session) {
        return Finding::holds(
            DoctorStep::SignIn,
            match lifetime(session, answer.date.unwrap_or(answer.sent_at)) {
                Some(life) => format!("logged in; a session lasts {}", units::duration_text(life)),
                None => "logged in; Oz does not say how long the session lasts".to_owned(),
            },
        );
    }
    let kind = outcome.as_ref().ok().and_then(|answer| answer.failure.as_ref()).map(|it| it.kind);
    let told = told(outcome);
    let differs = |what: String, advice: &str| Finding::differs(DoctorStep::SignIn, what, advice);
    match kind {
        None if outcome.is_ok() => {
            differs("the answer to the login has no access_token".to_owned(), SEND_REPORT)
        }
        Some(
            FailureKind::SessionRefused
            | FailureKind::Unauthorized
            | FailureKind::LoginRefused
            | FailureKind::Forbidden,
        ) => differs(
            format!("Oz refuses the login ({told})"),
            "check --oz-login, and --oz-password or its file; the account may be locked, or its \
             password expired: try them in Oz's web console",
        ),
        Some(FailureKind::NotFound) => differs(
            format!("Oz has no sign-in at /api/authorize/auth/ ({told})"),
            "FaceMatch needs the full Oz API with folders: neither API Lite nor the stateless \
             Instant API has them; check --oz-url with the vendor",
        ),
        Some(FailureKind::Rejected | FailureKind::TooLarge) => differs(
            format!("Oz does not understand the login ({told})"),
            "check --oz-url with the vendor; if it is right, Oz's version may be too old",
        ),
        _ => differs(
            format!("no answer of Oz to the login ({told})"),
            "a gateway in front of Oz must pass POST /api/authorize/auth/ through; else ask the \
             operator of Oz whether it works",
        ),
    }
}

/// How long a session lasts from a time by Oz's clock, which a Date header has in whole seconds.
fn lifetime(session: &ProbedSession, now: Timestamp) -> Option<Duration> {
    let seconds = session.expire_date?.since(now).as_secs_f64().round() as u64;
    Some(Duration::from_secs(match seconds {
        0..60 => seconds,
        _ => (seconds + 2) / 5 * 5,
    }))
}

/// Judges a service token by the first request that carried it.
pub fn token(outcome: &ProbeOutcome) -> Finding {
    let failure = outcome.as_ref().ok().and_then(|answer| answer.failure.as_ref());
    let told = told(outcome);
    if status(outcome) != Some(401) {
        return match outcome {
            Ok(answer) if answer.is_by_oz() => {
                Finding::holds(DoctorStep::SignIn, "the token is accepted")
            }
            Ok(_) | Err(_) => Finding::differs(
                DoctorStep::SignIn,
                format!("no answer of Oz to a request with the token ({told})"),
                "a gateway in front of Oz must pass paths that begin with /api/ through; else \
                 ask the operator of Oz whether it works",
            ),
        };
    }
    match failure.and_then(|failure| failure.error_code) {
        Some(EXPIRED) => Finding::differs(
            DoctorStep::SignIn,
            "the token has expired (status 401, code 8)",
            "have the vendor issue another token, and put it into --oz-token-file",
        ),
        _ => Finding::differs(
            DoctorStep::SignIn,
            format!("Oz refuses the token ({told})"),
            "check --oz-token or its file: the token is given bare, without `Bearer`",
        ),
    }
}

/// Judges in which header Oz reads the token. `plural` was only tried if the right one was refused.
pub fn header(right: &ProbeOutcome, plural: Option<&ProbeOutcome>) -> Finding {
    if status(right) != Some(401) {
        return match right {
            Ok(answer) if answer.is_by_oz() => Finding::holds(
                DoctorStep::TokenHeader,
                "Oz reads the token from X-Forensic-Access-Token",
            ),
            other => Finding::not_tried(
                DoctorStep::TokenHeader,
                format!("no answer of Oz to a request with a token ({})", told(other)),
            ),
        };
    }
    match plural.and_then(status) {
        Some(200..=299) => Finding::differs(
            DoctorStep::TokenHeader,
            "Oz reads the token from X-Forensics-Access-Token, the plural, and not from \
             X-Forensic-Access-Token",
            "FaceMatch sends the singular, as Oz's clients do: a gateway in front of Oz can copy \
             the header; tell the developers",
        ),
        _ => Finding::differs(
            DoctorStep::TokenHeader,
            format!("Oz refuses a request with a valid token ({})", told(right)),
            "a gateway in front of Oz must pass the header X-Forensic-Access-Token through",
        ),
    }
}

/// Judges the answers to a request without a token, and to one for a folder that doesn't exist.
pub fn refusals(without_token: &ProbeOutcome, unknown_folder: Option<&ProbeOutcome>) -> Finding {
    let by_oz = |outcome: &ProbeOutcome, kind: FailureKind| {
        let failure = outcome.as_ref().ok().and_then(|answer| answer.failure.as_ref());
        failure.is_some_and(|failure| failure.kind == kind)
    };
    let differs = |what: String, advice: &str| Finding::differs(DoctorStep::Refusals, what, advice);
    if succeeded(without_token) {
        return differs(
            "Oz answers a request without a token".to_owned(),
            "a gateway in front of Oz may add a token of its own: have it use the token that \
             FaceMatch sends",
        );
    }
    if !by_oz(without_token, FailureKind::SessionRefused) {
        return differs(
            format!(
                "a request without a token is not refused in Oz's words ({})",
                told(without_token)
            ),
            "a gateway in front of Oz must pass its answers through: FaceMatch tells an ended \
             session by status 401 and the codes 6, 7 and 8",
        );
    }
    match unknown_folder {
        Some(outcome) if !by_oz(outcome, FailureKind::NotFound) => differs(
            format!("a folder that does not exist is not answered with 404 ({})", told(outcome)),
            "a gateway in front of Oz must pass its answers through: until then, matches in \
             folders that do not exist end late or with another reason",
        ),
        _ => Finding::holds(DoctorStep::Refusals, "they are Oz's own, with its codes"),
    }
}

/// Judges whether folders may be read, by the list with and without a slash at its end.
pub fn reading(slashed: &ProbeOutcome, bare: &ProbeOutcome) -> Finding {
    if succeeded(slashed) || succeeded(bare) {
        return Finding::holds(DoctorStep::Reading, "the account may read folders");
    }
    match status(slashed) {
        Some(403) => Finding::differs(
            DoctorStep::Reading,
            format!("Oz refuses to list folders ({})", told(slashed)),
            "have the vendor give the account the right to read the folders of its company; if \
             it may read a folder and not the list, --folder ID shows that, and is enough",
        ),
        _ => Finding::differs(
            DoctorStep::Reading,
            format!("folders can't be listed ({})", told(slashed)),
            SEND_REPORT,
        ),
    }
}

/// Judges whether paths exist as FaceMatch spells them: with a slash for what it posts, without for
/// what it reads.
pub fn paths(slashed: &ProbeOutcome, bare: &ProbeOutcome) -> Finding {
    match (succeeded(slashed), succeeded(bare)) {
        (true, true) => {
            Finding::holds(DoctorStep::Paths, "they exist with and without a slash at the end")
        }
        (true, false) => Finding::differs(
            DoctorStep::Paths,
            format!("they need a slash at the end ({} without one)", told(bare)),
            "FaceMatch reads folders and analyses without one, so its matches fail: have a \
             gateway add it without a redirect, and tell the developers",
        ),
        (false, true) => Finding::differs(
            DoctorStep::Paths,
            format!("they must not end in a slash ({} with one)", told(slashed)),
            "FaceMatch uploads photos and starts analyses with one, so its matches fail: have a \
             gateway remove it, and tell the developers",
        ),
        (false, false) => Finding::not_tried(DoctorStep::Paths, "folders can't be listed"),
    }
}

/// What a refresh of a session led to.
pub struct Refreshed<'a> {
    /// The answer to the refresh.
    pub outcome: &'a ProbeOutcome,
    /// A request with the old token, sent before the new one was used.
    pub old_before: &'a ProbeOutcome,
    /// A request with the new token; `None` if there is none.
    pub new: Option<&'a ProbeOutcome>,
}

/// Judges whether a session can be refreshed.
pub fn refresh(refreshed: &Refreshed<'_>) -> Finding {
    let differs = |what: String, advice: &str| Finding::differs(DoctorStep::Refresh, what, advice);
    match refreshed.new {
        None => differs(
            format!("Oz does not refresh a session ({})", told(refreshed.outcome)),
            "nothing: FaceMatch logs in again instead; a gateway in front of Oz should pass POST \
             /api/authorize/refresh/ through",
        ),
        Some(new) if status(new) == Some(401) => differs(
            format!("the token of a refreshed session is refused ({})", told(new)),
            "nothing: FaceMatch logs in again instead",
        ),
        Some(_) if status(refreshed.old_before) == Some(401) => differs(
            "the old token ends before the new one is used".to_owned(),
            "nothing: FaceMatch repeats the requests that this cuts off",
        ),
        Some(_) => Finding::holds(
            DoctorStep::Refresh,
            "a session is exchanged for the next, and the old token works meanwhile",
        ),
    }
}

/// Judges a request with the first session, sent after a second login.
pub fn sessions(first: &ProbeOutcome) -> Finding {
    match first {
        Ok(answer) if answer.status == 401 => Finding::differs(
            DoctorStep::Sessions,
            format!("a login ends the earlier sessions of its account ({})", told_answer(answer)),
            "give each replica of FaceMatch, and each other client, a login of its own, or use a \
             service token: else they end each other's sessions",
        ),
        Ok(answer) if answer.is_by_oz() => {
            Finding::holds(DoctorStep::Sessions, "a login leaves earlier sessions alone")
        }
        other => {
            Finding::not_tried(DoctorStep::Sessions, format!("no answer of Oz ({})", told(other)))
        }
    }
}
