//! Injects faults into a process. Its plug counts every operation at the store and at Oz, and
//! crashes or pauses the process at the n-th one.
//!
//! A task that reaches the crash point never continues, as if the process had died there.

use std::{
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::FutureExt;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::Notify;

use crate::{
    intercept::{Answer, Hook, Operation, Running, intercept},
    journal::{Chore, Error, Handles},
    sync::lock,
};

/// Where in an operation the process crashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    /// Before the request leaves, or before the commit.
    Before,
    /// After Oz has acted, before its answer is read.
    Acted,
    /// After the answer and before its event is written; or after the commit and before its outcome
    /// is delivered.
    After,
}

pub const POINTS: [Point; 3] = [Point::Before, Point::Acted, Point::After];

/// Counts operations, and crashes the process, pauses it, or cuts it off from the store.
#[derive(Default)]
pub struct CrashInjector {
    count: Arc<Count>,
    /// Operations at the store in progress: the store may run threads of its own.
    at_store: AtomicUsize,
    is_pulled: AtomicBool,
    pulled: Notify,
    /// Whether the process can't reach its store.
    is_cut: AtomicBool,
    /// Whether the process is paused at a point.
    is_halted: AtomicBool,
    resumed: Notify,
}

/// The operations of all processes of a history, and the points at which a process crashes or
/// pauses.
#[derive(Default)]
struct Count {
    operations: AtomicUsize,
    pulled_at: Mutex<Option<(usize, Point)>>,
    halted_at: Mutex<Option<(usize, Point)>>,
}

impl CrashInjector {
    /// The plug of another process of the same history.
    pub fn for_other_process(&self) -> Self {
        Self { count: Arc::clone(&self.count), ..Self::default() }
    }

    /// The process that reaches this point of the n-th operation, counted from 0, crashes there.
    pub fn crash_at(&self, n: usize, point: Point) {
        *self.pulled_at() = Some((n, point));
    }

    /// The process that reaches this point of the n-th operation pauses there.
    pub fn pause_at(&self, n: usize, point: Point) {
        *self.halted_at() = Some((n, point));
    }

    /// Whether the process is paused at a point.
    pub fn is_halted(&self) -> bool {
        self.is_halted.load(Ordering::Relaxed)
    }

    /// Resumes a paused process.
    pub fn resume(&self) {
        self.is_halted.store(false, Ordering::Relaxed);
        self.resumed.notify_waiters();
    }

    fn halted_at(&self) -> MutexGuard<'_, Option<(usize, Point)>> {
        lock(&self.count.halted_at)
    }

    fn pulled_at(&self) -> MutexGuard<'_, Option<(usize, Point)>> {
        lock(&self.count.pulled_at)
    }

    /// Cuts the process off from the store, or reconnects it.
    pub fn set_cut_off(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }

    /// Whether the store can't be reached.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    /// Crashes the process now.
    pub fn crash(&self) {
        self.is_pulled.store(true, Ordering::Relaxed);
        self.pulled.notify_one();
    }

    /// Resets the plug for a new process.
    pub fn reset(&self) {
        self.is_pulled.store(false, Ordering::Relaxed);
        *self.pulled_at() = None;
    }

    /// How many operations there have been, in all processes.
    pub fn operations(&self) -> usize {
        self.count.operations.load(Ordering::Relaxed)
    }

    /// Whether an operation at the store is in progress.
    pub fn is_store_busy(&self) -> bool {
        self.at_store.load(Ordering::Relaxed) > 0
    }

    /// Resolves when the process has crashed.
    pub async fn crashed(&self) {
        while !self.is_pulled.load(Ordering::Relaxed) {
            self.pulled.notified().await;
        }
    }

    /// Begins an operation, and passes its first point. Returns its number.
    pub async fn begin(&self, point: Point) -> usize {
        let n = self.count.operations.fetch_add(1, Ordering::Relaxed);
        self.pass(n, point).await;
        n
    }

    /// Passes a point of an operation. Waits while the process is paused; never returns once it has
    /// crashed.
    pub async fn pass(&self, n: usize, point: Point) {
        let here = Some((n, point));
        if *self.pulled_at() == here {
            self.crash();
        }
        if self.halted_at().take_if(|at| Some(*at) == here).is_some() {
            self.is_halted.store(true, Ordering::Relaxed);
        }
        while self.is_halted() {
            self.resumed.notified().await;
        }
        if self.is_pulled.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    }
}

/// The journal of a process that may crash. Each write fails with a probability, before the commit
/// or after it. While the process is cut off from its store, reads and writes fail.
pub fn faulty(journal: Handles, plug: &Arc<CrashInjector>, seed: u64, chance: f64) -> Handles {
    let random = (StdRng::seed_from_u64(seed), chance);
    let trouble = (chance > 0.0).then(|| Mutex::new(random));
    intercept(journal, Arc::new(StoreFaults { plug: Arc::clone(plug), trouble }))
}

/// What happens at each operation at the store.
struct StoreFaults {
    plug: Arc<CrashInjector>,
    trouble: Option<Mutex<(StdRng, f64)>>,
}

/// The outcome that is drawn for a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    NotWritten,
    ReplyLost,
}

#[async_trait]
impl Hook for StoreFaults {
    async fn around(&self, operation: Operation, running: Running<'_>) -> Result<Answer, Error> {
        match operation {
            Operation::Admit { .. } | Operation::Append(_) | Operation::Cancel => {
                self.write(running).await
            }
            Operation::Take | Operation::Confirm | Operation::Release => {
                self.change_claims(running).await
            }
            Operation::Erase
            | Operation::Tidy { chore: Chore::EraseExpired, .. }
            | Operation::Claim
            | Operation::OwnedByOthers
            | Operation::Find
            | Operation::Events
            | Operation::Tail
            | Operation::Page { .. }
            | Operation::List
            | Operation::Cursor
            | Operation::CursorStatus
            | Operation::Ping => self.plug.run_unless_cut_off(running).await,
            // Without the store, the process can't give up its lease: others wait until it expires.
            Operation::Leave if self.plug.is_cut() => Err(unavailable()),
            // In a history no match was written by an older version.
            Operation::Leave
            | Operation::Tidy { chore: Chore::Enlist, .. }
            | Operation::Takeable => running.await,
        }
    }
}

impl StoreFaults {
    fn fate(&self) -> Fate {
        let Some(trouble) = &self.trouble else { return Fate::Fine };
        let mut trouble = lock(trouble);
        let (random, chance) = &mut *trouble;
        match (random.random_bool(*chance), random.random_bool(0.5)) {
            (false, _) => Fate::Fine,
            (true, false) => Fate::NotWritten,
            (true, true) => Fate::ReplyLost,
        }
    }

    async fn write(&self, writing: Running<'_>) -> Result<Answer, Error> {
        let n = self.plug.begin(Point::Before).await;
        let fate = self.fate();
        if fate == Fate::NotWritten || self.plug.is_cut() {
            return Err(unavailable());
        }
        if fate == Fate::ReplyLost {
            // The write is started and may be committed, but its caller gets an error.
            let _ = writing.now_or_never();
            return Err(unavailable());
        }
        let written = self.plug.run_counted(writing).await;
        self.plug.pass(n, Point::After).await;
        written
    }

    /// Runs an operation that changes claims. Unlike a write, it fails only while the process is
    /// cut off.
    async fn change_claims(&self, changing: Running<'_>) -> Result<Answer, Error> {
        let n = self.plug.begin(Point::Before).await;
        let changed = self.plug.run_unless_cut_off(changing).await;
        self.plug.pass(n, Point::After).await;
        changed
    }
}

impl CrashInjector {
    /// Runs an operation at the store, unless the process is cut off from it.
    async fn run_unless_cut_off(&self, working: Running<'_>) -> Result<Answer, Error> {
        match self.is_cut() {
            true => Err(unavailable()),
            false => self.run_counted(working).await,
        }
    }

    async fn run_counted(&self, working: Running<'_>) -> Result<Answer, Error> {
        self.at_store.fetch_add(1, Ordering::Relaxed);
        let _done = BusyGuard(&self.at_store);
        working.await
    }
}

/// A guard that counts an operation at the store as in progress. It is dropped with the operation,
/// even if that is cancelled.
struct BusyGuard<'a>(&'a AtomicUsize);

impl Drop for BusyGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn unavailable() -> Error {
    Error::Unavailable(Arc::new(std::io::Error::other("an injected failure of the store")))
}
