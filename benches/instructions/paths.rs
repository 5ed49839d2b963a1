//! The paths that are counted: each takes its data from `inputs`, and then runs as often as it is
//! told to.

use std::{hint::black_box, sync::Arc, time::Duration};

use facematch::{
    clock::Clock,
    domain::{
        Ask, Event, Match, Moment, Position, Recorded, Reply, Sequence, State, Step, Timestamp,
        VolatileState, apply, next_step, settle,
    },
    grpc::encoded::Encoded,
    outage::Outage,
    oz,
    watch::{self, Entry, Update, Watch},
};
use http::StatusCode;
use tokio::runtime::Runtime;

use crate::{
    Result,
    inputs::{self, LATENCY, POLICY, START},
    observations::Observations,
    writes,
};

/// How many answers of Oz a match has received once its analysis is in progress.
const REPLIES_TO_PROCESSING: usize = 3;
const CONFIG: watch::Config = watch::Config { heartbeat: Duration::from_secs(15) };

/// What is counted. Each path is work that the service does most, without its waits.
#[derive(Clone, Copy, Debug)]
pub enum Path {
    /// A plain match from accepted to finished, by the pure core: every step, answer and event.
    Match,
    /// The answer to one poll, read as the client reads it, and settled.
    Poll,
    /// One event, encoded with a resume token for the first stream that shows it.
    Update,
    /// The events of a match, written as the journal's JSON, read back and folded; without SQLite.
    Facts,
    /// All that the metrics of a match observe.
    Metrics,
    /// The events of a match, written one by one to SQLite's file.
    Write,
}

impl Path {
    pub const ALL: [Self; 6] =
        [Self::Match, Self::Poll, Self::Update, Self::Facts, Self::Metrics, Self::Write];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Poll => "poll",
            Self::Update => "update",
            Self::Facts => "facts",
            Self::Metrics => "metrics",
            Self::Write => "write",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|path| path.name() == name)
    }

    /// Runs nothing but this path, `times` times.
    pub fn run(self, times: u64) -> Result<()> {
        match self {
            Self::Match => matches(times),
            Self::Poll => polls(times),
            Self::Update => updates(times),
            Self::Facts => facts(times),
            Self::Metrics => observations(times),
            Self::Write => writes(times),
        }
    }
}

fn matches(times: u64) -> Result<()> {
    let (accepted, replies) = (accepted()?, inputs::replies()?);
    for _ in 0..times {
        let walk = Walk::of(black_box(&accepted), black_box(&replies))?;
        black_box(walk.ended()?);
    }
    Ok(())
}

fn polls(times: u64) -> Result<()> {
    let (accepted, replies) = (accepted()?, inputs::replies()?);
    let Walk { m, mut volatile, now, .. } = Walk::of(&accepted, &replies[..REPLIES_TO_PROCESSING])?;
    let analysis_id = inputs::analysis_id()?;
    let ask = Ask::ReadAnalysis { analysis_id: analysis_id.clone() };
    for _ in 0..times {
        let read = oz::read_analysis(StatusCode::OK, black_box(inputs::PROCESSING), &analysis_id);
        let outcome = read.map(Reply::Analysis);
        black_box(settle(&m, &mut volatile, &ask, outcome, moment(now), &POLICY));
    }
    let is_pending =
        volatile.polls == times && volatile.biometry.over.is_none() && volatile.failures() == 0;
    if is_pending { Ok(()) } else { Err("a poll ended the analysis, or failed".into()) }
}

fn updates(times: u64) -> Result<()> {
    let watch = watch()?;
    let Walk { m, journal, .. } = Walk::of(&accepted()?, &inputs::replies()?)?;
    let (m, last) = (Arc::new(m), journal.last().ok_or("a match without events")?);
    for _ in 0..times {
        // A new entry each time: an entry keeps the bytes that it was encoded to.
        let entry = Entry::new(black_box(last).clone(), Arc::clone(&m));
        let update = Update::Event(Arc::new(entry));
        black_box(Encoded::shown(black_box(&watch), &update).bytes());
    }
    Ok(())
}

fn facts(times: u64) -> Result<()> {
    let Walk { journal, .. } = Walk::of(&accepted()?, &inputs::replies()?)?;
    for _ in 0..times {
        let mut m = None;
        for recorded in black_box(&journal) {
            let body = serde_json::to_string(&recorded.event)?;
            let event = serde_json::from_str(black_box(&body))?;
            m = Some(apply(m, &Recorded { event, ..*recorded })?);
        }
        black_box(m);
    }
    Ok(())
}

fn observations(times: u64) -> Result<()> {
    let observations = Observations::new()?;
    (0..times).for_each(|_| black_box(&observations).of_a_match());
    Ok(())
}

fn writes(times: u64) -> Result<()> {
    let Walk { journal: events, .. } = Walk::of(&accepted()?, &inputs::replies()?)?;
    let following: Vec<_> = events.into_iter().skip(1).map(|recorded| recorded.event).collect();
    let (spec, directory) = (inputs::spec()?, tempfile::tempdir()?);
    runtime()?.block_on(async {
        let journal = writes::open(directory.path().join("facematch.db")).await?;
        for n in 0..times {
            writes::a_match(&journal, n, &spec, &following).await?;
        }
        journal.close().await;
        Ok(())
    })
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// A match in progress, driven as the worker drives it, by answers that are known beforehand.
struct Walk {
    m: Match,
    volatile: VolatileState,
    now: Timestamp,
    journal: Vec<Recorded>,
}

impl Walk {
    /// Drives the match as far as these answers lead.
    fn of(accepted: &Recorded, replies: &[Reply]) -> Result<Self> {
        let mut walk = Self {
            m: apply(None, accepted)?,
            volatile: VolatileState::fresh(accepted.time),
            now: accepted.time,
            journal: vec![accepted.clone()],
        };
        for reply in replies {
            let ask = walk.next_ask()?.ok_or("the match has ended before its last answer")?;
            walk.hear(&ask, reply.clone())?;
        }
        Ok(walk)
    }

    /// The next request to Oz, at the time when it is due; `None` after the end.
    fn next_ask(&mut self) -> Result<Option<Ask>> {
        loop {
            match next_step(&self.m, &self.volatile, true, self.now, &POLICY) {
                Step::Ask(ask) => return Ok(Some(ask)),
                Step::Wait(until) => self.now = until,
                Step::Record(event) => self.write(event)?,
                Step::Rest => return Ok(None),
            }
        }
    }

    fn hear(&mut self, ask: &Ask, reply: Reply) -> Result<()> {
        let moment = moment(self.now);
        self.now = moment.now;
        let settled = settle(&self.m, &mut self.volatile, ask, Ok(reply), moment, &POLICY);
        settled.event.map_or(Ok(()), |event| self.write(event))
    }

    fn write(&mut self, event: Event) -> Result<()> {
        let sequence = self.m.sequence.next();
        let position = Position(sequence.0);
        let recorded = Recorded {
            match_id: self.m.id,
            sequence,
            position,
            incarnation: 0,
            time: self.now,
            event,
        };
        self.m = apply(Some(self.m.clone()), &recorded)?;
        self.journal.push(recorded);
        Ok(())
    }

    /// The match with its verdict; an error if it has none.
    fn ended(mut self) -> Result<Match> {
        let has_verdict = self.next_ask()?.is_none() && self.m.state == State::Finished;
        if has_verdict { Ok(self.m) } else { Err("the match has no verdict".into()) }
    }
}

/// The match's first event.
fn accepted() -> Result<Recorded> {
    Ok(Recorded {
        match_id: inputs::match_id()?,
        sequence: Sequence::FIRST,
        position: Position(1),
        incarnation: 0,
        time: START,
        event: Event::Accepted(Arc::new(inputs::spec()?)),
    })
}

fn moment(asked: Timestamp) -> Moment {
    Moment { asked, now: asked.after(LATENCY), chance: 0.5 }
}

/// A watch, for its tokens. The journal that the tokens name is closed before anything is counted,
/// so that none of its threads is counted.
fn watch() -> Result<Watch> {
    let directory = tempfile::tempdir()?;
    runtime()?.block_on(async {
        let journal = writes::open(directory.path().join("facematch.db")).await?;
        let (clock, _) = Clock::manual(START);
        let store = Outage::new("the store", clock.clone());
        let watch = Watch::new(CONFIG, journal.handles().feed, store, clock);
        journal.close().await;
        Ok(watch)
    })
}
