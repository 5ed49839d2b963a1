//! The driver of one match: asks the core for the next step, performs it and writes the resulting
//! event, until the match ends.

mod log;
mod record;
mod reference;
mod request;
mod spans;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;

use crate::{
    domain::{Match, Policy, State, Step, TenantId, Timestamp, VolatileState, next_step},
    journal::{Claim, ClaimStatus},
    metrics::UnfinishedMatch,
    trace::MatchTrace,
    worker::{
        context::Context,
        driver::{log::Trouble, reference::ReferencePhoto},
        registry::{DriverHandle, Registration},
    },
};

/// The pause before the store is asked again after a failure.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The error message of a match that ends because its store can't hold what Oz answered.
pub const UNWRITABLE: &str = "the server's store can't hold what Oz answered";

/// A match, the claim on it, and its volatile state.
pub struct Driver {
    context: Arc<Context>,
    m: Match,
    claim: Claim,
    volatile: VolatileState,
    handle: Arc<DriverHandle>,
    registration: Registration,
    end: DriverEnd,
    /// The version of our credentials when the last request was sent.
    credentials_version: u64,
    /// Why Oz or the photo library last failed, for this match or for others. The log line of the
    /// event that reports the trouble shows it.
    trouble: Option<Trouble>,
    /// The photo from the library, for the attempt to upload it that follows.
    reference: Option<ReferencePhoto>,
    counted: UnfinishedMatch,
    /// Since when the match is in its phase; `None` if this driver hasn't seen the phase begin.
    phase_since: Option<Timestamp>,
    /// The trace of the match, as long as this driver drives it.
    trace: MatchTrace,
    /// Whether the log still has to say that this driver has taken the match over.
    is_resumed: bool,
}

/// How a driver ends, and what is left to do.
pub enum Exit {
    /// The match has ended, or is left as it is: nothing is left to do.
    Ended,
    /// The match goes on without this driver: the claim is to be released.
    Release(Claim),
    /// The driver has panicked: the claim is to be released after a pause, as the match must not
    /// stay with a replica that doesn't drive it any more.
    Panicked(Claim),
    /// The claim is lost while the photo is here and not at Oz yet: a standby is to keep it.
    Standby(Registration),
}

/// Why a driver stops.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DriverEnd {
    /// The match has ended, or the driver was stopped.
    Over,
    /// The claim is lost: there is nothing to release.
    Lost,
    /// The claim is kept, so that no driver repeats the same failure before the next start.
    Kept,
    /// The server drains, and the match resumes elsewhere.
    Left,
}

/// Whether the driver continues.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Over,
}

impl Driver {
    /// A driver that doesn't run yet.
    pub fn new(
        context: Arc<Context>,
        m: Match,
        claim: Claim,
        volatile: VolatileState,
        registration: Registration,
    ) -> Self {
        let handle = Arc::clone(registration.handle());
        let trace = MatchTrace::begin(&context.tracer, m.id, claim.epoch, m.spec.trace.as_ref());
        let (end, trouble, credentials_version) = (DriverEnd::Over, None, 0);
        let counted = context.metrics.unfinished(&m);
        let phase_since = (m.state == State::Accepted).then_some(m.create_time);
        Self {
            context,
            m,
            claim,
            volatile,
            handle,
            registration,
            end,
            credentials_version,
            trouble,
            reference: None,
            counted,
            phase_since,
            trace,
            is_resumed: false,
        }
    }

    /// The same driver, for a match that another driver had before.
    #[must_use]
    pub fn resumed(self) -> Self {
        Self { is_resumed: true, ..self }
    }

    /// The tenant of the match.
    pub fn tenant(&self) -> &TenantId {
        &self.m.spec.tenant
    }

    /// Drives the match until it ends, another replica takes it over, or the server drains.
    pub async fn run(mut self) -> Exit {
        let driven = AssertUnwindSafe(self.drive()).catch_unwind().await;
        self.trace.end(self.handle.take_repeats());
        // After a panic nothing else but the claim is used.
        match driven {
            Ok(()) => self.exit(),
            Err(_) => Exit::Panicked(self.claim),
        }
    }

    async fn drive(&mut self) {
        while self.advance().await == Flow::On {}
    }

    fn exit(self) -> Exit {
        match self.end {
            DriverEnd::Over if self.m.has_ended() => Exit::Ended,
            // A later claim of this replica may have stopped the driver. The release then names an
            // old epoch and has no effect.
            DriverEnd::Over | DriverEnd::Left => Exit::Release(self.claim),
            DriverEnd::Lost if !self.m.is_safe() && self.handle.has_photo_or_closes() => {
                Exit::Standby(self.registration)
            }
            DriverEnd::Lost | DriverEnd::Kept => Exit::Ended,
        }
    }

    async fn advance(&mut self) -> Flow {
        if self.should_leave() {
            return self.leave();
        }
        match self.context.writer.claim_status(self.claim) {
            ClaimStatus::Held => {}
            ClaimStatus::Lent if self.handle.photo().is_none() || self.m.is_safe() => {}
            ClaimStatus::Lent => return Box::pin(self.confirm_claim()).await,
            ClaimStatus::Unsure => return self.pause_for_the_store().await,
            ClaimStatus::Lost => return self.lost(),
        }
        let now = self.context.clock.now();
        let photo_here = self.handle.photo().is_some();
        match next_step(&self.m, &self.volatile, photo_here, now, &self.policy()) {
            Step::Rest => Flow::Over,
            Step::Wait(until) => self.wait(until).await,
            // Boxed, so that the many waiting drivers reserve no memory for steps that few drivers
            // perform at a time.
            Step::Record(event) => Box::pin(self.record(event)).await,
            Step::Ask(ask) => Box::pin(self.ask(ask, now)).await,
        }
    }

    /// Whether the driver was stopped, or this replica drains. During a drain a driver stays while
    /// it holds a photo that isn't at Oz yet.
    fn should_leave(&self) -> bool {
        let draining = self.context.draining.is_cancelled();
        self.handle.stop.is_cancelled()
            || (draining && (self.m.is_safe() || self.handle.photo().is_none()))
    }

    /// Confirms a lent claim, now that the photo is here, so that no other replica that has the
    /// photo can take the match.
    async fn confirm_claim(&mut self) -> Flow {
        match self.context.writer.confirm(self.claim).await {
            Ok(Some(claim)) => {
                self.claim = claim;
                Flow::On
            }
            Ok(None) => self.lost(),
            Err(failure) => {
                self.context.store_failed(&failure, "lent claim not confirmed: will retry");
                self.pause_for_the_store().await
            }
        }
    }

    /// Leaves the match unfinished. If this replica drains, other replicas resume it.
    fn leave(&mut self) -> Flow {
        if !self.handle.stop.is_cancelled() {
            self.end = DriverEnd::Left;
        }
        Flow::Over
    }

    /// Waits for a time, a photo, a stop, or new credentials if Oz refuses the present ones.
    async fn wait(&mut self, until: Timestamp) -> Flow {
        let (lacks_credentials, version) =
            (self.volatile.lacks_credentials(), self.credentials_version);
        tokio::select! {
            biased;
            () = self.leaving() => self.leave(),
            // In an async block, so that no future is made for the many drivers that don't wait for
            // credentials.
            () = async { self.context.oz.credentials_replaced(version).await }, if lacks_credentials => {
                self.try_soon()
            }
            () = self.handle.wake.notified() => Flow::On,
            () = self.context.clock.sleep_until(until) => Flow::On,
        }
    }

    /// Tries again soon after the credentials were replaced: within a poll interval, at a random
    /// time, so that not all matches try at once.
    fn try_soon(&mut self) -> Flow {
        let spread = self.context.spread();
        self.volatile.try_by(self.context.clock.now().after(spread));
        Flow::On
    }

    /// Resolves once the driver must leave: it is stopped, or the server drains and the driver
    /// holds no photo that isn't at Oz yet.
    async fn leaving(&self) {
        let leave_when_draining = self.m.is_safe() || self.handle.photo().is_none();
        tokio::select! {
            () = self.handle.stop.cancelled() => {}
            () = self.context.draining.cancelled(), if leave_when_draining => {}
        }
    }

    async fn pause_for_the_store(&self) -> Flow {
        tokio::select! {
            biased;
            () = self.handle.stop.cancelled() => Flow::Over,
            () = self.context.clock.sleep(STORE_PAUSE) => Flow::On,
        }
    }

    /// The policy of the match's tenant at this moment.
    fn policy(&self) -> Policy {
        self.context.policy_of(self.tenant())
    }

    fn lost(&mut self) -> Flow {
        self.log_lost();
        self.end = DriverEnd::Lost;
        Flow::Over
    }
}
