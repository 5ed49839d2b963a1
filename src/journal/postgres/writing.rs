//! How a replica writes: each call of the journal's `Writer` becomes a command to the task that
//! writes, and an outcome that is in doubt is read from the database.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    domain::{
        AnalysisId, Event, Match, MatchId, Recorded, Sequence, Spec, State, TenantId,
        event::Cancelled,
    },
    journal::{
        Admitted, Appended, CancelledAs, Chore, Claim, ClaimStatus, Erased, Error, Key, Listener,
        Takeover, Writer,
        postgres::{
            Postgres,
            command::Command,
            lease,
            packed_claim::PackedClaim,
            write::{What, Write, WriteOutcome},
        },
        stored,
    },
    sync::lock,
};

#[async_trait]
impl Writer for Postgres {
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error> {
        if !self.may_act() {
            // Fails at once, without the queue: the writer may be waiting for a hanging database.
            return Err(lease::no_lease());
        }
        let body = stored::body(&Event::Accepted(Arc::clone(&spec)));
        loop {
            let (what, body) = (What::New(Arc::clone(&spec)), body.clone());
            match self.0.writer.write(Write { match_id, what, body }).await? {
                WriteOutcome::Done(recorded, Some(claim)) => {
                    return Ok(Admitted::New(recorded, claim));
                }
                WriteOutcome::Done(_, None) => {
                    return Err(Error::Corrupt("new match without a claim".into()));
                }
                WriteOutcome::Not { unheard, .. } => {
                    // Unless `admitted_before` finds the match, no claim is returned, and the
                    // guard releases it.
                    let unheard = self.0.writer.queue.unheard(unheard);
                    if let Some(new) = self.admitted_before(match_id, unheard.claim()).await? {
                        unheard.disarm();
                        return Ok(new);
                    }
                    if let Some(known) = self.known(match_id, &spec).await? {
                        return Ok(Admitted::Known(known));
                    }
                    if !self.read_events(match_id).await?.is_empty() {
                        let problem = format!("match {match_id} belongs to another tenant");
                        return Err(Error::Corrupt(problem));
                    }
                    // The match that kept this one from being admitted has been erased since.
                }
            }
        }
    }

    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error> {
        let body = stored::body(&event);
        let what = What::Next { claim, after, event: event.clone() };
        match self.0.writer.write(Write { match_id: claim.match_id, what, body }).await? {
            WriteOutcome::Done(recorded, _) => Ok(Appended::Done(recorded)),
            WriteOutcome::Not { doubtful, .. } => {
                self.appended_before(claim, after, &event, doubtful).await
            }
        }
    }

    async fn cancel(
        &self,
        tenant: &TenantId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error> {
        let mut doubtful_before = false;
        loop {
            let Some(known) = self.find_match(tenant, key).await? else {
                return Ok(CancelledAs::Absent);
            };
            match known.state {
                State::Cancelled if doubtful_before => return Ok(CancelledAs::Now(known)),
                State::Cancelled => return Ok(CancelledAs::Already(known)),
                State::Finished | State::Failed => return Ok(CancelledAs::Ended(known)),
                State::Unknown if known.has_ended() => return Ok(CancelledAs::Ended(known)),
                State::Accepted | State::Uploaded | State::Processing | State::Unknown => {}
            }
            let event = Event::Cancelled(Cancelled { keep });
            let body = stored::body(&event);
            let write = Write { match_id: known.id, what: What::End(event), body };
            match self.0.writer.write(write).await? {
                WriteOutcome::Done(recorded, _) if recorded.sequence == known.sequence.next() => {
                    return stored::next(Some(known), &recorded).map(CancelledAs::Now);
                }
                // Another event came in between: read the match again.
                WriteOutcome::Done(..) => doubtful_before = true,
                WriteOutcome::Not { doubtful, .. } => doubtful_before |= doubtful,
            }
        }
    }

    async fn erase(&self, tenant: &TenantId, match_id: MatchId) -> Result<Erased, Error> {
        let tenant = tenant.clone();
        self.0.writer.ask(|reply| Command::Erase { tenant, match_id, reply }).await
    }

    async fn tidy(&self, chore: Chore, limit: usize) -> Result<usize, Error> {
        match chore {
            Chore::EraseExpired => {
                self.0.writer.ask(|reply| Command::EraseExpired { limit, reply }).await
            }
            Chore::Enlist => self.0.writer.ask(|reply| Command::Enlist { limit, reply }).await,
        }
    }

    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error> {
        if limit == 0 {
            // A replica at its limit of matches asks for none, which costs no statement.
            return Ok(Vec::new());
        }
        self.0.writer.ask(|reply| Command::Claim { limit, reply }).await
    }

    async fn take(&self, match_id: MatchId, has_photo: bool) -> Result<Takeover, Error> {
        self.0.writer.ask(|reply| Command::Take { match_id, has_photo, reply }).await
    }

    async fn takeable(&self, matches: &[MatchId]) -> Result<Vec<MatchId>, Error> {
        self.not_held(matches).await
    }

    fn listen(&self, ear: Listener) {
        self.0.recent.hear(ear);
    }

    async fn confirm(&self, claim: Claim) -> Result<Option<Claim>, Error> {
        self.0.writer.ask(|reply| Command::Confirm { claim, reply }).await
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<(), Error> {
        self.0.writer.ask(|reply| Command::Release { claims, reply }).await
    }

    async fn leave(&self) {
        self.0.leaving.cancel();
        let keeper = lock(&self.0.renewer).take();
        if let Some(keeper) = keeper
            && keeper.await.is_err()
        {
            // The panic itself was logged when it happened.
            tracing::error!("lease renewer panicked");
        }
    }

    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        self.others_own(match_id, analyses).await
    }

    fn claim_status(&self, claim: Claim) -> ClaimStatus {
        let is_over = !self.0.writer.queue.is_open() || self.0.watermark.is_lost();
        if is_over { ClaimStatus::Lost } else { self.0.leases.tenure(claim) }
    }
}

impl Postgres {
    /// The match that keeps a new one from being admitted: one with the same request id, or the
    /// same match.
    async fn known(&self, match_id: MatchId, spec: &Spec) -> Result<Option<Match>, Error> {
        let by_request = spec.request_id.clone().map(Key::Request);
        for key in by_request.into_iter().chain([Key::Match(match_id)]) {
            if let Some(known) = self.find_match(&spec.tenant, &key).await? {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// The match, if a statement whose reply was lost has admitted it, and this replica still holds
    /// it. `claim` is what that statement may have claimed.
    async fn admitted_before(
        &self,
        match_id: MatchId,
        claim: Option<Claim>,
    ) -> Result<Option<Admitted>, Error> {
        let Some(claim) = claim else { return Ok(None) };
        let first = self.read_events(match_id).await?.into_iter().next();
        let is_ours = self.present_claim(match_id).await? == Some(PackedClaim::of(claim));
        Ok(first.filter(|_| is_ours).map(|first| Admitted::New(first, claim)))
    }

    /// Whether a statement whose reply was lost has written the event, and if not, why not.
    pub(super) async fn appended_before(
        &self,
        claim: Claim,
        after: Sequence,
        event: &Event,
        doubtful: bool,
    ) -> Result<Appended, Error> {
        if doubtful {
            let events = self.read_events(claim.match_id).await?;
            // Another replica that has taken the match over may have written the same event.
            let is_ours = |recorded: &Recorded| {
                recorded.sequence == after.next()
                    && recorded.event == *event
                    && recorded.incarnation == self.0.identity.origin.incarnation
            };
            if let Some(recorded) = events.into_iter().find(is_ours) {
                return Ok(Appended::Done(recorded));
            }
        }
        let is_taken = self.is_taken(claim, after, event).await?;
        Ok(if is_taken { Appended::Taken } else { Appended::Lost })
    }
}
