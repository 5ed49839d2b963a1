//! A write to the journal, and the one statement that writes a batch of them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock},
};

use sqlx::{AssertSqlSafe, Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    domain::{
        AnalysisId, Event, MatchId, Position, Recorded, RequestId, Sequence, Spec, State, TenantId,
        Timestamp,
    },
    journal::{
        Claim,
        postgres::{
            packed_claim::{LeaseId, PackedClaim},
            rows::{self, Query},
            turn::Function,
        },
        reply::{CarriesClaims, ReplySender},
        stored::{analyses, micros, state_after},
    },
};

/// The statement for a database that has NOTIFY.
static WITH_NOTICE: LazyLock<WriteForm> =
    LazyLock::new(|| WriteForm::with(", CASE WHEN $23 THEN pg_notify('facematch', '')::text END"));

/// The statement for a database without NOTIFY.
static WITHOUT_NOTICE: LazyLock<WriteForm> = LazyLock::new(|| WriteForm::with(""));

/// The statement by itself, and the function that runs it in a turn (see `turn.rs`).
struct WriteForm {
    plain: Arc<str>,
    in_turn: Function,
}

impl WriteForm {
    fn with(notice: &str) -> Self {
        let plain = include_str!("write.sql").replace("{notice}", notice);
        Self { in_turn: Function::around(&plain), plain: plain.into() }
    }

    fn of(notices: bool) -> &'static Self {
        if notices { &WITH_NOTICE } else { &WITHOUT_NOTICE }
    }
}

/// The function that writes events in a turn.
pub(super) fn function(notices: bool) -> &'static Function {
    &WriteForm::of(notices).in_turn
}

/// One event to be written.
pub(super) struct Write {
    pub match_id: MatchId,
    pub what: What,
    /// The event as JSON, as the journal stores it.
    pub body: String,
}

/// Which event of its match a write is.
pub(super) enum What {
    /// The first.
    New(Arc<Spec>),
    /// The event after a sequence, by the replica that holds the match.
    Next { claim: Claim, after: Sequence, event: Event },
    /// The last, whichever replica holds the match and whichever event came before.
    End(Event),
}

/// The outcome of a write.
#[expect(clippy::large_enum_variant, reason = "nearly all are done")]
pub(super) enum WriteOutcome {
    /// The event is durable. The claim is that on a new match.
    Done(Recorded, Option<Claim>),
    /// The event was not written, because of what the store has. `doubtful`: that may be this very
    /// event, written before a connection was lost. `unheard`: what that write may have claimed.
    Not { doubtful: bool, unheard: Option<Claim> },
}

impl CarriesClaims for WriteOutcome {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Done(_, claim) => claim.iter().copied().collect(),
            Self::Not { unheard, .. } => unheard.iter().copied().collect(),
        }
    }
}

/// A write with the channel for its reply.
pub(super) struct Job {
    pub write: Write,
    pub reply: ReplySender<WriteOutcome>,
    /// When the write was requested.
    pub asked: Timestamp,
    /// Whether the write was sent before, with an unknown outcome.
    pub doubtful: bool,
    /// The lease under which it was sent then.
    pub sent_under: Option<LeaseId>,
}

impl Job {
    /// A write that has not been sent yet.
    pub(super) fn new(write: Write, reply: ReplySender<WriteOutcome>, asked: Timestamp) -> Self {
        Self { write, reply, asked, doubtful: false, sent_under: None }
    }

    /// The outcome if the statement didn't write the event.
    pub(super) fn not_written(&self) -> WriteOutcome {
        WriteOutcome::Not { doubtful: self.doubtful, unheard: self.unheard() }
    }

    /// The claim that an earlier attempt may have made, or may still make. It is under the lease of
    /// that attempt, which may be in doubt by now and valid again later.
    pub(super) fn unheard(&self) -> Option<Claim> {
        match (&self.write.what, self.sent_under) {
            (What::New(_), Some(lease)) => {
                Some(PackedClaim::of_new(lease).claim(self.write.match_id))
            }
            (What::New(_) | What::Next { .. } | What::End(_), Some(_) | None) => None,
        }
    }
}

/// The replica that writes a batch, and the time of the batch.
#[derive(Clone, Copy)]
pub(super) struct Author {
    pub now: Timestamp,
    pub incarnation: u64,
    /// The lease that claims new matches. No other write needs one.
    pub lease: Option<LeaseId>,
    pub has_notify: bool,
    pub takes_turns: bool,
    pub tell_others: bool,
}

/// A thing that a write names. Two writes that name the same thing can't be in one statement,
/// since neither would see the other.
#[derive(PartialEq, Eq, Hash)]
enum Name<'a> {
    Match(MatchId),
    Request(&'a TenantId, &'a RequestId),
    Analysis(&'a AnalysisId),
}

impl Write {
    fn event(&self) -> Option<&Event> {
        match &self.what {
            What::New(_) => None,
            What::Next { event, .. } | What::End(event) => Some(event),
        }
    }

    fn names(&self) -> impl Iterator<Item = Name<'_>> {
        let request = match &self.what {
            What::New(spec) => spec.request_id.as_ref().map(|id| Name::Request(&spec.tenant, id)),
            What::Next { .. } | What::End(_) => None,
        };
        let analyses = self.event().and_then(analyses);
        let analyses = analyses.into_iter().flat_map(|(one, other)| [Some(one), other]);
        let analyses = analyses.flatten().map(Name::Analysis);
        [Name::Match(self.match_id)].into_iter().chain(request).chain(analyses)
    }

    /// The event with the sequence, position and time that its row has.
    fn recorded(&self, row: &PgRow, author: Author) -> sqlx::Result<Recorded> {
        let event = match &self.what {
            What::New(spec) => Event::Accepted(Arc::clone(spec)),
            What::Next { event, .. } | What::End(event) => event.clone(),
        };
        Ok(Recorded {
            match_id: self.match_id,
            sequence: Sequence(rows::unsigned(row, 1)?),
            position: Position(rows::unsigned(row, 2)?),
            time: Timestamp::from_micros(row.try_get(3)?),
            incarnation: author.incarnation,
            event,
        })
    }

    /// The claim that the write makes, if its match is new.
    pub(super) fn claim(&self, author: Author) -> Option<Claim> {
        match (&self.what, author.lease) {
            (What::New(_), Some(lease)) => Some(PackedClaim::of_new(lease).claim(self.match_id)),
            (What::New(_) | What::Next { .. } | What::End(_), Some(_) | None) => None,
        }
    }
}

/// Takes the writes out of a batch that can't be in one statement with an earlier one: they wait
/// for the next.
pub(super) fn take_incompatible(jobs: &mut Vec<Job>) -> Vec<Job> {
    let mut seen = HashSet::new();
    let waits: Vec<bool> = jobs
        .iter()
        .map(|job| {
            let names: Vec<_> = job.write.names().collect();
            let waits = names.iter().any(|name| seen.contains(name));
            seen.extend(names);
            waits
        })
        .collect();
    let mut waits = waits.into_iter();
    jobs.extract_if(.., |_| waits.next().unwrap_or(false)).collect()
}

/// The events that a statement has written, by match.
pub(super) fn written(
    jobs: &[Job],
    rows: &[PgRow],
    author: Author,
) -> sqlx::Result<HashMap<MatchId, Recorded>> {
    let mut by_match: HashMap<MatchId, &Write> = HashMap::with_capacity(jobs.len());
    by_match.extend(jobs.iter().map(|job| (job.write.match_id, &job.write)));
    let recorded = |row: &PgRow| {
        let id = MatchId::from_uuid(row.try_get(0)?);
        let write = by_match.get(&id).ok_or(sqlx::Error::RowNotFound)?;
        Ok((id, write.recorded(row, author)?))
    };
    rows.iter().map(recorded).collect()
}

/// The outcome of a job whose statement is committed.
pub(super) fn outcome(job: &Job, recorded: Option<Recorded>, author: Author) -> WriteOutcome {
    match recorded {
        Some(recorded) => WriteOutcome::Done(recorded, job.write.claim(author)),
        None => job.not_written(),
    }
}

/// The statement that writes these jobs.
pub(super) fn statement<'q>(jobs: &'q [Job], author: Author) -> Query<'q> {
    let form = WriteForm::of(author.has_notify);
    let sql = if author.takes_turns { &form.in_turn.call } else { &form.plain };
    let query = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
    let query = NewRows::of(jobs).bind(query);
    let query = Labels::of(jobs).bind(query);
    NextRows::of(jobs)
        .bind(query)
        .bind(author.now.as_micros())
        .bind(author.incarnation.cast_signed())
        .bind(author.tell_others)
        .bind(author.lease.map(LeaseId::number))
}

/// New matches, column by column.
#[derive(Default)]
struct NewRows<'a> {
    match_id: Vec<Uuid>,
    tenant: Vec<&'a str>,
    request_id: Vec<Option<&'a str>>,
    folder_id: Vec<Uuid>,
    needs_photo: Vec<bool>,
    slot: Vec<i16>,
    body: Vec<&'a str>,
}

impl<'a> NewRows<'a> {
    fn of(jobs: &'a [Job]) -> Self {
        let mut new = Self::default();
        for write in jobs.iter().map(|job| &job.write) {
            if let What::New(spec) = &write.what {
                new.match_id.push(*write.match_id.as_uuid());
                new.tenant.push(spec.tenant.as_str());
                new.request_id.push(spec.request_id.as_ref().map(RequestId::as_str));
                new.folder_id.push(*spec.folder_id.as_uuid());
                new.needs_photo.push(spec.needs_photo());
                new.slot.push(slot(write.match_id));
                new.body.push(&write.body);
            }
        }
        new
    }

    fn bind(self, query: Query<'a>) -> Query<'a> {
        query
            .bind(self.match_id)
            .bind(self.tenant)
            .bind(self.request_id)
            .bind(self.folder_id)
            .bind(self.needs_photo)
            .bind(self.slot)
            .bind(self.body)
    }
}

/// A match's slot, evenly distributed: the last bytes of an id are random.
fn slot(match_id: MatchId) -> i16 {
    let [.., high, low] = *match_id.as_uuid().as_bytes();
    i16::from_be_bytes([high & 0x7F, low])
}

/// The labels of new matches, column by column.
#[derive(Default)]
struct Labels<'a> {
    match_id: Vec<Uuid>,
    tenant: Vec<&'a str>,
    key: Vec<&'a str>,
    value: Vec<&'a str>,
}

impl<'a> Labels<'a> {
    fn of(jobs: &'a [Job]) -> Self {
        let mut labels = Self::default();
        for write in jobs.iter().map(|job| &job.write) {
            if let What::New(spec) = &write.what {
                for (key, value) in &spec.labels {
                    labels.match_id.push(*write.match_id.as_uuid());
                    labels.tenant.push(spec.tenant.as_str());
                    labels.key.push(key);
                    labels.value.push(value);
                }
            }
        }
        labels
    }

    fn bind(self, query: Query<'a>) -> Query<'a> {
        query.bind(self.match_id).bind(self.tenant).bind(self.key).bind(self.value)
    }
}

/// Next events of known matches, column by column.
#[derive(Default)]
struct NextRows<'a> {
    match_id: Vec<Uuid>,
    epoch: Vec<Option<i64>>,
    owner: Vec<Option<i32>>,
    after: Vec<Option<i64>>,
    state: Vec<Option<&'a str>>,
    keep: Vec<Option<i64>>,
    body: Vec<&'a str>,
    analysis_id: Vec<Option<&'a str>>,
    other_analysis_id: Vec<Option<&'a str>>,
}

impl<'a> NextRows<'a> {
    fn of(jobs: &'a [Job]) -> Self {
        let mut next = Self::default();
        for write in jobs.iter().map(|job| &job.write) {
            match &write.what {
                What::New(_) => {}
                What::Next { claim, after, event } => {
                    next.push(write, Some((PackedClaim::of(*claim), *after)), event);
                }
                What::End(event) => next.push(write, None, event),
            }
        }
        next
    }

    fn push(&mut self, write: &'a Write, fence: Option<(PackedClaim, Sequence)>, event: &'a Event) {
        let (one, other) = analyses(event).unzip();
        self.match_id.push(*write.match_id.as_uuid());
        self.epoch.push(fence.map(|(hold, _)| hold.epoch));
        self.owner.push(fence.map(|(hold, _)| hold.lease.number()));
        self.after.push(fence.map(|(_, after)| after.0.cast_signed()));
        self.state.push(state_after(event).map(State::name));
        self.keep.push(event.keep().map(micros));
        self.body.push(&write.body);
        self.analysis_id.push(one.map(AnalysisId::as_str));
        self.other_analysis_id.push(other.flatten().map(AnalysisId::as_str));
    }

    fn bind(self, query: Query<'a>) -> Query<'a> {
        query
            .bind(self.match_id)
            .bind(self.epoch)
            .bind(self.owner)
            .bind(self.after)
            .bind(self.state)
            .bind(self.keep)
            .bind(self.body)
            .bind(self.analysis_id)
            .bind(self.other_analysis_id)
    }
}
