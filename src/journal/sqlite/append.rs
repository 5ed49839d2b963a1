//! The writes that add one event to a match: its first, its next, and a caller's cancellation.
//!
//! Fencing, compare-and-append and the cached state are one statement, an `UPDATE` of the match's
//! own row. The event is inserted if that has changed the row.

use std::{sync::Arc, time::Duration};

use crate::{
    domain::{
        AnalysisId, Event, Match, MatchId, Position, Recorded, RequestId, Sequence, Spec, State,
        TenantId, Timestamp, event::Cancelled,
    },
    journal::{
        Admitted, Appended, CancelledAs, Claim, Error, Key,
        sqlite::{
            operation::{Operation, Tx},
            rows::blob,
            statements,
        },
        stored::{self, ONE_WRITER, analyses, body, micros, state_after},
    },
};

/// Writes the first event of a match.
pub(super) struct Admit {
    pub match_id: MatchId,
    pub spec: Arc<Spec>,
    pub body: String,
}

/// Writes the next event of a match, if the claim still holds and the match stands at `after`.
pub(super) struct Append {
    pub claim: Claim,
    pub after: Sequence,
    pub event: Event,
    pub body: String,
}

/// Ends a match as cancelled and fences off the claim on it.
pub(super) struct Cancel {
    pub tenant: TenantId,
    pub key: Key,
    pub keep: Duration,
}

impl Operation for Admit {
    type Outcome = Admitted;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Admitted, Error> {
        if self.write_match(tx)? {
            return self.admitted(tx);
        }
        match self.known(tx)? {
            Some(known) => Ok(Admitted::Known(known)),
            None => {
                Err(Error::Corrupt(format!("match {} belongs to another tenant", self.match_id)))
            }
        }
    }
}

impl Admit {
    /// Writes the rows that describe the match, unless one exists with its id or with the tenant's
    /// request id. Returns whether it has.
    fn write_match(&self, tx: &Tx<'_>) -> rusqlite::Result<bool> {
        let id = blob(self.match_id.as_uuid());
        let (tenant, now) = (self.spec.tenant.as_str(), tx.now.as_micros());
        let request_id = self.spec.request_id.as_ref().map(RequestId::as_str);
        let folder_id = blob(self.spec.folder_id.as_uuid());
        let values = (id, tenant, request_id, folder_id, now);
        if tx.execute(statements::ADMIT, values)? == 0 {
            return Ok(false);
        }
        let sequence = Sequence::FIRST.0.cast_signed();
        let epoch = Claim::of_new(self.match_id).epoch.cast_signed();
        let values = (id, State::Accepted.name(), sequence, epoch, tx.owner, now, tenant);
        tx.execute(statements::ADMIT_STATE, values)?;
        for (key, value) in &self.spec.labels {
            tx.execute(statements::ADMIT_LABEL, (tenant, key.as_str(), value.as_str(), id))?;
        }
        Ok(true)
    }

    /// Writes the first event of the match.
    fn admitted(&self, tx: &mut Tx<'_>) -> Result<Admitted, Error> {
        let new = NewEvent {
            match_id: self.match_id,
            sequence: Sequence::FIRST,
            event: Event::Accepted(Arc::clone(&self.spec)),
            body: &self.body,
        };
        let recorded = new.write(tx, tx.now)?;
        Ok(Admitted::New(recorded, Claim::of_new(self.match_id)))
    }

    /// The match that is in the way: the one with the tenant's request id, or else the one with
    /// this id.
    fn known(&self, tx: &Tx<'_>) -> Result<Option<Match>, Error> {
        let by_request = self.spec.request_id.clone().map(Key::Request);
        for key in by_request.into_iter().chain([Key::Match(self.match_id)]) {
            if let Some(known) = tx.find(&self.spec.tenant, &key)? {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }
}

impl Operation for Append {
    type Outcome = Appended;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Appended, Error> {
        if self.is_taken(tx)? {
            return Ok(Appended::Taken);
        }
        let change = Change {
            match_id: self.claim.match_id,
            epoch: Some(self.claim.epoch),
            after: self.after,
            event: &self.event,
        };
        match change.write(tx, &self.body)? {
            Some(recorded) => Ok(Appended::Done(recorded)),
            None => Ok(Appended::Lost),
        }
    }
}

impl Append {
    /// Whether an analysis that the event names belongs to another match, although the claim holds
    /// and the match stands where the event would follow. Two matches may compare the same media,
    /// and each find the other's analysis in the folder: it belongs to the first match that writes
    /// it.
    fn is_taken(&self, tx: &Tx<'_>) -> rusqlite::Result<bool> {
        let Some((one, other)) = analyses(&self.event) else {
            return Ok(false);
        };
        let values = (
            blob(self.claim.match_id.as_uuid()),
            self.claim.epoch.cast_signed(),
            self.after.0.cast_signed(),
            one.as_str(),
            other.map(AnalysisId::as_str),
        );
        let taken = tx.optional(statements::TAKEN, values, |row| row.get(0))?;
        Ok(taken.unwrap_or(false))
    }
}

impl Operation for Cancel {
    type Outcome = CancelledAs;

    fn run(&self, tx: &mut Tx<'_>) -> Result<CancelledAs, Error> {
        let Some(known) = tx.find(&self.tenant, &self.key)? else {
            return Ok(CancelledAs::Absent);
        };
        match known.state {
            State::Cancelled => Ok(CancelledAs::Already(known)),
            State::Finished | State::Failed => Ok(CancelledAs::Ended(known)),
            State::Unknown if known.has_ended() => Ok(CancelledAs::Ended(known)),
            State::Accepted | State::Uploaded | State::Processing | State::Unknown => {
                self.end(tx, known)
            }
        }
    }
}

impl Cancel {
    fn end(&self, tx: &mut Tx<'_>, known: Match) -> Result<CancelledAs, Error> {
        let event = Event::Cancelled(Cancelled { keep: self.keep });
        let change =
            Change { match_id: known.id, epoch: None, after: known.sequence, event: &event };
        let Some(recorded) = change.write(tx, &body(&event))? else {
            let (id, sequence) = (known.id, known.sequence.0);
            return Err(Error::Corrupt(format!("match {id} doesn't stand at event {sequence}")));
        };
        stored::next(Some(known), &recorded).map(CancelledAs::Now)
    }
}

/// An event that follows others of its match.
struct Change<'a> {
    match_id: MatchId,
    /// The epoch that must still hold. `None`: any epoch will do, and its claim is fenced off.
    epoch: Option<u64>,
    after: Sequence,
    event: &'a Event,
}

impl Change<'_> {
    /// Writes the event. `None` if the match doesn't stand where it should. This doesn't check
    /// whether the event may follow at all: its author has folded the events before it.
    fn write(&self, tx: &mut Tx<'_>, body: &str) -> Result<Option<Recorded>, Error> {
        let Some(time) = self.update_state(tx)? else {
            return Ok(None);
        };
        if let Some((one, other)) = analyses(self.event) {
            for analysis in [Some(one), other].into_iter().flatten() {
                let values = (analysis.as_str(), blob(self.match_id.as_uuid()));
                tx.execute(statements::ADD_ANALYSIS, values)?;
            }
        }
        let new = NewEvent {
            match_id: self.match_id,
            sequence: Sequence(self.after.0 + 1),
            event: self.event.clone(),
            body,
        };
        new.write(tx, time).map(Some)
    }

    /// Changes the match's own row, and returns the time of the event; `None` if the match doesn't
    /// stand where it should.
    fn update_state(&self, tx: &Tx<'_>) -> rusqlite::Result<Option<Timestamp>> {
        let id = blob(self.match_id.as_uuid());
        let (epoch, after) = (self.epoch.map(u64::cast_signed), self.after.0.cast_signed());
        let (state, now) = (state_after(self.event).map(State::name), tx.now.as_micros());
        let time = |row: &rusqlite::Row<'_>| row.get(0).map(Timestamp::from_micros);
        match self.event.keep() {
            Some(keep) => {
                let values = (id, epoch, after, state, now, micros(keep));
                tx.optional(statements::END, values, time)
            }
            None => tx.optional(statements::ADVANCE, (id, epoch, after, state, now), time),
        }
    }
}

/// An event to be inserted.
struct NewEvent<'a> {
    match_id: MatchId,
    sequence: Sequence,
    event: Event,
    body: &'a str,
}

impl NewEvent<'_> {
    fn write(self, tx: &mut Tx<'_>, time: Timestamp) -> Result<Recorded, Error> {
        let id = blob(self.match_id.as_uuid());
        let values = (id, self.sequence.0.cast_signed(), time.as_micros(), self.body);
        tx.execute(statements::ADD_EVENT, values)?;
        let recorded = Recorded {
            match_id: self.match_id,
            sequence: self.sequence,
            position: Position(tx.connection.last_insert_rowid().cast_unsigned()),
            incarnation: ONE_WRITER,
            time,
            event: self.event,
        };
        tx.written.push(recorded.clone());
        Ok(recorded)
    }
}
