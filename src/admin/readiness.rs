//! Whether this process should get calls: where it is in its life, and whether what it needs works.
//!
//! A failed check takes the process out of its balancer and has it restarted by nothing. What no
//! other replica could do better either, such as reaching Oz, is a note and deliberately no check.

use std::{
    fmt::{self, Write},
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::sync::Mutex as AsyncMutex;

use crate::{clock::Clock, domain::Timestamp, sync::lock};

/// How long the outcomes of checks are shown again: many requests cost the store as much as one.
const OUTCOMES_AGE_MAX: Duration = Duration::from_secs(1);

/// How long a check may take. A store that hangs longer doesn't answer. It is less than
/// `facematch health` waits, so that the checks that hang are named.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a check fails that has given no answer.
const LATE: &str = "no answer within 2 s";

/// The outcome of a check: the reason for its failure is a text of the code, since the port is open
/// to every peer that reaches it.
pub type CheckOutcome = Result<(), &'static str>;

type Looking = Pin<Box<dyn Future<Output = CheckOutcome> + Send>>;

/// Something that must work for calls to be served.
pub struct ReadinessCheck {
    name: &'static str,
    look: Box<dyn Fn() -> Looking + Send + Sync>,
}

impl ReadinessCheck {
    /// A check that is asked when readiness is. `name` is what `/readyz` calls it.
    pub fn new<F>(name: &'static str, look: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = CheckOutcome> + Send + 'static,
    {
        Self { name, look: Box::new(move || Box::pin(look())) }
    }
}

/// Something to know that is no reason to send calls elsewhere; `None` if there is nothing to tell.
pub type ReadinessNote = Box<dyn Fn() -> Option<&'static str> + Send + Sync>;

/// What `/readyz` answers. Cheap to clone; clones share their state.
#[derive(Clone)]
pub struct Readiness(Arc<ReadinessState>);

struct ReadinessState {
    clock: Clock,
    phase: Mutex<ServicePhase>,
    started: OnceLock<StartedService>,
    /// The last outcomes of the checks, in their order, and when they were asked.
    outcomes: AsyncMutex<Option<(Timestamp, Vec<CheckOutcome>)>>,
}

/// What the service has once it serves.
struct StartedService {
    checks: Vec<ReadinessCheck>,
    notes: Vec<ReadinessNote>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ServicePhase {
    Starting,
    Serving,
    Draining,
}

impl Readiness {
    /// Of a process that is starting.
    pub(super) fn new(clock: Clock) -> Self {
        let (started, outcomes) = (OnceLock::new(), AsyncMutex::default());
        Self(Arc::new(ReadinessState {
            clock,
            phase: Mutex::new(ServicePhase::Starting),
            started,
            outcomes,
        }))
    }

    /// The service serves from now on, as long as these checks succeed.
    pub fn serving(&self, checks: Vec<ReadinessCheck>, notes: Vec<ReadinessNote>) {
        // A service starts once.
        let _ = self.0.started.set(StartedService { checks, notes });
        *lock(&self.0.phase) = ServicePhase::Serving;
    }

    /// The service drains: no new calls should be sent to it.
    pub fn draining(&self) {
        *lock(&self.0.phase) = ServicePhase::Draining;
    }

    /// Asks everything, and reports it.
    pub(super) async fn report(&self) -> Report {
        let phase = *lock(&self.0.phase);
        let starting = if phase == ServicePhase::Starting { Err("starting") } else { Ok(()) };
        let draining = if phase == ServicePhase::Draining { Err("draining") } else { Ok(()) };
        let mut lines =
            vec![("started", starting), ("files", starting), ("not-draining", draining)];
        let mut notes = Vec::new();
        if let Some(started) = self.0.started.get() {
            let names = started.checks.iter().map(|check| check.name);
            lines.extend(names.zip(self.outcomes(&started.checks).await));
            notes.extend(started.notes.iter().filter_map(|note| note()));
        }
        Report { lines, notes }
    }

    /// The outcomes of the checks, each at most a second old.
    async fn outcomes(&self, checks: &[ReadinessCheck]) -> Vec<CheckOutcome> {
        // Held while the store is asked: requests that come meanwhile share the answer.
        let mut last = self.0.outcomes.lock().await;
        let now = self.0.clock.now();
        if let Some((asked, outcomes)) = &*last
            && now.since(*asked) < OUTCOMES_AGE_MAX
        {
            return outcomes.clone();
        }
        let until = now.after(CHECK_TIMEOUT);
        let looks = checks.iter().map(|check| self.0.clock.before(until, (check.look)()));
        // All at once: several that hang take no longer than one.
        let found = join_all(looks).await.into_iter();
        let outcomes: Vec<_> = found.map(|outcome| outcome.unwrap_or(Err(LATE))).collect();
        *last = Some((self.0.clock.now(), outcomes.clone()));
        outcomes
    }
}

/// What the checks have answered.
pub(super) struct Report {
    lines: Vec<(&'static str, CheckOutcome)>,
    notes: Vec<&'static str>,
}

impl Report {
    /// The same without the checks of these names. Names that no check has are returned.
    pub(super) fn without(mut self, excluded: &[String]) -> (Self, Vec<String>) {
        let has = |name: &str| self.lines.iter().any(|(line, _)| *line == name);
        let unknown = excluded.iter().filter(|name| !has(name)).cloned().collect();
        self.lines.retain(|(name, _)| !excluded.iter().any(|excluded| excluded == name));
        (self, unknown)
    }

    /// The report of one check alone; `None` if there is no such check.
    pub(super) fn only(mut self, name: &str) -> Option<Self> {
        self.lines.retain(|(line, _)| *line == name);
        self.notes.clear();
        (!self.lines.is_empty()).then_some(self)
    }

    /// Whether no check has failed.
    pub(super) fn is_ready(&self) -> bool {
        self.lines.iter().all(|(_, outcome)| outcome.is_ok())
    }
}

/// One line for each check and note, in the form of Kubernetes' own checks.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.lines {
            match outcome {
                Ok(()) => writeln!(f, "[+]{name} ok")?,
                Err(why) => writeln!(f, "[-]{name} failed: {why}")?,
            }
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "[i] {note}"))?;
        f.write_str(if self.is_ready() { "readyz check passed" } else { "readyz check failed" })?;
        f.write_char('\n')
    }
}
