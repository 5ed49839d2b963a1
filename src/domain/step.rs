//! Decides the next step of a match: the first, pure half of a step. The second half is `settle`.

use crate::domain::{
    ask::Ask,
    event::{Event, Failed, MatchError},
    id::AnalysisId,
    reason::Reason,
    request::PhotoSource,
    settle,
    state::{Match, State},
    time::Timestamp,
    volatile::{Policy, Poll, Sending, VolatileState},
};

/// The next step of a match.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Send this request to Oz.
    Ask(Ask),
    /// Wait until this time, unless the photo arrives or the match is ended.
    Wait(Timestamp),
    /// Append this event: time alone has made it true.
    Record(Event),
    /// Nothing is left to do.
    Rest,
}

/// Decides the next step. `photo_here` says whether this replica holds the photo.
pub fn next_step(
    m: &Match,
    volatile: &VolatileState,
    photo_here: bool,
    now: Timestamp,
    policy: &Policy,
) -> Step {
    let deadline = m.deadline();
    let step = match m.state {
        State::Finished | State::Failed | State::Cancelled | State::Unknown => return Step::Rest,
        State::Accepted | State::Uploaded | State::Processing if now >= deadline => {
            return past_deadline(m, volatile, policy);
        }
        State::Accepted => accepted(m, volatile, photo_here, now, policy),
        State::Uploaded => uploaded(m, volatile, now),
        State::Processing => processing(m, volatile, now),
    };
    match step {
        Step::Ask(_) if now < volatile.not_before => Step::Wait(volatile.not_before.min(deadline)),
        Step::Wait(until) => Step::Wait(until.max(volatile.not_before).min(deadline)),
        Step::Ask(_) | Step::Record(_) | Step::Rest => step,
    }
}

fn accepted(
    m: &Match,
    volatile: &VolatileState,
    photo_here: bool,
    now: Timestamp,
    policy: &Policy,
) -> Step {
    let look = Step::Ask(Ask::ReadFolder { folder_id: m.spec.folder_id });
    let PhotoSource::Content { format, .. } = m.spec.photo else {
        return look;
    };
    if volatile.upload != Sending::Clear || volatile.look_first {
        return look;
    }
    // The match may wait for a liveness analysis too, but no longer than for its photo.
    let photo_until = volatile.photo_missed.unwrap_or(now).after(policy.photo_grace);
    if !photo_here && now >= photo_until {
        return photo_lost(policy);
    }
    if volatile.plan.is_none() {
        return look;
    }
    if !photo_here {
        return Step::Wait(photo_until);
    }
    if now < volatile.resend_at {
        return Step::Wait(volatile.resend_at);
    }
    Step::Ask(Ask::UploadPhoto {
        folder_id: m.spec.folder_id,
        match_id: m.id,
        kind: m.spec.kind,
        format,
    })
}

/// Fails a match whose photo is neither at this replica nor at Oz, and was not sent again in time.
fn photo_lost(policy: &Policy) -> Step {
    let message = "the server lost the photo and it was not sent again in time";
    let error = MatchError::new(Reason::PhotoLost, message);
    Step::Record(Event::Failed(Failed { error, oz: None, keep: policy.retention }))
}

fn uploaded(m: &Match, volatile: &VolatileState, now: Timestamp) -> Step {
    let folder_id = m.spec.folder_id;
    if volatile.start != Sending::Clear || volatile.look_first {
        return Step::Ask(Ask::ReadFolder { folder_id });
    }
    if now < volatile.resend_at {
        return Step::Wait(volatile.resend_at);
    }
    settle::start(m).map_or(Step::Rest, Step::Ask)
}

/// Polls the unfinished analysis that is due first.
fn processing(m: &Match, volatile: &VolatileState, now: Timestamp) -> Step {
    let biometry = pending(m.analysis_id.as_ref(), &volatile.biometry);
    let quality = pending(m.liveness_analysis_id.as_ref(), &volatile.quality);
    let first = [biometry, quality].into_iter().flatten().min_by_key(|(due, _)| *due);
    match first {
        Some((due, _)) if now < due => Step::Wait(due),
        Some((_, id)) => Step::Ask(Ask::ReadAnalysis { analysis_id: id.clone() }),
        None => Step::Rest,
    }
}

fn pending<'a, T>(
    id: Option<&'a AnalysisId>,
    poll: &Poll<T>,
) -> Option<(Timestamp, &'a AnalysisId)> {
    id.filter(|_| poll.over.is_none()).map(|id| (poll.due, id))
}

/// Polls an unread analysis one last time, since its verdict has been paid for. Otherwise records
/// that the match has timed out.
fn past_deadline(m: &Match, volatile: &VolatileState, policy: &Policy) -> Step {
    let unread = m.state == State::Processing && volatile.biometry.over.is_none();
    match &m.analysis_id {
        Some(analysis_id) if unread && !volatile.last_look => {
            Step::Ask(Ask::ReadAnalysis { analysis_id: analysis_id.clone() })
        }
        Some(_) | None => Step::Record(settle::timed_out(m, volatile, policy)),
    }
}
