//! The writer's commands that write no event: to claim, to release, to erase.
//!
//! A command is a statement or two, and runs between two batches of events on the same connection.

use std::{mem, sync::Arc};

use async_trait::async_trait;
use sqlx::{Connection, PgConnection};
use tokio::time;
use tracing::{debug, warn};

use crate::{
    domain::{Match, MatchId, TenantId},
    journal::{
        Claim, Erased, Error, Takeover,
        postgres::{
            claim,
            connect::{self, Meaning, STATEMENT_TIMEOUT},
            enlist, erase,
            lease::no_lease,
            notify,
            statement::Statement,
            writer::{LINGERING_CHECK, WriterEngine},
        },
        reply::ReplySender,
    },
    outage,
};

/// How often a command is tried again while other replicas' statements get in first.
const RACES_MAX: u32 = 5;

/// A command to the writer, with the channel for its reply.
pub(super) enum Command {
    /// As [`journal::Writer::claim`](crate::journal::Writer::claim).
    Claim { limit: usize, reply: ReplySender<Vec<(Match, Claim)>> },
    /// As [`journal::Writer::take`](crate::journal::Writer::take).
    Take { match_id: MatchId, has_photo: bool, reply: ReplySender<Takeover> },
    /// As [`journal::Writer::confirm`](crate::journal::Writer::confirm).
    Confirm { claim: Claim, reply: ReplySender<Option<Claim>> },
    /// As [`journal::Writer::release`](crate::journal::Writer::release).
    Release { claims: Vec<Claim>, reply: ReplySender<()> },
    /// As [`journal::Writer::erase`](crate::journal::Writer::erase).
    Erase { tenant: TenantId, match_id: MatchId, reply: ReplySender<Erased> },
    /// As [`Chore::EraseExpired`](crate::journal::Chore::EraseExpired).
    EraseExpired { limit: usize, reply: ReplySender<usize> },
    /// As [`Chore::Enlist`](crate::journal::Chore::Enlist).
    Enlist { limit: usize, reply: ReplySender<usize> },
}

/// Sends a NOTIFY to the other replicas.
struct Notify {
    notice: &'static str,
}

#[async_trait]
impl Statement for Notify {
    type Output = ();

    async fn run(&self, connection: &mut PgConnection, _again: bool) -> Result<(), Error> {
        Ok(notify::send(connection, self.notice).await?)
    }
}

impl WriterEngine {
    /// Runs a command and sends its reply.
    pub(super) async fn run(&mut self, command: Command) {
        match command {
            Command::Claim { limit, reply } => reply.send(self.claim(limit).await),
            Command::Take { match_id, has_photo, reply } => {
                reply.send(self.take_one(match_id, has_photo).await);
            }
            Command::Confirm { claim, reply } => {
                reply.send(self.run_statement(&claim::Confirm { claim }).await);
            }
            Command::Release { claims, reply } => {
                let released = self.run_statement(&claim::Release { claims }).await;
                self.notify(notify::RELEASED).await;
                reply.send(released.map(drop));
            }
            Command::Erase { tenant, match_id, reply } => {
                let erased = self.run_statement(&erase::EraseOne { tenant, match_id }).await;
                self.forget(matches!(erased, Ok(Erased::Done))).await;
                reply.send(erased);
            }
            Command::EraseExpired { limit, reply } => {
                let now = self.with.clock.now();
                let erased = self.run_statement(&erase::EraseExpired { now, limit }).await;
                self.forget(matches!(erased, Ok(1..))).await;
                reply.send(erased);
            }
            Command::Enlist { limit, reply } => {
                reply.send(self.run_statement(&enlist::Enlist { limit }).await);
            }
        }
    }

    async fn claim(&mut self, limit: usize) -> Result<Vec<(Match, Claim)>, Error> {
        let lease = self.with.leases.held().ok_or_else(no_lease)?;
        let share = self.with.leases.share();
        let orphans = Arc::clone(&self.orphans);
        let (aside, now) = (self.with.tail.aside(), self.with.ticks.now());
        self.run_statement(&claim::ClaimSome { lease, share, limit, orphans, aside, now }).await
    }

    async fn take_one(&mut self, match_id: MatchId, has_photo: bool) -> Result<Takeover, Error> {
        let lease = self.with.leases.held().ok_or_else(no_lease)?;
        let orphans = Arc::clone(&self.orphans);
        let (aside, now) = (self.with.tail.aside(), self.with.ticks.now());
        let step = claim::TakeOne { lease, match_id, has_photo, orphans, aside, now };
        self.run_statement(&step).await
    }

    /// Keeps erased matches from being shown from memory, here or by another replica.
    async fn forget(&mut self, has_erased: bool) {
        if !has_erased {
            return;
        }
        self.with.recent.clear();
        self.notify(notify::WRITTEN).await;
    }

    /// Notifies the other replicas, if there are any and the database has NOTIFY.
    async fn notify(&mut self, notice: &'static str) {
        if self.with.has_notify
            && self.with.leases.has_others()
            && let Err(error) = self.run_statement(&Notify { notice }).await
        {
            debug!(error = outage::causes(&error), "NOTIFY failed: other replicas will poll");
        }
    }

    /// Runs a command's statements: again if another replica got in first, and once more if the
    /// connection turns out to be dead. Statements that claim are not repeated over a new
    /// connection: this replica gives up its lease instead, and with it what they may have claimed.
    async fn run_statement<S: Statement>(&mut self, step: &S) -> Result<S::Output, Error> {
        let (mut tries, mut is_second) = (0, false);
        loop {
            if S::CLAIMS {
                self.probe().await;
            }
            let connection = self.connected().await?;
            let outcome =
                match time::timeout(STATEMENT_TIMEOUT, step.run(connection, is_second)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(connect::timed_out().into()),
                };
            let Err(Error::Unavailable(failure)) = &outcome else { return outcome };
            let failure = failure.downcast_ref::<sqlx::Error>();
            match failure.map_or(Meaning::Unknown, connect::meaning) {
                Meaning::Raced if tries < RACES_MAX => tries += 1,
                Meaning::Raced | Meaning::Refused => return outcome,
                Meaning::Unknown => {
                    let error = failure.map(|failure| outage::causes(failure));
                    warn!(error, "database connection lost");
                    self.connection = None;
                    if S::CLAIMS {
                        self.with.leases.give_up();
                        return outcome;
                    }
                    if mem::replace(&mut is_second, true) {
                        return outcome;
                    }
                }
            }
        }
    }

    /// Pings the connection before a statement that can't be repeated.
    async fn probe(&mut self) {
        if let Some(connection) = &mut self.connection
            && let Err(failure) = connect::in_time(STATEMENT_TIMEOUT, connection.ping()).await
        {
            self.disconnect(&failure);
        }
    }

    /// Releases orphaned claims, and those that lost statements may still make. The latter are
    /// tried once per [`LINGERING_CHECK`] only: each release that frees a match starts a search for
    /// matches, and the search passes through here again.
    pub(super) async fn release_orphans(&mut self) {
        let now = self.with.ticks.now();
        while self.lingering.front().is_some_and(|(until, _)| *until <= now) {
            self.lingering.pop_front();
        }
        let orphans = self.orphans.take();
        let may_linger = !self.lingering.is_empty() && self.linger_at <= now;
        if orphans.is_empty() && !may_linger {
            return;
        }
        let lingering = self.lingering.iter().map(|(_, claim)| *claim);
        let claims: Vec<Claim> = lingering.chain(orphans.iter().copied()).collect();
        match self.run_statement(&claim::Release { claims }).await {
            Ok(freed) => {
                self.linger_at = now.after(LINGERING_CHECK);
                if freed > 0 {
                    self.with.leases.hint();
                }
            }
            Err(error) => {
                debug!(error = outage::causes(&error), "orphaned claims can't be released yet");
                self.orphans.add(orphans);
            }
        }
    }
}
