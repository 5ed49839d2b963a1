//! Settles an answer from Oz: the second, pure half of a step.
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

pub use folder::candidates;
pub use hold::{entry, held_back};
pub use poll::timed_out;
pub use sent::start;
pub use trouble::is_biometry;

/// The outcome of a request to Oz.
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
    /// What the driver knows once the event is durable.
    pub drive: VolatileState,
    /// How many duplicates of the match's photo or analysis Oz holds beside the adopted one.
    pub doubles: usize,
}

/// The inputs that all parts of a settlement share.
struct Settling<'a> {
    m: &'a Match,
    moment: Moment,
    policy: &'a Policy,
}

/// Settles the outcome of a match's request.
pub fn settle(
    m: &Match,
    mut drive: VolatileState,
    ask: &Ask,
    outcome: OzResult,
    moment: Moment,
    policy: &Policy,
) -> Settled {
    let settling = Settling { m, moment, policy };
    drive.last_look |= is_last_look(m, ask, &outcome, moment);
    if !matches!(&outcome, Err(failure) if failure.kind == FailureKind::LoginRefused) {
        drive.login_refused_since = None;
    }
    match outcome {
        Ok(reply) => settling.reply(drive, ask, reply),
        Err(failure) => settling.failure(drive, ask, &failure),
    }
}

/// Whether this request was the last look at the match's analysis: it was sent after the match's
/// deadline, or it was sent before the deadline and answered after it.
fn is_last_look(m: &Match, ask: &Ask, outcome: &OzResult, moment: Moment) -> bool {
    let deadline = m.deadline();
    let answered = outcome.is_ok() && moment.now >= deadline && is_biometry(m, ask);
    moment.asked >= deadline || answered
}

impl Settling<'_> {
    fn reply(&self, mut drive: VolatileState, ask: &Ask, reply: Reply) -> Settled {
        match (ask, reply) {
            (Ask::ReadFolder { .. }, Reply::Folder(folder)) => {
                drive.health.worked(ask.kind());
                drive.look_first = false;
                self.folder(drive, &folder)
            }
            (Ask::UploadPhoto { .. }, Reply::Photo(photo)) => self.sent(drive, ask, photo),
            (Ask::StartAnalyses { .. }, Reply::Started(analyses)) => {
                self.started(drive, ask, &analyses)
            }
            (Ask::ReadAnalysis { analysis_id }, Reply::Analysis(analysis)) => {
                self.analysis(drive, ask, analysis_id, &analysis)
            }
            (
                Ask::ReadFolder { .. }
                | Ask::UploadPhoto { .. }
                | Ask::StartAnalyses { .. }
                | Ask::ReadAnalysis { .. },
                Reply::Folder(_) | Reply::Photo(_) | Reply::Started(_) | Reply::Analysis(_),
            ) => self.incomplete(drive, ask, "an answer to another question"),
        }
    }
}

const fn plain(drive: VolatileState) -> Settled {
    Settled { event: None, drive, doubles: 0 }
}
