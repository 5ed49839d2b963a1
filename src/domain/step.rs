//! Decides the next step of a match: the first, pure half of a step. The second half is `settle`.

use crate::domain::{
    ask::Ask,
    event::{Event, Failed, MatchError},
    id::AnalysisId,
    photo::Format,
    reason::Reason,
    reference::ReferenceKey,
    request::{PhotoSource, Spec},
    settle,
    state::{Match, State},
    time::Timestamp,
    volatile::{Policy, Poll, Sending, VolatileState},
};

/// The next step of a match.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Send this request to Oz, or to the photo library.
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
    match &m.spec.photo {
        PhotoSource::Content { format, .. } => {
            with_content(m, volatile, photo_here.then_some(*format), now, policy)
        }
        PhotoSource::Library(key) => with_key(m, volatile, key, now),
        PhotoSource::FolderMedia(_) | PhotoSource::Unknown => read_folder(m),
    }
}

/// The next step of a match whose caller sends the photo. `here` is its format if this replica holds
/// it.
fn with_content(
    m: &Match,
    volatile: &VolatileState,
    here: Option<Format>,
    now: Timestamp,
    policy: &Policy,
) -> Step {
    if volatile.upload != Sending::Clear || volatile.look_first {
        return read_folder(m);
    }
    // The match may wait for a liveness analysis too, but no longer than for its photo.
    let photo_until = volatile.photo_missed.unwrap_or(now).after(policy.photo_grace);
    if here.is_none() && now >= photo_until {
        return photo_lost(policy);
    }
    if volatile.plan.is_none() {
        return read_folder(m);
    }
    match here {
        None => Step::Wait(photo_until),
        Some(_) if now < volatile.resend_at => Step::Wait(volatile.resend_at),
        Some(format) => upload(m, format),
    }
}

/// The next step of a match whose photo is in the photo library. The photo is read right before it
/// is uploaded, so that no match holds it while it waits.
fn with_key(m: &Match, volatile: &VolatileState, key: &ReferenceKey, now: Timestamp) -> Step {
    if volatile.upload != Sending::Clear || volatile.look_first || volatile.plan.is_none() {
        return read_folder(m);
    }
    match volatile.reference {
        _ if now < volatile.resend_at => Step::Wait(volatile.resend_at),
        None => Step::Ask(Ask::ReadReference { key: key.clone() }),
        Some(format) => upload(m, format),
    }
}

fn read_folder(m: &Match) -> Step {
    Step::Ask(Ask::ReadFolder { folder_id: m.spec.folder_id })
}

fn upload(m: &Match, format: Format) -> Step {
    let Spec { folder_id, kind, .. } = *m.spec;
    Step::Ask(Ask::UploadPhoto { folder_id, match_id: m.id, kind, format })
}

/// Fails a match whose photo is neither at this replica nor at Oz, and was not sent again in time.
fn photo_lost(policy: &Policy) -> Step {
    let message = "the server lost the photo and it was not sent again in time";
    let error = MatchError::new(Reason::PhotoLost, message);
    Step::Record(Event::Failed(Failed { error, oz: None, keep: policy.retention }))
}

fn uploaded(m: &Match, volatile: &VolatileState, now: Timestamp) -> Step {
    if volatile.start != Sending::Clear || volatile.look_first {
        return read_folder(m);
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
