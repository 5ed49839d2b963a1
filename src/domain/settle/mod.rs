//! Settles an answer from Oz or from the photo library: the second, pure half of a step.
//!
//! It decides which event the answer becomes, if any, and what the driver knows from then on. The
//! first half is `step`.

mod folder;
mod hold;
mod poll;
mod sent;
mod trouble;

use crate::domain::{
    ask::{Ask, Failure, FailureKind, Reply},
    event::Event,
    state::Match,
    time::Timestamp,
    volatile::{Policy, VolatileState},
};

pub use folder::adoptable_analyses;
pub use hold::{held_back, request_traits};
pub use poll::timed_out;
pub use sent::start;
pub use trouble::is_biometry_poll;

/// The outcome of a request to Oz, or to the photo library.
pub type OzResult = Result<Reply, Failure>;

/// When a request was begun and when its outcome was known, and the random number that jitters the
/// next attempt.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Moment {
    /// When the request was begun.
    pub asked: Timestamp,
    /// When its outcome was known.
    pub now: Timestamp,
    /// 0..1, drawn by the driver.
    pub chance: f64,
}

/// What follows from an answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Settled {
    /// The event to append, if the answer is one.
    pub event: Option<Event>,
    /// How many duplicates of the match's photo or analysis Oz holds beside the adopted one.
    pub duplicates: usize,
}

/// What all parts of a settlement share.
struct Settling<'a> {
    m: &'a Match,
    volatile: &'a mut VolatileState,
    moment: Moment,
    policy: &'a Policy,
    duplicates: usize,
}

/// Settles the outcome of a match's request. The volatile state becomes what the driver knows once
/// the event is durable.
pub fn settle(
    m: &Match,
    volatile: &mut VolatileState,
    ask: &Ask,
    outcome: OzResult,
    moment: Moment,
    policy: &Policy,
) -> Settled {
    volatile.last_look |= is_last_look(m, ask, &outcome, moment);
    if !matches!(&outcome, Err(failure) if failure.kind == FailureKind::LoginRefused) {
        volatile.login_refused_since = None;
    }
    let mut settling = Settling { m, volatile, moment, policy, duplicates: 0 };
    let event = match outcome {
        Ok(reply) => settling.reply(ask, reply),
        Err(failure) => settling.failure(ask, &failure),
    };
    Settled { event, duplicates: settling.duplicates }
}

/// Whether this request was the last look at the match's analysis: it was sent after the match's
/// deadline, or it was sent before the deadline and answered after it.
fn is_last_look(m: &Match, ask: &Ask, outcome: &OzResult, moment: Moment) -> bool {
    let deadline = m.deadline();
    let answered = outcome.is_ok() && moment.now >= deadline && is_biometry_poll(m, ask);
    moment.asked >= deadline || answered
}

impl Settling<'_> {
    fn reply(&mut self, ask: &Ask, reply: Reply) -> Option<Event> {
        match (ask, reply) {
            (Ask::ReadFolder { .. }, Reply::Folder(folder)) => {
                self.volatile.health.worked(ask.kind());
                self.volatile.look_first = false;
                self.folder(&folder)
            }
            (Ask::UploadPhoto { .. }, Reply::Photo(photo)) => self.sent(ask, photo),
            (Ask::StartAnalyses { .. }, Reply::Started(analyses)) => self.started(ask, &analyses),
            (Ask::ReadAnalysis { analysis_id }, Reply::Analysis(analysis)) => {
                self.analysis(ask, analysis_id, &analysis)
            }
            (Ask::ReadReference { .. }, Reply::Reference(format)) => {
                self.volatile.health.worked(ask.kind());
                self.volatile.reference = Some(format);
                None
            }
            (
                Ask::ReadFolder { .. }
                | Ask::UploadPhoto { .. }
                | Ask::StartAnalyses { .. }
                | Ask::ReadAnalysis { .. }
                | Ask::ReadReference { .. },
                Reply::Folder(_)
                | Reply::Photo(_)
                | Reply::Started(_)
                | Reply::Analysis(_)
                | Reply::Reference(_),
            ) => self.incomplete(ask, "an answer to another question"),
        }
    }
}
