//! The journal's `Writer` of the engine in memory.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::yield_now;

use crate::{
    domain::{
        AnalysisId, Event, Match, MatchId, Sequence, Spec, State, TenantId, event::Cancelled,
    },
    journal::{
        Admitted, Appended, CancelledAs, Chore, Claim, ClaimStatus, Erased, Error, Key, Listener,
        Takeover, Writer,
        memory::{
            Memory,
            store::{PackedClaim, Row, analyses},
        },
    },
};

#[async_trait]
impl Writer for Memory {
    async fn admit(&self, match_id: MatchId, spec: Arc<Spec>) -> Result<Admitted, Error> {
        let lease = self.lease()?;
        let admitted = {
            let mut store = self.lock();
            let by_request = spec.request_id.clone().map(Key::Request);
            let mut keys = by_request.into_iter().chain([Key::Match(match_id)]);
            match keys.find_map(|key| store.find(&spec.tenant, &key)) {
                Some(known) => Admitted::Known(known),
                None => {
                    let (events, hold) = (Vec::new(), PackedClaim { epoch: 1, lent: false, lease });
                    let row = Row { events, epoch: 1, owner: Some(lease), lent: false };
                    store.matches.insert(match_id, row);
                    let (now, author) = (self.clock.now(), self.identity.origin.incarnation);
                    let first = store.write(match_id, now, author, Event::Accepted(spec));
                    Admitted::New(first.expect("the match is there"), hold.claim(match_id))
                }
            }
        };
        let claims = match &admitted {
            Admitted::New(first, claim) => {
                self.follow(first);
                vec![*claim]
            }
            Admitted::Known(_) => Vec::new(),
        };
        self.answer(claims).await;
        Ok(admitted)
    }

    async fn append(&self, claim: Claim, after: Sequence, event: Event) -> Result<Appended, Error> {
        match self.claim_status_by_lease(claim) {
            ClaimStatus::Held | ClaimStatus::Lent => {}
            ClaimStatus::Unsure => self.lease().map(drop)?,
            ClaimStatus::Lost => return Ok(Appended::Lost),
        }
        let appended = {
            let mut store = self.lock();
            let fits = store.held(claim).is_some_and(|row| {
                let reached = row.events.last().map(|last| last.sequence);
                reached == Some(after) && !row.has_ended()
            });
            let taken = analyses(&event).any(|id| store.is_others(claim.match_id, id));
            match (fits, taken) {
                (false, _) => Appended::Lost,
                (true, true) => Appended::Taken,
                (true, false) => {
                    let (now, author) = (self.clock.now(), self.identity.origin.incarnation);
                    let recorded = store.write(claim.match_id, now, author, event);
                    Appended::Done(recorded.expect("the match is there"))
                }
            }
        };
        if let Appended::Done(recorded) = &appended {
            self.follow(recorded);
        }
        self.answer(Vec::new()).await;
        Ok(appended)
    }

    async fn cancel(
        &self,
        tenant: &TenantId,
        key: &Key,
        keep: Duration,
    ) -> Result<CancelledAs, Error> {
        let mut ended = None;
        let outcome = {
            let mut store = self.lock();
            match store.find(tenant, key) {
                None => CancelledAs::Absent,
                Some(m) if m.state == State::Cancelled => CancelledAs::Already(m),
                Some(m) if m.has_ended() => CancelledAs::Ended(m),
                Some(m) => {
                    let event = Event::Cancelled(Cancelled { keep });
                    ended = store.write(
                        m.id,
                        self.clock.now(),
                        self.identity.origin.incarnation,
                        event,
                    );
                    let row = store.matches.get_mut(&m.id).expect("the match is there");
                    row.epoch += 1;
                    CancelledAs::Now(row.folded())
                }
            }
        };
        if let Some(recorded) = &ended {
            self.follow(recorded);
        }
        self.answer(Vec::new()).await;
        Ok(outcome)
    }

    async fn erase(&self, tenant: &TenantId, match_id: MatchId) -> Result<Erased, Error> {
        let mut store = self.lock();
        Ok(match store.find(tenant, &Key::Match(match_id)) {
            None => Erased::Absent,
            Some(m) if !m.has_ended() => Erased::Running,
            Some(_) => {
                store.erase(match_id);
                Erased::Done
            }
        })
    }

    async fn tidy(&self, chore: Chore, limit: usize) -> Result<usize, Error> {
        let now = self.clock.now().min(self.steady.now());
        Ok(match chore {
            Chore::EraseExpired => self.lock().erase_expired(now, limit),
            // There is no older version of this engine, so every list index is complete.
            Chore::Enlist => 0,
        })
    }

    async fn claim(&self, limit: usize) -> Result<Vec<(Match, Claim)>, Error> {
        let lease = self.lease()?;
        let taken: Vec<(Match, Claim)> = {
            let mut store = self.lock();
            let ids: Vec<_> = store.matches.keys().copied().collect();
            ids.into_iter().filter_map(|id| store.take(lease, id, false)).take(limit).collect()
        };
        self.answer(taken.iter().map(|(_, claim)| *claim).collect()).await;
        Ok(taken)
    }

    async fn take(&self, match_id: MatchId, has_photo: bool) -> Result<Takeover, Error> {
        let lease = self.lease()?;
        let taken = {
            let mut store = self.lock();
            let taken = store.take(lease, match_id, has_photo);
            let row = store.matches.get(&match_id).filter(|row| !row.has_ended());
            let waits = row.is_some_and(|row| {
                let is_left_aside = row.is_foreign() && !store.has_holder(row);
                !is_left_aside && (row.needs_photo() || !has_photo)
            });
            match taken {
                Some((m, claim)) => Takeover::Now(m, claim),
                None if waits => Takeover::Held,
                None => Takeover::Past,
            }
        };
        let claims = match &taken {
            Takeover::Now(_, claim) => vec![*claim],
            Takeover::Held | Takeover::Past => Vec::new(),
        };
        self.answer(claims).await;
        Ok(taken)
    }

    async fn takeable(&self, matches: &[MatchId]) -> Result<Vec<MatchId>, Error> {
        self.count();
        let store = self.lock();
        Ok(matches.iter().filter(|id| !store.is_held(**id)).copied().collect())
    }

    fn listen(&self, ear: Listener) {
        let _ = self.ear.set(ear);
    }

    async fn confirm(&self, claim: Claim) -> Result<Option<Claim>, Error> {
        let secured = {
            let mut store = self.lock();
            let row = store.held(claim).filter(|row| !row.has_ended());
            row.map(|row| {
                row.lent = false;
                PackedClaim { lent: false, ..PackedClaim::of(claim) }.claim(claim.match_id)
            })
        };
        yield_now().await;
        Ok(secured)
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<(), Error> {
        self.lock().release(&claims);
        yield_now().await;
        Ok(())
    }

    async fn leave(&self) {
        let mine = {
            let mut here = self.here();
            here.has_left = true;
            here.mine.take()
        };
        if let Some(mine) = mine {
            self.lock().end_leases(|lease, _| lease == mine.lease);
        }
    }

    async fn owned_by_others(
        &self,
        match_id: MatchId,
        analyses: &[AnalysisId],
    ) -> Result<Vec<AnalysisId>, Error> {
        let owned = {
            let store = self.lock();
            analyses.iter().filter(|id| store.is_others(match_id, id)).cloned().collect()
        };
        yield_now().await;
        Ok(owned)
    }

    fn claim_status(&self, claim: Claim) -> ClaimStatus {
        self.claim_status_by_lease(claim)
    }
}
